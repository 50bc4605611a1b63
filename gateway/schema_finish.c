/* After all types are named: fields get their types, messages and enums their tables, services
 * their methods. */
#include <stdlib.h>

#include "base/json_text.h"
#include "gateway/schema_build.h"

enum { DENSE_MAX = 1024 };

/* Reads an EnumValueDescriptorProto. */
static bool enum_value_read(struct schema_build *build, struct schema_enum_value *value,
                            struct slice bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == 1)
            value->name = part.bytes;
        else if (part.number == 2)
            value->number = (int32_t)part.bits;
        else if (part.number == 3 && !schema_enum_value_options(build, value, part.bytes))
            return false;
    }
    return !build->status;
}

/* Names every value: declared names first, since a short name must not hide one. */
static bool enum_tables_make(struct schema_build *build, struct schema_enum *enumeration) {
    size_t names = 0, dense = 0;
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct schema_enum_value *value = &enumeration->values[i];
        names += 2 + value->alias_count;
        if (value->number >= 0 && value->number < DENSE_MAX && (size_t)value->number >= dense)
            dense = (size_t)value->number + 1;
    }
    enumeration->dense = schema_build_alloc(build, dense, sizeof *enumeration->dense);
    if (!enumeration->dense ||
        !schema_names_init(&build->schema->arena, &enumeration->names, names))
        return schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
    enumeration->dense_count = (uint32_t)dense;
    for (size_t i = 0; i < enumeration->value_count; i++) {
        struct schema_enum_value *value = &enumeration->values[i];
        schema_names_add(&enumeration->names, value->name, value);
        if (value->number >= 0 && (uint32_t)value->number < dense &&
            !enumeration->dense[value->number])
            enumeration->dense[value->number] = value;
    }
    for (size_t i = 0; i < enumeration->value_count; i++) {
        struct schema_enum_value *value = &enumeration->values[i];
        if (enumeration->short_names)
            schema_names_add(&enumeration->names, value->short_name, value);
        for (size_t j = 0; j < value->alias_count; j++)
            schema_names_add(&enumeration->names, value->aliases[j], value);
    }
    return true;
}

bool schema_enum_read(struct schema_build *build, struct slice bytes, struct slice scope,
                      const struct schema_place *place) {
    enum { NAME = 1, VALUE = 2, OPTIONS = 3, FEATURES = 7 };
    struct schema_features features = build->features;
    struct schema_enum *enumeration = schema_build_alloc(build, 1, sizeof *enumeration);
    size_t count = schema_build_count(build, bytes, VALUE);
    if (!enumeration || build->status)
        return false;
    enumeration->values = schema_build_alloc(build, count, sizeof *enumeration->values);
    if (!enumeration->values)
        return false;
    struct slice name = SLICE_EMPTY;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == NAME)
            name = part.bytes;
        if (part.number == OPTIONS && !schema_features_read(build, part.bytes, FEATURES, &features))
            return false;
        if (part.number != VALUE)
            continue;
        struct schema_place below = schema_place_below(place, VALUE, enumeration->value_count);
        struct schema_enum_value *value = &enumeration->values[enumeration->value_count++];
        value->comment = schema_comment_at(build, &below);
        if (!enum_value_read(build, value, part.bytes))
            return false;
    }
    for (size_t i = 0; i < enumeration->value_count && build->short_enum_names; i++)
        enumeration->values[i].short_name =
            schema_short_name(build, name, enumeration->values[i].name);
    enumeration->full_name = schema_build_join(build, scope, name);
    enumeration->comment = schema_comment_at(build, place);
    enumeration->short_names = build->short_enum_names;
    enumeration->closed = features.closed;
    enumeration->null_value =
        slice_equal(enumeration->full_name, SLICE("google.protobuf.NullValue"));
    *build->enum_end = enumeration;
    build->enum_end = &enumeration->next;
    build->enum_count++;
    return !build->status && enum_tables_make(build, enumeration);
}

/* Fills the wire type and the tag as written. */
static void field_tag_make(struct schema_field *field) {
    static const uint8_t WIRE_TYPES[] = {0, 1, 5, 0, 0, 0, 1, 5, 0, 2, 3, 2, 2, 0, 0, 5, 1, 0, 0};
    field->wire_type = WIRE_TYPES[field->type];
    uint64_t wire_type = field->packed ? WIRE_LEN : field->wire_type;
    uint8_t tag[WIRE_VARINT_MAX];
    uint8_t *at = field->tag;
    uint64_t written = (uint64_t)field->number << 3 | wire_type;
    if (field->set_item) {
        *at++ = WIRE_SET_ITEM;
        *at++ = WIRE_SET_TYPE;
        written = field->number;
    }
    size_t size = wire_put_varint(tag, written);
    memcpy(at, tag, size);
    at += size;
    if (field->set_item)
        *at++ = WIRE_SET_MESSAGE;
    field->tag_size = (uint8_t)(at - field->tag);
}

