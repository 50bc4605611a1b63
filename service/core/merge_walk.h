/* The walk of a three-way merge, for the files of core/merge only. Pure. */
#ifndef SERVICE_CORE_MERGE_WALK_H
#define SERVICE_CORE_MERGE_WALK_H

#include "service/core/document_writer.h"
#include "service/core/merge.h"

/* One field on the three sides; NULL where it is absent. */
struct sides {
    const struct value *base, *ours, *theirs;
};

enum { MERGE_DECISIONS_MAX = 1000 /* listed; the counts go on */ };

/* The state of a walk. Sides are merged from the document's end to its beginning. */
struct merge_walk {
    struct document_writer writer;
    struct arena *arena;
    const struct merge_input *input;
    const struct policy_set *policies;
    enum conflict_strategy strategy;
    struct slice path[2 * DELTA_PATH_MAX]; /* list elements add their id */
    size_t path_size;
    struct merge_decision *decisions;
    size_t decision_count, decision_capacity;
    size_t undecided_count;
    bool took_ours, took_theirs;
};

/* Merges one field and writes what it becomes, a value; `ret_present` is false, and nothing
 * written, where it is absent then. */
enum sync_status merge_walk_field(struct merge_walk *walk, const struct sides *sides,
                                  bool *ret_present);

/* Tells whether all three lists (a base that is none counts as empty) hold only objects, each with
 * an "id" of its own. */
enum sync_status merge_list_has_ids(struct arena *arena, const struct sides *sides, bool *ret_has);

/* Merges lists of objects by their ids and writes the list: in the order of the side that changed
 * it, ours if both or none did, and then what the other added. */
enum sync_status merge_list_by_id(struct merge_walk *walk, const struct sides *sides);

/* Writes the list that has what either side added and not what either removed: ours in order, then
 * what they added. */
enum sync_status merge_list_union(struct merge_walk *walk, const struct sides *sides);

#endif
