#include "gateway/openapi_writer.h"

#include "base/json_text.h"

void openapi_open(struct openapi_writer *writer, uint8_t bracket) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    buffer_append_byte(writer->out, bracket);
    writer->comma = false;
}

void openapi_close(struct openapi_writer *writer, uint8_t bracket) {
    buffer_append_byte(writer->out, bracket);
    writer->comma = true;
}

void openapi_name(struct openapi_writer *writer, struct slice name) {
    openapi_text(writer, name);
    buffer_append_byte(writer->out, ':');
    writer->comma = false;
}

void openapi_text(struct openapi_writer *writer, struct slice text) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    json_append_string(writer->out, slice_is_utf8(text) ? text : SLICE_EMPTY);
    writer->comma = true;
}

void openapi_raw(struct openapi_writer *writer, struct slice json) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    buffer_append(writer->out, json);
    writer->comma = true;
}

void openapi_member(struct openapi_writer *writer, struct slice name, struct slice text) {
    openapi_name(writer, name);
    openapi_text(writer, text);
}

void openapi_description(struct openapi_writer *writer, struct slice comment) {
    if (comment.size == 0)
        return;
    uint8_t *text = arena_alloc(&writer->arena, comment.size);
    if (!text) {
        writer->failed = true;
        return;
    }
    size_t size = 0;
    for (size_t i = 0; i < comment.size; i++) {
        uint8_t byte = comment.data[i];
        if (byte == ' ' && size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\n'))
            continue;
        bool paragraph = byte == '\n' && i + 1 < comment.size && comment.data[i + 1] == '\n';
        if (byte == '\n' && !paragraph && !(size > 0 && text[size - 1] == '\n'))
            byte = ' ';
        text[size++] = byte;
    }
    openapi_member(writer, SLICE("description"), slice_of(text, size));
}

/* Wants a message's schema. */
static void message_want(struct openapi_writer *writer, const struct schema_message *message) {
    for (size_t i = 0; i < writer->wanted_count; i++)
        if (writer->wanted[i] == message)
            return;
    if (writer->wanted_count == writer->wanted_max) {
        size_t max = writer->wanted_max ? writer->wanted_max * 2 : 64;
        const struct schema_message **grown = arena_zalloc(&writer->arena, max, sizeof *grown);
        if (!grown) {
            writer->failed = true;
            return;
        }
        if (writer->wanted_count > 0)
            memcpy(grown, writer->wanted, writer->wanted_count * sizeof *grown);
        writer->wanted = grown;
        writer->wanted_max = max;
    }
    writer->wanted[writer->wanted_count++] = message;
}

/* Members of an enum's schema: the names as the field writes them. */
static void enum_members(struct openapi_writer *writer, const struct schema_field *field) {
    const struct schema_enum *enumeration = field->enumeration;
    if (enumeration->null_value) {
        openapi_member(writer, SLICE("type"), SLICE("null"));
        return;
    }
    openapi_member(writer, SLICE("type"), SLICE("string"));
    OPENAPI_NAME(writer, "enum");
    openapi_open(writer, '[');
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct schema_enum_value *value = &enumeration->values[i];
        if (value->number != 0 || !enumeration->short_names)
            openapi_text(writer, schema_enum_text(field, enumeration, value));
    }
    openapi_close(writer, ']');
}

/* Members of a schema as they are: "type" and what belongs to it. */
static struct slice scalar_members(enum schema_type type) {
    switch (type) {
    case SCHEMA_DOUBLE:
        return SLICE("\"type\":\"number\",\"format\":\"double\"");
    case SCHEMA_FLOAT:
        return SLICE("\"type\":\"number\",\"format\":\"float\"");
    case SCHEMA_INT64:
    case SCHEMA_SFIXED64:
    case SCHEMA_SINT64:
        return SLICE("\"type\":\"string\",\"format\":\"int64\"");
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        return SLICE("\"type\":\"string\",\"format\":\"uint64\"");
    case SCHEMA_BOOL:
        return SLICE("\"type\":\"boolean\"");
    case SCHEMA_STRING:
        return SLICE("\"type\":\"string\"");
    case SCHEMA_BYTES:
        return SLICE("\"type\":\"string\",\"contentEncoding\":\"base64\"");
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        return SLICE("\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295");
    default:
        return SLICE("\"type\":\"integer\",\"format\":\"int32\"");
    }
}