/* Fills the text that leads a member: a JSON name may hold what JSON escapes. */
static bool field_label_make(struct schema_build *build, struct schema_field *field) {
    if (!slice_is_utf8(field->json_name))
        return schema_build_fail(build, SYNC_ERR_INVALID,
                                 "the JSON name of the field \"%.*s\" is not UTF-8",
                                 (int)field->name.size, field->name.data);
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    buffer_append_byte(&text, ',');
    json_append_string(&text, field->json_name);
    buffer_append_byte(&text, ':');
    uint8_t *label = buffer_status(&text) == SYNC_OK
                         ? schema_build_alloc(build, text.size + SCHEMA_LABEL_WIDE, 1)
                         : NULL;
    if (label) {
        memcpy(label, text.data, text.size);
        field->json_label = slice_of(label, text.size);
    }
    buffer_done(&text);
    return label || schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
}

/* Fills what follows from the type of a field of the message `of`, and its text and tag as written.
 */
static bool field_finish(struct schema_build *build, const struct schema_message *of,
                         struct schema_field *field) {
    struct slice name =
        field->type_name.size > 0 ? slice_after(field->type_name, 1) : field->type_name;
    if (field->type == SCHEMA_ENUM)
        field->enumeration = schema_names_find(&build->schema->enum_types, name);
    else if (field->type == SCHEMA_MESSAGE || field->type == SCHEMA_GROUP)
        field->message = schema_names_find(&build->schema->message_types, name);
    bool typed = !schema_type_packs(field->type) || field->type == SCHEMA_ENUM;
    if (typed && field->type != SCHEMA_STRING && field->type != SCHEMA_BYTES &&
        !field->enumeration && !field->message)
        return schema_build_fail(build, SYNC_ERR_INVALID,
                                 "the type \"%.*s\" of the field \"%.*s\" is not in the "
                                 "descriptor set",
                                 (int)field->type_name.size, field->type_name.data,
                                 (int)field->name.size, field->name.data);
    field->map = field->repeated && field->message && field->message->map_entry;
    if (field->delimited && !field->map && !of->map_entry)
        field->type = SCHEMA_GROUP;
    field_tag_make(field);
    return field_label_make(build, field);
}

static int field_order(const void *a, const void *b) {
    uint32_t x = ((const struct schema_field *)a)->number;
    uint32_t y = ((const struct schema_field *)b)->number;
    return (x > y) - (x < y);
}

/* Whether text that is the field's label names it and nothing else. */
static bool label_leads(const struct schema_message *message, const struct schema_field *field) {
    struct slice name = field->json_name;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < ' ' || name.data[i] >= 0x7f || name.data[i] == '"' ||
            name.data[i] == '\\')
            return false;
    return schema_names_find(&message->names, name) == field;
}

static bool message_finish(struct schema_build *build, struct schema_message *message) {
    qsort(message->fields, message->field_count, sizeof *message->fields, field_order);
    uint32_t dense = 0;
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].number < DENSE_MAX)
            dense = message->fields[i].number + 1;
    message->dense = schema_build_alloc(build, dense, sizeof *message->dense);
    if (!message->dense ||
        !schema_names_init(&build->schema->arena, &message->names, message->field_count * 2))
        return schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
    message->dense_count = dense;
    for (size_t i = 0; i < message->field_count; i++) {
        struct schema_field *field = &message->fields[i];
        field->index = (uint32_t)i;
        field->set_item = message->message_set && field->type == SCHEMA_MESSAGE && !field->repeated;
        if (!field_finish(build, message, field))
            return false;
        if (field->number < dense)
            message->dense[field->number] = field;
        message->has_always |= field->always;
        message->has_required |= field->required || field->label_required;
        schema_names_add(&message->names, field->json_name, field);
    }
    for (size_t i = 0; i < message->field_count; i++)
        schema_names_add(&message->names, message->fields[i].name, &message->fields[i]);
    for (size_t i = 0; i < message->field_count; i++)
        message->fields[i].label_leads = label_leads(message, &message->fields[i]);
    return true;
}

