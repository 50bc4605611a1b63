#include "service/rpc/parked.h"

#include <assert.h>

#include "base/limits.h"
#include "base/wire.h"
#include "service/rpc/storage.h"

/* Field numbers of the stored values; a number is never used for something else. */
enum { LIST_ITEM = 1 };
enum {
    ITEM_DEVICE = 1,
    ITEM_CHANGE_ID = 2,
    ITEM_TYPE = 3,
    ITEM_DATA_ID = 4,
    ITEM_HASH = 5,
    ITEM_JOB_ID = 6,
};
enum {
    PARKED_DEVICE = 1,
    PARKED_ID = 2,
    PARKED_KIND = 3,
    PARKED_TYPE = 4,
    PARKED_DATA_ID = 5,
    PARKED_DATA_ID_MADE = 6,
    PARKED_BASE_VERSION = 7,
    PARKED_DEVICE_TIME = 8,
    PARKED_DATA = 9,
    PARKED_ACKNOWLEDGED = 10,
    PARKED_OFFSET = 11,
    PARKED_RECEIVED = 12,
    PARKED_HASH = 13,
    PARKED_OPERATIONS = 14, /* in place of data */
};

static bool take_hash(struct slice bytes, uint8_t ret_hash[PAYLOAD_HASH_SIZE]) {
    if (bytes.size != PAYLOAD_HASH_SIZE)
        return false;
    memcpy(ret_hash, bytes.data, PAYLOAD_HASH_SIZE);
    return true;
}

static bool type_is_known(enum data_type type) {
    return (int)type >= DATA_TYPE_FIRST && (int)type <= DATA_TYPE_LAST;
}

static bool item_unpack(struct slice value, struct parked *ret_item) {
    struct parked item = {0};
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    bool has_hash = false;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        switch (field.number) {
        case ITEM_DEVICE:
            item.device = field.bytes;
            break;
        case ITEM_CHANGE_ID:
            item.change_id = field.bytes;
            break;
        case ITEM_TYPE:
            item.key.type = (enum data_type)field.bits;
            break;
        case ITEM_DATA_ID:
            item.key.id = field.bytes;
            break;
        case ITEM_HASH:
            has_hash = take_hash(field.bytes, item.payload_hash);
            break;
        case ITEM_JOB_ID:
            item.job_id = field.bytes;
            break;
        }
    }
    *ret_item = item;
    return has_hash && item.change_id.size > 0 && item.job_id.size > 0 &&
           type_is_known(item.key.type);
}

enum sync_status parked_list_read(const struct row *row, struct arena *arena,
                                  struct parked_list *ret_list) {
    struct parked_list list = {0};
    struct wire_reader reader = wire_reader_of(row->found ? row->value : SLICE_EMPTY);
    struct wire_field field;
    if (row->found) {
        list.items = arena_zalloc(arena, USER_PARKED_MAX, sizeof *list.items);
        if (!list.items)
            return SYNC_ERR_NO_MEMORY;
    }
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field) || field.number != LIST_ITEM ||
            list.count == USER_PARKED_MAX || !item_unpack(field.bytes, &list.items[list.count++]))
            return SYNC_ERR_CORRUPT;
    }
    *ret_list = list;
    return SYNC_OK;
}

bool parked_list_write(const struct parked_list *list, struct slice user, struct arena *arena,
                       struct row_write *ret_row) {
    assert(list->count <= USER_PARKED_MAX);
    struct row_write row = {.table = TABLE_PARKED, .remove = list->count == 0};
    struct buffer out;
    buffer_init(&out, SIZE_MAX / 4);
    for (size_t i = 0; i < list->count; i++) {
        const struct parked *item = &list->items[i];
        size_t begin = wire_begin(&out, LIST_ITEM);
        wire_write_bytes(&out, ITEM_DEVICE, item->device);
        wire_write_bytes(&out, ITEM_CHANGE_ID, item->change_id);
        wire_write_uint(&out, ITEM_TYPE, item->key.type);
        wire_write_bytes(&out, ITEM_DATA_ID, item->key.id);
        wire_write_bytes(&out, ITEM_HASH, slice_of(item->payload_hash, PAYLOAD_HASH_SIZE));
        wire_write_bytes(&out, ITEM_JOB_ID, item->job_id);
        wire_end(&out, begin);
    }
    bool done = buffer_status(&out) == SYNC_OK &&
                arena_copy(arena, buffer_slice(&out), &row.value) &&
                key_of_user(arena, user, SLICE_EMPTY, &row.key);
    buffer_done(&out);
    if (done)
        *ret_row = row;
    return done;
}

