/* Three-way merge of documents, field by field. Pure. */
#ifndef SERVICE_CORE_MERGE_H
#define SERVICE_CORE_MERGE_H

#include "base/arena.h"
#include "service/core/policy.h"

/* Both sides of a merge, all canonical documents; times are corrected microseconds of each side's
 * change. */
struct merge_input {
    enum data_type type;
    struct slice base, ours, theirs; /* ours: the server's; theirs: the client's */
    int64_t ours_us, theirs_us;
    /* The server's changes since the base, newest first: where one of them touched a field, its
     * time counts instead of ours_us. May be empty. */
    const struct log_entry *const *ours_log;
    size_t ours_log_count;
    bool theirs_win; /* what both changed, and what does not merge inside, whatever the policy */
};

/* How a field that both sides changed was decided. */
struct merge_decision {
    struct slice path;        /* dotted text */
    enum field_policy policy; /* FIELD_POLICY_NONE: by the strategy */
    bool took_theirs;
    bool undecided; /* waits for the user; the merged document holds ours */
};

/* What came of it. Lives in the arena. */
struct merge_result {
    struct slice document; /* the merge; undecided fields as ours */
    struct merge_decision *decisions;
    size_t decision_count;
    size_t undecided_count;
    bool took_ours;   /* something of the server's differs from theirs and stayed */
    bool took_theirs; /* something of the client's differs from ours and was taken */
};

/* Merges: a field that one side changed, or both to the same value, is taken; one that both changed
 * goes to its policy, then to the strategy (server, client; merge: the later wins; manual:
 * undecided). Objects merge by member, arrays of objects that carry an "id" by that id, unless a
 * policy takes them as one; other arrays are one value unless the policy is union. A text merges by
 * words where the policy says so. */
enum sync_status conflict_merge(const struct merge_input *input, const struct policy_set *policies,
                                enum conflict_strategy strategy, struct arena *arena,
                                struct merge_result *ret_result);

#endif
