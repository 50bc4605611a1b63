/* What becomes of a job in quarantine: it is tried again, or discarded. */
#include "service/queue/job_queue.h"
#include "service/rpc/change_job.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/parked.h"
#include "service/rpc/quarantine.h"
#include "service/rpc/sync_job.h"

/* Two rows move the job; the operation's, or the user's list of parked changes. */
enum { DECISION_ROWS = 2 + OPERATION_ROWS_MAX };

/* A decision on its way; lives in the call's arena. */
struct decision {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct slice job_id;
    bool discards;
    struct quarantined entry;
    struct row_write rows[DECISION_ROWS];
    size_t row_count;
    PB(QuarantinedJob) *message;
    struct sync_error error;
};

/* The operation of a sync that was given up has failed: it is pending once more. One that is gone,
 * or was cancelled meanwhile, stays so, and the job then ends by itself. */
static enum sync_status retry_operation(struct decision *decision) {
    struct arena *arena = rpc_call_arena(decision->call);
    struct service *service = decision->write.service;
    PB(SyncOperation) *operation;
    enum sync_status status = operation_load(service->store, decision->entry.job.payload,
                                             SLICE_EMPTY, arena, NULL, &operation);
    if (status == SYNC_ERR_NOT_FOUND)
        return SYNC_OK;
    if (status != SYNC_OK || (int)operation->status != OPERATION_FAILED)
        return status;
    operation->status = (PB(SyncStatus))OPERATION_PENDING;
    operation->phase = "queued";
    operation->error_message = "";
    operation->end_time = NULL;
    operation->updated_at = message_time(arena, (int64_t)clock_now_us(service->clock));
    if (!operation->updated_at)
        return SYNC_ERR_NO_MEMORY;
    return operation_put(operation, true, arena, decision->rows, &decision->row_count);
}

static enum sync_status retry_apply(struct decision *decision, struct write_set *ret_set) {
    struct quarantined *entry = &decision->entry;
    struct arena *arena = rpc_call_arena(decision->call);
    if (!entry->rests) /* it is tried again already */
        return SYNC_OK;
    enum sync_status status =
        job_queue_put_back(decision->write.service->jobs, &entry->job, arena, decision->rows);
    decision->row_count = 2;
    if (status == SYNC_OK && slice_equal(entry->job.kind, SLICE(SYNC_JOB_KIND)))
        status = retry_operation(decision);
    if (status != SYNC_OK)
        return status;
    entry->rests = false;
    entry->job.attempts = 0;
    entry->job.due_us = clock_now_us(decision->write.service->clock);
    *ret_set = (struct write_set){.user = decision->write.lane,
                                  .any_revision = true,
                                  .rows = decision->rows,
                                  .row_count = decision->row_count};
    return SYNC_OK;
}

