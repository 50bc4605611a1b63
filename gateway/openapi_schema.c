/* The JSON Schemas of messages and their fields. */
#include <stdio.h>

#include "gateway/openapi_writer.h"

/* The greatest integer that every JSON reader holds exactly (RFC 7493), and its digits. */
#define INTEGER_MAX "9007199254740991"

/* Wants a message's schema. */
static void message_want(struct openapi_writer *writer, const struct schema_message *message,
                         bool read) {
    for (size_t i = 0; i < writer->wanted_count; i++) {
        if (writer->wanted[i].message == message) {
            writer->wanted[i].read |= read;
            return;
        }
    }
    if (writer->wanted_count == writer->wanted_max) {
        size_t max = writer->wanted_max ? writer->wanted_max * 2 : 64;
        struct openapi_wanted *grown = arena_zalloc(&writer->arena, max, sizeof *grown);
        if (!grown) {
            writer->failed = true;
            return;
        }
        if (writer->wanted_count > 0)
            memcpy(grown, writer->wanted, writer->wanted_count * sizeof *grown);
        writer->wanted = grown;
        writer->wanted_max = max;
    }
    writer->wanted[writer->wanted_count++] = (struct openapi_wanted){message, read};
}

/* "type": one, or that or null. */
static void type_member(struct openapi_writer *writer, const char *type, bool null) {
    if (!null) {
        openapi_member(writer, SLICE("type"), slice_text(type));
        return;
    }
    OPENAPI_NAME(writer, "type");
    openapi_open(writer, '[');
    openapi_text(writer, slice_text(type));
    openapi_text(writer, SLICE("null"));
    openapi_close(writer, ']');
}

/* Whether a field takes a value: named ones only where some are named. */
static bool enum_is_taken(const struct schema_field *field, const struct schema_enum_value *value) {
    const struct schema_constraint *constraint = field->constraint;
    bool taken = !constraint || constraint->value_count == 0;
    struct slice text = schema_enum_text(field, field->enumeration, value);
    for (size_t i = 0; !taken && i < constraint->value_count; i++)
        taken = slice_equal(constraint->values[i], text);
    return value->number == 0
               ? !field->required && !field->repeated && !(constraint && constraint->not_default)
               : taken;
}

/* Members of an enum's schema: the names as the field writes them; where it is read, numbers too,
 * but for the one that says nothing where something must be said. */
static void enum_members(struct openapi_writer *writer, const struct schema_field *field,
                         enum openapi_use use, bool null) {
    const struct schema_enum *enumeration = field->enumeration;
    if (enumeration->null_value) {
        openapi_member(writer, SLICE("type"), SLICE("null"));
        return;
    }
    if (use == OPENAPI_ANSWER)
        openapi_member(writer, SLICE("type"), SLICE("string"));
    OPENAPI_NAME(writer, "enum");
    openapi_open(writer, '[');
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct schema_enum_value *value = &enumeration->values[i];
        if ((value->number != 0 || !enumeration->short_names) && enum_is_taken(field, value))
            openapi_text(writer, schema_enum_text(field, enumeration, value));
    }
    for (size_t i = 0; i < enumeration->value_count && use != OPENAPI_ANSWER; i++) {
        char number[16];
        int size = snprintf(number, sizeof number, "%d", enumeration->values[i].number);
        if (enum_is_taken(field, &enumeration->values[i]))
            openapi_raw(writer, slice_of(number, (size_t)size));
    }
    if (null)
        openapi_raw(writer, SLICE("null"));
    openapi_close(writer, ']');
}

static void bounds_write(struct openapi_writer *writer, const struct schema_range *bounds,
                         struct slice least, struct slice greatest) {
    openapi_number(writer, least, bounds->min);
    openapi_number(writer, greatest, bounds->max);
}

/* A 64-bit integer is written as a string, and read as a number as well. */
static void integer64_members(struct openapi_writer *writer, const struct schema_field *field,
                              bool is_signed, enum openapi_use use, bool null) {
    const struct schema_constraint *constraint = field->constraint;
    bool negative =
        is_signed && !(constraint && constraint->has_value && constraint->value.min >= 0);
    if (use == OPENAPI_ANSWER)
        openapi_member(writer, SLICE("type"), SLICE("string"));
    else
        openapi_raw_member(writer, SLICE("type"),
                           null ? SLICE("[\"string\",\"integer\",\"null\"]")
                                : SLICE("[\"string\",\"integer\"]"));
    openapi_member(writer, SLICE("format"), is_signed ? SLICE("int64") : SLICE("uint64"));
    if (use == OPENAPI_ANSWER)
        return;
    openapi_member(writer, SLICE("pattern"),
                   negative ? SLICE("^(0|-?[1-9][0-9]{0,14})$") : SLICE("^(0|[1-9][0-9]{0,14})$"));
    openapi_raw_member(writer, SLICE("minimum"), negative ? SLICE("-" INTEGER_MAX) : SLICE("0"));
    openapi_raw_member(writer, SLICE("maximum"), SLICE(INTEGER_MAX));
}

