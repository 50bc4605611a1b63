/* One REST request as a message: body, path, query and headers. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/json_decoder.h"
#include "gateway/route_template.h"

enum { PARAM_PATH_MAX = 32, PARAM_BYTES = 256 };

/* A request being built. */
struct request_builder {
    struct json_decoder *decoder;
    const struct route *route;
    const struct transcode_request *request;
    const struct schema_message *message;
    const struct schema_field *body; /* the field that the body fills, if it is one */
    struct json_param *params;
    size_t count, capacity;
    enum sync_status status;
};

static bool builder_fail_memory(struct request_builder *builder) {
    json_break_memory(builder->decoder);
    builder->status = SYNC_ERR_NO_MEMORY;
    return false;
}

static bool param_add(struct request_builder *builder, const struct schema_field **path,
                      size_t path_size, struct slice text) {
    struct arena *arena = &builder->decoder->arena;
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity ? builder->capacity * 2 : 16;
        struct json_param *grown = arena_zalloc(arena, capacity, sizeof *grown);
        if (!grown)
            return builder_fail_memory(builder);
        if (builder->count > 0)
            memcpy(grown, builder->params, builder->count * sizeof *grown);
        builder->params = grown;
        builder->capacity = capacity;
    }
    const struct schema_field **kept = arena_zalloc(arena, path_size, sizeof(void *));
    if (!kept)
        return builder_fail_memory(builder);
    memcpy(kept, path, path_size * sizeof *kept);
    builder->params[builder->count] = (struct json_param){kept, path_size, text, builder->count};
    builder->count++;
    return true;
}

/* Follows a dotted name from the request message, leaving its steps on the decoder. False when it
 * leads nowhere. */
static bool path_resolve(struct request_builder *builder, struct slice name,
                         const struct schema_field **path, size_t *ret_size) {
    const struct schema_message *message = builder->message;
    size_t size = 0;
    for (;;) {
        const uint8_t *dot = name.size > 0 ? memchr(name.data, '.', name.size) : NULL;
        struct slice part = slice_first(name, dot ? (size_t)(dot - name.data) : name.size);
        const struct schema_field *field = message ? schema_field_find(message, part) : NULL;
        struct json_step *step = json_step_push(builder->decoder);
        step->field = field;
        step->key = field ? SLICE_EMPTY : name.size > 0 ? name : SLICE("?");
        if (!field || size == PARAM_PATH_MAX)
            return false;
        path[size++] = field;
        if (!dot)
            break;
        name = slice_after(name, part.size + 1);
        message = !field->repeated && field->type == SCHEMA_MESSAGE &&
                          field->message->form == SCHEMA_FORM_FIELDS
                      ? field->message
                      : NULL;
    }
    *ret_size = size;
    const struct schema_field *last = path[size - 1];
    return !last->map && last->type != SCHEMA_GROUP &&
           !(last->message &&
             (last->message->form == SCHEMA_FORM_FIELDS ||
              last->message->form == SCHEMA_FORM_STRUCT ||
              last->message->form == SCHEMA_FORM_VALUE || last->message->form == SCHEMA_FORM_LIST ||
              last->message->form == SCHEMA_FORM_ANY));
}

/* Whether the path of the request's address has set this field. */
static bool is_bound(const struct request_builder *builder, const struct schema_field **path,
                     size_t size) {
    for (size_t i = 0; i < builder->route->binding_count && i < builder->count; i++) {
        const struct json_param *bound = &builder->params[i];
        if (bound->path_size == size && memcmp(bound->path, path, size * sizeof *path) == 0)
            return true;
    }
    return false;
}

/* Adds a parameter's values: more than one where commas part them. */
static bool values_add(struct request_builder *builder, const struct schema_field **path,
                       size_t size, struct slice value) {
    const struct schema_field *field = path[size - 1];
    if (!field->repeated || !field->comma_separated)
        return param_add(builder, path, size, value);
    while (value.size > 0) {
        const uint8_t *comma = memchr(value.data, ',', value.size);
        struct slice item = slice_first(value, comma ? (size_t)(comma - value.data) : value.size);
        value = slice_after(value, item.size + (comma != NULL));
        if (item.size > 0 && !param_add(builder, path, size, item))
            return false;
    }
    return true;
}

