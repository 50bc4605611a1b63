#include "service/rpc/bundle_position.h"

#include "base/limits.h"
#include "base/wire.h"
#include "service/core/checksum.h"

enum {
    POSITION_BUNDLE = 1,
    POSITION_SEQUENCE = 2,
    POSITION_CHECKSUM = 3,
    POSITION_FROM = 4,
    POSITION_RANK_TIME = 5,
    POSITION_EXPIRES = 6,
    POSITION_NEXT_SINCE = 7,
    POSITION_RANK = 8,
    POSITION_TYPE = 9,
    POSITION_ID = 10,
};

bool bundle_position_pack(const struct bundle_position *position, struct arena *arena,
                          struct slice *ret_bytes) {
    uint8_t checksum[CHECKSUM_SIZE];
    checksum_write(position->checksum, checksum);
    struct buffer out;
    buffer_init(&out, PAGE_TOKEN_MAX);
    wire_write_bytes(&out, POSITION_BUNDLE, position->bundle_id);
    wire_write_uint(&out, POSITION_SEQUENCE, position->sequence);
    wire_write_bytes(&out, POSITION_CHECKSUM, slice_of(checksum, sizeof checksum));
    if (position->has_from)
        wire_write_uint(&out, POSITION_FROM, position->from);
    wire_write_uint(&out, POSITION_RANK_TIME, (uint64_t)position->rank_us);
    wire_write_uint(&out, POSITION_EXPIRES, (uint64_t)position->expires_us);
    wire_write_uint(&out, POSITION_NEXT_SINCE, (uint64_t)position->next_since_us);
    wire_write_uint(&out, POSITION_RANK, position->rank);
    wire_write_uint(&out, POSITION_TYPE, position->type);
    wire_write_bytes(&out, POSITION_ID, position->id);
    bool done = buffer_status(&out) == SYNC_OK && arena_copy(arena, buffer_slice(&out), ret_bytes);
    buffer_done(&out);
    return done;
}

/* Takes one field; false when it cannot be. */
static bool position_take(struct bundle_position *position, const struct wire_field *field) {
    switch (field->number) {
    case POSITION_BUNDLE:
        position->bundle_id = field->bytes;
        return true;
    case POSITION_SEQUENCE:
        position->sequence = field->bits;
        return true;
    case POSITION_CHECKSUM:
        if (field->bytes.size != CHECKSUM_SIZE)
            return false;
        position->checksum = checksum_read(field->bytes.data);
        return true;
    case POSITION_FROM:
        position->has_from = true;
        position->from = field->bits;
        return true;
    case POSITION_RANK_TIME:
        position->rank_us = (int64_t)field->bits;
        return true;
    case POSITION_EXPIRES:
        position->expires_us = (int64_t)field->bits;
        return true;
    case POSITION_NEXT_SINCE:
        position->next_since_us = (int64_t)field->bits;
        return true;
    case POSITION_RANK:
        position->rank = field->bits;
        return true;
    case POSITION_TYPE:
        position->type = (enum data_type)field->bits;
        return true;
    case POSITION_ID:
        position->id = field->bytes;
        return true;
    }
    return false;
}

enum sync_status bundle_position_unpack(struct slice bytes, struct bundle_position *ret_position) {
    struct bundle_position position = {0};
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    while (!wire_at_end(&reader))
        if (!wire_read(&reader, &field) || !position_take(&position, &field))
            return SYNC_ERR_INVALID;
    if (position.bundle_id.size == 0 || position.id.size == 0)
        return SYNC_ERR_INVALID;
    *ret_position = position;
    return SYNC_OK;
}

/* Whether the item comes behind the position, in the order of pull_sort. */
static bool item_is_behind(const struct bundle_position *position, const struct pulled *item) {
    if (item->rank != position->rank)
        return item->rank > position->rank;
    if (item->record.key.type != position->type)
        return item->record.key.type > position->type;
    return slice_compare(item->record.key.id, position->id) > 0;
}

size_t bundle_position_find(const struct bundle_position *position, const struct pulled *items,
                            size_t count) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (item_is_behind(position, &items[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
