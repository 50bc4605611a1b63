/* What a call is told of its answer, by a service that is scripted frame by frame. */
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "tests/gateway/upstream_fixture.h"

static void a_unary_call_goes_there_and_back(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    assert_true(service->request_ended);
    assert_string_equal(service->path, "/p.S/M");
    assert_string_equal(service->timeout, "5000000u");
    assert_string_equal(service->authorization, "Bearer x");
    assert_true(slice_equal(buffer_slice(&service->request), REQUEST));
    service_answer(service, SLICE("\0\0\0\0\2hi"));
    both_turn();
    assert_int_equal(caller.messages, 1);
    assert_true(slice_equal(buffer_slice(&caller.last), SLICE("hi")));
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    assert_false(upstream_call_is_active(&caller.call));
    caller_free(&caller);
}

static void a_call_has_begun_before_its_first_message(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    assert_int_equal(caller.begun, 0);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    nghttp2_submit_headers(service->peer.session, NGHTTP2_FLAG_NONE, service->stream_id, NULL,
                           headers, 2, NULL);
    both_turn();
    assert_int_equal(caller.begun, 1);
    assert_int_equal(caller.messages, 0);
    assert_false(caller.done);
    const nghttp2_nv trailers[] = {nv("grpc-status", "14")};
    nghttp2_submit_headers(service->peer.session, NGHTTP2_FLAG_END_STREAM, service->stream_id, NULL,
                           trailers, 1, NULL);
    both_turn();
    assert_int_equal(caller.begun, 1);
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    caller_free(&caller);
}

static void an_error_comes_with_message_and_details(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("grpc-status", "5"), nv("grpc-message", "no%20such"),
                                  nv("grpc-status-details-bin", "CAUSAW0")};
    nghttp2_submit_response(service->peer.session, service->stream_id, headers, 5, NULL);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_NOT_FOUND);
    assert_int_equal(caller.begun, 0);
    assert_true(slice_equal(caller.result.message, SLICE("no such")));
    assert_true(slice_equal(caller.result.details, SLICE("\x08\x05\x12\x01m")));
    caller_free(&caller);
}

/* Answers as a service does whose details are too large for the trailers. */
static void service_fail_large(struct slice message) {
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("status-details", "message")};
    service_end(service, message, "3", headers, 3);
}

static void large_details_come_as_a_message(void **state) {
    (void)state;
    enum { SIZE = 60000 }; /* what trailers could not hold */
    struct caller caller;
    caller_call(&caller);
    assert_true(service->details_accepted);
    uint8_t *bytes = memory_zalloc(1, GRPC_PREFIX_SIZE + SIZE);
    assert_non_null(bytes);
    grpc_prefix_put(bytes, SIZE);
    memset(bytes + GRPC_PREFIX_SIZE, 'd', SIZE);
    service_fail_large(slice_of(bytes, GRPC_PREFIX_SIZE + SIZE));
    for (int i = 0; i < 20; i++)
        both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.begun, 0);
    assert_int_equal(caller.messages, 0);
    assert_int_equal(caller.result.code, GRPC_INVALID_ARGUMENT);
    assert_true(slice_equal(caller.result.details, slice_of(bytes + GRPC_PREFIX_SIZE, SIZE)));
    memory_free(bytes);
    caller_free(&caller);
}

static void details_that_cannot_be_kept_are_no_details(void **state) {
    (void)state;
    struct caller caller;
    caller_init(&caller, REQUEST);
    arena_done(&caller.arena);
    arena_init(&caller.arena, 64);
    caller_start(&caller);
    static uint8_t bytes[GRPC_PREFIX_SIZE + 100];
    grpc_prefix_put(bytes, 100);
    service_fail_large(slice_of(bytes, sizeof bytes));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_int_equal(caller.result.details.size, 0);
    caller_free(&caller);
}

static void large_details_are_bounded_as_an_answer_is(void **state) {
    (void)state;
    struct caller caller;
    caller_init(&caller, REQUEST);
    caller.call.response_max = 99;
    caller_start(&caller);
    static uint8_t bytes[GRPC_PREFIX_SIZE + 100];
    grpc_prefix_put(bytes, 100);
    service_fail_large(slice_of(bytes, sizeof bytes));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_RESOURCE_EXHAUSTED);
    caller_free(&caller);
}

static void an_answer_without_a_status_is_no_success(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "text/html")};
    nghttp2_submit_response(service->peer.session, service->stream_id, headers, 2, NULL);
    both_turn();
    assert_true(caller.done);
    assert_int_not_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

static void a_held_call_stops_the_service_until_let_go(void **state) {
    (void)state;
    enum { MESSAGE = 256 << 10, MESSAGES = 7 };
    struct caller caller;
    caller_init(&caller, REQUEST);
    struct buffer stream;
    buffer_init(&stream, 16 << 20);
    for (int i = 0; i < MESSAGES; i++) {
        uint8_t prefix[GRPC_PREFIX_SIZE];
        grpc_prefix_put(prefix, MESSAGE);
        buffer_append(&stream, slice_of(prefix, sizeof prefix));
        memset(buffer_reserve(&stream, MESSAGE), 'm', MESSAGE);
        buffer_advance(&stream, MESSAGE);
    }
    caller_start(&caller);
    upstream_call_hold(&caller.call, true);
    int send_buffer = 16 << 20;
    setsockopt(service->peer.fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer);
    service_answer(service, buffer_slice(&stream));
    for (int i = 0; i < 2000 && caller.messages < MESSAGES; i++) {
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        uint8_t bytes[4096];
        ssize_t size;
        while ((size = recv(service->peer.fd, bytes, sizeof bytes, 0)) > 0)
            nghttp2_session_mem_recv(service->peer.session, bytes, (size_t)size);
        const uint8_t *frames;
        size = nghttp2_session_mem_send(service->peer.session, &frames);
        for (ssize_t sent = 0; sent < size;) {
            ssize_t rc = send(service->peer.fd, frames + sent, (size_t)(size - sent), 0);
            sent += rc > 0 ? rc : 0;
            assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        }
        if (size == 0 && caller.call.held_back) {
            /* The window of 1 MiB is used up. */
            assert_true(caller.messages >= 3 && caller.messages < MESSAGES);
            upstream_call_hold(&caller.call, false);
        }
    }
    both_turn();
    assert_int_equal(caller.messages, MESSAGES);
    assert_true(caller.done);
    buffer_done(&stream);
    caller_free(&caller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_goes_there_and_back),
        TEST(a_call_has_begun_before_its_first_message),
        TEST(an_error_comes_with_message_and_details),
        TEST(large_details_come_as_a_message),
        TEST(details_that_cannot_be_kept_are_no_details),
        TEST(large_details_are_bounded_as_an_answer_is),
        TEST(an_answer_without_a_status_is_no_success),
        TEST(a_held_call_stops_the_service_until_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
