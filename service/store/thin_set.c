/* An open-addressed table of the tags' lower halves: where one lies says most of the rest. */
#include "service/store/thin_set.h"

#include <assert.h>

#include "base/memory.h"

enum { THIN_ROOM_MIN = 16 };

struct thin_set {
    size_t used, room; /* tags in it, tags it takes: three quarters of the cells */
    size_t cell_count;
    uint16_t cells[]; /* 0 is free */
};

struct thin_set *thin_set_open(size_t count) {
    size_t room = count + count / 2 + THIN_ROOM_MIN, cell_count = room + room / 3 + 1;
    struct thin_set *set = memory_zalloc(1, sizeof *set + cell_count * sizeof *set->cells);
    if (!set)
        return NULL;
    set->room = room;
    set->cell_count = cell_count;
    return set;
}

struct thin_set *thin_set_close(struct thin_set *set) {
    memory_free(set);
    return NULL;
}

/* The cell of the tag, or the free one where it would lie. */
static size_t thin_set_find(const struct thin_set *set, uint32_t tag, uint16_t *ret_content) {
    uint16_t content = (uint16_t)tag ? (uint16_t)tag : 1;
    size_t i = (size_t)((uint64_t)tag * set->cell_count >> 32);
    while (set->cells[i] != 0 && set->cells[i] != content)
        i = i + 1 < set->cell_count ? i + 1 : 0;
    *ret_content = content;
    return i;
}

bool thin_set_add(struct thin_set *set, uint32_t tag) {
    assert(set);
    uint16_t content;
    size_t i = thin_set_find(set, tag, &content);
    if (set->cells[i] == content)
        return true;
    if (set->used == set->room)
        return false;
    set->cells[i] = content;
    set->used++;
    return true;
}

bool thin_set_has(const struct thin_set *set, uint32_t tag) {
    assert(set);
    uint16_t content;
    return set->cells[thin_set_find(set, tag, &content)] == content;
}

size_t thin_set_bytes(const struct thin_set *set) {
    return set ? sizeof *set + set->cell_count * sizeof *set->cells : 0;
}
