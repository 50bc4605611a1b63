#include "service/rpc/lap_index.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

enum { ENTRIES_FIRST = 64, IDS_FIRST = 2048 };

/* A record as it is kept: its id is in the index's bytes. */
struct lap_entry {
    uint64_t rank;
    uint32_t id_at;
    uint32_t size;
    uint16_t id_size;
    uint8_t type;
};

struct lap_index {
    size_t bytes_max;
    struct lap_entry *entries;
    size_t count, capacity;
    uint8_t *ids;
    size_t ids_size, ids_capacity;
    bool is_cut;
    struct lap_item last; /* once cut: the last that found room then; its id is in `last_id` */
    uint8_t last_id[DATA_ID_MAX];
    uint64_t total, total_bytes;
};

struct lap_index *lap_index_open(size_t bytes_max) {
    struct lap_index *index = memory_zalloc(1, sizeof *index);
    if (index)
        index->bytes_max = bytes_max;
    return index;
}

struct lap_index *lap_index_close(struct lap_index *index) {
    if (!index)
        return NULL;
    memory_free(index->entries);
    memory_free(index->ids);
    memory_free(index);
    return NULL;
}

int lap_item_compare(const struct lap_item *left, const struct lap_item *right) {
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    if (left->key.type != right->key.type)
        return left->key.type < right->key.type ? -1 : 1;
    return slice_compare(left->key.id, right->key.id);
}

static struct lap_item item_of(const struct lap_index *index, const struct lap_entry *entry) {
    return (struct lap_item){
        .rank = entry->rank,
        .key = {.type = entry->type, .id = slice_of(index->ids + entry->id_at, entry->id_size)},
        .size = entry->size,
    };
}

static int entry_compare(const void *left, const void *right, void *context) {
    struct lap_item a = item_of(context, left), b = item_of(context, right);
    return lap_item_compare(&a, &b);
}

void lap_index_sort(struct lap_index *index) {
    if (index->count > 1)
        qsort_r(index->entries, index->count, sizeof *index->entries, entry_compare, index);
}

/* Lets go of the second half of what is there. */
static bool index_cut(struct lap_index *index) {
    lap_index_sort(index);
    index->count = (index->count + 1) / 2;
    size_t size = 0;
    for (size_t i = 0; i < index->count; i++)
        size += index->entries[i].id_size;
    uint8_t *ids = memory_alloc(index->ids_capacity);
    if (!ids)
        return false;
    assert(size <= index->ids_capacity);
    size_t at = 0;
    for (size_t i = 0; i < index->count; i++) {
        struct lap_entry *entry = &index->entries[i];
        memcpy(ids + at, index->ids + entry->id_at, entry->id_size);
        entry->id_at = (uint32_t)at;
        at += entry->id_size;
    }
    memory_free(index->ids);
    index->ids = ids;
    index->ids_size = at;
    index->last = item_of(index, &index->entries[index->count - 1]);
    memcpy(index->last_id, index->last.key.id.data, index->last.key.id.size);
    index->last.key.id.data = index->last_id;
    index->is_cut = true;
    return true;
}

/* Makes room for one more entry and its id, inside the bound. */
static bool index_grow(struct lap_index *index, size_t id_size) {
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? index->capacity + index->capacity / 2 : ENTRIES_FIRST;
        void *entries = memory_realloc(index->entries, capacity * sizeof *index->entries);
        if (!entries)
            return false;
        index->entries = entries;
        index->capacity = capacity;
    }
    if (index->ids_size + id_size > index->ids_capacity) {
        size_t capacity =
            index->ids_capacity ? index->ids_capacity + index->ids_capacity / 2 : IDS_FIRST;
        void *ids = memory_realloc(index->ids, capacity);
        if (!ids)
            return false;
        index->ids = ids;
        index->ids_capacity = capacity;
    }
    return true;
}

bool lap_index_add(struct lap_index *index, const struct lap_item *item) {
    struct slice id = item->key.id;
    assert(id.size > 0 && id.size <= DATA_ID_MAX);
    index->total++;
    index->total_bytes += item->size;
    if (index->is_cut && lap_item_compare(item, &index->last) > 0)
        return true;
    size_t used = (index->count + 1) * sizeof *index->entries + index->ids_size + id.size;
    if (used > index->bytes_max && index->count > 1) {
        if (!index_cut(index))
            return false;
        if (lap_item_compare(item, &index->last) > 0)
            return true;
    }
    if (!index_grow(index, id.size))
        return false;
    memcpy(index->ids + index->ids_size, id.data, id.size);
    index->entries[index->count++] = (struct lap_entry){
        .rank = item->rank,
        .id_at = (uint32_t)index->ids_size,
        .size = item->size,
        .id_size = (uint16_t)id.size,
        .type = (uint8_t)item->key.type,
    };
    index->ids_size += id.size;
    return true;
}

size_t lap_index_count(const struct lap_index *index) {
    return index->count;
}

struct lap_item lap_index_at(const struct lap_index *index, size_t place) {
    assert(place < index->count);
    return item_of(index, &index->entries[place]);
}

bool lap_index_is_cut(const struct lap_index *index) {
    return index->is_cut;
}

uint64_t lap_index_total(const struct lap_index *index, uint64_t *ret_bytes) {
    *ret_bytes = index->total_bytes;
    return index->total;
}

size_t lap_index_bytes(const struct lap_index *index) {
    return sizeof *index + index->capacity * sizeof *index->entries + index->ids_capacity;
}
