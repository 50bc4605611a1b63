/* Encoding: a version byte, then per field a varint (leading segments that are those of the field
 * before), a varint (further segments × 2 + removed), each further segment behind its length, and
 * unless removed the value behind its length. Fields are in the document's order. As shared
 * segments are not repeated, a delta is never much longer than both documents. The empty delta has
 * no bytes. */
#include "service/core/delta.h"

#include <assert.h>

#include "base/wire.h"
#include "service/core/delta_read.h"
#include "service/core/document_writer.h"

enum { DELTA_VERSION = 1, DELTA_ROOM_FIRST = 256 };

/* Writes into arena memory that doubles. */
struct delta_writer {
    struct arena *arena;
    uint8_t *data;
    size_t size, capacity;
    struct slice path[DELTA_PATH_MAX];
    size_t path_size;
    size_t shared; /* segments of `path` that the field before has too */
};

static uint8_t *delta_reserve(struct delta_writer *writer, size_t extra) {
    if (extra > writer->capacity - writer->size) {
        size_t capacity = writer->capacity ? writer->capacity * 2 : DELTA_ROOM_FIRST;
        if (capacity < writer->size + extra)
            capacity = writer->size + extra;
        uint8_t *data = arena_alloc(writer->arena, capacity);
        if (!data)
            return NULL;
        if (writer->size > 0)
            memcpy(data, writer->data, writer->size);
        writer->data = data;
        writer->capacity = capacity;
    }
    return writer->data + writer->size;
}

