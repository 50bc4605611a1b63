#include "service/rpc/messages.h"

#include <assert.h>

#include "service/core/cursor.h"
#include "service/core/patch_operation.h"

enum { SECOND_US = 1000000, NANOS_MAX = 999999999 };

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, as google.protobuf.Timestamp bounds them. */
static const int64_t SECONDS_MIN = -62135596800, SECONDS_MAX = 253402300799;

Google__Protobuf__Timestamp *message_time(struct arena *arena, int64_t time_us) {
    Google__Protobuf__Timestamp *time = arena_alloc(arena, sizeof *time);
    if (!time)
        return NULL;
    google__protobuf__timestamp__init(time);
    time->seconds = time_us / SECOND_US;
    int64_t rest_us = time_us % SECOND_US;
    if (rest_us < 0) {
        rest_us += SECOND_US;
        time->seconds--;
    }
    time->nanos = (int32_t)(rest_us * 1000);
    return time;
}

bool message_time_us(const Google__Protobuf__Timestamp *time, int64_t *ret_us) {
    assert(time);
    if (time->seconds < SECONDS_MIN || time->seconds > SECONDS_MAX || time->nanos < 0 ||
        time->nanos > NANOS_MAX)
        return false;
    *ret_us = time->seconds * SECOND_US + time->nanos / 1000;
    return true;
}

bool message_pack(const ProtobufCMessage *message, struct arena *arena, struct slice *ret_bytes) {
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, size);
    if (!bytes)
        return false;
    *ret_bytes = slice_of(bytes, protobuf_c_message_pack(message, bytes));
    return true;
}

ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice bytes,
                                 struct arena *arena) {
    ProtobufCAllocator allocator;
    arena_protobuf_allocator(arena, &allocator);
    return protobuf_c_message_unpack(descriptor, &allocator, bytes.size, bytes.data);
}

char *message_cursor(struct service *service, struct arena *arena, uint64_t sequence) {
    return message_cursor_of(service, arena, sequence, DATA_TYPES_ALL);
}

char *message_cursor_of(struct service *service, struct arena *arena, uint64_t sequence,
                        data_type_set types) {
    char *text = arena_alloc(arena, CURSOR_TEXT_MAX);
    if (text)
        cursor_format(&(struct cursor){.epoch = store_epoch(service->store),
                                       .sequence = sequence,
                                       .types = types},
                      text);
    return text;
}

PB(Record) *message_record(struct arena *arena, const struct record *record, bool with_data) {
    PB(Record) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__record__init(message);
    message->data_type = (PB(DataType))record->key.type;
    message->data_id = arena_copy_text(arena, record->key.id);
    message->version = (int64_t)record->version;
    message->deleted = record->deleted;
    bool has_time = record->updated_us != 0; /* not a deletion of what never was */
    if (has_time)
        message->updated_at = message_time(arena, record->updated_us);
    if (with_data && !record->deleted) {
        message->data_presence_case = TRAVELSENSE__SYNC__V1__RECORD__DATA_PRESENCE_DATA;
        message->data = message_bytes(record->data);
    }
    return message->data_id && (message->updated_at || !has_time) ? message : NULL;
}

bool message_operations(struct arena *arena, struct slice packed, ProtobufCBinaryData **ret_list,
                        size_t *ret_count) {
    struct slice operation;
    size_t position = 0, count = 0;
    while (patch_operations_next(packed, &position, &operation))
        count++;
    ProtobufCBinaryData *list = arena_alloc(arena, count * sizeof *list);
    if (!list)
        return false;
    position = count = 0;
    while (patch_operations_next(packed, &position, &operation))
        list[count++] = message_bytes(operation);
    *ret_list = list;
    *ret_count = count;
    return true;
}

PB(Record) *message_pulled(struct arena *arena, const struct pulled *item) {
    PB(Record) *message = message_record(arena, &item->record, item->form == PATCH_FORM_NONE);
    if (message && item->form == PATCH_FORM_MERGE) {
        message->patch_presence_case = TRAVELSENSE__SYNC__V1__RECORD__PATCH_PRESENCE_PATCH;
        message->patch = message_bytes(item->patch);
    } else if (message && item->form == PATCH_FORM_OPERATIONS &&
               !message_operations(arena, item->patch, &message->operations,
                                   &message->n_operations)) {
        return NULL;
    }
    return message;
}

bool message_types(struct arena *arena, data_type_set types, PB(DataType) **ret_list,
                   size_t *ret_count) {
    PB(DataType) *list = arena_zalloc(arena, DATA_TYPE_LAST, sizeof *list);
    if (!list)
        return false;
    size_t count = 0;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        if (data_type_in(types, type))
            list[count++] = (PB(DataType))type;
    *ret_list = list;
    *ret_count = count;
    return true;
}

data_type_set message_type_set(const PB(DataType) *list, size_t count) {
    data_type_set types = 0;
    for (size_t i = 0; i < count; i++)
        if ((int)list[i] >= DATA_TYPE_FIRST && (int)list[i] <= DATA_TYPE_LAST)
            types |= (data_type_set)1 << list[i];
    return types;
}

void call_fail_status(struct rpc_call *call, enum sync_status status) {
    assert(status != SYNC_OK);
    rpc_call_fail_with(call, status, sync_status_name(status), "%s", sync_status_text(status));
}
