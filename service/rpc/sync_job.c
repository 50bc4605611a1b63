#include "service/rpc/sync_job.h"

#include <assert.h>

#include "service/rpc/bundle_params.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"

enum {
    JOB_ARENA_MAX = 16 << 20,
    UPDATE_ARENA_MAX = 1 << 20,
    TELL_EVERY_US = 500000, /* between two stored progress reports */
    PERCENT_READ = 5,       /* when the records are known */
    PERCENT_PACKED = 95,    /* when all are packed */
};

/* What becomes of an operation in one step. */
struct operation_step {
    enum operation_status status; /* PROCESSING: go on; else the end */
    bool begins;                  /* counts an attempt */
    const char *phase;            /* NULL: as it is */
    int progress;                 /* never goes back */
    uint64_t bytes_done;
    const struct bundle *bundle; /* of a completed one */
    uint32_t conflicts;          /* that wait for the user then */
    const char *error_message;
};

/* One run of a job. */
struct sync_job {
    struct service *service;
    struct slice sync_id;
    struct arena arena; /* of the run */
    PB(SyncOperation) *operation;
    struct bundle bundle;
    uint32_t conflicts; /* open when the bundle was chosen */
    int64_t told_us;
    bool is_cancelled;
};

/* A step on its way into the store. */
struct step_write {
    struct lane_write write; /* first: found from it */
    struct arena arena;
    struct slice sync_id;
    const struct operation_step *step;
    PB(SyncOperation) *operation;
    bool had_ended; /* before the step: it then changes nothing */
    struct row_write rows[OPERATION_ROWS_MAX];
};

static enum sync_status step_take(struct step_write *update, int64_t now_us) {
    const struct operation_step *step = update->step;
    PB(SyncOperation) *operation = update->operation;
    operation->updated_at = message_time(&update->arena, now_us);
    if (!operation->updated_at)
        return SYNC_ERR_NO_MEMORY;
    if (!operation->start_time)
        operation->start_time = operation->updated_at;
    operation->status = (PB(SyncStatus))step->status;
    operation->sync_attempts += step->begins;
    if (step->phase)
        operation->phase = (char *)step->phase;
    if (step->progress > operation->progress)
        operation->progress = step->progress;
    if ((int64_t)step->bytes_done > operation->bytes_done)
        operation->bytes_done = (int64_t)step->bytes_done;
    if (step->bundle) {
        operation->bundle_id = arena_copy_text(&update->arena, step->bundle->id);
        operation->codec = (PB(BundleCodec))step->bundle->codec;
        operation->dictionary_id = (int32_t)step->bundle->dictionary_id;
        operation->changes_processed = (int32_t)step->bundle->record_count;
        operation->conflicts_detected = (int32_t)step->conflicts;
        operation->bytes_done = (int64_t)step->bundle->size;
        operation->bytes_total = (int64_t)step->bundle->size;
        if (!operation->bundle_id)
            return SYNC_ERR_NO_MEMORY;
    }
    if (step->status == OPERATION_PROCESSING)
        return SYNC_OK;
    return operation_end(operation, step->status, (char *)step->error_message, now_us,
                         &update->arena);
}

static enum sync_status step_apply(struct lane_write *write, struct write_set *ret_set) {
    struct step_write *update = (struct step_write *)write;
    enum sync_status status = operation_load(write->service->store, update->sync_id, SLICE_EMPTY,
                                             &update->arena, NULL, &update->operation);
    if (status != SYNC_OK)
        return status;
    update->had_ended = operation_has_ended(update->operation);
    if (update->had_ended)
        return SYNC_OK;
    status = step_take(update, (int64_t)clock_now_us(write->service->clock));
    size_t count = 0;
    if (status == SYNC_OK)
        status = operation_put(update->operation, false, &update->arena, update->rows, &count);
    *ret_set = (struct write_set){.user = write->lane, /* whose watchers hear of it */
                                  .any_revision = true,
                                  .rows = update->rows,
                                  .row_count = count};
    return status;
}

