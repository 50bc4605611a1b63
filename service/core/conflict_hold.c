#include "service/core/conflict_hold.h"

#include <assert.h>

#include "base/id.h"
#include "service/core/write_build.h"

/* user NUL device NUL type, record's id */
enum sync_status conflict_hold_key(struct slice user, struct slice device,
                                   const struct record_key *key, struct arena *arena,
                                   struct slice *ret_key) {
    assert(user.size > 0 && device.size > 0 && key && key->id.size > 0);
    assert(arena && ret_key);
    size_t size = user.size + 1 + device.size + 1 + 1 + key->id.size;
    uint8_t *bytes = arena_alloc(arena, size), *at = bytes;
    if (!bytes)
        return SYNC_ERR_NO_MEMORY;
    memcpy(at, user.data, user.size);
    at += user.size;
    *at++ = '\0';
    memcpy(at, device.data, device.size);
    at += device.size;
    *at++ = '\0';
    *at++ = (uint8_t)key->type;
    memcpy(at, key->id.data, key->id.size);
    *ret_key = slice_of(bytes, size);
    return SYNC_OK;
}

struct slice conflict_hold_first(const struct row *row) {
    assert(row);
    return row->found && row->value.size >= UUID_TEXT_SIZE ? slice_first(row->value, UUID_TEXT_SIZE)
                                                           : SLICE_EMPTY;
}

/* Writes the ids of the row without the conflict's, and it behind them if it holds. */
static enum sync_status hold_write(struct write_build *build, const struct row *row,
                                   const struct conflict *conflict, bool holds) {
    struct row_write write = {.table = TABLE_CONFLICT_HOLD, .key = row->key};
    struct slice ids = row->found ? row->value : SLICE_EMPTY;
    uint8_t *bytes = arena_alloc(build->arena, ids.size + UUID_TEXT_SIZE);
    size_t size = 0;
    if (!bytes)
        return SYNC_ERR_NO_MEMORY;
    for (; ids.size >= UUID_TEXT_SIZE; ids = slice_after(ids, UUID_TEXT_SIZE)) {
        if (slice_equal(slice_first(ids, UUID_TEXT_SIZE), conflict->id))
            continue;
        memcpy(bytes + size, ids.data, UUID_TEXT_SIZE);
        size += UUID_TEXT_SIZE;
    }
    if (holds) {
        memcpy(bytes + size, conflict->id.data, UUID_TEXT_SIZE);
        size += UUID_TEXT_SIZE;
    }
    write.value = slice_of(bytes, size);
    write.remove = size == 0;
    return write_build_row(build, write);
}

enum sync_status conflict_hold_begin(struct write_build *build, const struct row *row,
                                     const struct conflict *conflict) {
    assert(build && conflict);
    assert(conflict->id.size == UUID_TEXT_SIZE);
    return conflict->device.size > 0 ? hold_write(build, row, conflict, true) : SYNC_OK;
}

enum sync_status conflict_hold_end(struct write_build *build, const struct row *row,
                                   const struct conflict *conflict) {
    assert(build && conflict);
    assert(conflict->id.size == UUID_TEXT_SIZE);
    bool is_held = conflict->device.size > 0 && row->found;
    return is_held ? hold_write(build, row, conflict, false) : SYNC_OK;
}
