#include "service/rpc/upload_validate.h"

#include <assert.h>
#include <stdio.h>

#include "service/core/document.h"
#include "service/core/hybrid_clock.h"
#include "service/rpc/change_operations.h"

enum { CLOCK_TOLERANCE_US = 2000000, FIELD_TEXT_MAX = 48, SEEN_SLOTS = 4096 };

_Static_assert(SEEN_SLOTS > 2 * BATCH_CHANGES_MAX, "the table of ids stays sparse");

/* One change under check. */
struct change_check {
    const PB(Change) *message;
    size_t index;
    const struct upload_rules *rules;
    struct violations *violations;
    struct change *change;
};

#define CHANGE_FAULT(check, member, reason, ...)                                                   \
    do {                                                                                           \
        char field_[FIELD_TEXT_MAX];                                                               \
        snprintf(field_, sizeof field_, "changes[%zu]." member, (check)->index);                   \
        violations_add((check)->violations, field_, (reason), __VA_ARGS__);                        \
    } while (0)

static void check_kind(struct change_check *check) {
    int kind = (int)check->message->type, type = (int)check->message->data_type;
    if (kind == 0)
        CHANGE_FAULT(check, "type", "REQUIRED", "is required: create, update or delete");
    else if (kind < CHANGE_CREATE || kind > CHANGE_DELETE)
        CHANGE_FAULT(check, "type", "INVALID_VALUE", "must be create, update or delete");
    if (type == 0)
        CHANGE_FAULT(check, "dataType", "REQUIRED",
                     "is required: trip, profile, preference or booking");
    else if (type < DATA_TYPE_FIRST || type > DATA_TYPE_LAST)
        CHANGE_FAULT(check, "dataType", "INVALID_VALUE",
                     "must be trip, profile, preference or booking");
    check->change->kind = (enum change_kind)kind;
    check->change->type = (enum data_type)type;
}

static void check_time(struct change_check *check) {
    const Google__Protobuf__Timestamp *time = check->message->timestamp;
    int64_t time_us;
    if (!time)
        CHANGE_FAULT(check, "timestamp", "REQUIRED", "is required: an ISO 8601 time");
    else if (!message_time_us(time, &time_us) || time_us < 0)
        CHANGE_FAULT(check, "timestamp", "OUT_OF_RANGE", "must lie in the years 1970 to 9999");
    else
        check->change->device_us = time_us;
}

/* Makes the data canonical; false when they are at fault. */
static bool check_data(struct change_check *check) {
    const PB(Change) *message = check->message;
    bool is_given =
        message->data_presence_case == TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
    if (!is_given) {
        if (check->change->kind == CHANGE_CREATE)
            CHANGE_FAULT(check, "data", "REQUIRED", "is required for create");
        if (check->change->kind == CHANGE_UPDATE && message->n_operations == 0)
            CHANGE_FAULT(check, "data", "REQUIRED", "is required for update, or operations");
        return false;
    }
    struct slice data = slice_of(message->data.data, message->data.len);
    if (data.size > CHANGE_DATA_MAX) {
        CHANGE_FAULT(check, "data", "TOO_LARGE", "must have at most %d bytes, has %zu",
                     CHANGE_DATA_MAX, data.size);
        return false;
    }
    struct sync_error error = {0};
    enum sync_status status =
        document_normalize(data, check->violations->arena, &error, &check->change->data);
    if (status == SYNC_ERR_NO_MEMORY) {
        check->violations->no_memory = true;
        return false;
    }
    if (status != SYNC_OK) {
        sync_error_prefix(&error, "changes[%zu].data", check->index);
        violations_add_error(check->violations, &error, "INVALID_VALUE");
        return false;
    }
    return true;
}

/* Takes the record's id from dataId or data.id, or makes one for a create. */
static void check_data_id(struct change_check *check, bool has_data) {
    struct change *change = check->change;
    struct slice given = slice_text(check->message->data_id);
    if (given.size > 0 && !data_id_is_valid(given)) {
        CHANGE_FAULT(check, "dataId", "INVALID_FORMAT",
                     "must be 1 to %d bytes without control characters", DATA_ID_MAX);
        return;
    }
    struct value inner;
    bool has_inner = has_data && document_find(change->data, SLICE("id"), &inner);
    if (has_inner && inner.kind != VALUE_STRING) {
        if (given.size == 0)
            CHANGE_FAULT(check, "data.id", "INVALID_VALUE",
                         "must be a string to name the record, or dataId must be given");
        has_inner = false;
        if (given.size == 0)
            return;
    }
    if (has_inner && given.size > 0 && !slice_equal(inner.text, given)) {
        CHANGE_FAULT(check, "dataId", "MISMATCH", "differs from data.id");
        return;
    }
    if (has_inner && given.size == 0 && !data_id_is_valid(inner.text)) {
        CHANGE_FAULT(check, "data.id", "INVALID_FORMAT",
                     "must be 1 to %d bytes without control characters", DATA_ID_MAX);
        return;
    }
    change->data_id = given.size > 0 ? given : has_inner ? inner.text : SLICE_EMPTY;
    if (change->data_id.size > 0)
        return;
    if (change->kind == CHANGE_UPDATE || change->kind == CHANGE_DELETE) {
        CHANGE_FAULT(check, "dataId", "REQUIRED", "is required unless data.id names the record");
        return;
    }
    char *made = arena_alloc(check->violations->arena, UUID_TEXT_SIZE + 1);
    if (!made) {
        check->violations->no_memory = true;
        return;
    }
    uuid_v7((uint64_t)check->rules->received_us, check->rules->random, made);
    change->data_id = slice_of(made, UUID_TEXT_SIZE);
    change->data_id_made = true;
}

