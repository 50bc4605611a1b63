#include "service/core/conflict.h"

#include <assert.h>

#include "base/wire.h"
#include "service/core/delta.h"
#include "service/core/write_build.h"

/* Fields of a conflict as stored. */
enum {
    CONFLICT_ID = 1,
    CONFLICT_USER = 2,
    CONFLICT_DEVICE = 3,
    CONFLICT_CHANGE_ID = 4,
    CONFLICT_DATA_TYPE = 5,
    CONFLICT_DATA_ID = 6,
    CONFLICT_KIND = 7,
    CONFLICT_BASE = 8,
    CONFLICT_CLIENT = 9,
    CONFLICT_SERVER = 10,
    CONFLICT_SUGGESTED = 11,
    CONFLICT_FIELDS = 12,
    CONFLICT_SERVER_VERSION = 13,
    CONFLICT_DETECTED_US = 14,
    CONFLICT_RESOLVED_US = 15,
    CONFLICT_RESOLUTION = 16,
    CONFLICT_MERGED = 17,
    CONFLICT_RESOLVED_VERSION = 18,
    CONFLICT_DECISION = 19,
    CONFLICT_BASE_DELTA = 20,
    CONFLICT_CLIENT_DELTA = 21,
    CONFLICT_SERVER_DELTA = 22,
    CONFLICT_RESOLVE_BY_US = 23,
    CONFLICT_DEADLINE_ACTION = 24,
    CONFLICT_CLIENT_IS_LATER = 25,
    CONFLICT_HELD = 26,
    CONFLICT_PAYLOAD_HASH = 27,
    CONFLICT_IS_ON_SERVER = 28,
};
enum { HELD_ID = 1, HELD_KIND = 2, HELD_OUTCOME = 3, HELD_DATA = 4, HELD_OPERATIONS = 5 };
enum { DECISION_FIELD = 1, DECISION_REASON = 2, DECISION_TAKEN = 3 };

static void decision_write(const struct conflict_decision *decision, struct buffer *out,
                           struct buffer *scratch) {
    buffer_clear(scratch);
    wire_write_bytes(scratch, DECISION_FIELD, decision->field);
    wire_write_bytes(scratch, DECISION_REASON, decision->reason);
    wire_write_uint(scratch, DECISION_TAKEN, decision->taken);
    if (buffer_status(scratch) == SYNC_OK)
        wire_write_bytes(out, CONFLICT_DECISION, buffer_slice(scratch));
    else
        out->failed = true;
}

static void held_write(const struct conflict *conflict, struct buffer *out) {
    for (size_t i = 0; i < conflict->held_count; i++) {
        const struct conflict_held *held = &conflict->held[i];
        size_t begin = wire_begin(out, CONFLICT_HELD);
        wire_write_bytes(out, HELD_ID, held->change_id);
        wire_write_uint(out, HELD_KIND, held->kind);
        wire_write_bytes(out, HELD_OUTCOME, held->outcome);
        if (held->data.size > 0)
            wire_write_bytes(out, HELD_DATA, held->data);
        if (held->operations.size > 0)
            wire_write_bytes(out, HELD_OPERATIONS, held->operations);
        wire_end(out, begin);
    }
}

static void decisions_write(const struct conflict *conflict, struct buffer *out) {
    struct buffer scratch;
    buffer_init(&scratch, SIZE_MAX / 2);
    for (size_t i = 0; i < conflict->decision_count; i++)
        decision_write(&conflict->decisions[i], out, &scratch);
    buffer_done(&scratch);
}

/* Writes the documents, or of a lean conflict what they differ in. */
static void documents_write(const struct conflict *conflict, struct buffer *out) {
    bool lean = conflict->is_lean;
    if (conflict->has_base)
        wire_write_bytes(out, lean ? CONFLICT_BASE_DELTA : CONFLICT_BASE,
                         lean ? conflict->base_delta : conflict->base);
    if (conflict->has_client)
        wire_write_bytes(out, lean ? CONFLICT_CLIENT_DELTA : CONFLICT_CLIENT,
                         lean ? conflict->client_delta : conflict->client);
    if (conflict->has_server)
        wire_write_bytes(out, lean ? CONFLICT_SERVER_DELTA : CONFLICT_SERVER,
                         lean ? conflict->server_delta : conflict->server);
    if (!lean)
        wire_write_bytes(out, CONFLICT_SUGGESTED, conflict->suggested);
}