/* Refuses a parameter; the decoder's steps say where its name leads. */
static bool query_refuse(struct json_decoder *decoder) {
    for (size_t i = 0; i < decoder->step_count; i++) {
        const struct schema_field *field = decoder->steps[i].field;
        if (!field || !field->repeated || !field->message)
            continue;
        decoder->step_count = i + 1;
        return json_fail(decoder, "INVALID_VALUE", "a %s cannot be given as a query parameter",
                         field->map ? "map" : "list of messages");
    }
    return json_fail(decoder, "UNKNOWN_FIELD", "there is no such query parameter");
}

/* One "name=value" of the query, decoded. */
static bool query_item_add(struct request_builder *builder, struct slice name, struct slice value) {
    const struct schema_field *path[PARAM_PATH_MAX];
    struct json_decoder *decoder = builder->decoder;
    size_t size = 0;
    bool all_in_body = slice_equal(builder->route->rule->body, SLICE("*"));
    bool known = path_resolve(builder, name, path, &size) && !all_in_body &&
                 !(builder->body && path[0] == builder->body);
    if (!known && (decoder->options->ignore_unknown || decoder->options->ignore_unknown_query))
        return true;
    if (!known)
        return query_refuse(decoder);
    if (is_bound(builder, path, size))
        return json_fail(decoder, "INVALID_VALUE", "the address has it in its path already");
    const struct schema_message *message = path[size - 1]->message;
    if (value.size == 0 && message && message->form == SCHEMA_FORM_FIELD_MASK)
        return true; /* an empty mask is none */
    return values_add(builder, path, size, value);
}

static bool query_add(struct request_builder *builder) {
    struct slice query = builder->request->query;
    struct json_decoder *decoder = builder->decoder;
    while (query.size > 0) {
        const uint8_t *end = memchr(query.data, '&', query.size);
        struct slice item = slice_first(query, end ? (size_t)(end - query.data) : query.size);
        query = slice_after(query, item.size + (end != NULL));
        if (item.size == 0)
            continue;
        const uint8_t *equals = memchr(item.data, '=', item.size);
        struct slice name = slice_first(item, equals ? (size_t)(equals - item.data) : item.size);
        struct slice value = equals ? slice_after(item, name.size + 1) : SLICE_EMPTY;
        builder->status = route_percent_decode(name, true, ROUTE_UNESCAPE_ALL, &decoder->arena,
                                               decoder->error, &name);
        if (!builder->status)
            builder->status = route_percent_decode(value, true, ROUTE_UNESCAPE_ALL, &decoder->arena,
                                                   decoder->error, &value);
        if (builder->status)
            return false;
        struct json_mark mark = json_mark_of(decoder);
        if (!query_item_add(builder, name, value) && !json_recover_param(decoder, &mark))
            return false;
        json_rewind(decoder, &mark);
    }
    return true;
}

static bool bindings_add(struct request_builder *builder) {
    const struct schema_field *path[PARAM_PATH_MAX];
    for (size_t i = 0; i < builder->route->binding_count; i++) {
        const struct route_binding *binding = &builder->route->bindings[i];
        struct json_mark mark = json_mark_of(builder->decoder);
        size_t size = 0;
        bool well = path_resolve(builder, binding->field_path, path, &size) &&
                    param_add(builder, path, size, binding->value);
        assert(well || builder->status);
        if (!well)
            return false;
        json_rewind(builder->decoder, &mark);
    }
    return true;
}

/* Whether a parameter has been given for a field of the request itself. */
static bool is_given(const struct request_builder *builder, const struct schema_field *field) {
    for (size_t i = 0; i < builder->count; i++)
        if (builder->params[i].path[0] == field)
            return true;
    return false;
}

static bool headers_add(struct request_builder *builder) {
    const struct transcode_request *request = builder->request;
    for (size_t i = 0; i < builder->message->field_count; i++) {
        const struct schema_field *field = &builder->message->fields[i];
        if (field->request_header.size == 0 || is_given(builder, field))
            continue;
        for (size_t j = 0; j < request->header_count; j++) {
            if (!slice_equal(request->headers[j].name, field->request_header))
                continue;
            struct json_mark mark = json_mark_of(builder->decoder);
            json_step_push(builder->decoder)->field = field;
            bool well = slice_is_utf8(request->headers[j].value)
                            ? param_add(builder, &field, 1, request->headers[j].value)
                            : json_fail(builder->decoder, "INVALID_VALUE",
                                        "the request's header is not UTF-8");
            if (!well && !json_recover_param(builder->decoder, &mark))
                return false;
            json_rewind(builder->decoder, &mark);
            break;
        }
    }
    return true;
}

