/* The rows of conflicts: where they stand, and when they are due. */
#include <assert.h>

#include "service/core/conflict.h"
#include "service/core/expiry_key.h"
#include "service/core/write_build.h"

enum { TIME_SIZE = 8 };

/* Places in TABLE_CONFLICT_BY_USER, behind `user NUL`. */
enum { PLACE_OPEN = '0', PLACE_RESOLVED = '1', PLACE_DEADLINE = '2' };

/* user NUL place, then the parts */
static enum sync_status place_key(struct slice user, char place, struct slice time,
                                  struct slice conflict_id, struct arena *arena,
                                  struct slice *ret_key) {
    assert(user.size > 0 && arena);
    size_t size = user.size + 2 + time.size + conflict_id.size;
    uint8_t *key = arena_alloc(arena, size), *at = key;
    if (!key)
        return SYNC_ERR_NO_MEMORY;
    memcpy(at, user.data, user.size);
    at += user.size;
    *at++ = '\0';
    *at++ = (uint8_t)place;
    if (time.size > 0)
        memcpy(at, time.data, time.size);
    at += time.size;
    if (conflict_id.size > 0)
        memcpy(at, conflict_id.data, conflict_id.size);
    *ret_key = slice_of(key, size);
    return SYNC_OK;
}

enum sync_status conflict_index_key(struct slice user, bool resolved, struct slice conflict_id,
                                    struct arena *arena, struct slice *ret_key) {
    assert(ret_key);
    return place_key(user, resolved ? PLACE_RESOLVED : PLACE_OPEN, SLICE_EMPTY, conflict_id, arena,
                     ret_key);
}

enum sync_status conflict_deadline_key(struct slice user, int64_t resolve_by_us,
                                       struct slice conflict_id, struct arena *arena,
                                       struct slice *ret_key) {
    assert(resolve_by_us >= 0);
    assert(ret_key);
    uint8_t time[TIME_SIZE];
    for (int i = 0; i < TIME_SIZE; i++)
        time[i] = (uint8_t)((uint64_t)resolve_by_us >> (8 * (TIME_SIZE - 1 - i)));
    struct slice part = conflict_id.size > 0 ? slice_of(time, sizeof time) : SLICE_EMPTY;
    return place_key(user, PLACE_DEADLINE, part, conflict_id, arena, ret_key);
}

/* Adds, or removes, the rows that say when a conflict is due. */
static enum sync_status due_rows(struct write_build *build, const struct conflict *conflict,
                                 bool remove) {
    struct row_write rows[] = {{.table = TABLE_EXPIRY, .remove = remove},
                               {.table = TABLE_CONFLICT_BY_USER, .remove = remove}};
    if (conflict->resolve_by_us == 0)
        return SYNC_OK;
    if (!expiry_key_make(build->arena, conflict->resolve_by_us, TABLE_CONFLICT, conflict->id,
                         &rows[0].key))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = conflict_deadline_key(conflict->user, conflict->resolve_by_us,
                                                    conflict->id, build->arena, &rows[1].key);
    for (int i = 0; !status && i < 2; i++)
        status = write_build_row(build, rows[i]);
    return status;
}

enum sync_status conflict_put(struct write_build *build, const struct conflict *conflict) {
    assert(build && conflict);
    bool is_open = conflict->resolved_us == 0;
    struct row_write rows[] = {{.table = TABLE_CONFLICT, .key = conflict->id},
                               {.table = TABLE_CONFLICT_BY_USER}};
    enum sync_status status = conflict_pack(conflict, build->arena, &rows[0].value);
    if (!status)
        status =
            conflict_index_key(conflict->user, !is_open, conflict->id, build->arena, &rows[1].key);
    for (int i = 0; !status && i < 2; i++)
        status = write_build_row(build, rows[i]);
    return !status && is_open ? due_rows(build, conflict, false) : status;
}

enum sync_status conflict_move(struct write_build *build, const struct conflict *conflict) {
    assert(build && conflict);
    bool is_open = conflict->resolved_us == 0;
    struct row_write before = {.table = TABLE_CONFLICT_BY_USER, .remove = true};
    enum sync_status status =
        conflict_index_key(conflict->user, is_open, conflict->id, build->arena, &before.key);
    if (!status)
        status = write_build_row(build, before);
    if (!status && !is_open)
        status = due_rows(build, conflict, true);
    return status ? status : conflict_put(build, conflict);
}
