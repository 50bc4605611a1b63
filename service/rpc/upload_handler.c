#include <assert.h>

#include "service/core/conflict.h"
#include "service/core/cursor.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/upload_validate.h"
#include "service/rpc/user_config.h"

/* Rows of an upload beyond what the core writes: the device and the operation. */
enum { UPLOAD_ROWS = 1 + OPERATION_ROWS_MAX };

/* An upload on its way; lives in the call's arena. */
struct upload {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    const PB(UploadChangesRequest) *request;
    struct upload_content content;
    struct slice user, device;
    bool has_acknowledged; /* the request brings a cursor */
    uint64_t request_acknowledged;
    uint64_t acknowledged; /* the greater of the request's and the device's */
    char sync_id[UUID_TEXT_SIZE + 1];
    struct change_result *results;
    PB(UploadChangesResponse) response;
    struct sync_error error;
};

/* What one turn loads: the records and changes of the batch, then the device and the settings. */
static enum sync_status upload_load(struct upload *upload, const struct change_batch *batch,
                                    struct user_view *ret_view, struct row *ret_rows[2]) {
    struct arena *arena = rpc_call_arena(upload->call);
    struct touched want = {0};
    enum sync_status status = change_batch_touch(batch, arena, &want);
    if (status != SYNC_OK)
        return status;
    struct row *rows = arena_zalloc(arena, want.row_count + 2, sizeof *rows);
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    if (want.row_count > 0)
        memcpy(rows, want.rows, want.row_count * sizeof *rows);
    struct row *device = &rows[want.row_count], *config = device + 1;
    device->table = TABLE_DEVICE;
    config->table = TABLE_CONFIG;
    if (!key_of_user(arena, upload->user, upload->device, &device->key) ||
        !key_of_user(arena, upload->user, SLICE_EMPTY, &config->key))
        return SYNC_ERR_NO_MEMORY;
    want.user = upload->user;
    want.rows = rows;
    want.row_count += 2;
    status = store_load(upload->write.service->store, NULL, &want, arena, ret_view);
    if (status != SYNC_OK)
        return status;
    ret_rows[0] = &ret_view->rows[want.row_count - 2];
    ret_rows[1] = &ret_view->rows[want.row_count - 1];
    return SYNC_OK;
}

static PB(ChangeResult) *result_message(const struct change_result *result, struct arena *arena) {
    PB(ChangeResult) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__change_result__init(message);
    message->change_id = arena_copy_text(arena, result->change_id);
    message->outcome = (PB(ChangeOutcome))result->outcome;
    message->duplicate = result->duplicate;
    message->data_type = (PB(DataType))result->type;
    message->data_id = arena_copy_text(arena, result->data_id);
    message->version = (int64_t)result->version;
    message->conflict_id = arena_copy_text(arena, result->conflict_id);
    if (!message->change_id || !message->data_id || !message->conflict_id)
        return NULL;
    if (!result->reason)
        return message;
    PB(ChangeError) *error = arena_alloc(arena, sizeof *error);
    if (!error)
        return NULL;
    travelsense__sync__v1__change_error__init(error);
    error->reason = (char *)result->reason;
    error->field = arena_copy_text(arena, result->field);
    error->message = arena_copy_text(arena, result->message);
    message->error = error;
    return error->field && error->message ? message : NULL;
}

/* Puts the path of the change before a field of its own: changes[3].dataId. */
static bool result_prefix_field(struct change_result *result, size_t index, struct arena *arena) {
    if (!result->reason || slice_starts_with(result->field, SLICE("changes[")))
        return true;
    const char *path = result->field.size > 0
                           ? arena_format(arena, "changes[%zu].%.*s", index,
                                          (int)result->field.size, (const char *)result->field.data)
                           : arena_format(arena, "changes[%zu]", index);
    result->field = slice_text(path);
    return path != NULL;
}

/* Makes the answer, to be sent when the set is durable. */
static enum sync_status upload_answer(struct upload *upload, uint64_t sequence) {
    struct arena *arena = rpc_call_arena(upload->call);
    size_t count = upload->content.count;
    PB(UploadChangesResponse) response = PB_INIT(UPLOAD_CHANGES_RESPONSE);
    response.results = arena_zalloc(arena, count, sizeof *response.results);
    if (!response.results)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!result_prefix_field(&upload->results[i], i, arena))
            return SYNC_ERR_NO_MEMORY;
        response.results[i] = result_message(&upload->results[i], arena);
        if (!response.results[i])
            return SYNC_ERR_NO_MEMORY;
    }
    response.n_results = count;
    if (!upload->request->validate_only)
        response.sync_id = upload->sync_id;
    response.status = (PB(SyncStatus))OPERATION_COMPLETED;
    response.write_checkpoint = message_cursor(upload->write.service, arena, sequence);
    response.server_time = message_time(arena, (int64_t)clock_now_us(upload->write.service->clock));
    if (!response.write_checkpoint || !response.server_time)
        return SYNC_ERR_NO_MEMORY;
    upload->response = response;
    return SYNC_OK;
}

