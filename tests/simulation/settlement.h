/* Settlements: that what was decided without the user can be seen, and taken back. */
#ifndef TESTS_SIMULATION_SETTLEMENT_H
#define TESTS_SIMULATION_SETTLEMENT_H

#include "service/core/change_batch.h"
#include "service/store/store.h"

/* What was looked at. */
struct settlement_count {
    uint64_t seen;   /* decisions that show both sides, whole */
    uint64_t undone; /* of these, taken back in a trial: the record was as before */
    uint64_t
        built_on;    /* of these, the device's next change is on them: not to be taken back whole */
    uint64_t faults; /* what could not be seen, or not be taken back */
};

/* Looks at what was decided of a change, just after its batch was committed. `before` is the record
 * before the batch (empty: there was none), NULL where an earlier change of the batch may have
 * changed it. Nothing is written. */
void settlement_check(struct settlement_count *count, struct store *store, struct slice user,
                      const struct change *change, const struct change_result *result,
                      const struct slice *before, struct arena *arena);

#endif
