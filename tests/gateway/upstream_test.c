/* How calls are shared among backends, and which of them are started again. */
#include <stdio.h>
#include <unistd.h>

#include "tests/gateway/upstream_fixture.h"

static void open_accepted(unsigned count) {
    upstream_open_all(count);
    for (unsigned i = 0; i < count; i++)
        service_accept(&services[i]);
    both_turn();
}

/* A call that this service gets, and answers well. */
static void call_and_answer(struct service *one) {
    struct caller caller;
    int before = one->calls;
    caller_call(&caller);
    assert_int_equal(one->calls, before + 1);
    service_answer(one, SLICE("\0\0\0\0\0"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

/* A call that this service fails. */
static void call_and_fail(struct service *one, const char *code) {
    struct caller caller;
    int before = one->calls;
    caller_call(&caller);
    assert_int_equal(one->calls, before + 1);
    service_fail(one, code);
    both_turn();
    assert_true(caller.done);
    caller_free(&caller);
}

static void calls_go_in_turn_where_backends_are_equally_busy(void **state) {
    (void)state;
    open_accepted(3);
    for (int i = 0; i < 9; i++)
        call_and_answer(&services[i % 3]);
}

static void a_busy_backend_gets_fewer(void **state) {
    (void)state;
    struct caller held[3], caller;
    open_accepted(2);
    caller_call(&held[0]); /* the first has one, and keeps it */
    assert_int_equal(services[0].calls, 1);
    for (int i = 0; i < 5; i++)
        call_and_answer(&services[1]);
    caller_call(&held[1]);
    caller_call(&held[2]);
    caller_call(&caller);
    assert_int_equal(services[0].calls, 2);
    assert_int_equal(services[1].calls, 5 + 2);
    assert_int_equal(metric_value(series_of(&services[0]).outstanding), 2);
    assert_int_equal(metric_value(series_of(&services[1]).calls), 7);
    for (int i = 0; i < 3; i++) {
        upstream_call_cancel(&held[i].call);
        caller_free(&held[i]);
    }
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
    assert_int_equal(metric_value(series_of(&services[0]).outstanding), 0);
}

/* Where the one connection that there is by the policy takes one call, more are made. */
static void calls_that_find_no_room_get_a_connection_more(void **state) {
    (void)state;
    const nghttp2_settings_entry one = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    struct service *more = &services[1];
    struct caller callers[2];
    open_accepted(1);
    assert_true(dup2(service->peer.listen_fd, more->peer.listen_fd) >= 0);
    nghttp2_submit_settings(service->peer.session, NGHTTP2_FLAG_NONE, &one, 1);
    both_turn();
    caller_call(&callers[0]);
    assert_false(scripted_peer_is_called(&more->peer));
    caller_call(&callers[1]);
    assert_int_equal(service->calls, 1);
    assert_true(scripted_peer_is_called(&more->peer));
    service_accept(more);
    both_turn();
    assert_int_equal(more->calls, 1);
    assert_int_equal(metric_value(series_of(service).sessions), 2);
    service_answer(more, SLICE_EMPTY);
    service_answer(service, SLICE_EMPTY);
    both_turn();
    for (int i = 0; i < 2; i++) {
        assert_true(callers[i].done);
        assert_int_equal(callers[i].result.code, GRPC_OK);
        caller_free(&callers[i]);
    }
    /* It is not made anew when it ends, until it is needed again. */
    scripted_peer_hang_up(&more->peer);
    time_pass(10000000);
    assert_false(scripted_peer_is_called(&more->peer));
    assert_int_equal(metric_value(series_of(service).sessions), 1);
    assert_int_equal(metric_value(series_of(service).up), 1);
}

static void a_refused_call_goes_to_another(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(2);
    caller_call(&caller);
    assert_int_equal(services[0].calls, 1);
    time_us += 1000000;
    service_refuse(&services[0], NGHTTP2_REFUSED_STREAM);
    both_turn();
    assert_false(caller.done);
    assert_int_equal(services[1].calls, 1);
    assert_string_equal(services[1].timeout, "4000000u"); /* what is left of it */
    service_answer(&services[1], SLICE("\0\0\0\0\2hi"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    assert_int_equal(metric_value(series_of(&services[0]).retries), 1);
    caller_free(&caller);
}

static void a_lone_backend_is_asked_again_but_not_for_ever(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(1);
    caller_call(&caller);
    for (int i = 1; i <= UPSTREAM_STARTS_MAX; i++) {
        assert_false(caller.done);
        assert_int_equal(service->calls, i);
        service_refuse(service, NGHTTP2_REFUSED_STREAM);
        both_turn();
    }
    assert_true(caller.done);
    assert_int_equal(service->calls, UPSTREAM_STARTS_MAX);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    caller_free(&caller);
}

static void a_call_whose_time_is_over_is_not_started_again(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(2);
    caller_call(&caller);
    time_us += 5000000;
    service_refuse(&services[0], NGHTTP2_REFUSED_STREAM);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(services[1].calls, 0);
    caller_free(&caller);
}

static void calls_beyond_the_last_of_a_goaway_go_to_another(void **state) {
    (void)state;
    struct caller first, second;
    open_accepted(2);
    caller_call(&first);
    caller_call(&second); /* the other's: make it busier */
    upstream_call_cancel(&second.call);
    caller_free(&second);
    struct caller third;
    caller_call(&third);
    /* One of both backends has two calls, or each one; the first service disowns all it has. */
    nghttp2_submit_goaway(services[0].peer.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL,
                          0);
    both_turn();
    assert_false(first.done);
    assert_false(third.done);
    assert_int_equal(services[1].calls, 3);
    upstream_call_cancel(&first.call);
    upstream_call_cancel(&third.call);
    caller_free(&first);
    caller_free(&third);
}

static void a_call_that_may_have_been_seen_is_never_started_again(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(2);
    caller_call(&caller);
    scripted_peer_hang_up(&services[0].peer);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    assert_int_equal(services[1].calls, 0);
    caller_free(&caller);
}

static void a_failed_call_is_never_started_again(void **state) {
    (void)state;
    open_accepted(2);
    call_and_fail(&services[0], "14");
    assert_int_equal(services[1].calls, 0);
}

static void a_call_waits_for_the_first_connection(void **state) {
    (void)state;
    struct caller caller;
    upstream_open_all(1);
    caller_call(&caller);
    assert_false(caller.done);
    service_accept(service);
    both_turn();
    assert_int_equal(service->calls, 1);
    service_answer(service, SLICE("\0\0\0\0\0"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

static void a_backend_that_never_greets_loses_its_calls_to_another(void **state) {
    (void)state;
    struct caller caller;
    upstream_open_all(2); /* neither accepts: the call goes to the first */
    caller_call(&caller);
    time_us += 500000;
    service_accept(&services[1]);
    both_turn();
    time_pass(700000);
    assert_false(caller.done);
    assert_int_equal(services[1].calls, 1);
    assert_int_equal(services[0].calls, 0);
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
    /* From then on nobody waits for it. */
    call_and_answer(&services[1]);
    call_and_answer(&services[1]);
}

static void calls_are_refused_at_once_where_no_backend_greets(void **state) {
    (void)state;
    struct caller caller;
    upstream_open_all(1);
    time_pass(1200000);
    caller_init(&caller, REQUEST);
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_ERR_UNAVAILABLE);
    assert_false(upstream_call_is_active(&caller.call));
    caller_free(&caller);
}

static void a_lost_connection_is_made_anew(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(1);
    scripted_peer_hang_up(&service->peer);
    both_turn();
    time_us += 2000; /* connects that calls ask for are at least 1 ms apart */
    both_turn();
    caller_call(&caller);
    service_accept(service);
    both_turn();
    service_answer(service, SLICE("\0\0\0\0\0"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

static void the_first_call_finds_a_backend_that_is_back(void **state) {
    (void)state;
    struct caller caller;
    char away[80];
    open_accepted(1);
    snprintf(away, sizeof away, "%s.away", service->peer.path);
    assert_int_equal(rename(service->peer.path, away), 0);
    scripted_peer_hang_up(&service->peer);
    time_pass(1000000);
    caller_init(&caller, REQUEST);
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_ERR_UNAVAILABLE);
    assert_int_equal(rename(away, service->peer.path), 0);
    time_us += 2000;
    assert_int_equal(loop_turn(loop, 0), SYNC_OK);
    caller_start(&caller);
    service_accept(service);
    both_turn();
    assert_int_equal(service->calls, 1);
    service_answer(service, SLICE("\0\0\0\0\0"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

static void calls_end_when_the_upstream_closes(void **state) {
    (void)state;
    struct caller first, second;
    open_accepted(2);
    caller_call(&first);
    caller_call(&second);
    upstream = upstream_close(upstream);
    assert_true(first.done);
    assert_true(second.done);
    assert_int_equal(first.result.code, GRPC_UNAVAILABLE);
    caller_free(&first);
    caller_free(&second);
}

static void a_draining_connection_is_closed_with_the_upstream(void **state) {
    (void)state;
    struct caller caller;
    open_accepted(1);
    caller_call(&caller);
    nghttp2_submit_shutdown_notice(service->peer.session);
    both_turn();
    assert_false(caller.done);
    upstream = upstream_close(upstream);
    assert_true(caller.done);
    caller_free(&caller);
}

static void a_backend_whose_calls_fail_is_left_alone_and_probed(void **state) {
    (void)state;
    open_accepted(2);
    for (int i = 0; i < 5; i++) {
        call_and_fail(&services[0], "14");
        call_and_answer(&services[1]);
    }
    struct backend_series series = series_of(&services[0]);
    assert_int_equal(metric_value(series.ejections), 1);
    assert_int_equal(metric_value(series.up), 0);
    for (int i = 0; i < 5; i++)
        call_and_answer(&services[1]);
    time_pass(2100000);
    /* The probe fails: twice as long. */
    call_and_fail(&services[0], "14");
    assert_int_equal(metric_value(series.ejections), 2);
    for (int i = 0; i < 3; i++)
        call_and_answer(&services[1]);
    time_pass(4100000);
    call_and_answer(&services[0]);
    assert_int_equal(metric_value(series.up), 1);
    call_and_answer(&services[1]);
    call_and_answer(&services[0]);
}

static void statuses_that_clients_bring_about_are_no_failures(void **state) {
    (void)state;
    open_accepted(2);
    for (int i = 0; i < 20; i++) {
        call_and_fail(&services[0], i % 2 ? "4" : "13");
        call_and_answer(&services[1]);
    }
    assert_int_equal(metric_value(series_of(&services[0]).ejections), 0);
}

static void the_last_backend_is_used_however_its_calls_fail(void **state) {
    (void)state;
    open_accepted(2);
    for (int i = 0; i < 5; i++) {
        call_and_fail(&services[0], "14");
        call_and_fail(&services[1], "14");
    }
    assert_int_equal(metric_value(series_of(&services[0]).up), 0);
    assert_int_equal(metric_value(series_of(&services[1]).up), 0);
    call_and_answer(&services[0]);
    call_and_answer(&services[1]);
}

static void a_backend_that_is_back_starts_slowly_where_asked(void **state) {
    (void)state;
    struct caller callers[11];
    policy.slow_start_us = 10000000;
    policy.connect_timeout_us = 60000000;
    upstream_open_all(2);
    service_accept(&services[0]);
    time_pass(10100000);
    service_accept(&services[1]);
    time_pass(2100000); /* a fifth of its way */
    for (int i = 0; i < 11; i++)
        caller_call(&callers[i]);
    assert_int_equal(services[0].calls, 9);
    assert_int_equal(services[1].calls, 2);
    for (int i = 0; i < 11; i++) {
        upstream_call_cancel(&callers[i].call);
        caller_free(&callers[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_CLOSED(calls_go_in_turn_where_backends_are_equally_busy),
        TEST_CLOSED(a_busy_backend_gets_fewer),
        TEST_CLOSED(calls_that_find_no_room_get_a_connection_more),
        TEST_CLOSED(a_refused_call_goes_to_another),
        TEST_CLOSED(a_lone_backend_is_asked_again_but_not_for_ever),
        TEST_CLOSED(a_call_whose_time_is_over_is_not_started_again),
        TEST_CLOSED(calls_beyond_the_last_of_a_goaway_go_to_another),
        TEST_CLOSED(a_call_that_may_have_been_seen_is_never_started_again),
        TEST_CLOSED(a_failed_call_is_never_started_again),
        TEST_CLOSED(a_call_waits_for_the_first_connection),
        TEST_CLOSED(a_backend_that_never_greets_loses_its_calls_to_another),
        TEST_CLOSED(calls_are_refused_at_once_where_no_backend_greets),
        TEST_CLOSED(a_lost_connection_is_made_anew),
        TEST_CLOSED(the_first_call_finds_a_backend_that_is_back),
        TEST_CLOSED(calls_end_when_the_upstream_closes),
        TEST_CLOSED(a_draining_connection_is_closed_with_the_upstream),
        TEST_CLOSED(a_backend_whose_calls_fail_is_left_alone_and_probed),
        TEST_CLOSED(statuses_that_clients_bring_about_are_no_failures),
        TEST_CLOSED(the_last_backend_is_used_however_its_calls_fail),
        TEST_CLOSED(a_backend_that_is_back_starts_slowly_where_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
