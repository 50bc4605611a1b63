#include "base/id.h"
#include "service/core/audit.h"
#include "service/core/checksum.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/messages.h"

enum { PARTS_DEFAULT = 16, TYPES_MAX = DATA_TYPE_LAST - DATA_TYPE_FIRST + 1 };

/* An AuditRange on its way; lives in the call's arena. */
struct audit_call {
    struct rpc_call *call;
    const PB(AuditRangeRequest) *request;
    enum data_type first, last; /* kinds of data */
    size_t parts_max;
    struct store_reader *reader;
    size_t bytes_left; /* of records' data in the answer */
};

static bool audit_visit(void *context, const struct scan_item *item) {
    return audit_add(context, item->record);
}

/* Reads records by the call's snapshot. */
static enum sync_status audit_load(const struct audit_call *audited,
                                   const struct record_want *wants, size_t count,
                                   struct user_view *ret_view) {
    struct rpc_call *call = audited->call;
    struct touched want = {
        .user = slice_text(rpc_call_identity(call)->user), .records = wants, .record_count = count};
    return store_load(rpc_call_service(call)->store, audited->reader, &want, rpc_call_arena(call),
                      ret_view);
}

/* Sums one kind of data. */
static enum sync_status audit_sum(const struct audit_call *audited, enum data_type type,
                                  struct audit *ret_audit) {
    struct rpc_call *call = audited->call;
    struct audit_want want = {
        .from = slice_text(audited->request->from_data_id),
        .to = slice_text(audited->request->to_data_id),
        .parts_max = audited->parts_max,
        .records_max = AUDIT_RECORDS_MAX,
        .bytes_max = AUDIT_BYTES_MAX,
    };
    enum sync_status status = audit_init(ret_audit, &want, rpc_call_arena(call));
    struct record_want first = {.key = {type, want.from}};
    struct user_view view;
    if (status == SYNC_OK && want.from.size > 0) { /* a scan begins behind an id */
        status = audit_load(audited, &first, 1, &view);
        if (status == SYNC_OK && view.records[0].found)
            audit_add(ret_audit, &view.records[0].record);
    }
    struct scan scan = {.kind = SCAN_RECORDS,
                        .user = slice_text(rpc_call_identity(call)->user),
                        .type = type,
                        .after_id = want.from};
    if (status == SYNC_OK)
        status = store_scan(rpc_call_service(call)->store, audited->reader, &scan, audit_visit,
                            ret_audit);
    return status == SYNC_OK ? audit_end(ret_audit) : status;
}

/* A range as the answer shows it, without its record. */
static PB(AuditedRange) *range_message(struct arena *arena, enum data_type type,
                                       const struct audit_range *range) {
    PB(AuditedRange) *message = arena_alloc(arena, sizeof *message);
    char *checksum = arena_alloc(arena, 2 * CHECKSUM_SIZE + 1);
    if (!message || !checksum)
        return NULL;
    *message = (PB(AuditedRange))PB_INIT(AUDITED_RANGE);
    checksum_format(range->checksum, checksum);
    message->data_type = (PB(DataType))type;
    message->from_data_id = arena_copy_text(arena, range->from);
    message->to_data_id = arena_copy_text(arena, range->to);
    message->record_count = (int32_t)range->record_count;
    message->checksum = checksum;
    return message->from_data_id && message->to_data_id ? message : NULL;
}

/* Adds the records of ranges that hold one, as far as there is room. */
static enum sync_status audit_fill(struct audit_call *audited, enum data_type type,
                                   const struct audit *audit, PB(AuditedRange) **messages) {
    struct record_want wants[AUDIT_PARTS_MAX];
    PB(AuditedRange) *places[AUDIT_PARTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < audit->count; i++) {
        const struct audit_range *range = &audit->ranges[i];
        if (range->record_count != 1 || range->data_bytes > audited->bytes_left)
            continue;
        audited->bytes_left -= range->data_bytes;
        places[count] = messages[i];
        wants[count++] = (struct record_want){.key = {type, range->first}};
    }
    if (count == 0)
        return SYNC_OK;
    struct user_view view;
    enum sync_status status = audit_load(audited, wants, count, &view);
    for (size_t i = 0; i < count && status == SYNC_OK; i++) {
        places[i]->record =
            message_record(rpc_call_arena(audited->call), &view.records[i].record, true);
        status = places[i]->record ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    return status;
}

/* Fills the answer by the call's snapshot. */
static enum sync_status audit_read(struct audit_call *audited, PB(AuditRangeResponse) *response) {
    struct arena *arena = rpc_call_arena(audited->call);
    struct user_view view;
    enum sync_status status = audit_load(audited, NULL, 0, &view);
    response->ranges =
        arena_zalloc(arena, TYPES_MAX * audited->parts_max, sizeof *response->ranges);
    if (status == SYNC_OK && !response->ranges)
        status = SYNC_ERR_NO_MEMORY;
    for (int type = audited->first; type <= (int)audited->last && status == SYNC_OK; type++) {
        struct audit audit;
        PB(AuditedRange) **messages = response->ranges + response->n_ranges;
        status = audit_sum(audited, (enum data_type)type, &audit);
        for (size_t i = 0; status == SYNC_OK && i < audit.count; i++) {
            messages[i] = range_message(arena, (enum data_type)type, &audit.ranges[i]);
            status = messages[i] ? SYNC_OK : SYNC_ERR_NO_MEMORY;
        }
        if (status == SYNC_OK && audited->request->include_records)
            status = audit_fill(audited, (enum data_type)type, &audit, messages);
        if (status == SYNC_OK)
            response->n_ranges += audit.count;
    }
    if (status != SYNC_OK)
        return status;
    response->cursor = message_cursor(rpc_call_service(audited->call), arena, view.head.sequence);
    return response->cursor ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

static void audit_bound(struct rpc_call *call, const struct device *device, void *context) {
    struct audit_call *audited = context;
    struct store *store = rpc_call_service(call)->store;
    (void)device;
    PB(AuditRangeResponse) response = PB_INIT(AUDIT_RANGE_RESPONSE);
    enum sync_status status = store_reader_open(store, &audited->reader);
    if (status == SYNC_OK) {
        status = audit_read(audited, &response);
        store_reader_close(store, audited->reader);
    }
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
    struct audit_call *audited = arena_zalloc(rpc_call_arena(call), 1, sizeof *audited);
    if (!audited) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    size_t parts_default = type > 0 ? PARTS_DEFAULT : 1;
    *audited = (struct audit_call){
        .call = call,
        .request = request,
        .first = type > 0 ? (enum data_type)type : DATA_TYPE_FIRST,
        .last = type > 0 ? (enum data_type)type : DATA_TYPE_LAST,
        .parts_max = request->parts > 0 ? (size_t)request->parts : parts_default,
        .bytes_left = AUDIT_ANSWER_BYTES_MAX,
    };
    if (claim.id.size == 0)
        audit_bound(call, NULL, audited);
    else
        device_bind(call, &claim, audit_bound, audited);
}
