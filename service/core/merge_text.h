/* Three-way merge of texts, word by word. Pure.
 *
 * A word is what stands between white space, together with the white space before it. Where one
 * side changed some words, its words are taken; where both inserted at one place, both insertions
 * are, ours first; where both changed the same words otherwise, one side's are. */
#ifndef SERVICE_CORE_MERGE_TEXT_H
#define SERVICE_CORE_MERGE_TEXT_H

#include "base/arena.h"

enum {
    MERGE_TEXT_WORDS_MAX = 1 << 14, /* of a text */
    /* Words of the base times words of a side, both without what begins and ends alike: 2 MiB and
     * about a millisecond. */
    MERGE_TEXT_CELLS_MAX = 1 << 20,
};

/* What came of it. */
struct merged_text {
    bool is_merged;    /* false: beyond the bounds above, nothing was merged */
    bool is_disputed;  /* words that both changed were taken from one side */
    struct slice text; /* lives in the arena */
};

/* The bytes a merged text may have beyond those of both sides: a blank where words would run
 * together. */
enum { MERGE_TEXT_EXTRA = 1 };

/* Merges two texts, UTF-8, that come from one; `takes_theirs` says whose words are taken in a
 * dispute. */
enum sync_status merge_text(struct slice base, struct slice ours, struct slice theirs,
                            bool takes_theirs, struct arena *arena, struct merged_text *ret_merged);

#endif
