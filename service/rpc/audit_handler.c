#include "service/rpc/audit_read.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"

static void audit_bound(struct rpc_call *call, const struct device *device, void *context) {
    const struct audit_question *question = context;
    (void)device;
    PB(AuditRangeResponse) response;
    enum sync_status status =
        audit_read(rpc_call_service(call), question, rpc_call_arena(call), &response);
    if (status == SYNC_OK)
        sync_service_audit_range_reply(call, &response);
    else
        call_fail_status(call, status);
}

void audit_range_handle(struct rpc_call *call) {
    const PB(AuditRangeRequest) *request = sync_service_audit_range_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    struct audit_question *question = arena_alloc(rpc_call_arena(call), sizeof *question);
    if (!question) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    *question = audit_question_of(request, slice_text(rpc_call_identity(call)->user), &violations);
    struct device_claim claim = {.id = device_check(call, &violations, request->device_id, false)};
    if (violations_end(&violations, call))
        return;
    if (claim.id.size == 0)
        audit_bound(call, NULL, question);
    else
        device_bind(call, &claim, audit_bound, question);
}
