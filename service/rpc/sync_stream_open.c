/* Opening: admission, the device's binding, and the operation that the session is. */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/memory.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_stream_private.h"
#include "service/rpc/user_config.h"

static const uint64_t OPERATIONS_RETRY_US = 5000000;

/* A stream being opened. */
struct open_work {
    struct device_binding binding; /* first: found from it */
    struct lane_write write;
    struct sync_stream *stream;
    struct arena arena;
    const PB(SyncHello) *hello;
    enum sync_status status; /* of the step that has ended */
    struct sync_error error;
    /* what the write has loaded */
    struct user_head head;
    struct device device;
    uint64_t bandwidth_limit;
    struct row_write rows[1 + OPERATION_ROWS_MAX];
};

/* Answers, and releases the work. */
static void open_end(struct sync_stream *stream, const struct session_answer *answer) {
    struct open_work *work = stream->opening;
    stream->opening = NULL;
    stream_answer(stream, answer);
    if (work) {
        arena_done(&work->arena);
        memory_free(work);
    }
}

static void open_fail(struct sync_stream *stream, enum sync_status status,
                      const struct sync_error *error, uint64_t retry_after_us) {
    struct session_answer answer = {.kind = SESSION_OPEN, .retry_after_us = retry_after_us};
    if (error && error->status == status)
        answer.error = *error;
    stream_error(&answer.error, status);
    open_end(stream, &answer);
}

/* ---- The operation */

static void open_types(const PB(SyncHello) *hello, struct operation_draft *draft) {
    draft->types = hello->n_data_types > 0
                       ? message_type_set(hello->data_types, hello->n_data_types)
                       : DATA_TYPES_ALL;
    draft->sync_type = !hello->cursor[0]                     ? SYNC_FULL
                       : (int)hello->sync_type == SYNC_DELTA ? SYNC_DELTA
                                                             : SYNC_INCREMENTAL;
}

/* Refuses one operation too many. */
static enum sync_status open_count(struct open_work *work, int64_t now_us) {
    struct service *service = work->stream->service;
    size_t count;
    enum sync_status status =
        operation_count_open(service->store, stream_user(work->stream), now_us,
                             service->operations_max, &work->arena, &count);
    if (status == SYNC_OK && count >= service->operations_max)
        status = sync_error_set(&work->error, SYNC_ERR_EXHAUSTED, "RATE_LIMITED", NULL,
                                "a user has at most %u synchronizations under way",
                                service->operations_max);
    return status;
}

