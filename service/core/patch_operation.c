#include "service/core/patch_operation.h"

#include <assert.h>

#include "service/core/document_writer.h"
#include "service/core/patch_pointer.h"

/* Field numbers of travelsense.sync.v1.PatchOperation. */
enum {
    OPERATION_PATH = 1,
    OPERATION_SET = 2,
    OPERATION_REMOVE = 3,
    OPERATION_MOVE_FROM = 4,
    OPERATION_ORDER = 5,
};

enum { OPERATION_COST = 4 + 4 * WIRE_VARINT_MAX }; /* of one beside its texts and its value */

static uint8_t *put_bytes(uint8_t *at, uint32_t number, struct slice bytes) {
    *at++ = (uint8_t)(number << 3 | WIRE_LEN);
    at += wire_put_varint(at, bytes.size);
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static size_t bytes_size(struct slice bytes) {
    return 1 + wire_varint_size(bytes.size) + bytes.size;
}

static size_t operation_size(const struct patch_operation *operation) {
    size_t size = bytes_size(operation->path);
    if (operation->step == PATCH_REMOVE)
        return size + 2;
    return size + bytes_size(operation->step == PATCH_MOVE ? operation->from : operation->value);
}

static uint8_t *operation_put(uint8_t *at, const struct patch_operation *operation) {
    at += wire_put_varint(at, operation_size(operation));
    at = put_bytes(at, OPERATION_PATH, operation->path);
    switch (operation->step) {
    case PATCH_SET:
        return put_bytes(at, OPERATION_SET, operation->value);
    case PATCH_MOVE:
        return put_bytes(at, OPERATION_MOVE_FROM, operation->from);
    case PATCH_ORDER:
        return put_bytes(at, OPERATION_ORDER, operation->value);
    case PATCH_REMOVE:
        break;
    }
    *at++ = OPERATION_REMOVE << 3 | WIRE_VARINT;
    *at++ = true;
    return at;
}

enum sync_status patch_operations_pack(const struct patch_operation *operations, size_t count,
                                       struct arena *arena, struct slice *ret_packed) {
    assert(operations || count == 0);
    assert(arena && ret_packed);
    size_t room = 0;
    for (size_t i = 0; i < count; i++)
        room += OPERATION_COST + operations[i].path.size + operations[i].from.size +
                operations[i].value.size;
    uint8_t *begin = arena_alloc(arena, room), *at = begin;
    if (!begin)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        at = operation_put(at, &operations[i]);
    *ret_packed = slice_of(begin, (size_t)(at - begin));
    return SYNC_OK;
}

bool patch_operations_next(struct slice packed, size_t *position, struct slice *ret_message) {
    assert(position && *position <= packed.size && ret_message);
    struct wire_reader reader = wire_reader_of(slice_after(packed, *position));
    uint64_t size;
    if (wire_at_end(&reader) || !wire_read_varint(&reader, &size) ||
        size > (uint64_t)(reader.end - reader.next))
        return false;
    *ret_message = slice_of(reader.next, (size_t)size);
    *position = (size_t)(reader.next - packed.data) + (size_t)size;
    return true;
}

/* Makes a value or list from outside canonical, by way of a document that holds it. `tag` is that
 * of a google.protobuf.Value: 0 for a whole one. */
static enum sync_status value_normalize(struct slice bytes, uint8_t tag, struct arena *arena,
                                        struct sync_error *error, struct slice *ret_bytes) {
    struct document_writer writer;
    struct slice document;
    struct member member;
    size_t position = 0;
    if (!document_writer_open(&writer, arena, bytes.size + 2 * DOCUMENT_MEMBER_COST))
        return SYNC_ERR_NO_MEMORY;
    document_writer_put(&writer, bytes);
    if (tag)
        document_writer_wrap(&writer, 0, tag);
    document_writer_member(&writer, 0, tag ? SLICE("order") : SLICE("set"));
    enum sync_status status =
        document_normalize(document_writer_since(&writer, 0), arena, error, &document);
    if (status)
        return status;
    bool is_there = document_next(document, &position, &member);
    assert(is_there);
    (void)is_there;
    *ret_bytes = tag ? member.value.list : member.value.bytes;
    return SYNC_OK;
}

/* Takes a field of the message over; the last of several steps counts, as in a oneof. */
static enum sync_status operation_take(struct patch_operation *operation,
                                       const struct wire_field *field) {
    static const enum wire_type TYPES[] = {[OPERATION_PATH] = WIRE_LEN,
                                           [OPERATION_SET] = WIRE_LEN,
                                           [OPERATION_REMOVE] = WIRE_VARINT,
                                           [OPERATION_MOVE_FROM] = WIRE_LEN,
                                           [OPERATION_ORDER] = WIRE_LEN};
    if (field->number == 0 || field->number > OPERATION_ORDER)
        return SYNC_OK;
    if (field->type != TYPES[field->number])
        return SYNC_ERR_INVALID;
    switch (field->number) {
    case OPERATION_PATH:
        operation->path = field->bytes;
        return SYNC_OK;
    case OPERATION_SET:
    case OPERATION_ORDER:
        operation->step = field->number == OPERATION_SET ? PATCH_SET : PATCH_ORDER;
        operation->value = field->bytes;
        return SYNC_OK;
    case OPERATION_MOVE_FROM:
        operation->step = PATCH_MOVE;
        operation->from = field->bytes;
        return SYNC_OK;
    default:
        operation->step = field->bits ? PATCH_REMOVE : 0;
        return SYNC_OK;
    }
}

static enum sync_status pointer_check(struct slice pointer, const char *field, struct arena *arena,
                                      struct sync_error *error) {
    struct record_path path;
    enum sync_status status =
        slice_is_utf8(pointer) ? patch_pointer_parse(pointer, arena, &path) : SYNC_ERR_INVALID;
    return status != SYNC_ERR_INVALID
               ? status
               : sync_error_set(error, status, "INVALID_VALUE", field,
                                "must be a JSON Pointer (RFC 6901) to a field of the record, of at "
                                "most %d segments, such as \"/segments/S7/seat\"",
                                DELTA_PATH_MAX);
}

enum sync_status patch_operation_read(struct slice message, struct arena *arena,
                                      struct sync_error *error,
                                      struct patch_operation *ret_operation) {
    assert(arena && ret_operation);
    struct patch_operation operation = {.step = 0};
    struct wire_reader reader = wire_reader_of(message);
    while (!wire_at_end(&reader)) {
        struct wire_field field;
        if (!wire_read(&reader, &field) || operation_take(&operation, &field) != SYNC_OK)
            return sync_error_set(error, SYNC_ERR_INVALID, "OPERATION_MALFORMED", NULL,
                                  "The bytes are no PatchOperation.");
    }
    if (operation.step == 0)
        return sync_error_set(error, SYNC_ERR_INVALID, "REQUIRED", NULL,
                              "one of set, remove, moveFrom and order is required");
    enum sync_status status = pointer_check(operation.path, "path", arena, error);
    if (!status && operation.step == PATCH_MOVE)
        status = pointer_check(operation.from, "moveFrom", arena, error);
    if (!status && operation.step == PATCH_SET)
        status = value_normalize(operation.value, 0, arena, error, &operation.value);
    if (!status && operation.step == PATCH_ORDER)
        status = value_normalize(operation.value, TAG_LIST, arena, error, &operation.value);
    if (!status)
        *ret_operation = operation;
    return status;
}
