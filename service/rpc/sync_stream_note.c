/* What a stream notes in the store: what its device holds, and how far its operation is. */
#include <assert.h>

#include "base/memory.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/sync_stream_private.h"

/* A note on its way. */
struct note_work {
    struct lane_write write; /* first: found from it */
    struct sync_stream *stream;
    unsigned cause; /* that tells its end */
    struct arena arena;
    enum sync_status status;
    struct sync_error error;
    uint64_t acknowledged;
    struct session_report report; /* status 0: only renew */
    PB(SyncOperation) *operation; /* NULL: it had ended before */
    struct row_write rows[OPERATION_ROWS_MAX];
};

static struct note_work **note_slot(struct sync_stream *stream, unsigned cause) {
    return cause == STREAM_NOTED      ? &stream->noting
           : cause == STREAM_REPORTED ? &stream->reporting
                                      : &stream->renewing;
}

static void note_finish(struct lane_write *write, enum sync_status status) {
    struct note_work *work = (struct note_work *)write;
    work->status = status;
    wake_up(&work->stream->wake, work->cause);
}

/* Begins; NULL without memory, and then nothing is noted. */
static struct note_work *note_make(struct sync_stream *stream, unsigned cause, lane_apply *apply) {
    struct note_work *work = memory_zalloc(1, sizeof *work);
    assert(!*note_slot(stream, cause));
    if (!work)
        return NULL;
    arena_init(&work->arena, STREAM_ARENA_MAX);
    work->stream = stream;
    work->cause = cause;
    work->write = (struct lane_write){.service = stream->service,
                                      .lane = stream_user(stream),
                                      .apply = apply,
                                      .finish = note_finish};
    *note_slot(stream, cause) = work;
    return work;
}

/* ---- Acknowledgements */

