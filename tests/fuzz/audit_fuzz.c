/* Any bytes as the request of an audit: refused with its faults, or answered with ranges that lie
 * side by side, each with what it holds, and all together with all. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "service/core/checksum.h"
#include "service/rpc/audit_read.h"
#include "service/rpc/violations.h"
#include "tests/service/core/json_document.h"
#include "tests/simulation/memory_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 24, ARENA_MAX = 64 << 20 };

static const struct slice USER = SLICE("u");

/* A record of each type in turn, some of them deleted: "r00", "r01", … */
static struct record record_make(unsigned number, struct arena *arena) {
    struct buffer scratch;
    struct record record = {
        .key = {(enum data_type)(DATA_TYPE_FIRST + number % DATA_TYPE_LAST),
                slice_text(arena_format(arena, "r%02u", number))},
        .version = number + 1,
        .deleted = number % 7 == 6,
    };
    if (record.deleted)
        return record;
    record.data = json_document(arena_format(arena, "{\"n\":%u}", number), arena);
    buffer_init(&scratch, 1 << 16);
    if (checksum_element(&record.key, record.data, &scratch, &record.element) != SYNC_OK)
        abort();
    buffer_done(&scratch);
    return record;
}

/* The store that all audits are of; filled once. */
static struct store *the_store(void) {
    static struct store *store;
    struct record records[RECORDS];
    struct arena arena;
    if (store)
        return store;
    arena_init(&arena, ARENA_MAX);
    for (unsigned i = 0; i < RECORDS; i++)
        records[i] = record_make(i, &arena);
    struct write_set set = {
        .user = USER, .head = {.sequence = RECORDS}, .records = records, .record_count = RECORDS};
    if (memory_store_open(1, ARENA_MAX, &store) != SYNC_OK ||
        store_commit_wait(store, &set, NULL) != SYNC_OK)
        abort();
    arena_done(&arena);
    return store;
}

static bool is_inside(struct slice id, struct slice from, struct slice to) {
    return slice_compare(id, from) >= 0 && (to.size == 0 || slice_compare(id, to) < 0);
}

/* The range says what the store holds there. */
static void check_range(const PB(AuditedRange) *range, const struct audit_question *question,
                        struct arena *arena) {
    struct slice from = slice_text(range->from_data_id), to = slice_text(range->to_data_id);
    struct checksum sum = {0};
    char text[2 * CHECKSUM_SIZE + 1];
    int32_t count = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct record record = record_make(i, arena);
        if (record.deleted || record.key.type != (enum data_type)range->data_type ||
            !is_inside(record.key.id, from, to))
            continue;
        sum = checksum_add(sum, record.element);
        count++;
        if (range->record)
            assert(slice_equal(record.key.id, slice_text(range->record->data_id)));
    }
    checksum_format(sum, text);
    assert(count == range->record_count && strcmp(text, range->checksum) == 0);
    assert((range->record != NULL) == (question->include_records && count == 1));
}

/* The ranges of each type lie side by side from the first end to the last. */
static void check_answer(const PB(AuditRangeResponse) *response,
                         const struct audit_question *question, struct arena *arena) {
    size_t types = (size_t)(question->last - question->first) + 1, begins = 0;
    assert(response->n_ranges <= types * question->parts_max);
    for (size_t i = 0; i < response->n_ranges; i++) {
        const PB(AuditedRange) *range = response->ranges[i];
        bool begins_type = i == 0 || response->ranges[i - 1]->data_type != range->data_type;
        bool ends_type =
            i + 1 == response->n_ranges || response->ranges[i + 1]->data_type != range->data_type;
        struct slice before =
            begins_type ? question->from : slice_text(response->ranges[i - 1]->to_data_id);
        begins += begins_type;
        assert(slice_equal(slice_text(range->from_data_id), before));
        assert(!ends_type || slice_equal(slice_text(range->to_data_id), question->to));
        check_range(range, question, arena);
    }
    assert(begins == types);
}

static void answer(const PB(AuditRangeRequest) *request, struct arena *arena) {
    struct service service = {.store = the_store()};
    struct violations violations;
    PB(AuditRangeResponse) response;
    violations_init(&violations, arena, 0);
    struct audit_question question = audit_question_of(request, USER, &violations);
    if (violations_any(&violations))
        return;
    enum sync_status status = audit_read(&service, &question, arena, &response);
    assert(status == SYNC_OK);
    check_answer(&response, &question, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const ProtobufCMessageDescriptor *descriptor = PB_DESCRIPTOR(audit_range_request);
    struct sync_error error = {.status = SYNC_OK};
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    if (wire_check(slice_of(data, size), descriptor, WIRE_DEPTH_MAX, &error) == SYNC_OK) {
        const PB(AuditRangeRequest) *request =
            (PB(AuditRangeRequest) *)message_unpack(descriptor, slice_of(data, size), &arena);
        assert(request); /* what passes the check is read */
        answer(request, &arena);
    } else {
        assert(error.message[0]);
    }
    arena_done(&arena);
    return 0;
}
