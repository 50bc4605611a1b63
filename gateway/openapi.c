/* The OpenAPI document: paths with their operations, then the schemas they refer to. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "gateway/openapi_writer.h"
#include "gateway/route_template.h"

enum { OPENAPI_BYTES_MAX = 64 << 20, QUERY_NESTING_MAX = 3 };

/* One rule, with the path that OpenAPI gives it. */
struct openapi_entry {
    const struct schema_method *method;
    const struct schema_http_rule *rule;
    struct route_template path_template;
    struct slice path;
    size_t order;
};

/* The JSON form of a dotted proto path: "sync_id" is "syncId". */
static void path_name_append(struct buffer *out, const struct schema_message *message,
                             struct slice path) {
    while (path.size > 0) {
        const uint8_t *dot = memchr(path.data, '.', path.size);
        struct slice part = slice_first(path, dot ? (size_t)(dot - path.data) : path.size);
        const struct schema_field *field = message ? schema_field_find(message, part) : NULL;
        buffer_append(out, field ? field->json_name : part);
        if (dot)
            buffer_append_byte(out, '.');
        path = slice_after(path, part.size + (dot != NULL));
        message = field ? field->message : NULL;
    }
}

/* "/v1/{name=shelves/\*}:move" is "/v1/{name}:move". */
static bool entry_path_make(struct openapi_writer *writer, struct openapi_entry *entry) {
    const struct route_template *path_template = &entry->path_template;
    struct buffer text;
    buffer_init(&text, OPENAPI_BYTES_MAX);
    size_t variable = 0;
    for (size_t i = 0; i < path_template->segment_count;) {
        buffer_append_byte(&text, '/');
        const struct route_variable *at =
            variable < path_template->variable_count ? &path_template->variables[variable] : NULL;
        if (at && at->begin == i) {
            buffer_append_byte(&text, '{');
            path_name_append(&text, entry->method->request, at->field_path);
            buffer_append_byte(&text, '}');
            i = at->end;
            variable++;
            continue;
        }
        const struct route_segment *segment = &path_template->segments[i++];
        buffer_append(&text, segment->kind == 0                   ? segment->text
                             : segment->kind == ROUTE_SEGMENT_ANY ? SLICE("*")
                                                                  : SLICE("**"));
    }
    if (path_template->verb.size > 0)
        buffer_append_byte(&text, ':');
    buffer_append(&text, path_template->verb);
    bool well = !text.failed && arena_copy(&writer->arena, buffer_slice(&text), &entry->path);
    buffer_done(&text);
    return well;
}

static bool message_is_raw(const struct schema_message *message) {
    return slice_equal(message->full_name, SLICE("google.api.HttpBody"));
}

static void schema_or_binary(struct openapi_writer *writer, const struct schema_message *message,
                             enum openapi_use use) {
    if (message_is_raw(message))
        openapi_raw(writer, SLICE("{\"type\":\"string\",\"format\":\"binary\"}"));
    else
        openapi_message_schema(writer, message, use);
}

static void parameter_write(struct openapi_writer *writer, struct slice name, const char *in,
                            const struct schema_field *field, bool required) {
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("name"), name);
    openapi_member(writer, SLICE("in"), slice_text(in));
    openapi_description(writer, field->comment);
    if (required) {
        OPENAPI_NAME(writer, "required");
        openapi_raw(writer, SLICE("true"));
    }
    if (field->repeated && field->comma_separated) {
        OPENAPI_NAME(writer, "explode");
        openapi_raw(writer, SLICE("false"));
    }
    OPENAPI_NAME(writer, "schema");
    openapi_field_schema(writer, field, OPENAPI_PARAMETER);
    if (field->constraint && field->constraint->example.size > 0)
        openapi_raw_member(writer, SLICE("example"), field->constraint->example);
    openapi_close(writer, '}');
}

/* The field that a dotted path ends at. */
static const struct schema_field *path_field(const struct schema_message *message,
                                             struct slice path) {
    for (;;) {
        const uint8_t *dot = memchr(path.data, '.', path.size);
        struct slice part = slice_first(path, dot ? (size_t)(dot - path.data) : path.size);
        const struct schema_field *field = message ? schema_field_find(message, part) : NULL;
        if (!field || !dot)
            return field;
        path = slice_after(path, part.size + 1);
        message = field->message;
    }
}

