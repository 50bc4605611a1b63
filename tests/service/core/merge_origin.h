/* Merge origin: where the values of a merge come from, for its property tests and its fuzzing. */
#ifndef TESTS_SERVICE_CORE_MERGE_ORIGIN_H
#define TESTS_SERVICE_CORE_MERGE_ORIGIN_H

#include <stdbool.h>

#include "base/bytes.h"

/* Tells whether each value of a merged document is one of a side's at its place: members by name,
 * elements with an id by that, other elements wherever they stand; of a text that both have, each
 * word is. All canonical. */
bool merge_has_origin(struct slice merged, struct slice ours, struct slice theirs);

/* The same of texts: each word of the merged one is one of a side's. */
bool merge_words_have_origin(struct slice merged, struct slice ours, struct slice theirs);

#endif
