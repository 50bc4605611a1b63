/* Encoding: a version byte, the floor, then per field a varint (leading segments that are those of
 * the field before), a varint (further segments × 2 + whether it changed before), each further
 * segment behind its length, the stamp's distance from the floor, and that of the change before.
 * Fields are in the document's order, an object before what is in it: both are there when the
 * object was set as a whole and a member changed later. */
#include "service/core/field_stamps.h"

#include <assert.h>

#include "base/wire.h"
#include "service/core/delta_read.h"
#include "service/core/document.h"

enum {
    STAMPS_VERSION = 1,
    STAMPS_LEAD_MAX = 1 + WIRE_VARINT_MAX,
    STAMP_BYTES_MIN = 4, /* two counts, a name of no bytes, a distance */
};

/* One field's stamp; its path borrows. */
struct field_stamp {
    const struct slice *path;
    size_t path_size;
    uint64_t version;
    uint64_t
        before; /* of the last change at it or in it before that one; 0: none above the floor */
};

/* Stamps on their way. */
struct field_stamps {
    struct arena *arena;
    struct field_stamp *fields;
    size_t count;
    uint64_t floor;
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

/* Reads one stamp behind `last`, whose path it may share; NULL: it is the first. */
static enum sync_status stamps_read_one(struct field_stamps *stamps, struct wire_reader *reader,
                                        const struct field_stamp *last,
                                        struct field_stamp *ret_stamp) {
    uint64_t shared, header, distance, before = 0;
    if (!wire_read_varint(reader, &shared) || !wire_read_varint(reader, &header) ||
        shared > (last ? last->path_size : 0) || header / 2 == 0 ||
        header / 2 > DELTA_PATH_MAX - shared)
        return SYNC_ERR_CORRUPT;
    uint64_t further = header / 2;
    struct slice *path = arena_alloc(stamps->arena, (size_t)(shared + further) * sizeof *path);
    if (!path)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < shared; i++)
        path[i] = last->path[i];
    for (size_t i = 0; i < further; i++)
        if (!stamps_read_segment(reader, &path[shared + i]))
            return SYNC_ERR_CORRUPT;
    if (!wire_read_varint(reader, &distance) || distance > UINT64_MAX - stamps->floor ||
        ((header & 1) && (!wire_read_varint(reader, &before) || before >= distance)))
        return SYNC_ERR_CORRUPT;
    *ret_stamp = (struct field_stamp){.path = path,
                                      .path_size = (size_t)(shared + further),
                                      .version = stamps->floor + distance,
                                      .before = (header & 1) ? stamps->floor + before : 0};
    return SYNC_OK;
}

/* Reads a record's stamps. */
static enum sync_status stamps_read(struct field_stamps *stamps, const struct record *record) {
    struct wire_reader reader = wire_reader_of(record->stamps);
    stamps->count = 0;
    stamps->floor = record->version;
    size_t room = record->stamps.size / STAMP_BYTES_MIN;
    stamps->fields = arena_alloc(stamps->arena, room * sizeof *stamps->fields);
    if (!stamps->fields)
        return SYNC_ERR_NO_MEMORY;
    if (record->stamps.size == 0)
        return SYNC_OK;
    if (*reader.next++ != STAMPS_VERSION || !wire_read_varint(&reader, &stamps->floor) ||
        stamps->floor > record->version)
        return SYNC_ERR_CORRUPT;
    while (!wire_at_end(&reader)) {
        if (stamps->count == FIELD_STAMPS_MAX || stamps->count == room)
            return SYNC_ERR_CORRUPT;
        assert(stamps->fields);
        struct field_stamp *stamp = &stamps->fields[stamps->count];
        enum sync_status status =
            stamps_read_one(stamps, &reader, stamps->count > 0 ? stamp - 1 : NULL, stamp);
        if (status)
            return status;
        if (stamp->version > record->version)
            return SYNC_ERR_CORRUPT;
        stamps->count++;
    }
    return SYNC_OK;
}

/* ---- Writing */

static size_t shared_segments(const struct field_stamp *a, const struct field_stamp *b) {
    size_t shared = 0, size_max = a->path_size < b->path_size ? a->path_size : b->path_size;
    while (shared < size_max && slice_equal(a->path[shared], b->path[shared]))
        shared++;
    return shared;
}

