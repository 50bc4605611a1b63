/* gRPC-Web: calls of browsers, passed through in the body of whatever HTTP they come by. */
#include <stddef.h>

#include "base/json_text.h"
#include "gateway/exchange_types.h"
#include "gateway/grpc_relay.h"
#include "gateway/grpc_web.h"

enum {
    WEB_OUT_FILL = 128 << 10,   /* waiting for the client: more stays with the relay, and counts */
    WEB_QUEUE_FILL = 256 << 10, /* waiting for the service: the client pauses */
};

/* In its exchange's memory. */
struct exchange_web {
    struct exchange *exchange;
    struct grpc_relay relay;
    bool is_text;
    struct slice content_type; /* of the answer */
    struct grpc_web_decoder decoder;
    struct grpc_tracker tracker; /* of the answer */
    size_t untaken;              /* of the body: the client is not yet told to go on */
};

static struct exchange_web *web_of(struct grpc_relay *relay) {
    return (struct exchange_web *)((char *)relay - offsetof(struct exchange_web, relay));
}

static void web_begin_answer(struct exchange_web *web) {
    exchange_answer_stream(web->exchange, 200, web->content_type);
}

static void web_on_head(struct grpc_relay *relay, const struct transcode_header *fields,
                        size_t count) {
    struct exchange_web *web = web_of(relay);
    struct exchange *exchange = web->exchange;
    if (exchange->state != EXCHANGE_CALL)
        return;
    for (size_t i = 0; i < count; i++) {
        struct slice name, value;
        if (slice_equal(fields[i].name, SLICE("content-type")) ||
            slice_equal(fields[i].name, SLICE("date")))
            continue;
        if (exchange_copy(exchange, fields[i].name, &name) &&
            exchange_copy(exchange, fields[i].value, &value))
            exchange_header(exchange, name, value);
    }
    web_begin_answer(web);
}

static void web_append(struct exchange_web *web, struct slice bytes) {
    if (web->is_text)
        base64_append(&web->exchange->out, bytes);
    else
        buffer_append(&web->exchange->out, bytes);
}

/* How much of what is ready goes now. Base64 is padded only where a message ends: bytes that fill
 * no quartet wait for the next. */
static size_t web_ready(struct exchange_web *web) {
    struct slice ready = grpc_relay_ready(&web->relay);
    bool all = ready.size <= WEB_OUT_FILL;
    if (!all)
        ready = slice_first(ready, WEB_OUT_FILL);
    if (!web->is_text || (all && grpc_relay_ended(&web->relay)))
        return ready.size;
    struct grpc_tracker tracker = web->tracker;
    bool whole =
        grpc_tracker_feed(&tracker, ready, GRPC_MESSAGE_MAX) && grpc_tracker_partial(&tracker) == 0;
    return whole ? ready.size : ready.size - ready.size % 3;
}

static void web_finish(struct exchange_web *web, const struct grpc_relay_end *end) {
    struct exchange *exchange = web->exchange;
    struct buffer frame;
    buffer_init(&frame, EXCHANGE_ARENA_MAX);
    grpc_web_trailers_write(&frame, end->list, end->count);
    if (frame.failed)
        exchange->out.failed = true;
    web_append(web, buffer_slice(&frame));
    buffer_done(&frame);
    exchange_finish(exchange, web->relay.code, SLICE_EMPTY);
}

void exchange_web_pump(struct exchange_web *web) {
    struct exchange *exchange = web->exchange;
    if (exchange->state != EXCHANGE_ANSWERED || exchange_ready(exchange).size >= WEB_OUT_FILL)
        return;
    size_t size = web_ready(web);
    if (size > 0) {
        struct slice ready = slice_first(grpc_relay_ready(&web->relay), size);
        web_append(web, ready);
        (void)grpc_tracker_feed(&web->tracker, ready, GRPC_MESSAGE_MAX);
        grpc_relay_take(&web->relay, size);
        exchange_grow(exchange);
    }
    const struct grpc_relay_end *end = grpc_relay_ended(&web->relay);
    if (end && grpc_relay_ready(&web->relay).size == 0 && exchange->state == EXCHANGE_ANSWERED)
        web_finish(web, end);
}

/* Lets the client go on once the service has taken enough, or takes nothing more. What came in
 * base64 is another number of bytes than what is taken of it. */
