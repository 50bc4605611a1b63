/* Wire encoder: the state of one writing of wire bytes as JSON, and the parts that write it. For
 * wire_*.c and transcode*.c only.
 *
 * A writer appends to `out` and returns true, or has ended the writing (`status`) and returns
 * false. */
#ifndef GATEWAY_WIRE_ENCODER_H
#define GATEWAY_WIRE_ENCODER_H

#include "base/limits.h"
#include "base/wire.h"
#include "gateway/json_names.h"
#include "gateway/json_path.h"
#include "gateway/json_scan.h"
#include "gateway/schema_types.h"
#include "gateway/transcode.h"

enum { WIRE_STEPS_MAX = 3 * WIRE_DEPTH_MAX, WIRE_COPY_WIDE = 16 };

struct wire_encoder {
    const uint8_t *begin; /* of the wire bytes */
    size_t wide_size;     /* how many of them have WIRE_COPY_WIDE bytes from them on */
    struct buffer *out;
    const struct schema *schema;
    struct sync_error *error;
    enum sync_status status;
    unsigned depth, any_count /* of the Any's around */;
    struct json_names names;
    struct arena arena; /* what has to be put together or in order first */
    size_t step_count;
    struct json_step steps[WIRE_STEPS_MAX];
};

/* The members of one object being written. */
struct wire_members {
    const struct schema_field *open; /* the list or map whose bracket is open */
    size_t cursor;                   /* fields before it are done with, as to `always` */
    bool some;                       /* a member has been written: a comma comes first */
    bool bare;                       /* one field alone: its value without a name */
    bool no_headers;                 /* fields that become response headers are left out */
};

/* Prepares and releases an encoder. */
void wire_encoder_init(struct wire_encoder *encoder, const struct schema *schema, struct slice wire,
                       struct buffer *out, struct sync_error *error);
void wire_encoder_done(struct wire_encoder *encoder);

/* Ends the writing; returns false. */
bool wire_encode_fail(struct wire_encoder *encoder, const char *reason, const char *description)
    __attribute__((cold));

/* The same: the bytes are no message. */
bool wire_encode_malformed(struct wire_encoder *encoder) __attribute__((cold));

/* The same: no memory. */
bool wire_encode_memory(struct wire_encoder *encoder) __attribute__((cold));

/* The status of the whole. */
enum sync_status wire_encoder_finish(struct wire_encoder *encoder);

/* Counts one level of nesting; each true is matched by wire_encode_leave. */
static inline bool wire_encode_enter(struct wire_encoder *encoder) {
    return ++encoder->depth <= WIRE_DEPTH_MAX ||
           wire_encode_fail(encoder, "TOO_DEEP", "messages are nested too deep");
}

/* Leaves a message or list. */
static inline void wire_encode_leave(struct wire_encoder *encoder) {
    encoder->depth--;
}

/* Enters one more step of the path that errors name; the depth was checked before. */
static inline struct json_step *wire_step_push(struct wire_encoder *encoder) {
    struct json_step *step = &encoder->steps[encoder->step_count++];
    step->field = NULL;
    step->key = SLICE_EMPTY;
    return step;
}

/* wire_read for what most fields are: a tag of one byte, and a varint or a length of one byte or
 * two. Whatever else comes is left to wire_read. */
static inline bool wire_read_short(struct wire_reader *reader, struct wire_field *ret_field) {
    const uint8_t *at = reader->next;
    size_t room = (size_t)(reader->end - at);
    if (room < 3 || at[0] >= 128 || at[0] < 8)
        return wire_read(reader, ret_field);
    enum wire_type type = (enum wire_type)(at[0] & 7);
    ret_field->number = at[0] >> 3;
    ret_field->type = type;
    if (type == WIRE_LEN) {
        size_t head = at[1] < 128 ? 2 : 3;
        size_t size = at[1] < 128 ? at[1] : (size_t)(at[1] & 127) | (size_t)at[2] << 7;
        if ((head == 3 && at[2] >= 128) || size > room - head)
            return wire_read(reader, ret_field);
        ret_field->bytes = slice_of(at + head, size);
        ret_field->bits = 0;
        reader->next = at + head + size;
        return true;
    }
    if (type == WIRE_VARINT) {
        struct wire_reader ahead = {at + 1, reader->end};
        if (!wire_read_varint(&ahead, &ret_field->bits))
            return false;
        ret_field->bytes = SLICE_EMPTY;
        *reader = ahead;
        return true;
    }
    return wire_read(reader, ret_field);
}

/* Whether a field as read can be one of `field`, unpacked or packed. */
static inline bool wire_type_fits(const struct schema_field *field, enum wire_type type) {
    return field->wire_type == type ||
           (type == WIRE_LEN && field->repeated && schema_type_packs(field->type));
}

/* Makes a message set's item the field that it holds, and finds that; NULL where there is none. */
const struct schema_field *wire_set_item(const struct schema_message *message,
                                         struct wire_field *part);

/* Reads the next field; false at the end and when malformed (then the status is set). */
static inline bool wire_encode_next(struct wire_encoder *encoder, struct wire_reader *reader,
                                    struct wire_field *ret_field) {
    if (wire_at_end(reader))
        return false;
    return wire_read_short(reader, ret_field) || wire_encode_malformed(encoder);
}

/* Whether a value of a field with closed_enum, of its map's entry, or any of its packed values is
 * one that the enum declares; another is as an unknown field. */
bool wire_enum_declared(const struct schema_field *field, const struct wire_field *part);

