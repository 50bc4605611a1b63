/* List merges: what must become of a list that two sides changed, said element by element and apart
 * from the core's merge. Lists are google.protobuf.Value bytes; what is no list counts as empty. */
#ifndef TESTS_SERVICE_CORE_LIST_MERGE_H
#define TESTS_SERVICE_CORE_LIST_MERGE_H

#include <stdbool.h>

#include "base/bytes.h"

/* The list before, as each side has it, and as merged. */
struct list_merge {
    struct slice base, ours, theirs, merged;
};

/* Whether both sides are lists. */
bool list_merge_are_lists(const struct list_merge *merge);

/* Whether both sides are lists of objects with an id each, and merge by it. */
bool list_merge_is_keyed(const struct list_merge *merge);

/* What is wrong with a merge by ids; NULL: nothing. `ret_is_disputed` tells whether both sides
 * changed the same member of an element to different values, or one removed what the other changed.
 * The text is static. */
const char *list_merge_keyed_fault(const struct list_merge *merge, bool *ret_is_disputed);

/* Whether what one side changed, from `base` to `theirs`, is so in `merged`, element by element, by
 * their ids, and member by member; whatever else is there. */
bool list_merge_has_theirs(const struct list_merge *merge);

/* Whether an element of ours that neither base nor theirs has by its id is lost. */
bool list_merge_loses_ours(const struct list_merge *merge);

/* What is wrong with a merge as sets; NULL: nothing. Static. */
const char *list_merge_union_fault(const struct list_merge *merge);

#endif
