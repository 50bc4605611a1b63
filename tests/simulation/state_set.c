/* A set of hashes: open addressing, twice as large when it is half full. */
#include "base/memory.h"
#include "tests/simulation/simulation.h"

enum { SLOTS_FIRST = 1 << 16 };

struct state_set {
    uint64_t *slots; /* 0: empty */
    size_t slot_count, count;
};

struct state_set *state_set_open(void) {
    struct state_set *set = memory_zalloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->slot_count = SLOTS_FIRST;
    set->slots = memory_zalloc(set->slot_count, sizeof *set->slots);
    return set->slots ? set : state_set_close(set);
}

struct state_set *state_set_close(struct state_set *set) {
    if (set) {
        memory_free(set->slots);
        memory_free(set);
    }
    return NULL;
}

/* True when it was not there. */
static bool slots_add(uint64_t *slots, size_t slot_count, uint64_t hash) {
    size_t slot = hash & (slot_count - 1);
    for (; slots[slot]; slot = (slot + 1) & (slot_count - 1))
        if (slots[slot] == hash)
            return false;
    slots[slot] = hash;
    return true;
}

void state_set_add(struct state_set *set, uint64_t hash) {
    if (set->count * 2 >= set->slot_count) {
        uint64_t *slots = memory_zalloc(2 * set->slot_count, sizeof *slots);
        if (!slots)
            return; /* the count stays a lower bound */
        for (size_t i = 0; i < set->slot_count; i++)
            if (set->slots[i])
                slots_add(slots, 2 * set->slot_count, set->slots[i]);
        memory_free(set->slots);
        set->slots = slots;
        set->slot_count *= 2;
    }
    set->count += slots_add(set->slots, set->slot_count, hash + (hash == 0));
}

uint64_t state_set_count(const struct state_set *set) {
    return set->count;
}
