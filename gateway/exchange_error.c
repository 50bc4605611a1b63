#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json_text.h"
#include "gateway/error_faults.h"
#include "gateway/error_path.h"
#include "gateway/exchange_types.h"
#include "gateway/schema_types.h"

/* A client that has met a service away may try again after so long. */
#define RETRY_AFTER_UNAVAILABLE_S "1"

enum { TRAILER_TEXT_MAX = 4 << 10 };

static void exchange_add_authenticate(struct exchange *exchange) {
    struct slice challenge = exchange->api->challenge;
    if (exchange->known.authorization.size) {
        char *text = arena_format(&exchange->arena, "%.*s, error=\"invalid_token\"",
                                  (int)challenge.size, (const char *)challenge.data);
        challenge = text ? slice_text(text) : challenge;
    }
    exchange_header(exchange, SLICE("www-authenticate"), challenge);
}

/* Copies the headers of a ResponseHead, which borrow from the details, into the answer. */
static void exchange_add_head(struct exchange *exchange, const struct response_head *head) {
    for (size_t i = 0; i < head->header_count; i++) {
        struct slice name, value;
        if (exchange_copy(exchange, head->headers[i].name, &name) &&
            exchange_copy(exchange, head->headers[i].value, &value))
            exchange_header(exchange, name, value);
    }
}

static void exchange_add_hints(struct exchange *exchange, int http_status,
                               const struct error_hints *hints) {
    exchange_add_head(exchange, &hints->head);
    if (http_status == 405)
        exchange_header(exchange, SLICE("allow"), exchange->allowed);
    if (http_status == 401)
        exchange_add_authenticate(exchange);
    if (exchange_header_find(exchange, SLICE("retry-after")))
        return;
    int seconds = hints->retry_after_s;
    if (seconds == 0 && (http_status == 429 || http_status == 503))
        seconds = 1;
    char *text = seconds ? arena_format(&exchange->arena, "%d", seconds) : NULL;
    if (text)
        exchange_header(exchange, SLICE("retry-after"), slice_text(text));
}

/* What a client may know of an error that is ours: nothing but how to name it to us. */
static struct slice exchange_hide(struct exchange *exchange) {
    char *text =
        arena_format(&exchange->arena, "internal error; request id %.*s",
                     (int)exchange->request_id.size, (const char *)exchange->request_id.data);
    return text ? slice_text(text) : SLICE("internal error");
}

static bool code_is_ours(int code) {
    return http_status_of_grpc(code) == 500;
}

static void exchange_fail_as(struct exchange *exchange, int http_status, int code,
                             struct slice message, struct slice details) {
    if (exchange->state >= EXCHANGE_ANSWERED)
        return;
    upstream_call_cancel(&exchange->call);
    buffer_clear(&exchange->out);
    exchange->out_taken = 0;
    exchange->header_count = 0;
    exchange->code = code;
    struct error_hints hints;
    error_body_write(&exchange->out, exchange->api->schema, exchange->api->errors, http_status,
                     grpc_code_name(code), message, details, &hints);
    exchange_add_hints(exchange, http_status, &hints);
    exchange_answer_json(exchange, http_status);
}

/* The field of the request that the body is, by JSON name; empty when it is the whole request. */
static struct slice exchange_body_field(const struct exchange *exchange) {
    if (!exchange->routed)
        return SLICE_EMPTY;
    const struct schema_field *field =
        schema_field_find(exchange->route.method->request, exchange->route.rule->body);
    return field ? field->json_name : SLICE_EMPTY;
}

void exchange_fail(struct exchange *exchange, int code, struct slice message,
                   struct slice details) {
    if (code_is_ours(code)) {
        log_line(exchange->worker->gateway->log, LOG_WARN, "the service failed",
                 LOG_SLICE("rpc", exchange->routed ? exchange->route.method->path : SLICE_EMPTY),
                 LOG_SLICE("code", grpc_code_name(code)), LOG_SLICE("error", message),
                 LOG_SLICE("request_id", exchange->request_id));
        message = exchange_hide(exchange);
        details = SLICE_EMPTY;
    }
    struct slice body = exchange_body_field(exchange);
    if (body.size > 0)
        error_path_strip(body, &exchange->arena, &message, &details);
    if (exchange->faults.count > 0 && code == GRPC_INVALID_ARGUMENT)
        exchange_fail_faults(exchange, details);
    else
        exchange_fail_as(exchange, http_status_of_grpc(code), code, message, details);
}

void exchange_refuse_as(struct exchange *exchange, int http_status, int code, struct slice reason,
                        const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof(message))
        size = (int)sizeof(message) - 1;
    struct buffer details;
    buffer_init(&details, 1024);
    error_info_details(&details, reason, exchange->api->domain);
    exchange_fail_as(exchange, http_status, code, slice_of(message, (size_t)size),
                     buffer_slice(&details));
    buffer_done(&details);
}

