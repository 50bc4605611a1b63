#include "service/rpc/conflict_due.h"

#include <assert.h>

#include "service/rpc/conflict_read.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/sync_metrics.h"

enum { ARENA_MAX = 64 << 20 };

/* A settling on its way. */
struct conflict_due {
    struct lane_write write; /* first: found from it */
    struct arena *arena;
    struct slice conflict_id, expiry_key;
    struct conflict conflict; /* as settled, when `settles` */
    struct record record;
    bool settles;
};

/* A row that stands for nothing goes alone. */
static enum sync_status due_forget(struct conflict_due *due, struct write_set *ret_set) {
    struct row_write *row = arena_zalloc(due->arena, 1, sizeof *row);
    if (!row)
        return SYNC_ERR_NO_MEMORY;
    *row = (struct row_write){.table = TABLE_EXPIRY, .key = due->expiry_key, .remove = true};
    *ret_set = (struct write_set){.rows = row, .row_count = 1};
    return SYNC_OK;
}

static enum sync_status due_apply(struct lane_write *write, struct write_set *ret_set) {
    struct conflict_due *due = (struct conflict_due *)write;
    struct conflict_reading reading;
    enum sync_status status = conflict_read(write->service, due->conflict_id, due->arena, &reading);
    due->settles = false;
    if (status == SYNC_OK && reading.found)
        status = conflict_settle(&reading.view, &reading.conflict, &reading.context, due->arena,
                                 ret_set, &due->conflict, &due->record);
    if (status != SYNC_OK)
        return status;
    due->settles = ret_set->row_count > 0;
    return due->settles ? SYNC_OK : due_forget(due, ret_set);
}

enum sync_status conflict_due_settle(struct service *service, struct slice conflict_id,
                                     struct slice expiry_key, bool *ret_settled) {
    assert(service && ret_settled);
    assert(conflict_id.size > 0 && expiry_key.size > 0);
    struct arena arena;
    struct conflict_reading reading;
    arena_init(&arena, ARENA_MAX);
    struct conflict_due due = {.write = {.service = service, .apply = due_apply},
                               .arena = &arena,
                               .conflict_id = conflict_id,
                               .expiry_key = expiry_key};
    enum sync_status status = conflict_read(service, conflict_id, &arena, &reading);
    if (status == SYNC_OK) {
        /* Whose it was nobody knows any more: any lane will do. */
        due.write.lane = reading.found ? reading.conflict.user : conflict_id;
        status = lane_write_wait(&due.write);
    }
    if (status == SYNC_OK && due.settles && service->sync_metrics)
        metric_add(service->sync_metrics->settled[due.conflict.type], 1);
    if (status == SYNC_OK)
        *ret_settled = due.settles;
    arena_done(&arena);
    return status;
}
