#include "gateway/error_path.h"

#include <assert.h>

#include "base/wire.h"
#include "gateway/error_body.h"

enum { STATUS_DETAIL = 3, ANY_VALUE = 2, BAD_REQUEST_VIOLATION = 1, VIOLATION_FIELD = 1 };

/* What is gathered on the way. */
struct path_strip {
    struct slice field;
    struct slice first; /* the first path that was shortened, as it was */
};

/* Tells whether the path lies in the field. */
static bool path_is_inside(struct slice field, struct slice path) {
    return path.size > field.size + 1 && slice_starts_with(path, field) &&
           path.data[field.size] == '.';
}

/* Copies a violation with its path shortened. */
static bool violation_copy(struct path_strip *strip, struct slice violation, struct buffer *out) {
    struct wire_reader reader = wire_reader_of(violation);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        const uint8_t *begin = reader.next;
        if (!wire_read(&reader, &field))
            return false;
        if (field.number == VIOLATION_FIELD && field.type == WIRE_LEN &&
            path_is_inside(strip->field, field.bytes)) {
            if (strip->first.size == 0)
                strip->first = field.bytes;
            wire_write_bytes(out, VIOLATION_FIELD, slice_after(field.bytes, strip->field.size + 1));
        } else {
            buffer_append(out, slice_of(begin, (size_t)(reader.next - begin)));
        }
    }
    return true;
}

/* Copies one message of the chain, with what lies in its field `number` copied by `inside`. */
static bool message_copy(struct path_strip *strip, struct slice message, uint32_t number,
                         bool (*inside)(struct path_strip *, struct slice, struct buffer *),
                         struct buffer *out) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        const uint8_t *begin = reader.next;
        if (!wire_read(&reader, &field))
            return false;
        if (field.number != number || field.type != WIRE_LEN) {
            buffer_append(out, slice_of(begin, (size_t)(reader.next - begin)));
            continue;
        }
        size_t open = wire_begin(out, number);
        if (!inside(strip, field.bytes, out))
            return false;
        wire_end(out, open);
    }
    return true;
}

static bool bad_request_copy(struct path_strip *strip, struct slice value, struct buffer *out) {
    return message_copy(strip, value, BAD_REQUEST_VIOLATION, violation_copy, out);
}

static bool any_copy(struct path_strip *strip, struct slice any, struct buffer *out) {
    struct any_parts parts;
    if (!any_read(any, &parts))
        return false;
    if (slice_equal(parts.type_name, SLICE("google.rpc.BadRequest")))
        return message_copy(strip, any, ANY_VALUE, bad_request_copy, out);
    buffer_append(out, any);
    return true;
}

/* The message without the first "FIELD." of the path that it repeats. */
static void message_strip(const struct path_strip *strip, struct arena *arena,
                          struct slice *message) {
    if (message->size == 0)
        return;
    const uint8_t *at = memmem(message->data, message->size, strip->first.data, strip->first.size);
    size_t cut = strip->field.size + 1;
    uint8_t *text = at ? arena_alloc(arena, message->size - cut) : NULL;
    if (!text)
        return;
    size_t before = (size_t)(at - message->data);
    memcpy(text, message->data, before);
    memcpy(text + before, at + cut, message->size - before - cut);
    *message = slice_of(text, message->size - cut);
}

void error_path_strip(struct slice field, struct arena *arena, struct slice *message,
                      struct slice *details) {
    assert(field.size > 0);
    struct path_strip strip = {.field = field};
    struct buffer out;
    struct slice copy;
    buffer_init(&out, details->size);
    bool is_whole = message_copy(&strip, *details, STATUS_DETAIL, any_copy, &out);
    if (is_whole && strip.first.size > 0 && buffer_status(&out) == SYNC_OK &&
        arena_copy(arena, buffer_slice(&out), &copy)) {
        message_strip(&strip, arena, message);
        *details = copy;
    }
    buffer_done(&out);
}
