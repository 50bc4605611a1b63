/* Streamed requests: lines of JSON, each a message to the service as soon as it is whole. */
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "gateway/exchange_types.h"
#include "gateway/schema_types.h"

enum {
    UPLOAD_QUEUE_MAX = 256 << 10, /* waiting for the service: the client pauses */
    UPLOAD_PACE_US = 5000000,
    UPLOAD_PACE_BYTES_MIN = 1200, /* of a line that has begun, in that time */
};

/* In its exchange's memory; `exchange->body` holds a line that is not whole. */
struct exchange_upload {
    struct exchange *exchange;
    struct loop_timer pace; /* set while a line has begun */
    uint64_t paced_size;    /* of the body, at the last look */
    size_t untaken;         /* of the body: the client is not yet told to go on */
    size_t lines;
};

static bool type_is_lines(struct slice type) {
    static const char *const names[] = {"application/x-ndjson", "application/ndjson",
                                        "application/jsonl", "application/x-jsonlines"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size = strlen(names[i]);
        if (type.size >= size && strncasecmp((const char *)type.data, names[i], size) == 0 &&
            (type.size == size || type.data[size] == ';' || type.data[size] == ' '))
            return true;
    }
    return false;
}

/* Ends the call for a fault of the client's, in the answer's head or behind what it has. */
static void upload_fail(struct exchange *exchange, int http_status, int code, struct slice reason,
                        const char *message) {
    upstream_call_cancel(&exchange->call);
    if (exchange->state < EXCHANGE_ANSWERED)
        exchange_refuse_as(exchange, http_status, code, reason, "%s", message);
    else
        exchange_fail_stream(exchange, code, slice_text(message), SLICE_EMPTY);
}

static bool upload_is_open(const struct exchange *exchange) {
    return upstream_call_is_active(&exchange->call) && exchange->state < EXCHANGE_OVER;
}

/* Lets the client go on once the service has taken enough, and counts what is held. */
static void upload_settle(struct exchange *exchange) {
    struct exchange_upload *upload = exchange->upload;
    if (!exchange_count(exchange) && upload_is_open(exchange))
        exchange_fail_buffers(exchange);
    size_t queued = upstream_call_queued(&exchange->call);
    if (upload->untaken == 0 || queued >= UPLOAD_QUEUE_MAX)
        return;
    size_t size = upload->untaken;
    upload->untaken = 0;
    exchange_body_taken(exchange, size);
}

void exchange_upload_taken(struct exchange *exchange) {
    if (exchange->upload)
        upload_settle(exchange);
}

static void upload_pace(struct loop_timer *timer) {
    struct exchange_upload *upload =
        (struct exchange_upload *)((char *)timer - offsetof(struct exchange_upload, pace));
    struct exchange *exchange = upload->exchange;
    if (!upload_is_open(exchange) || exchange->body.size == 0)
        return;
    bool waits = upload->untaken > 0; /* the client, for the service */
    uint64_t came = exchange->body_size - upload->paced_size;
    bool is_new = came >= exchange->body.size; /* the line; it has time until the next look */
    if (!waits && !is_new && came < UPLOAD_PACE_BYTES_MIN) {
        upload_fail(exchange, 408, GRPC_DEADLINE_EXCEEDED, SLICE("BODY_TOO_SLOW"),
                    "the body came too slowly");
        return;
    }
    upload->paced_size = exchange->body_size;
    loop_timer_set(exchange->worker->loop, timer, UPLOAD_PACE_US);
}

/* Sends one message. */
static void upload_message(struct exchange *exchange, struct slice line) {
    static const uint8_t prefix[GRPC_PREFIX_SIZE];
    const struct transcode_options options = {.check_required = true};
    struct sync_error error = {.status = SYNC_OK};
    struct buffer *wire = &exchange->wire;
    exchange->request.body = line;
    buffer_clear(wire);
    buffer_append(wire, slice_of(prefix, sizeof(prefix)));
    enum sync_status status = transcode_request_to_wire(exchange->api->schema, &exchange->route,
                                                        &exchange->request, &options, wire, &error);
    if (status == SYNC_OK)
        status = buffer_status(wire);
    if (status == SYNC_OK) {
        grpc_prefix_put(wire->data, wire->size - GRPC_PREFIX_SIZE);
        status = upstream_call_send(&exchange->call, buffer_slice(wire));
    }
    exchange->request.body = SLICE_EMPTY;
    if (status == SYNC_OK)
        return;
    char message[512];
    snprintf(message, sizeof(message), "line %zu: %s%s%s", exchange->upload->lines, error.field,
             error.field[0] ? ": " : "", error.message);
    if (status == SYNC_ERR_INVALID)
        upload_fail(exchange, 400, GRPC_INVALID_ARGUMENT,
                    slice_text(error.reason[0] ? error.reason : "MALFORMED_BODY"), message);
    else if (status == SYNC_ERR_TOO_LARGE)
        upload_fail(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"),
                    "a line makes a message larger than the service takes");
    else
        upload_fail(exchange, 503, GRPC_UNAVAILABLE, SLICE("MEMORY"),
                    "the gateway is out of memory");
}

