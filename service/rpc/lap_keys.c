#include "service/rpc/lap_keys.h"

#include <assert.h>

enum { WANTS_FIRST = 16 };

/* Makes room for one more, and a table of twice as many slots. */
static bool keys_grow(struct lap_keys *keys) {
    if (keys->count < keys->capacity)
        return true;
    size_t capacity = keys->capacity ? 2 * keys->capacity : WANTS_FIRST;
    struct record_want *wants = arena_zalloc(keys->arena, capacity, sizeof *wants);
    uint32_t *slots = arena_zalloc(keys->arena, 2 * capacity, sizeof *slots);
    if (!wants || !slots)
        return false;
    if (keys->count > 0)
        memcpy(wants, keys->wants, keys->count * sizeof *wants);
    keys->wants = wants;
    keys->slots = slots;
    keys->capacity = capacity;
    keys->slot_count = 2 * capacity;
    for (size_t i = 0; i < keys->count; i++) {
        size_t slot = slice_hash(wants[i].key.id, wants[i].key.type) % keys->slot_count;
        while (slots[slot])
            slot = (slot + 1) % keys->slot_count;
        slots[slot] = (uint32_t)i + 1;
    }
    return true;
}

/* Adds a key that is not there yet. */
static bool keys_add(struct lap_keys *keys, const struct record_key *key) {
    if (!keys_grow(keys))
        return false;
    size_t slot = slice_hash(key->id, key->type) % keys->slot_count;
    for (; keys->slots[slot]; slot = (slot + 1) % keys->slot_count) {
        const struct record_key *seen = &keys->wants[keys->slots[slot] - 1].key;
        if (seen->type == key->type && slice_equal(seen->id, key->id))
            return true;
    }
    struct record_want *want = &keys->wants[keys->count];
    *want = (struct record_want){
        .key.type = key->type, .history = keys->history, .history_after = keys->after};
    if (!arena_copy(keys->arena, key->id, &want->key.id))
        return false;
    keys->slots[slot] = (uint32_t)++keys->count;
    return true;
}

static bool entry_visit(void *context, const struct scan_item *item) {
    struct lap_keys *keys = context;
    const struct log_entry *entry = item->entry;
    if (entry->sequence > keys->target)
        return false;
    if (keys->entries == keys->entries_max) {
        keys->is_cut = true;
        return false;
    }
    keys->entries++;
    keys->last = entry->sequence;
    if (data_type_in(keys->types, entry->key.type) && !keys_add(keys, &entry->key))
        keys->status = SYNC_ERR_NO_MEMORY;
    return keys->status == SYNC_OK;
}

enum sync_status lap_keys_read(struct lap_keys *keys, struct store *store,
                               struct store_reader *reader, struct slice user,
                               struct arena *arena) {
    assert(keys->entries_max > 0 && keys->count == 0);
    keys->arena = arena;
    keys->last = keys->after;
    struct scan scan = {.kind = SCAN_LOG, .user = user, .after = keys->after};
    enum sync_status status = store_scan(store, reader, &scan, entry_visit, keys);
    return status == SYNC_OK ? keys->status : status;
}
