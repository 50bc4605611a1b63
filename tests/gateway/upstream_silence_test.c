/* Connections that fall silent while they have calls: asked by PING, and given up without answer.
 */
#include "tests/gateway/upstream_fixture.h"

enum { AFTER_US = 10000000, ANSWER_US = 2000000, STEP_US = 50000 };

static int setup_asked(void **state) {
    setup_closed(state);
    policy.ping = (struct keepalive){.after_us = AFTER_US, .timeout_us = ANSWER_US};
    upstream_open_all(1);
    service_accept(service);
    both_turn();
    return 0;
}

/* Time in which the service, or what leads to it, is dead. */
static void dead_time_pass(uint64_t us) {
    for (uint64_t passed = 0; passed < us; passed += STEP_US) {
        time_us += STEP_US;
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
    }
}

static void stream_start(struct caller *caller) {
    caller_init(caller, REQUEST);
    caller->call.timeout_us = 3600000000;
    caller_start(caller);
}

static void a_call_on_a_dead_connection_ends(void **state) {
    (void)state;
    struct caller caller;
    stream_start(&caller);
    dead_time_pass(AFTER_US + ANSWER_US - 200000);
    assert_false(caller.done);
    dead_time_pass(500000);
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    caller_free(&caller);
}

static void who_answers_stays_however_long_it_has_nothing_to_say(void **state) {
    (void)state;
    struct caller caller;
    stream_start(&caller);
    time_pass(10 * (uint64_t)AFTER_US);
    assert_false(caller.done);
    assert_in_range(service->pings, 8, 10);
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
}

static void a_connection_without_calls_is_not_asked(void **state) {
    (void)state;
    time_pass(5 * (uint64_t)AFTER_US);
    assert_int_equal(service->pings, 0);
}

static void the_first_call_after_a_long_silence_asks_at_once(void **state) {
    (void)state;
    struct caller caller;
    time_pass(2 * (uint64_t)AFTER_US);
    caller_init(&caller, REQUEST);
    caller.call.timeout_us = 3600000000;
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_OK);
    dead_time_pass(ANSWER_US + 300000);
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    caller_free(&caller);
}

static void a_call_that_was_given_up_unanswered_has_its_connection_asked_once(void **state) {
    (void)state;
    struct caller caller;
    for (int i = 0; i < 3; i++) {
        caller_call(&caller);
        time_pass(2000000); /* the service is well, and slow */
        upstream_call_cancel(&caller.call);
        caller_free(&caller);
        both_turn();
        assert_int_equal(service->pings, 1);
    }
}

static void a_connection_that_does_not_answer_then_is_given_up(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    dead_time_pass(2000000);
    upstream_call_cancel(&caller.call);
    assert_int_equal(metric_value(series_of(service).sessions), 1);
    dead_time_pass(ANSWER_US + 200000);
    assert_int_equal(metric_value(series_of(service).sessions), 0);
    caller_free(&caller);
}

#define ASKED(test) cmocka_unit_test_setup_teardown(test, setup_asked, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ASKED(a_call_on_a_dead_connection_ends),
        ASKED(who_answers_stays_however_long_it_has_nothing_to_say),
        ASKED(a_connection_without_calls_is_not_asked),
        ASKED(the_first_call_after_a_long_silence_asks_at_once),
        ASKED(a_call_that_was_given_up_unanswered_has_its_connection_asked_once),
        ASKED(a_connection_that_does_not_answer_then_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