static void conflict_write(const struct conflict *conflict, struct buffer *out) {
    wire_write_bytes(out, CONFLICT_ID, conflict->id);
    wire_write_bytes(out, CONFLICT_USER, conflict->user);
    wire_write_bytes(out, CONFLICT_DEVICE, conflict->device);
    wire_write_bytes(out, CONFLICT_CHANGE_ID, conflict->change_id);
    wire_write_bytes(out, CONFLICT_PAYLOAD_HASH,
                     slice_of(conflict->payload_hash, PAYLOAD_HASH_SIZE));
    wire_write_uint(out, CONFLICT_DATA_TYPE, conflict->key.type);
    wire_write_bytes(out, CONFLICT_DATA_ID, conflict->key.id);
    wire_write_uint(out, CONFLICT_KIND, conflict->type);
    documents_write(conflict, out);
    for (size_t i = 0; i < conflict->field_count; i++)
        wire_write_bytes(out, CONFLICT_FIELDS, conflict->fields[i]);
    wire_write_uint(out, CONFLICT_SERVER_VERSION, conflict->server_version);
    wire_write_uint(out, CONFLICT_DETECTED_US, (uint64_t)conflict->detected_us);
    wire_write_uint(out, CONFLICT_CLIENT_IS_LATER, conflict->client_is_later);
    wire_write_uint(out, CONFLICT_IS_ON_SERVER, conflict->is_on_server);
    held_write(conflict, out);
    if (conflict->resolved_us == 0) {
        wire_write_uint(out, CONFLICT_RESOLVE_BY_US, (uint64_t)conflict->resolve_by_us);
        wire_write_uint(out, CONFLICT_DEADLINE_ACTION, conflict->deadline_action);
        return;
    }
    wire_write_uint(out, CONFLICT_RESOLVED_US, (uint64_t)conflict->resolved_us);
    wire_write_uint(out, CONFLICT_RESOLUTION, conflict->resolution);
    if (!conflict->is_lean)
        wire_write_bytes(out, CONFLICT_MERGED, conflict->merged);
    wire_write_uint(out, CONFLICT_RESOLVED_VERSION, conflict->resolved_version);
    decisions_write(conflict, out);
}

enum sync_status conflict_pack(const struct conflict *conflict, struct arena *arena,
                               struct slice *ret_value) {
    assert(conflict && arena);
    assert(ret_value);
    struct buffer out;
    buffer_init(&out, SIZE_MAX / 2);
    conflict_write(conflict, &out);
    enum sync_status status = buffer_status(&out);
    if (!status && !arena_copy(arena, buffer_slice(&out), ret_value))
        status = SYNC_ERR_NO_MEMORY;
    buffer_done(&out);
    return status;
}

/* Takes a field that is a number. */
static void conflict_take_number(const struct wire_field *field, struct conflict *conflict) {
    switch (field->number) {
    case CONFLICT_DATA_TYPE:
        conflict->key.type = (enum data_type)field->bits;
        break;
    case CONFLICT_KIND:
        conflict->type = (enum conflict_type)field->bits;
        break;
    case CONFLICT_SERVER_VERSION:
        conflict->server_version = field->bits;
        break;
    case CONFLICT_DETECTED_US:
        conflict->detected_us = (int64_t)field->bits;
        break;
    case CONFLICT_RESOLVED_US:
        conflict->resolved_us = (int64_t)field->bits;
        break;
    case CONFLICT_RESOLUTION:
        conflict->resolution = (enum resolution)field->bits;
        break;
    case CONFLICT_RESOLVED_VERSION:
        conflict->resolved_version = field->bits;
        break;
    case CONFLICT_RESOLVE_BY_US:
        conflict->resolve_by_us = (int64_t)field->bits;
        break;
    case CONFLICT_DEADLINE_ACTION:
        conflict->deadline_action = (enum deadline_action)field->bits;
        break;
    case CONFLICT_CLIENT_IS_LATER:
        conflict->client_is_later = field->bits != 0;
        break;
    case CONFLICT_IS_ON_SERVER:
        conflict->is_on_server = field->bits != 0;
        break;
    default:
        break;
    }
}

static struct conflict_decision decision_read(struct slice bytes) {
    struct conflict_decision decision = {.taken = RESOLUTION_MERGE};
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == DECISION_FIELD && field.type == WIRE_LEN)
            decision.field = field.bytes;
        else if (field.number == DECISION_REASON && field.type == WIRE_LEN)
            decision.reason = field.bytes;
        else if (field.number == DECISION_TAKEN && field.type == WIRE_VARINT)
            decision.taken = (enum resolution)field.bits;
    }
    return decision;
}

static struct conflict_held held_read(struct slice bytes) {
    struct conflict_held held = {.kind = CHANGE_UPDATE};
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == HELD_ID && field.type == WIRE_LEN)
            held.change_id = field.bytes;
        else if (field.number == HELD_KIND && field.type == WIRE_VARINT)
            held.kind = (enum change_kind)field.bits;
        else if (field.number == HELD_OUTCOME && field.type == WIRE_LEN)
            held.outcome = field.bytes;
        else if (field.number == HELD_DATA && field.type == WIRE_LEN)
            held.data = field.bytes;
        else if (field.number == HELD_OPERATIONS && field.type == WIRE_LEN)
            held.operations = field.bytes;
    }
    return held;
}

