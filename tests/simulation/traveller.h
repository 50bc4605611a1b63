/* Traveller: one traveller with three devices that are offline most of the time, and the services
 * that write beside him, on the real core. */
#ifndef TESTS_SIMULATION_TRAVELLER_H
#define TESTS_SIMULATION_TRAVELLER_H

#include "tests/simulation/conflict_count.h"
#include "tests/simulation/settlement.h"

/* What came of a workload beside the conflicts. */
struct traveller_sum {
    struct conflict_count conflicts;
    struct settlement_count settlements;
    uint64_t edits, puts, uploads, deletes, recreates, blocked, rejected, resolved;
};

/* Lives through the traveller's days and adds to the sum. The same seed and number give the same
 * days. False without memory. */
bool traveller_live(uint64_t seed, uint64_t number, struct traveller_sum *sum);

#endif
