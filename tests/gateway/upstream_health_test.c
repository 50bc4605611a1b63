/* How backends are found to be down, silent, and up again. */
#include "tests/gateway/upstream_fixture.h"

enum { INTERVAL_US = 1000000 };

static void open_checked(unsigned count) {
    policy.health_interval_us = INTERVAL_US;
    policy.health_timeout_us = 500000;
    upstream_open_all(count);
    for (unsigned i = 0; i < count; i++)
        service_accept(&services[i]);
    both_turn();
}

/* Makes `count` calls and cancels them; tells how many this service got. */
static int calls_given(const struct service *one, int count) {
    int before = one->calls;
    for (int i = 0; i < count; i++) {
        struct caller caller;
        caller_call(&caller);
        upstream_call_cancel(&caller.call);
        both_turn();
        caller_free(&caller);
    }
    return one->calls - before;
}

static void a_connection_is_checked_at_once_and_again(void **state) {
    (void)state;
    open_checked(1);
    assert_int_equal(service->checks, 1);
    time_pass(3 * INTERVAL_US + 300000);
    assert_in_range(service->checks, 3, 5);
    assert_int_equal(metric_value(series_of(service).up), 1);
    assert_int_equal(metric_value(series_of(service).check_failures), 0);
}

static void the_first_check_decides_and_later_ones_must_agree(void **state) {
    (void)state;
    services[0].health = HEALTH_NOT_SERVING;
    open_checked(2);
    assert_int_equal(metric_value(series_of(&services[0]).up), 0);
    assert_int_equal(calls_given(&services[0], 4), 0);
    services[0].health = HEALTH_SERVING;
    services[0].checks = 0;
    while (services[0].checks < 1)
        time_pass(32000);
    both_turn();
    assert_int_equal(calls_given(&services[0], 4), 0); /* once is not enough */
    while (services[0].checks < 2)
        time_pass(32000);
    both_turn();
    assert_int_equal(calls_given(&services[0], 4), 2);
    services[0].health = HEALTH_NOT_SERVING;
    while (services[0].checks < 3)
        time_pass(32000);
    both_turn();
    assert_int_equal(calls_given(&services[0], 4), 2);
    while (services[0].checks < 4)
        time_pass(32000);
    both_turn();
    assert_int_equal(calls_given(&services[0], 4), 0);
    assert_int_equal(metric_value(series_of(&services[0]).check_failures), 3);
}

static void a_backend_without_the_health_service_is_well(void **state) {
    (void)state;
    service->health = HEALTH_UNIMPLEMENTED;
    open_checked(1);
    time_pass(3 * INTERVAL_US);
    assert_true(service->checks >= 2);
    assert_int_equal(metric_value(series_of(service).up), 1);
}

static void the_last_backend_is_used_though_it_says_that_it_does_not_serve(void **state) {
    (void)state;
    service->health = HEALTH_NOT_SERVING;
    open_checked(1);
    assert_int_equal(calls_given(service, 3), 3);
}

static void a_silent_backend_gets_no_calls_and_keeps_those_it_has(void **state) {
    (void)state;
    struct caller held, more;
    open_checked(2);
    caller_call(&held);
    assert_int_equal(services[0].calls, 1);
    services[0].health = HEALTH_SILENT;
    time_pass(INTERVAL_US + 700000); /* one check missed */
    assert_int_equal(metric_value(series_of(&services[0]).up), 0);
    assert_int_equal(calls_given(&services[0], 4), 0);
    time_pass(700000); /* two: a new connection is tried, which nobody greets */
    time_pass(1500000);
    assert_int_equal(calls_given(&services[0], 4), 0);
    assert_int_equal(metric_value(series_of(&services[0]).sessions), 0);
    /* It was only busy: the call is answered after all. */
    assert_false(held.done);
    service_answer(&services[0], SLICE("\0\0\0\0\2hi"));
    both_turn();
    assert_true(held.done);
    assert_int_equal(held.result.code, GRPC_OK);
    caller_free(&held);
    caller_call(&more);
    upstream_call_cancel(&more.call);
    caller_free(&more);
}

static void a_lone_silent_backend_is_refused_at_once(void **state) {
    (void)state;
    struct caller caller;
    open_checked(1);
    service->health = HEALTH_SILENT;
    time_pass(INTERVAL_US + 1200000 + 1200000);
    caller_init(&caller, REQUEST);
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_ERR_UNAVAILABLE);
    caller_free(&caller);
}

