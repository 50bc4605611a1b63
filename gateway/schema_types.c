/* First reading of descriptors: messages, enums and fields, named but not yet tied together. */
#include "gateway/schema_types.h"

#include <assert.h>
#include <inttypes.h>

#include "base/json_text.h"
#include "gateway/schema_build.h"

struct schema_place schema_place_below(const struct schema_place *place, uint32_t number,
                                       size_t index) {
    struct schema_place below = *place;
    assert(below.size + 2 * WIRE_VARINT_MAX <= SCHEMA_PLACE_MAX);
    below.size += wire_put_varint(below.bytes + below.size, number);
    below.size += wire_put_varint(below.bytes + below.size, index);
    return below;
}

/* Whether a message's label is "repeated", and so on: the parts of a FieldDescriptorProto. */
static void field_part_read(struct schema_field *field, const struct wire_field *part,
                            struct slice *extendee, struct slice *options) {
    enum { LABEL_REQUIRED = 2, LABEL_REPEATED = 3 };
    switch (part->number) {
    case 1:
        field->name = part->bytes;
        break;
    case 2:
        *extendee = part->bytes;
        break;
    case 3:
        field->number = (uint32_t)part->bits;
        break;
    case 4:
        field->repeated = part->bits == LABEL_REPEATED;
        field->label_required = part->bits == LABEL_REQUIRED;
        break;
    case 5:
        field->type = (enum schema_type)part->bits;
        break;
    case 6:
        field->type_name = part->bytes;
        break;
    case 8:
        *options = part->bytes;
        break;
    case 9:
        field->oneof = (int)part->bits;
        break;
    case 10:
        field->json_name = part->bytes;
        break;
    case 17:
        field->presence = part->bits != 0; /* proto3_optional: its oneof is synthetic */
        break;
    default:
        break;
    }
}

bool schema_field_read(struct schema_build *build, struct slice bytes, struct schema_field *field,
                       struct slice *ret_extendee) {
    enum { FEATURES = 21 };
    struct slice options = SLICE_EMPTY;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct schema_features features = build->features;
    field->oneof = -1;
    while (schema_build_next(build, &reader, &part))
        field_part_read(field, &part, ret_extendee, &options);
    if (build->status || !schema_features_read(build, options, FEATURES, &features))
        return false;
    field->packed = features.packed;
    field->any_bytes = features.any_bytes;
    if (!schema_field_options(build, field, options))
        return false;
    if (field->name.size == 0 || field->number == 0 || field->type < SCHEMA_DOUBLE ||
        field->type > SCHEMA_SINT64)
        return schema_build_fail(build, SYNC_ERR_INVALID,
                                 "the descriptor set has a field without name, number or type");
    if (field->presence)
        field->oneof = -1;
    field->label_required |= features.required && !field->repeated;
    field->delimited = features.delimited && field->type == SCHEMA_MESSAGE;
    if (!field->repeated && (!features.implicit || field->oneof >= 0 ||
                             field->type == SCHEMA_MESSAGE || field->type == SCHEMA_GROUP))
        field->presence = true;
    field->packed = field->packed && field->repeated && schema_type_packs(field->type);
    if (field->json_name.size == 0)
        field->json_name = schema_json_name(build, field->name);
    return field->json_name.data;
}

static bool extension_read(struct schema_build *build, struct slice bytes, struct slice scope) {
    struct schema_extension *extension = schema_build_alloc(build, 1, sizeof *extension);
    if (!extension || !schema_field_read(build, bytes, &extension->field, &extension->extendee))
        return false;
    struct slice full = schema_build_join(build, scope, extension->field.name);
    uint8_t *text = full.data ? schema_build_alloc(build, full.size + 2, 1) : NULL;
    if (!text)
        return false;
    text[0] = '[';
    memcpy(text + 1, full.data, full.size);
    text[full.size + 1] = ']';
    extension->field.name = extension->field.json_name = slice_of(text, full.size + 2);
    extension->next = build->extensions;
    build->extensions = extension;
    return true;
}

static enum schema_form message_form(struct slice full_name) {
    static const struct {
        struct slice name;
        enum schema_form form;
    } FORMS[] = {
        {SLICE("Any"), SCHEMA_FORM_ANY},
        {SLICE("Timestamp"), SCHEMA_FORM_TIMESTAMP},
        {SLICE("Duration"), SCHEMA_FORM_DURATION},
        {SLICE("FieldMask"), SCHEMA_FORM_FIELD_MASK},
        {SLICE("Struct"), SCHEMA_FORM_STRUCT},
        {SLICE("Value"), SCHEMA_FORM_VALUE},
        {SLICE("ListValue"), SCHEMA_FORM_LIST},
        {SLICE("DoubleValue"), SCHEMA_FORM_WRAPPER},
        {SLICE("FloatValue"), SCHEMA_FORM_WRAPPER},
        {SLICE("Int64Value"), SCHEMA_FORM_WRAPPER},
        {SLICE("UInt64Value"), SCHEMA_FORM_WRAPPER},
        {SLICE("Int32Value"), SCHEMA_FORM_WRAPPER},
        {SLICE("UInt32Value"), SCHEMA_FORM_WRAPPER},
        {SLICE("BoolValue"), SCHEMA_FORM_WRAPPER},
        {SLICE("StringValue"), SCHEMA_FORM_WRAPPER},
        {SLICE("BytesValue"), SCHEMA_FORM_WRAPPER},
    };
    struct slice package = SLICE("google.protobuf.");
    if (!slice_starts_with(full_name, package))
        return SCHEMA_FORM_FIELDS;
    struct slice name = slice_after(full_name, package.size);
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (slice_equal(FORMS[i].name, name))
            return FORMS[i].form;
    return SCHEMA_FORM_FIELDS;
}

