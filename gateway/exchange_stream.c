/* Streamed answers: lines of JSON, or server-sent events as the HTML standard has them. */
#include <stddef.h>

#include "base/wire.h"
#include "gateway/exchange_types.h"
#include "gateway/schema_types.h"

enum {
    EVENT_ID_MAX = 256,
    MESSAGE_ARENA_MAX = 1 << 20, /* what one message needs beside the output */
    STREAM_HEADERS_MAX = 24,
};

/* How long a client of events waits before it comes again, where it loses the connection. */
#define EVENTS_RETRY "retry: 3000\n\n"

static bool stream_is_events(const struct exchange *exchange) {
    return exchange->stream == EXCHANGE_STREAM_SSE;
}

/* A client, or a proxy before it, that hears nothing may take the connection for dead. */
static void stream_beat(struct loop_timer *timer) {
    struct exchange *exchange =
        (struct exchange *)((char *)timer - offsetof(struct exchange, heartbeat));
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    uint64_t every_us = exchange->worker->gateway->limits.stream_heartbeat_us;
    loop_timer_set(exchange->worker->loop, timer, every_us);
    if (exchange_ready(exchange).size > 0) /* it has something to read */
        return;
    buffer_append(&exchange->out, SLICE(":\n\n"));
    exchange_grow(exchange);
}

static struct slice stream_type(const struct exchange *exchange) {
    if (exchange->stream == EXCHANGE_STREAM_ARRAY)
        return SLICE("application/json");
    return stream_is_events(exchange) ? SLICE("text/event-stream") : SLICE("application/x-ndjson");
}

void exchange_stream_begin(struct exchange *exchange) {
    if (exchange->state != EXCHANGE_CALL)
        return;
    bool events = stream_is_events(exchange);
    exchange_header(exchange, SLICE("vary"), SLICE("accept"));
    exchange_header(exchange, SLICE("x-accel-buffering"), SLICE("no"));
    exchange_answer_stream(exchange, exchange->route.method->success_status, stream_type(exchange));
    if (exchange->state != EXCHANGE_ANSWERED || !events)
        return;
    exchange->heartbeat.fire = stream_beat;
    loop_timer_set(exchange->worker->loop, &exchange->heartbeat,
                   exchange->worker->gateway->limits.stream_heartbeat_us);
    buffer_append(&exchange->out, SLICE(EVENTS_RETRY));
    exchange_grow(exchange);
}

/* The value of the field that the schema names as the event's id; empty where there is none that
 * could stand in a line. */
static struct slice event_id_of(const struct schema_message *type, struct slice message) {
    struct slice id = SLICE_EMPTY;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (!field->event_id || field->type != SCHEMA_STRING || field->repeated)
            continue;
        struct wire_reader reader = wire_reader_of(message);
        struct wire_field part;
        while (!wire_at_end(&reader) && wire_read(&reader, &part))
            if (part.number == field->number && part.type == WIRE_LEN)
                id = part.bytes;
    }
    if (id.size == 0 || id.size > EVENT_ID_MAX || memchr(id.data, '\n', id.size) ||
        memchr(id.data, '\r', id.size) || memchr(id.data, '\0', id.size))
        return SLICE_EMPTY;
    return id;
}

static void stream_append_line(struct exchange *exchange, struct slice name, struct slice value) {
    if (value.size == 0)
        return;
    buffer_append(&exchange->out, name);
    buffer_append(&exchange->out, value);
    buffer_append(&exchange->out, SLICE("\n"));
}

/* Appends a message in the answer's form. JSON as we write it has no line breaks. */
static bool stream_append(struct exchange *exchange, struct slice message,
                          struct sync_error *error) {
    const struct schema_method *method = exchange->route.method;
    struct transcode_header unused[STREAM_HEADERS_MAX];
    struct arena arena; /* of this message: the stream may be long */
    size_t unused_count = 0;
    bool events = stream_is_events(exchange), array = exchange->stream == EXCHANGE_STREAM_ARRAY;
    if (array)
        buffer_append(&exchange->out, exchange->has_message ? SLICE(",\n") : SLICE("["));
    if (events) {
        stream_append_line(exchange, SLICE("id: "), event_id_of(method->response, message));
        stream_append_line(exchange, SLICE("event: "), method->event_name);
        buffer_append(&exchange->out, SLICE("data: "));
    }
    arena_init(&arena, MESSAGE_ARENA_MAX);
    enum sync_status status = transcode_response_to_json(exchange->api->schema, &exchange->route,
                                                         message, &arena, &exchange->out, unused,
                                                         STREAM_HEADERS_MAX, &unused_count, error);
    arena_done(&arena);
    if (!array)
        buffer_append(&exchange->out, events ? SLICE("\n\n") : SLICE("\n"));
    return status == SYNC_OK;
}

void exchange_stream_message(struct exchange *exchange, struct slice message) {
    struct sync_error error = {.status = SYNC_OK};
    exchange_stream_begin(exchange);
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    size_t begin = exchange->out.size;
    if (stream_append(exchange, message, &error)) {
        exchange->has_message = true;
        exchange_grow(exchange);
        return;
    }
    exchange->out.size = begin;
    upstream_call_cancel(&exchange->call);
    exchange_fail_stream(exchange, GRPC_INTERNAL, slice_text(error.message), SLICE_EMPTY);
}

void exchange_stream_finish(struct exchange *exchange) {
    if (exchange->stream == EXCHANGE_STREAM_ARRAY)
        buffer_append(&exchange->out, exchange->has_message ? SLICE("]\n") : SLICE("[]\n"));
    exchange_finish(exchange, GRPC_OK, SLICE_EMPTY);
}

void exchange_stream_nothing(struct exchange *exchange) {
    /* To a client of events 204 says not to come again. */
    bool events = stream_is_events(exchange);
    exchange_header(exchange, SLICE("vary"), SLICE("accept"));
    if (exchange->stream == EXCHANGE_STREAM_ARRAY)
        buffer_append(&exchange->out, SLICE("[]\n"));
    exchange_answer_whole(exchange, events ? 204 : exchange->route.method->success_status,
                          events ? SLICE_EMPTY : stream_type(exchange));
}

bool exchange_is_live(const struct exchange *exchange) {
    return exchange->state == EXCHANGE_ANSWERED &&
           (exchange->web || exchange->stream > EXCHANGE_STREAM_RAW);
}

void exchange_drain(struct exchange *exchange) {
    if (exchange->web) {
        exchange_web_drain(exchange->web);
        return;
    }
    if (!exchange_is_live(exchange))
        return;
    upstream_call_cancel(&exchange->call);
    exchange_fail_stream(exchange, GRPC_UNAVAILABLE, SLICE("the gateway stops; come again"),
                         SLICE_EMPTY);
}
