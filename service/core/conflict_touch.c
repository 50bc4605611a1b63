/* What must be loaded before a conflict changes. */
#include <assert.h>

#include "service/core/change_release.h"

enum sync_status conflict_hold_row(const struct conflict *conflict, struct arena *arena,
                                   bool *ret_holds, struct row *ret_row) {
    assert(conflict && arena);
    assert(ret_holds && ret_row);
    struct row row = {.table = TABLE_CONFLICT_HOLD};
    if (conflict->device.size == 0) {
        *ret_holds = false;
        return SYNC_OK;
    }
    enum sync_status status =
        conflict_hold_key(conflict->user, conflict->device, &conflict->key, arena, &row.key);
    if (status)
        return status;
    *ret_holds = true;
    *ret_row = row;
    return SYNC_OK;
}

enum sync_status conflict_touch(const struct conflict *conflict, const struct row *hold,
                                struct arena *arena, struct touched *ret_touched) {
    assert(conflict && arena);
    assert((hold == NULL) == (conflict->device.size == 0));
    assert(ret_touched);
    struct record_want *record = arena_zalloc(arena, 1, sizeof *record);
    struct row *row = arena_zalloc(arena, 1, sizeof *row);
    struct conflict_hold held;
    enum sync_status status = conflict_hold_open(hold, &conflict->key, arena, &held);
    if (!record || !row)
        status = SYNC_ERR_NO_MEMORY;
    if (status)
        return status;
    record->key = conflict->key;
    record->history = held.change_count > 0;
    record->history_after = change_release_base(&held);
    if (conflict->resolved_us != 0) {
        record->history = true;
        record->history_after = conflict->resolved_version;
    }
    if (hold)
        *row = (struct row){.table = TABLE_CONFLICT_HOLD, .key = hold->key};
    *ret_touched = (struct touched){.user = conflict->user,
                                    .records = record,
                                    .record_count = 1,
                                    .rows = row,
                                    .row_count = hold != NULL};
    return SYNC_OK;
}