/* Takes a field that is bytes. `fields` has room. */
static void conflict_take_bytes(const struct wire_field *field, struct conflict *conflict) {
    struct slice *const places[] = {
        [CONFLICT_ID] = &conflict->id,
        [CONFLICT_USER] = &conflict->user,
        [CONFLICT_DEVICE] = &conflict->device,
        [CONFLICT_CHANGE_ID] = &conflict->change_id,
        [CONFLICT_DATA_ID] = &conflict->key.id,
        [CONFLICT_BASE] = &conflict->base,
        [CONFLICT_CLIENT] = &conflict->client,
        [CONFLICT_SERVER] = &conflict->server,
        [CONFLICT_SUGGESTED] = &conflict->suggested,
        [CONFLICT_BASE_DELTA] = &conflict->base_delta,
        [CONFLICT_CLIENT_DELTA] = &conflict->client_delta,
        [CONFLICT_SERVER_DELTA] = &conflict->server_delta,
        [CONFLICT_MERGED] = &conflict->merged,
    };
    conflict->has_base |= field->number == CONFLICT_BASE || field->number == CONFLICT_BASE_DELTA;
    conflict->has_client |=
        field->number == CONFLICT_CLIENT || field->number == CONFLICT_CLIENT_DELTA;
    conflict->has_server |=
        field->number == CONFLICT_SERVER || field->number == CONFLICT_SERVER_DELTA;
    if (field->number == CONFLICT_FIELDS)
        conflict->fields[conflict->field_count++] = field->bytes;
    else if (field->number == CONFLICT_DECISION)
        conflict->decisions[conflict->decision_count++] = decision_read(field->bytes);
    else if (field->number == CONFLICT_HELD)
        conflict->held[conflict->held_count++] = held_read(field->bytes);
    else if (field->number == CONFLICT_PAYLOAD_HASH && field->bytes.size == PAYLOAD_HASH_SIZE)
        memcpy(conflict->payload_hash, field->bytes.data, PAYLOAD_HASH_SIZE);
    else if (field->number < sizeof places / sizeof *places && places[field->number])
        *places[field->number] = field->bytes;
}

/* Counts the fields of a number; -1 when the value does not parse. */
static ptrdiff_t count_fields(struct slice value, uint32_t number) {
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    ptrdiff_t count = 0;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return -1;
        count += field.number == number && field.type == WIRE_LEN;
    }
    return count;
}

enum sync_status conflict_unpack(struct slice value, struct arena *arena,
                                 struct conflict *ret_conflict) {
    assert(arena);
    assert(ret_conflict);
    struct conflict conflict = {.field_count = 0};
    struct wire_field field;
    struct slice copy;
    ptrdiff_t fields = count_fields(value, CONFLICT_FIELDS);
    ptrdiff_t decisions = count_fields(value, CONFLICT_DECISION);
    ptrdiff_t held = count_fields(value, CONFLICT_HELD);
    if (fields < 0)
        return SYNC_ERR_CORRUPT;
    conflict.held = arena_alloc(arena, (size_t)held * sizeof *conflict.held);
    conflict.fields = arena_alloc(arena, (size_t)fields * sizeof *conflict.fields);
    conflict.decisions = arena_alloc(arena, (size_t)decisions * sizeof *conflict.decisions);
    if (!conflict.fields || !conflict.decisions || !conflict.held ||
        !arena_copy(arena, value, &copy))
        return SYNC_ERR_NO_MEMORY;
    struct wire_reader reader = wire_reader_of(copy);
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.type == WIRE_LEN)
            conflict_take_bytes(&field, &conflict);
        else if (field.type == WIRE_VARINT)
            conflict_take_number(&field, &conflict);
    }
    if (conflict.id.size == 0 || conflict.key.id.size == 0 ||
        (int)conflict.key.type < DATA_TYPE_FIRST || (int)conflict.key.type > DATA_TYPE_LAST ||
        conflict.type < CONFLICT_UPDATE_UPDATE || conflict.type > CONFLICT_DELETE_UPDATE ||
        conflict.deadline_action > DEADLINE_LAST)
        return SYNC_ERR_CORRUPT;
    conflict.is_lean = conflict.decision_count > 0;
    *ret_conflict = conflict;
    return SYNC_OK;
}

enum sync_status conflict_reduce(struct conflict *conflict, struct slice document,
                                 struct arena *arena) {
    assert(conflict && arena);
    enum sync_status status = SYNC_OK;
    if (conflict->has_base)
        status = delta_between(document, conflict->base, arena, &conflict->base_delta);
    if (!status && conflict->has_client)
        status = delta_between(document, conflict->client, arena, &conflict->client_delta);
    if (!status && conflict->has_server)
        status = delta_between(document, conflict->server, arena, &conflict->server_delta);
    conflict->is_lean = true;
    return status;
}

enum sync_status conflict_expand(struct conflict *conflict, struct slice document,
                                 struct arena *arena) {
    assert(conflict && arena);
    enum sync_status status = SYNC_OK;
    if (!conflict->is_lean)
        return SYNC_OK;
    if (conflict->has_base)
        status = delta_apply(document, conflict->base_delta, arena, &conflict->base);
    if (!status && conflict->has_client)
        status = delta_apply(document, conflict->client_delta, arena, &conflict->client);
    if (!status && conflict->has_server)
        status = delta_apply(document, conflict->server_delta, arena, &conflict->server);
    conflict->suggested = document;
    if (conflict->resolution == RESOLUTION_MERGE)
        conflict->merged = document;
    conflict->is_lean = status != SYNC_OK;
    return status;
}