/* Whether the address of the entry holds the field at `name`, a dotted path in JSON names. */
static bool is_in_path(const struct openapi_entry *entry, struct slice name) {
    bool found = false;
    for (size_t i = 0; i < entry->path_template.variable_count && !found; i++) {
        struct buffer json;
        buffer_init(&json, OPENAPI_BYTES_MAX);
        path_name_append(&json, entry->method->request,
                         entry->path_template.variables[i].field_path);
        found = slice_equal(buffer_slice(&json), name);
        buffer_done(&json);
    }
    return found;
}

/* The parameters of a message's fields, nested ones by dotted names. */
static void query_write(struct openapi_writer *writer, const struct openapi_entry *entry,
                        const struct schema_message *message, struct slice prefix, int nesting) {
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        const char *text =
            arena_format(&writer->arena, "%.*s%s%.*s", (int)prefix.size,
                         prefix.size ? (const char *)prefix.data : "", prefix.size ? "." : "",
                         (int)field->json_name.size, field->json_name.data);
        writer->failed |= !text;
        struct slice name = slice_text(text);
        bool header = field->request_header.size > 0;
        if (header)
            parameter_write(writer, field->request_header, "header", field, false);
        if (header || is_in_path(entry, name) || slice_equal(entry->rule->body, field->name) ||
            slice_equal(entry->rule->body, SLICE("*")))
            continue;
        bool plain = !field->message ||
                     (field->message->form >= SCHEMA_FORM_TIMESTAMP &&
                      field->message->form <= SCHEMA_FORM_FIELD_MASK) ||
                     field->message->form == SCHEMA_FORM_WRAPPER;
        if (plain)
            parameter_write(writer, name, "query", field, field->required);
        else if (!field->repeated && field->message->form == SCHEMA_FORM_FIELDS &&
                 nesting < QUERY_NESTING_MAX)
            query_write(writer, entry, field->message, name, nesting + 1);
    }
}

/* "parameters" of all entries that share an operation; names once. */
static void parameters_write(struct openapi_writer *writer, const struct openapi_entry *entry) {
    OPENAPI_NAME(writer, "parameters");
    openapi_open(writer, '[');
    for (size_t i = 0; i < entry->path_template.variable_count; i++) {
        struct slice path = entry->path_template.variables[i].field_path;
        const struct schema_field *field = path_field(entry->method->request, path);
        struct buffer name;
        buffer_init(&name, OPENAPI_BYTES_MAX);
        path_name_append(&name, entry->method->request, path);
        if (field)
            parameter_write(writer, buffer_slice(&name), "path", field, true);
        buffer_done(&name);
    }
    query_write(writer, entry, entry->method->request, SLICE_EMPTY, 0);
    openapi_close(writer, ']');
}

static void body_write(struct openapi_writer *writer, const struct openapi_entry *entry) {
    if (entry->rule->body.size == 0)
        return;
    const struct schema_field *field = schema_field_find(entry->method->request, entry->rule->body);
    const struct schema_message *message = field ? field->message : entry->method->request;
    if (!message)
        return;
    bool is_raw = message_is_raw(message), is_required = field && field->required;
    for (size_t i = 0; i < message->field_count && !field; i++)
        is_required |= message->fields[i].required;
    OPENAPI_NAME(writer, "requestBody");
    openapi_open(writer, '{');
    openapi_raw_member(writer, SLICE("required"), is_required ? SLICE("true") : SLICE("false"));
    OPENAPI_NAME(writer, "content");
    openapi_open(writer, '{');
    openapi_name(writer, is_raw                            ? SLICE("application/octet-stream")
                         : entry->method->client_streaming ? SLICE("application/x-ndjson")
                                                           : SLICE("application/json"));
    openapi_open(writer, '{');
    OPENAPI_NAME(writer, "schema");
    schema_or_binary(writer, message, OPENAPI_BODY);
    if (!is_raw) {
        OPENAPI_NAME(writer, "example");
        openapi_example(writer, message, OPENAPI_BODY);
    }
    openapi_close(writer, '}');
    openapi_close(writer, '}');
    openapi_close(writer, '}');
}

