/* Streamed answers as exchanges: what they hold is counted, and never more than may be. */
#include "tests/gateway/worker_fixture.h"

enum {
    MESSAGE = 60 << 10, /* of the wire; its JSON is a third larger */
    MESSAGES = 16,
    HELD_MAX = 200 << 10,
    ERROR_MAX = 512, /* what a stream that was too much still says */
};

/* Appends a message of the answer, with a payload of that size. */
static void message_append(struct buffer *out, size_t size) {
    const size_t inner = size + 4, whole = inner + 4; /* lengths of three bytes */
    uint8_t head[GRPC_PREFIX_SIZE + 8] = {0};
    assert_in_range(size, 1 << 14, (1 << 21) - 8);
    grpc_prefix_put(head, whole);
    const size_t lengths[] = {inner, size};
    const uint8_t tags[] = {1 << 3 | 2, 2 << 3 | 2}; /* payload, its body */
    for (int i = 0; i < 2; i++) {
        uint8_t *at = head + GRPC_PREFIX_SIZE + 4 * i;
        at[0] = tags[i];
        at[1] = (uint8_t)(lengths[i] | 0x80);
        at[2] = (uint8_t)(lengths[i] >> 7 | 0x80);
        at[3] = (uint8_t)(lengths[i] >> 14);
    }
    buffer_append(out, slice_of(head, sizeof head));
    uint8_t *room = buffer_reserve(out, size);
    assert_non_null(room);
    memset(room, 'a', size);
    buffer_advance(out, size);
}

/* Bytes that the gateway holds of exchanges, beside themselves. */
static uint64_t held(int exchanges) {
    return atomic_load(&gateway.buffered_bytes) - (uint64_t)(exchanges * EXCHANGE_BYTES);
}

/* Begins a call of that path, which the service has. */
static void begin(const char *path) {
    http_begin(path, "application/x-ndjson");
    http_body(SLICE("{}\n"));
    http_body_end();
    assert_true(service->request_ended);
}

static void what_a_client_does_not_take_is_counted(void **state) {
    (void)state;
    struct buffer data, answer;
    buffer_init(&data, 1 << 20);
    buffer_init(&answer, 1 << 20);
    message_append(&data, MESSAGE);
    begin("/v1/duplex");
    service_answer(service, buffer_slice(&data));
    both_turn();
    size_t ready = exchange_ready(http_client.exchange).size;
    assert_in_range(ready, MESSAGE * 4 / 3, MESSAGE * 4 / 3 + 100);
    assert_in_range(held(1), ready, ready + 100);
    exchange_take(http_client.exchange, ready / 2);
    assert_in_range(held(1), ready - ready / 2, ready - ready / 2 + 100);
    http_take(&answer);
    assert_in_range(held(1), 0, 100);
    assert_true(exchange_is_over(http_client.exchange));
    exchange_close(http_client.exchange);
    buffer_done(&answer);
    buffer_done(&data);
}

static void streams_hold_no_more_together_than_they_may(void **state) {
    (void)state;
    struct exchange *open[MESSAGES];
    struct buffer data, answer;
    buffer_init(&data, 2 << 20);
    buffer_init(&answer, 2 << 20);
    for (int i = 0; i < MESSAGES; i++)
        message_append(&data, MESSAGE);
    for (int i = 0; i < MESSAGES; i++) {
        gateway.limits.buffered_bytes_max = HELD_MAX + (i + 1) * EXCHANGE_BYTES;
        begin("/v1/duplex");
        service_answer(service, buffer_slice(&data));
        both_turn();
        assert_int_equal(service->reset_code, NGHTTP2_CANCEL);
        open[i] = http_client.exchange;
        assert_in_range(held(i + 1), HELD_MAX / 2, HELD_MAX + MESSAGE + (i + 1) * ERROR_MAX);
    }
    for (int i = 0; i < MESSAGES; i++) {
        http_client.exchange = open[i];
        buffer_clear(&answer);
        http_take(&answer);
        assert_non_null(memmem(answer.data, answer.size, "{\"error\":{\"code\":503", 20));
        assert_true(exchange_is_over(open[i]));
        size_t count;
        const struct transcode_header *trailers = exchange_trailers(open[i], &count);
        assert_int_equal(count, 2);
        assert_true(slice_equal(trailers[0].value, SLICE("14")));
        exchange_close(open[i]);
    }
    buffer_done(&answer);
    buffer_done(&data);
}

static void an_answer_that_is_not_whole_is_counted_as_it_comes(void **state) {
    static const char *const paths[] = {"/v1/input", "/v1/duplex"};
    struct buffer data;
    buffer_init(&data, 2 << 20);
    message_append(&data, 1 << 20);
    for (int i = 0; i < 2; i++) {
        worker_teardown(state);
        worker_setup(state);
        gateway.limits.buffered_bytes_max = HELD_MAX;
        begin(paths[i]);
        service_answer(service, buffer_slice(&data));
        both_turn();
        assert_int_equal(service->reset_code, NGHTTP2_CANCEL);
        assert_in_range(held(1), 0, 1000);
        struct slice ready = exchange_ready(http_client.exchange);
        assert_non_null(memmem(ready.data, ready.size, "{\"error\":{\"code\":503", 20));
        assert_true(exchange_is_complete(http_client.exchange));
        exchange_close(http_client.exchange);
    }
    buffer_done(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_WORKER(what_a_client_does_not_take_is_counted),
        TEST_WORKER(streams_hold_no_more_together_than_they_may),
        TEST_WORKER(an_answer_that_is_not_whole_is_counted_as_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