void exchange_refuse_token(struct exchange *exchange) {
    exchange_refuse_as(exchange, 431, GRPC_INVALID_ARGUMENT, SLICE("TOKEN_TOO_LARGE"),
                       "the Authorization header is too large");
}

void exchange_fail_faults(struct exchange *exchange, struct slice details) {
    struct buffer told_bytes;
    struct error_faults told;
    assert(exchange->faults.count > 0);
    buffer_init(&told_bytes, EXCHANGE_ARENA_MAX);
    if (error_faults_write(&told_bytes, &exchange->faults, details, &exchange->arena, &told) !=
        SYNC_OK) {
        buffer_done(&told_bytes);
        exchange_fail_memory(exchange);
        return;
    }
    char message[512];
    size_t total = told.count + exchange->faults.omitted;
    int path_size = (int)told.path.size, size = (int)told.description.size;
    const char *path = (const char *)told.path.data, *text = (const char *)told.description.data;
    if (total == 1)
        snprintf(message, sizeof(message), "%.*s%s%.*s", path_size, path, path_size ? ": " : "",
                 size, text);
    else
        snprintf(message, sizeof(message), "The request has %zu faults; the first%s%.*s: %.*s",
                 total, path_size ? " is in " : "", path_size, path, size, text);
    exchange_fail_as(exchange, 400, GRPC_INVALID_ARGUMENT, slice_text(message),
                     buffer_slice(&told_bytes));
    buffer_done(&told_bytes);
}

void exchange_fail_buffers(struct exchange *exchange) {
    static const char message[] =
        "the gateway holds as many bytes of requests and answers as it may; try again";
    upstream_call_cancel(&exchange->call);
    if (exchange->state < EXCHANGE_ANSWERED) {
        exchange_refuse_as(exchange, 503, GRPC_UNAVAILABLE, SLICE("BUFFERS_FULL"), "%s", message);
        buffer_done(&exchange->body);
        buffer_done(&exchange->wire);
        (void)exchange_count(exchange);
        return;
    }
    exchange_fail_stream(exchange, GRPC_UNAVAILABLE, slice_text(message), SLICE_EMPTY);
}

void exchange_fail_memory(struct exchange *exchange) {
    static const char body[] = "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\",\"message\":"
                               "\"the gateway is out of memory\",\"details\":[]}}";
    if (exchange->state >= EXCHANGE_ANSWERED)
        return;
    upstream_call_cancel(&exchange->call);
    buffer_clear(&exchange->out);
    exchange->header_count = 0;
    buffer_append(&exchange->out, slice_text(body));
    exchange_header(exchange, SLICE("retry-after"), SLICE(RETRY_AFTER_UNAVAILABLE_S));
    /* Without memory even for this, the head goes alone. */
    if (exchange->out.failed)
        buffer_clear(&exchange->out);
    exchange_answer_whole(exchange, 503, SLICE("application/json"));
}

/* A message as a trailer has it; it lives as long as the exchange. */
static struct slice exchange_trailer_text(struct exchange *exchange, struct slice message) {
    struct buffer text;
    struct slice copy = SLICE_EMPTY;
    buffer_init(&text, TRAILER_TEXT_MAX);
    grpc_message_encode(&text, message);
    if (text.failed || !exchange_copy(exchange, buffer_slice(&text), &copy))
        copy = SLICE_EMPTY;
    buffer_done(&text);
    return copy;
}

void exchange_fail_stream(struct exchange *exchange, int code, struct slice message,
                          struct slice details) {
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    if (exchange->stream == EXCHANGE_STREAM_RAW) {
        loop_timer_clear(&exchange->timer);
        exchange->state = EXCHANGE_OVER;
        exchange->sink->broken(exchange, exchange->context);
        return;
    }
    if (code_is_ours(code)) {
        message = exchange_hide(exchange);
        details = SLICE_EMPTY;
    }
    exchange->code = code;
    bool events = exchange->stream == EXCHANGE_STREAM_SSE;
    struct error_hints hints;
    if (events)
        buffer_append(&exchange->out, SLICE("event: error\ndata: "));
    else if (exchange->stream == EXCHANGE_STREAM_ARRAY)
        buffer_append(&exchange->out, exchange->has_message ? SLICE(",\n") : SLICE("["));
    error_body_write(&exchange->out, exchange->api->schema, exchange->api->errors,
                     http_status_of_grpc(code), grpc_code_name(code), message, details, &hints);
    buffer_append(&exchange->out, events ? SLICE("\n\n") : SLICE("\n"));
    if (exchange->stream == EXCHANGE_STREAM_ARRAY)
        buffer_append(&exchange->out, SLICE("]\n"));
    exchange_finish(exchange, code, exchange_trailer_text(exchange, message));
}
