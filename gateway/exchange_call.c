#include <assert.h>
#include <stddef.h>

#include "base/wire.h"
#include "gateway/exchange_types.h"
#include "gateway/http_text.h"

enum {
    /* What gRPC counts for pseudo-headers and those that every call has. */
    METADATA_FIXED_BYTES = 680,
    DEADLINE_GRACE_US = 1000000, /* the service sees its own deadline first */
};

static struct exchange *exchange_of(struct upstream_call *call) {
    return (struct exchange *)((char *)call - offsetof(struct exchange, call));
}

size_t exchange_metadata_room(const struct exchange *exchange) {
    size_t used = METADATA_FIXED_BYTES;
    for (size_t i = 0; i < exchange->metadata_count; i++)
        used += exchange->metadata[i].name.size + exchange->metadata[i].value.size +
                METADATA_ENTRY_BYTES;
    return used < GRPC_METADATA_MAX ? GRPC_METADATA_MAX - used : 0;
}

void exchange_metadata_add(struct exchange *exchange, struct slice name, struct slice value) {
    assert(exchange->metadata_count < EXCHANGE_METADATA_MAX);
    exchange->metadata[exchange->metadata_count++] = (struct transcode_header){name, value};
}

void exchange_gather_metadata(struct exchange *exchange) {
    const struct exchange_known *known = &exchange->known;
    char *client = arena_alloc(&exchange->arena, IP_TEXT_MAX);
    if (client)
        ip_format(&exchange->client_ip, client);
    const struct transcode_header candidates[] = {
        {SLICE("authorization"), known->authorization},
        {SLICE("x-forwarded-client-cert"), exchange->peer->identity},
        {SLICE("x-forwarded-for"), slice_text(client)},
        {SLICE("x-request-id"), exchange->request_id},
        {SLICE("traceparent"), known->traceparent},
        {SLICE("tracestate"), known->tracestate},
        {SLICE("user-agent"), known->user_agent},
        {SLICE("accept-language"), known->accept_language},
    };
    size_t room = exchange_metadata_room(exchange);
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        const struct transcode_header *entry = &candidates[i];
        /* gRPC's ASCII-Value: one bad byte would cost the whole connection to the service. */
        if (entry->value.size == 0 || !http_text_is_ascii(entry->value))
            continue;
        size_t size = entry->name.size + entry->value.size + METADATA_ENTRY_BYTES;
        /* All but the token may be left out. */
        if (i > 0 && size > room)
            continue;
        exchange_metadata_add(exchange, entry->name, entry->value);
        room -= size < room ? size : room;
    }
}

/* A google.api.HttpBody in wire form. */
struct http_body {
    struct slice type, data;
    struct response_head head;
};

static bool http_body_read(struct slice wire, struct http_body *body) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        struct any_parts any;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == 1)
            body->type = field.bytes;
        else if (field.number == 2)
            body->data = field.bytes;
        else if (field.number == 3 && any_read(field.bytes, &any) &&
                 slice_equal(any.type_name, SLICE("travelsense.http.v1.ResponseHead")))
            response_head_read(any.value, &body->head);
    }
    return true;
}

/* Answers with the head that the first HttpBody tells. */
static void exchange_begin_raw(struct exchange *exchange, const struct http_body *body) {
    struct slice type = SLICE("application/octet-stream");
    if (body->type.size && !exchange_copy(exchange, body->type, &type))
        type = SLICE("application/octet-stream");
    for (size_t i = 0; i < body->head.header_count; i++) {
        struct slice name, value;
        if (exchange_copy(exchange, body->head.headers[i].name, &name) &&
            exchange_copy(exchange, body->head.headers[i].value, &value))
            exchange_header(exchange, name, value);
    }
    int status = body->head.status ? body->head.status : exchange->route.method->success_status;
    if (exchange->route.method->server_streaming) {
        exchange_answer_stream(exchange, status, type);
        return;
    }
    buffer_append(&exchange->out, body->data);
    exchange_answer_whole(exchange, status, type);
}

static void exchange_on_raw_message(struct exchange *exchange, struct slice message) {
    struct http_body body = {.type = SLICE_EMPTY};
    if (!http_body_read(message, &body)) {
        upstream_call_cancel(&exchange->call);
        if (exchange->state == EXCHANGE_CALL)
            exchange_fail(exchange, GRPC_INTERNAL, SLICE("malformed HttpBody"), SLICE_EMPTY);
        else
            exchange_fail_stream(exchange, GRPC_INTERNAL, SLICE("malformed HttpBody"), SLICE_EMPTY);
        return;
    }
    if (exchange->state == EXCHANGE_CALL)
        exchange_begin_raw(exchange, &body);
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    buffer_append(&exchange->out, body.data);
    exchange_grow(exchange);
}

