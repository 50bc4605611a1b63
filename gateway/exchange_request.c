#include <assert.h>
#include <stddef.h>
#include <strings.h>

#include "base/json_text.h"
#include "gateway/exchange_types.h"
#include "gateway/schema_types.h"

enum {
    BODY_PACE_LOOK_US = 5000000,
    TIMEOUT_US_MIN = 1000,
};

/* Where a header of this name is noted, or NULL. */
static struct slice *known_place(struct exchange_known *known, struct slice name) {
#define KNOWN(text, field)                                                                         \
    { text, sizeof(text) - 1, offsetof(struct exchange_known, field) }
    static const struct {
        const char *name;
        size_t size, place;
    } places[] = {
        KNOWN("te", te),
        KNOWN("accept", accept),
        KNOWN("origin", origin),
        KNOWN("user-agent", user_agent),
        KNOWN("tracestate", tracestate),
        KNOWN("traceparent", traceparent),
        KNOWN("content-type", content_type),
        KNOWN("x-request-id", request_id),
        KNOWN("grpc-timeout", grpc_timeout),
        KNOWN("authorization", authorization),
        KNOWN("cache-control", cache_control),
        KNOWN("if-none-match", if_none_match),
        KNOWN("accept-encoding", accept_encoding),
        KNOWN("accept-language", accept_language),
        KNOWN("content-encoding", content_encoding),
        KNOWN("x-request-timeout", request_timeout),
        KNOWN("access-control-request-method", access_control_method),
        KNOWN("access-control-request-headers", access_control_headers),
    };
#undef KNOWN
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (name.size == places[i].size && memcmp(name.data, places[i].name, name.size) == 0)
            return (struct slice *)((char *)known + places[i].place);
    }
    return NULL;
}

static bool request_id_is_valid(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!((byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'z') ||
              byte == '-' || byte == '_' || byte == '.' || byte == ':'))
            return false;
    }
    return text.size > 0 && text.size <= EXCHANGE_REQUEST_ID_MAX;
}

void exchange_give_id(struct exchange *exchange) {
    if (request_id_is_valid(exchange->known.request_id)) {
        exchange->request_id = exchange->known.request_id;
        return;
    }
    struct worker *worker = exchange->worker;
    char text[UUID_TEXT_SIZE + 1];
    uuid_v7(loop_wall_us(worker->loop), &worker->random.source, text);
    if (!exchange_copy(exchange, slice_of(text, UUID_TEXT_SIZE), &exchange->request_id))
        exchange->request_id = SLICE_EMPTY;
}

/* Notes what the head says; false when a header that may stand once is given twice. */
static bool exchange_note_head(struct exchange *exchange, const struct exchange_head *head) {
    bool once = true;
    exchange->method = head->method;
    exchange->head_only = slice_equal(head->method, SLICE("HEAD"));
    for (size_t i = 0; i < head->header_count; i++) {
        struct slice *place = known_place(&exchange->known, head->headers[i].name);
        if (place && place->size == 0)
            *place = head->headers[i].value;
        else if (place == &exchange->known.authorization || place == &exchange->known.content_type)
            once = false;
    }
    exchange->request = (struct transcode_request){
        .verb = exchange->head_only ? SLICE("GET") : head->method,
        .path = head->path,
        .query = head->query,
        .accept = exchange->known.accept,
        .content_type = exchange->known.content_type,
        .headers = head->headers,
        .header_count = head->header_count,
    };
    return once;
}

/* Finds the method; false when the answer stands. */
static bool exchange_route(struct exchange *exchange) {
    struct sync_error error = {.status = SYNC_OK};
    struct slice allowed = SLICE_EMPTY;
    struct transcode_request request = exchange->request;
    request.verb = exchange->method;
    enum sync_status status = route_match(exchange->api->routes, &request, &exchange->arena,
                                          &exchange->route, &allowed, &error);
    exchange->routed = status == SYNC_OK;
    if (status == SYNC_OK)
        return true;
    if (status == SYNC_ERR_UNIMPLEMENTED) {
        exchange->allowed = allowed;
        if (slice_equal(exchange->method, SLICE("OPTIONS")))
            exchange_answer_options(exchange);
        else
            exchange_refuse_as(exchange, 405, GRPC_UNIMPLEMENTED, SLICE("METHOD_NOT_ALLOWED"),
                               "this path takes %.*s", (int)allowed.size,
                               (const char *)allowed.data);
    } else if (status == SYNC_ERR_INVALID) {
        exchange_refuse_as(exchange, 400, GRPC_INVALID_ARGUMENT, SLICE("MALFORMED_PATH"), "%s",
                           error.message);
    } else if (status == SYNC_ERR_NO_MEMORY) {
        exchange_fail_memory(exchange);
    } else {
        exchange_refuse_as(exchange, 404, GRPC_NOT_FOUND, SLICE("NO_SUCH_PATH"),
                           "there is nothing at this path");
    }
    return false;
}

static bool type_is(struct slice type, const char *lower) {
    size_t size = strlen(lower);
    return type.size >= size && strncasecmp((const char *)type.data, lower, size) == 0 &&
           (type.size == size || type.data[size] == ';' || type.data[size] == ' ');
}

/* application/json, application/anything+json, or not said. */
static bool type_is_json(struct slice type) {
    if (type.size == 0 || type_is(type, "application/json"))
        return true;
    if (type.size < 12 || strncasecmp((const char *)type.data, "application/", 12) != 0)
        return false;
    size_t end = 0;
    while (end < type.size && type.data[end] != ';' && type.data[end] != ' ')
        end++;
    return end > 5 && strncasecmp((const char *)type.data + end - 5, "+json", 5) == 0;
}

