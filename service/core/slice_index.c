#include "service/core/slice_index.h"

#include <assert.h>

static const uint64_t SEED = 0x7472617665736e73;

bool slice_index_init(struct slice_index *index, struct arena *arena, size_t count) {
    assert(index && arena);
    size_t capacity = 2;
    while (capacity < 2 * count)
        capacity *= 2;
    struct slice_index_slot *slots = arena_zalloc(arena, capacity, sizeof *slots);
    if (!slots)
        return false;
    *index = (struct slice_index){slots, capacity - 1};
    return true;
}

/* The slot that has the key, or the free one where it belongs. */
static struct slice_index_slot *slot_of(const struct slice_index *index, struct slice key,
                                        uint64_t hash) {
    for (size_t i = hash;; i++) {
        struct slice_index_slot *slot = &index->slots[i & index->mask];
        if (slot->number_plus_one == 0 || (slot->hash == hash && slice_equal(slot->key, key)))
            return slot;
    }
}

size_t slice_index_add(struct slice_index *index, struct slice key, size_t number) {
    assert(index && index->slots);
    uint64_t hash = slice_hash(key, SEED);
    struct slice_index_slot *slot = slot_of(index, key, hash);
    if (slot->number_plus_one == 0)
        *slot = (struct slice_index_slot){key, hash, number + 1};
    return slot->number_plus_one - 1;
}

ptrdiff_t slice_index_find(const struct slice_index *index, struct slice key) {
    assert(index && index->slots);
    return (ptrdiff_t)slot_of(index, key, slice_hash(key, SEED))->number_plus_one - 1;
}
