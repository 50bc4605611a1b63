/* A lap cursor is: format version 3, epoch (8 bytes, big endian), flags (1: has_from), from (8),
 * target (8), rank time (8), order of types (2), rank (8), type (1), id; CRC-32C of these (4); as
 * base64url without padding. Plain cursors have version 1, so neither is read as the other. */
#include "service/core/session_cursor.h"

#include <assert.h>

#include "base/id.h"
#include "base/json_text.h"
#include "base/sha256.h"

enum {
    LAP_VERSION = 3,
    LAP_HEAD_SIZE = 1 + 8 + 1 + 8 + 8 + 8 + 2 + 8 + 1,
    LAP_SUM_SIZE = 4,
    LAP_SIZE_MAX = LAP_HEAD_SIZE + DATA_ID_MAX + LAP_SUM_SIZE,
};

_Static_assert((LAP_SIZE_MAX + 2) / 3 * 4 < SESSION_CURSOR_TEXT_MAX, "the text fits");
_Static_assert((int)CURSOR_TEXT_MAX <= (int)SESSION_CURSOR_TEXT_MAX, "a plain one fits too");

static uint8_t *put_number(uint8_t *at, uint64_t value, int size) {
    for (int i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
    return at + size;
}

static uint64_t get_number(const uint8_t **at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | *(*at)++;
    return value;
}

/* Base64url into a text of SESSION_CURSOR_TEXT_MAX bytes. */
static size_t text_write(struct slice bytes, char *ret_text) {
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = ret_text;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[i + 2] : 0;
        for (size_t j = 0; j <= left; j++)
            *at++ = ALPHABET[group >> (18 - 6 * j) & 63];
    }
    *at = '\0';
    return (size_t)(at - ret_text);
}

static int character_value(uint8_t character) {
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '-' ? 62 : character == '_' ? 63 : -1;
}

/* Reads base64url of at most LAP_SIZE_MAX bytes; false when it is none, or not as we write it. */
static bool text_read(struct slice text, uint8_t ret_bytes[LAP_SIZE_MAX], size_t *ret_size) {
    uint32_t bits = 0;
    int bit_count = 0;
    size_t size = 0;
    if (text.size > (LAP_SIZE_MAX + 2) / 3 * 4 || text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int value = character_value(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (size == LAP_SIZE_MAX)
                return false;
            ret_bytes[size++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    *ret_size = size;
    return bits == 0;
}

static size_t lap_format(const struct session_cursor *cursor, char *ret_text) {
    const struct lap_cursor *lap = &cursor->lap;
    assert(lap->id_size <= DATA_ID_MAX);
    assert(lap->has_from ? lap->from <= lap->target : lap->from == 0);
    uint8_t bytes[LAP_SIZE_MAX], *at = bytes;
    *at++ = LAP_VERSION;
    at = put_number(at, cursor->epoch, 8);
    *at++ = lap->has_from;
    at = put_number(at, lap->from, 8);
    at = put_number(at, lap->target, 8);
    at = put_number(at, (uint64_t)lap->rank_us, 8);
    at = put_number(at, lap->order, 2);
    at = put_number(at, lap->id_size > 0 ? lap->rank : 0, 8);
    *at++ = lap->id_size > 0 ? (uint8_t)lap->type : 0;
    memcpy(at, lap->id, lap->id_size);
    at += lap->id_size;
    at = put_number(at, crc32c(0, slice_of(bytes, (size_t)(at - bytes))), LAP_SUM_SIZE);
    return text_write(slice_of(bytes, (size_t)(at - bytes)), ret_text);
}

size_t session_cursor_format(const struct session_cursor *cursor,
                             char ret_text[SESSION_CURSOR_TEXT_MAX]) {
    assert(cursor);
    assert(ret_text);
    if (cursor->is_lap)
        return lap_format(cursor, ret_text);
    return cursor_format(&(struct cursor){.epoch = cursor->epoch,
                                          .sequence = cursor->sequence,
                                          .types = cursor->types},
                         ret_text);
}

/* Whether an order names types once each, with none behind the last. */
static bool order_is_sound(data_type_order order) {
    data_type_set types = 0;
    for (; order != 0; order >>= 4) {
        int type = order & 15;
        if (type < DATA_TYPE_FIRST || type > DATA_TYPE_LAST ||
            data_type_in(types, (enum data_type)type))
            return false;
        types |= (data_type_set)1 << type;
    }
    return true;
}

/* Whether a lap cursor says what one of ours can say. */
static bool lap_is_sound(const struct lap_cursor *lap, int flags) {
    if (flags > 1 || !order_is_sound(lap->order) ||
        (lap->has_from ? lap->from > lap->target : lap->from != 0))
        return false;
    if (lap->id_size == 0)
        return lap->rank == 0 && lap->type == 0;
    return (int)lap->type >= DATA_TYPE_FIRST && (int)lap->type <= DATA_TYPE_LAST &&
           data_id_is_valid(slice_of(lap->id, lap->id_size));
}

static enum sync_status lap_parse(struct slice text, struct session_cursor *ret_cursor) {
    uint8_t bytes[LAP_SIZE_MAX];
    size_t size;
    if (!text_read(text, bytes, &size) || size < LAP_HEAD_SIZE + LAP_SUM_SIZE ||
        bytes[0] != LAP_VERSION)
        return SYNC_ERR_INVALID;
    const uint8_t *at = bytes + 1, *sum = bytes + size - LAP_SUM_SIZE;
    uint32_t expected = crc32c(0, slice_of(bytes, size - LAP_SUM_SIZE));
    struct session_cursor cursor = {.is_lap = true};
    struct lap_cursor *lap = &cursor.lap;
    cursor.epoch = get_number(&at, 8);
    int flags = *at++;
    lap->has_from = flags & 1;
    lap->from = get_number(&at, 8);
    lap->target = get_number(&at, 8);
    lap->rank_us = (int64_t)get_number(&at, 8);
    lap->order = (data_type_order)get_number(&at, 2);
    lap->rank = get_number(&at, 8);
    lap->type = (enum data_type) * at++;
    lap->id_size = (uint16_t)(sum - at);
    memcpy(lap->id, at, lap->id_size);
    if (get_number(&sum, LAP_SUM_SIZE) != expected || !lap_is_sound(lap, flags))
        return SYNC_ERR_INVALID;
    *ret_cursor = cursor;
    return SYNC_OK;
}

enum sync_status session_cursor_parse(struct slice text, struct session_cursor *ret_cursor) {
    assert(ret_cursor);
    struct cursor plain;
    if (cursor_parse(text, &plain) != SYNC_OK)
        return lap_parse(text, ret_cursor);
    *ret_cursor = (struct session_cursor){
        .epoch = plain.epoch, .sequence = plain.sequence, .types = plain.types};
    return SYNC_OK;
}