static void string_members(struct openapi_writer *writer, const struct schema_field *field) {
    const struct schema_constraint *constraint = field->constraint;
    if (!constraint)
        return;
    if (constraint->has_length) {
        bounds_write(writer, &constraint->length, SLICE("minLength"), SLICE("maxLength"));
        /* JSON Schema counts characters: what it allows may still be too long. */
        openapi_number(writer, SLICE("x-maxBytes"), constraint->length.max);
    }
    if (constraint->pattern.size > 0)
        openapi_member(writer, SLICE("pattern"), constraint->pattern);
    if (constraint->format.size > 0)
        openapi_member(writer, SLICE("format"), constraint->format);
}

static void integer32_members(struct openapi_writer *writer, const struct schema_field *field,
                              bool is_signed) {
    static const struct schema_range range_signed = {INT32_MIN, INT32_MAX},
                                     range_unsigned = {0, UINT32_MAX};
    const struct schema_constraint *constraint = field->constraint;
    bounds_write(writer,
                 constraint && constraint->has_value ? &constraint->value
                 : is_signed                         ? &range_signed
                                                     : &range_unsigned,
                 SLICE("minimum"), SLICE("maximum"));
}

static void scalar_members(struct openapi_writer *writer, const struct schema_field *field,
                           enum openapi_use use, bool null) {
    switch (field->type) {
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
        type_member(writer, "number", null);
        openapi_member(writer, SLICE("format"),
                       field->type == SCHEMA_FLOAT ? SLICE("float") : SLICE("double"));
        break;
    case SCHEMA_INT64:
    case SCHEMA_SFIXED64:
    case SCHEMA_SINT64:
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        integer64_members(writer, field,
                          field->type != SCHEMA_UINT64 && field->type != SCHEMA_FIXED64, use, null);
        break;
    case SCHEMA_BOOL:
        type_member(writer, "boolean", null);
        break;
    case SCHEMA_STRING:
        type_member(writer, "string", null);
        string_members(writer, field);
        break;
    case SCHEMA_BYTES:
        type_member(writer, "string", null);
        if (field->hex)
            openapi_member(writer, SLICE("pattern"), SLICE("^([0-9a-f]{2})*$"));
        else
            openapi_member(writer, SLICE("contentEncoding"), SLICE("base64"));
        break;
    default:
        type_member(writer, "integer", null);
        integer32_members(writer, field,
                          field->type != SCHEMA_UINT32 && field->type != SCHEMA_FIXED32);
    }
}

/* Members of the schema of a message with a JSON form of its own. */
static void form_members(struct openapi_writer *writer, const struct schema_message *message,
                         enum openapi_use use, bool null) {
    switch (message->form) {
    case SCHEMA_FORM_ANY:
        type_member(writer, "object", null);
        openapi_raw_member(writer, SLICE("properties"), SLICE("{\"@type\":{\"type\":\"string\"}}"));
        openapi_raw_member(writer, SLICE("additionalProperties"), SLICE("true"));
        break;
    case SCHEMA_FORM_TIMESTAMP:
        type_member(writer, "string", null);
        openapi_member(writer, SLICE("format"), SLICE("date-time"));
        break;
    case SCHEMA_FORM_DURATION:
        type_member(writer, "string", null);
        openapi_member(writer, SLICE("pattern"), SLICE("^-?[0-9]+(\\.[0-9]{1,9})?s$"));
        break;
    case SCHEMA_FORM_FIELD_MASK:
        type_member(writer, "string", null);
        break;
    case SCHEMA_FORM_STRUCT:
        type_member(writer, "object", null);
        openapi_raw_member(writer, SLICE("additionalProperties"), SLICE("true"));
        break;
    case SCHEMA_FORM_LIST:
        type_member(writer, "array", null);
        openapi_raw_member(writer, SLICE("items"), SLICE("{}"));
        break;
    case SCHEMA_FORM_WRAPPER:
        scalar_members(writer, &message->fields[0], use, null);
        break;
    default: /* a google.protobuf.Value is anything */
        break;
    }
}