/* Loads the device, the settings and the head. */
static enum sync_status open_load(struct open_work *work, const struct row **ret_device) {
    struct slice user = stream_user(work->stream);
    struct row wanted[2] = {{.table = TABLE_DEVICE}, {.table = TABLE_CONFIG}};
    if (!key_of_user(&work->arena, user, slice_text(work->stream->device), &wanted[0].key) ||
        !key_of_user(&work->arena, user, SLICE_EMPTY, &wanted[1].key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = user, .rows = wanted, .row_count = 2};
    struct user_view view;
    enum sync_status status =
        store_load(work->stream->service->store, NULL, &want, &work->arena, &view);
    if (status != SYNC_OK)
        return status;
    const PB(SyncConfig) *config = user_config_read(&view.rows[1], user, &work->arena);
    if (!config)
        return SYNC_ERR_NO_MEMORY;
    work->bandwidth_limit = (uint64_t)config->bandwidth_limit * 1000;
    work->head = view.head;
    *ret_device = &view.rows[0];
    return SYNC_OK;
}

/* The rows: the device when there is news of it, and the operation. */
static enum sync_status open_rows(struct open_work *work, const struct row *device, int64_t now_us,
                                  size_t *ret_count) {
    struct device_touch touch = {.user = stream_user(work->stream),
                                 .id = slice_text(work->stream->device),
                                 .row = device,
                                 .now_us = now_us};
    bool has_news;
    enum sync_status status =
        device_touch(&touch, &work->arena, &work->error, &work->device, &work->rows[0], &has_news);
    struct operation_draft draft = {
        .sync_id = work->stream->sync_id,
        .user = touch.user,
        .device = touch.id,
        .status = OPERATION_PROCESSING,
        .phase = "downloading",
        .created_us = now_us,
    };
    if (status != SYNC_OK)
        return status;
    open_types(work->hello, &draft);
    PB(SyncOperation) *operation = operation_make(&draft, &work->arena);
    if (!operation)
        return SYNC_ERR_NO_MEMORY;
    operation->start_time = operation->created_at;
    *ret_count = has_news;
    return operation_put_stream(operation, true, now_us, &work->arena, work->rows, ret_count);
}

static enum sync_status open_apply(struct lane_write *write, struct write_set *ret_set) {
    struct open_work *work =
        (struct open_work *)((char *)write - offsetof(struct open_work, write));
    int64_t now_us = (int64_t)clock_now_us(write->service->clock);
    const struct row *device;
    size_t count = 0;
    enum sync_status status = open_load(work, &device);
    if (status == SYNC_OK)
        status = open_count(work, now_us);
    if (status == SYNC_OK)
        status = open_rows(work, device, now_us, &count);
    if (status == SYNC_OK)
        *ret_set = (struct write_set){.user = stream_user(work->stream),
                                      .any_revision = true,
                                      .rows = work->rows,
                                      .row_count = count};
    return status;
}

static void open_finish(struct lane_write *write, enum sync_status status) {
    struct open_work *work =
        (struct open_work *)((char *)write - offsetof(struct open_work, write));
    work->status = status;
    wake_up(&work->stream->wake, STREAM_OPENED);
}

/* The device is the user's: makes the operation. */
static void open_go_on(struct sync_stream *stream) {
    struct open_work *work = stream->opening;
    struct service *service = stream->service;
    uuid_v7(clock_now_us(service->clock), service->random, stream->sync_id);
    work->write = (struct lane_write){.service = service,
                                      .lane = stream_user(stream),
                                      .apply = open_apply,
                                      .finish = open_finish};
    lane_write_start(&work->write);
}

void stream_open_done(struct sync_stream *stream) {
    struct open_work *work = stream->opening;
    if (work->status != SYNC_OK) {
        open_fail(stream, work->status, &work->error,
                  work->status == SYNC_ERR_EXHAUSTED ? OPERATIONS_RETRY_US : 0);
        return;
    }
    struct session_answer answer = {.kind = SESSION_OPEN};
    uint64_t unknown = STREAM_CONFLICTS_UNKNOWN;
    atomic_compare_exchange_strong(&stream->conflicts, &unknown,
                                   stream_conflicts_mark(&work->head));
    answer.open.sync_id = slice_text(stream->sync_id);
    answer.open.epoch = store_epoch(stream->service->store);
    answer.open.head = work->head.sequence;
    answer.open.has_acknowledged = work->device.has_acknowledged;
    answer.open.acknowledged = work->device.acknowledged;
    answer.open.bandwidth_limit = work->bandwidth_limit;
    answer.open.conflicts_open = work->head.conflicts_open;
    answer.open.data_bytes = work->head.data_bytes;
    answer.open.record_count = work->head.record_count;
    if (stream->is_over) {
        open_end(stream, &answer);
        stream_abandon(stream);
        return;
    }
    stream->renew_us = clock_monotonic_us(stream->service->clock) + OPERATION_RENEW_US;
    stream->entry.device = slice_text(stream->device);
    stream->is_registered = true;
    stream_registry_add(stream->streams->registry, &stream->entry);
    open_end(stream, &answer);
}

/* ---- The binding */

static void open_binding_done(struct device_binding *binding, enum sync_status status) {
    struct open_work *work = (struct open_work *)binding;
    work->status = status;
    wake_up(&work->stream->wake, STREAM_BOUND);
}

void stream_open_bound(struct sync_stream *stream) {
    struct open_work *work = stream->opening;
    if (work->status == SYNC_OK && !stream->is_over)
        open_go_on(stream);
    else if (work->status == SYNC_OK)
        open_fail(stream, SYNC_ERR_CANCELLED, NULL, 0);
    else
        open_fail(stream, work->status, &work->binding.error, 0);
}

/* Binds the device, after the watch of the user's rows has begun: from here on a revocation is
 * heard. */
static void open_bind(struct sync_stream *stream) {
    struct open_work *work = stream->opening;
    const struct identity *identity = rpc_call_identity(stream->call);
    if (!stream->is_watching) {
        stream->is_watching = true;
        store_watch_add(stream->service->store, &stream->watch);
    }
    work->binding = (struct device_binding){.service = stream->service,
                                            .arena = &work->arena,
                                            .user = stream_user(stream),
                                            .of_token = slice_text(identity->device),
                                            .claim = {.id = slice_text(stream->device)},
                                            .now_us = (int64_t)clock_now_us(stream->service->clock),
                                            .done = open_binding_done};
    enum sync_status status;
    if (!device_binding_start(&work->binding, &status))
        return;
    work->status = status;
    stream_open_bound(stream);
}

/* Whether the stream is admitted; if not, it is told when to come back, and nothing was stored. */
static bool open_admit(struct sync_stream *stream) {
    struct admission_decision decision =
        admission_begin(stream->streams->admission, slice_text(stream->device),
                        clock_monotonic_us(stream->service->clock));
    stream->is_opening = decision.admitted;
    if (decision.admitted)
        return true;
    struct sync_error error;
    sync_error_set(&error, SYNC_ERR_UNAVAILABLE, decision.reason, NULL,
                   "many devices are opening streams; come back later");
    metric_add(stream->streams->refused, 1);
    open_fail(stream, error.status, &error, decision.retry_after_us);
    return false;
}

void stream_open_ask(struct sync_stream *stream, const struct session_request *request) {
    assert(!stream->opening);
    const PB(SyncHello) *hello = request->hello;
    assert(strlen(hello->device_id) < sizeof stream->device);
    snprintf(stream->device, sizeof stream->device, "%s", hello->device_id);
    if (!open_admit(stream))
        return;
    struct open_work *work = memory_zalloc(1, sizeof *work);
    if (!work) {
        open_fail(stream, SYNC_ERR_NO_MEMORY, NULL, 0);
        return;
    }
    work->stream = stream;
    work->hello = hello;
    arena_init(&work->arena, STREAM_ARENA_MAX);
    stream->opening = work;
    open_bind(stream);
}