/* The message that the body fills is google.api.HttpBody: any content type goes. */
static bool body_is_raw(const struct route *route) {
    const struct schema_message *message = route->method->request;
    if (!slice_equal(route->rule->body, SLICE("*"))) {
        const struct schema_field *field = schema_field_find(message, route->rule->body);
        message = field ? field->message : NULL;
    }
    return message && slice_equal(message->full_name, SLICE("google.api.HttpBody"));
}

/* Looks at what the head says of the body; false when the answer stands. */
static bool exchange_accept_body(struct exchange *exchange, const struct exchange_head *head) {
    if (head->content_length != UINT64_MAX && head->content_length > HTTP_BODY_MAX) {
        exchange_refuse_as(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"),
                           "the body is larger than %d bytes", HTTP_BODY_MAX);
        return false;
    }
    if (!head->has_body)
        return true;
    if (exchange->route.rule->body.size && !body_is_raw(&exchange->route) &&
        !type_is_json(exchange->known.content_type)) {
        exchange_refuse_as(exchange, 415, GRPC_INVALID_ARGUMENT, SLICE("CONTENT_TYPE"),
                           "the body must be application/json");
        return false;
    }
    if (coding_parse(exchange->known.content_encoding) == CODING_UNKNOWN) {
        exchange_refuse_as(exchange, 415, GRPC_INVALID_ARGUMENT, SLICE("CONTENT_ENCODING"),
                           "the body's content coding must be identity, gzip or zstd");
        return false;
    }
    return true;
}

/* Who asks for a time must not get another without a word; false when the answer stands. */
static bool exchange_accept_timeouts(struct exchange *exchange) {
    const struct exchange_known *known = &exchange->known;
    uint64_t timeout_us;
    double seconds;
    const char *fault = NULL;
    if (known->grpc_timeout.size > 0 && !grpc_timeout_parse(known->grpc_timeout, &timeout_us))
        fault = "grpc-timeout: expected up to eight digits and a unit, such as 500m";
    else if (known->request_timeout.size > 0 &&
             !(json_parse_number(known->request_timeout, &seconds) && seconds >= 0))
        fault = "x-request-timeout: expected seconds such as 1.5";
    if (fault)
        exchange_refuse_as(exchange, 400, GRPC_INVALID_ARGUMENT, SLICE("TIMEOUT_MALFORMED"), "%s",
                           fault);
    return !fault;
}

void exchange_begin(struct exchange *exchange, const struct exchange_head *head) {
    assert(exchange->state == EXCHANGE_OPEN);
    bool once = exchange_note_head(exchange, head);
    exchange_give_id(exchange);
    exchange_give_trace(exchange);
    if (!exchange_admit(exchange, head))
        return;
    if (!once) {
        exchange_refuse_as(exchange, 400, GRPC_INVALID_ARGUMENT, SLICE("REPEATED_HEADER"),
                           "Authorization or Content-Type is given twice");
        return;
    }
    if (exchange_serve_own(exchange))
        return;
    if (exchange_web_begin(exchange, head))
        return;
    if (!exchange_route(exchange))
        return;
    if (exchange->route.method->bearer_token && exchange->known.authorization.size == 0) {
        exchange_refuse_as(exchange, 401, GRPC_UNAUTHENTICATED, SLICE("TOKEN_MISSING"),
                           "the request carries no token");
        return;
    }
    if (!exchange_accept_timeouts(exchange))
        return;
    if (exchange->route.method->client_streaming) {
        exchange_upload_begin(exchange, head);
        return;
    }
    if (!exchange_accept_body(exchange, head))
        return;
    exchange->state = EXCHANGE_BODY;
    if (head->has_body)
        loop_timer_set(exchange->worker->loop, &exchange->timer, BODY_PACE_LOOK_US);
}

uint64_t exchange_timeout_us(const struct exchange *exchange) {
    const struct gateway_limits *limits = &exchange->worker->gateway->limits;
    const struct schema_method *method = exchange->route.method;
    bool streams = method->server_streaming || method->client_streaming;
    uint64_t timeout_us = streams ? limits->stream_timeout_us : limits->call_timeout_us;
    uint64_t asked_us;
    if (grpc_timeout_parse(exchange->known.grpc_timeout, &asked_us) && asked_us < timeout_us)
        timeout_us = asked_us;
    double asked_s;
    if (json_parse_number(exchange->known.request_timeout, &asked_s) && asked_s >= 0 &&
        asked_s * 1e6 < (double)timeout_us)
        timeout_us = (uint64_t)(asked_s * 1e6);
    return timeout_us > TIMEOUT_US_MIN ? timeout_us : TIMEOUT_US_MIN;
}

static bool text_has(struct slice text, const char *word) {
    return text.size && memmem(text.data, text.size, word, strlen(word)) != NULL;
}

enum exchange_stream exchange_stream_form(const struct exchange *exchange) {
    const struct schema_method *method = exchange->route.method;
    if (slice_equal(method->response->full_name, SLICE("google.api.HttpBody")))
        return EXCHANGE_STREAM_RAW;
    if (!method->server_streaming)
        return EXCHANGE_STREAM_NONE;
    struct slice accept = exchange->known.accept;
    if (text_has(accept, "text/event-stream"))
        return EXCHANGE_STREAM_SSE;
    bool array = text_has(accept, "application/json") && !text_has(accept, "ndjson");
    return array ? EXCHANGE_STREAM_ARRAY : EXCHANGE_STREAM_NDJSON;
}