/* How long the operation took, for the histogram. */
static void step_count(struct service *service, const PB(SyncOperation) *operation) {
    const struct sync_metrics *metrics = service->sync_metrics;
    if (!metrics || !operation_has_ended(operation))
        return;
    int64_t created_us = 0, ended_us = 0;
    metric_add(metrics->operations[operation->status], 1);
    if (message_time_us(operation->created_at, &created_us) && operation->end_time &&
        message_time_us(operation->end_time, &ended_us))
        metric_observe(metrics->operation_seconds[operation->sync_type],
                       (double)(ended_us - created_us) / 1e6);
}

/* Stores a step in the user's lane. `ret_had_ended`: the operation had ended before, by a
 * cancellation say, and stays as it is. */
static enum sync_status step_store(struct service *service, struct slice user, struct slice sync_id,
                                   const struct operation_step *step, bool *ret_had_ended) {
    struct step_write update = {
        .write = {.service = service, .lane = user, .apply = step_apply},
        .sync_id = sync_id,
        .step = step,
    };
    arena_init(&update.arena, UPDATE_ARENA_MAX);
    enum sync_status status = lane_write_wait(&update.write);
    if (status == SYNC_OK && !update.had_ended)
        step_count(service, update.operation);
    if (status == SYNC_OK)
        *ret_had_ended = update.had_ended;
    arena_done(&update.arena);
    return status;
}

/* bundle_progress: stores how far it is, not too often, and hears of a cancellation. */
static bool job_told(void *context, const char *phase, uint64_t done, uint64_t total,
                     uint64_t bytes_done) {
    struct sync_job *job = context;
    int64_t now_us = (int64_t)clock_monotonic_us(job->service->clock);
    if (now_us - job->told_us < TELL_EVERY_US)
        return true;
    job->told_us = now_us;
    int percent = PERCENT_READ;
    if (total > 0)
        percent += (int)((PERCENT_PACKED - PERCENT_READ) * done / total);
    struct operation_step step = {.status = OPERATION_PROCESSING,
                                  .phase = phase,
                                  .progress = percent,
                                  .bytes_done = bytes_done};
    enum sync_status status = step_store(job->service, slice_text(job->operation->user_id),
                                         job->sync_id, &step, &job->is_cancelled);
    /* A report that could not be stored is no reason to stop the work. */
    return status != SYNC_OK || !job->is_cancelled;
}

