#include "gateway/exchange.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "gateway/exchange_types.h"

enum {
    EXCHANGE_SPARES_MAX = 64,
    EXCHANGE_BUFFER_KEEP = 128 << 10, /* larger buffers are not kept for the next request */
    EXCHANGE_OUT_MAX = 80 << 20,
    EXCHANGE_ARENA_SMALL = 8 << 10, /* of EXCHANGE_BYTES */
    BODY_PACE_LOOK_US = 5000000,
    BODY_PACE_BYTES_MIN = 1200, /* in that time */
};

static void exchange_timer_fired(struct loop_timer *timer);

static void gateway_give_back(struct gateway *gateway, uint64_t bytes) {
    atomic_fetch_sub_explicit(&gateway->buffered_bytes, bytes, memory_order_relaxed);
}

/* Counts bytes among what the gateway holds; false beyond `max`, and they are not. */
static bool gateway_take(struct gateway *gateway, uint64_t bytes, uint64_t max) {
    uint64_t all = atomic_fetch_add_explicit(&gateway->buffered_bytes, bytes, memory_order_relaxed);
    if (all + bytes <= max)
        return true;
    gateway_give_back(gateway, bytes);
    return false;
}

/* One that is counted. Refusing a body or an answer takes a request as well: there is a quarter
 * more room for these. */
static struct exchange *exchange_take_one(struct worker *worker) {
    uint64_t max = worker->gateway->limits.buffered_bytes_max;
    if (!gateway_take(worker->gateway, EXCHANGE_BYTES, max + max / 4))
        return NULL;
    struct exchange *exchange = worker->spare_exchanges;
    if (exchange) {
        worker->spare_exchanges = exchange->spare_next;
        worker->spare_exchange_count--;
        return exchange;
    }
    exchange = memory_zalloc(1, sizeof(*exchange));
    if (!exchange) {
        gateway_give_back(worker->gateway, EXCHANGE_BYTES);
        return NULL;
    }
    arena_init(&exchange->arena, EXCHANGE_ARENA_MAX);
    buffer_init(&exchange->body, HTTP_BODY_MAX);
    buffer_init(&exchange->wire, GRPC_MESSAGE_MAX + GRPC_PREFIX_SIZE);
    buffer_init(&exchange->out, EXCHANGE_OUT_MAX);
    return exchange;
}

struct exchange *exchange_open(struct worker *worker, const struct exchange_sink *sink,
                               void *context, const struct peer *peer) {
    struct exchange *exchange = exchange_take_one(worker);
    if (!exchange)
        return NULL;
    struct arena arena = exchange->arena;
    struct buffer body = exchange->body, wire = exchange->wire, out = exchange->out;
    memset(exchange, 0, offsetof(struct exchange, metadata));
    exchange->worker = worker;
    exchange->sink = sink;
    exchange->context = context;
    exchange->peer = peer;
    exchange->api = api_hold(worker->api);
    exchange->state = EXCHANGE_OPEN;
    exchange->code = -1;
    exchange->client_ip = peer->ip;
    exchange->arena = arena;
    exchange->body = body;
    exchange->wire = wire;
    exchange->out = out;
    exchange->buffered_bytes = EXCHANGE_BYTES;
    exchange->begun_us = loop_now_us(worker->loop);
    exchange->timer.fire = exchange_timer_fired;
    return exchange;
}

void exchange_set_context(struct exchange *exchange, void *context) {
    exchange->context = context;
}

static void exchange_report(struct exchange *exchange) {
    struct gateway *gateway = exchange->worker->gateway;
    /* 499: the client went away before there was an answer. */
    int status = exchange->state >= EXCHANGE_ANSWERED ? exchange->answer.status : 499;
    uint64_t duration_us = clock_monotonic_us(gateway->clock) - exchange->begun_us;
    const struct schema_method *method = exchange->routed ? exchange->route.method : NULL;
    method_metrics_request(exchange->api->metrics, method, status, duration_us, exchange->body_size,
                           exchange->sent_bytes);
    exchange_log(exchange, status, duration_us);
}

static void exchange_buffer_empty(struct buffer *buffer) {
    if (buffer->capacity > EXCHANGE_BUFFER_KEEP)
        buffer_done(buffer);
    else
        buffer_clear(buffer);
}

static void exchange_free(struct exchange *exchange) {
    buffer_done(&exchange->body);
    buffer_done(&exchange->wire);
    buffer_done(&exchange->out);
    arena_done(&exchange->arena);
    memory_free(exchange);
}

void exchange_close(struct exchange *exchange) {
    if (exchange->web)
        exchange_web_close(exchange->web); /* it reports for itself */
    else
        exchange_report(exchange);
    client_finish(exchange->worker->gateway->clients, exchange->client);
    exchange_discard(exchange);
}