static void content_member(struct openapi_writer *writer, struct slice media_type,
                           const struct openapi_entry *entry) {
    const struct schema_field *field =
        entry->rule->response_body.size > 0
            ? schema_field_find(entry->method->response, entry->rule->response_body)
            : NULL;
    openapi_name(writer, media_type);
    openapi_open(writer, '{');
    OPENAPI_NAME(writer, "schema");
    if (field)
        openapi_field_schema(writer, field, OPENAPI_ANSWER);
    else
        schema_or_binary(writer, entry->method->response, OPENAPI_ANSWER);
    if (!message_is_raw(entry->method->response)) {
        OPENAPI_NAME(writer, "example");
        if (field)
            openapi_field_example(writer, field, OPENAPI_ANSWER);
        else
            openapi_example(writer, entry->method->response, OPENAPI_ANSWER);
    }
    openapi_close(writer, '}');
}

/* A stream as one array. */
static void array_member(struct openapi_writer *writer, const struct openapi_entry *entry) {
    OPENAPI_NAME(writer, "application/json");
    openapi_open(writer, '{');
    OPENAPI_NAME(writer, "schema");
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("type"), SLICE("array"));
    OPENAPI_NAME(writer, "items");
    openapi_message_schema(writer, entry->method->response, OPENAPI_ANSWER);
    openapi_close(writer, '}');
    OPENAPI_NAME(writer, "example");
    openapi_open(writer, '[');
    openapi_example(writer, entry->method->response, OPENAPI_ANSWER);
    openapi_close(writer, ']');
    openapi_close(writer, '}');
}

/* What one method answers with: JSON, a stream of it, or bytes. */
static void content_write(struct openapi_writer *writer, const struct openapi_entry *entry) {
    if (entry->method->accept.size > 0)
        content_member(writer, entry->method->accept, entry);
    else if (message_is_raw(entry->method->response))
        content_member(writer, SLICE("application/octet-stream"), entry);
    else if (!entry->method->server_streaming)
        content_member(writer, SLICE("application/json"), entry);
    else {
        content_member(writer, SLICE("text/event-stream"), entry);
        content_member(writer, SLICE("application/x-ndjson"), entry);
        array_member(writer, entry);
    }
}

static void response_headers_write(struct openapi_writer *writer,
                                   const struct schema_message *message) {
    bool open = false;
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        if (field->response_header.size == 0)
            continue;
        if (!open) {
            OPENAPI_NAME(writer, "headers");
            openapi_open(writer, '{');
        }
        open = true;
        openapi_name(writer, field->response_header);
        openapi_open(writer, '{');
        openapi_description(writer, field->comment);
        OPENAPI_NAME(writer, "schema");
        openapi_raw(writer, SLICE("{\"type\":\"string\"}"));
        openapi_close(writer, '}');
    }
    if (open)
        openapi_close(writer, '}');
}

/* What a conditional or partial GET is answered with. */
static void unchanged_write(struct openapi_writer *writer, const struct openapi_entry *entries,
                            size_t count) {
    bool ranges = false;
    const struct schema_method *method = entries[0].method;
    if (method->server_streaming && !message_is_raw(method->response)) {
        openapi_raw_member(
            writer, SLICE("204"),
            SLICE("{\"description\":\"As events: there is nothing more to tell.\"}"));
        return;
    }
    if (!slice_equal(entries[0].rule->verb, SLICE("GET")))
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < entries[i].method->request->field_count; j++)
            ranges |=
                slice_equal(entries[i].method->request->fields[j].request_header, SLICE("range"));
    if (ranges) {
        OPENAPI_NAME(writer, "206");
        openapi_open(writer, '{');
        openapi_member(writer, SLICE("description"), SLICE("The range asked for."));
        OPENAPI_NAME(writer, "content");
        openapi_open(writer, '{');
        for (size_t i = 0; i < count; i++)
            if (message_is_raw(entries[i].method->response))
                content_write(writer, &entries[i]);
        openapi_close(writer, '}');
        openapi_close(writer, '}');
    }
    openapi_raw_member(writer, SLICE("304"),
                       SLICE("{\"description\":\"What If-None-Match names is still current.\"}"));
}

