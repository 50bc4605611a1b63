/* Documents as canonical JSON (RFC 8785). */
#include <assert.h>

#include "base/json_text.h"
#include "service/core/document_read.h"

static void object_append_json(struct slice object, struct buffer *out);

static void list_append_json(struct slice list, struct buffer *out) {
    const uint8_t *at = list.data, *end = at + list.size;
    struct slice bytes;
    struct value value;
    buffer_append_byte(out, '[');
    for (bool first = true; at < end; first = false) {
        if (!document_read_bytes(&at, end, TAG_LIST_VALUE, &bytes) || !value_read(bytes, &value))
            break;
        if (!first)
            buffer_append_byte(out, ',');
        value_append_json(&value, out);
    }
    buffer_append_byte(out, ']');
}

void value_append_json(const struct value *value, struct buffer *out) {
    assert(value && out);
    switch (value->kind) {
    case VALUE_NULL:
        buffer_append(out, SLICE("null"));
        break;
    case VALUE_BOOL:
        buffer_append(out, value->boolean ? SLICE("true") : SLICE("false"));
        break;
    case VALUE_NUMBER:
        json_append_number(out, value->number);
        break;
    case VALUE_STRING:
        json_append_string(out, value->text);
        break;
    case VALUE_OBJECT:
        object_append_json(value->object, out);
        break;
    case VALUE_LIST:
        list_append_json(value->list, out);
        break;
    }
}

static void object_append_json(struct slice object, struct buffer *out) {
    const uint8_t *at = object.data, *end = at + object.size;
    struct slice name, bytes;
    struct value value;
    buffer_append_byte(out, '{');
    for (bool first = true; at < end; first = false) {
        if (!document_read_entry(&at, end, &name, &bytes) || !value_read(bytes, &value))
            break;
        if (!first)
            buffer_append_byte(out, ',');
        json_append_string(out, name);
        buffer_append_byte(out, ':');
        value_append_json(&value, out);
    }
    buffer_append_byte(out, '}');
}

void document_append_json(struct slice document, struct buffer *out) {
    assert(out);
    object_append_json(document, out);
}
