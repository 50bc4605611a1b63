#include "service/core/document.h"
#include "service/rpc/conflict_read.h"
#include "service/rpc/conflict_view.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/violations.h"

/* So long before a resolved conflict is removed it is not taken back any more. */
static const int64_t UNDO_MARGIN_US = 60000000;

/* A resolution on its way; lives in the call's arena. */
struct conflict_resolution {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct slice conflict_id;
    bool is_undo; /* the request does not count */
    struct resolution_request request;
    struct conflict conflict;
    struct record record;
    struct sync_error error;
};

/* What is about to be removed is not opened again: clean-up does not look whether it was. */
static bool resolution_is_fading(const struct service *service, const struct conflict *conflict,
                                 int64_t now_us) {
    int64_t kept_us = (int64_t)service->retention.log_us - UNDO_MARGIN_US;
    return conflict->resolved_us != 0 && now_us - conflict->resolved_us > kept_us;
}

static enum sync_status resolution_apply(struct lane_write *write, struct write_set *ret_set) {
    struct conflict_resolution *resolution = (struct conflict_resolution *)write;
    struct arena *arena = rpc_call_arena(resolution->call);
    struct conflict before;
    struct conflict_reading reading;
    enum sync_status status =
        conflict_load(resolution->call, resolution->conflict_id, &resolution->error, &before);
    if (status == SYNC_OK)
        status = conflict_read(write->service, resolution->conflict_id, arena, &reading);
    if (status == SYNC_OK && !reading.found)
        status = SYNC_ERR_BUSY; /* it went between the two reads */
    if (status != SYNC_OK)
        return status;
    int64_t now_us = reading.context.now_us;
    if (resolution->is_undo && resolution_is_fading(write->service, &before, now_us))
        return sync_error_set(&resolution->error, SYNC_ERR_PRECONDITION, "RESOLVED_LONG_AGO",
                              "conflictId", "The resolution is too old to be taken back.");
    if (resolution->is_undo)
        return conflict_undo(&reading.view, &reading.conflict, now_us, arena, &resolution->error,
                             ret_set, &resolution->conflict, &resolution->record);
    return conflict_resolve(&reading.view, &reading.conflict, &resolution->request,
                            &reading.context, arena, &resolution->error, ret_set,
                            &resolution->conflict, &resolution->record);
}

/* The record has moved on: the conflict, which stays open, has just been made to show it. */
static enum sync_status resolution_refuse_blind(struct conflict_resolution *resolution) {
    return sync_error_set(
        &resolution->error, SYNC_ERR_PRECONDITION, "VERSION_MISMATCH", "baseVersion",
        "The record has moved on to version %llu; the conflict shows it now: look "
        "again, then resolve.",
        (unsigned long long)resolution->conflict.server_version);
}

static void resolution_fail(struct conflict_resolution *resolution, enum sync_status status) {
    if (resolution->error.status == status)
        rpc_call_fail(resolution->call, &resolution->error);
    else
        call_fail_status(resolution->call, status);
}

static void resolution_finish(struct lane_write *write, enum sync_status status) {
    struct conflict_resolution *resolution = (struct conflict_resolution *)write;
    struct arena *arena = rpc_call_arena(resolution->call);
    PB(ResolveConflictResponse) response = PB_INIT(RESOLVE_CONFLICT_RESPONSE);
    if (status == SYNC_OK && resolution->conflict.resolved_us == 0)
        status = resolution_refuse_blind(resolution);
    if (status == SYNC_OK) {
        response.conflict = conflict_message(&resolution->conflict, NULL, arena);
        response.record = message_record(arena, &resolution->record, true);
        if (!response.conflict || !response.record)
            status = SYNC_ERR_NO_MEMORY;
    }
    if (status != SYNC_OK) {
        resolution_fail(resolution, status);
        return;
    }
    const struct sync_metrics *metrics = write->service->sync_metrics;
    if (metrics && write->set.row_count > 0)
        metric_add(metrics->resolutions[resolution->request.resolution], 1);
    sync_service_resolve_conflict_reply(resolution->call, &response);
}

