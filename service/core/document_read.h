/* Reading the canonical form of documents, for the files of core/document only: the tags of
 * google.protobuf.Struct, and minimal lengths. Inline, since it is the innermost loop of all. Pure.
 */
#ifndef SERVICE_CORE_DOCUMENT_READ_H
#define SERVICE_CORE_DOCUMENT_READ_H

#include "service/core/document.h"

/* Tags, each one byte: field number × 8 + wire type. */
enum {
    TAG_ENTRY = 0x0a,      /* Struct.fields */
    TAG_NAME = 0x0a,       /* FieldsEntry.key */
    TAG_VALUE = 0x12,      /* FieldsEntry.value */
    TAG_LIST_VALUE = 0x0a, /* ListValue.values */
    TAG_NULL = 0x08,
    TAG_NUMBER = 0x11,
    TAG_STRING = 0x1a,
    TAG_BOOL = 0x20,
    TAG_OBJECT = 0x2a,
    TAG_LIST = 0x32,
};

/* Reads a minimal varint of at most 4 bytes that says how much follows, and checks that so much is
 * there. */
static inline bool document_read_size(const uint8_t **at, const uint8_t *end, size_t *ret_size) {
    const uint8_t *next = *at;
    if (__builtin_expect(next == end, 0))
        return false;
    size_t size = *next++;
    if (__builtin_expect(size >= 128, 0)) {
        size &= 127;
        for (unsigned shift = 7;; shift += 7) {
            if (next == end || shift > 21)
                return false;
            uint8_t byte = *next++;
            size |= (size_t)(byte & 127) << shift;
            if (byte == 0)
                return false; /* not minimal */
            if (byte < 128)
                break;
        }
    }
    if (size > (size_t)(end - next))
        return false;
    *at = next;
    *ret_size = size;
    return true;
}

/* Reads the tag `tag`, a length and so many bytes. */
static inline bool document_read_bytes(const uint8_t **at, const uint8_t *end, uint8_t tag,
                                       struct slice *ret_bytes) {
    if (*at == end || **at != tag)
        return false;
    const uint8_t *next = *at + 1;
    size_t size;
    if (!document_read_size(&next, end, &size))
        return false;
    *ret_bytes = slice_of(next, size);
    *at = next + size;
    return true;
}

/* Reads one entry of an object: its name and the bytes of its value. */
static inline bool document_read_entry(const uint8_t **at, const uint8_t *end,
                                       struct slice *ret_name, struct slice *ret_value) {
    struct slice entry;
    const uint8_t *next = *at;
    if (!document_read_bytes(&next, end, TAG_ENTRY, &entry))
        return false;
    const uint8_t *inside = entry.data, *inside_end = slice_end(entry);
    if (!document_read_bytes(&inside, inside_end, TAG_NAME, ret_name) ||
        !document_read_bytes(&inside, inside_end, TAG_VALUE, ret_value) || inside != inside_end)
        return false;
    *at = next;
    return true;
}

/* Loads a little-endian double. */
static inline double document_load_number(const uint8_t *at) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)at[i] << (8 * i);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Takes a canonical google.protobuf.Value apart. False when it is none; what lies inside an object
 * or list is not looked at. */
bool value_read(struct slice bytes, struct value *ret_value);

/* The members of a canonical object as an array in the arena, in order. SYNC_ERR_CORRUPT when it is
 * no object. */
enum sync_status document_members(struct slice object, struct arena *arena,
                                  struct member **ret_members, size_t *ret_count);

/* The values of a canonical list as an array in the arena. SYNC_ERR_CORRUPT when it is no list. */
enum sync_status document_values(struct slice list, struct arena *arena, struct value **ret_values,
                                 size_t *ret_count);

#endif
