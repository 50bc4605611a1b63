/* Encoding: a version byte, the floor, then per field a varint (leading segments that are those of
 * the field before), a varint (further segments × 4 + whether it moved × 2 + whether it changed
 * before), each further segment behind its length, the stamp's distance from the floor, that of the
 * change before, and of where it moved from the number of segments and each behind its length.
 * Stamps of another version are not read: the record is sent whole until it changes. */
#include "service/core/field_stamps.h"

#include <assert.h>

#include "base/wire.h"
#include "service/core/field_changes.h"
#include "service/core/field_stamps_read.h"

enum {
    STAMPS_VERSION = 2,
    STAMPS_LEAD_MAX = 1 + WIRE_VARINT_MAX,
    STAMP_BYTES_MIN = 4, /* two counts, a name of no bytes, a distance */
    STAMP_HAS_BEFORE = 1,
    STAMP_HAS_MOVED = 2,
    STAMP_FLAGS = 4, /* further segments are counted behind them */
};

/* ---- Reading */

static bool stamps_read_segment(struct wire_reader *reader, struct slice *ret_segment) {
    uint64_t size;
    if (!wire_read_varint(reader, &size) || size > (uint64_t)(reader->end - reader->next))
        return false;
    *ret_segment = slice_of(reader->next, (size_t)size);
    reader->next += size;
    return true;
}

/* Reads segments behind those that the path shares with another; none when malformed, or where
 * there is no memory. */
static enum sync_status stamps_read_path(struct field_stamps *stamps, struct wire_reader *reader,
                                         struct record_path other, uint64_t shared,
                                         uint64_t further, struct record_path *ret_path) {
    if (shared > other.size || further == 0 || further > DELTA_PATH_MAX - shared)
        return SYNC_ERR_CORRUPT;
    size_t size = (size_t)(shared + further);
    struct slice *segments = arena_alloc(stamps->arena, size * sizeof *segments);
    if (!segments)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < size; i++) {
        if (i < shared)
            segments[i] = other.segments[i];
        else if (!stamps_read_segment(reader, &segments[i]))
            return SYNC_ERR_CORRUPT;
    }
    *ret_path = (struct record_path){segments, size};
    return SYNC_OK;
}

/* Reads one stamp behind `last`, whose path it may share. */
static enum sync_status stamps_read_one(struct field_stamps *stamps, struct wire_reader *reader,
                                        struct record_path last, struct field_stamp *ret_stamp) {
    uint64_t shared, header, distance, before = 0, from_size;
    struct field_stamp stamp = {.before = 0};
    if (!wire_read_varint(reader, &shared) || !wire_read_varint(reader, &header))
        return SYNC_ERR_CORRUPT;
    enum sync_status status =
        stamps_read_path(stamps, reader, last, shared, header / STAMP_FLAGS, &stamp.path);
    if (status)
        return status;
    if (!wire_read_varint(reader, &distance) || distance > UINT64_MAX - stamps->floor ||
        ((header & STAMP_HAS_BEFORE) && (!wire_read_varint(reader, &before) || before >= distance)))
        return SYNC_ERR_CORRUPT;
    stamp.version = stamps->floor + distance;
    stamp.before = (header & STAMP_HAS_BEFORE) ? stamps->floor + before : 0;
    if (header & STAMP_HAS_MOVED) {
        if (!wire_read_varint(reader, &from_size))
            return SYNC_ERR_CORRUPT;
        status =
            stamps_read_path(stamps, reader, (struct record_path){0}, 0, from_size, &stamp.from);
    }
    if (!status)
        *ret_stamp = stamp;
    return status;
}

enum sync_status field_stamps_read(struct field_stamps *stamps, const struct record *record) {
    struct wire_reader reader = wire_reader_of(record->stamps);
    stamps->count = 0;
    stamps->floor = record->version;
    size_t room = record->stamps.size / STAMP_BYTES_MIN;
    stamps->fields = arena_alloc(stamps->arena, room * sizeof *stamps->fields);
    if (!stamps->fields)
        return SYNC_ERR_NO_MEMORY;
    if (record->stamps.size == 0 || *reader.next++ != STAMPS_VERSION)
        return SYNC_OK;
    if (!wire_read_varint(&reader, &stamps->floor) || stamps->floor > record->version)
        return SYNC_ERR_CORRUPT;
    while (!wire_at_end(&reader)) {
        if (stamps->count == FIELD_STAMPS_MAX || stamps->count == room)
            return SYNC_ERR_CORRUPT;
        struct field_stamp *stamp = &stamps->fields[stamps->count];
        struct record_path last = stamps->count > 0 ? stamp[-1].path : (struct record_path){0};
        enum sync_status status = stamps_read_one(stamps, &reader, last, stamp);
        if (status)
            return status;
        if (stamp->version > record->version)
            return SYNC_ERR_CORRUPT;
        stamps->count++;
    }
    return SYNC_OK;
}

/* ---- Writing */

static size_t shared_segments(struct record_path a, struct record_path b) {
    size_t shared = 0, size_max = a.size < b.size ? a.size : b.size;
    while (shared < size_max && slice_equal(a.segments[shared], b.segments[shared]))
        shared++;
    return shared;
}

static size_t path_room(struct record_path path) {
    size_t room = WIRE_VARINT_MAX;
    for (size_t i = 0; i < path.size; i++)
        room += WIRE_VARINT_MAX + path.segments[i].size;
    return room;
}

/* The bytes that writing takes at most. */
static size_t stamps_room(const struct field_stamps *stamps) {
    size_t room = STAMPS_LEAD_MAX;
    for (size_t i = 0; i < stamps->count; i++)
        room += 4 * WIRE_VARINT_MAX + path_room(stamps->fields[i].path) +
                path_room(stamps->fields[i].from);
    return room;
}

