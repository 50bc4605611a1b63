#include <assert.h>

#include "service/rpc/storage.h"

enum { UINT32_SIZE = 4 };

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
    for (size_t i = 0; i < UINT32_SIZE; i++)
        number[i] = (uint8_t)(part >> (8 * (UINT32_SIZE - 1 - i)));
    return key_join(arena, bundle_id, slice_of(number, sizeof number), SLICE_EMPTY, ret_key, NULL);
}
