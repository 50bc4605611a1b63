#include "service/core/conflict_hold.h"

#include <assert.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/wire.h"
#include "service/core/write_build.h"

/* Fields of a change that is held. */
enum {
    HELD_ID = 1,
    HELD_KIND = 2,
    HELD_DATA = 3,
    HELD_DEVICE_US = 4,
    HELD_CORRECTED_US = 5,
    HELD_BASE = 6,
    HELD_HASH = 7,
    HELD_CONFLICT = 8,
    HELD_OPERATIONS = 9, /* in place of data */
};

/* Behind the ids of the conflicts; no id begins so. */
enum {
    CHANGES_FOLLOW = 0,
    HELD_CHANGE = 1,
    HELD_IS_FULL = 2,
    HELD_CAUSE = 3, /* as many as there are ids, in their order; or none */
    HELD_OVERHEAD = 256,
};

/* user NUL device NUL type, record's id */
enum sync_status conflict_hold_key(struct slice user, struct slice device,
                                   const struct record_key *key, struct arena *arena,
                                   struct slice *ret_key) {
    assert(user.size > 0 && device.size > 0 && key && key->id.size > 0);
    assert(arena && ret_key);
    size_t size = user.size + 1 + device.size + 1 + 1 + key->id.size;
    uint8_t *bytes = arena_alloc(arena, size), *at = bytes;
    if (!bytes)
        return SYNC_ERR_NO_MEMORY;
    memcpy(at, user.data, user.size);
    at += user.size;
    *at++ = '\0';
    memcpy(at, device.data, device.size);
    at += device.size;
    *at++ = '\0';
    *at++ = (uint8_t)key->type;
    memcpy(at, key->id.data, key->id.size);
    *ret_key = slice_of(bytes, size);
    return SYNC_OK;
}

/* What a held change weighs. */
static size_t held_bytes(const struct change *change) {
    return change->id.size + change->data.size + change->operations.size + HELD_OVERHEAD;
}

/* ---- Reading */

static bool held_take(const struct wire_field *field, struct held_change *held) {
    struct change *change = &held->change;
    struct slice *const places[] = {
        [HELD_ID] = &change->id,
        [HELD_DATA] = &change->data,
        [HELD_CONFLICT] = &held->conflict_id,
        [HELD_OPERATIONS] = &change->operations,
    };
    if (field->type == WIRE_VARINT && field->number == HELD_KIND)
        change->kind = (enum change_kind)field->bits;
    else if (field->type == WIRE_VARINT && field->number == HELD_DEVICE_US)
        change->device_us = (int64_t)field->bits;
    else if (field->type == WIRE_VARINT && field->number == HELD_CORRECTED_US)
        held->corrected_us = (int64_t)field->bits;
    else if (field->type == WIRE_VARINT && field->number == HELD_BASE)
        change->base_version = field->bits;
    else if (field->type == WIRE_LEN && field->number == HELD_HASH &&
             field->bytes.size == PAYLOAD_HASH_SIZE)
        memcpy(change->payload_hash, field->bytes.data, PAYLOAD_HASH_SIZE);
    else if (field->type == WIRE_LEN && field->number < sizeof places / sizeof *places &&
             places[field->number])
        *places[field->number] = field->bytes;
    else
        return false;
    return true;
}

static bool held_read(struct slice bytes, const struct record_key *key, struct held_change *held) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    *held = (struct held_change){.change = {.type = key->type, .data_id = key->id}};
    while (!wire_at_end(&reader))
        if (!wire_read(&reader, &field) || !held_take(&field, held))
            return false;
    return held->change.id.size > 0 && held->change.kind >= CHANGE_CREATE &&
           held->change.kind <= CHANGE_DELETE;
}

/* A hash, then the id. */
static bool cause_read(struct slice bytes, struct hold_cause *cause) {
    if (bytes.size < PAYLOAD_HASH_SIZE)
        return false;
    memcpy(cause->payload_hash, bytes.data, PAYLOAD_HASH_SIZE);
    cause->change_id = slice_after(bytes, PAYLOAD_HASH_SIZE);
    return true;
}

static void cause_write(const struct hold_cause *cause, struct buffer *out) {
    size_t begin = wire_begin(out, HELD_CAUSE);
    buffer_append(out, slice_of(cause->payload_hash, PAYLOAD_HASH_SIZE));
    buffer_append(out, cause->change_id);
    wire_end(out, begin);
}

/* The changes that follow the ids, and which the conflicts are of; there is room for them all. */
static enum sync_status changes_read(struct slice bytes, const struct record_key *key,
                                     struct conflict_hold *hold) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    size_t cause_count = 0;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        if (field.number == HELD_CAUSE && field.type == WIRE_LEN && cause_count < hold->id_count) {
            if (!cause_read(field.bytes, &hold->causes[cause_count++]))
                return SYNC_ERR_CORRUPT;
            continue;
        }
        if (field.number == HELD_IS_FULL && field.type == WIRE_VARINT) {
            hold->is_full = field.bits != 0;
            continue;
        }
        if (hold->change_count == HELD_CHANGES_MAX || field.number != HELD_CHANGE ||
            field.type != WIRE_LEN ||
            !held_read(field.bytes, key, &hold->changes[hold->change_count]))
            return SYNC_ERR_CORRUPT;
        hold->bytes += held_bytes(&hold->changes[hold->change_count++].change);
    }
    return SYNC_OK;
}