/* What the device has acknowledged. */
static enum sync_status job_load_device(struct sync_job *job, struct device *ret_device) {
    struct slice user = slice_text(job->operation->user_id);
    struct row wanted = {.table = TABLE_DEVICE};
    if (!key_of_user(&job->arena, user, slice_text(job->operation->device_id), &wanted.key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(job->service->store, NULL, &want, &job->arena, &view);
    if (status != SYNC_OK || !view.rows[0].found)
        return status;
    return device_unpack(view.rows[0].value, ret_device);
}

/* Finds out which bundle answers the operation. A device whose cursor the log no longer reaches
 * gets a snapshot: it replaces what the device holds. */
static enum sync_status job_choose_bundle(struct sync_job *job, struct sync_error *error) {
    struct slice user = slice_text(job->operation->user_id);
    struct device device = {0};
    enum sync_status status = job_load_device(job, &device);
    if (status != SYNC_OK)
        return status;
    const PB(BundleCodec) codec = job->operation->codec;
    struct bundle_params params = {
        .types = message_type_set(job->operation->data_types, job->operation->n_data_types),
        .device = slice_text(job->operation->device_id),
        .sync_type = (int)job->operation->sync_type,
        .patches =
            (int)job->operation->sync_type == SYNC_DELTA ? PATCH_FORM_MERGE : PATCH_FORM_NONE,
    };
    /* Of an earlier version none; of another one perhaps what is not known here. */
    params.codec = bundle_codec_choose(&codec, codec != 0, job->operation->dictionary_id,
                                       &params.dictionary_id);
    struct bundle_want want = bundle_params_want(&params, user, &device);
    struct bundle_source source;
    status = bundle_source_init(&source, job->service->store, &want, error);
    if (status == SYNC_ERR_PRECONDITION || status == SYNC_ERR_INVALID) {
        params.sync_type = SYNC_FULL;
        want = bundle_params_want(&params, user, &device);
        status = bundle_source_init(&source, job->service->store, &want, error);
    }
    if (status != SYNC_OK)
        return status;
    job->bundle = bundle_params_bundle(&params, &source, job->service,
                                       (int64_t)clock_now_us(job->service->clock), &job->arena);
    job->conflicts = source.head.conflicts_open;
    bundle_source_done(&source);
    return job->bundle.id.size > 0 ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Builds the bundle unless it is there: asked for before, perhaps by an earlier attempt of this
 * job. In the bundle's lane. */
static enum sync_status job_build_once(struct sync_job *job, struct sync_error *error) {
    struct bundle stored;
    enum sync_status status =
        bundle_load(job->service, job->bundle.id, job->bundle.user, &job->arena, NULL, &stored);
    if (status == SYNC_OK)
        job->bundle = stored;
    else if (status != SYNC_ERR_NOT_FOUND)
        return status;
    if (job->bundle.is_built)
        return SYNC_OK;
    struct bundle_progress progress = {.told = job_told, .context = job};
    return bundle_build(job->service, &job->bundle, &progress, error);
}

static enum sync_status job_build(struct sync_job *job, struct sync_error *error) {
    enum sync_status status = job_choose_bundle(job, error);
    if (status != SYNC_OK)
        return status;
    struct slice lane;
    if (!lane_of_bundle(&job->arena, job->bundle.id, &lane))
        return SYNC_ERR_NO_MEMORY;
    struct lane_hold hold;
    lane_hold_enter(&hold, job->service, lane);
    status = job_build_once(job, error);
    lane_hold_leave(&hold);
    return status;
}

static enum sync_status job_work(struct sync_job *job, struct sync_error *error) {
    struct slice user = slice_text(job->operation->user_id);
    struct operation_step begin = {
        .status = OPERATION_PROCESSING, .begins = true, .phase = "reading", .progress = 1};
    bool had_ended;
    enum sync_status status = step_store(job->service, user, job->sync_id, &begin, &had_ended);
    if (status != SYNC_OK || had_ended)
        return status;
    job->told_us = (int64_t)clock_monotonic_us(job->service->clock);
    status = job_build(job, error);
    if (status == SYNC_ERR_CANCELLED && job->is_cancelled)
        return SYNC_OK;
    if (status != SYNC_OK)
        return status;
    struct operation_step end = {
        .status = OPERATION_COMPLETED, .bundle = &job->bundle, .conflicts = job->conflicts};
    return step_store(job->service, user, job->sync_id, &end, &had_ended);
}

enum sync_status sync_job_run(void *context, const struct job *queued, struct sync_error *error) {
    struct sync_job job = {.service = context, .sync_id = queued->payload};
    arena_init(&job.arena, JOB_ARENA_MAX);
    enum sync_status status = operation_load(job.service->store, job.sync_id, SLICE_EMPTY,
                                             &job.arena, error, &job.operation);
    if (status == SYNC_OK && !operation_has_ended(job.operation))
        status = job_work(&job, error);
    if (status == SYNC_ERR_NOT_FOUND) /* cleaned up: nobody waits for it */
        status = SYNC_OK;
    arena_done(&job.arena);
    if (status != SYNC_OK && error && error->status != status)
        sync_error_of(error, status);
    return status;
}

enum sync_status sync_job_given_up(void *context, const struct job *queued,
                                   const struct sync_error *error) {
    struct service *service = context;
    /* The cause is the operator's to know; the user hears what to do. */
    struct operation_step step = {
        .status = OPERATION_FAILED,
        .error_message = "the synchronization could not be completed; request it again later"};
    bool had_ended;
    enum sync_status status = step_store(service, queued->user, queued->payload, &step, &had_ended);
    log_line(service->log, LOG_ERROR, "synchronization given up",
             LOG_SLICE("sync_id", queued->payload), LOG_TEXT("cause", error ? error->message : ""),
             LOG_TEXT("marked", sync_status_name(status)));
    /* Cleaned up, or not to be read: nobody waits for it. */
    return status == SYNC_ERR_NOT_FOUND || status == SYNC_ERR_CORRUPT ? SYNC_OK : status;
}