static uint8_t *path_write(uint8_t *at, struct record_path path, size_t shared) {
    for (size_t i = shared; i < path.size; i++) {
        at += wire_put_varint(at, path.segments[i].size);
        if (path.segments[i].size > 0)
            memcpy(at, path.segments[i].data, path.segments[i].size);
        at += path.segments[i].size;
    }
    return at;
}

/* Writes the stamps; none, when all that changed lies below the floor, is the empty slice. */
static enum sync_status stamps_write(const struct field_stamps *stamps, struct slice *ret_bytes) {
    if (stamps->count == 0) {
        *ret_bytes = SLICE_EMPTY;
        return SYNC_OK;
    }
    uint8_t *begin = arena_alloc(stamps->arena, stamps_room(stamps)), *at = begin;
    if (!begin)
        return SYNC_ERR_NO_MEMORY;
    *at++ = STAMPS_VERSION;
    at += wire_put_varint(at, stamps->floor);
    for (size_t i = 0; i < stamps->count; i++) {
        const struct field_stamp *stamp = &stamps->fields[i];
        size_t shared = i > 0 ? shared_segments(stamp[-1].path, stamp->path) : 0;
        at += wire_put_varint(at, shared);
        at += wire_put_varint(at, (stamp->path.size - shared) * STAMP_FLAGS +
                                      (stamp->from.size > 0) * STAMP_HAS_MOVED +
                                      (stamp->before > 0) * STAMP_HAS_BEFORE);
        at = path_write(at, stamp->path, shared);
        at += wire_put_varint(at, stamp->version - stamps->floor);
        if (stamp->before > 0)
            at += wire_put_varint(at, stamp->before - stamps->floor);
        if (stamp->from.size > 0) {
            at += wire_put_varint(at, stamp->from.size);
            at = path_write(at, stamp->from, 0);
        }
    }
    *ret_bytes = slice_of(begin, (size_t)(at - begin));
    return SYNC_OK;
}

/* Raises the floor, below which nothing is kept. */
static void stamps_raise(struct field_stamps *stamps, uint64_t floor) {
    size_t kept = 0;
    if (floor <= stamps->floor)
        return;
    stamps->floor = floor;
    for (size_t i = 0; i < stamps->count; i++) {
        struct field_stamp stamp = stamps->fields[i];
        stamp.before = stamp.before > floor ? stamp.before : 0;
        if (stamp.version > floor)
            stamps->fields[kept++] = stamp;
    }
    stamps->count = kept;
}

static uint64_t stamps_oldest(const struct field_stamps *stamps) {
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < stamps->count; i++)
        if (stamps->fields[i].version < oldest)
            oldest = stamps->fields[i].version;
    return oldest;
}

/* Writes as many of the newest as the bounds allow. */
static enum sync_status stamps_write_bounded(struct field_stamps *stamps, size_t document_size,
                                             struct slice *ret_bytes) {
    size_t bytes_max = document_size / FIELD_STAMPS_SHARE;
    if (bytes_max < FIELD_STAMPS_BYTES_MIN)
        bytes_max = FIELD_STAMPS_BYTES_MIN;
    while (stamps->count > FIELD_STAMPS_MAX)
        stamps_raise(stamps, stamps_oldest(stamps));
    struct slice bytes;
    enum sync_status status = stamps_write(stamps, &bytes);
    while (!status && bytes.size > bytes_max) {
        stamps_raise(stamps, stamps_oldest(stamps));
        status = stamps_write(stamps, &bytes);
    }
    if (!status)
        *ret_bytes = bytes;
    return status;
}

/* ---- A change */

/* Puts the change's fields among the old stamps, in order. */
static void stamps_merge(struct field_stamps *stamps, const struct field_stamps *old,
                         const struct changed_field *fields, size_t field_count, uint64_t version) {
    size_t at = 0;
    for (size_t i = 0; i < field_count; i++) {
        struct record_path path = fields[i].path;
        struct field_stamp stamp = {.path = path, .version = version, .from = fields[i].from};
        for (; at < old->count && record_path_compare(old->fields[at].path, path) < 0; at++)
            stamps->fields[stamps->count++] = old->fields[at];
        for (; at < old->count && record_path_compare(old->fields[at].path, path) == 0; at++)
            if (old->fields[at].version > stamp.before)
                stamp.before = old->fields[at].version;
        stamps->fields[stamps->count++] = stamp;
    }
    for (; at < old->count; at++)
        stamps->fields[stamps->count++] = old->fields[at];
    stamps->floor = old->floor;
}

enum sync_status field_stamps_after(const struct field_change *change, struct arena *arena,
                                    struct slice *ret_stamps) {
    assert(change && arena && ret_stamps);
    assert(change->version > change->before->version);
    struct field_stamps old = {.arena = arena}, stamps = {.arena = arena};
    struct changed_field *fields;
    size_t field_count;
    enum sync_status status =
        changed_fields_find(change->document, change->undo, arena, &fields, &field_count);
    if (!status)
        status = field_stamps_read(&old, change->before);
    if (status)
        return status;
    stamps.fields = arena_alloc(arena, (old.count + field_count) * sizeof *stamps.fields);
    if (!stamps.fields)
        return SYNC_ERR_NO_MEMORY;
    stamps_merge(&stamps, &old, fields, field_count, change->version);
    stamps_raise(&stamps, change->wanted_above);
    return stamps_write_bounded(&stamps, change->document.size, ret_stamps);
}