/* Fills in what the service is to be asked with by HTTP where nothing is said. */
static bool defaults_add(struct request_builder *builder) {
    if (slice_equal(builder->route->rule->body, SLICE("*")))
        return true; /* the body has them, or not */
    for (size_t i = 0; i < builder->message->field_count; i++) {
        const struct schema_field *field = &builder->message->fields[i];
        if (field->http_default.size > 0 && field != builder->body && !is_given(builder, field) &&
            !param_add(builder, &field, 1, field->http_default))
            return false;
    }
    return true;
}

static int param_order(const void *a, const void *b) {
    const struct json_param *x = a, *y = b;
    for (size_t i = 0; i < x->path_size && i < y->path_size; i++)
        if (x->path[i]->number != y->path[i]->number)
            return x->path[i]->number < y->path[i]->number ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static bool is_http_body(const struct schema_message *message) {
    return message && slice_equal(message->full_name, SLICE("google.api.HttpBody"));
}

static void http_body_write(const struct request_builder *builder) {
    const struct transcode_request *request = builder->request;
    struct buffer *out = builder->decoder->out;
    if (request->content_type.size > 0)
        wire_write_bytes(out, 1, request->content_type);
    if (request->body.size > 0)
        wire_write_bytes(out, 2, request->body);
    builder->decoder->next = builder->decoder->end;
}

/* The field that the body fills, with the parameters that lie inside it. */
static bool body_field_read(struct request_builder *builder, const struct json_params *params,
                            struct json_seen *seen) {
    struct json_decoder *decoder = builder->decoder;
    struct json_params below = json_params_below(params, builder->body);
    struct json_mark mark = json_mark_of(decoder);
    json_seen_set(seen, builder->body->index);
    bool well = true;
    const struct transcode_options *options = decoder->options;
    struct transcode_options partial = *options;
    partial.check_required = false;
    if (slice_equal(builder->route->rule->verb, SLICE("PATCH")))
        decoder->options = &partial; /* what a patch leaves out stays as it is */
    if (is_http_body(builder->body->message)) {
        json_write_tag(decoder, builder->body);
        struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
        http_body_write(builder);
        wire_frame_close(&decoder->frames, decoder->out, frame);
    } else {
        well = json_read_field(decoder, builder->body, &below);
    }
    decoder->options = options;
    return well || json_recover(decoder, &mark);
}

/* Refuses that no body came for a required field. The client does not know the field, so the fault
 * is the body's. */
static bool body_field_missed(struct request_builder *builder, struct json_seen *seen) {
    struct json_decoder *decoder = builder->decoder;
    struct json_mark mark = json_mark_of(decoder);
    if (!builder->body->required || !decoder->options->check_required)
        return true;
    json_seen_set(seen, builder->body->index);
    json_fail(decoder, "REQUIRED", "the request needs a body");
    return json_recover_param(decoder, &mark);
}

/* Reads the body as the rule says, and writes the parameters. */
static bool message_build(struct request_builder *builder, const struct json_params *params) {
    struct json_decoder *decoder = builder->decoder;
    const struct schema_http_rule *rule = builder->route->rule;
    bool raw = is_http_body(builder->body ? builder->body->message : builder->message);
    bool empty = builder->request->body.size == 0 ||
                 (!raw && json_peek(decoder) == 0 && decoder->next == decoder->end);
    if (rule->body.size == 0) {
        bool ignored =
            slice_equal(rule->verb, SLICE("GET")) || slice_equal(rule->verb, SLICE("DELETE"));
        if (!empty && !ignored && !json_fail(decoder, "INVALID_VALUE", "the request takes no body"))
            return false;
        decoder->next = decoder->end;
        return json_write_params(decoder, builder->message, params);
    }
    if (slice_equal(rule->body, SLICE("*"))) {
        if (raw)
            http_body_write(builder);
        if (raw || empty)
            return json_write_params(decoder, builder->message, params);
        return json_read_message(decoder, builder->message, NULL, params);
    }
    assert(builder->body); /* the table of routes has looked */
    struct json_seen seen;
    if (!json_seen_init(decoder, &seen, builder->message))
        return false;
    bool well = empty ? body_field_missed(builder, &seen) : body_field_read(builder, params, &seen);
    if (!well)
        return false;
    return json_params_finish(decoder, builder->message, params, &seen) &&
           json_check_required(decoder, builder->message, &seen);
}

static enum sync_status request_build(struct request_builder *builder) {
    struct json_decoder *decoder = builder->decoder;
    if (!bindings_add(builder) || !query_add(builder) || !headers_add(builder) ||
        !defaults_add(builder))
        return builder->status ? builder->status : json_decoder_status(decoder);
    if (builder->count > 0)
        qsort(builder->params, builder->count, sizeof *builder->params, param_order);
    struct json_params params = {builder->params, builder->count, 0};
    struct json_mark mark = json_mark_of(decoder);
    if (!message_build(builder, &params) && !json_recover(decoder, &mark))
        return json_decoder_status(decoder);
    return json_decoder_finish(decoder);
}

/* Appends the paths that an object names, from the message down. */
static bool mask_walk(struct json_decoder *decoder, const struct schema_message *message,
                      struct slice prefix) {
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, '}'))
        return true;
    do {
        struct slice name;
        if (!json_read_name(decoder, &name))
            return false;
        const struct schema_field *field = schema_field_find(message, name);
        const char *path =
            field ? arena_format(&decoder->arena, "%.*s%s%.*s", (int)prefix.size,
                                 prefix.size ? (const char *)prefix.data : "",
                                 prefix.size ? "." : "", (int)field->name.size, field->name.data)
                  : NULL;
        if (field && !path)
            return json_break_memory(decoder);
        bool inner = field && field->type == SCHEMA_MESSAGE && !field->repeated &&
                     field->message->form == SCHEMA_FORM_FIELDS && json_peek(decoder) == '{';
        if (inner && json_scan_space(decoder->next + 1, decoder->end)[0] != '}') {
            if (!mask_walk(decoder, field->message, slice_text(path)))
                return false;
            continue;
        }
        if (field)
            wire_write_bytes(decoder->out, 1, slice_text(path));
        if (!json_skip(decoder))
            return false;
    } while (json_more(decoder, '}'));
    return !decoder->broken;
}