static enum sync_status acknowledge_apply(struct lane_write *write, struct write_set *ret_set) {
    struct note_work *work = (struct note_work *)write;
    struct slice user = write->lane;
    struct row wanted = {.table = TABLE_DEVICE};
    if (!key_of_user(&work->arena, user, slice_text(work->stream->device), &wanted.key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(write->service->store, NULL, &want, &work->arena, &view);
    if (status != SYNC_OK)
        return status;
    struct device_touch touch = {.user = user,
                                 .id = slice_text(work->stream->device),
                                 .row = &view.rows[0],
                                 .acknowledges = true,
                                 .acknowledged = work->acknowledged,
                                 .now_us = (int64_t)clock_now_us(write->service->clock)};
    struct device device;
    bool has_news;
    status = device_touch(&touch, &work->arena, &work->error, &device, &work->rows[0], &has_news);
    if (status != SYNC_OK || !has_news)
        return status;
    /* Not under the user: whoever watches him learns nothing by it. */
    *ret_set = (struct write_set){.rows = work->rows, .row_count = 1};
    return SYNC_OK;
}

void stream_acknowledge(struct sync_stream *stream) {
    assert(stream->has_note && !stream->noting);
    struct note_work *work = note_make(stream, STREAM_NOTED, acknowledge_apply);
    stream->has_note = false;
    stream->noted_us = clock_monotonic_us(stream->service->clock);
    if (!work)
        return; /* the next acknowledgement, or hello, says it again */
    work->acknowledged = stream->note;
    lane_write_start(&work->write);
}

void stream_acknowledge_ask(struct sync_stream *stream, const struct session_request *request) {
    struct session_answer answer = {.kind = SESSION_ACKNOWLEDGE};
    stream->has_note = true;
    stream->note = request->acknowledged;
    stream_answer(stream, &answer);
}

/* ---- Reports */

/* Takes the report over into the operation. */
static enum sync_status report_take(struct note_work *work, int64_t now_us) {
    const struct session_report *report = &work->report;
    PB(SyncOperation) *operation = work->operation;
    operation->updated_at = message_time(&work->arena, now_us);
    if (!operation->updated_at)
        return SYNC_ERR_NO_MEMORY;
    if (report->status == 0)
        return SYNC_OK;
    operation->phase = (char *)report->phase;
    if (report->percent > operation->progress)
        operation->progress = report->percent;
    operation->changes_processed = (int32_t)report->changes;
    operation->conflicts_detected = (int32_t)report->conflicts;
    operation->bytes_done = (int64_t)report->bytes_done;
    operation->bytes_total = (int64_t)report->bytes_total;
    if (report->status <= OPERATION_PROCESSING)
        return SYNC_OK;
    return operation_end(operation, (enum operation_status)report->status, (char *)report->error,
                         now_us, &work->arena);
}

static enum sync_status report_apply(struct lane_write *write, struct write_set *ret_set) {
    struct note_work *work = (struct note_work *)write;
    int64_t now_us = (int64_t)clock_now_us(write->service->clock);
    PB(SyncOperation) *operation;
    enum sync_status status =
        operation_load(write->service->store, slice_text(work->stream->sync_id), write->lane,
                       &work->arena, &work->error, &operation);
    if (status != SYNC_OK)
        return status;
    work->operation = NULL;
    if ((int)operation->status == OPERATION_CANCELLED && !work->report.is_last)
        return sync_error_set(&work->error, SYNC_ERR_CANCELLED, "SYNC_CANCELLED", NULL,
                              "the synchronization was cancelled");
    if (operation_has_ended(operation))
        return SYNC_OK;
    work->operation = operation;
    size_t count = 0;
    status = report_take(work, now_us);
    if (status == SYNC_OK)
        status = operation_put_stream(operation, false, now_us, &work->arena, work->rows, &count);
    if (status == SYNC_OK)
        *ret_set = (struct write_set){.user = write->lane, /* whose watchers hear of it */
                                      .any_revision = true,
                                      .rows = work->rows,
                                      .row_count = count};
    return status;
}

void stream_report_ask(struct sync_stream *stream, const struct session_request *request) {
    struct note_work *work = note_make(stream, STREAM_REPORTED, report_apply);
    if (!work) {
        struct session_answer answer = {.kind = SESSION_REPORT};
        stream_error(&answer.error, SYNC_ERR_NO_MEMORY);
        stream_answer(stream, &answer);
        return;
    }
    work->report = request->report;
    lane_write_start(&work->write);
}

void stream_renew(struct sync_stream *stream) {
    struct note_work *work = note_make(stream, STREAM_RENEWED, report_apply);
    stream->renew_us = clock_monotonic_us(stream->service->clock) + OPERATION_RENEW_US;
    if (work)
        lane_write_start(&work->write);
}

void stream_abandon(struct sync_stream *stream) {
    struct note_work *work = note_make(stream, STREAM_RENEWED, report_apply);
    if (!work)
        return; /* it counts as failed after a while */
    work->report = (struct session_report){
        .status = OPERATION_CANCELLED, .is_last = true, .phase = "downloading"};
    lane_write_start(&work->write);
}

/* Counts an operation that has ended. */
static void report_count(const struct note_work *work) {
    const struct sync_metrics *metrics = work->write.service->sync_metrics;
    const PB(SyncOperation) *operation = work->operation;
    int64_t created_us = 0, ended_us = 0;
    if (!metrics || !operation || !operation_has_ended(operation))
        return;
    metric_add(metrics->operations[operation->status], 1);
    if (message_time_us(operation->created_at, &created_us) && operation->end_time &&
        message_time_us(operation->end_time, &ended_us))
        metric_observe(metrics->operation_seconds[operation->sync_type],
                       (double)(ended_us - created_us) / 1e6);
}

/* A note has ended: answers the session if it asked. */
static void note_end(struct sync_stream *stream, unsigned cause) {
    struct note_work **slot = note_slot(stream, cause), *work = *slot;
    struct session_answer answer = {.kind = cause == STREAM_NOTED ? SESSION_ACKNOWLEDGE
                                                                  : SESSION_REPORT};
    *slot = NULL;
    if (work->error.status == work->status)
        answer.error = work->error;
    stream_error(&answer.error, work->status);
    if (cause == STREAM_NOTED) {
        if (work->status != SYNC_OK && work->status != SYNC_ERR_DENIED)
            log_line(stream->service->log, LOG_WARN, "acknowledgement not stored",
                     LOG_SLICE("user", stream_user(stream)), LOG_TEXT("device", stream->device),
                     LOG_TEXT("cause", sync_status_name(work->status)));
    } else if (work->status == SYNC_OK) {
        bool goes_on = work->operation && !operation_has_ended(work->operation);
        stream->renew_us =
            goes_on ? clock_monotonic_us(stream->service->clock) + OPERATION_RENEW_US : UINT64_MAX;
        report_count(work);
    }
    if (cause == STREAM_REPORTED)
        stream_answer(stream, &answer);
    arena_done(&work->arena);
    memory_free(work);
}

void stream_noted(struct sync_stream *stream, unsigned cause) {
    static const unsigned causes[] = {STREAM_NOTED, STREAM_REPORTED, STREAM_RENEWED};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
        if (cause & causes[i])
            note_end(stream, causes[i]);
}
