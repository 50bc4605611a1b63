/* Documents as canonical JSON (RFC 8785). Every checksum is taken over it, so short text and whole
 * numbers, which are nearly all of it, are written in place; what is rare goes by base/json_text.
 */
#include <assert.h>
#include <math.h>

#include "base/json_text.h"
#include "service/core/document_read.h"

enum {
    TEXT_SHORT = 256, /* longer text goes by json_append_string */
    NUMBER_ROOM = 24, /* a sign, 16 digits, and some */
    INTEGER_DIGITS = 20,
};

/* The room at the end of a buffer, written to before it is counted. */
struct json_writer {
    struct buffer *out;
    uint8_t *at, *end;
};

/* Counts what was written as content of the buffer. */
static void writer_flush(struct json_writer *writer) {
    if (writer->at)
        buffer_advance(writer->out, (size_t)(writer->at - writer->out->data) - writer->out->size);
    writer->at = writer->end = NULL;
}

/* The slow path of writer_room. */
static __attribute__((noinline)) bool writer_grow(struct json_writer *writer, size_t size) {
    struct buffer *out = writer->out;
    writer_flush(writer);
    if (out->failed || size > out->size_max - out->size)
        return false;
    writer->at = buffer_reserve(out, size);
    if (!writer->at)
        return false;
    writer->end = out->data + out->capacity;
    return true;
}

/* Makes room for `size` bytes. False near the buffer's bound: what then goes by the buffer's own
 * functions may still fit. */
static inline bool writer_room(struct json_writer *writer, size_t size) {
    return (writer->at && (size_t)(writer->end - writer->at) >= size) || writer_grow(writer, size);
}

static inline void write_byte(struct json_writer *writer, uint8_t byte) {
    if (writer_room(writer, 1))
        *writer->at++ = byte;
    else
        buffer_append_byte(writer->out, byte);
}

static void write_slice(struct json_writer *writer, struct slice bytes) {
    if (writer_room(writer, bytes.size)) {
        memcpy(writer->at, bytes.data, bytes.size);
        writer->at += bytes.size;
    } else {
        buffer_append(writer->out, bytes);
    }
}

/* Tells whether any of 8 bytes is a control, '"' or '\\'. A borrow may only set bits above a byte
 * that matches already. */
static inline bool word_is_special(uint64_t word) {
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    uint64_t control = (word - ones * 0x20) & ~word;
    return ((control | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops) != 0;
}

/* Copies text that needs no escape. False where it does; what was copied then does not count. */
static inline bool copy_plain(uint8_t *to, struct slice text) {
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= text.size; i += 8) {
        memcpy(&word, text.data + i, 8);
        if (word_is_special(word))
            return false;
        memcpy(to + i, &word, 8);
    }
    for (; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            return false;
        to[i] = byte;
    }
    return true;
}

static inline void write_string(struct json_writer *writer, struct slice text) {
    if (text.size <= TEXT_SHORT && writer_room(writer, text.size + 2) &&
        copy_plain(writer->at + 1, text)) {
        writer->at[0] = '"';
        writer->at[1 + text.size] = '"';
        writer->at += text.size + 2;
        return;
    }
    writer_flush(writer);
    json_append_string(writer->out, text);
}

static void write_number(struct json_writer *writer, double number) {
    double size = fabs(number);
    if (size >= 1e15 || size != (double)(uint64_t)size || !writer_room(writer, NUMBER_ROOM)) {
        writer_flush(writer);
        json_append_number(writer->out, number);
        return;
    }
    uint8_t digits[INTEGER_DIGITS];
    size_t begin = sizeof digits;
    uint64_t left = (uint64_t)size;
    do {
        digits[--begin] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0)
        *writer->at++ = '-';
    memcpy(writer->at, digits + begin, sizeof digits - begin);
    writer->at += sizeof digits - begin;
}

static void write_object(struct json_writer *writer, struct slice object);

static void write_list(struct json_writer *writer, struct slice list);

/* Writes a google.protobuf.Value, straight from its bytes. */
static void write_value(struct json_writer *writer, struct slice bytes) {
    const uint8_t *at = bytes.data, *end = slice_end(bytes);
    struct slice content;
    if (bytes.size < 2)
        return;
    switch (*at) {
    case TAG_STRING:
        if (document_read_bytes(&at, end, TAG_STRING, &content))
            write_string(writer, content);
        break;
    case TAG_OBJECT:
        if (document_read_bytes(&at, end, TAG_OBJECT, &content))
            write_object(writer, content);
        break;
    case TAG_LIST:
        if (document_read_bytes(&at, end, TAG_LIST, &content))
            write_list(writer, content);
        break;
    case TAG_NUMBER:
        if (bytes.size == 9)
            write_number(writer, document_load_number(at + 1));
        break;
    case TAG_BOOL:
        write_slice(writer, at[1] ? SLICE("true") : SLICE("false"));
        break;
    default:
        write_slice(writer, SLICE("null"));
        break;
    }
}

static void write_list(struct json_writer *writer, struct slice list) {
    const uint8_t *at = list.data, *end = slice_end(list);
    struct slice value;
    write_byte(writer, '[');
    for (bool first = true; at < end; first = false) {
        if (!document_read_bytes(&at, end, TAG_LIST_VALUE, &value))
            break;
        if (!first)
            write_byte(writer, ',');
        write_value(writer, value);
    }
    write_byte(writer, ']');
}

static void write_object(struct json_writer *writer, struct slice object) {
    const uint8_t *at = object.data, *end = slice_end(object);
    struct slice name, value;
    write_byte(writer, '{');
    for (bool first = true; at < end; first = false) {
        if (!document_read_entry(&at, end, &name, &value))
            break;
        if (!first)
            write_byte(writer, ',');
        write_string(writer, name);
        write_byte(writer, ':');
        write_value(writer, value);
    }
    write_byte(writer, '}');
}

void value_append_json(const struct value *value, struct buffer *out) {
    assert(value);
    assert(out);
    struct json_writer writer = {.out = out};
    write_value(&writer, value->bytes);
    writer_flush(&writer);
}

void document_append_json(struct slice document, struct buffer *out) {
    assert(out);
    struct json_writer writer = {.out = out};
    write_object(&writer, document);
    writer_flush(&writer);
}