/* Fills the update mask of a PATCH from what the body names. The body is well-formed JSON. */
static enum sync_status mask_fill(struct request_builder *builder) {
    struct json_decoder *decoder = builder->decoder;
    const struct schema_field *mask = schema_field_find(builder->message, SLICE("update_mask"));
    decoder->next = decoder->begin;
    if (!slice_equal(builder->route->rule->verb, SLICE("PATCH")) || !builder->body || !mask ||
        !mask->message || mask->message->form != SCHEMA_FORM_FIELD_MASK ||
        !builder->body->message || builder->body->repeated ||
        builder->body->message->form != SCHEMA_FORM_FIELDS || is_given(builder, mask) ||
        is_http_body(builder->body->message) || json_peek(decoder) != '{')
        return SYNC_OK;
    size_t begin = decoder->out->size;
    json_write_tag(decoder, mask);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    if (!mask_walk(decoder, builder->body->message, SLICE_EMPTY))
        return json_decoder_status(decoder);
    if (decoder->out->size == frame.at + 1)
        buffer_truncate(decoder->out, begin);
    else
        wire_frame_close(&decoder->frames, decoder->out, frame);
    return json_decoder_finish(decoder);
}

enum sync_status transcode_request_to_wire(const struct schema *schema, const struct route *route,
                                           const struct transcode_request *request,
                                           const struct transcode_options *options,
                                           struct buffer *out, struct sync_error *error) {
    static const struct transcode_options STRICT = {0};
    assert(schema);
    assert(route);
    struct json_decoder decoder;
    json_decoder_init(&decoder, schema, options ? options : &STRICT, request->body, out, error);
    decoder.arena.size_max += (request->query.size + 64) * PARAM_BYTES;
    struct request_builder builder = {
        .decoder = &decoder,
        .route = route,
        .request = request,
        .message = route->method->request,
    };
    if (route->rule->body.size > 0 && !slice_equal(route->rule->body, SLICE("*")))
        builder.body = schema_field_find(builder.message, route->rule->body);
    enum sync_status status = request_build(&builder);
    if (status == SYNC_OK)
        status = mask_fill(&builder);
    json_decoder_done(&decoder);
    return status;
}