/* The bytes that writing takes at most. */
static size_t stamps_room(const struct field_stamps *stamps) {
    size_t room = STAMPS_LEAD_MAX;
    for (size_t i = 0; i < stamps->count; i++) {
        room += 4 * WIRE_VARINT_MAX;
        for (size_t j = 0; j < stamps->fields[i].path_size; j++)
            room += WIRE_VARINT_MAX + stamps->fields[i].path[j].size;
    }
    return room;
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
        size_t shared = i > 0 ? shared_segments(stamp - 1, stamp) : 0;
        at += wire_put_varint(at, shared);
        at += wire_put_varint(at, (stamp->path_size - shared) * 2 + (stamp->before > 0));
        for (size_t j = shared; j < stamp->path_size; j++) {
            at += wire_put_varint(at, stamp->path[j].size);
            if (stamp->path[j].size > 0)
                memcpy(at, stamp->path[j].data, stamp->path[j].size);
            at += stamp->path[j].size;
        }
        at += wire_put_varint(at, stamp->version - stamps->floor);
        if (stamp->before > 0)
            at += wire_put_varint(at, stamp->before - stamps->floor);
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

/* How a stamp lies to a changed field: before it (an object around it too), at it or in it, behind
 * it. */
static int stamp_compare(const struct field_stamp *stamp, const struct delta_item *item) {
    for (size_t i = 0; i < stamp->path_size && i < item->path_size; i++) {
        int order = document_name_compare(stamp->path[i], item->path[i]);
        if (order != 0)
            return order;
    }
    return stamp->path_size < item->path_size ? -1 : 0;
}

/* Puts the change's fields among the old stamps, in order. */
static void stamps_merge(struct field_stamps *stamps, const struct field_stamps *old,
                         const struct delta_item *items, size_t item_count, uint64_t version) {
    size_t at = 0;
    for (size_t i = 0; i < item_count; i++) {
        struct field_stamp stamp = {items[i].path, items[i].path_size, version, 0};
        for (; at < old->count && stamp_compare(&old->fields[at], &items[i]) < 0; at++)
            stamps->fields[stamps->count++] = old->fields[at];
        for (; at < old->count && stamp_compare(&old->fields[at], &items[i]) == 0; at++)
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
    struct delta_item *items;
    size_t item_count, room;
    enum sync_status status = delta_items(change->undo, arena, &items, &item_count, &room);
    if (!status)
        status = stamps_read(&old, change->before);
    if (status)
        return status;
    stamps.fields = arena_alloc(arena, (old.count + item_count) * sizeof *stamps.fields);
    if (!stamps.fields)
        return SYNC_ERR_NO_MEMORY;
    stamps_merge(&stamps, &old, items, item_count, change->version);
    stamps_raise(&stamps, change->wanted_above);
    return stamps_write_bounded(&stamps, change->document_size, ret_stamps);
}

/* ---- A patch */

/* Finds the value at a path; false when there is none. */
static bool value_at(struct slice document, const struct slice *path, size_t path_size,
                     struct value *ret_value) {
    struct value value = {.kind = VALUE_OBJECT, .object = document};
    for (size_t i = 0; i < path_size; i++)
        if (value.kind != VALUE_OBJECT || !document_find(value.object, path[i], &value))
            return false;
    *ret_value = value;
    return true;
}

/* Whether a stamp's field lies in the one taken last. */
static bool stamp_is_in(const struct field_stamp *stamp, const struct delta_item *last) {
    return stamp->path_size >= last->path_size && stamp_compare(stamp, last) == 0;
}

/* Takes the outermost of the fields that changed after `since`, as they are now. False when one has
 * become an object and may have been another then: merged into that, it would keep its members. */
static bool stamps_select(const struct field_stamps *stamps, const struct record *record,
                          uint64_t since, struct delta_item *items, size_t *ret_count) {
    size_t count = 0;
    for (size_t i = 0; i < stamps->count; i++) {
        const struct field_stamp *stamp = &stamps->fields[i];
        struct value value;
        if (stamp->version <= since || (count > 0 && stamp_is_in(stamp, &items[count - 1])))
            continue;
        bool is_there = value_at(record->data, stamp->path, stamp->path_size, &value);
        if (is_there && value.kind == VALUE_OBJECT && stamp->before > since)
            return false;
        items[count++] = (struct delta_item){.path = stamp->path,
                                             .path_size = stamp->path_size,
                                             .removed = !is_there,
                                             .value = is_there ? value.bytes : SLICE_EMPTY};
    }
    *ret_count = count;
    return true;
}

enum sync_status field_stamps_patch(const struct record *record, uint64_t since,
                                    struct arena *arena, struct slice *ret_patch, bool *ret_found) {
    assert(record && arena);
    assert(!record->deleted);
    struct field_stamps stamps = {.arena = arena};
    enum sync_status status = stamps_read(&stamps, record);
    if (status)
        return status;
    if (since < stamps.floor) {
        *ret_found = false;
        return SYNC_OK;
    }
    struct delta_item *items = arena_alloc(arena, stamps.count * sizeof *items);
    if (!items)
        return SYNC_ERR_NO_MEMORY;
    size_t count;
    *ret_found = stamps_select(&stamps, record, since, items, &count) &&
                 delta_items_to_merge_patch(items, count, arena, ret_patch);
    return SYNC_OK;
}