static void reference_member(struct openapi_writer *writer, struct slice name) {
    const char *reference = arena_format(&writer->arena, "#/components/schemas/%.*s",
                                         (int)name.size, (const char *)name.data);
    writer->failed |= !reference;
    openapi_member(writer, SLICE("$ref"), slice_text(reference));
}

/* "$ref", or that or null. */
static void reference_members(struct openapi_writer *writer, struct slice name, bool null) {
    if (!null) {
        reference_member(writer, name);
        return;
    }
    OPENAPI_NAME(writer, "anyOf");
    openapi_open(writer, '[');
    openapi_open(writer, '{');
    reference_member(writer, name);
    openapi_close(writer, '}');
    openapi_raw(writer, SLICE("{\"type\":\"null\"}"));
    openapi_close(writer, ']');
}

static void message_members(struct openapi_writer *writer, const struct schema_message *message,
                            enum openapi_use use, bool null) {
    if (message->form == SCHEMA_FORM_FIELDS)
        reference_members(writer, message->full_name, null);
    else
        form_members(writer, message, use, null);
}

/* Members of the schema of one value of a field. */
static void value_members(struct openapi_writer *writer, const struct schema_field *field,
                          enum openapi_use use, bool null) {
    if (field->i_json && use == OPENAPI_BODY)
        reference_members(writer, SLICE("JsonObject"), null);
    else if (field->message)
        message_members(writer, field->message, use, null);
    else if (field->enumeration)
        enum_members(writer, field, use, null);
    else
        scalar_members(writer, field, use, null);
    if (field->message && field->message->form == SCHEMA_FORM_FIELD_MASK)
        string_members(writer, field);
}

static void list_members(struct openapi_writer *writer, const struct schema_field *field,
                         enum openapi_use use, bool null) {
    const struct schema_constraint *constraint = field->constraint;
    type_member(writer, field->map ? "object" : "array", null);
    openapi_name(writer, field->map ? SLICE("additionalProperties") : SLICE("items"));
    openapi_open(writer, '{');
    value_members(writer, field->map ? schema_field_at(field->message, 2) : field, use, false);
    openapi_close(writer, '}');
    if (constraint && constraint->has_items)
        bounds_write(writer, &constraint->items, SLICE("minItems"), SLICE("maxItems"));
}

/* null stands for the default: not where there must be a value, or one other than the default. */
static bool is_nullable(const struct schema_field *field) {
    const struct schema_constraint *constraint = field->constraint;
    bool is_refused = constraint && (constraint->not_default ||
                                     (constraint->has_value && constraint->value.min > 0) ||
                                     (constraint->has_items && constraint->items.min > 0));
    return !field->required && !is_refused;
}

/* What is taken for a parameter that is not given. */
static void default_member(struct openapi_writer *writer, const struct schema_field *field) {
    if (field->type == SCHEMA_STRING || field->type == SCHEMA_ENUM || field->type == SCHEMA_BYTES)
        openapi_member(writer, SLICE("default"), field->http_default);
    else
        openapi_raw_member(writer, SLICE("default"), field->http_default);
}

void openapi_field_schema(struct openapi_writer *writer, const struct schema_field *field,
                          enum openapi_use use) {
    bool null = use == OPENAPI_BODY && is_nullable(field);
    openapi_open(writer, '{');
    if (field->repeated)
        list_members(writer, field, use, null);
    else
        value_members(writer, field, use, null);
    if (use == OPENAPI_PARAMETER && field->http_default.size > 0)
        default_member(writer, field);
    if (use != OPENAPI_PARAMETER) {
        openapi_description(writer, field->comment);
        if (field->output_only)
            openapi_raw_member(writer, SLICE("readOnly"), SLICE("true"));
    }
    openapi_close(writer, '}');
    const struct schema_message *message = field->message;
    if (message && field->map)
        message = schema_field_at(message, 2)->message;
    if (message && message->form == SCHEMA_FORM_FIELDS)
        message_want(writer, message, use != OPENAPI_ANSWER);
}

void openapi_message_schema(struct openapi_writer *writer, const struct schema_message *message,
                            enum openapi_use use) {
    openapi_open(writer, '{');
    message_members(writer, message, use, false);
    openapi_close(writer, '}');
    if (message->form == SCHEMA_FORM_FIELDS)
        message_want(writer, message, use != OPENAPI_ANSWER);
}

