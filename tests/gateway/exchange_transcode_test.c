/* Long bodies as exchanges: others are answered while one is transcoded, and whatever happens
 * meanwhile, what it holds is counted and given back. */
#include "tests/gateway/gated_fixture.h"

#include "base/memory.h"

enum { LONG = 600 << 10, OTHERS = 20, FAILURES = 20 };

/* Sends a request whose body is long; `more` are members before the long one. */
static struct exchange *begin_long(const char *more) {
    struct buffer body;
    buffer_init(&body, 2 * LONG);
    buffer_append_format(&body, "{%s\"payload\":{\"body\":\"", more);
    memset(buffer_reserve(&body, LONG), 'A', LONG);
    buffer_advance(&body, LONG);
    buffer_append(&body, SLICE("\"}}"));
    http_begin("/v1/output", "application/json");
    http_body(buffer_slice(&body));
    buffer_done(&body);
    http_body_end();
    return http_client.exchange;
}

/* Lets the pool work until the service has got so many calls and their requests. */
static void wait_for_calls(int calls) {
    for (int i = 0; (service->calls < calls || !service->request_ended) && i < GATED_TURNS_MAX;
         i++) {
        assert_int_equal(loop_turn(loop, GATED_TURN_MS), SYNC_OK);
        both_turn();
    }
    assert_int_equal(service->calls, calls);
    assert_true(service->request_ended);
}

static void others_are_answered_while_a_long_body_is_transcoded(void **state) {
    (void)state;
    struct exchange *large = begin_long("");
    for (int i = 0; i < OTHERS; i++) {
        http_begin("/v1/output", "application/json");
        http_body(SLICE("{}"));
        http_body_end();
        assert_int_equal(service->calls, i + 1);
        service_answer(service, SLICE_EMPTY);
        both_turn();
        assert_int_equal(exchange_answer(http_client.exchange)->status, 200);
        exchange_close(http_client.exchange);
        assert_false(exchange_is_answered(large));
    }
    pool_gate_open(&gate);
    wait_for_calls(OTHERS + 1);
    assert_in_range(service->request.size, LONG * 3 / 4, LONG * 3 / 4 + 200);
    service_answer(service, SLICE_EMPTY);
    both_turn();
    assert_int_equal(exchange_answer(large)->status, 200);
    exchange_close(large);
}

static void faults_of_a_long_body_are_told(void **state) {
    (void)state;
    struct exchange *large = begin_long("\"responseType\":\"x\",\"unheard\":1,");
    pool_gate_open(&gate);
    gated_wait_answer(large);
    assert_int_equal(exchange_answer(large)->status, 400);
    struct slice ready = exchange_ready(large);
    static const char fault[] = "The request has 2 faults; the first is in responseType";
    assert_non_null(memmem(ready.data, ready.size, fault, sizeof fault - 1));
    assert_int_equal(service->calls, 0);
    exchange_close(large);
}

/* Sends a request whose body is in a coding. */
static struct exchange *begin_coded(struct slice coded) {
    static const struct transcode_header header = {SLICE("content-encoding"), SLICE("zstd")};
    return gated_post("/v1/output", header, coded);
}

/* Of much text that hardly packs, or of less that packs well: the first is long as it comes, the
 * other once it is decoded. */