/* The field of a message that a part is, or NULL where it is unknown or of a type that does not
 * fit. A message set's item becomes the field that it holds. */
static inline const struct schema_field *wire_encode_field(const struct schema_message *message,
                                                           struct wire_field *part) {
    const struct schema_field *field = schema_field_at(message, part->number);
    if (!field && message->message_set)
        field = wire_set_item(message, part);
    if (!field || !wire_type_fits(field, part->type))
        return NULL;
    return field->closed_enum && !wire_enum_declared(field, part) ? NULL : field;
}

/* Appends a byte. */
static inline void wire_encode_byte(struct wire_encoder *encoder, uint8_t byte) {
    struct buffer *out = encoder->out;
    if (out->size < out->capacity && !out->failed)
        out->data[out->size++] = byte;
    else
        buffer_append_byte(out, byte);
}

/* json_copy_plain to where there is room for WIRE_COPY_WIDE bytes more. What is short and of the
 * input is copied as one block, whatever its size. */
static inline bool wire_copy_plain(const struct wire_encoder *encoder, uint8_t *to,
                                   struct slice text) {
#ifdef __SSE2__
    if (text.size > 0 && text.size <= WIRE_COPY_WIDE &&
        (uintptr_t)text.data - (uintptr_t)encoder->begin < encoder->wide_size) {
        __m128i block = _mm_loadu_si128((const __m128i *)text.data);
        _mm_storeu_si128((__m128i *)to, block);
        return (json_block_stops(block) & ((1u << text.size) - 1)) == 0;
    }
#else
    (void)encoder;
#endif
    return json_copy_plain(to, text);
}

/* wire_encode_string for texts of any kind. */
bool wire_encode_any_string(struct wire_encoder *encoder, struct slice text);

/* Writes a string with its quotes; it must be UTF-8. */
static inline bool wire_encode_string(struct wire_encoder *encoder, struct slice text) {
    struct buffer *out = encoder->out;
    if (text.size + 2 + WIRE_COPY_WIDE > out->capacity - out->size || out->failed)
        return wire_encode_any_string(encoder, text);
    uint8_t *to = out->data + out->size;
    if (!wire_copy_plain(encoder, to + 1, text))
        return wire_encode_any_string(encoder, text);
    to[0] = to[text.size + 1] = '"';
    buffer_advance(out, text.size + 2);
    return true;
}

/* Writes a decimal integer. */
void wire_encode_integer(struct wire_encoder *encoder, uint64_t size, bool negative);

/* Writes a double, "NaN" and infinities in quotes. */
void wire_encode_double(struct wire_encoder *encoder, double value);

/* Writes one scalar: a field as read, or the bits of a packed element. */
bool wire_encode_scalar(struct wire_encoder *encoder, const struct schema_field *field,
                        const struct wire_field *value);

/* Writes a map's key with its quotes and colon. */
bool wire_encode_key(struct wire_encoder *encoder, const struct schema_field *field,
                     const struct wire_field *key);

/* Writes a message of any form. */
bool wire_encode_message(struct wire_encoder *encoder, const struct schema_message *message,
                         struct slice bytes);

/* Copies a label to where there is room for it and SCHEMA_LABEL_WIDE bytes more; returns where it
 * ends. */
static inline uint8_t *wire_label_copy(uint8_t *to, struct slice label) {
    /* Most are as short: their copy takes no call. */
    memcpy(to, label.data, SCHEMA_LABEL_WIDE);
    if (label.size > SCHEMA_LABEL_WIDE)
        memcpy(to, label.data, label.size);
    return to + label.size;
}

/* Writes members from where the reader stands, and has it step over them, up to one that is not
 * plain, out of order, or has an error to be told. The number of the last one, or 0. */
uint32_t wire_encode_plain(struct wire_encoder *encoder, const struct schema_message *message,
                           struct wire_reader *reader, struct wire_members *members);

/* Writes the members of a message, without braces. */
bool wire_encode_members(struct wire_encoder *encoder, const struct schema_message *message,
                         struct slice bytes, struct wire_members *members);

/* The same where fields come out of order, twice, or split. */
bool wire_encode_unordered(struct wire_encoder *encoder, const struct schema_message *message,
                           struct slice bytes, struct wire_members *members);

/* Writes one field, or one element, of a message. */
bool wire_encode_member(struct wire_encoder *encoder, const struct schema_message *message,
                        const struct schema_field *field, const struct wire_field *value,
                        struct wire_members *members);

/* Closes the open bracket, if one is. */
void wire_members_close(struct wire_encoder *encoder, struct wire_members *members);

/* Writes the `always` fields up to the one with this index that have not been written. */
void wire_members_defaults(struct wire_encoder *encoder, const struct schema_message *message,
                           size_t until, struct wire_members *members);

/* Takes a map's entry apart. */
bool wire_entry_read(struct wire_encoder *encoder, const struct schema_message *entry,
                     struct slice bytes, struct wire_field *ret_key, struct wire_field *ret_value);

/* Notes a map's key; answers whether it is there already. */
bool wire_key_note(struct wire_encoder *encoder, size_t object, const struct schema_field *field,
                   const struct wire_field *key, bool *ret_twice);

/* `a` and `b`, one behind the other. */
bool wire_join(struct wire_encoder *encoder, struct slice a, struct slice b,
               struct slice *ret_joined);

/* Writes google.protobuf's own forms. */
bool wire_encode_struct(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_value(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_list(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_any(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_timestamp(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_duration(struct wire_encoder *encoder, struct slice bytes);
bool wire_encode_field_mask(struct wire_encoder *encoder, struct slice bytes);

#endif