static bool is_in_body(const struct schema_field *field) {
    return field->request_header.size == 0 && field->response_header.size == 0;
}

static void required_write(struct openapi_writer *writer, const struct schema_message *message) {
    bool any = false;
    for (size_t i = 0; i < message->field_count; i++)
        any |= message->fields[i].required || message->fields[i].label_required;
    if (!any)
        return;
    OPENAPI_NAME(writer, "required");
    openapi_open(writer, '[');
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].required || message->fields[i].label_required)
            openapi_text(writer, message->fields[i].json_name);
    openapi_close(writer, ']');
}

static void message_component(struct openapi_writer *writer, const struct openapi_wanted *wanted) {
    const struct schema_message *message = wanted->message;
    openapi_name(writer, message->full_name);
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("type"), SLICE("object"));
    openapi_description(writer, message->comment);
    OPENAPI_NAME(writer, "properties");
    openapi_open(writer, '{');
    for (size_t i = 0; i < message->field_count; i++) {
        if (!is_in_body(&message->fields[i]))
            continue;
        openapi_name(writer, message->fields[i].json_name);
        openapi_field_schema(writer, &message->fields[i],
                             wanted->read ? OPENAPI_BODY : OPENAPI_ANSWER);
    }
    openapi_close(writer, '}');
    required_write(writer, message);
    if (wanted->read)
        openapi_raw_member(writer, SLICE("additionalProperties"), SLICE("false"));
    openapi_close(writer, '}');
}

/* Wants what the wanted messages refer to, as they are read or written, before any is written. */
static void wanted_close(struct openapi_writer *writer) {
    bool grown = true;
    while (grown && !writer->failed) {
        grown = false;
        for (size_t i = 0; i < writer->wanted_count; i++) {
            const struct openapi_wanted wanted = writer->wanted[i];
            for (size_t j = 0; j < wanted.message->field_count; j++) {
                const struct schema_field *field = &wanted.message->fields[j];
                const struct schema_message *inner = field->message;
                if (inner && field->map)
                    inner = schema_field_at(inner, 2)->message;
                if (!inner || inner->form != SCHEMA_FORM_FIELDS || !is_in_body(field))
                    continue;
                size_t before = writer->wanted_count;
                message_want(writer, inner, wanted.read);
                grown |= writer->wanted_count > before;
            }
        }
    }
}

void openapi_schemas(struct openapi_writer *writer) {
    wanted_close(writer);
    OPENAPI_NAME(writer, "schemas");
    openapi_open(writer, '{');
    for (size_t i = 0; i < writer->wanted_count; i++)
        message_component(writer, &writer->wanted[i]);
    openapi_raw_member(
        writer, SLICE("JsonObject"),
        SLICE("{\"type\":\"object\",\"description\":\"Any JSON object that is I-JSON (RFC "
              "7493).\",\"additionalProperties\":{\"$ref\":\"#/components/schemas/JsonValue\"}}"));
    openapi_raw_member(
        writer, SLICE("JsonValue"),
        SLICE("{\"description\":\"Any JSON value that is I-JSON (RFC 7493): integers lie within "
              "2^53.\",\"anyOf\":[{\"type\":[\"null\",\"boolean\",\"string\"]},"
              "{\"type\":\"number\",\"minimum\":-" INTEGER_MAX ",\"maximum\":" INTEGER_MAX "},"
              "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/JsonValue\"}},"
              "{\"$ref\":\"#/components/schemas/JsonObject\"}]}"));
    openapi_raw_member(
        writer, SLICE("Error"),
        SLICE("{\"type\":\"object\",\"description\":\"Every error answer.\",\"properties\":{"
              "\"error\":{\"type\":\"object\",\"properties\":{"
              "\"code\":{\"type\":\"integer\",\"description\":\"The HTTP status.\"},"
              "\"status\":{\"type\":\"string\",\"description\":\"The name of the gRPC code.\"},"
              "\"message\":{\"type\":\"string\",\"description\":\"A sentence that helps.\"},"
              "\"details\":{\"type\":\"array\",\"description\":\"What google.rpc defines: "
              "BadRequest names the fields at fault, ErrorInfo the reason.\","
              "\"items\":{\"type\":\"object\",\"properties\":{\"@type\":{\"type\":\"string\"}},"
              "\"additionalProperties\":true}}},"
              "\"required\":[\"code\",\"status\",\"message\"]}},\"required\":[\"error\"]}"));
    openapi_close(writer, '}');
}
