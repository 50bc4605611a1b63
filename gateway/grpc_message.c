#include "gateway/grpc_message.h"

#include <assert.h>

#include "gateway/http_text.h"

#include "base/hex.h"

void grpc_prefix_put(uint8_t out[GRPC_PREFIX_SIZE], size_t message_size) {
    assert(message_size <= UINT32_MAX);
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(message_size >> (24 - 8 * i));
}

void grpc_reader_init(struct grpc_reader *reader, size_t message_max) {
    *reader = (struct grpc_reader){.prefix_size = 0};
    buffer_init(&reader->held, message_max);
}

void grpc_reader_done(struct grpc_reader *reader) {
    buffer_done(&reader->held);
}

static size_t grpc_size_of(const uint8_t prefix[GRPC_PREFIX_SIZE]) {
    return (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 | prefix[4];
}

static bool grpc_reader_take_prefix(struct grpc_reader *reader, struct slice *input) {
    size_t size = GRPC_PREFIX_SIZE - reader->prefix_size;
    if (size > input->size)
        size = input->size;
    if (size)
        memcpy(reader->prefix + reader->prefix_size, input->data, size);
    reader->prefix_size += (unsigned)size;
    *input = slice_after(*input, size);
    return reader->prefix_size == GRPC_PREFIX_SIZE;
}

enum grpc_read grpc_reader_feed(struct grpc_reader *reader, struct slice *input,
                                struct slice *ret_message) {
    if (reader->given) {
        buffer_clear(&reader->held);
        reader->given = false;
    }
    if (!grpc_reader_take_prefix(reader, input))
        return GRPC_READ_MORE;
    size_t size = grpc_size_of(reader->prefix);
    if (reader->prefix[0] != 0 || size > reader->held.size_max)
        return GRPC_READ_BROKEN;
    if (reader->held.size == 0 && input->size >= size) {
        *ret_message = slice_first(*input, size);
        *input = slice_after(*input, size);
        reader->prefix_size = 0;
        return GRPC_READ_MESSAGE;
    }
    if (reader->held.size == 0)
        buffer_reserve(&reader->held, size);
    size_t missing = size - reader->held.size;
    size_t taken = missing < input->size ? missing : input->size;
    buffer_append(&reader->held, slice_first(*input, taken));
    *input = slice_after(*input, taken);
    if (reader->held.failed)
        return GRPC_READ_BROKEN;
    if (taken < missing)
        return GRPC_READ_MORE;
    *ret_message = buffer_slice(&reader->held);
    reader->prefix_size = 0;
    reader->given = true;
    return GRPC_READ_MESSAGE;
}

bool grpc_reader_at_boundary(const struct grpc_reader *reader) {
    return reader->prefix_size == 0;
}

bool grpc_reader_keep(struct grpc_reader *reader, struct slice message, struct buffer *out) {
    assert(!out->data);
    if (!reader->given) {
        buffer_append(out, message);
        return !out->failed;
    }
    size_t message_max = reader->held.size_max;
    *out = reader->held;
    buffer_init(&reader->held, message_max);
    reader->given = false;
    return true;
}

size_t grpc_reader_partial(const struct grpc_reader *reader) {
    return reader->given ? 0 : reader->held.size;
}

bool grpc_tracker_feed(struct grpc_tracker *tracker, struct slice bytes, size_t message_max) {
    while (bytes.size > 0) {
        if (tracker->prefix_size < GRPC_PREFIX_SIZE) {
            tracker->prefix[tracker->prefix_size++] = bytes.data[0];
            bytes = slice_after(bytes, 1);
            if (tracker->prefix[0] > 1)
                return false;
            if (tracker->prefix_size < GRPC_PREFIX_SIZE)
                continue;
            size_t size = grpc_size_of(tracker->prefix);
            if (size > message_max)
                return false;
            tracker->left = (uint32_t)size;
        }
        size_t taken = tracker->left < bytes.size ? tracker->left : bytes.size;
        tracker->left -= (uint32_t)taken;
        bytes = slice_after(bytes, taken);
        if (tracker->left == 0)
            tracker->prefix_size = 0;
    }
    return true;
}

size_t grpc_tracker_partial(const struct grpc_tracker *tracker) {
    if (tracker->prefix_size < GRPC_PREFIX_SIZE)
        return tracker->prefix_size;
    return GRPC_PREFIX_SIZE + grpc_size_of(tracker->prefix) - tracker->left;
}

void grpc_message_encode(struct buffer *out, struct slice text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            buffer_append_byte(out, byte);
            continue;
        }
        buffer_append_byte(out, '%');
        buffer_append_byte(out, (uint8_t)digits[byte >> 4]);
        buffer_append_byte(out, (uint8_t)digits[byte & 15]);
    }
}

struct slice grpc_message_decode(struct slice encoded, struct arena *arena) {
    uint8_t *text = arena_alloc(arena, encoded.size);
    if (!text)
        return SLICE_EMPTY;
    size_t size = 0;
    for (size_t i = 0; i < encoded.size; i++) {
        uint8_t byte = encoded.data[i];
        if (byte == '%' && encoded.size - i > 2) {
            int high = hex_value(encoded.data[i + 1]), low = hex_value(encoded.data[i + 2]);
            if (high >= 0 && low >= 0) {
                byte = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        text[size++] = byte;
    }
    struct slice decoded = slice_of(text, size);
    return slice_is_utf8(decoded) ? decoded : SLICE_EMPTY;
}

void grpc_timeout_format(uint64_t timeout_us, char text[GRPC_TIMEOUT_TEXT_MAX]) {
    enum { VALUES = 100000000 }; /* of at most eight digits */
    uint64_t value = timeout_us;
    char unit = 'u';
    if (timeout_us / 1000 >= VALUES) {
        value = timeout_us / 1000000 % VALUES;
        unit = 'S';
    } else if (timeout_us >= VALUES) {
        value = timeout_us / 1000;
        unit = 'm';
    }
    char room[HTTP_NUMBER_MAX];
    struct slice digits = http_text_number(value, room);
    memcpy(text, digits.data, digits.size);
    text[digits.size] = unit;
    text[digits.size + 1] = '\0';
}

static uint64_t grpc_timeout_unit_us(uint8_t unit) {
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000);
    case 'M':
        return 60000000;
    case 'S':
        return 1000000;
    case 'm':
        return 1000;
    case 'u':
    case 'n': /* rounded up to microseconds below */
        return 1;
    default:
        return 0;
    }
}

bool grpc_timeout_parse(struct slice text, uint64_t *ret_timeout_us) {
    if (text.size < 2 || text.size > 9)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    uint8_t unit = text.data[text.size - 1];
    uint64_t unit_us = grpc_timeout_unit_us(unit);
    if (!unit_us)
        return false;
    *ret_timeout_us = unit == 'n' ? (value + 999) / 1000 : value * unit_us;
    return true;
}
