#include "service/rpc/upload.h"

#include <assert.h>

#include "service/core/conflict.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/user_config.h"

/* Rows of an upload beyond what the core writes: the device and the operation. */
enum { UPLOAD_ROWS = 1 + OPERATION_ROWS_MAX };

void upload_check(struct upload *upload, const struct upload_message *message,
                  struct violations *violations) {
    struct upload_rules rules = {.received_us = upload->received_us,
                                 .random = upload->service->random};
    upload_validate(message, &rules, violations, &upload->content);
}

struct limit_decision upload_take(const struct upload *upload, bool is_service) {
    if (is_service)
        return (struct limit_decision){.allowed = true};
    return limiter_take(upload->service->limiter, upload->user, LIMIT_CHANGES,
                        upload->content.count, clock_now_us(upload->service->clock));
}

/* What one turn has loaded beside the records. */
struct upload_rows {
    const struct row *config, *device; /* device NULL: a service */
};

/* Loads the records and changes of the batch, then the settings and the device. */
static enum sync_status upload_load(struct upload *upload, const struct change_batch *batch,
                                    struct user_view *ret_view, struct upload_rows *ret_rows) {
    struct arena *arena = upload->arena;
    struct touched want = {0};
    enum sync_status status = change_batch_touch(batch, arena, &want);
    if (status != SYNC_OK)
        return status;
    size_t count = want.row_count, more = upload->device.size > 0 ? 2 : 1;
    struct row *rows = arena_zalloc(arena, count + more, sizeof *rows);
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    if (count > 0)
        memcpy(rows, want.rows, count * sizeof *rows);
    rows[count].table = TABLE_CONFIG;
    if (!key_of_user(arena, upload->user, SLICE_EMPTY, &rows[count].key))
        return SYNC_ERR_NO_MEMORY;
    if (more > 1) {
        rows[count + 1].table = TABLE_DEVICE;
        if (!key_of_user(arena, upload->user, upload->device, &rows[count + 1].key))
            return SYNC_ERR_NO_MEMORY;
    }
    want.user = upload->user;
    want.rows = rows;
    want.row_count = count + more;
    status = store_load(upload->service->store, NULL, &want, arena, ret_view);
    if (status == SYNC_OK)
        *ret_rows = (struct upload_rows){
            .config = &ret_view->rows[count],
            .device = more > 1 ? &ret_view->rows[count + 1] : NULL,
        };
    return status;
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
    message->decision_id = arena_copy_text(arena, result->decision_id);
    if (!message->change_id || !message->data_id || !message->conflict_id || !message->decision_id)
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

/* What only a dry run tells: the record, but no ids, since nothing is stored under them. */
static void result_show(const struct change_result *result, PB(ChangeResult) *message) {
    static char none[] = "";
    message->decision_id = none;
    if (!result->duplicate)
        message->conflict_id = none;
    if (!result->has_document)
        return;
    message->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE_RESULT__DATA_PRESENCE_DATA;
    message->data = message_bytes(result->document);
}

/* Makes the results' messages, to be sent when the set is durable. */
static enum sync_status upload_answer(struct upload *upload) {
    struct arena *arena = upload->arena;
    size_t count = upload->content.count;
    upload->messages = arena_zalloc(arena, count, sizeof *upload->messages);
    if (!upload->messages)
        return SYNC_ERR_NO_MEMORY;
    upload->as_sent = true;
    for (size_t i = 0; i < count; i++) {
        struct change_result *result = &upload->results[i];
        if (!result_prefix_field(result, i, arena))
            return SYNC_ERR_NO_MEMORY;
        upload->messages[i] = result_message(result, arena);
        if (!upload->messages[i])
            return SYNC_ERR_NO_MEMORY;
        if (upload->store_nothing)
            result_show(result, upload->messages[i]);
        upload->as_sent =
            upload->as_sent && result->outcome == OUTCOME_APPLIED && !result->duplicate;
    }
    return upload->prepare ? upload->prepare(upload) : SYNC_OK;
}

/* The upload as an operation, completed by the commit that stores it. */
static PB(SyncOperation) *upload_operation(struct upload *upload) {
    struct operation_draft draft = {
        .sync_id = upload->sync_id,
        .user = upload->user,
        .device = upload->device,
        .types = upload->content.types,
        .sync_type = SYNC_UPLOAD,
        .status = OPERATION_PROCESSING,
        .created_us = upload->received_us,
    };
    PB(SyncOperation) *operation = operation_make(&draft, upload->arena);
    int64_t now_us = (int64_t)clock_now_us(upload->service->clock);
    if (!operation ||
        operation_end(operation, OPERATION_COMPLETED, NULL, now_us, upload->arena) != SYNC_OK)
        return NULL;
    for (size_t i = 0; i < upload->content.count; i++) {
        enum change_outcome outcome = upload->results[i].outcome;
        operation->changes_processed += outcome == OUTCOME_APPLIED || outcome == OUTCOME_MERGED;
        operation->conflicts_detected += outcome == OUTCOME_CONFLICT;
    }
    operation->bytes_total = (int64_t)upload->bytes;
    operation->bytes_done = operation->bytes_total;
    operation->sync_attempts = 1;
    return operation;
}

/* Refuses a revoked device, and appends its row when there is news of it. */
static enum sync_status upload_touch(struct upload *upload, const struct row *row,
                                     struct row_write *rows, size_t *row_count) {
    struct device_touch touch = {
        .user = upload->user,
        .id = upload->device,
        .row = row,
        .acknowledges = upload->has_acknowledged,
        .acknowledged = upload->acknowledged,
        .now_us = upload->received_us,
    };
    struct device device;
    bool has_news;
    enum sync_status status =
        device_touch(&touch, upload->arena, &upload->error, &device, &rows[*row_count], &has_news);
    *row_count += status == SYNC_OK && has_news;
    return status;
}

/* Adds the rows that are ours to those of the core. */
static enum sync_status upload_add_rows(struct upload *upload, const struct row *device,
                                        struct write_set *set) {
    struct arena *arena = upload->arena;
    bool is_guarded = set->record_count + set->log_count + set->settled_count + set->row_count > 0;
    struct row_write *rows = arena_zalloc(arena, set->row_count + UPLOAD_ROWS, sizeof *rows);
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    if (set->row_count > 0)
        memcpy(rows, set->rows, set->row_count * sizeof *rows);
    size_t count = set->row_count;
    enum sync_status status = SYNC_OK;
    if (device)
        status = upload_touch(upload, device, rows, &count);
    if (status == SYNC_OK && upload->sync_id) {
        PB(SyncOperation) *operation = upload_operation(upload);
        status =
            operation ? operation_put(operation, true, arena, rows, &count) : SYNC_ERR_NO_MEMORY;
    }
    set->user = upload->user;
    set->any_revision = !is_guarded;
    set->rows = rows;
    set->row_count = count;
    return status;
}

/* What the changes are based on where they do not say: what the device holds, by its own word or by
 * what is stored. */
static enum sync_status upload_base(struct upload *upload, const struct row *row,
                                    uint64_t *ret_acknowledged) {
    struct device device = {0};
    if (row && row->found) {
        enum sync_status status = device_unpack(row->value, &device);
        if (status != SYNC_OK)
            return status;
    }
    *ret_acknowledged =
        device.acknowledged > upload->acknowledged ? device.acknowledged : upload->acknowledged;
    return SYNC_OK;
}

static enum sync_status upload_apply(struct lane_write *write, struct write_set *ret_set) {
    struct upload *upload = (struct upload *)write;
    struct arena *arena = upload->arena;
    struct change_batch batch = {
        .user = upload->user,
        .device = upload->device,
        .changes = upload->content.changes,
        .count = upload->content.count,
        .acknowledged = upload->acknowledged,
    };
    struct user_view view;
    struct upload_rows rows;
    enum sync_status status = upload_load(upload, &batch, &view, &rows);
    if (status == SYNC_OK)
        status = upload_base(upload, rows.device, &batch.acknowledged);
    if (status != SYNC_OK)
        return status;
    if (upload->has_acknowledged && upload->acknowledged > view.head.sequence)
        return sync_error_set(&upload->error, SYNC_ERR_INVALID, "INVALID_CURSOR",
                              "acknowledgedCursor", "lies ahead of the user's data");
    struct batch_context context = {
        .now_us = (int64_t)clock_now_us(write->service->clock),
        .clock_offset_us = upload->content.clock_offset_us,
        .random = write->service->random,
        .policies = write->service->policies,
        .strategy = user_config_strategy(rows.config, arena),
    };
    status = change_batch_apply(&view, &batch, &context, arena, ret_set, &upload->results);
    if (status != SYNC_OK)
        return status;
    bool stores = !upload->store_nothing && ret_set->log_count > 0;
    const struct user_head *after = stores ? &ret_set->head : &view.head;
    upload->before = view.head;
    upload->sequence = after->sequence;
    upload->checksum = after->checksum;
    status = upload_answer(upload);
    if (status != SYNC_OK)
        return status;
    if (upload->store_nothing) {
        *ret_set = (struct write_set){0};
        return SYNC_OK;
    }
    return upload_add_rows(upload, rows.device, ret_set);
}

/* Counts the conflicts that the commit has stored, by type. */
static void upload_count_conflicts(const struct upload *upload,
                                   const struct sync_metrics *metrics) {
    for (size_t i = 0; i < upload->write.set.row_count; i++) {
        const struct row_write *row = &upload->write.set.rows[i];
        struct conflict conflict;
        if (row->table == TABLE_CONFLICT && !row->remove &&
            conflict_unpack(row->value, upload->arena, &conflict) == SYNC_OK)
            metric_add(conflict.decision_count > 0 ? metrics->decisions[conflict.type]
                                                   : metrics->conflicts[conflict.type],
                       1);
    }
}

/* Counts what the commit has made true. */
static void upload_count(const struct upload *upload) {
    const struct sync_metrics *metrics = upload->service->sync_metrics;
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
    metric_add(metrics->upload_bytes, (double)upload->bytes);
    if (upload->sync_id)
        metric_add(metrics->operations[OPERATION_COMPLETED], 1);
    if (outcomes[OUTCOME_CONFLICT] > 0)
        upload_count_conflicts(upload, metrics);
}

static void upload_finish(struct lane_write *write, enum sync_status status) {
    struct upload *upload = (struct upload *)write;
    if (status == SYNC_OK && !upload->store_nothing)
        upload_count(upload);
    upload->done(upload, status);
}

void upload_start(struct upload *upload) {
    assert(upload->service && upload->arena && upload->done);
    assert(upload->user.size > 0 && upload->content.count > 0);
    upload->write = (struct lane_write){.service = upload->service,
                                        .lane = upload->user,
                                        .apply = upload_apply,
                                        .finish = upload_finish};
    lane_write_start(&upload->write);
}
