/* WatchSyncOperation: the operation as it is, and again after each change, until it has ended. A
 * client that reads slowly misses steps, never the last one. */
#include "base/sha256.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/live_stream.h"
#include "service/rpc/operation.h"
#include "service/rpc/violations.h"

enum { EVENT_ID_MAX = 32 };

/* A watch; in the call's arena. */
struct operation_watch {
    struct live_stream live; /* first: found from it */
    struct slice sync_id;
    struct slice last; /* the id of the event that the client has; empty: none */
    char last_text[EVENT_ID_MAX];
};

/* An event's id: the time of the change, and a sum that keeps two changes of one moment apart. */
static char *event_id(const PB(SyncOperation) *operation, struct arena *arena) {
    int64_t time_us = 0;
    struct slice bytes;
    if (!message_pack(&operation->base, arena, &bytes))
        return NULL;
    (void)message_time_us(operation->updated_at, &time_us);
    return arena_format(arena, "%llx-%08x", (unsigned long long)time_us, crc32c(0, bytes));
}

/* Makes the event and remembers that the client has it. */
static bool event_make(struct operation_watch *watch, PB(SyncOperation) *operation, char *id,
                       struct arena *arena, struct slice *ret_message) {
    PB(WatchSyncOperationResponse) response = PB_INIT(WATCH_SYNC_OPERATION_RESPONSE);
    response.event_id = id;
    response.operation = operation;
    struct slice text = slice_text(id);
    if (text.size > EVENT_ID_MAX || !message_pack(&response.base, arena, ret_message))
        return false;
    memcpy(watch->last_text, text.data, text.size);
    watch->last = slice_of(watch->last_text, text.size);
    return true;
}

static void operation_watch_turn(struct live_stream *live, struct arena *arena,
                                 struct live_step *ret_step) {
    struct operation_watch *watch = (struct operation_watch *)live;
    PB(SyncOperation) *operation;
    enum sync_status status = operation_load(rpc_call_service(live->call)->store, watch->sync_id,
                                             live->user, arena, &ret_step->error, &operation);
    if (status != SYNC_OK) {
        ret_step->kind = LIVE_FAIL;
        return;
    }
    int64_t now_us = (int64_t)clock_now_us(rpc_call_service(live->call)->clock);
    if (operation_judge(operation, now_us, arena) != SYNC_OK) {
        live_step_fail(ret_step, SYNC_ERR_NO_MEMORY);
        return;
    }
    int64_t stale_us = operation_stale_us(operation);
    if (stale_us != INT64_MAX) /* nobody commits it when it goes stale */
        ret_step->wake_us =
            clock_monotonic_us(rpc_call_service(live->call)->clock) + (uint64_t)(stale_us - now_us);
    char *id = event_id(operation, arena);
    if (!id) {
        live_step_fail(ret_step, SYNC_ERR_NO_MEMORY);
    } else if (!slice_equal(slice_text(id), watch->last)) {
        ret_step->kind = LIVE_SEND;
        ret_step->has_more = operation_has_ended(operation); /* the end */
        if (!event_make(watch, operation, id, arena, &ret_step->message))
            live_step_fail(ret_step, SYNC_ERR_NO_MEMORY);
    } else if (operation_has_ended(operation)) {
        ret_step->kind = LIVE_END;
    }
}

void sync_operation_watch_handle(struct rpc_call *call) {
    const PB(WatchSyncOperationRequest) *request = sync_service_watch_sync_operation_unpack(call);
    if (!request)
        return;
    struct arena *arena = rpc_call_arena(call);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    violations_check_uuid(&violations, "syncId", request->sync_id);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    struct operation_watch *watch = arena_zalloc(arena, 1, sizeof *watch);
    if (!watch) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    watch->live = (struct live_stream){.call = call,
                                       .user = slice_text(rpc_call_identity(call)->user),
                                       .tables = UINT32_C(1) << TABLE_OPERATION,
                                       .turn = operation_watch_turn};
    watch->sync_id = slice_text(request->sync_id);
    watch->last = slice_text(request->last_event_id);
    live_stream_start(&watch->live);
}
