/* Conflict count: which true conflicts an upload meets, and how each is settled.
 *
 * A true conflict is a field that both sides set to different values since the base, or a deletion
 * against a change. Fields that only one side changed are none. Said of the changes and the log
 * alone, apart from the core's merge. */
#ifndef TESTS_SIMULATION_CONFLICT_COUNT_H
#define TESTS_SIMULATION_CONFLICT_COUNT_H

#include "service/core/change_batch.h"
#include "service/core/conflict.h"

enum { POLICY_KINDS = 32 };

enum settlement { SETTLED_AUTOMATIC, SETTLED_WAITING, SETTLEMENT_KINDS };

/* The counts. Policies of deletions come behind those of fields. */
struct conflict_count {
    uint64_t changes, conflicts, automatic;
    uint64_t recorded; /* of the automatic: kept with both sides, to be seen and taken back */
    uint64_t joined; /* of the automatic: lists that have all of both sides, no element disputed */
    uint64_t lost;   /* of the automatic: neither; there must be none */
    uint64_t by[CONFLICT_DELETE_UPDATE + 1][POLICY_KINDS][SETTLEMENT_KINDS];
};

/* Counts the true conflicts of a batch, which `view` is what was loaded for. */
void conflict_count_batch(struct conflict_count *count, const struct user_view *view,
                          const struct change_batch *batch, const struct change_result *results,
                          struct arena *arena);

/* The name of a policy as counted: "server", "strategy", "delete service", … Lives until the
 * next call. */
const char *conflict_count_policy(size_t policy);

#endif