/* Members of the schema of a message with a JSON form of its own. */
static struct slice form_members(const struct schema_message *message) {
    switch (message->form) {
    case SCHEMA_FORM_ANY:
        return SLICE("\"type\":\"object\",\"properties\":{\"@type\":{\"type\":\"string\"}},"
                     "\"additionalProperties\":true");
    case SCHEMA_FORM_TIMESTAMP:
        return SLICE("\"type\":\"string\",\"format\":\"date-time\"");
    case SCHEMA_FORM_DURATION:
        return SLICE("\"type\":\"string\",\"pattern\":\"^-?[0-9]+(\\\\.[0-9]{1,9})?s$\"");
    case SCHEMA_FORM_FIELD_MASK:
        return SLICE("\"type\":\"string\"");
    case SCHEMA_FORM_STRUCT:
        return SLICE("\"type\":\"object\",\"additionalProperties\":true");
    case SCHEMA_FORM_LIST:
        return SLICE("\"type\":\"array\",\"items\":{}");
    case SCHEMA_FORM_WRAPPER:
        return scalar_members(message->fields[0].type);
    default:
        return SLICE_EMPTY;
    }
}

static void message_members(struct openapi_writer *writer, const struct schema_message *message) {
    if (message->form == SCHEMA_FORM_VALUE)
        return; /* anything */
    if (message->form != SCHEMA_FORM_FIELDS) {
        openapi_raw(writer, form_members(message));
        return;
    }
    OPENAPI_NAME(writer, "$ref");
    const char *reference = arena_format(&writer->arena, "#/components/schemas/%.*s",
                                         (int)message->full_name.size, message->full_name.data);
    writer->failed |= !reference;
    openapi_text(writer, slice_text(reference));
    message_want(writer, message);
}

/* Members of the schema of one value of a field. */
static void value_members(struct openapi_writer *writer, const struct schema_field *field) {
    if (field->message)
        message_members(writer, field->message);
    else if (field->enumeration)
        enum_members(writer, field);
    else
        openapi_raw(writer, scalar_members(field->type));
}

void openapi_field_schema(struct openapi_writer *writer, const struct schema_field *field,
                          bool described) {
    openapi_open(writer, '{');
    if (field->repeated) {
        openapi_member(writer, SLICE("type"), field->map ? SLICE("object") : SLICE("array"));
        openapi_name(writer, field->map ? SLICE("additionalProperties") : SLICE("items"));
        openapi_open(writer, '{');
        value_members(writer, field->map ? schema_field_at(field->message, 2) : field);
        openapi_close(writer, '}');
    } else {
        value_members(writer, field);
    }
    if (described) {
        openapi_description(writer, field->comment);
        if (field->output_only) {
            OPENAPI_NAME(writer, "readOnly");
            openapi_raw(writer, SLICE("true"));
        }
    }
    openapi_close(writer, '}');
}

void openapi_message_schema(struct openapi_writer *writer, const struct schema_message *message) {
    openapi_open(writer, '{');
    message_members(writer, message);
    openapi_close(writer, '}');
}

static void message_component(struct openapi_writer *writer, const struct schema_message *message) {
    openapi_name(writer, message->full_name);
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("type"), SLICE("object"));
    openapi_description(writer, message->comment);
    OPENAPI_NAME(writer, "properties");
    openapi_open(writer, '{');
    bool required = false;
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        required |= field->required || field->label_required;
        if (field->request_header.size > 0 || field->response_header.size > 0)
            continue;
        openapi_name(writer, field->json_name);
        openapi_field_schema(writer, field, true);
    }
    openapi_close(writer, '}');
    if (required) {
        OPENAPI_NAME(writer, "required");
        openapi_open(writer, '[');
        for (size_t i = 0; i < message->field_count; i++)
            if (message->fields[i].required || message->fields[i].label_required)
                openapi_text(writer, message->fields[i].json_name);
        openapi_close(writer, ']');
    }
    openapi_close(writer, '}');
}

void openapi_components(struct openapi_writer *writer) {
    OPENAPI_NAME(writer, "schemas");
    openapi_open(writer, '{');
    for (size_t i = 0; i < writer->wanted_count; i++)
        message_component(writer, writer->wanted[i]);
    OPENAPI_NAME(writer, "Error");
    openapi_raw(
        writer,
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
