#include "tests/gateway/worker_fixture.h"

#include "streams_descriptor.h"

struct gateway gateway;
struct worker worker;
struct http_client http_client;
const struct peer worker_peer = {
    .ip = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}}, .protocol = "HTTP/2", .is_http2 = true};

static uint64_t now_us(void *context) {
    (void)context;
    return time_us;
}

static const struct clock worker_clock = {now_us, now_us, NULL};

int worker_setup(void **state) {
    struct sync_error error;
    setup(state);
    gateway = (struct gateway){.clock = &worker_clock,
                               .random = random_system(),
                               .metrics = metrics,
                               .limits = {.call_timeout_us = 600 * (uint64_t)SECOND_US,
                                          .stream_timeout_us = 600 * (uint64_t)SECOND_US,
                                          .drain_timeout_us = 30 * (uint64_t)SECOND_US,
                                          .buffered_bytes_max = WORKER_BUFFERED_MAX}};
    worker = (struct worker){.gateway = &gateway, .loop = loop, .upstream = upstream};
    random_pool_init(&worker.random, gateway.random);
    const struct api_options options = {.embedded =
                                            slice_of(streams_descriptor, streams_descriptor_size),
                                        .version = "1",
                                        .domain = "test",
                                        .metrics = metrics};
    assert_int_equal(api_open(&options, &error, &worker.api), SYNC_OK);
    worker.compressor = compressor_open();
    assert_non_null(worker.compressor);
    return 0;
}

int worker_teardown(void **state) {
    exchange_spares_free(&worker);
    compressor_close(worker.compressor);
    api_release(worker.api);
    assert_int_equal(atomic_load(&gateway.buffered_bytes), 0);
    return teardown(state);
}

static void on_answered(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
    http_client.answers++;
}

static void on_more(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
}

static void on_broken(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
    http_client.broken++;
}

static void on_taken(struct exchange *exchange, void *context, size_t size) {
    (void)exchange, (void)context;
    http_client.taken += size;
}

void http_begin(const char *path, const char *type) {
    static const struct exchange_sink sink = {on_answered, on_more, on_broken, on_taken};
    static struct transcode_header headers[2];
    headers[0] = (struct transcode_header){SLICE("content-type"), slice_text(type)};
    headers[1] = (struct transcode_header){SLICE("x-forwarded-for"), SLICE("203.0.113.9")};
    http_client =
        (struct http_client){.exchange = exchange_open(&worker, &sink, NULL, &worker_peer)};
    if (!http_client.exchange)
        return;
    const struct exchange_head head = {.method = SLICE("POST"),
                                       .path = slice_text(path),
                                       .headers = headers,
                                       .header_count = 2,
                                       .has_body = true,
                                       .content_length = UINT64_MAX};
    exchange_begin(http_client.exchange, &head);
    both_turn();
}

void http_body_rush(struct slice bytes) {
    http_client.sent += bytes.size;
    exchange_body(http_client.exchange, bytes);
    assert_int_equal(loop_turn(loop, 0), SYNC_OK);
}

void http_body(struct slice bytes) {
    http_body_rush(bytes);
    both_turn();
}

void http_body_end(void) {
    exchange_end(http_client.exchange);
    both_turn();
}

void http_take(struct buffer *out) {
    struct slice ready;
    while (ready = exchange_ready(http_client.exchange), ready.size > 0) {
        buffer_append(out, ready);
        exchange_take(http_client.exchange, ready.size);
        both_turn();
    }
}