static void calls_on_a_silent_connection_end_at_last(void **state) {
    (void)state;
    struct caller caller;
    policy.silence_max_us = 5000000;
    open_checked(1);
    caller_init(&caller, REQUEST);
    caller.call.timeout_us = 3600000000; /* such as a stream's */
    caller_start(&caller);
    service->health = HEALTH_SILENT;
    time_pass(INTERVAL_US + 1200000 + 4000000);
    assert_false(caller.done);
    time_pass(1500000);
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    caller_free(&caller);
}

static void a_silent_backend_that_answers_again_is_used_again(void **state) {
    (void)state;
    open_checked(1);
    service->health = HEALTH_SILENT;
    time_pass(INTERVAL_US + 700000);
    assert_int_equal(metric_value(series_of(service).up), 0);
    service->health = HEALTH_SERVING;
    time_pass(500000); /* the check that is out stays unanswered; its connection drains */
    scripted_peer_hang_up(&service->peer);
    service_accept(service);
    time_pass(500000);
    assert_int_equal(metric_value(series_of(service).up), 1);
    assert_int_equal(calls_given(service, 2), 2);
}

static void a_backend_that_is_slow_to_be_checked_is_not_silent(void **state) {
    (void)state;
    struct caller caller;
    open_checked(1);
    service->health = HEALTH_SILENT;
    for (int i = 0; i < 40; i++) { /* it answers calls, though no checks */
        caller_call(&caller);
        service_answer(service, SLICE("\0\0\0\0\0"));
        time_pass(100000);
        assert_int_equal(caller.result.code, GRPC_OK);
        caller_free(&caller);
    }
    assert_int_equal(metric_value(series_of(service).up), 1);
    assert_int_equal(service->calls, 40);
}

static void a_full_connection_is_not_checked(void **state) {
    (void)state;
    const nghttp2_settings_entry one = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    struct caller caller;
    open_checked(1);
    nghttp2_submit_settings(service->peer.session, NGHTTP2_FLAG_NONE, &one, 1);
    both_turn();
    caller_init(&caller, REQUEST);
    caller.call.timeout_us = 3600000000;
    caller_start(&caller);
    int checks = service->checks;
    time_pass(10 * INTERVAL_US);
    assert_int_equal(service->checks, checks);
    assert_int_equal(metric_value(series_of(service).up), 1);
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
    time_pass(2 * INTERVAL_US);
    assert_true(service->checks > checks);
}

static void drains_have_a_bound(void **state) {
    (void)state;
    struct caller callers[12];
    open_checked(1);
    int done = 0;
    for (int i = 0; i < 12; i++) {
        caller_init(&callers[i], REQUEST);
        callers[i].call.timeout_us = 3600000000;
        caller_start(&callers[i]);
        nghttp2_submit_shutdown_notice(service->peer.session);
        both_turn();
        /* Its end of the connection stays open, unread: the peer has one at a time. */
        nghttp2_session_del(service->peer.session);
        service->peer.session = NULL;
        time_pass(200000);
        service_accept(service);
        both_turn();
    }
    for (int i = 0; i < 12; i++) {
        done += callers[i].done;
        upstream_call_cancel(&callers[i].call);
        caller_free(&callers[i]);
    }
    assert_int_equal(done, 12 - 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_CLOSED(a_connection_is_checked_at_once_and_again),
        TEST_CLOSED(the_first_check_decides_and_later_ones_must_agree),
        TEST_CLOSED(a_backend_without_the_health_service_is_well),
        TEST_CLOSED(the_last_backend_is_used_though_it_says_that_it_does_not_serve),
        TEST_CLOSED(a_silent_backend_gets_no_calls_and_keeps_those_it_has),
        TEST_CLOSED(a_lone_silent_backend_is_refused_at_once),
        TEST_CLOSED(calls_on_a_silent_connection_end_at_last),
        TEST_CLOSED(a_silent_backend_that_answers_again_is_used_again),
        TEST_CLOSED(a_backend_that_is_slow_to_be_checked_is_not_silent),
        TEST_CLOSED(a_full_connection_is_not_checked),
        TEST_CLOSED(drains_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
