/* A cursor is: format version, epoch (8 bytes, big endian), sequence as a varint, CRC-32C of these
 * (4); as base64url without padding: 20 characters for a user of up to 16,383 changes. The version
 * is 2, or for a cursor of some types 128 and a bit for each: 1 trip, 2 profile, 4 preference, 8
 * booking. Cursors given out earlier, which devices may still hold, are of version 1, or 64 and the
 * bits, with a sequence of 8 bytes, big endian. */
#include "service/core/cursor.h"

#include <assert.h>

#include "base/sha256.h"
#include "base/wire.h"
#include "service/core/cursor_text.h"

enum {
    CURSOR_VERSION = 2,
    CURSOR_SOME = 128,
    CURSOR_WIDE_VERSION = 1,
    CURSOR_WIDE_SOME = 64,
    TYPES_MASK = DATA_TYPES_ALL >> DATA_TYPE_FIRST,
    CURSOR_HEAD_SIZE = 1 + 8,
    CURSOR_WIDE_SIZE = CURSOR_HEAD_SIZE + 8,
    CURSOR_SUM_SIZE = 4,
    CURSOR_SIZE_MAX = CURSOR_HEAD_SIZE + WIRE_VARINT_MAX + CURSOR_SUM_SIZE,
};

_Static_assert((CURSOR_SIZE_MAX + 2) / 3 * 4 < (int)CURSOR_TEXT_MAX, "the text fits");

static uint8_t version_of(data_type_set types) {
    assert((types & ~(data_type_set)DATA_TYPES_ALL) == 0);
    return types == 0 || types == DATA_TYPES_ALL ? CURSOR_VERSION
                                                 : CURSOR_SOME | types >> DATA_TYPE_FIRST;
}

/* Reads the version; false when it is none of ours. */
static bool version_read(uint8_t version, bool *ret_is_wide, data_type_set *ret_types) {
    unsigned types = version & TYPES_MASK, rest = version & ~(unsigned)TYPES_MASK;
    bool is_some =
        (rest == CURSOR_SOME || rest == CURSOR_WIDE_SOME) && types != 0 && types != TYPES_MASK;
    *ret_is_wide = version == CURSOR_WIDE_VERSION || rest == CURSOR_WIDE_SOME;
    *ret_types = is_some ? types << DATA_TYPE_FIRST : 0;
    return is_some || version == CURSOR_VERSION || version == CURSOR_WIDE_VERSION;
}

size_t cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX]) {
    assert(cursor);
    assert(ret_text);
    uint8_t bytes[CURSOR_SIZE_MAX] = {version_of(cursor->types)};
    uint8_t *at = cursor_put_number(bytes + 1, cursor->epoch, 8);
    at += wire_put_varint(at, cursor->sequence);
    at = cursor_put_number(at, crc32c(0, slice_of(bytes, (size_t)(at - bytes))), CURSOR_SUM_SIZE);
    return cursor_text_write(slice_of(bytes, (size_t)(at - bytes)), ret_text);
}

/* Reads the sequence, which fills the slice, written as we write it. */
static bool sequence_read(struct slice bytes, uint64_t *ret_sequence) {
    struct wire_reader reader = wire_reader_of(bytes);
    uint8_t again[WIRE_VARINT_MAX];
    return wire_read_varint(&reader, ret_sequence) &&
           slice_equal(bytes, slice_of(again, wire_put_varint(again, *ret_sequence)));
}

enum sync_status cursor_parse(struct slice text, struct cursor *ret_cursor) {
    assert(ret_cursor);
    uint8_t bytes[CURSOR_SIZE_MAX];
    size_t size;
    bool is_wide;
    struct cursor cursor;
    if (!cursor_text_read(text, CURSOR_SIZE_MAX, bytes, &size) ||
        size <= CURSOR_HEAD_SIZE + CURSOR_SUM_SIZE ||
        !version_read(bytes[0], &is_wide, &cursor.types))
        return SYNC_ERR_INVALID;
    const uint8_t *at = bytes + 1, *sum = bytes + size - CURSOR_SUM_SIZE;
    struct slice summed = slice_of(bytes, size - CURSOR_SUM_SIZE);
    if (cursor_get_number(&sum, CURSOR_SUM_SIZE) != crc32c(0, summed))
        return SYNC_ERR_INVALID;
    cursor.epoch = cursor_get_number(&at, 8);
    if (is_wide && summed.size == CURSOR_WIDE_SIZE)
        cursor.sequence = cursor_get_number(&at, 8);
    else if (is_wide || !sequence_read(slice_after(summed, CURSOR_HEAD_SIZE), &cursor.sequence))
        return SYNC_ERR_INVALID;
    *ret_cursor = cursor;
    return SYNC_OK;
}
