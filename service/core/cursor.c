/* A cursor is 21 bytes: format version, epoch and sequence big-endian, CRC-32C of these; as
 * base64url that is 28 characters, without padding. The version is 1, or for a cursor of some types
 * 64 and a bit for each: 1 trip, 2 profile, 4 preference, 8 booking. */
#include "service/core/cursor.h"

#include <assert.h>

#include "base/sha256.h"

enum {
    CURSOR_VERSION = 1,
    CURSOR_SOME = 64,
    TYPES_MASK = DATA_TYPES_ALL >> DATA_TYPE_FIRST,
    CURSOR_SUM_AT = 17,
    CURSOR_SIZE = 21,
    CURSOR_TEXT_SIZE = CURSOR_SIZE / 3 * 4,
};

_Static_assert(CURSOR_SIZE % 3 == 0, "no padding");
_Static_assert((int)CURSOR_TEXT_SIZE < (int)CURSOR_TEXT_MAX, "the text fits");

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_big_endian(uint8_t *at, uint64_t value, int size) {
    for (int i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get_big_endian(const uint8_t *at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static uint8_t version_of(data_type_set types) {
    assert((types & ~(data_type_set)DATA_TYPES_ALL) == 0);
    return types == 0 || types == DATA_TYPES_ALL ? CURSOR_VERSION
                                                 : CURSOR_SOME | types >> DATA_TYPE_FIRST;
}

/* Reads the version; false when it is none of ours. */
static bool version_read(uint8_t version, data_type_set *ret_types) {
    unsigned types = version & TYPES_MASK;
    bool is_some = (version & ~TYPES_MASK) == CURSOR_SOME && types != 0 && types != TYPES_MASK;
    *ret_types = is_some ? types << DATA_TYPE_FIRST : 0;
    return is_some || version == CURSOR_VERSION;
}

size_t cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX]) {
    assert(cursor);
    assert(ret_text);
    uint8_t bytes[CURSOR_SIZE] = {version_of(cursor->types)};
    put_big_endian(bytes + 1, cursor->epoch, 8);
    put_big_endian(bytes + 9, cursor->sequence, 8);
    put_big_endian(bytes + CURSOR_SUM_AT, crc32c(0, slice_of(bytes, CURSOR_SUM_AT)), 4);
    char *at = ret_text;
    for (int i = 0; i < CURSOR_SIZE; i += 3) {
        uint64_t group = get_big_endian(bytes + i, 3);
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = ALPHABET[group >> shift & 63];
    }
    *at = '\0';
    return CURSOR_TEXT_SIZE;
}

/* The value of a character of the alphabet, or -1. */
static int character_value(uint8_t character) {
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '-' ? 62 : character == '_' ? 63 : -1;
}

enum sync_status cursor_parse(struct slice text, struct cursor *ret_cursor) {
    assert(ret_cursor);
    if (text.size != CURSOR_TEXT_SIZE)
        return SYNC_ERR_INVALID;
    uint8_t bytes[CURSOR_SIZE];
    for (size_t i = 0; i < CURSOR_TEXT_SIZE; i += 4) {
        uint64_t group = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = character_value(text.data[i + j]);
            if (value < 0)
                return SYNC_ERR_INVALID;
            group = group << 6 | (uint64_t)value;
        }
        put_big_endian(bytes + i / 4 * 3, group, 3);
    }
    data_type_set types;
    if (!version_read(bytes[0], &types) ||
        get_big_endian(bytes + CURSOR_SUM_AT, 4) != crc32c(0, slice_of(bytes, CURSOR_SUM_AT)))
        return SYNC_ERR_INVALID;
    *ret_cursor = (struct cursor){.epoch = get_big_endian(bytes + 1, 8),
                                  .sequence = get_big_endian(bytes + 9, 8),
                                  .types = types};
    return SYNC_OK;
}