void exchange_discard(struct exchange *exchange) {
    struct worker *worker = exchange->worker;
    if (exchange->upload)
        exchange_upload_close(exchange);
    if (exchange->job)
        exchange_transcode_close(exchange);
    if (exchange->long_answer)
        exchange_long_answer_close(exchange);
    upstream_call_cancel(&exchange->call);
    loop_timer_clear(&exchange->timer);
    loop_timer_clear(&exchange->heartbeat);
    gateway_give_back(worker->gateway, exchange->buffered_bytes);
    exchange->api = api_release(exchange->api);
    if (worker->spare_exchange_count >= EXCHANGE_SPARES_MAX ||
        gateway_is_pressed(worker->gateway)) {
        exchange_free(exchange);
        return;
    }
    exchange_buffer_empty(&exchange->body);
    exchange_buffer_empty(&exchange->wire);
    exchange_buffer_empty(&exchange->out);
    arena_reset(&exchange->arena);
    exchange->spare_next = worker->spare_exchanges;
    worker->spare_exchanges = exchange;
    worker->spare_exchange_count++;
}

void exchange_spares_free(struct worker *worker) {
    while (worker->spare_exchanges) {
        struct exchange *exchange = worker->spare_exchanges;
        worker->spare_exchanges = exchange->spare_next;
        exchange_free(exchange);
    }
    worker->spare_exchange_count = 0;
    buffer_done(&worker->spare_body);
}

bool exchange_copy(struct exchange *exchange, struct slice text, struct slice *ret_copy) {
    return arena_copy(&exchange->arena, text, ret_copy);
}

void *exchange_alloc(struct exchange *exchange, size_t size) {
    return arena_alloc(&exchange->arena, size);
}

/* A body that trickles in holds memory for nothing; a service that is late holds up its client. */
static void exchange_timer_fired(struct loop_timer *timer) {
    struct exchange *exchange =
        (struct exchange *)((char *)timer - offsetof(struct exchange, timer));
    if (exchange->state == EXCHANGE_BODY && exchange->job) {
        exchange_transcode_late(exchange);
        return;
    }
    if (exchange->state == EXCHANGE_BODY) {
        if (exchange->body_size - exchange->body_size_before < BODY_PACE_BYTES_MIN) {
            exchange_refuse_as(exchange, 408, GRPC_DEADLINE_EXCEEDED, SLICE("BODY_TOO_SLOW"),
                               "the body came too slowly");
            return;
        }
        exchange->body_size_before = exchange->body_size;
        loop_timer_set(exchange->worker->loop, timer, BODY_PACE_LOOK_US);
        return;
    }
    if (exchange_long_answer_is_late(exchange) || !upstream_call_is_active(&exchange->call))
        return;
    upstream_call_cancel(&exchange->call);
    struct slice message = SLICE("the service did not answer in time");
    if (exchange->is_health_check)
        exchange_answer_health(exchange, false);
    else if (exchange->state == EXCHANGE_CALL)
        exchange_fail(exchange, GRPC_DEADLINE_EXCEEDED, message, SLICE_EMPTY);
    else
        exchange_fail_stream(exchange, GRPC_DEADLINE_EXCEEDED, message, SLICE_EMPTY);
}

/* Room for the body, of the process's as well; false when it was refused. */
static bool exchange_make_room(struct exchange *exchange, size_t size) {
    struct gateway *gateway = exchange->worker->gateway;
    uint64_t all = atomic_fetch_add_explicit(&gateway->buffered_bytes, size, memory_order_relaxed);
    exchange->buffered_bytes += size;
    if (all + size > gateway->limits.buffered_bytes_max) {
        exchange_fail_buffers(exchange);
        return false;
    }
    return true;
}

/* What the arena holds beyond what each request is counted for. */
static uint64_t exchange_arena_bytes(const struct exchange *exchange) {
    size_t taken = exchange->arena.taken_bytes;
    return taken > EXCHANGE_ARENA_SMALL ? taken - EXCHANGE_ARENA_SMALL : 0;
}

bool exchange_count(struct exchange *exchange) {
    uint64_t now = EXCHANGE_BYTES + exchange_arena_bytes(exchange) + exchange->body.size +
                   exchange->wire.size + exchange_ready(exchange).size +
                   exchange_long_answer_held(exchange) + upstream_call_queued(&exchange->call) +
                   upstream_call_partial(&exchange->call);
    return gateway_count_buffered(exchange->worker->gateway, &exchange->buffered_bytes, now);
}

