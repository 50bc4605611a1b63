/* Messages as JSON bodies, with what goes into headers taken out. */
#include <assert.h>

#include "gateway/wire_encoder.h"

enum sync_status transcode_to_json(const struct schema *schema,
                                   const struct schema_message *message, struct slice wire,
                                   struct buffer *out, struct sync_error *error) {
    assert(schema);
    assert(message);
    struct wire_encoder encoder;
    wire_encoder_init(&encoder, schema, wire, out, error);
    wire_encode_message(&encoder, message, wire);
    enum sync_status status = wire_encoder_finish(&encoder);
    wire_encoder_done(&encoder);
    return status;
}

/* The occurrences of one field, as a message that holds nothing else. */
static bool field_extract(struct wire_encoder *encoder, uint32_t number, struct slice wire,
                          struct slice *ret_bytes) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field part;
    uint8_t *bytes = NULL;
    size_t size = 0, count = 0;
    while (!wire_at_end(&reader)) {
        const uint8_t *begin = reader.next;
        if (!wire_read(&reader, &part))
            return wire_encode_malformed(encoder);
        if (part.number != number)
            continue;
        struct slice record = slice_of(begin, (size_t)(reader.next - begin));
        if (count++ == 0) {
            *ret_bytes = record; /* mostly all there is */
            continue;
        }
        if (!bytes) {
            bytes = arena_alloc(&encoder->arena, wire.size);
            if (!bytes)
                return wire_encode_memory(encoder);
            memcpy(bytes, ret_bytes->data, ret_bytes->size);
            size = ret_bytes->size;
        }
        memcpy(bytes + size, record.data, record.size);
        size += record.size;
        *ret_bytes = slice_of(bytes, size);
    }
    return true;
}

/* What stands for an absent field. */
static void write_absent(struct wire_encoder *encoder, const struct schema_field *field) {
    struct wire_field zero = {.bytes = SLICE_EMPTY};
    if (field->repeated && !field->map)
        buffer_append(encoder->out, SLICE("[]"));
    else if (field->message)
        buffer_append(encoder->out, SLICE("{}"));
    else
        wire_encode_scalar(encoder, field, &zero);
}

static bool field_write(struct wire_encoder *encoder, const struct schema_message *message,
                        const struct schema_field *field, struct slice wire) {
    struct slice bytes = SLICE_EMPTY;
    struct wire_members members = {.bare = true};
    if (!field_extract(encoder, field->number, wire, &bytes) ||
        !wire_encode_members(encoder, message, bytes, &members))
        return false;
    if (!members.some)
        write_absent(encoder, field);
    return true;
}

enum sync_status transcode_field_to_json(const struct schema *schema,
                                         const struct schema_message *message, struct slice field,
                                         struct slice wire, struct buffer *out,
                                         struct sync_error *error) {
    const struct schema_field *found = schema_field_find(message, field);
    assert(schema);
    if (!found)
        return sync_error_set(error, SYNC_ERR_INVALID, "UNKNOWN_FIELD", NULL,
                              "the message has no field \"%.*s\"", (int)field.size, field.data);
    struct wire_encoder encoder;
    wire_encoder_init(&encoder, schema, wire, out, error);
    field_write(&encoder, message, found, wire);
    enum sync_status status = wire_encoder_finish(&encoder);
    wire_encoder_done(&encoder);
    return status;
}

/* Whether a value may stand in a header: no control characters. */
static bool is_header_value(struct slice value) {
    for (size_t i = 0; i < value.size; i++)
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            return false;
    return value.size > 0;
}

/* Takes the fields that are headers out of the wire bytes. */
static bool headers_take(struct wire_encoder *encoder, const struct schema_message *message,
                         struct slice wire, struct arena *arena, struct transcode_header *headers,
                         size_t header_max, size_t *ret_count) {
    size_t count = 0;
    for (size_t i = 0; i < message->field_count && count < header_max; i++) {
        const struct schema_field *field = &message->fields[i];
        if (field->response_header.size == 0 || field->type != SCHEMA_STRING)
            continue;
        struct wire_reader reader = wire_reader_of(wire);
        struct wire_field part;
        struct slice value = SLICE_EMPTY;
        while (wire_encode_next(encoder, &reader, &part))
            if (part.number == field->number && part.type == WIRE_LEN)
                value = part.bytes;
        if (encoder->status)
            return false;
        if (!is_header_value(value))
            continue;
        if (!arena_copy(arena, value, &value))
            return wire_encode_memory(encoder);
        headers[count++] = (struct transcode_header){field->response_header, value};
    }
    *ret_count = count;
    return true;
}

enum sync_status transcode_response_to_json(const struct schema *schema, const struct route *route,
                                            struct slice wire, struct arena *arena,
                                            struct buffer *out, struct transcode_header *headers,
                                            size_t header_max, size_t *ret_header_count,
                                            struct sync_error *error) {
    assert(schema);
    assert(route);
    const struct schema_message *message = route->method->response;
    struct slice body = route->rule->response_body;
    struct wire_encoder encoder;
    size_t count = 0;
    wire_encoder_init(&encoder, schema, wire, out, error);
    bool well = headers_take(&encoder, message, wire, arena, headers, header_max, &count);
    if (well && body.size > 0) {
        well = field_write(&encoder, message, schema_field_find(message, body), wire);
    } else if (well && message->form == SCHEMA_FORM_FIELDS) {
        struct wire_members members = {.no_headers = true};
        wire_encode_byte(&encoder, '{');
        well = wire_encode_members(&encoder, message, wire, &members);
        wire_encode_byte(&encoder, '}');
    } else if (well) {
        well = wire_encode_message(&encoder, message, wire);
    }
    enum sync_status status = wire_encoder_finish(&encoder);
    if (well && !status)
        *ret_header_count = count;
    wire_encoder_done(&encoder);
    return status;
}