/* A line that is whole; blank ones say nothing. */
static void upload_line(struct exchange *exchange, struct slice line) {
    size_t size = 0;
    exchange->upload->lines++;
    for (size_t i = 0; i < line.size; i++)
        size += line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r';
    if (size > 0)
        upload_message(exchange, line);
}

/* Keeps the beginning of a line. */
static void upload_keep(struct exchange *exchange, struct slice bytes) {
    if (exchange->body.size + bytes.size > HTTP_BODY_MAX) {
        upload_fail(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"),
                    "a line is larger than a body may be");
        return;
    }
    buffer_append(&exchange->body, bytes);
    if (exchange->body.failed) {
        upload_fail(exchange, 503, GRPC_UNAVAILABLE, SLICE("MEMORY"),
                    "the gateway is out of memory");
        return;
    }
    struct exchange_upload *upload = exchange->upload;
    if (exchange->body.size == 0 || upload->pace.link)
        return;
    upload->paced_size = exchange->body_size;
    loop_timer_set(exchange->worker->loop, &upload->pace, UPLOAD_PACE_US);
}

void exchange_upload_body(struct exchange *exchange, struct slice bytes) {
    struct exchange_upload *upload = exchange->upload;
    upload->untaken += bytes.size;
    while (upload_is_open(exchange) && bytes.size > 0) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
        if (!end) {
            upload_keep(exchange, bytes);
            break;
        }
        size_t size = (size_t)(end - bytes.data);
        if (exchange->body.size == 0) {
            upload_line(exchange, slice_first(bytes, size));
        } else {
            upload_keep(exchange, slice_first(bytes, size));
            if (upload_is_open(exchange))
                upload_line(exchange, buffer_slice(&exchange->body));
            buffer_done(&exchange->body);
        }
        bytes = slice_after(bytes, size + 1);
    }
    upload_settle(exchange);
}

void exchange_upload_end(struct exchange *exchange) {
    if (!upload_is_open(exchange))
        return;
    if (exchange->body.size > 0)
        upload_line(exchange, buffer_slice(&exchange->body));
    buffer_clear(&exchange->body);
    upload_settle(exchange);
    upstream_call_end_request(&exchange->call);
}

void exchange_upload_close(struct exchange *exchange) {
    loop_timer_clear(&exchange->upload->pace);
}

void exchange_upload_begin(struct exchange *exchange, const struct exchange_head *head) {
    const struct schema_method *method = exchange->route.method;
    if (method->server_streaming && !exchange->peer->is_http2) {
        exchange_refuse_as(exchange, 505, GRPC_UNIMPLEMENTED, SLICE("HTTP2_REQUIRED"),
                           "a method that streams both ways needs HTTP/2");
        return;
    }
    if (head->has_body && (!type_is_lines(exchange->known.content_type) ||
                           coding_parse(exchange->known.content_encoding) != CODING_IDENTITY)) {
        exchange_refuse_as(exchange, 415, GRPC_INVALID_ARGUMENT, SLICE("CONTENT_TYPE"),
                           "the body must be application/x-ndjson, in no content coding");
        return;
    }
    struct exchange_upload *upload = arena_zalloc(&exchange->arena, 1, sizeof(*upload));
    if (!upload) {
        exchange_fail_memory(exchange);
        return;
    }
    upload->exchange = exchange;
    upload->pace.fire = upload_pace;
    exchange->upload = upload;
    exchange_gather_metadata(exchange);
    exchange->stream = exchange_stream_form(exchange);
    exchange_call(exchange, method->path, exchange_timeout_us(exchange), GRPC_MESSAGE_MAX);
}
