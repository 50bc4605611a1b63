/* Slice index: finds slices by their bytes; each gets the number it was added with. Internal to
 * core; lives in the arena. Pure. */
#ifndef SERVICE_CORE_SLICE_INDEX_H
#define SERVICE_CORE_SLICE_INDEX_H

#include "base/arena.h"

struct slice_index_slot {
    struct slice key;
    uint64_t hash;
    size_t number_plus_one; /* 0: free */
};

/* Open addressing; at most half full. */
struct slice_index {
    struct slice_index_slot *slots;
    size_t mask;
};

enum { SLICE_INDEX_NONE = -1 };

/* Prepares an empty index for at most `count` slices. False when there is no memory. */
bool slice_index_init(struct slice_index *index, struct arena *arena, size_t count);

/* Adds a slice, which the index borrows, unless it is there; returns the number it has. */
size_t slice_index_add(struct slice_index *index, struct slice key, size_t number);

/* The number of a slice, or SLICE_INDEX_NONE. */
ptrdiff_t slice_index_find(const struct slice_index *index, struct slice key);

#endif