static uint8_t *delta_put(uint8_t *at, struct slice bytes) {
    at += wire_put_varint(at, bytes.size);
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

/* Writes the field at the writer's path and `name`; without value it is removed. */
static enum sync_status delta_write(struct delta_writer *writer, struct slice name,
                                    const struct value *value) {
    size_t room = 1 + 4 * WIRE_VARINT_MAX + name.size + (value ? value->bytes.size : 0);
    for (size_t i = writer->shared; i < writer->path_size; i++)
        room += WIRE_VARINT_MAX + writer->path[i].size;
    uint8_t *begin = delta_reserve(writer, room), *at = begin;
    if (!begin)
        return SYNC_ERR_NO_MEMORY;
    if (writer->size == 0)
        *at++ = DELTA_VERSION;
    at += wire_put_varint(at, writer->shared);
    at += wire_put_varint(at, (writer->path_size + 1 - writer->shared) * 2 + !value);
    for (size_t i = writer->shared; i < writer->path_size; i++)
        at = delta_put(at, writer->path[i]);
    at = delta_put(at, name);
    if (value)
        at = delta_put(at, value->bytes);
    writer->size += (size_t)(at - begin);
    writer->shared = writer->path_size;
    return SYNC_OK;
}

static enum sync_status delta_objects(struct delta_writer *writer, struct slice before,
                                      struct slice after);

/* Writes what became of a member that both have. */
static enum sync_status delta_member(struct delta_writer *writer, const struct member *before,
                                     const struct member *after) {
    if (slice_equal(before->value.bytes, after->value.bytes))
        return SYNC_OK;
    if (before->value.kind != VALUE_OBJECT || after->value.kind != VALUE_OBJECT)
        return delta_write(writer, after->name, &after->value);
    assert(writer->path_size < DELTA_PATH_MAX - 1);
    writer->path[writer->path_size++] = after->name;
    enum sync_status status = delta_objects(writer, before->value.object, after->value.object);
    writer->path_size--;
    if (writer->shared > writer->path_size)
        writer->shared = writer->path_size;
    return status;
}

static enum sync_status delta_objects(struct delta_writer *writer, struct slice before,
                                      struct slice after) {
    struct member old, new;
    size_t old_at = 0, new_at = 0;
    bool has_old = document_next(before, &old_at, &old),
         has_new = document_next(after, &new_at, &new);
    enum sync_status status = SYNC_OK;
    while (!status && (has_old || has_new)) {
        int order = !has_old ? 1 : !has_new ? -1 : document_name_compare(old.name, new.name);
        if (order < 0)
            status = delta_write(writer, old.name, NULL);
        else if (order > 0)
            status = delta_write(writer, new.name, &new.value);
        else
            status = delta_member(writer, &old, &new);
        if (order <= 0)
            has_old = document_next(before, &old_at, &old);
        if (order >= 0)
            has_new = document_next(after, &new_at, &new);
    }
    /* A document that does not parse to its end would give a delta that lacks the rest. */
    if (!status && (old_at != before.size || new_at != after.size))
        return SYNC_ERR_CORRUPT;
    return status;
}

enum sync_status delta_between(struct slice before, struct slice after, struct arena *arena,
                               struct slice *ret_delta) {
    assert(arena);
    assert(ret_delta);
    struct delta_writer writer = {.arena = arena};
    if (!slice_equal(before, after)) {
        enum sync_status status = delta_objects(&writer, before, after);
        if (status)
            return status;
    }
    *ret_delta = slice_of(writer.data, writer.size);
    return SYNC_OK;
}

/* Reads a length and so many bytes. */
static bool delta_read_bytes(struct wire_reader *reader, struct slice *ret_bytes) {
    uint64_t size;
    if (!wire_read_varint(reader, &size) || size > (uint64_t)(reader->end - reader->next))
        return false;
    *ret_bytes = slice_of(reader->next, (size_t)size);
    reader->next += size;
    return true;
}

/* Reads the field at *position; `item` and `path` (room for DELTA_PATH_MAX) are as the field before
 * left them, or empty. On failure `item` is as before. */
static bool delta_read_field(struct slice delta, size_t *position, struct slice *path,
                             struct delta_item *item) {
    uint64_t shared, header;
    if (*position >= delta.size || (*position == 0 && delta.data[0] != DELTA_VERSION))
        return false;
    struct wire_reader reader = wire_reader_of(slice_after(delta, *position + (*position == 0)));
    if (!wire_read_varint(&reader, &shared) || shared > item->path_size ||
        !wire_read_varint(&reader, &header) || header / 2 == 0 ||
        header / 2 > DELTA_PATH_MAX - shared)
        return false;
    struct delta_item next = {.path = path, .shared = (size_t)shared, .removed = header & 1};
    next.path_size = (size_t)(shared + header / 2);
    for (size_t i = next.shared; i < next.path_size; i++)
        if (!delta_read_bytes(&reader, &path[i]))
            return false;
    if (!next.removed && !delta_read_bytes(&reader, &next.value))
        return false;
    *position = (size_t)(reader.next - delta.data);
    *item = next;
    return true;
}

bool delta_next(struct slice delta, size_t *position, struct delta_field *ret_field) {
    assert(position && *position <= delta.size);
    assert(ret_field);
    struct delta_item item = {.path_size = *position == 0 ? 0 : ret_field->path_size};
    if (!delta_read_field(delta, position, ret_field->path, &item))
        return false;
    ret_field->path_size = item.path_size;
    ret_field->removed = item.removed;
    ret_field->value = item.value;
    return true;
}

/* Tells whether `b` may follow `a`: later in the order, and not inside or around it. */
static bool delta_item_follows(const struct delta_item *a, const struct delta_item *b) {
    size_t common = a->path_size < b->path_size ? a->path_size : b->path_size;
    for (size_t i = 0; i < common; i++) {
        int order = document_name_compare(a->path[i], b->path[i]);
        if (order != 0)
            return order < 0;
    }
    return false;
}

size_t delta_item_room(const struct delta_item *item) {
    size_t room = item->value.size;
    for (size_t i = item->shared; i < item->path_size; i++)
        room += item->path[i].size + DOCUMENT_MEMBER_COST;
    return room;
}

enum sync_status delta_items(struct slice delta, struct arena *arena, struct delta_item **ret_items,
                             size_t *ret_count, size_t *ret_room) {
    struct slice path[DELTA_PATH_MAX];
    struct delta_item item = {.path_size = 0};
    size_t position = 0, count = 0, room = 0;
    while (delta_read_field(delta, &position, path, &item))
        count++;
    if (position != delta.size)
        return SYNC_ERR_CORRUPT;
    struct delta_item *items = arena_zalloc(arena, count, sizeof *items);
    if (!items)
        return SYNC_ERR_NO_MEMORY;
    position = 0;
    item = (struct delta_item){.path_size = 0};
    for (size_t i = 0; i < count; i++) {
        struct value value;
        struct slice kept;
        delta_read_field(delta, &position, path, &item);
        if (!item.removed && !value_read(item.value, &value))
            return SYNC_ERR_CORRUPT;
        if (!arena_copy(arena, slice_of(path, item.path_size * sizeof *path), &kept))
            return SYNC_ERR_NO_MEMORY;
        items[i] = item;
        items[i].path = (const struct slice *)(const void *)kept.data;
        if (i > 0 && !delta_item_follows(&items[i - 1], &items[i]))
            return SYNC_ERR_CORRUPT;
        room += delta_item_room(&items[i]);
    }
    *ret_items = items;
    *ret_count = count;
    *ret_room = room;
    return SYNC_OK;
}

/* Where a field lies to another: <0 before it, 0 at it, in it or around it. */
static int delta_item_compare(const struct delta_item *item, const struct delta_field *field) {
    size_t common = item->path_size < field->path_size ? item->path_size : field->path_size;
    int order = 0;
    for (size_t i = 0; i < common && order == 0; i++)
        order = document_name_compare(item->path[i], field->path[i]);
    return order;
}

void delta_items_mark(const struct delta_item *items, size_t count, struct slice delta,
                      bool *marks) {
    assert(items && marks);
    struct delta_field field;
    size_t position = 0, i = 0;
    bool is_at_field = delta_next(delta, &position, &field);
    while (is_at_field && i < count) {
        int order = delta_item_compare(&items[i], &field);
        marks[i] = marks[i] || order == 0;
        if (order < 0 || (order == 0 && field.path_size <= items[i].path_size))
            i++;
        else
            is_at_field = delta_next(delta, &position, &field);
    }
}

struct slice delta_path_text(const struct delta_field *field, struct arena *arena) {
    assert(field);
    return delta_path_join(field->path, field->path_size, arena);
}

struct slice delta_path_join(const struct slice *path, size_t path_size, struct arena *arena) {
    size_t size = path_size;
    for (size_t i = 0; i < path_size; i++)
        size += path[i].size;
    uint8_t *text = arena_alloc(arena, size);
    if (!text)
        return SLICE_EMPTY;
    uint8_t *at = text;
    for (size_t i = 0; i < path_size; i++) {
        if (i > 0)
            *at++ = '.';
        if (path[i].size > 0)
            memcpy(at, path[i].data, path[i].size);
        at += path[i].size;
    }
    return slice_cut_utf8(slice_of(text, (size_t)(at - text)), DELTA_PATH_TEXT_MAX);
}