static void coded_bodies_are_decoded_first(void **state) {
    (void)state;
    pool_gate_open(&gate);
    for (int round = 0; round < 2; round++) {
        struct buffer body, coded;
        buffer_init(&body, 2 * LONG);
        buffer_init(&coded, 2 * LONG);
        uint64_t seed = 1;
        buffer_append(&body, SLICE("{\"payload\":{\"body\":\""));
        for (int i = 0; i < LONG; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            buffer_append_byte(&body,
                               (uint8_t)('A' + (round ? (int)(seed >> 33) % 26 : i / 99 % 26)));
        }
        buffer_append(&body, SLICE("\"}}"));
        assert_int_equal(
            compressor_pack(worker.compressor, CODING_ZSTD, buffer_slice(&body), &coded), SYNC_OK);
        buffer_clear(&service->request);
        struct exchange *exchange = begin_coded(buffer_slice(&coded));
        wait_for_calls(round + 1);
        assert_in_range(service->request.size, LONG * 3 / 4, LONG * 3 / 4 + 200);
        exchange_close(exchange);
        coded.data[coded.size / 2] ^= 0xff;
        coded.size -= 9;
        exchange = begin_coded(buffer_slice(&coded));
        gated_wait_answer(exchange);
        assert_int_equal(exchange_answer(exchange)->status, 400);
        exchange_close(exchange);
        both_turn();
        buffer_done(&coded);
        buffer_done(&body);
    }
}

static void a_client_that_goes_leaves_what_a_thread_reads(void **state) {
    (void)state;
    struct exchange *with_pool = begin_long(""), *waiting = begin_long("");
    assert_in_range(atomic_load(&gateway.buffered_bytes), 2 * LONG, 2 * LONG + (64 << 10));
    exchange_close(waiting);
    assert_in_range(atomic_load(&gateway.buffered_bytes), LONG, LONG + (32 << 10));
    exchange_close(with_pool);
    assert_in_range(atomic_load(&gateway.buffered_bytes), LONG, LONG + (32 << 10));
    pool_gate_open(&gate);
    gated_wait_empty();
    assert_int_equal(service->calls, 0);
}

static void a_body_that_waits_too_long_is_answered(void **state) {
    (void)state;
    gateway.limits.call_timeout_us = gateway.limits.stream_timeout_us = 5 * SECOND_US;
    struct exchange *large = begin_long("");
    time_pass(4 * SECOND_US);
    assert_false(exchange_is_answered(large));
    time_pass(2 * SECOND_US);
    assert_int_equal(exchange_answer(large)->status, 504);
    exchange_close(large);
    pool_gate_open(&gate);
    gated_wait_empty();
}

static void one_client_has_no_more_than_its_share(void **state) {
    (void)state;
    struct exchange *open[OFFLOAD_CLIENT_TASKS_MAX];
    for (size_t i = 0; i < OFFLOAD_CLIENT_TASKS_MAX; i++)
        open[i] = begin_long("");
    struct exchange *one_more = begin_long("");
    assert_int_equal(exchange_answer(one_more)->status, 503);
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
    for (uint64_t n = 1; n <= FAILURES; n++) {
        struct buffer body;
        buffer_init(&body, 2 * LONG);
        buffer_append(&body, SLICE("{\"payload\":{\"body\":\""));
        memset(buffer_reserve(&body, LONG), 'A', LONG);
        buffer_advance(&body, LONG);
        buffer_append(&body, SLICE("\"}}"));
        http_begin("/v1/output", "application/json");
        http_body(buffer_slice(&body));
        buffer_done(&body);
        memory_fail_after(n);
        exchange_end(http_client.exchange);
        memory_fail_after(0);
        if (exchange_is_answered(http_client.exchange)) {
            assert_int_equal(exchange_answer(http_client.exchange)->status, 503);
            refusals++;
        }
        exchange_close(http_client.exchange);
    }
    assert_in_range(refusals, 2, FAILURES - OFFLOAD_RUNNING_MAX);
    pool_gate_open(&gate);
    gated_wait_empty();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_GATED(others_are_answered_while_a_long_body_is_transcoded),
        TEST_GATED(faults_of_a_long_body_are_told),
        TEST_GATED(coded_bodies_are_decoded_first),
        TEST_GATED(a_client_that_goes_leaves_what_a_thread_reads),
        TEST_GATED(a_body_that_waits_too_long_is_answered),
        TEST_GATED(one_client_has_no_more_than_its_share),
        TEST_GATED(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
