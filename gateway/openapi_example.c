/* Values to show. */
#include "gateway/openapi_writer.h"

enum { EXAMPLE_NESTING_MAX = 4 };

static void message_example(struct openapi_writer *writer, const struct schema_message *message,
                            enum openapi_use use, int nesting);

static struct slice form_example(const struct schema_message *message) {
    switch (message->form) {
    case SCHEMA_FORM_ANY:
    case SCHEMA_FORM_STRUCT:
        return SLICE("{}");
    case SCHEMA_FORM_TIMESTAMP:
        return SLICE("\"2026-05-01T10:00:00Z\"");
    case SCHEMA_FORM_DURATION:
        return SLICE("\"30s\"");
    case SCHEMA_FORM_FIELD_MASK:
        return SLICE("\"\"");
    case SCHEMA_FORM_LIST:
        return SLICE("[]");
    case SCHEMA_FORM_WRAPPER:
        return message->fields[0].type == SCHEMA_BOOL     ? SLICE("true")
               : message->fields[0].type == SCHEMA_STRING ? SLICE("\"text\"")
                                                          : SLICE("null");
    default:
        return SLICE("null");
    }
}

static void enum_example(struct openapi_writer *writer, const struct schema_field *field) {
    const struct schema_enum *enumeration = field->enumeration;
    const struct schema_enum_value *value = NULL;
    for (size_t i = 0; i < enumeration->value_count && !value; i++)
        if (enumeration->values[i].number != 0)
            value = &enumeration->values[i];
    if (!value || enumeration->null_value)
        openapi_raw(writer, SLICE("null"));
    else
        openapi_text(writer, schema_enum_text(field, enumeration, value));
}

static void scalar_example(struct openapi_writer *writer, const struct schema_field *field) {
    const struct schema_constraint *constraint = field->constraint;
    bool positive = constraint && constraint->has_value && constraint->value.min > 0;
    switch (field->type) {
    case SCHEMA_BOOL:
        openapi_raw(writer, SLICE("true"));
        break;
    case SCHEMA_STRING:
        openapi_raw(writer, SLICE("\"text\""));
        break;
    case SCHEMA_BYTES:
        openapi_raw(writer, field->hex ? SLICE("\"000102\"") : SLICE("\"AAEC\""));
        break;
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_SINT64:
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
        openapi_raw(writer, SLICE("\"1\""));
        break;
    default:
        openapi_raw(writer, positive ? SLICE("15") : SLICE("10"));
    }
}

static void value_example(struct openapi_writer *writer, const struct schema_field *field,
                          enum openapi_use use, int nesting) {
    if (field->message && field->message->form == SCHEMA_FORM_FIELDS)
        message_example(writer, field->message, use, nesting + 1);
    else if (field->message)
        openapi_raw(writer, form_example(field->message));
    else if (field->enumeration)
        enum_example(writer, field);
    else
        scalar_example(writer, field);
}

static void field_example(struct openapi_writer *writer, const struct schema_field *field,
                          enum openapi_use use, int nesting) {
    if (field->constraint && field->constraint->example.size > 0) {
        openapi_raw(writer, field->constraint->example);
    } else if (field->map) {
        openapi_raw(writer, SLICE("{}"));
    } else if (field->repeated) {
        openapi_open(writer, '[');
        value_example(writer, field, use, nesting);
        openapi_close(writer, ']');
    } else {
        value_example(writer, field, use, nesting);
    }
}

void openapi_field_example(struct openapi_writer *writer, const struct schema_field *field,
                           enum openapi_use use) {
    field_example(writer, field, use, 0);
}

static bool is_shown(const struct schema_field *field, enum openapi_use use, int nesting) {
    if (field->request_header.size > 0 || field->response_header.size > 0)
        return false;
    if (field->message && field->message->form == SCHEMA_FORM_FIELDS && !field->map &&
        nesting == EXAMPLE_NESTING_MAX)
        return false;
    if (use == OPENAPI_ANSWER)
        return true;
    return !field->output_only &&
           (field->required || (field->constraint && field->constraint->example.size > 0));
}

static void message_example(struct openapi_writer *writer, const struct schema_message *message,
                            enum openapi_use use, int nesting) {
    uint64_t oneofs = 0; /* of which a member is shown; of the first 64 */
    openapi_open(writer, '{');
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        uint64_t oneof = field->oneof >= 0 && field->oneof < 64 ? UINT64_C(1) << field->oneof : 0;
        if (!is_shown(field, use, nesting) || (oneofs & oneof))
            continue;
        oneofs |= oneof;
        openapi_name(writer, field->json_name);
        field_example(writer, field, use, nesting);
    }
    openapi_close(writer, '}');
}

void openapi_example(struct openapi_writer *writer, const struct schema_message *message,
                     enum openapi_use use) {
    if (message->form == SCHEMA_FORM_FIELDS)
        message_example(writer, message, use, 0);
    else
        openapi_raw(writer, form_example(message));
}
