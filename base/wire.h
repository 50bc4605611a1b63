/* Wire: reading and writing the protobuf wire format without a message tree.
 *
 * https://protobuf.dev/programming-guides/encoding rules. Readers borrow; nothing is allocated. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* How a field's value is encoded. */
enum wire_type {
    WIRE_VARINT = 0,
    WIRE_I64 = 1,
    WIRE_LEN = 2,
    WIRE_SGROUP = 3,
    WIRE_EGROUP = 4,
    WIRE_I32 = 5
};

enum { WIRE_VARINT_MAX = 10 };

/* A position in a message. Copy it to look ahead. */
struct wire_reader {
    const uint8_t *next, *end;
};

/* One field as read. For WIRE_VARINT, I64 and I32 the bits are in `bits`; for WIRE_LEN the content,
 * and for a group everything up to its end tag, is in `bytes`, which live as long as the message.
 */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t bits;
    struct slice bytes;
};

/* A reader at the start of a message, which it borrows. */
static inline struct wire_reader wire_reader_of(struct slice message) {
    return (struct wire_reader){message.data, slice_end(message)};
}

/* Tells whether nothing is left. */
static inline bool wire_at_end(const struct wire_reader *reader) {
    return reader->next == reader->end;
}

/* Reads the next field. False on malformed input (truncated, varint over 10 bytes, tag or length
 * over 5, number 0 or over 2^29-1, stray end group, groups deeper than WIRE_DEPTH_MAX); the reader
 * is then where it was. Call only when not at the end. */
bool wire_read(struct wire_reader *reader, struct wire_field *ret_field);

/* Reads one varint. False when truncated or over 10 bytes. */
bool wire_read_varint(struct wire_reader *reader, uint64_t *ret_value);

/* Writes a varint into `out` (room for WIRE_VARINT_MAX); returns its size. */
size_t wire_put_varint(uint8_t *out, uint64_t value);

/* The bytes a varint takes. */
static inline size_t wire_varint_size(uint64_t value) {
    return value < 128 ? 1 : (size_t)(((63 - __builtin_clzll(value)) / 7) + 1);
}

/* Zigzag, for sint32 and sint64. */
static inline uint64_t wire_zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}
static inline int64_t wire_unzigzag(uint64_t bits) {
    return (int64_t)((bits >> 1) ^ (0 - (bits & 1)));
}

/* Appending to a buffer, whose sticky failure serves for all. */
void wire_write_varint(struct buffer *out, uint64_t value);
void wire_write_tag(struct buffer *out, uint32_t number, enum wire_type type);
void wire_write_uint(struct buffer *out, uint32_t number,
                     uint64_t value); /* tag and varint, also when 0 */
void wire_write_i64(struct buffer *out, uint32_t number, uint64_t bits);
void wire_write_i32(struct buffer *out, uint32_t number, uint32_t bits);
void wire_write_bytes(struct buffer *out, uint32_t number,
                      struct slice bytes); /* tag, length and content */

/* Begins a length-delimited field whose length is not known yet; wire_end fixes it (moving the
 * content where the length takes more than one byte). They nest. */
size_t wire_begin(struct buffer *out, uint32_t number);
void wire_end(struct buffer *out, size_t begin);

struct ProtobufCMessageDescriptor;

/* Checks a message against protobuf-c's descriptor before it is unpacked: well-formed, at most
 * `depth_max` messages deep, declared strings valid UTF-8 without NUL, declared fields of the right
 * wire type. protobuf-c itself checks none of this (an embedded NUL would cut a string, a deep
 * message overflow the stack). On failure `error` names the field path in proto names. */
enum sync_status wire_check(struct slice message,
                            const struct ProtobufCMessageDescriptor *descriptor, int depth_max,
                            struct sync_error *error);

#endif
