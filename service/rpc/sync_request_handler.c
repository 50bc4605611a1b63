#include <stdio.h>

#include "service/rpc/bundle_params.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_job.h"
#include "service/rpc/sync_metrics.h"

enum { OPERATIONS_RETRY_MS = 5000 };

/* A request on its way; lives in the call's arena. */
struct sync_request {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct slice user, device;
    data_type_set types;
    enum sync_type sync_type;
    enum bundle_codec_number codec;
    uint32_t dictionary_id;
    char sync_id[UUID_TEXT_SIZE + 1];
    bool too_many;
    struct row_write rows[OPERATION_ROWS_MAX + 1];
};

static enum sync_status request_apply(struct lane_write *write, struct write_set *ret_set) {
    struct sync_request *request = (struct sync_request *)write;
    struct service *service = write->service;
    struct arena *arena = rpc_call_arena(request->call);
    size_t open_count;
    enum sync_status status =
        operation_count_open(service->store, request->user, (int64_t)clock_now_us(service->clock),
                             service->operations_max, arena, &open_count);
    if (status != SYNC_OK)
        return status;
    request->too_many = open_count >= service->operations_max;
    if (request->too_many)
        return SYNC_ERR_EXHAUSTED;
    struct operation_draft draft = {
        .sync_id = request->sync_id,
        .user = request->user,
        .device = request->device,
        .types = request->types,
        .sync_type = request->sync_type,
        .status = OPERATION_PENDING,
        .phase = "queued",
        .created_us = rpc_call_received_us(request->call),
        .codec = request->codec,
        .dictionary_id = request->dictionary_id,
    };
    PB(SyncOperation) *operation = operation_make(&draft, arena);
    if (!operation)
        return SYNC_ERR_NO_MEMORY;
    size_t count = 0;
    status = operation_put(operation, true, arena, request->rows, &count);
    struct job job = {
        .kind = SLICE(SYNC_JOB_KIND),
        .user = request->user,
        .payload = slice_text(request->sync_id),
        .due_us = clock_now_us(service->clock),
    };
    if (status == SYNC_OK)
        status = job_queue_put(service->jobs, &job, arena, &request->rows[count++]);
    *ret_set = (struct write_set){
        .user = request->user, .any_revision = true, .rows = request->rows, .row_count = count};
    return status;
}

static void request_finish(struct lane_write *write, enum sync_status status) {
    struct sync_request *request = (struct sync_request *)write;
    struct service *service = write->service;
    if (status == SYNC_ERR_EXHAUSTED && request->too_many) {
        struct limit_decision decision = {.limit = service->operations_max,
                                          .retry_after_ms = OPERATIONS_RETRY_MS,
                                          .reset_ms = OPERATIONS_RETRY_MS};
        rpc_call_fail_limit(request->call, "concurrent synchronizations", &decision);
        return;
    }
    if (status != SYNC_OK) {
        call_fail_status(request->call, status);
        return;
    }
    if (service->sync_metrics)
        metric_add(service->sync_metrics->operations[OPERATION_PENDING], 1);
    job_queue_wake(service->jobs);
    PB(RequestSyncResponse) response = PB_INIT(REQUEST_SYNC_RESPONSE);
    response.sync_id = request->sync_id;
    response.status = (PB(SyncStatus))OPERATION_PENDING;
    sync_service_request_sync_reply(request->call, &response);
}

static void request_bound(struct rpc_call *call, const struct device *device, void *context) {
    (void)device;
    struct sync_request *request = context;
    request->write = (struct lane_write){.service = rpc_call_service(call),
                                         .lane = request->user,
                                         .apply = request_apply,
                                         .finish = request_finish};
    lane_write_start(&request->write);
}

/* Checks and takes over; false when the call has ended over it. */
static bool request_check(struct sync_request *request, const PB(RequestSyncRequest) *message) {
    struct violations violations;
    violations_init(&violations, rpc_call_arena(request->call), rpc_call_faults(request->call));
    if (message->n_data_types == 0)
        violations_add(&violations, "dataTypes", "REQUIRED",
                       "is required: trips, bookings, profiles or preferences");
    if (message->n_data_types > DATA_TYPES_NAMED_MAX)
        violations_add(&violations, "dataTypes", "OUT_OF_RANGE", "must name at most %d",
                       DATA_TYPES_NAMED_MAX);
    for (size_t i = 0; i < message->n_data_types; i++)
        violations_check_type(&violations, i, (int)message->data_types[i]);
    int sync_type = (int)message->sync_type;
    if (sync_type == 0)
        violations_add(&violations, "syncType", "REQUIRED",
                       "is required: full, delta or incremental");
    else if (sync_type < 0 || sync_type > SYNC_INCREMENTAL)
        violations_add(&violations, "syncType", "INVALID_VALUE",
                       "must be full, delta or incremental");
    request->device = device_check(request->call, &violations, message->device_id, true);
    request->types = message_type_set(message->data_types, message->n_data_types);
    request->sync_type = (enum sync_type)sync_type;
    request->codec = bundle_codec_choose(message->codecs, message->n_codecs, message->dictionary_id,
                                         &request->dictionary_id);
    return !violations_end(&violations, request->call);
}

void sync_request_handle(struct rpc_call *call) {
    struct service *service = rpc_call_service(call);
    PB(RequestSyncRequest) *message = sync_service_request_sync_unpack(call);
    if (!message)
        return;
    struct sync_request *request = arena_zalloc(rpc_call_arena(call), 1, sizeof *request);
    if (!request) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    request->call = call;
    request->user = slice_text(rpc_call_identity(call)->user);
    if (!request_check(request, message))
        return;
    uuid_v7(clock_now_us(service->clock), service->random, request->sync_id);
    device_bind(call, &(struct device_claim){.id = request->device}, request_bound, request);
}