enum sync_status conflict_hold_open(const struct row *row, const struct record_key *key,
                                    struct arena *arena, struct conflict_hold *ret_hold) {
    assert(key && arena && ret_hold);
    struct conflict_hold hold = {.key = row ? row->key : SLICE_EMPTY};
    enum sync_status status = SYNC_OK;
    if (row && row->found) {
        struct slice rest = row->value;
        size_t room = rest.size / UUID_TEXT_SIZE + 1;
        hold.ids = arena_alloc(arena, room * sizeof *hold.ids);
        hold.causes = arena_zalloc(arena, room, sizeof *hold.causes);
        hold.changes = arena_alloc(arena, HELD_CHANGES_MAX * sizeof *hold.changes);
        if (!hold.ids || !hold.causes || !hold.changes)
            return SYNC_ERR_NO_MEMORY;
        for (; rest.size >= UUID_TEXT_SIZE && rest.data[0] != CHANGES_FOLLOW;
             rest = slice_after(rest, UUID_TEXT_SIZE))
            hold.ids[hold.id_count++] = slice_first(rest, UUID_TEXT_SIZE);
        if (rest.size > 0 && rest.data[0] == CHANGES_FOLLOW)
            status = changes_read(slice_after(rest, 1), key, &hold);
        else if (rest.size > 0)
            status = SYNC_ERR_CORRUPT;
    }
    hold.row_bytes = hold.bytes;
    if (!status)
        *ret_hold = hold;
    return status;
}

/* ---- What holds, and is held */

struct slice conflict_hold_first(const struct conflict_hold *hold) {
    assert(hold);
    return hold->id_count > 0 ? hold->ids[0] : SLICE_EMPTY;
}

enum sync_status conflict_hold_begin(struct conflict_hold *hold, struct slice conflict_id,
                                     const struct hold_cause *cause, struct arena *arena) {
    assert(hold && arena);
    assert(conflict_id.size == UUID_TEXT_SIZE && cause);
    if (hold->key.size == 0)
        return SYNC_OK;
    struct slice *ids = arena_alloc(arena, (hold->id_count + 1) * sizeof *ids);
    struct hold_cause *causes = arena_alloc(arena, (hold->id_count + 1) * sizeof *causes);
    if (!ids || !causes)
        return SYNC_ERR_NO_MEMORY;
    conflict_hold_end(hold, conflict_id);
    if (hold->id_count > 0) {
        memcpy(ids, hold->ids, hold->id_count * sizeof *ids);
        memcpy(causes, hold->causes, hold->id_count * sizeof *causes);
    }
    causes[hold->id_count] = *cause;
    ids[hold->id_count++] = conflict_id;
    hold->ids = ids;
    hold->causes = causes;
    hold->is_dirty = true;
    return SYNC_OK;
}

void conflict_hold_end(struct conflict_hold *hold, struct slice conflict_id) {
    assert(hold);
    assert(conflict_id.size == UUID_TEXT_SIZE);
    size_t kept = 0;
    for (size_t i = 0; i < hold->id_count; i++) {
        if (slice_equal(hold->ids[i], conflict_id))
            continue;
        hold->causes[kept] = hold->causes[i];
        hold->ids[kept++] = hold->ids[i];
    }
    hold->is_dirty = hold->is_dirty || kept < hold->id_count;
    hold->id_count = kept;
}

struct slice conflict_hold_of(const struct conflict_hold *hold, struct slice change_id,
                              const struct hold_cause **ret_cause) {
    assert(hold && ret_cause);
    assert(change_id.size > 0);
    for (size_t i = 0; i < hold->id_count; i++) {
        if (!slice_equal(hold->causes[i].change_id, change_id))
            continue;
        *ret_cause = &hold->causes[i];
        return hold->ids[i];
    }
    return SLICE_EMPTY;
}

const struct held_change *conflict_hold_find(const struct conflict_hold *hold, struct slice id) {
    assert(hold);
    for (size_t i = 0; i < hold->change_count; i++)
        if (slice_equal(hold->changes[i].change.id, id))
            return &hold->changes[i];
    return NULL;
}

static bool hold_has_room(const struct conflict_hold *hold, const struct user_head *head,
                          const struct change *change) {
    size_t bytes = held_bytes(change);
    size_t others = head->held_bytes > hold->row_bytes ? head->held_bytes - hold->row_bytes : 0;
    return !hold->is_full && hold->change_count < HELD_CHANGES_MAX &&
           hold->bytes + bytes <= HELD_BYTES_MAX &&
           others + hold->bytes + bytes <= USER_HELD_BYTES_MAX;
}