static void undo_finish(struct lane_write *write, enum sync_status status) {
    struct conflict_resolution *resolution = (struct conflict_resolution *)write;
    struct arena *arena = rpc_call_arena(resolution->call);
    PB(UndoResolutionResponse) response = PB_INIT(UNDO_RESOLUTION_RESPONSE);
    if (status == SYNC_OK) {
        response.conflict = conflict_message(&resolution->conflict, NULL, arena);
        response.record = message_record(arena, &resolution->record, true);
        if (!response.conflict || !response.record)
            status = SYNC_ERR_NO_MEMORY;
    }
    if (status != SYNC_OK) {
        resolution_fail(resolution, status);
        return;
    }
    const struct sync_metrics *metrics = write->service->sync_metrics;
    if (metrics && write->set.row_count > 0)
        metric_add(metrics->undone, 1);
    sync_service_undo_resolution_reply(resolution->call, &response);
}

/* Goes into the user's lane. */
static void resolution_start(struct conflict_resolution *resolution,
                             void (*finish)(struct lane_write *, enum sync_status)) {
    struct rpc_call *call = resolution->call;
    resolution->write = (struct lane_write){.service = rpc_call_service(call),
                                            .lane = slice_text(rpc_call_identity(call)->user),
                                            .apply = resolution_apply,
                                            .finish = finish};
    lane_write_start(&resolution->write);
}

/* Makes the merged data canonical, or adds a violation. */
static void resolution_take_merged(struct conflict_resolution *resolution,
                                   const PB(ResolveConflictRequest) *request,
                                   struct violations *violations) {
    bool is_given = request->merged_data_presence_case != 0;
    bool is_merge = resolution->request.resolution == RESOLUTION_MERGE;
    if (is_merge && !is_given)
        violations_add(violations, "mergedData", "REQUIRED",
                       "is required when resolution is merge");
    if (!is_merge && is_given)
        violations_add(violations, "mergedData", "NOT_TOGETHER",
                       "must be given only when resolution is merge");
    if (!is_merge || !is_given)
        return;
    struct slice data = slice_of(request->merged_data.data, request->merged_data.len);
    struct sync_error error = {0};
    enum sync_status status = SYNC_OK;
    if (data.size > CHANGE_DATA_MAX)
        violations_add(violations, "mergedData", "TOO_LARGE", "must have at most %d bytes",
                       CHANGE_DATA_MAX);
    else
        status = document_normalize(data, violations->arena, &error, &resolution->request.merged);
    if (status == SYNC_ERR_NO_MEMORY) {
        violations->no_memory = true;
    } else if (status != SYNC_OK) {
        sync_error_prefix(&error, "mergedData");
        violations_add_error(violations, &error, "INVALID_VALUE");
    }
}

/* What is to be done with the conflict of this id; begins to look for faults. NULL: the call has
 * failed without memory. */
static struct conflict_resolution *resolution_make(struct rpc_call *call, const char *conflict_id,
                                                   struct violations *violations) {
    struct conflict_resolution *resolution =
        arena_zalloc(rpc_call_arena(call), 1, sizeof *resolution);
    if (!resolution) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return NULL;
    }
    resolution->call = call;
    resolution->conflict_id = slice_text(conflict_id);
    violations_init(violations, rpc_call_arena(call), rpc_call_faults(call));
    violations_check_uuid(violations, "conflictId", conflict_id);
    return resolution;
}

void conflict_resolve_handle(struct rpc_call *call) {
    const PB(ResolveConflictRequest) *request = sync_service_resolve_conflict_unpack(call);
    if (!request)
        return;
    struct violations violations;
    struct conflict_resolution *resolution =
        resolution_make(call, request->conflict_id, &violations);
    if (!resolution)
        return;
    int how = (int)request->resolution;
    if (how == 0)
        violations_add(&violations, "resolution", "REQUIRED",
                       "is required: client, server or merge");
    else if (how < RESOLUTION_CLIENT || how > RESOLUTION_MERGE)
        violations_add(&violations, "resolution", "INVALID_VALUE",
                       "must be client, server or merge");
    if (request->base_version < 0)
        violations_add(&violations, "baseVersion", "OUT_OF_RANGE", "must not be negative");
    resolution->request.resolution = (enum resolution)how;
    resolution->request.expected_version = (uint64_t)request->base_version;
    resolution_take_merged(resolution, request, &violations);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    resolution_start(resolution, resolution_finish);
}

void conflict_undo_handle(struct rpc_call *call) {
    const PB(UndoResolutionRequest) *request = sync_service_undo_resolution_unpack(call);
    if (!request)
        return;
    struct violations violations;
    struct conflict_resolution *resolution =
        resolution_make(call, request->conflict_id, &violations);
    if (!resolution)
        return;
    resolution->is_undo = true;
    if (!violations_end(&violations, call) && device_guard(call))
        resolution_start(resolution, undo_finish);
}