/* The upload as an operation, completed by the commit that stores it. */
static PB(SyncOperation) *upload_operation(struct upload *upload) {
    struct arena *arena = rpc_call_arena(upload->call);
    struct operation_draft draft = {
        .sync_id = upload->sync_id,
        .user = upload->user,
        .device = upload->device,
        .types = upload->content.types,
        .sync_type = SYNC_UPLOAD,
        .status = OPERATION_PROCESSING,
        .created_us = rpc_call_received_us(upload->call),
    };
    PB(SyncOperation) *operation = operation_make(&draft, arena);
    int64_t now_us = (int64_t)clock_now_us(upload->write.service->clock);
    if (!operation || operation_end(operation, OPERATION_COMPLETED, NULL, now_us, arena) != SYNC_OK)
        return NULL;
    for (size_t i = 0; i < upload->content.count; i++) {
        enum change_outcome outcome = upload->results[i].outcome;
        operation->changes_processed += outcome == OUTCOME_APPLIED || outcome == OUTCOME_MERGED;
        operation->conflicts_detected += outcome == OUTCOME_CONFLICT;
    }
    operation->bytes_total = (int64_t)rpc_call_request(upload->call).size;
    operation->bytes_done = operation->bytes_total;
    operation->sync_attempts = 1;
    return operation;
}

/* Adds the rows that are ours to those of the core. */
static enum sync_status upload_add_rows(struct upload *upload, const struct row *device_row,
                                        struct write_set *set) {
    struct arena *arena = rpc_call_arena(upload->call);
    bool is_guarded = set->record_count + set->log_count + set->settled_count + set->row_count > 0;
    struct row_write *rows = arena_zalloc(arena, set->row_count + UPLOAD_ROWS, sizeof *rows);
    PB(SyncOperation) *operation = upload_operation(upload);
    if (!rows || !operation)
        return SYNC_ERR_NO_MEMORY;
    if (set->row_count > 0)
        memcpy(rows, set->rows, set->row_count * sizeof *rows);
    size_t count = set->row_count;
    struct device_touch touch = {
        .user = upload->user,
        .id = upload->device,
        .row = device_row,
        .acknowledges = upload->has_acknowledged,
        .acknowledged = upload->request_acknowledged,
        .now_us = rpc_call_received_us(upload->call),
    };
    struct device device;
    bool has_news;
    enum sync_status status =
        device_touch(&touch, arena, &upload->error, &device, &rows[count], &has_news);
    count += status == SYNC_OK && has_news;
    if (status == SYNC_OK)
        status = operation_put(operation, true, arena, rows, &count);
    set->user = upload->user;
    set->any_revision = !is_guarded;
    set->rows = rows;
    set->row_count = count;
    return status;
}

static enum sync_status upload_apply(struct lane_write *write, struct write_set *ret_set) {
    struct upload *upload = (struct upload *)write;
    struct arena *arena = rpc_call_arena(upload->call);
    struct change_batch batch = {
        .user = upload->user,
        .device = upload->device,
        .changes = upload->content.changes,
        .count = upload->content.count,
        .acknowledged = upload->acknowledged,
    };
    struct user_view view;
    struct row *rows[2];
    enum sync_status status = upload_load(upload, &batch, &view, rows);
    if (status != SYNC_OK)
        return status;
    if (upload->has_acknowledged && upload->request_acknowledged > view.head.sequence)
        return sync_error_set(&upload->error, SYNC_ERR_INVALID, "INVALID_CURSOR",
                              "acknowledgedCursor", "lies ahead of the user's data");
    struct batch_context context = {
        .now_us = (int64_t)clock_now_us(write->service->clock),
        .clock_offset_us = upload->content.clock_offset_us,
        .random = write->service->random,
        .policies = write->service->policies,
        .strategy = user_config_strategy(rows[1], arena),
    };
    status = change_batch_apply(&view, &batch, &context, arena, ret_set, &upload->results);
    if (status != SYNC_OK)
        return status;
    bool stores = !upload->request->validate_only && ret_set->log_count > 0;
    uint64_t sequence = stores ? ret_set->head.sequence : view.head.sequence;
    status = upload_answer(upload, sequence);
    if (status != SYNC_OK)
        return status;
    if (upload->request->validate_only) {
        *ret_set = (struct write_set){0};
        return SYNC_OK;
    }
    return upload_add_rows(upload, rows[0], ret_set);
}

