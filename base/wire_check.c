#include "base/wire.h"

#include <assert.h>
#include <protobuf-c/protobuf-c.h>

/* The wire type of a declared field when it stands alone. */
static enum wire_type wire_type_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_I32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_I64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    default:
        return WIRE_VARINT;
    }
}

/* Tells whether the content of a packed field is a whole number of values. */
static bool wire_is_packed(struct slice bytes, enum wire_type type) {
    if (type == WIRE_I32)
        return bytes.size % 4 == 0;
    if (type == WIRE_I64)
        return bytes.size % 8 == 0;
    struct wire_reader reader = wire_reader_of(bytes);
    uint64_t value;
    while (!wire_at_end(&reader))
        if (!wire_read_varint(&reader, &value))
            return false;
    return true;
}

/* How often the field stands in `message` before `end`: the index of a repeated field's element. */
static size_t wire_field_count(struct slice message, const uint8_t *end, uint32_t number) {
    struct wire_reader reader = {message.data, end};
    struct wire_field field;
    size_t count = 0;
    while (!wire_at_end(&reader) && wire_read(&reader, &field))
        count += field.number == number;
    return count;
}

/* Puts a field before the error's path, under its name in JSON. */
static void wire_check_prefix(struct sync_error *error, const ProtobufCFieldDescriptor *declared,
                              struct slice message, const uint8_t *at) {
    char name[SYNC_ERROR_FIELD_MAX];
    size_t size = 0;
    bool begins_word = false;
    for (const char *next = declared->name; *next && size < sizeof name - 1; next++) {
        if (*next != '_')
            name[size++] =
                (char)(begins_word && *next >= 'a' && *next <= 'z' ? *next - 'a' + 'A' : *next);
        begins_word = *next == '_';
    }
    name[size] = '\0';
    if (declared->label == PROTOBUF_C_LABEL_REPEATED)
        sync_error_prefix(error, "%s[%zu]", name, wire_field_count(message, at, declared->id));
    else
        sync_error_prefix(error, "%s", name);
}

static enum sync_status wire_check_text(struct slice text, struct sync_error *error) {
    if (!slice_is_utf8(text))
        return sync_error_set(error, SYNC_ERR_INVALID, "INVALID_UTF8", NULL,
                              "The text is not valid UTF-8.");
    if (text.size > 0 && memchr(text.data, 0, text.size))
        return sync_error_set(error, SYNC_ERR_INVALID, "NUL_IN_TEXT", NULL,
                              "The text contains a NUL character.");
    return SYNC_OK;
}

/* Checks one field against its declaration; the error's path begins below the field. */
static enum sync_status wire_check_field(const struct wire_field *field,
                                         const ProtobufCFieldDescriptor *declared, int depth_max,
                                         struct sync_error *error) {
    enum wire_type type = wire_type_of(declared->type);
    if (field->type == WIRE_LEN && type != WIRE_LEN && declared->label == PROTOBUF_C_LABEL_REPEATED)
        return wire_is_packed(field->bytes, type)
                   ? SYNC_OK
                   : sync_error_set(error, SYNC_ERR_INVALID, "MALFORMED_MESSAGE", NULL,
                                    "The packed values are cut short.");
    if (field->type != type)
        return sync_error_set(error, SYNC_ERR_INVALID, "WRONG_WIRE_TYPE", NULL,
                              "The field has wire type %d, not %d.", (int)field->type, (int)type);
    if (declared->type == PROTOBUF_C_TYPE_STRING)
        return wire_check_text(field->bytes, error);
    if (declared->type == PROTOBUF_C_TYPE_MESSAGE)
        return wire_check(field->bytes, declared->descriptor, depth_max - 1, error);
    return SYNC_OK;
}

enum sync_status wire_check(struct slice message, const ProtobufCMessageDescriptor *descriptor,
                            int depth_max, struct sync_error *error) {
    assert(descriptor);
    if (depth_max <= 0)
        return sync_error_set(error, SYNC_ERR_TOO_LARGE, "MESSAGE_TOO_DEEP", NULL,
                              "The message nests too deeply.");
    struct wire_reader reader = wire_reader_of(message);
    while (!wire_at_end(&reader)) {
        const uint8_t *begin = reader.next;
        struct wire_field field;
        if (!wire_read(&reader, &field))
            return sync_error_set(error, SYNC_ERR_INVALID, "MALFORMED_MESSAGE", NULL,
                                  "Byte %zu of %s begins no valid field.",
                                  (size_t)(begin - message.data), descriptor->name);
        if (field.type == WIRE_SGROUP)
            return sync_error_set(error, SYNC_ERR_INVALID, "GROUP_UNSUPPORTED", NULL,
                                  "Field %u of %s is a group, which is not supported.",
                                  field.number, descriptor->name);
        const ProtobufCFieldDescriptor *declared =
            protobuf_c_message_descriptor_get_field(descriptor, field.number);
        if (!declared)
            continue;
        enum sync_status status = wire_check_field(&field, declared, depth_max, error);
        if (status == SYNC_OK)
            continue;
        wire_check_prefix(error, declared, message, begin);
        return status;
    }
    return SYNC_OK;
}
