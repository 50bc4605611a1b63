#include "service/rpc/operation.h"

#include <assert.h>

PB(SyncOperation) *operation_make(const struct operation_draft *draft, struct arena *arena) {
    PB(SyncOperation) *operation = arena_alloc(arena, sizeof *operation);
    if (!operation)
        return NULL;
    travelsense__sync__v1__sync_operation__init(operation);
    operation->sync_id = arena_copy_text(arena, slice_text(draft->sync_id));
    operation->user_id = arena_copy_text(arena, draft->user);
    operation->device_id = arena_copy_text(arena, draft->device);
    operation->status = (PB(SyncStatus))draft->status;
    operation->sync_type = (PB(SyncType))draft->sync_type;
    operation->phase = (char *)draft->phase;
    operation->created_at = message_time(arena, draft->created_us);
    operation->updated_at = operation->created_at;
    bool has_types =
        message_types(arena, draft->types, &operation->data_types, &operation->n_data_types);
    bool is_whole = operation->sync_id && operation->user_id && operation->device_id &&
                    operation->created_at && has_types;
    return is_whole ? operation : NULL;
}

enum sync_status operation_load(struct store *store, struct slice sync_id, struct slice user,
                                struct arena *arena, struct sync_error *error,
                                PB(SyncOperation) **ret_operation) {
    struct row wanted = {.table = TABLE_OPERATION, .key = sync_id};
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return sync_error_set(error, status, sync_status_name(status), NULL, "%s",
                              sync_status_text(status));
    if (!view.rows[0].found)
        return sync_error_set(error, SYNC_ERR_NOT_FOUND, "SYNC_NOT_FOUND", NULL,
                              "there is no synchronization with this id");
    PB(SyncOperation) *operation = (PB(SyncOperation) *)message_unpack(
        PB_DESCRIPTOR(sync_operation), view.rows[0].value, arena);
    if (!operation)
        return sync_error_set(error, SYNC_ERR_CORRUPT, "CORRUPT", NULL,
                              "a stored operation does not parse");
    if (user.size > 0 && !slice_equal(slice_text(operation->user_id), user))
        return sync_error_set(error, SYNC_ERR_DENIED, "SYNC_OF_ANOTHER_USER", NULL,
                              "this synchronization belongs to another user");
    *ret_operation = operation;
    return SYNC_OK;
}

enum sync_status operation_put(const PB(SyncOperation) *operation, bool is_new, struct arena *arena,
                               struct row_write *rows, size_t *row_count) {
    struct slice user = slice_text(operation->user_id), id = slice_text(operation->sync_id);
    bool has_ended = operation_has_ended(operation);
    struct row_write *row = &rows[(*row_count)++];
    *row = (struct row_write){.table = TABLE_OPERATION, .key = id};
    if (!message_pack(&operation->base, arena, &row->value))
        return SYNC_ERR_NO_MEMORY;
    if (is_new) {
        row = &rows[(*row_count)++];
        *row = (struct row_write){.table = TABLE_OPERATION_BY_USER, .value = id};
        if (!key_of_operation_index(arena, user, id, &row->key))
            return SYNC_ERR_NO_MEMORY;
    }
    if (is_new != has_ended) {
        row = &rows[(*row_count)++];
        *row = (struct row_write){.table = TABLE_OPERATION_BY_USER, .remove = has_ended};
        if (!key_of_operation_open(arena, user, id, &row->key))
            return SYNC_ERR_NO_MEMORY;
    }
    return SYNC_OK;
}

enum sync_status operation_end(PB(SyncOperation) *operation, enum operation_status status,
                               char *error_message, int64_t now_us, struct arena *arena) {
    assert(status >= OPERATION_COMPLETED);
    Google__Protobuf__Timestamp *now = message_time(arena, now_us);
    if (!now)
        return SYNC_ERR_NO_MEMORY;
    operation->status = (PB(SyncStatus))status;
    operation->end_time = now;
    operation->updated_at = now;
    if (!operation->start_time)
        operation->start_time = operation->created_at;
    if (status == OPERATION_COMPLETED) {
        operation->progress = 100;
        operation->phase = "done";
    }
    if (error_message)
        operation->error_message = error_message;
    return SYNC_OK;
}

struct open_count {
    size_t count, count_max;
};

static bool open_visit(void *context, const struct scan_item *item) {
    (void)item;
    struct open_count *open = context;
    return ++open->count < open->count_max;
}

enum sync_status operation_count_open(struct store *store, struct slice user, size_t count_max,
                                      struct arena *arena, size_t *ret_count) {
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_OPERATION_BY_USER};
    if (!key_of_operation_open(arena, user, SLICE_EMPTY, &scan.prefix))
        return SYNC_ERR_NO_MEMORY;
    struct open_count open = {.count_max = count_max};
    enum sync_status status = store_scan(store, NULL, &scan, open_visit, &open);
    if (status == SYNC_OK)
        *ret_count = open.count;
    return status;
}
