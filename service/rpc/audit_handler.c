#include "base/id.h"
#include "service/rpc/audit_read.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"

enum { PARTS_DEFAULT = 16 };

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

/* Adds the faults of the range's ends. */
static void audit_check_ends(const PB(AuditRangeRequest) *request, struct violations *violations) {
    struct slice from = slice_text(request->from_data_id), to = slice_text(request->to_data_id);
    if (request->data_type == 0 && (from.size > 0 || to.size > 0))
        violations_add(violations, "dataType", "REQUIRED",
                       "must be given with fromDataId or toDataId");
    if (from.size > 0 && !data_id_is_valid(from))
        violations_add(violations, "fromDataId", "INVALID_FORMAT",
                       "must be 1 to %d bytes without control characters", DATA_ID_MAX);
    if (to.size > 0 && !data_id_is_valid(to))
        violations_add(violations, "toDataId", "INVALID_FORMAT",
                       "must be 1 to %d bytes without control characters", DATA_ID_MAX);
    if (to.size > 0 && slice_compare(from, to) >= 0)
        violations_add(violations, "toDataId", "OUT_OF_RANGE",
                       "must come behind fromDataId, by the bytes of UTF-8");
}

void audit_range_handle(struct rpc_call *call) {
    const PB(AuditRangeRequest) *request = sync_service_audit_range_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    int type = (int)request->data_type;
    if (type < 0 || type > DATA_TYPE_LAST)
        violations_add(&violations, "dataType", "INVALID_VALUE",
                       "must be trip, profile, preference or booking");
    audit_check_ends(request, &violations);
    if (request->parts < 0 || request->parts > AUDIT_PARTS_MAX)
        violations_add(&violations, "parts", "OUT_OF_RANGE", "must be 1 to %d", AUDIT_PARTS_MAX);
    struct device_claim claim = {.id = device_check(call, &violations, request->device_id, false)};
    if (violations_end(&violations, call))
        return;
    struct audit_question *question = arena_zalloc(rpc_call_arena(call), 1, sizeof *question);
    if (!question) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    size_t parts_default = type > 0 ? PARTS_DEFAULT : 1;
    *question = (struct audit_question){
        .user = slice_text(rpc_call_identity(call)->user),
        .first = type > 0 ? (enum data_type)type : DATA_TYPE_FIRST,
        .last = type > 0 ? (enum data_type)type : DATA_TYPE_LAST,
        .from = slice_text(request->from_data_id),
        .to = slice_text(request->to_data_id),
        .parts_max = request->parts > 0 ? (size_t)request->parts : parts_default,
        .include_records = request->include_records,
    };
    if (claim.id.size == 0)
        audit_bound(call, NULL, question);
    else
        device_bind(call, &claim, audit_bound, question);
}
