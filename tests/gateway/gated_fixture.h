/* Gated fixture: a worker whose long work waits at a gate, for tests of what happens meanwhile. */
#ifndef TESTS_GATEWAY_GATED_FIXTURE_H
#define TESTS_GATEWAY_GATED_FIXTURE_H

#include "gateway/offload.h"
#include "tests/gateway/pool_gate.h"
#include "tests/gateway/worker_fixture.h"

enum { GATED_TURN_MS = 100, GATED_TURNS_MAX = 1000 };

static struct work_pool *pool;
static struct pool_gate gate;

/* A worker whose pool has one thread, which stands at the gate. */
static inline int gated_setup(void **state) {
    worker_setup(state);
    assert_int_equal(work_pool_open("test", 1, OFFLOAD_RUNNING_MAX + 1, &pool), SYNC_OK);
    assert_int_equal(offload_open(loop, pool, &worker.offload), SYNC_OK);
    pool_gate_shut(&gate, pool);
    return 0;
}

static inline int gated_teardown(void **state) {
    pool_gate_open(&gate);
    worker.offload = offload_close(worker.offload);
    pool = work_pool_close(pool);
    return worker_teardown(state);
}

#define TEST_GATED(name) cmocka_unit_test_setup_teardown(name, gated_setup, gated_teardown)

static inline void gated_told(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
}

/* POSTs JSON to a path, with one header more, as an exchange of its own. */
static inline struct exchange *gated_post(const char *path, struct transcode_header header,
                                          struct slice body) {
    static const struct exchange_sink sink = {gated_told, gated_told, gated_told, NULL};
    static struct transcode_header headers[2];
    headers[0] = (struct transcode_header){SLICE("content-type"), SLICE("application/json")};
    headers[1] = header;
    const struct exchange_head head = {.method = SLICE("POST"),
                                       .path = slice_text(path),
                                       .headers = headers,
                                       .header_count = 2,
                                       .has_body = true,
                                       .content_length = body.size};
    struct exchange *exchange = exchange_open(&worker, &sink, NULL, &worker_peer);
    assert_non_null(exchange);
    exchange_begin(exchange, &head);
    exchange_body(exchange, body);
    exchange_end(exchange);
    both_turn();
    return exchange;
}

static inline void gated_wait_answer(const struct exchange *exchange) {
    for (int i = 0; !exchange_is_answered(exchange) && i < GATED_TURNS_MAX; i++)
        assert_int_equal(loop_turn(loop, GATED_TURN_MS), SYNC_OK);
    assert_true(exchange_is_answered(exchange));
}

/* Waits until nothing is held for exchanges. */
static inline void gated_wait_empty(void) {
    for (int i = 0; atomic_load(&gateway.buffered_bytes) > 0 && i < GATED_TURNS_MAX; i++)
        assert_int_equal(loop_turn(loop, GATED_TURN_MS), SYNC_OK);
    assert_int_equal(atomic_load(&gateway.buffered_bytes), 0);
}

#endif
