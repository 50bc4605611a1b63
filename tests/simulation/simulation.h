/* The simulation: the service's core under one user's devices, networks, clocks, faults and
 * crashes, all by one seed. Two runs of a seed are alike. */
#ifndef TESTS_SIMULATION_SIMULATION_H
#define TESTS_SIMULATION_SIMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct state_set;

/* What to run. */
struct sim_options {
    uint64_t seed;
    uint32_t steps;
    const bool *left_out;     /* by step, or NULL: those that are not taken */
    const char *rocks_folder; /* NULL: the store is in memory; else an empty folder for RocksDB */
    struct state_set *states; /* distinct states are added; NULL: they are not counted */
    FILE *story;              /* what happens is told here; NULL: it is not */
};

/* What came of it. */
struct sim_report {
    bool is_violated;
    char violation[512];
    uint32_t step; /* at which; the number of steps: when all came to rest */
    uint64_t changes, merged, conflicts, resyncs, crashes, moved, lost, duplicates, streams, pulls,
        audits, repairs, downloads;
};

/* Runs a seed; true when everything held. */
bool simulation_run(const struct sim_options *options, struct sim_report *ret_report);

/* A set of hashes of states: opened empty, closed by state_set_close (returns NULL). */
struct state_set *state_set_open(void);
struct state_set *state_set_close(struct state_set *set);
void state_set_add(struct state_set *set, uint64_t hash);
uint64_t state_set_count(const struct state_set *set);

#endif
