#include "base/clock.h"

#include <time.h>

static uint64_t clock_read_us(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t system_now_us(void *context) {
    (void)context;
    return clock_read_us(CLOCK_REALTIME);
}

static uint64_t system_monotonic_us(void *context) {
    (void)context;
    return clock_read_us(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void) {
    static const struct clock SYSTEM = {system_now_us, system_monotonic_us, NULL};
    return &SYSTEM;
}
