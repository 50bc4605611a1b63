#include "service/rpc/changed_keys.h"

#include <assert.h>

enum {
    WANTS_FIRST = 16,
    LOAD_COSTS = 2, /* of a record by its key, against one that a scan comes by */
};

/* One more, zeroed, or NULL. */
static struct record_want *keys_push(struct changed_keys *keys) {
    if (keys->count == keys->capacity) {
        size_t capacity = keys->capacity ? 2 * keys->capacity : WANTS_FIRST;
        struct record_want *wants = arena_zalloc(keys->arena, capacity, sizeof *wants);
        if (!wants)
            return NULL;
        if (keys->count > 0)
            memcpy(wants, keys->wants, keys->count * sizeof *wants);
        keys->wants = wants;
        keys->capacity = capacity;
    }
    return &keys->wants[keys->count++];
}

static bool changed_visit(void *context, const struct scan_item *item) {
    struct changed_keys *keys = context;
    const struct record_version *changed = item->changed;
    if (changed->version > keys->target) {
        keys->has_newer = true;
        return false;
    }
    keys->last = changed->version;
    if (!data_type_in(keys->types, changed->key.type))
        return true;
    keys->is_cut = keys->count == keys->count_max;
    if (keys->is_cut)
        return false;
    struct record_want *want = keys_push(keys);
    if (want)
        *want = (struct record_want){.key.type = changed->key.type};
    if (!want || !arena_copy(keys->arena, changed->key.id, &want->key.id))
        keys->status = SYNC_ERR_NO_MEMORY;
    return keys->status == SYNC_OK;
}

enum sync_status changed_keys_read(struct changed_keys *keys, struct store *store,
                                   struct store_reader *reader, struct slice user,
                                   struct arena *arena) {
    assert(keys->count_max > 0 && keys->count == 0);
    keys->arena = arena;
    keys->last = keys->after;
    struct scan scan = {.kind = SCAN_CHANGED, .user = user, .after = keys->after};
    enum sync_status status = store_scan(store, reader, &scan, changed_visit, keys);
    return status == SYNC_OK ? keys->status : status;
}

bool changed_keys_pay(const struct changed_keys *keys, const struct user_head *head) {
    return !keys->is_cut &&
           (keys->count <= CHANGED_KEYS_AT_ONCE || LOAD_COSTS * keys->count <= head->record_count);
}