/* The answer of a unary call waits in `out` for the status. */
static void exchange_on_unary_message(struct exchange *exchange, struct slice message) {
    struct sync_error error = {.status = SYNC_OK};
    if (exchange->has_message) {
        exchange_fail(exchange, GRPC_INTERNAL, SLICE("a unary call was answered twice"),
                      SLICE_EMPTY);
        return;
    }
    exchange->has_message = true;
    if (exchange->is_health_check) {
        buffer_append(&exchange->out, message);
        return;
    }
    if (exchange_long_answer_keep(exchange, message))
        return;
    struct transcode_header *headers = exchange->headers + exchange->header_count;
    size_t count = 0;
    enum sync_status status = transcode_response_to_json(
        exchange->api->schema, &exchange->route, message, &exchange->arena, &exchange->out, headers,
        RESPONSE_HEADERS_MAX, &count, &error);
    if (status == SYNC_OK)
        exchange->header_count += count;
    else if (status == SYNC_ERR_NO_MEMORY)
        exchange_fail_memory(exchange);
    else
        exchange_fail(exchange, GRPC_INTERNAL, slice_text(error.message), SLICE_EMPTY);
}

static void exchange_on_begun(struct upstream_call *call) {
    struct exchange *exchange = exchange_of(call);
    if (exchange->stream > EXCHANGE_STREAM_RAW)
        exchange_stream_begin(exchange);
}

static void exchange_on_taken(struct upstream_call *call, size_t size) {
    (void)size;
    exchange_upload_taken(exchange_of(call));
}

static void exchange_on_partial(struct upstream_call *call) {
    struct exchange *exchange = exchange_of(call);
    if (!exchange_count(exchange))
        exchange_fail_buffers(exchange);
}

static void exchange_on_message(struct upstream_call *call, struct slice message) {
    struct exchange *exchange = exchange_of(call);
    if (exchange->stream == EXCHANGE_STREAM_NONE)
        exchange_on_unary_message(exchange, message);
    else if (exchange->stream == EXCHANGE_STREAM_RAW)
        exchange_on_raw_message(exchange, message);
    else
        exchange_stream_message(exchange, message);
}

static void exchange_on_success(struct exchange *exchange) {
    exchange->code = GRPC_OK;
    if (exchange->state >= EXCHANGE_ANSWERED) {
        exchange_stream_finish(exchange);
    } else if (exchange->stream == EXCHANGE_STREAM_RAW) {
        exchange_answer_whole(exchange, exchange->route.method->success_status, SLICE_EMPTY);
    } else if (exchange->stream != EXCHANGE_STREAM_NONE) {
        exchange_stream_nothing(exchange);
    } else if (!exchange->has_message) {
        exchange_fail(exchange, GRPC_INTERNAL, SLICE("the service answered without a message"),
                      SLICE_EMPTY);
    } else if (exchange->long_answer) {
        exchange_long_answer_begin(exchange);
    } else {
        exchange_answer_json(exchange, exchange->route.method->success_status);
    }
}

static void exchange_on_done(struct upstream_call *call, const struct upstream_result *result) {
    struct exchange *exchange = exchange_of(call);
    loop_timer_clear(&exchange->timer);
    if (exchange->is_health_check) {
        /* A service without the health service is as ready as it will ever say. */
        bool serving =
            result->code == GRPC_OK && upstream_health_is_serving(buffer_slice(&exchange->out));
        exchange_answer_health(exchange, serving || result->code == GRPC_UNIMPLEMENTED);
        return;
    }
    if (result->code == GRPC_OK && exchange->faults.count > 0)
        exchange_fail(exchange, GRPC_INTERNAL, SLICE("the service took a request with faults"),
                      SLICE_EMPTY);
    else if (result->code == GRPC_OK)
        exchange_on_success(exchange);
    else if (exchange->state == EXCHANGE_ANSWERED)
        exchange_fail_stream(exchange, result->code, result->message, result->details);
    else
        exchange_fail(exchange, result->code, result->message, result->details);
}

void exchange_call(struct exchange *exchange, struct slice path, uint64_t timeout_us,
                   size_t response_max) {
    static const struct upstream_call_events events = {.begun = exchange_on_begun,
                                                       .message = exchange_on_message,
                                                       .partial = exchange_on_partial,
                                                       .taken = exchange_on_taken,
                                                       .done = exchange_on_done};
    assert(exchange->upload || exchange->wire.size >= GRPC_PREFIX_SIZE);
    if (exchange_metadata_room(exchange) == 0) {
        exchange_refuse_token(exchange);
        return;
    }
    if (!exchange->upload)
        grpc_prefix_put(exchange->wire.data, exchange->wire.size - GRPC_PREFIX_SIZE);
    exchange->call = (struct upstream_call){
        .events = &events,
        .arena = &exchange->arena,
        .path = path,
        .request = buffer_slice(&exchange->wire),
        .streamed = exchange->upload != NULL,
        .timeout_us = timeout_us,
        .metadata = exchange->metadata,
        .metadata_count = exchange->metadata_count,
        .response_max = response_max,
        .takes_details = exchange->api->extended,
    };
    exchange->state = EXCHANGE_CALL;
    enum sync_status status = upstream_start(exchange->worker->upstream, &exchange->call);
    if (status == SYNC_OK) {
        loop_timer_set(exchange->worker->loop, &exchange->timer, timeout_us + DEADLINE_GRACE_US);
        return;
    }
    if (exchange->is_health_check)
        exchange_answer_health(exchange, false);
    else if (status == SYNC_ERR_NO_MEMORY)
        exchange_fail_memory(exchange);
    else
        exchange_fail(exchange, GRPC_UNAVAILABLE, SLICE("the service is away; try again"),
                      SLICE_EMPTY);
}
