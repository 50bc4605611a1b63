#include "service/rpc/conflict_read.h"

#include <assert.h>

#include "service/rpc/storage.h"
#include "service/rpc/user_config.h"

/* Reads one row. */
static enum sync_status row_read(struct service *service, struct store_reader *reader,
                                 struct arena *arena, struct row *row) {
    struct touched want = {.rows = row, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(service->store, reader, &want, arena, &view);
    if (status == SYNC_OK)
        *row = view.rows[0];
    return status;
}

/* Loads the record and what is held, and the user's settings behind them. */
static enum sync_status view_read(struct service *service, struct store_reader *reader,
                                  struct arena *arena, struct conflict_reading *reading) {
    const struct conflict *conflict = &reading->conflict;
    struct row hold, rows[2];
    struct touched want;
    bool holds;
    enum sync_status status = conflict_hold_row(conflict, arena, &holds, &hold);
    if (status == SYNC_OK && holds)
        status = row_read(service, reader, arena, &hold);
    if (status == SYNC_OK)
        status = conflict_touch(conflict, holds ? &hold : NULL, arena, &want);
    if (status != SYNC_OK)
        return status;
    rows[0] = want.rows[0];
    rows[want.row_count] = (struct row){.table = TABLE_CONFIG};
    if (!key_of_user(arena, conflict->user, SLICE_EMPTY, &rows[want.row_count].key))
        return SYNC_ERR_NO_MEMORY;
    want.rows = rows;
    want.row_count++;
    status = store_load(service->store, reader, &want, arena, &reading->view);
    if (status != SYNC_OK)
        return status;
    reading->context = (struct batch_context){
        .now_us = (int64_t)clock_now_us(service->clock),
        .random = service->random,
        .policies = service->policies,
        .strategy = user_config_strategy(&reading->view.rows[want.row_count - 1], arena),
    };
    return SYNC_OK;
}

enum sync_status conflict_read(struct service *service, struct slice conflict_id,
                               struct arena *arena, struct conflict_reading *ret_reading) {
    assert(service && arena && ret_reading);
    struct row row = {.table = TABLE_CONFLICT, .key = conflict_id};
    struct conflict_reading reading = {.found = false};
    struct store_reader *reader;
    enum sync_status status = store_reader_open(service->store, &reader);
    if (status != SYNC_OK)
        return status;
    status = row_read(service, reader, arena, &row);
    reading.found = row.found;
    if (status == SYNC_OK && reading.found)
        status = conflict_unpack(row.value, arena, &reading.conflict);
    if (status == SYNC_OK && reading.found)
        status = view_read(service, reader, arena, &reading);
    store_reader_close(service->store, reader);
    if (status == SYNC_OK)
        *ret_reading = reading;
    return status;
}
