#include <assert.h>

#include "service/rpc/storage.h"

enum { UINT32_SIZE = 4, UINT64_SIZE = 8 };

/* Writes the lowest `size` bytes of a number, big-endian. */
static void put_big_endian(uint8_t *out, uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

/* Joins three parts; `ret_third` is where the third stands, to be changed in place. */
static bool key_join(struct arena *arena, struct slice first, struct slice second,
                     struct slice third, struct slice *ret_key, uint8_t **ret_third) {
    size_t size = first.size + second.size + third.size;
    uint8_t *key = arena_alloc(arena, size);
    if (!key)
        return false;
    const struct slice parts[] = {first, second, third};
    uint8_t *at = key;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].size > 0)
            memcpy(at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    *ret_key = slice_of(key, size);
    if (ret_third)
        *ret_third = at - third.size;
    return true;
}

bool key_of_user(struct arena *arena, struct slice user, struct slice rest, struct slice *ret_key) {
    assert(user.size > 0);
    return key_join(arena, user, slice_of("", 1), rest, ret_key, NULL);
}

bool key_of_operation_index(struct arena *arena, struct slice user, struct slice sync_id,
                            struct slice *ret_key) {
    uint8_t *inverted;
    if (!key_join(arena, user, slice_of("", 1), sync_id, ret_key, &inverted))
        return false;
    for (size_t i = 0; i < sync_id.size; i++)
        inverted[i] = (uint8_t)~inverted[i];
    return true;
}

bool key_of_operation_open(struct arena *arena, struct slice user, struct slice sync_id,
                           struct slice *ret_key) {
    return key_join(arena, user, slice_of("\0", 2), sync_id, ret_key, NULL);
}

bool key_of_bundle_part(struct arena *arena, struct slice bundle_id, uint32_t part,
                        struct slice *ret_key) {
    uint8_t number[UINT32_SIZE];
    put_big_endian(number, part, sizeof number);
    return key_join(arena, bundle_id, slice_of(number, sizeof number), SLICE_EMPTY, ret_key, NULL);
}

bool key_of_expiry(struct arena *arena, int64_t time_us, enum table table, struct slice key,
                   struct slice *ret_key) {
    uint8_t head[UINT64_SIZE + 1];
    put_big_endian(head, time_us < 0 ? 0 : (uint64_t)time_us, UINT64_SIZE);
    head[UINT64_SIZE] = (uint8_t)table;
    return key_join(arena, slice_of(head, sizeof head), key, SLICE_EMPTY, ret_key, NULL);
}

bool key_parse_expiry(struct slice expiry_key, int64_t *ret_time_us, enum table *ret_table,
                      struct slice *ret_key) {
    if (expiry_key.size <= UINT64_SIZE + 1)
        return false;
    uint64_t time_us = 0;
    for (size_t i = 0; i < UINT64_SIZE; i++)
        time_us = time_us << 8 | expiry_key.data[i];
    *ret_time_us = (int64_t)time_us;
    *ret_table = (enum table)expiry_key.data[UINT64_SIZE];
    *ret_key = slice_after(expiry_key, UINT64_SIZE + 1);
    return true;
}