/* Counts what the commit has made true. */
static void upload_count(const struct upload *upload) {
    const struct sync_metrics *metrics = upload->write.service->sync_metrics;
    if (!metrics)
        return;
    unsigned outcomes[SYNC_METRICS_OUTCOMES] = {0}, duplicates = 0;
    for (size_t i = 0; i < upload->content.count; i++) {
        if (upload->results[i].duplicate)
            duplicates++;
        else if ((int)upload->results[i].outcome < SYNC_METRICS_OUTCOMES)
            outcomes[upload->results[i].outcome]++;
    }
    for (size_t i = 0; i < SYNC_METRICS_OUTCOMES; i++)
        if (outcomes[i] > 0)
            metric_add(metrics->changes[i], outcomes[i]);
    if (duplicates > 0)
        metric_add(metrics->duplicates, duplicates);
    metric_add(metrics->upload_bytes, (double)rpc_call_request(upload->call).size);
    metric_add(metrics->operations[OPERATION_COMPLETED], 1);
    if (outcomes[OUTCOME_CONFLICT] == 0)
        return;
    for (size_t i = 0; i < upload->write.set.row_count; i++) {
        const struct row_write *row = &upload->write.set.rows[i];
        struct conflict conflict;
        if (row->table == TABLE_CONFLICT && !row->remove &&
            conflict_unpack(row->value, rpc_call_arena(upload->call), &conflict) == SYNC_OK)
            metric_add(metrics->conflicts[conflict.type], 1);
    }
}

static void upload_finish(struct lane_write *write, enum sync_status status) {
    struct upload *upload = (struct upload *)write;
    if (status == SYNC_OK) {
        if (!upload->request->validate_only)
            upload_count(upload);
        rpc_call_reply(upload->call, &upload->response.base);
    } else if (upload->error.status == status) {
        rpc_call_fail(upload->call, &upload->error);
    } else {
        call_fail_status(upload->call, status);
    }
}

static void upload_start(struct rpc_call *call, const struct device *device, void *context) {
    struct upload *upload = context;
    upload->acknowledged = upload->request_acknowledged;
    if (device && device->acknowledged > upload->acknowledged)
        upload->acknowledged = device->acknowledged;
    upload->write = (struct lane_write){.service = rpc_call_service(call),
                                        .lane = upload->user,
                                        .apply = upload_apply,
                                        .finish = upload_finish};
    lane_write_start(&upload->write);
}

/* Reads the acknowledged cursor; false when the call has ended over it. */
static bool upload_take_cursor(struct upload *upload, struct violations *violations) {
    struct slice text = slice_text(upload->request->acknowledged_cursor);
    struct cursor cursor = {0};
    if (text.size > 0 && cursor_parse(text, &cursor) != SYNC_OK)
        violations_add(violations, "acknowledgedCursor", "INVALID_VALUE",
                       "must be a cursor that this service has given out");
    if (violations_end(violations, upload->call))
        return false;
    if (text.size > 0 && cursor.epoch != store_epoch(rpc_call_service(upload->call)->store)) {
        rpc_call_fail_with(upload->call, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED",
                           "the acknowledged cursor is of an earlier store: get a full bundle, "
                           "then send the changes again");
        return false;
    }
    upload->has_acknowledged = text.size > 0;
    upload->request_acknowledged = cursor.sequence;
    return true;
}

/* Takes the changes from the user's rate and quota; false when the call has ended over it. Services
 * are trusted with their own rate. */
static bool upload_pass_limit(struct upload *upload) {
    struct service *service = rpc_call_service(upload->call);
    if (rpc_call_identity(upload->call)->is_service)
        return true;
    struct limit_decision decision =
        limiter_take(service->limiter, upload->user, LIMIT_CHANGES, upload->content.count,
                     clock_now_us(service->clock));
    if (!decision.allowed)
        rpc_call_fail_limit(upload->call, "changes", &decision);
    return decision.allowed;
}

void changes_upload_handle(struct rpc_call *call) {
    struct service *service = rpc_call_service(call);
    ProtobufCMessage *request = rpc_call_unpack(call, PB_DESCRIPTOR(upload_changes_request));
    if (!request)
        return;
    struct arena *arena = rpc_call_arena(call);
    struct upload *upload = arena_zalloc(arena, 1, sizeof *upload);
    if (!upload) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    upload->call = call;
    upload->request = (PB(UploadChangesRequest) *)request;
    upload->user = slice_text(rpc_call_identity(call)->user);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    struct upload_rules rules = {.received_us = rpc_call_received_us(call),
                                 .random = service->random};
    upload_validate(upload->request, &rules, &violations, &upload->content);
    upload->device = device_check(call, &violations, upload->request->device_id, true);
    if (!upload_take_cursor(upload, &violations))
        return;
    if (!upload_pass_limit(upload))
        return;
    uuid_v7(clock_now_us(service->clock), service->random, upload->sync_id);
    struct device_claim claim = {.id = upload->device,
                                 .store_nothing = upload->request->validate_only};
    device_bind(call, &claim, upload_start, upload);
}
