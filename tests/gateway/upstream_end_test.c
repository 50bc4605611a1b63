/* How calls end before their answer: cancelled by us, or by the service. */
#include "tests/gateway/upstream_fixture.h"

static void a_cancelled_call_is_reset_and_told_nothing(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    upstream_call_cancel(&caller.call);
    upstream_call_cancel(&caller.call);
    both_turn();
    assert_true(service->reset);
    assert_int_equal(service->reset_code, NGHTTP2_CANCEL);
    assert_false(caller.done);
    caller_free(&caller);
}

static void a_call_cancelled_before_it_is_sent_leaves_no_trace(void **state) {
    (void)state;
    struct caller caller;
    caller_init(&caller, REQUEST);
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_OK);
    upstream_call_cancel(&caller.call);
    both_turn();
    assert_string_equal(service->path, "");
    assert_false(caller.done);
    caller_free(&caller);
}

static void a_message_may_cancel_its_call(void **state) {
    (void)state;
    struct caller caller;
    caller_init(&caller, REQUEST);
    caller.cancel_on_message = true;
    caller_start(&caller);
    service_answer(service, SLICE("\0\0\0\0\1a\0\0\0\0\1b"));
    both_turn();
    assert_int_equal(caller.messages, 1);
    assert_false(caller.done);
    caller_free(&caller);
}

static void a_call_that_the_service_cancels_finds_it_unavailable(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    nghttp2_submit_rst_stream(service->peer.session, NGHTTP2_FLAG_NONE, service->stream_id,
                              NGHTTP2_CANCEL);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    caller_free(&caller);
}

static void a_call_that_the_service_cancels_at_its_deadline_has_exceeded_it(void **state) {
    (void)state;
    struct caller caller;
    for (int passed = 0; passed < 2; passed++) {
        caller_call(&caller);
        time_pass(caller.call.timeout_us / (passed ? 1 : 2));
        nghttp2_submit_rst_stream(service->peer.session, NGHTTP2_FLAG_NONE, service->stream_id,
                                  NGHTTP2_CANCEL);
        both_turn();
        assert_true(caller.done);
        assert_int_equal(caller.result.code, passed ? GRPC_DEADLINE_EXCEEDED : GRPC_UNAVAILABLE);
        caller_free(&caller);
    }
}

static void a_call_cancelled_by_a_service_that_stops_finds_it_unavailable(void **state) {
    (void)state;
    static const int CODES[] = {GRPC_CANCELLED, GRPC_UNAVAILABLE};
    struct caller caller;
    for (int stops = 0; stops < 2; stops++) {
        caller_init(&caller, REQUEST);
        caller_start(&caller);
        const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                      nv("grpc-status", "1")};
        if (stops)
            nghttp2_submit_shutdown_notice(service->peer.session);
        nghttp2_submit_response(service->peer.session, service->stream_id, headers, 3, NULL);
        both_turn();
        assert_true(caller.done);
        assert_int_equal(caller.result.code, CODES[stops]);
        caller_free(&caller);
    }
}

static void a_call_that_the_service_dropped_unread_finds_it_unavailable(void **state) {
    (void)state;
    /* What the C core says of a call that comes as it shuts down, maybe ahead of its GOAWAY. */
    static const char *const MESSAGES[] = {"CANCELLED", "the%20order%20was%20cancelled"};
    static const int CODES[] = {GRPC_UNAVAILABLE, GRPC_CANCELLED};
    struct caller caller;
    for (int own = 0; own < 2; own++) {
        caller_init(&caller, REQUEST);
        caller_start(&caller);
        const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                      nv("grpc-status", "1"), nv("grpc-message", MESSAGES[own])};
        nghttp2_submit_response(service->peer.session, service->stream_id, headers, 4, NULL);
        both_turn();
        assert_true(caller.done);
        assert_int_equal(caller.result.code, CODES[own]);
        caller_free(&caller);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_cancelled_call_is_reset_and_told_nothing),
        TEST(a_call_cancelled_before_it_is_sent_leaves_no_trace),
        TEST(a_message_may_cancel_its_call),
        TEST(a_call_that_the_service_cancels_finds_it_unavailable),
        TEST(a_call_that_the_service_cancels_at_its_deadline_has_exceeded_it),
        TEST(a_call_cancelled_by_a_service_that_stops_finds_it_unavailable),
        TEST(a_call_that_the_service_dropped_unread_finds_it_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
