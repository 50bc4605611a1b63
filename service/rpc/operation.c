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
    operation->codec = (PB(BundleCodec))draft->codec;
    operation->dictionary_id = (int32_t)draft->dictionary_id;
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
        return sync_error_of(error, status);
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

/* No worker ever tries a stream's. */
static bool operation_is_stream(const PB(SyncOperation) *operation) {
    return (int)operation->status == OPERATION_PROCESSING && operation->sync_attempts == 0;
}

int64_t operation_stale_us(const PB(SyncOperation) *operation) {
    int64_t written_us;
    if (!operation_is_stream(operation) || !operation->updated_at ||
        !message_time_us(operation->updated_at, &written_us))
        return INT64_MAX;
    return written_us + OPERATION_STALE_US;
}

enum sync_status operation_judge(PB(SyncOperation) *operation, int64_t now_us,
                                 struct arena *arena) {
    int64_t stale_us = operation_stale_us(operation);
    if (now_us < stale_us)
        return SYNC_OK;
    return operation_end(operation, OPERATION_FAILED,
                         "INTERRUPTED: the stream was cut; open another, it goes on from the "
                         "device's cursor",
                         stale_us - OPERATION_STALE_US, arena);
}

/* The mark's value: 8 bytes, big endian. */
static bool mark_pack(int64_t time_us, struct arena *arena, struct slice *ret_value) {
    uint8_t *bytes = arena_alloc(arena, sizeof(uint64_t));
    if (!bytes)
        return false;
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)time_us >> (56 - 8 * i));
    *ret_value = slice_of(bytes, sizeof(uint64_t));
    return true;
}

/* Whether a mark stands for an operation that still counts. */
static bool mark_counts(struct slice value, int64_t now_us) {
    uint64_t time_us = 0;
    if (value.size != sizeof time_us)
        return true; /* a job's: it ends when the queue is done with it */
    for (size_t i = 0; i < value.size; i++)
        time_us = time_us << 8 | value.data[i];
    return now_us - (int64_t)time_us < OPERATION_STALE_US;
}

enum sync_status operation_put_stream(const PB(SyncOperation) *operation, bool is_new,
                                      int64_t now_us, struct arena *arena, struct row_write *rows,
                                      size_t *row_count) {
    enum sync_status status = operation_put(operation, is_new, arena, rows, row_count);
    if (status != SYNC_OK || operation_has_ended(operation))
        return status;
    struct row_write *mark = is_new ? &rows[*row_count - 1] : &rows[(*row_count)++];
    *mark = (struct row_write){.table = TABLE_OPERATION_BY_USER};
    bool is_made = key_of_operation_open(arena, slice_text(operation->user_id),
                                         slice_text(operation->sync_id), &mark->key) &&
                   mark_pack(now_us, arena, &mark->value);
    return is_made ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

struct open_count {
    size_t count, count_max;
    int64_t now_us;
};

static bool open_visit(void *context, const struct scan_item *item) {
    struct open_count *open = context;
    open->count += mark_counts(item->row->value, open->now_us);
    return open->count < open->count_max;
}

enum sync_status operation_count_open(struct store *store, struct slice user, int64_t now_us,
                                      size_t count_max, struct arena *arena, size_t *ret_count) {
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_OPERATION_BY_USER};
    if (!key_of_operation_open(arena, user, SLICE_EMPTY, &scan.prefix))
        return SYNC_ERR_NO_MEMORY;
    struct open_count open = {.count_max = count_max, .now_us = now_us};
    enum sync_status status = store_scan(store, NULL, &scan, open_visit, &open);
    if (status == SYNC_OK)
        *ret_count = open.count;
    return status;
}
