/* Lists in a three-way merge: of objects by their ids, and as sets. */
#include <assert.h>

#include "service/core/keyed_list.h"
#include "service/core/merge_walk.h"

static enum sync_status keyed_sides_read(struct arena *arena, const struct sides *sides, bool by_id,
                                         struct keyed_list lists[3]) {
    const struct value *values[3] = {sides->base, sides->ours, sides->theirs};
    for (int i = 0; i < 3; i++) {
        enum sync_status status = keyed_list_read(arena, values[i], by_id, &lists[i]);
        if (status)
            return status;
    }
    return SYNC_OK;
}

enum sync_status merge_list_has_ids(struct arena *arena, const struct sides *sides, bool *ret_has) {
    struct keyed_list lists[3];
    enum sync_status status = keyed_sides_read(arena, sides, true, lists);
    if (!status)
        *ret_has = lists[0].is_keyed && lists[1].is_keyed && lists[2].is_keyed;
    return status;
}

/* The text of an id, as a segment of a path. */
static struct slice id_segment(struct slice key) {
    struct value id;
    if (value_read(key, &id) && id.kind == VALUE_STRING)
        return id.text;
    return key.size > 0 ? SLICE("#") : SLICE_EMPTY;
}

/* Merges one element and writes it into the list. */
static enum sync_status merge_element(struct merge_walk *walk, const struct keyed_list lists[3],
                                      struct slice key) {
    struct sides sides = {.base = keyed_list_find(&lists[0], key),
                          .ours = keyed_list_find(&lists[1], key),
                          .theirs = keyed_list_find(&lists[2], key)};
    size_t mark = document_writer_mark(&walk->writer);
    bool present;
    assert(walk->path_size < sizeof walk->path / sizeof *walk->path);
    walk->path[walk->path_size++] = id_segment(key);
    enum sync_status status = merge_walk_field(walk, &sides, &present);
    walk->path_size--;
    if (!status && present)
        document_writer_wrap(&walk->writer, mark, TAG_LIST_VALUE);
    return status;
}

/* Whether a side has elements of the base in another order. */
static bool list_is_moved(const struct keyed_list *base, const struct keyed_list *side) {
    ptrdiff_t last = -1;
    for (size_t i = 0; i < side->count; i++) {
        ptrdiff_t place = slice_index_find(&base->index, side->keys[i]);
        if (place != SLICE_INDEX_NONE && place < last)
            return true;
        last = place != SLICE_INDEX_NONE ? place : last;
    }
    return false;
}

enum sync_status merge_list_by_id(struct merge_walk *walk, const struct sides *sides) {
    struct keyed_list lists[3];
    size_t mark = document_writer_mark(&walk->writer);
    enum sync_status status = keyed_sides_read(walk->arena, sides, true, lists);
    if (status)
        return status;
    const struct keyed_list *ours = &lists[1], *theirs = &lists[2];
    bool is_theirs = list_is_moved(&lists[0], theirs) && !list_is_moved(&lists[0], ours);
    const struct keyed_list *first = is_theirs ? theirs : ours, *then = is_theirs ? ours : theirs;
    for (size_t i = then->count; !status && i-- > 0;)
        if (!keyed_list_find(first, then->keys[i]))
            status = merge_element(walk, lists, then->keys[i]);
    for (size_t i = first->count; !status && i-- > 0;)
        status = merge_element(walk, lists, first->keys[i]);
    if (!status)
        document_writer_wrap(&walk->writer, mark, TAG_LIST);
    return status;
}

static void write_element(struct merge_walk *walk, struct slice bytes) {
    size_t mark = document_writer_mark(&walk->writer);
    document_writer_put(&walk->writer, bytes);
    document_writer_wrap(&walk->writer, mark, TAG_LIST_VALUE);
}

enum sync_status merge_list_union(struct merge_walk *walk, const struct sides *sides) {
    struct keyed_list lists[3];
    size_t mark = document_writer_mark(&walk->writer);
    enum sync_status status = keyed_sides_read(walk->arena, sides, false, lists);
    if (status)
        return status;
    const struct keyed_list *base = &lists[0], *ours = &lists[1], *theirs = &lists[2];
    for (size_t i = theirs->count; i-- > 0;)
        if (!keyed_list_find(ours, theirs->keys[i]) && !keyed_list_find(base, theirs->keys[i]) &&
            slice_index_find(&theirs->index, theirs->keys[i]) == (ptrdiff_t)i)
            write_element(walk, theirs->keys[i]);
    for (size_t i = ours->count; i-- > 0;)
        if (keyed_list_find(theirs, ours->keys[i]) || !keyed_list_find(base, ours->keys[i]))
            write_element(walk, ours->keys[i]);
    document_writer_wrap(&walk->writer, mark, TAG_LIST);
    return SYNC_OK;
}
