/* A lap cursor is: format version 3, epoch (8 bytes, big endian), flags (1: has_from), from (8),
 * target (8), rank time (8), order of types (2), rank (8), type (1), id; CRC-32C of these (4); as
 * base64url without padding. Plain cursors have other versions, so neither is read as the other. */
#include "service/core/session_cursor.h"

#include <assert.h>

#include "base/id.h"
#include "base/sha256.h"
#include "service/core/cursor_text.h"

enum {
    LAP_VERSION = 3,
    LAP_HEAD_SIZE = 1 + 8 + 1 + 8 + 8 + 8 + 2 + 8 + 1,
    LAP_SUM_SIZE = 4,
    LAP_SIZE_MAX = LAP_HEAD_SIZE + DATA_ID_MAX + LAP_SUM_SIZE,
};

_Static_assert((LAP_SIZE_MAX + 2) / 3 * 4 < SESSION_CURSOR_TEXT_MAX, "the text fits");
_Static_assert((int)CURSOR_TEXT_MAX <= (int)SESSION_CURSOR_TEXT_MAX, "a plain one fits too");

static size_t lap_format(const struct session_cursor *cursor, char *ret_text) {
    const struct lap_cursor *lap = &cursor->lap;
    assert(lap->id_size <= DATA_ID_MAX);
    assert(lap->has_from ? lap->from <= lap->target : lap->from == 0);
    uint8_t bytes[LAP_SIZE_MAX], *at = bytes;
    *at++ = LAP_VERSION;
    at = cursor_put_number(at, cursor->epoch, 8);
    *at++ = lap->has_from;
    at = cursor_put_number(at, lap->from, 8);
    at = cursor_put_number(at, lap->target, 8);
    at = cursor_put_number(at, (uint64_t)lap->rank_us, 8);
    at = cursor_put_number(at, lap->order, 2);
    at = cursor_put_number(at, lap->id_size > 0 ? lap->rank : 0, 8);
    *at++ = lap->id_size > 0 ? (uint8_t)lap->type : 0;
    memcpy(at, lap->id, lap->id_size);
    at += lap->id_size;
    at = cursor_put_number(at, crc32c(0, slice_of(bytes, (size_t)(at - bytes))), LAP_SUM_SIZE);
    return cursor_text_write(slice_of(bytes, (size_t)(at - bytes)), ret_text);
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
    if (!cursor_text_read(text, LAP_SIZE_MAX, bytes, &size) ||
        size < LAP_HEAD_SIZE + LAP_SUM_SIZE || bytes[0] != LAP_VERSION)
        return SYNC_ERR_INVALID;
    const uint8_t *at = bytes + 1, *sum = bytes + size - LAP_SUM_SIZE;
    uint32_t expected = crc32c(0, slice_of(bytes, size - LAP_SUM_SIZE));
    struct session_cursor cursor = {.is_lap = true};
    struct lap_cursor *lap = &cursor.lap;
    cursor.epoch = cursor_get_number(&at, 8);
    int flags = *at++;
    lap->has_from = flags & 1;
    lap->from = cursor_get_number(&at, 8);
    lap->target = cursor_get_number(&at, 8);
    lap->rank_us = (int64_t)cursor_get_number(&at, 8);
    lap->order = (data_type_order)cursor_get_number(&at, 2);
    lap->rank = cursor_get_number(&at, 8);
    lap->type = (enum data_type) * at++;
    lap->id_size = (uint16_t)(sum - at);
    memcpy(lap->id, at, lap->id_size);
    if (cursor_get_number(&sum, LAP_SUM_SIZE) != expected || !lap_is_sound(lap, flags))
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