static bool message_read(struct schema_build *build, struct slice bytes, struct slice scope,
                         const struct schema_place *place, int nesting);

/* Reads what a DescriptorProto holds, its own name being known. */
static bool message_parts_read(struct schema_build *build, struct schema_message *message,
                               struct slice bytes, const struct schema_place *place, int nesting) {
    enum { FIELD = 2, NESTED = 3, ENUM = 4, EXTENSION = 6, OPTIONS = 7, ONEOF = 8 };
    enum { MESSAGE_SET = 1, MAP_ENTRY = 7 };
    struct wire_reader reader = wire_reader_of(bytes), options;
    struct wire_field part, option;
    size_t nested = 0, enums = 0;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == FIELD) {
            struct schema_place below = schema_place_below(place, FIELD, message->field_count);
            struct schema_field *field = &message->fields[message->field_count++];
            struct slice extendee;
            field->comment = schema_comment_at(build, &below);
            if (!schema_field_read(build, part.bytes, field, &extendee))
                return false;
        } else if (part.number == NESTED) {
            struct schema_place below = schema_place_below(place, NESTED, nested++);
            message_read(build, part.bytes, message->full_name, &below, nesting + 1);
        } else if (part.number == ENUM) {
            struct schema_place below = schema_place_below(place, ENUM, enums++);
            schema_enum_read(build, part.bytes, message->full_name, &below);
        } else if (part.number == EXTENSION) {
            extension_read(build, part.bytes, message->full_name);
        } else if (part.number == ONEOF) {
            message->oneof_count++;
        } else if (part.number == OPTIONS) {
            for (options = wire_reader_of(part.bytes);
                 schema_build_next(build, &options, &option);) {
                message->map_entry |= option.number == MAP_ENTRY && option.bits != 0;
                message->message_set |= option.number == MESSAGE_SET && option.bits != 0;
            }
        }
    }
    return !build->status;
}

static bool message_read(struct schema_build *build, struct slice bytes, struct slice scope,
                         const struct schema_place *place, int nesting) {
    enum { NAME = 1, FIELD = 2 };
    if (nesting > SCHEMA_NESTING_MAX)
        return schema_build_fail(build, SYNC_ERR_INVALID,
                                 "the descriptor set nests messages deeper than %d",
                                 SCHEMA_NESTING_MAX);
    struct schema_message *message = schema_build_alloc(build, 1, sizeof *message);
    size_t field_count = schema_build_count(build, bytes, FIELD);
    if (!message || build->status)
        return false;
    message->fields = schema_build_alloc(build, field_count, sizeof *message->fields);
    if (!message->fields)
        return false;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part))
        if (part.number == NAME)
            message->full_name = schema_build_join(build, scope, part.bytes);
    message->comment = schema_comment_at(build, place);
    message->form = message_form(message->full_name);
    *build->message_end = message;
    build->message_end = &message->next;
    build->message_count++;
    return message_parts_read(build, message, bytes, place, nesting);
}

/* Where a file of an edition begins from. */
static bool edition_features(struct schema_build *build, uint64_t edition) {
    enum { PROTO2 = 998, PROTO3 = 999, FIRST = 1000, LAST = 1001 };
    if (edition == PROTO2)
        build->features = (struct schema_features){.closed = true, .any_bytes = true};
    else if (edition == PROTO3)
        build->features = (struct schema_features){.implicit = true, .packed = true};
    else if (edition >= FIRST && edition <= LAST)
        build->features = (struct schema_features){.packed = true};
    else
        return schema_build_fail(build, SYNC_ERR_INVALID,
                                 "the descriptor set uses edition %" PRIu64 ", which is not known",
                                 edition);
    return true;
}

/* Reads what decides how the rest of a file is read. */
static bool file_head_read(struct schema_build *build, struct slice file,
                           struct slice *ret_package) {
    enum { PACKAGE = 2, OPTIONS = 8, SYNTAX = 12, EDITION = 14, FEATURES = 50 };
    struct wire_reader reader = wire_reader_of(file);
    struct wire_field part;
    struct slice options = SLICE_EMPTY;
    build->features = (struct schema_features){.closed = true, .any_bytes = true};
    build->short_enum_names = build->bearer_token = false;
    *ret_package = SLICE_EMPTY;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == PACKAGE)
            *ret_package = part.bytes;
        else if (part.number == SYNTAX && slice_equal(part.bytes, SLICE("proto3")))
            build->features = (struct schema_features){.implicit = true, .packed = true};
        else if (part.number == EDITION && !edition_features(build, part.bits))
            return false;
        else if (part.number == OPTIONS)
            options = part.bytes;
    }
    return !build->status && schema_file_options(build, options) &&
           schema_features_read(build, options, FEATURES, &build->features) &&
           schema_comments_read(build, file);
}

bool schema_types_read(struct schema_build *build, struct slice file) {
    enum { MESSAGE = 4, ENUM = 5, EXTENSION = 7 };
    struct slice package;
    if (!file_head_read(build, file, &package))
        return false;
    struct schema_place root = {.size = 0};
    struct wire_reader reader = wire_reader_of(file);
    struct wire_field part;
    size_t messages = 0, enums = 0;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == MESSAGE) {
            struct schema_place place = schema_place_below(&root, MESSAGE, messages++);
            message_read(build, part.bytes, package, &place, 0);
        } else if (part.number == ENUM) {
            struct schema_place place = schema_place_below(&root, ENUM, enums++);
            schema_enum_read(build, part.bytes, package, &place);
        } else if (part.number == EXTENSION) {
            extension_read(build, part.bytes, package);
        }
    }
    return !build->status;
}