/* Whether a message has the fields that its JSON form takes for granted. */
static bool message_form_check(struct schema_build *build, const struct schema_message *message) {
    static const struct {
        uint32_t number;
        enum schema_type type;
        bool repeated;
    } EXPECTED[][2] = {
        [SCHEMA_FORM_ANY] = {{1, SCHEMA_STRING, false}, {2, SCHEMA_BYTES, false}},
        [SCHEMA_FORM_TIMESTAMP] = {{1, SCHEMA_INT64, false}, {2, SCHEMA_INT32, false}},
        [SCHEMA_FORM_DURATION] = {{1, SCHEMA_INT64, false}, {2, SCHEMA_INT32, false}},
        [SCHEMA_FORM_FIELD_MASK] = {{1, SCHEMA_STRING, true}},
        [SCHEMA_FORM_STRUCT] = {{1, SCHEMA_MESSAGE, true}},
        [SCHEMA_FORM_VALUE] = {{1, SCHEMA_ENUM, false}, {2, SCHEMA_DOUBLE, false}},
        [SCHEMA_FORM_LIST] = {{1, SCHEMA_MESSAGE, true}},
    };
    bool well = true;
    if (message->form == SCHEMA_FORM_WRAPPER) {
        const struct schema_field *value = schema_field_at(message, 1);
        well = value && !value->repeated && !value->message && !value->enumeration;
    } else if (message->form != SCHEMA_FORM_FIELDS) {
        for (size_t i = 0; i < 2 && EXPECTED[message->form][i].number; i++) {
            const struct schema_field *field =
                schema_field_at(message, EXPECTED[message->form][i].number);
            well &= field && field->type == EXPECTED[message->form][i].type &&
                    field->repeated == EXPECTED[message->form][i].repeated;
        }
    }
    for (size_t number = 1; message->map_entry && number <= 2; number++)
        well &= schema_field_at(message, (uint32_t)number) != NULL;
    return well || schema_build_fail(build, SYNC_ERR_INVALID,
                                     "the descriptor set has another \"%.*s\" than is known",
                                     (int)message->full_name.size, message->full_name.data);
}

/* Marks the fields that closed enums limit, and those that are plain, when all know their types. */
static void fields_mark(struct schema_message *message) {
    for (size_t i = 0; i < message->field_count; i++) {
        struct schema_field *field = &message->fields[i];
        const struct schema_field *value = field->map ? schema_field_at(field->message, 2) : field;
        field->closed_enum = value->enumeration && value->enumeration->closed;
        field->plain = !field->message && field->oneof < 0 && !field->closed_enum &&
                       !(field->repeated && schema_type_packs(field->type)) &&
                       field->response_header.size == 0;
    }
}

/* Adds a message's extensions to its fields. */
static bool extensions_add(struct schema_build *build, struct schema_message *message) {
    size_t count = 0;
    struct schema_extension *extension;
    for (extension = build->extensions; extension; extension = extension->next)
        count += extension->extendee.size > 0 &&
                 slice_equal(slice_after(extension->extendee, 1), message->full_name);
    if (count == 0)
        return true;
    struct schema_field *fields =
        schema_build_alloc(build, message->field_count + count, sizeof *fields);
    if (!fields)
        return false;
    if (message->field_count > 0)
        memcpy(fields, message->fields, message->field_count * sizeof *fields);
    message->fields = fields;
    for (extension = build->extensions; extension; extension = extension->next)
        if (extension->extendee.size > 0 &&
            slice_equal(slice_after(extension->extendee, 1), message->full_name))
            fields[message->field_count++] = extension->field;
    return true;
}

bool schema_types_finish(struct schema_build *build) {
    struct schema *schema = build->schema;
    if (!schema_names_init(&schema->arena, &schema->message_types, build->message_count) ||
        !schema_names_init(&schema->arena, &schema->enum_types, build->enum_count))
        return schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
    for (struct schema_enum *at = schema->enums; at; at = at->next)
        schema_names_add(&schema->enum_types, at->full_name, at);
    for (struct schema_message *at = schema->messages; at; at = at->next)
        schema_names_add(&schema->message_types, at->full_name, at);
    for (struct schema_message *at = schema->messages; at; at = at->next)
        if (!extensions_add(build, at) || !message_finish(build, at) ||
            !message_form_check(build, at))
            return false;
    for (struct schema_message *at = schema->messages; at; at = at->next)
        fields_mark(at);
    return true;
}
