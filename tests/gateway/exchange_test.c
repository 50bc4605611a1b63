/* What requests hold of the gateway's memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gateway/worker_fixture.h"

enum { HELD_MAX = 1 << 20, REQUESTS_MAX = 1000 };

static void requests_are_bound_by_what_all_of_them_hold(void **state) {
    (void)state;
    static const struct exchange_sink sink;
    struct exchange *exchanges[REQUESTS_MAX];
    gateway.limits.buffered_bytes_max = HELD_MAX;
    for (int round = 0; round < 2; round++) {
        int count = 0;
        while (count < REQUESTS_MAX &&
               (exchanges[count] = exchange_open(&worker, &sink, NULL, &worker_peer)))
            count++;
        assert_in_range(count, 50, 200);
        assert_true(gateway_is_full(&gateway));
        for (int i = 0; i < count; i++)
            exchange_discard(exchanges[i]);
        assert_int_equal(atomic_load(&gateway.buffered_bytes), 0);
    }
}

static void a_body_that_is_refused_leaves_room_for_others(void **state) {
    (void)state;
    static uint8_t body[HELD_MAX];
    gateway.limits.buffered_bytes_max = HELD_MAX;
    http_begin("/v1/output", "application/json");
    memset(body, ' ', sizeof body);
    exchange_body(http_client.exchange, slice_of(body, sizeof body));
    assert_int_equal(exchange_answer(http_client.exchange)->status, 503);
    assert_false(gateway_is_pressed(&gateway));
    exchange_close(http_client.exchange);
}

/* The body of a request for /v1/output whose message has so many bytes, in four thirds of them. */
static struct slice body_of(size_t size) {
    static const char head[] = "{\"payload\":{\"body\":\"";
    static char body[2 * HELD_MAX];
    size_t text = sizeof head - 1, base64 = size / 3 * 4;
    memcpy(body, head, text);
    memset(body + text, 'A', base64);
    memcpy(body + text + base64, "\"}}", 3);
    return slice_of(body, text + base64 + 3);
}

static void a_message_counts_in_the_place_of_its_body(void **state) {
    (void)state;
    enum { SIZE = HELD_MAX / 2 };
    for (int whole = 0; whole < 2; whole++) {
        http_begin("/v1/output", "application/json");
        if (whole)
            exchange_whole_body(http_client.exchange, body_of(SIZE));
        else
            exchange_body(http_client.exchange, body_of(SIZE));
        http_body_end();
        uint64_t held = atomic_load(&gateway.buffered_bytes);
        assert_in_range(held, EXCHANGE_BYTES + SIZE - 3, EXCHANGE_BYTES + SIZE + 100);
        exchange_close(http_client.exchange);
        both_turn();
    }
}

static void a_message_that_is_too_much_is_refused(void **state) {
    (void)state;
    gateway.limits.buffered_bytes_max = HELD_MAX;
    http_begin("/v1/output", "application/json");
    exchange_whole_body(http_client.exchange, body_of(HELD_MAX));
    assert_int_equal(exchange_answer(http_client.exchange)->status, 503);
    assert_false(gateway_is_pressed(&gateway));
    exchange_close(http_client.exchange);
    both_turn();
    assert_string_equal(service->path, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_WORKER(requests_are_bound_by_what_all_of_them_hold),
        TEST_WORKER(a_body_that_is_refused_leaves_room_for_others),
        TEST_WORKER(a_message_counts_in_the_place_of_its_body),
        TEST_WORKER(a_message_that_is_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