void exchange_body(struct exchange *exchange, struct slice bytes) {
    exchange->body_size += bytes.size;
    if (exchange->web) {
        exchange_web_body(exchange->web, bytes);
        return;
    }
    if (exchange->upload) {
        exchange_upload_body(exchange, bytes);
        return;
    }
    if (exchange->state != EXCHANGE_BODY || bytes.size == 0)
        return;
    if (exchange->body.size + bytes.size > HTTP_BODY_MAX) {
        exchange_refuse_as(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"),
                           "the body is larger than %d bytes", HTTP_BODY_MAX);
        return;
    }
    if (!exchange_make_room(exchange, bytes.size))
        return;
    if (!exchange->body.data) {
        exchange->body = exchange->worker->spare_body;
        buffer_init(&exchange->worker->spare_body, 0);
        exchange->body.size_max = HTTP_BODY_MAX;
    }
    buffer_append(&exchange->body, bytes);
    if (exchange->body.failed)
        exchange_fail_memory(exchange);
}

void exchange_release_body(struct exchange *exchange) {
    struct buffer *spare = &exchange->worker->spare_body;
    exchange_buffer_empty(&exchange->body);
    if (spare->data) {
        buffer_done(&exchange->body);
        return;
    }
    *spare = exchange->body;
    buffer_init(&exchange->body, HTTP_BODY_MAX);
}

void exchange_whole_body(struct exchange *exchange, struct slice bytes) {
    assert(!exchange_streams_body(exchange));
    bool is_plain = coding_parse(exchange->known.content_encoding) == CODING_IDENTITY;
    if (exchange->state != EXCHANGE_BODY || !is_plain) {
        exchange_body(exchange, bytes);
        return;
    }
    assert(exchange->body.size == 0 && bytes.size <= HTTP_BODY_MAX);
    exchange->body_size += bytes.size;
    exchange->request.body = bytes;
    loop_timer_clear(&exchange->timer);
    exchange_call_method(exchange);
    exchange->request.body = SLICE_EMPTY;
}

bool exchange_streams_body(const struct exchange *exchange) {
    return exchange->web || exchange->upload;
}

void exchange_body_taken(struct exchange *exchange, size_t size) {
    exchange->sink->taken(exchange, exchange->context, size);
}

void exchange_end(struct exchange *exchange) {
    if (exchange->web)
        exchange_web_end(exchange->web);
    else if (exchange->upload)
        exchange_upload_end(exchange);
    if (exchange->state != EXCHANGE_BODY)
        return;
    loop_timer_clear(&exchange->timer);
    exchange_call_method(exchange);
}

/* The reason word of a request that HTTP itself forbids. */
static struct slice reason_of_http(int http_status) {
    switch (http_status) {
    case 413:
        return SLICE("BODY_TOO_LARGE");
    case 414:
        return SLICE("TARGET_TOO_LONG");
    case 417:
        return SLICE("EXPECTATION_UNKNOWN");
    case 429:
        return SLICE("CLIENT_DENIED");
    case 431:
        return SLICE("HEADERS_TOO_LARGE");
    case 501:
        return SLICE("NOT_IMPLEMENTED");
    case 503:
        return SLICE("MEMORY");
    case 505:
        return SLICE("HTTP_VERSION");
    default:
        return SLICE("MALFORMED_HTTP");
    }
}

void exchange_refuse(struct exchange *exchange, int http_status, const char *message) {
    if (exchange->state >= EXCHANGE_ANSWERED)
        return;
    if (exchange->request_id.size == 0)
        exchange_give_id(exchange);
    int code = http_status == 503   ? GRPC_UNAVAILABLE
               : http_status == 413 ? GRPC_RESOURCE_EXHAUSTED
               : http_status == 429 ? GRPC_RESOURCE_EXHAUSTED
               : http_status >= 500 ? GRPC_UNIMPLEMENTED
                                    : GRPC_INVALID_ARGUMENT;
    exchange_refuse_as(exchange, http_status, code, reason_of_http(http_status), "%s", message);
}

bool exchange_is_call(const struct exchange *exchange) {
    return exchange->routed;
}

bool exchange_is_answered(const struct exchange *exchange) {
    return exchange->state >= EXCHANGE_ANSWERED;
}

const struct exchange_answer *exchange_answer(const struct exchange *exchange) {
    assert(exchange->state >= EXCHANGE_ANSWERED);
    return &exchange->answer;
}

struct slice exchange_ready(const struct exchange *exchange) {
    return slice_after(buffer_slice(&exchange->out), exchange->out_taken);
}

bool exchange_is_complete(const struct exchange *exchange) {
    return exchange->state == EXCHANGE_OVER;
}

bool exchange_is_over(const struct exchange *exchange) {
    return exchange->state == EXCHANGE_OVER && exchange->out_taken == exchange->out.size;
}

const struct transcode_header *exchange_trailers(const struct exchange *exchange,
                                                 size_t *ret_count) {
    struct slice te = exchange->known.te;
    /* In HTTP/2 trailers reach whom they do not interest unharmed; before it they may not. */
    bool taken = exchange->peer->is_http2 ||
                 (te.size > 0 && memmem(te.data, te.size, "trailers", 8) != NULL);
    *ret_count = exchange->state == EXCHANGE_OVER && taken ? exchange->trailer_count : 0;
    return exchange->trailers;
}
