#include "service/core/expiry_key.h"

#include <assert.h>

enum { TIME_SIZE = 8, HEAD_SIZE = TIME_SIZE + 1 };

/* time, big-endian; table; key */
bool expiry_key_make(struct arena *arena, int64_t time_us, enum table table, struct slice key,
                     struct slice *ret_key) {
    assert(arena && ret_key);
    assert(key.size > 0);
    uint64_t time = time_us < 0 ? 0 : (uint64_t)time_us;
    uint8_t *bytes = arena_alloc(arena, HEAD_SIZE + key.size);
    if (!bytes)
        return false;
    for (int i = 0; i < TIME_SIZE; i++)
        bytes[i] = (uint8_t)(time >> (8 * (TIME_SIZE - 1 - i)));
    bytes[TIME_SIZE] = (uint8_t)table;
    memcpy(bytes + HEAD_SIZE, key.data, key.size);
    *ret_key = slice_of(bytes, HEAD_SIZE + key.size);
    return true;
}

bool expiry_key_parse(struct slice expiry_key, int64_t *ret_time_us, enum table *ret_table,
                      struct slice *ret_key) {
    assert(ret_time_us && ret_table && ret_key);
    if (expiry_key.size <= HEAD_SIZE)
        return false;
    uint64_t time_us = 0;
    for (size_t i = 0; i < TIME_SIZE; i++)
        time_us = time_us << 8 | expiry_key.data[i];
    *ret_time_us = (int64_t)time_us;
    *ret_table = (enum table)expiry_key.data[TIME_SIZE];
    *ret_key = slice_after(expiry_key, HEAD_SIZE);
    return true;
}
