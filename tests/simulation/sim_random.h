/* The simulation's own random numbers: splitmix64, the same everywhere for a seed. */
#ifndef TESTS_SIMULATION_SIM_RANDOM_H
#define TESTS_SIMULATION_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *random) {
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

/* One stream of many: the `n`-th of a seed's. */
static inline struct sim_random sim_random_of(uint64_t seed, uint64_t n) {
    struct sim_random random = {seed * 0xd1342543de82ef95 + n};
    random.state = sim_next(&random) ^ n;
    return random;
}

/* 0 to below - 1. */
static inline uint32_t sim_pick(struct sim_random *random, uint32_t below) {
    return (uint32_t)((sim_next(random) >> 32) * below >> 32);
}

/* Once in `times`. */
static inline bool sim_once_in(struct sim_random *random, uint32_t times) {
    return sim_pick(random, times) == 0;
}

/* 0 to count - 1, the first the likeliest (Zipf's law with exponent 1). */
static inline uint32_t sim_pick_zipf(struct sim_random *random, uint32_t count) {
    double sum = 0, at;
    for (uint32_t i = 1; i <= count; i++)
        sum += 1.0 / i;
    at = sum * (double)(sim_next(random) >> 11) / 9007199254740992.0;
    for (uint32_t i = 1; i < count; i++)
        if ((at -= 1.0 / i) < 0)
            return i - 1;
    return count - 1;
}

#endif
