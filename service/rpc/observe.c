/* Observation: metrics, the audit line and the access line of a call that has ended. */
#include "service/rpc/call_private.h"

/* Bytes of the request, as received. */
static int64_t request_size(const struct rpc_call *call) {
    return (int64_t)call->request.size;
}

void call_observe(struct rpc_call *call) {
    struct rpc_server *server = call->queue->server;
    uint64_t took_us = clock_monotonic_us(server->service->clock) - call->started_us;
    method_entry_handled(call->entry, call->code, (double)took_us / 1e6);
    const struct rpc_method *method = method_entry_method(call->entry);
    struct slice path = method ? slice_text(method->path) : slice_of_grpc(&call->details.method);
    struct slice device = call->device.size ? call->device : slice_text(call->identity.device);
    if (method && method->policy->is_audited)
        log_line(server->audit_log, LOG_INFO, "audit", LOG_TEXT("user", call->identity.user),
                 LOG_SLICE("device", device), LOG_SLICE("method", path),
                 LOG_TEXT("code", rpc_code_name(call->code)),
                 LOG_SLICE("request_id", call->request_id), LOG_SLICE("trace_id", call->trace_id));
    log_line(server->service->log, LOG_DEBUG, "call", LOG_SLICE("method", path),
             LOG_TEXT("user", call->identity.user), LOG_SLICE("device", device),
             LOG_TEXT("code", rpc_code_name(call->code)), LOG_INT("took_us", (int64_t)took_us),
             LOG_INT("request_bytes", request_size(call)),
             LOG_SLICE("request_id", call->request_id), LOG_SLICE("trace_id", call->trace_id));
}
