#include "service/core/document.h"

#include <assert.h>

#include "base/wire.h"
#include "service/core/document_read.h"

/* Reads what a length-delimited value holds; it must fill the value. */
static bool value_read_content(struct slice bytes, uint8_t tag, struct slice *ret_content) {
    const uint8_t *at = bytes.data, *end = slice_end(bytes);
    return document_read_bytes(&at, end, tag, ret_content) && at == end;
}

bool value_read(struct slice bytes, struct value *ret_value) {
    struct value value = {.bytes = bytes};
    if (bytes.size < 2)
        return false;
    switch (bytes.data[0]) {
    case TAG_NULL:
        value.kind = VALUE_NULL;
        break;
    case TAG_BOOL:
        value.kind = VALUE_BOOL;
        value.boolean = bytes.data[1] != 0;
        break;
    case TAG_NUMBER:
        if (bytes.size != 9)
            return false;
        value.kind = VALUE_NUMBER;
        value.number = document_load_number(bytes.data + 1);
        break;
    case TAG_STRING:
        value.kind = VALUE_STRING;
        if (!value_read_content(bytes, TAG_STRING, &value.text))
            return false;
        break;
    case TAG_OBJECT:
        value.kind = VALUE_OBJECT;
        if (!value_read_content(bytes, TAG_OBJECT, &value.object))
            return false;
        break;
    case TAG_LIST:
        value.kind = VALUE_LIST;
        if (!value_read_content(bytes, TAG_LIST, &value.list))
            return false;
        break;
    default:
        return false;
    }
    *ret_value = value;
    return true;
}

bool document_next(struct slice object, size_t *position, struct member *ret_member) {
    assert(position && *position <= object.size);
    if (*position == object.size)
        return false;
    const uint8_t *at = object.data + *position;
    struct slice name, bytes;
    struct value value;
    if (!document_read_entry(&at, slice_end(object), &name, &bytes) || !value_read(bytes, &value))
        return false;
    *position = (size_t)(at - object.data);
    *ret_member = (struct member){name, value};
    return true;
}

bool document_list_next(struct slice list, size_t *position, struct value *ret_value) {
    assert(position && *position <= list.size);
    if (*position == list.size)
        return false;
    const uint8_t *at = list.data + *position;
    struct slice bytes;
    if (!document_read_bytes(&at, slice_end(list), TAG_LIST_VALUE, &bytes) ||
        !value_read(bytes, ret_value))
        return false;
    *position = (size_t)(at - list.data);
    return true;
}

bool document_find(struct slice object, struct slice name, struct value *ret_value) {
    const uint8_t *at = object.data, *end = slice_end(object);
    struct slice found, bytes;
    while (at < end && document_read_entry(&at, end, &found, &bytes))
        if (slice_equal(found, name))
            return value_read(bytes, ret_value);
    return false;
}

int document_name_compare(struct slice a, struct slice b) {
    size_t common = a.size < b.size ? a.size : b.size, i = 0;
    while (i < common && a.data[i] == b.data[i])
        i++;
    if (i == common)
        return (a.size > b.size) - (a.size < b.size);
    /* UTF-8 orders as UTF-16 does, but for what UTF-16 writes as surrogates (lead bytes from 0xf0
     * on): those come before U+E000 and up (lead bytes 0xee and 0xef). */
    uint8_t x = a.data[i], y = b.data[i];
    if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0))
        return x >= 0xf0 ? -1 : 1;
    return x < y ? -1 : 1;
}

void document_append_member(struct buffer *out, struct slice name, struct slice value_bytes) {
    size_t size = 2 + wire_varint_size(name.size) + name.size + wire_varint_size(value_bytes.size) +
                  value_bytes.size;
    buffer_append_byte(out, TAG_ENTRY);
    wire_write_varint(out, size);
    buffer_append_byte(out, TAG_NAME);
    wire_write_varint(out, name.size);
    buffer_append(out, name);
    buffer_append_byte(out, TAG_VALUE);
    wire_write_varint(out, value_bytes.size);
    buffer_append(out, value_bytes);
}

enum sync_status document_members(struct slice object, struct arena *arena,
                                  struct member **ret_members, size_t *ret_count) {
    const uint8_t *at = object.data, *end = slice_end(object);
    struct slice name, bytes;
    size_t count = 0;
    while (at < end && document_read_entry(&at, end, &name, &bytes))
        count++;
    if (at < end)
        return SYNC_ERR_CORRUPT;
    struct member *members = arena_zalloc(arena, count, sizeof *members);
    if (!members)
        return SYNC_ERR_NO_MEMORY;
    size_t position = 0;
    for (size_t i = 0; i < count; i++)
        if (!document_next(object, &position, &members[i]))
            return SYNC_ERR_CORRUPT;
    *ret_members = members;
    *ret_count = count;
    return SYNC_OK;
}

enum sync_status document_values(struct slice list, struct arena *arena, struct value **ret_values,
                                 size_t *ret_count) {
    const uint8_t *at = list.data, *end = slice_end(list);
    struct slice bytes;
    size_t count = 0;
    while (at < end && document_read_bytes(&at, end, TAG_LIST_VALUE, &bytes))
        count++;
    if (at < end)
        return SYNC_ERR_CORRUPT;
    struct value *values = arena_zalloc(arena, count, sizeof *values);
    if (!values)
        return SYNC_ERR_NO_MEMORY;
    size_t position = 0;
    for (size_t i = 0; i < count; i++)
        if (!document_list_next(list, &position, &values[i]))
            return SYNC_ERR_CORRUPT;
    *ret_values = values;
    *ret_count = count;
    return SYNC_OK;
}