/* "responses": success of every entry of the operation, and the error. */
static void responses_write(struct openapi_writer *writer, const struct openapi_entry *entries,
                            size_t count) {
    char status[16];
    struct buffer number;
    buffer_init(&number, sizeof status);
    buffer_append_format(&number, "%d", entries[0].method->success_status);
    OPENAPI_NAME(writer, "responses");
    openapi_open(writer, '{');
    openapi_name(writer, buffer_slice(&number));
    buffer_done(&number);
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("description"), SLICE("Success."));
    response_headers_write(writer, entries[0].method->response);
    OPENAPI_NAME(writer, "content");
    openapi_open(writer, '{');
    for (size_t i = 0; i < count; i++)
        if (i == 0 || entries[i].method->accept.size > 0) /* one each media type */
            content_write(writer, &entries[i]);
    openapi_close(writer, '}');
    openapi_close(writer, '}');
    unchanged_write(writer, entries, count);
    openapi_errors(writer, entries[0].method, entries[0].rule->body.size > 0);
    openapi_close(writer, '}');
}

/* The first sentence of a comment. */
static struct slice first_sentence(struct slice comment) {
    for (size_t i = 0; i < comment.size; i++)
        if (comment.data[i] == '\n' ||
            (comment.data[i] == '.' && (i + 1 == comment.size || isspace(comment.data[i + 1]))))
            return slice_first(comment, i);
    return comment;
}

/* The name of a service without its package. */
static struct slice service_short(struct slice service) {
    const uint8_t *dot = memrchr(service.data, '.', service.size);
    return dot ? slice_after(service, (size_t)(dot - service.data) + 1) : service;
}

/* "Service_Method", with the package where two share that name, and the number of a further rule.
 */
static void operation_id_write(struct openapi_writer *writer, const struct openapi_entry *entry) {
    const struct schema_method *method = entry->method;
    struct slice service = service_short(method->service);
    bool shared = false;
    for (size_t i = 0; i < writer->schema->method_count; i++) {
        const struct schema_method *other = &writer->schema->methods[i];
        shared |= !slice_equal(other->service, method->service) &&
                  slice_equal(service_short(other->service), service);
    }
    service = shared ? method->service : service;
    size_t rule = (size_t)(entry->rule - method->rules);
    const char *further = rule > 0 ? arena_format(&writer->arena, "_%zu", rule + 1) : "";
    const char *id = arena_format(&writer->arena, "%.*s_%.*s%s", (int)service.size,
                                  (const char *)service.data, (int)method->name.size,
                                  (const char *)method->name.data, further ? further : "");
    writer->failed |= !id || !further;
    openapi_member(writer, SLICE("operationId"), slice_text(id));
}

/* Entries of one path and verb: more than one where Accept tells them apart. */
static void operation_write(struct openapi_writer *writer, const struct openapi_entry *entries,
                            size_t count) {
    const struct schema_method *method = entries[0].method;
    char verb[16];
    size_t size = 0;
    for (; size < entries[0].rule->verb.size && size < sizeof verb; size++)
        verb[size] = (char)tolower(entries[0].rule->verb.data[size]);
    openapi_name(writer, slice_of(verb, size));
    openapi_open(writer, '{');
    struct slice service = service_short(method->service);
    operation_id_write(writer, &entries[0]);
    OPENAPI_NAME(writer, "tags");
    openapi_open(writer, '[');
    openapi_text(writer, service);
    openapi_close(writer, ']');
    struct slice summary = first_sentence(method->comment);
    if (summary.size > 0)
        openapi_member(writer, SLICE("summary"), summary);
    if (method->comment.size > summary.size + 2) /* a point and the line's end */
        openapi_description(writer, method->comment);
    if (method->bearer_token)
        openapi_raw_member(writer, SLICE("security"), SLICE("[{\"bearer\":[]}]"));
    parameters_write(writer, &entries[0]);
    body_write(writer, &entries[0]);
    responses_write(writer, entries, count);
    openapi_close(writer, '}');
}

