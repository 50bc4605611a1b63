#include "base/wire.h"

#include <assert.h>

#include "base/limits.h"

enum { WIRE_NUMBER_MAX = (1 << 29) - 1, WIRE_TAG_MAX = 5, WIRE_LENGTH_MAX = 5 };

bool wire_read_varint(struct wire_reader *reader, uint64_t *ret_value) {
    const uint8_t *at = reader->next;
    if (__builtin_expect(at < reader->end && *at < 128, 1)) {
        *ret_value = *at;
        reader->next = at + 1;
        return true;
    }
    uint64_t value = 0;
    size_t room = (size_t)(reader->end - at);
    size_t limit = room < WIRE_VARINT_MAX ? room : WIRE_VARINT_MAX;
    for (size_t i = 0; i < limit; i++) {
        value |= (uint64_t)(at[i] & 127) << (7 * i);
        if (at[i] < 128) {
            *ret_value = value;
            reader->next = at + i + 1;
            return true;
        }
    }
    return false;
}

static bool wire_read_tag(struct wire_reader *reader, uint32_t *ret_number,
                          enum wire_type *ret_type) {
    const uint8_t *begin = reader->next;
    uint64_t tag;
    if (!wire_read_varint(reader, &tag) || reader->next - begin > WIRE_TAG_MAX)
        return false;
    if (tag >> 3 == 0 || tag >> 3 > WIRE_NUMBER_MAX || (tag & 7) > WIRE_I32)
        return false;
    *ret_number = (uint32_t)(tag >> 3);
    *ret_type = (enum wire_type)(tag & 7);
    return true;
}

/* Reads `size` bytes, at most 8, little-endian. */
static bool wire_read_fixed(struct wire_reader *reader, size_t size, uint64_t *ret_bits) {
    if ((size_t)(reader->end - reader->next) < size)
        return false;
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++)
        bits |= (uint64_t)reader->next[i] << (8 * i);
    reader->next += size;
    *ret_bits = bits;
    return true;
}

static bool wire_read_len(struct wire_reader *reader, struct slice *ret_bytes) {
    const uint8_t *begin = reader->next;
    uint64_t size;
    /* Parsers of protobuf read no longer ones: what they would refuse must not pass here. */
    if (!wire_read_varint(reader, &size) || reader->next - begin > WIRE_LENGTH_MAX ||
        size > (uint64_t)(reader->end - reader->next))
        return false;
    *ret_bytes = slice_of(reader->next, (size_t)size);
    reader->next += size;
    return true;
}

/* Reads the value of any type but a group. */
static bool wire_read_scalar(struct wire_reader *reader, struct wire_field *field) {
    switch (field->type) {
    case WIRE_VARINT:
        return wire_read_varint(reader, &field->bits);
    case WIRE_I64:
        return wire_read_fixed(reader, 8, &field->bits);
    case WIRE_I32:
        return wire_read_fixed(reader, 4, &field->bits);
    case WIRE_LEN:
        return wire_read_len(reader, &field->bytes);
    case WIRE_SGROUP:
    case WIRE_EGROUP:
        break;
    }
    return false;
}

/* Reads the content of the group `number`, whose start tag was just read, and its end tag. The
 * numbers of the open groups lie on a stack of our own, so that depth costs no recursion. */
static bool wire_read_group(struct wire_reader *reader, uint32_t number, struct slice *ret_bytes) {
    uint32_t open[WIRE_DEPTH_MAX] = {number};
    size_t depth = 1;
    const uint8_t *begin = reader->next;
    while (!wire_at_end(reader)) {
        struct wire_field field = {.number = 0};
        const uint8_t *tag = reader->next;
        if (!wire_read_tag(reader, &field.number, &field.type))
            return false;
        if (field.type == WIRE_SGROUP) {
            if (depth == WIRE_DEPTH_MAX)
                return false;
            open[depth++] = field.number;
        } else if (field.type == WIRE_EGROUP) {
            if (open[--depth] != field.number)
                return false;
            if (depth == 0) {
                *ret_bytes = slice_of(begin, (size_t)(tag - begin));
                return true;
            }
        } else if (!wire_read_scalar(reader, &field)) {
            return false;
        }
    }
    return false;
}

bool wire_read(struct wire_reader *reader, struct wire_field *ret_field) {
    assert(reader->next < reader->end);
    struct wire_reader ahead = *reader;
    struct wire_field field = {.number = 0};
    if (!wire_read_tag(&ahead, &field.number, &field.type))
        return false;
    bool well = field.type == WIRE_SGROUP ? wire_read_group(&ahead, field.number, &field.bytes)
                                          : wire_read_scalar(&ahead, &field);
    if (!well)
        return false;
    *reader = ahead;
    *ret_field = field;
    return true;
}

size_t wire_put_varint(uint8_t *out, uint64_t value) {
    size_t size = 0;
    for (; value >= 128; value >>= 7)
        out[size++] = (uint8_t)(value | 128);
    out[size++] = (uint8_t)value;
    return size;
}

void wire_write_varint(struct buffer *out, uint64_t value) {
    if (!out->failed && out->capacity - out->size >= WIRE_VARINT_MAX) {
        buffer_advance(out, wire_put_varint(out->data + out->size, value));
        return;
    }
    uint8_t varint[WIRE_VARINT_MAX];
    buffer_append(out, slice_of(varint, wire_put_varint(varint, value)));
}

void wire_write_tag(struct buffer *out, uint32_t number, enum wire_type type) {
    assert(number > 0);
    assert(number <= WIRE_NUMBER_MAX);
    wire_write_varint(out, (uint64_t)number << 3 | type);
}

void wire_write_uint(struct buffer *out, uint32_t number, uint64_t value) {
    wire_write_tag(out, number, WIRE_VARINT);
    wire_write_varint(out, value);
}

/* Appends the low `size` bytes of `bits`, little-endian. */
static void wire_write_fixed(struct buffer *out, uint64_t bits, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    buffer_append(out, slice_of(bytes, size));
}

void wire_write_i64(struct buffer *out, uint32_t number, uint64_t bits) {
    wire_write_tag(out, number, WIRE_I64);
    wire_write_fixed(out, bits, 8);
}

void wire_write_i32(struct buffer *out, uint32_t number, uint32_t bits) {
    wire_write_tag(out, number, WIRE_I32);
    wire_write_fixed(out, bits, 4);
}

void wire_write_bytes(struct buffer *out, uint32_t number, struct slice bytes) {
    wire_write_tag(out, number, WIRE_LEN);
    wire_write_varint(out, bytes.size);
    buffer_append(out, bytes);
}

size_t wire_begin(struct buffer *out, uint32_t number) {
    wire_write_tag(out, number, WIRE_LEN);
    buffer_append_byte(out, 0); /* most lengths take one byte; wire_end makes room for more */
    return out->size;
}

void wire_end(struct buffer *out, size_t begin) {
    if (out->failed)
        return;
    assert(begin > 0);
    assert(begin <= out->size);
    size_t size = out->size - begin, length_size = wire_varint_size(size);
    if (length_size > 1) {
        if (!buffer_reserve(out, length_size - 1))
            return;
        memmove(out->data + begin + length_size - 1, out->data + begin, size);
        buffer_advance(out, length_size - 1);
    }
    wire_put_varint(out->data + begin - 1, size);
}
