/* Lap index: which records a lap has still to bring, in order, without their data. Its memory is
 * bounded: when there are more than it has room for, it keeps those that come first. One thread at
 * a time. */
#ifndef SERVICE_RPC_LAP_INDEX_H
#define SERVICE_RPC_LAP_INDEX_H

#include "service/core/model.h"

struct lap_index;

/* One record. */
struct lap_item {
    uint64_t rank;
    struct record_key key;
    uint32_t size; /* of its data */
};

/* Opens an empty index of at most `bytes_max`, at least a few hundred bytes; NULL without memory.
 */
struct lap_index *lap_index_open(size_t bytes_max);

/* Closes; returns NULL. NULL is allowed. */
struct lap_index *lap_index_close(struct lap_index *index);

/* Orders by rank, then type, then id, as pull_sort does: negative, 0 or positive. */
int lap_item_compare(const struct lap_item *left, const struct lap_item *right);

/* Adds a record; its id is copied. False without memory. */
bool lap_index_add(struct lap_index *index, const struct lap_item *item);

/* Orders what was added; after the last one. */
void lap_index_sort(struct lap_index *index);

/* How many there are to read, and the one at a place; its id lives as long as the index. */
size_t lap_index_count(const struct lap_index *index);
struct lap_item lap_index_at(const struct lap_index *index, size_t place);

/* Whether some found no room; all of those come after those that did. */
bool lap_index_is_cut(const struct lap_index *index);

/* How many were added, and the bytes of their data, those without room included. */
uint64_t lap_index_total(const struct lap_index *index, uint64_t *ret_bytes);

/* The memory that it holds. */
size_t lap_index_bytes(const struct lap_index *index);

#endif
