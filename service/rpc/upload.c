#include "service/rpc/upload.h"

#include <assert.h>

#include "service/core/conflict.h"
#include "service/core/hybrid_clock.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/upload_private.h"
#include "service/rpc/user_config.h"

/* Rows of an upload beyond what the core writes: the device and the operation. */
enum { UPLOAD_ROWS = 1 + OPERATION_ROWS_MAX };
/* Rows that a turn loads beyond what the core asks for. */
enum { TURN_ROWS = 3 };

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

/* Adds a row to load of the user's own. */
static bool turn_want(const struct upload_turn *turn, enum table table, struct slice rest,
                      struct row *rows, size_t *count) {
    rows[*count].table = table;
    return key_of_user(turn->arena, turn->upload->user, rest, &rows[(*count)++].key);
}

/* What was made before it may be forgotten. */
static int64_t upload_forgotten_us(const struct upload *upload) {
    return (int64_t)clock_now_us(upload->service->clock) -
           (int64_t)upload->service->retention.log_us;
}

/* Loads the records and changes of the turn's batch, then the settings, what is parked and the
 * device. */
static enum sync_status turn_load(struct upload_turn *turn) {
    struct upload *upload = turn->upload;
    struct touched want = {0};
    enum sync_status status = SYNC_OK;
    if (turn->batch.count > 0)
        status = change_batch_touch(&turn->batch, turn->arena, &want);
    if (status != SYNC_OK)
        return status;
    size_t first = want.row_count, count = first;
    bool has_device = upload->device.size > 0 && upload->retry_of.size == 0;
    struct row *rows = arena_zalloc(turn->arena, count + TURN_ROWS, sizeof *rows);
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    if (count > 0)
        memcpy(rows, want.rows, count * sizeof *rows);
    if (!turn_want(turn, TABLE_CONFIG, SLICE_EMPTY, rows, &count) ||
        !turn_want(turn, TABLE_PARKED, SLICE_EMPTY, rows, &count) ||
        (has_device && !turn_want(turn, TABLE_DEVICE, upload->device, rows, &count)))
        return SYNC_ERR_NO_MEMORY;
    want.user = upload->user;
    want.rows = rows;
    want.row_count = count;
    status = store_load(upload->service->store, NULL, &want, turn->arena, &turn->view);
    if (status != SYNC_OK)
        return status;
    turn->config = &turn->view.rows[first];
    turn->parked = &turn->view.rows[first + 1];
    turn->device = has_device ? &turn->view.rows[first + 2] : NULL;
    return SYNC_OK;
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
static enum sync_status upload_add_rows(struct upload *upload, const struct upload_turn *turn,
                                        struct write_set *set) {
    struct arena *arena = upload->arena;
    bool is_guarded = set->record_count + set->log_count + set->settled_count + set->row_count > 0;
    struct row_write *rows =
        arena_zalloc(arena, set->row_count + turn->row_count + UPLOAD_ROWS, sizeof *rows);
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    if (set->row_count > 0)
        memcpy(rows, set->rows, set->row_count * sizeof *rows);
    size_t count = set->row_count;
    if (turn->row_count > 0)
        memcpy(rows + count, turn->rows, turn->row_count * sizeof *rows);
    count += turn->row_count;
    enum sync_status status = SYNC_OK;
    if (turn->device)
        status = upload_touch(upload, turn->device, rows, &count);
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
static enum sync_status turn_base(struct upload_turn *turn) {
    struct device device = {0};
    if (turn->device && turn->device->found) {
        enum sync_status status = device_unpack(turn->device->value, &device);
        if (status != SYNC_OK)
            return status;
    }
    uint64_t acknowledged = turn->upload->acknowledged;
    turn->batch.acknowledged =
        device.acknowledged > acknowledged ? device.acknowledged : acknowledged;
    return SYNC_OK;
}

enum sync_status upload_turn_run(struct upload_turn *turn) {
    struct upload *upload = turn->upload;
    struct service *service = upload->service;
    turn->set = (struct write_set){0};
    enum sync_status status = turn_load(turn);
    if (status == SYNC_OK)
        status = turn_base(turn);
    if (status != SYNC_OK)
        return status;
    if (upload->has_acknowledged && upload->acknowledged > turn->view.head.sequence)
        return sync_error_set(&upload->error, SYNC_ERR_INVALID, "INVALID_CURSOR",
                              "acknowledgedCursor", "lies ahead of the user's data");
    struct batch_context context = {
        .now_us = (int64_t)clock_now_us(service->clock),
        .clock_offset_us = upload->content.clock_offset_us,
        .forgotten_us = upload_forgotten_us(upload),
        .random = service->random,
        .policies = service->policies,
        .strategy = user_config_strategy(turn->config, turn->arena),
    };
    if (turn->batch.count == 0)
        return SYNC_OK;
    return change_batch_apply(&turn->view, &turn->batch, &context, turn->arena, &turn->set,
                              &turn->results);
}

/* Applies the upload: all of it, or without what is set aside. */
static enum sync_status upload_decide(struct upload *upload, struct upload_turn *turn) {
    *turn = (struct upload_turn){
        .upload = upload,
        .arena = upload->arena,
        .batch = {.user = upload->user,
                  .device = upload->device,
                  .changes = upload->content.changes,
                  .count = upload->content.count,
                  .acknowledged = upload->acknowledged,
                  .forgotten_device_us = hybrid_clock_at_device(upload_forgotten_us(upload),
                                                                upload->content.clock_offset_us)},
    };
    enum sync_status status = upload_turn_run(turn);
    if (upload->retry_of.size > 0)
        return status == SYNC_OK ? upload_unpark(turn) : status;
    if (status == SYNC_OK && !turn->parked->found) {
        upload->results = turn->results;
        return SYNC_OK;
    }
    return upload_park(turn, status);
}

static enum sync_status upload_apply(struct lane_write *write, struct write_set *ret_set) {
    struct upload *upload = (struct upload *)write;
    struct upload_turn turn;
    enum sync_status status = upload_decide(upload, &turn);
    if (status != SYNC_OK)
        return status;
    bool stores = !upload->store_nothing && turn.set.log_count > 0;
    const struct user_head *after = stores ? &turn.set.head : &turn.view.head;
    upload->before = turn.view.head;
    upload->sequence = after->sequence;
    upload->checksum = after->checksum;
    status = upload_answer(upload);
    if (status != SYNC_OK || upload->store_nothing)
        return status;
    *ret_set = turn.set;
    return upload_add_rows(upload, &turn, ret_set);
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
    if (status == SYNC_OK && upload->parks)
        job_queue_wake(upload->service->jobs);
    upload->done(upload, status);
}

static void upload_begin(struct upload *upload) {
    assert(upload->service && upload->arena);
    assert(upload->user.size > 0 && upload->content.count > 0);
    upload->write = (struct lane_write){.service = upload->service,
                                        .lane = upload->user,
                                        .apply = upload_apply,
                                        .finish = upload_finish};
}

void upload_start(struct upload *upload) {
    assert(upload->done);
    upload_begin(upload);
    lane_write_start(&upload->write);
}

enum sync_status upload_wait(struct upload *upload) {
    upload_begin(upload);
    enum sync_status status = lane_write_wait(&upload->write);
    if (status == SYNC_OK)
        upload_count(upload);
    return status;
}