static int entry_order(const void *a, const void *b) {
    const struct openapi_entry *x = a, *y = b;
    int order = slice_compare(x->path, y->path);
    if (order == 0)
        order = slice_compare(x->rule->verb, y->rule->verb);
    if (order == 0)
        order = (x->method->accept.size > 0) - (y->method->accept.size > 0);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* OpenAPI has a place for these only. */
static bool verb_is_documented(struct slice verb) {
    static const char *const VERBS[] = {"GET",     "PUT",  "POST",  "DELETE",
                                        "OPTIONS", "HEAD", "PATCH", "TRACE"};
    for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++)
        if (slice_equal(verb, slice_text(VERBS[i])))
            return true;
    return false;
}

static size_t entries_make(struct openapi_writer *writer, const struct schema *schema,
                           struct openapi_entry **ret_entries) {
    size_t max = 0, count = 0;
    for (size_t i = 0; i < schema->method_count; i++)
        max += schema->methods[i].rule_count;
    struct openapi_entry *entries = arena_zalloc(&writer->arena, max, sizeof *entries);
    writer->failed |= !entries;
    for (size_t i = 0; i < schema->method_count && entries; i++) {
        for (size_t j = 0; j < schema->methods[i].rule_count; j++) {
            struct openapi_entry *entry = &entries[count];
            entry->method = &schema->methods[i];
            entry->rule = &schema->methods[i].rules[j];
            entry->order = count;
            if (!verb_is_documented(entry->rule->verb) ||
                route_template_parse(entry->rule->path_template, &writer->arena, NULL,
                                     &entry->path_template))
                continue;
            writer->failed |= !entry_path_make(writer, entry);
            count++;
        }
    }
    if (count > 0)
        qsort(entries, count, sizeof *entries, entry_order);
    *ret_entries = entries;
    return count;
}

static void paths_write(struct openapi_writer *writer, const struct schema *schema) {
    struct openapi_entry *entries = NULL;
    size_t count = entries_make(writer, schema, &entries), next;
    OPENAPI_NAME(writer, "paths");
    openapi_open(writer, '{');
    for (size_t at = 0; at < count && !writer->failed; at = next) {
        bool opens = at == 0 || !slice_equal(entries[at - 1].path, entries[at].path);
        if (opens) {
            openapi_name(writer, entries[at].path);
            openapi_open(writer, '{');
        }
        for (next = at + 1; next < count && slice_equal(entries[next].path, entries[at].path) &&
                            slice_equal(entries[next].rule->verb, entries[at].rule->verb);)
            next++;
        operation_write(writer, entries + at, next - at);
        if (next == count || !slice_equal(entries[next].path, entries[at].path))
            openapi_close(writer, '}');
    }
    openapi_close(writer, '}');
}

enum sync_status openapi_render(const struct schema *schema, const char *title, const char *version,
                                struct buffer *out) {
    assert(schema);
    struct openapi_writer writer = {.out = out, .schema = schema};
    arena_init(&writer.arena, OPENAPI_BYTES_MAX);
    openapi_open(&writer, '{');
    openapi_member(&writer, SLICE("openapi"), SLICE("3.1.0"));
    OPENAPI_NAME(&writer, "info");
    openapi_open(&writer, '{');
    openapi_member(&writer, SLICE("title"), slice_text(title));
    openapi_member(&writer, SLICE("version"), slice_text(version));
    openapi_close(&writer, '}');
    paths_write(&writer, schema);
    OPENAPI_NAME(&writer, "components");
    openapi_open(&writer, '{');
    OPENAPI_NAME(&writer, "securitySchemes");
    openapi_raw(&writer, SLICE("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
                               "\"bearerFormat\":\"JWT\"}}"));
    openapi_schemas(&writer);
    openapi_responses(&writer);
    openapi_close(&writer, '}');
    openapi_close(&writer, '}');
    arena_done(&writer.arena);
    return writer.failed ? SYNC_ERR_NO_MEMORY : buffer_status(out);
}
