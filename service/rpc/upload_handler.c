#include "service/core/cursor.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/operation.h"
#include "service/rpc/upload.h"

/* A call of UploadChanges on its way; lives in the call's arena. */
struct upload_call {
    struct upload upload; /* first: found from it */
    struct rpc_call *call;
    char sync_id[UUID_TEXT_SIZE + 1];
    PB(UploadChangesResponse) response;
};

static enum sync_status upload_call_prepare(struct upload *upload) {
    struct upload_call *state = (struct upload_call *)upload;
    PB(UploadChangesResponse) response = PB_INIT(UPLOAD_CHANGES_RESPONSE);
    response.results = upload->messages;
    response.n_results = upload->content.count;
    if (!upload->store_nothing)
        response.sync_id = state->sync_id;
    response.status = (PB(SyncStatus))OPERATION_COMPLETED;
    for (size_t i = 0; i < upload->content.count; i++)
        if (upload->results[i].outcome == OUTCOME_PENDING)
            response.status = (PB(SyncStatus))OPERATION_PENDING;
    response.write_checkpoint = message_cursor(upload->service, upload->arena, upload->sequence);
    response.server_time =
        message_time(upload->arena, (int64_t)clock_now_us(upload->service->clock));
    if (!response.write_checkpoint || !response.server_time)
        return SYNC_ERR_NO_MEMORY;
    state->response = response;
    return SYNC_OK;
}

static void upload_call_done(struct upload *upload, enum sync_status status) {
    struct upload_call *state = (struct upload_call *)upload;
    if (status == SYNC_OK)
        sync_service_upload_changes_reply(state->call, &state->response);
    else if (upload->error.status == status)
        rpc_call_fail(state->call, &upload->error);
    else
        call_fail_status(state->call, status);
}

static void upload_call_start(struct rpc_call *call, const struct device *device, void *context) {
    (void)call;
    (void)device; /* its row is read again, in the user's lane */
    upload_start(context);
}

/* Reads the acknowledged cursor; false when the call has ended over it. */
static bool upload_call_take_cursor(struct upload_call *state, const char *acknowledged_cursor,
                                    struct violations *violations) {
    struct slice text = slice_text(acknowledged_cursor);
    struct cursor cursor = {0};
    if (text.size > 0 && cursor_parse(text, &cursor) != SYNC_OK)
        violations_add(violations, "acknowledgedCursor", "INVALID_VALUE",
                       "must be a cursor that this service has given out");
    if (violations_end(violations, state->call))
        return false;
    if (text.size > 0 && cursor.epoch != store_epoch(state->upload.service->store)) {
        rpc_call_fail_with(state->call, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED",
                           "the acknowledged cursor is of an earlier store: get a full bundle, "
                           "then send the changes again");
        return false;
    }
    state->upload.has_acknowledged = text.size > 0;
    state->upload.acknowledged = cursor.sequence;
    return true;
}

/* Makes the state of a call; NULL when it has ended for want of memory. */
static struct upload_call *upload_call_make(struct rpc_call *call,
                                            const PB(UploadChangesRequest) *request) {
    struct service *service = rpc_call_service(call);
    struct upload_call *state = arena_zalloc(rpc_call_arena(call), 1, sizeof *state);
    if (!state) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return NULL;
    }
    state->call = call;
    uuid_v7(clock_now_us(service->clock), service->random, state->sync_id);
    state->upload = (struct upload){
        .service = service,
        .arena = rpc_call_arena(call),
        .user = slice_text(rpc_call_identity(call)->user),
        .store_nothing = request->validate_only,
        .sync_id = state->sync_id,
        .received_us = rpc_call_received_us(call),
        .bytes = rpc_call_request(call).size,
        .prepare = upload_call_prepare,
        .done = upload_call_done,
    };
    return state;
}

void changes_upload_handle(struct rpc_call *call) {
    const PB(UploadChangesRequest) *request = sync_service_upload_changes_unpack(call);
    struct upload_call *state = request ? upload_call_make(call, request) : NULL;
    if (!state)
        return;
    struct upload *upload = &state->upload;
    struct violations violations;
    violations_init(&violations, upload->arena, rpc_call_faults(call));
    struct upload_message message = {
        .changes = request->changes, .count = request->n_changes, .sent_at = request->sent_at};
    upload_check(upload, &message, &violations);
    upload->device = device_check(call, &violations, request->device_id, true);
    if (!upload_call_take_cursor(state, request->acknowledged_cursor, &violations))
        return;
    struct limit_decision decision = upload_take(upload, rpc_call_identity(call)->is_service);
    if (!decision.allowed) {
        rpc_call_fail_limit(call, "changes", &decision);
        return;
    }
    struct device_claim claim = {.id = upload->device, .store_nothing = request->validate_only};
    device_bind(call, &claim, upload_call_start, upload);
}