static void web_settle(struct exchange_web *web) {
    if (web->untaken == 0 || grpc_relay_queued(&web->relay) >= WEB_QUEUE_FILL)
        return;
    size_t size = web->untaken;
    web->untaken = 0;
    exchange_body_taken(web->exchange, size);
}

static void web_on_more(struct grpc_relay *relay) {
    struct exchange_web *web = web_of(relay);
    if (grpc_relay_ended(relay) && web->exchange->state == EXCHANGE_CALL)
        web_begin_answer(web);
    exchange_web_pump(web);
    web_settle(web);
}

static void web_on_taken(struct grpc_relay *relay, size_t size) {
    (void)size;
    web_settle(web_of(relay));
}

static void web_on_settled(struct grpc_relay *relay) {
    (void)relay;
}

static void web_on_broken(struct grpc_relay *relay, bool refused) {
    struct exchange *exchange = web_of(relay)->exchange;
    if (exchange->state == EXCHANGE_CALL && refused) {
        grpc_relay_fail(relay, GRPC_UNAVAILABLE, SLICE("the service is away; try again"));
    } else if (exchange->state < EXCHANGE_OVER) {
        exchange->state = EXCHANGE_OVER;
        exchange->sink->broken(exchange, exchange->context);
    }
}

bool exchange_web_begin(struct exchange *exchange, const struct exchange_head *head) {
    static const struct grpc_relay_sink sink = {web_on_head, web_on_more, web_on_taken,
                                                web_on_settled, web_on_broken};
    enum grpc_web_form form = grpc_web_form_of(exchange->known.content_type);
    if (form == GRPC_WEB_NONE || !slice_equal(head->method, SLICE("POST")))
        return false;
    bool is_text = form == GRPC_WEB_TEXT;
    struct slice type = exchange->known.content_type;
    struct slice suffix =
        slice_after(type, strlen(is_text ? "application/grpc-web-text" : "application/grpc-web"));
    struct exchange_web *web = arena_zalloc(&exchange->arena, 1, sizeof(*web));
    char *inner = arena_format(&exchange->arena, "application/grpc%.*s", (int)suffix.size,
                               (const char *)suffix.data);
    if (!web || !inner) {
        exchange_fail_memory(exchange);
        return true;
    }
    web->exchange = exchange;
    web->is_text = is_text;
    web->content_type = type;
    exchange->web = web;
    exchange->state = EXCHANGE_CALL;
    const struct grpc_relay_request request = {
        .path = head->path,
        .content_type = slice_text(inner),
        .peer = exchange->peer,
        .client_ip = &exchange->client_ip,
        .timeout = exchange->known.grpc_timeout,
        .headers = head->headers,
        .header_count = head->header_count,
    };
    grpc_relay_begin(&web->relay, exchange->worker, &sink, &request);
    return true;
}

void exchange_web_close(struct exchange_web *web) {
    grpc_relay_close(&web->relay);
}

static void web_body_text(struct exchange_web *web, struct slice text) {
    struct buffer plain;
    buffer_init(&plain, GRPC_MESSAGE_MAX);
    bool well = grpc_web_decode(&web->decoder, text, &plain);
    if (plain.failed)
        grpc_relay_fail(&web->relay, GRPC_UNAVAILABLE, SLICE("the gateway is out of memory"));
    else if (!well)
        grpc_relay_fail(&web->relay, GRPC_INVALID_ARGUMENT, SLICE("the body is not base64"));
    else
        grpc_relay_body(&web->relay, buffer_slice(&plain));
    buffer_done(&plain);
}

void exchange_web_body(struct exchange_web *web, struct slice bytes) {
    web->untaken += bytes.size;
    if (web->is_text)
        web_body_text(web, bytes);
    else
        grpc_relay_body(&web->relay, bytes);
    web_settle(web);
}

void exchange_web_end(struct exchange_web *web) {
    if (grpc_web_decode_at_end(&web->decoder))
        grpc_relay_body_end(&web->relay);
    else
        grpc_relay_fail(&web->relay, GRPC_INVALID_ARGUMENT,
                        SLICE("the body ends within a quartet of base64"));
}

void exchange_web_drain(struct exchange_web *web) {
    grpc_relay_drain(&web->relay);
}