/* Makes the operations of an update canonical. */
static void check_operations(struct change_check *check) {
    const PB(Change) *message = check->message;
    struct change *change = check->change;
    if (message->n_operations == 0)
        return;
    if (change->kind == CHANGE_CREATE || change->kind == CHANGE_DELETE)
        CHANGE_FAULT(check, "operations", "NOT_ALLOWED", "are for update only");
    else if (message->data_presence_case != 0)
        CHANGE_FAULT(check, "operations", "NOT_ALLOWED", "must not come beside data");
    else
        change_operations_check(message, check->index, check->violations, &change->operations);
}

static void check_change(struct change_check *check) {
    struct change *change = check->change;
    change->id = slice_text(check->message->id);
    if (change->id.size == 0)
        CHANGE_FAULT(check, "id", "REQUIRED", "is required: the device's own id of the change");
    else if (!change_id_is_valid(change->id))
        CHANGE_FAULT(check, "id", "INVALID_FORMAT",
                     "must be 1 to %d bytes without control characters", CHANGE_ID_MAX);
    check_kind(check);
    check_time(check);
    bool has_data = check_data(check);
    check_operations(check);
    /* Data at fault say nothing about the id; without data only dataId counts. */
    if (has_data || check->message->data_presence_case == 0)
        check_data_id(check, has_data);
    if (check->message->base_version < 0)
        CHANGE_FAULT(check, "baseVersion", "OUT_OF_RANGE", "must not be negative");
    change->base_version = (uint64_t)check->message->base_version;
    change_payload_hash(change, change->payload_hash);
}

/* Finds ids that an earlier change of the batch has. */
static void check_unique(const struct upload_content *content, struct violations *violations) {
    uint16_t *slots = arena_zalloc(violations->arena, SEEN_SLOTS, sizeof *slots);
    if (!slots) {
        violations->no_memory = true;
        return;
    }
    for (size_t i = 0; i < content->count; i++) {
        struct slice id = content->changes[i].id;
        if (id.size == 0)
            continue;
        size_t slot = slice_hash(id, 0) % SEEN_SLOTS;
        while (slots[slot] && !slice_equal(content->changes[slots[slot] - 1].id, id))
            slot = (slot + 1) % SEEN_SLOTS;
        if (slots[slot]) {
            char field[FIELD_TEXT_MAX];
            snprintf(field, sizeof field, "changes[%zu].id", i);
            violations_add(violations, field, "DUPLICATE", "is also the id of changes[%d]",
                           slots[slot] - 1);
        } else {
            slots[slot] = (uint16_t)(i + 1);
        }
    }
}

static void check_sent_at(const struct upload_message *message, const struct upload_rules *rules,
                          struct violations *violations, struct upload_content *content) {
    int64_t sent_us = 0;
    if (!message->sent_at)
        return;
    if (!message_time_us(message->sent_at, &sent_us) || sent_us < 0)
        violations_add(violations, "sentAt", "OUT_OF_RANGE", "must lie in the years 1970 to 9999");
    else
        content->clock_offset_us =
            hybrid_clock_offset(sent_us, rules->received_us, CLOCK_TOLERANCE_US);
}

void upload_validate(const struct upload_message *message, const struct upload_rules *rules,
                     struct violations *violations, struct upload_content *ret_content) {
    assert(rules->random);
    struct upload_content content = {.count = message->count};
    check_sent_at(message, rules, violations, &content);
    if (content.count == 0 || content.count > BATCH_CHANGES_MAX) {
        violations_add(violations, "changes", content.count == 0 ? "REQUIRED" : "TOO_MANY",
                       "must hold 1 to %d changes, holds %zu", BATCH_CHANGES_MAX, content.count);
        return;
    }
    content.changes = arena_zalloc(violations->arena, content.count, sizeof *content.changes);
    if (!content.changes) {
        violations->no_memory = true;
        return;
    }
    for (size_t i = 0; i < content.count; i++) {
        struct change_check check = {.message = message->changes[i],
                                     .index = i,
                                     .rules = rules,
                                     .violations = violations,
                                     .change = &content.changes[i]};
        check_change(&check);
        content.types |= message_type_set(&message->changes[i]->data_type, 1);
    }
    check_unique(&content, violations);
    *ret_content = content;
}
