/* Long answers as exchanges: others are answered while one is written, and whatever happens
 * meanwhile, what it holds is counted and given back. */
#include "tests/gateway/gated_fixture.h"

#include "base/memory.h"
#include "base/wire.h"

enum { LONG = 600 << 10, OTHERS = 20, FAILURES = 40 };

/* Sends a request that takes its answer in a coding. */
static struct exchange *ask(struct slice coding) {
    return gated_post("/v1/unary", (struct transcode_header){SLICE("accept-encoding"), coding},
                      SLICE("{}"));
}

/* A message with a payload of `size` zeros, in its framing; to be given back by buffer_done. */
static struct buffer message_of(size_t size) {
    struct buffer message, payload, framed;
    static const uint8_t zeros[LONG];
    buffer_init(&payload, 2 * LONG);
    buffer_init(&message, 2 * LONG);
    buffer_init(&framed, 2 * LONG);
    wire_write_uint(&payload, 1, 1);
    wire_write_bytes(&payload, 2, slice_of(zeros, size));
    wire_write_bytes(&message, 1, buffer_slice(&payload));
    grpc_prefix_put(buffer_reserve(&framed, GRPC_PREFIX_SIZE), message.size);
    buffer_advance(&framed, GRPC_PREFIX_SIZE);
    buffer_append(&framed, buffer_slice(&message));
    buffer_done(&payload);
    buffer_done(&message);
    return framed;
}

/* Has the service answer the last call with such a message. */
static void answer(size_t size) {
    struct buffer framed = message_of(size);
    service_answer(service, buffer_slice(&framed));
    for (int i = 0; i < 4; i++)
        both_turn();
    buffer_done(&framed);
}

static struct exchange *ask_long(struct slice coding) {
    struct exchange *exchange = ask(coding);
    answer(LONG);
    return exchange;
}

static const struct slice *header_of(const struct exchange *exchange, struct slice name) {
    const struct exchange_answer *answer = exchange_answer(exchange);
    for (size_t i = 0; i < answer->header_count; i++)
        if (slice_equal(answer->headers[i].name, name))
            return &answer->headers[i].value;
    return NULL;
}

/* The JSON of an answer of LONG zeros. */
static void assert_whole(struct slice json) {
    static const char begin[] = "{\"payload\":{\"type\":1,\"body\":\"AAAA", end[] = "AAAA\"}}";
    assert_in_range(json.size, LONG / 3 * 4, LONG / 3 * 4 + sizeof begin + sizeof end);
    assert_memory_equal(json.data, begin, sizeof begin - 1);
    assert_memory_equal(slice_end(json) - (sizeof end - 1), end, sizeof end - 1);
}

static void others_are_answered_while_a_long_answer_is_written(void **state) {
    (void)state;
    struct exchange *large = ask_long(SLICE("identity"));
    for (int i = 0; i < OTHERS; i++) {
        struct exchange *small = ask(SLICE("identity"));
        answer(10);
        assert_int_equal(exchange_answer(small)->status, 200);
        exchange_close(small);
        assert_false(exchange_is_answered(large));
    }
    assert_in_range(atomic_load(&gateway.buffered_bytes), LONG, LONG + (32 << 10));
    pool_gate_open(&gate);
    gated_wait_answer(large);
    assert_int_equal(exchange_answer(large)->status, 200);
    assert_null(header_of(large, SLICE("content-encoding")));
    assert_non_null(header_of(large, SLICE("vary")));
    assert_whole(exchange_ready(large));
    exchange_close(large);
}

static void a_long_answer_is_packed_as_well(void **state) {
    (void)state;
    pool_gate_open(&gate);
    struct exchange *large = ask_long(SLICE("zstd"));
    gated_wait_answer(large);
    assert_true(slice_equal(*header_of(large, SLICE("content-encoding")), SLICE("zstd")));
    struct buffer plain;
    buffer_init(&plain, 2 * LONG);
    struct slice ready = exchange_ready(large);
    assert_in_range(ready.size, 1, LONG / 50);
    assert_int_equal(compressor_unpack(worker.compressor, CODING_ZSTD, ready, &plain),
                     SYNC_ERR_TOO_LARGE); /* beyond a hundredfold: zeros pack that well */
    buffer_done(&plain);
    exchange_close(large);
}

