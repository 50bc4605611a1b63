#include "service/rpc/audit_read.h"

#include <assert.h>

#include "base/id.h"
#include "service/core/audit.h"
#include "service/core/checksum.h"

enum { PARTS_DEFAULT = 16 };

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

struct audit_question audit_question_of(const PB(AuditRangeRequest) *request, struct slice user,
                                        struct violations *violations) {
    int type = (int)request->data_type;
    size_t parts_default = type > 0 ? PARTS_DEFAULT : 1;
    if (type < 0 || type > DATA_TYPE_LAST)
        violations_add(violations, "dataType", "INVALID_VALUE",
                       "must be trip, profile, preference or booking");
    audit_check_ends(request, violations);
    if (request->parts < 0 || request->parts > AUDIT_PARTS_MAX)
        violations_add(violations, "parts", "OUT_OF_RANGE", "must be 1 to %d", AUDIT_PARTS_MAX);
    return (struct audit_question){
        .user = user,
        .first = type > 0 ? (enum data_type)type : DATA_TYPE_FIRST,
        .last = type > 0 ? (enum data_type)type : DATA_TYPE_LAST,
        .from = slice_text(request->from_data_id),
        .to = slice_text(request->to_data_id),
        .parts_max = request->parts > 0 ? (size_t)request->parts : parts_default,
        .include_records = request->include_records,
    };
}

/* An audit under way. */
struct audit_reading {
    struct store *store;
    struct store_reader *reader;
    const struct audit_question *question;
    struct arena *arena;
    size_t bytes_left; /* of records' data in the answer */
};

static bool audit_visit(void *context, const struct scan_item *item) {
    return audit_add(context, item->record);
}

/* Reads records by the audit's snapshot. */
static enum sync_status audit_load(const struct audit_reading *audited,
                                   const struct record_want *wants, size_t count,
                                   struct user_view *ret_view) {
    struct touched want = {
        .user = audited->question->user, .records = wants, .record_count = count};
    return store_load(audited->store, audited->reader, &want, audited->arena, ret_view);
}

/* Sums one kind of data. */
static enum sync_status audit_sum(const struct audit_reading *audited, enum data_type type,
                                  struct audit *ret_audit) {
    struct audit_want want = {
        .from = audited->question->from,
        .to = audited->question->to,
        .parts_max = audited->question->parts_max,
        .records_max = AUDIT_RECORDS_MAX,
        .bytes_max = AUDIT_BYTES_MAX,
    };
    enum sync_status status = audit_init(ret_audit, &want, audited->arena);
    struct record_want first = {.key = {type, want.from}};
    struct user_view view;
    if (status == SYNC_OK && want.from.size > 0) { /* a scan begins behind an id */
        status = audit_load(audited, &first, 1, &view);
        if (status == SYNC_OK && view.records[0].found)
            audit_add(ret_audit, &view.records[0].record);
    }
    struct scan scan = {
        .kind = SCAN_RECORDS, .user = audited->question->user, .type = type, .after_id = want.from};
    if (status == SYNC_OK)
        status = store_scan(audited->store, audited->reader, &scan, audit_visit, ret_audit);
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
static enum sync_status audit_fill(struct audit_reading *audited, enum data_type type,
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
        places[i]->record = message_record(audited->arena, &view.records[i].record, true);
        status = places[i]->record ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    return status;
}

/* Fills the answer with the ranges of one kind of data. */
static enum sync_status audit_add_type(struct audit_reading *audited, enum data_type type,
                                       PB(AuditRangeResponse) *response) {
    struct audit audit;
    PB(AuditedRange) **messages = response->ranges + response->n_ranges;
    enum sync_status status = audit_sum(audited, type, &audit);
    for (size_t i = 0; status == SYNC_OK && i < audit.count; i++) {
        messages[i] = range_message(audited->arena, type, &audit.ranges[i]);
        status = messages[i] ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK && audited->question->include_records)
        status = audit_fill(audited, type, &audit, messages);
    if (status == SYNC_OK)
        response->n_ranges += audit.count;
    return status;
}

/* Fills the answer but its cursor, which stands at `ret_sequence`. */
static enum sync_status audit_fill_answer(struct audit_reading *audited,
                                          PB(AuditRangeResponse) *response,
                                          uint64_t *ret_sequence) {
    const struct audit_question *question = audited->question;
    struct user_view view;
    enum sync_status status = audit_load(audited, NULL, 0, &view);
    if (status != SYNC_OK)
        return status;
    size_t types = (size_t)(question->last - question->first) + 1;
    response->ranges =
        arena_zalloc(audited->arena, types * question->parts_max, sizeof *response->ranges);
    if (!response->ranges)
        return SYNC_ERR_NO_MEMORY;
    for (int type = question->first; type <= (int)question->last && status == SYNC_OK; type++)
        status = audit_add_type(audited, (enum data_type)type, response);
    if (status == SYNC_OK)
        *ret_sequence = view.head.sequence;
    return status;
}

enum sync_status audit_read(struct service *service, const struct audit_question *question,
                            struct arena *arena, PB(AuditRangeResponse) *ret_response) {
    struct audit_reading audited = {.store = service->store,
                                    .question = question,
                                    .arena = arena,
                                    .bytes_left = AUDIT_ANSWER_BYTES_MAX};
    PB(AuditRangeResponse) response = PB_INIT(AUDIT_RANGE_RESPONSE);
    uint64_t sequence = 0;
    assert(question->user.size > 0 && question->first <= question->last);
    enum sync_status status = store_reader_open(service->store, &audited.reader);
    if (status != SYNC_OK)
        return status;
    status = audit_fill_answer(&audited, &response, &sequence);
    store_reader_close(service->store, audited.reader);
    if (status != SYNC_OK)
        return status;
    response.cursor = message_cursor(service, arena, sequence);
    if (!response.cursor)
        return SYNC_ERR_NO_MEMORY;
    *ret_response = response;
    return SYNC_OK;
}