/* Settles the change as rejected, and lets go what waits behind it. */
static enum sync_status discard_change(struct decision *decision, struct write_set *ret_set) {
    const struct job *job = &decision->entry.job;
    struct arena *arena = rpc_call_arena(decision->call);
    struct parked_change parked;
    struct row wanted = {.table = TABLE_PARKED};
    struct user_view view;
    if (parked_change_unpack(job->payload, &parked) != SYNC_OK)
        return SYNC_OK; /* nothing is known of it that could be told */
    if (!key_of_user(arena, job->user, SLICE_EMPTY, &wanted.key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = job->user, .rows = &wanted, .row_count = 1};
    struct parked_list list, rest;
    enum sync_status status = store_load(decision->write.service->store, NULL, &want, arena, &view);
    if (status == SYNC_OK)
        status = parked_list_read(&view.rows[0], arena, &list);
    if (status != SYNC_OK)
        return status;
    if (!parked_list_copy(&list, job->id, 0, arena, &rest) ||
        !parked_list_write(&rest, job->user, arena, &decision->rows[decision->row_count++]))
        return SYNC_ERR_NO_MEMORY;
    struct change_batch batch = {
        .user = job->user, .device = parked.device, .changes = &parked.change, .count = 1};
    return change_discard(&view, &batch, "DISCARDED",
                          SLICE("The service could not apply it, and it was discarded."), arena,
                          ret_set);
}

static enum sync_status discard_apply(struct decision *decision, struct write_set *ret_set) {
    const struct quarantined *entry = &decision->entry;
    if (!entry->rests)
        return sync_error_set(&decision->error, SYNC_ERR_PRECONDITION, "NOT_QUARANTINED", NULL,
                              "the job is still being tried");
    struct write_set set = {.user = decision->write.lane, .any_revision = true};
    decision->rows[0] =
        (struct row_write){.table = TABLE_QUARANTINE, .key = entry->job.id, .remove = true};
    decision->row_count = 1;
    enum sync_status status = SYNC_OK;
    if (slice_equal(entry->job.kind, SLICE(CHANGE_JOB_KIND)) && entry->job.user.size > 0)
        status = discard_change(decision, &set);
    set.rows = decision->rows;
    set.row_count = decision->row_count;
    if (status == SYNC_OK)
        *ret_set = set;
    return status;
}

static enum sync_status decision_apply(struct lane_write *write, struct write_set *ret_set) {
    struct decision *decision = (struct decision *)write;
    struct arena *arena = rpc_call_arena(decision->call);
    struct write_set set = {0};
    decision->row_count = 0;
    enum sync_status status =
        quarantined_load(write->service, decision->job_id, rpc_call_identity(decision->call), arena,
                         &decision->error, &decision->entry);
    if (status == SYNC_OK)
        status = decision->discards ? discard_apply(decision, &set) : retry_apply(decision, &set);
    if (status != SYNC_OK)
        return status;
    decision->message = quarantined_message(&decision->entry, true, arena);
    if (!decision->message)
        return SYNC_ERR_NO_MEMORY;
    *ret_set = set;
    return SYNC_OK;
}

static void decision_finish(struct lane_write *write, enum sync_status status) {
    struct decision *decision = (struct decision *)write;
    struct rpc_call *call = decision->call;
    if (status != SYNC_OK) {
        if (decision->error.status == status)
            rpc_call_fail(call, &decision->error);
        else
            call_fail_status(call, status);
        return;
    }
    log_line(write->service->log, LOG_INFO, "quarantine",
             LOG_TEXT("decision", decision->discards ? "discard" : "retry"),
             LOG_SLICE("job", decision->entry.job.id), LOG_SLICE("kind", decision->entry.job.kind),
             LOG_SLICE("user", decision->entry.job.user),
             LOG_TEXT("by", rpc_call_identity(call)->user));
    if (decision->discards) {
        PB(DiscardQuarantinedJobResponse) response = PB_INIT(DISCARD_QUARANTINED_JOB_RESPONSE);
        response.job = decision->message;
        sync_service_discard_quarantined_job_reply(call, &response);
        return;
    }
    job_queue_wake(write->service->jobs);
    PB(RetryQuarantinedJobResponse) response = PB_INIT(RETRY_QUARANTINED_JOB_RESPONSE);
    response.job = decision->message;
    sync_service_retry_quarantined_job_reply(call, &response);
}

/* Begins the decision in the lane of the job's user, so that it and the job's own commits wait for
 * each other. */
static void decision_start(struct rpc_call *call, const char *job_id, bool discards) {
    struct arena *arena = rpc_call_arena(call);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    violations_check_uuid(&violations, "jobId", job_id);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    struct decision *decision = arena_zalloc(arena, 1, sizeof *decision);
    if (!decision) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    decision->call = call;
    decision->job_id = slice_text(job_id);
    decision->discards = discards;
    if (quarantined_load(rpc_call_service(call), decision->job_id, rpc_call_identity(call), arena,
                         &decision->error, &decision->entry) != SYNC_OK) {
        rpc_call_fail(call, &decision->error);
        return;
    }
    struct slice user = decision->entry.job.user;
    decision->write = (struct lane_write){.service = rpc_call_service(call),
                                          .lane = user.size > 0 ? user : SLICE("\x01job"),
                                          .apply = decision_apply,
                                          .finish = decision_finish};
    lane_write_start(&decision->write);
}

void quarantine_retry_handle(struct rpc_call *call) {
    const PB(RetryQuarantinedJobRequest) *request = sync_service_retry_quarantined_job_unpack(call);
    if (request)
        decision_start(call, request->job_id, false);
}

void quarantine_discard_handle(struct rpc_call *call) {
    const PB(DiscardQuarantinedJobRequest) *request =
        sync_service_discard_quarantined_job_unpack(call);
    if (request)
        decision_start(call, request->job_id, true);
}