static void a_malformed_long_answer_is_told(void **state) {
    (void)state;
    static uint8_t bad[LONG] = {0, 0, (LONG - 5) >> 16 & 255, (LONG - 5) >> 8 & 255,
                                (LONG - 5) & 255};
    memset(bad + 5, 0xff, sizeof bad - 5);
    pool_gate_open(&gate);
    struct exchange *large = ask(SLICE("identity"));
    service_answer(service, slice_of(bad, sizeof bad));
    both_turn();
    gated_wait_answer(large);
    assert_int_equal(exchange_answer(large)->status, 500);
    exchange_close(large);
}

static void a_call_that_fails_after_its_message_is_told(void **state) {
    (void)state;
    struct buffer framed = message_of(LONG);
    struct exchange *large = ask(SLICE("identity"));
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    service_end(service, buffer_slice(&framed), "5", headers, 2);
    for (int i = 0; i < 4; i++)
        both_turn();
    assert_int_equal(exchange_answer(large)->status, 404);
    exchange_close(large);
    assert_int_equal(atomic_load(&gateway.buffered_bytes), 0);
    buffer_done(&framed);
}

static void a_client_that_goes_leaves_what_a_thread_reads(void **state) {
    (void)state;
    struct exchange *with_pool = ask_long(SLICE("identity")),
                    *waiting = ask_long(SLICE("identity"));
    assert_in_range(atomic_load(&gateway.buffered_bytes), 2 * LONG, 2 * LONG + (64 << 10));
    exchange_close(waiting);
    assert_in_range(atomic_load(&gateway.buffered_bytes), LONG, LONG + (32 << 10));
    exchange_close(with_pool);
    assert_in_range(atomic_load(&gateway.buffered_bytes), LONG, LONG + (32 << 10));
    pool_gate_open(&gate);
    gated_wait_empty();
}

static void an_answer_that_waits_too_long_is_told(void **state) {
    (void)state;
    gateway.limits.call_timeout_us = gateway.limits.stream_timeout_us = 5 * SECOND_US;
    struct exchange *large = ask_long(SLICE("identity"));
    time_pass(4 * SECOND_US);
    assert_false(exchange_is_answered(large));
    time_pass(2 * SECOND_US);
    assert_int_equal(exchange_answer(large)->status, 504);
    exchange_close(large);
    pool_gate_open(&gate);
    gated_wait_empty();
}

/* What the service has done is told, whoever has to write it. */
static void beyond_its_share_a_client_is_answered_at_once(void **state) {
    (void)state;
    struct exchange *open[OFFLOAD_CLIENT_TASKS_MAX];
    for (size_t i = 0; i < OFFLOAD_CLIENT_TASKS_MAX; i++)
        open[i] = ask_long(SLICE("identity"));
    struct exchange *one_more = ask_long(SLICE("identity"));
    assert_true(exchange_is_answered(one_more));
    assert_whole(exchange_ready(one_more));
    exchange_close(one_more);
    for (size_t i = 0; i < OFFLOAD_CLIENT_TASKS_MAX; i++) {
        assert_false(exchange_is_answered(open[i]));
        exchange_close(open[i]);
    }
    pool_gate_open(&gate);
    gated_wait_empty();
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    int refusals = 0;
    struct buffer framed = message_of(LONG);
    pool_gate_open(&gate);
    for (uint64_t n = 1; n <= FAILURES; n++) {
        struct exchange *large = ask(SLICE("identity"));
        memory_fail_after(n);
        service_answer(service, buffer_slice(&framed));
        for (int i = 0; i < 4; i++)
            both_turn();
        memory_fail_after(0);
        gated_wait_answer(large);
        int status = exchange_answer(large)->status;
        if (status == 200)
            assert_whole(exchange_ready(large));
        refusals += status != 200;
        exchange_close(large);
        both_turn();
    }
    buffer_done(&framed);
    assert_in_range(refusals, 1, FAILURES - 1);
    gated_wait_empty();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_GATED(others_are_answered_while_a_long_answer_is_written),
        TEST_GATED(a_long_answer_is_packed_as_well),
        TEST_GATED(a_malformed_long_answer_is_told),
        TEST_GATED(a_call_that_fails_after_its_message_is_told),
        TEST_GATED(a_client_that_goes_leaves_what_a_thread_reads),
        TEST_GATED(an_answer_that_waits_too_long_is_told),
        TEST_GATED(beyond_its_share_a_client_is_answered_at_once),
        TEST_GATED(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