bool parked_list_copy(const struct parked_list *list, struct slice without_job, size_t more,
                      struct arena *arena, struct parked_list *ret_list) {
    struct parked_list copy = {.items =
                                   arena_zalloc(arena, list->count + more + 1, sizeof *copy.items)};
    if (!copy.items)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (without_job.size == 0 || !slice_equal(list->items[i].job_id, without_job))
            copy.items[copy.count++] = list->items[i];
    *ret_list = copy;
    return true;
}

const struct parked *parked_find_change(const struct parked_list *list, struct slice device,
                                        struct slice change_id) {
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal(list->items[i].change_id, change_id) &&
            slice_equal(list->items[i].device, device))
            return &list->items[i];
    return NULL;
}

const struct parked *parked_find_record(const struct parked_list *list, struct slice device,
                                        const struct record_key *key) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].key.type == key->type && slice_equal(list->items[i].key.id, key->id) &&
            slice_equal(list->items[i].device, device))
            return &list->items[i];
    return NULL;
}

bool parked_change_pack(const struct parked_change *parked, struct arena *arena,
                        struct slice *ret_value) {
    const struct change *change = &parked->change;
    struct buffer out;
    buffer_init(&out, SIZE_MAX / 4);
    wire_write_bytes(&out, PARKED_DEVICE, parked->device);
    wire_write_bytes(&out, PARKED_ID, change->id);
    wire_write_uint(&out, PARKED_KIND, change->kind);
    wire_write_uint(&out, PARKED_TYPE, change->type);
    wire_write_bytes(&out, PARKED_DATA_ID, change->data_id);
    wire_write_uint(&out, PARKED_DATA_ID_MADE, change->data_id_made);
    wire_write_uint(&out, PARKED_BASE_VERSION, change->base_version);
    wire_write_uint(&out, PARKED_DEVICE_TIME, (uint64_t)change->device_us);
    if (change->operations.size > 0)
        wire_write_bytes(&out, PARKED_OPERATIONS, change->operations);
    else
        wire_write_bytes(&out, PARKED_DATA, change->data);
    wire_write_uint(&out, PARKED_ACKNOWLEDGED, parked->acknowledged);
    wire_write_uint(&out, PARKED_OFFSET, wire_zigzag(parked->clock_offset_us));
    wire_write_uint(&out, PARKED_RECEIVED, (uint64_t)parked->received_us);
    wire_write_bytes(&out, PARKED_HASH, slice_of(change->payload_hash, PAYLOAD_HASH_SIZE));
    bool done = buffer_status(&out) == SYNC_OK && arena_copy(arena, buffer_slice(&out), ret_value);
    buffer_done(&out);
    return done;
}

/* Takes a field that says what the change does; false when it is none of these. */
static bool change_take(const struct wire_field *field, struct change *change) {
    switch (field->number) {
    case PARKED_ID:
        change->id = field->bytes;
        return true;
    case PARKED_KIND:
        change->kind = (enum change_kind)field->bits;
        return true;
    case PARKED_TYPE:
        change->type = (enum data_type)field->bits;
        return true;
    case PARKED_DATA_ID:
        change->data_id = field->bytes;
        return true;
    case PARKED_DATA_ID_MADE:
        change->data_id_made = field->bits != 0;
        return true;
    case PARKED_BASE_VERSION:
        change->base_version = field->bits;
        return true;
    case PARKED_DEVICE_TIME:
        change->device_us = (int64_t)field->bits;
        return true;
    case PARKED_DATA:
        change->data = field->bytes;
        return true;
    case PARKED_OPERATIONS:
        change->operations = field->bytes;
        return true;
    }
    return false;
}

enum sync_status parked_change_unpack(struct slice value, struct parked_change *ret_parked) {
    struct parked_change parked = {0};
    struct change *change = &parked.change;
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    bool has_hash = false;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        if (change_take(&field, change))
            continue;
        switch (field.number) {
        case PARKED_DEVICE:
            parked.device = field.bytes;
            break;
        case PARKED_ACKNOWLEDGED:
            parked.acknowledged = field.bits;
            break;
        case PARKED_OFFSET:
            parked.clock_offset_us = wire_unzigzag(field.bits);
            break;
        case PARKED_RECEIVED:
            parked.received_us = (int64_t)field.bits;
            break;
        case PARKED_HASH:
            has_hash = take_hash(field.bytes, change->payload_hash);
            break;
        }
    }
    if (!has_hash || change->id.size == 0 || change->data_id.size == 0 ||
        !type_is_known(change->type) || change->kind < CHANGE_CREATE ||
        change->kind > CHANGE_DELETE)
        return SYNC_ERR_CORRUPT;
    *ret_parked = parked;
    return SYNC_OK;
}