struct slice conflict_hold_latest(const struct conflict_hold *hold) {
    assert(hold);
    struct slice latest = conflict_hold_first(hold);
    for (size_t i = 1; i < hold->id_count; i++)
        if (slice_compare(hold->ids[i], latest) > 0) /* ids are UUIDv7 */
            latest = hold->ids[i];
    return latest;
}

enum sync_status conflict_hold_add(struct conflict_hold *hold, const struct user_head *head,
                                   const struct change *change, int64_t corrected_us,
                                   struct arena *arena) {
    assert(hold && head && change && arena);
    assert(hold->key.size > 0 && hold->id_count > 0);
    if (!hold_has_room(hold, head, change)) {
        hold->is_dirty = hold->is_dirty || !hold->is_full;
        hold->is_full = true;
        return SYNC_ERR_EXHAUSTED;
    }
    if (!hold->changes)
        hold->changes = arena_alloc(arena, HELD_CHANGES_MAX * sizeof *hold->changes);
    if (!hold->changes)
        return SYNC_ERR_NO_MEMORY;
    hold->changes[hold->change_count++] =
        (struct held_change){*change, corrected_us, conflict_hold_latest(hold)};
    hold->bytes += held_bytes(change);
    hold->is_dirty = true;
    return SYNC_OK;
}

void conflict_hold_release(struct conflict_hold *hold, size_t count) {
    assert(hold && count <= hold->change_count);
    for (size_t i = 0; i < count; i++)
        hold->bytes -= held_bytes(&hold->changes[i].change);
    hold->change_count -= count;
    if (count > 0)
        memmove(hold->changes, hold->changes + count, hold->change_count * sizeof *hold->changes);
    for (size_t i = 0; i < hold->change_count; i++)
        hold->changes[i].conflict_id = conflict_hold_latest(hold);
    hold->is_full = hold->is_full && hold->id_count > 0;
    hold->is_dirty = hold->is_dirty || count > 0;
}

/* ---- Writing */

static void held_write(const struct held_change *held, struct buffer *out, struct buffer *scratch) {
    const struct change *change = &held->change;
    buffer_clear(scratch);
    wire_write_bytes(scratch, HELD_ID, change->id);
    wire_write_uint(scratch, HELD_KIND, change->kind);
    if (change->operations.size > 0)
        wire_write_bytes(scratch, HELD_OPERATIONS, change->operations);
    else
        wire_write_bytes(scratch, HELD_DATA, change->data);
    wire_write_uint(scratch, HELD_DEVICE_US, (uint64_t)change->device_us);
    wire_write_uint(scratch, HELD_CORRECTED_US, (uint64_t)held->corrected_us);
    wire_write_uint(scratch, HELD_BASE, change->base_version);
    wire_write_bytes(scratch, HELD_HASH, slice_of(change->payload_hash, PAYLOAD_HASH_SIZE));
    wire_write_bytes(scratch, HELD_CONFLICT, held->conflict_id);
    if (buffer_status(scratch) == SYNC_OK)
        wire_write_bytes(out, HELD_CHANGE, buffer_slice(scratch));
    else
        out->failed = true;
}

static enum sync_status hold_pack(const struct conflict_hold *hold, struct arena *arena,
                                  struct slice *ret_value) {
    struct buffer out, scratch;
    buffer_init(&out, SIZE_MAX / 2);
    buffer_init(&scratch, SIZE_MAX / 2);
    for (size_t i = 0; i < hold->id_count; i++)
        buffer_append(&out, hold->ids[i]);
    buffer_append_byte(&out, CHANGES_FOLLOW);
    for (size_t i = 0; i < hold->id_count; i++)
        cause_write(&hold->causes[i], &out);
    if (hold->is_full)
        wire_write_uint(&out, HELD_IS_FULL, 1);
    for (size_t i = 0; i < hold->change_count; i++)
        held_write(&hold->changes[i], &out, &scratch);
    enum sync_status status = buffer_status(&out);
    if (!status && !arena_copy(arena, buffer_slice(&out), ret_value))
        status = SYNC_ERR_NO_MEMORY;
    buffer_done(&scratch);
    buffer_done(&out);
    return status;
}

enum sync_status conflict_hold_write(struct write_build *build, struct conflict_hold *hold) {
    assert(build && hold);
    struct row_write write = {.table = TABLE_CONFLICT_HOLD, .key = hold->key};
    if (!hold->is_dirty)
        return SYNC_OK;
    assert(hold->id_count > 0 || hold->change_count == 0);
    write.remove = hold->id_count == 0;
    enum sync_status status = hold_pack(hold, build->arena, &write.value);
    build->head.held_bytes += hold->bytes;
    build->head.held_bytes -=
        hold->row_bytes < build->head.held_bytes ? hold->row_bytes : build->head.held_bytes;
    hold->row_bytes = hold->bytes;
    hold->is_dirty = false;
    return status ? status : write_build_row(build, write);
}
