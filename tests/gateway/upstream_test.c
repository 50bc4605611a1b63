/* The way to the service, against a service that is scripted frame by frame. */
#include "gateway/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gateway/grpc_status.h"
#include "tests/gateway/scripted_peer.h"

/* The service: it notes what it gets and is told what to answer. */
struct service {
    struct scripted_peer peer;
    int32_t stream_id;
    struct buffer request;
    char path[128], timeout[32], authorization[64];
    uint32_t reset_code;
    bool request_ended, reset, details_accepted;
};

static struct service service;
static struct address address;
static uint8_t scratch[64 << 10];

static int service_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                          void *context) {
    (void)session, (void)flags, (void)context;
    service.stream_id = frame->hd.stream_id;
    struct slice key = slice_of(name, name_size);
    if (slice_equal(key, SLICE(":path")))
        snprintf(service.path, sizeof service.path, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("grpc-timeout")))
        snprintf(service.timeout, sizeof service.timeout, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("accept-status-details")))
        service.details_accepted = slice_equal(slice_of(value, size), SLICE("message"));
    if (slice_equal(key, SLICE("authorization")))
        snprintf(service.authorization, sizeof service.authorization, "%.*s", (int)size,
                 (const char *)value);
    return 0;
}

static int service_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                        const uint8_t *data, size_t size, void *context) {
    (void)session, (void)flags, (void)stream_id, (void)context;
    buffer_append(&service.request, slice_of(data, size));
    return 0;
}

static int service_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    (void)session, (void)context;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        service.reset = true;
        service.reset_code = frame->rst_stream.error_code;
    } else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        service.request_ended = true;
    }
    return 0;
}

static void service_accept(void) {
    static const struct scripted_events events = {
        .header = service_header, .data = service_data, .frame = service_frame};
    scripted_peer_accept(&service.peer, &events, NULL);
}

/* Answers, with this status behind the data. */
static void service_end(struct slice data, const char *code, const nghttp2_nv *headers,
                        size_t count) {
    struct scripted_peer *peer = &service.peer;
    peer->data = data;
    peer->trailers[0] = nv("grpc-status", code);
    peer->trailer_count = 1;
    scripted_peer_answer(peer, peer->session, service.stream_id, headers, count);
}

static void service_answer(struct slice data) {
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    service_end(data, "0", headers, 2);
}

static const char request_bytes[] = "\0\0\0\0\3abc";
#define REQUEST slice_of(request_bytes, 8)

/* What a call was told. */
struct caller {
    struct upstream_call call;
    struct arena arena;
    int begun, messages;
    struct buffer last;
    bool done, cancel_on_message;
    struct upstream_result result;
};

static void caller_message(struct upstream_call *call, struct slice message) {
    struct caller *caller = (struct caller *)call;
    caller->messages++;
    buffer_clear(&caller->last);
    buffer_append(&caller->last, message);
    if (caller->cancel_on_message)
        upstream_call_cancel(call);
}

static void caller_done(struct upstream_call *call, const struct upstream_result *result) {
    struct caller *caller = (struct caller *)call;
    assert_false(caller->done);
    caller->done = true;
    caller->result = *result;
}

static void caller_begun(struct upstream_call *call) {
    ((struct caller *)call)->begun++;
}

static const struct upstream_call_events caller_events = {
    .begun = caller_begun, .message = caller_message, .done = caller_done};

static void caller_init(struct caller *caller, struct slice request) {
    static const struct transcode_header metadata[] = {
        {{(const uint8_t *)"authorization", 13}, {(const uint8_t *)"Bearer x", 8}}};
    memset(caller, 0, sizeof *caller);
    arena_init(&caller->arena, 1 << 20);
    buffer_init(&caller->last, 8 << 20);
    caller->call = (struct upstream_call){.events = &caller_events,
                                          .arena = &caller->arena,
                                          .path = SLICE("/p.S/M"),
                                          .request = request,
                                          .timeout_us = 5000000,
                                          .metadata = metadata,
                                          .metadata_count = 1,
                                          .response_max = 4 << 20};
}

static void caller_free(struct caller *caller) {
    buffer_done(&caller->last);
    arena_done(&caller->arena);
}

static struct loop *loop;
static struct upstream *upstream;

static void both_turn(void) {
    for (int i = 0; i < 50; i++) {
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        scripted_peer_turn(&service.peer);
    }
}

/* Starts the call, and lets its request arrive. */
static void caller_start(struct caller *caller) {
    assert_int_equal(upstream_start(upstream, &caller->call), SYNC_OK);
    both_turn();
}

/* The same with a call that is as most are. */
static void caller_call(struct caller *caller) {
    caller_init(caller, REQUEST);
    caller_start(caller);
}

static int setup(void **state) {
    (void)state;
    memset(&service, 0, sizeof service);
    buffer_init(&service.request, 8 << 20);
    scripted_peer_listen(&service.peer, &address);
    assert_int_equal(loop_open(clock_system(), &loop), SYNC_OK);
    const struct upstream_options options = {.loop = loop,
                                             .address = &address,
                                             .sessions = 1,
                                             .scratch = scratch,
                                             .scratch_size = sizeof scratch};
    assert_int_equal(upstream_open(&options, &upstream), SYNC_OK);
    service_accept();
    both_turn();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    upstream = upstream_close(upstream);
    loop_turn(loop, 0);
    loop = loop_close(loop);
    scripted_peer_close(&service.peer);
    buffer_done(&service.request);
    return 0;
}

static void a_unary_call_goes_there_and_back(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    assert_true(service.request_ended);
    assert_string_equal(service.path, "/p.S/M");
    assert_string_equal(service.timeout, "5000000u");
    assert_string_equal(service.authorization, "Bearer x");
    assert_true(slice_equal(buffer_slice(&service.request), REQUEST));
    service_answer(SLICE("\0\0\0\0\2hi"));
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
    nghttp2_submit_headers(service.peer.session, NGHTTP2_FLAG_NONE, service.stream_id, NULL,
                           headers, 2, NULL);
    both_turn();
    assert_int_equal(caller.begun, 1);
    assert_int_equal(caller.messages, 0);
    assert_false(caller.done);
    const nghttp2_nv trailers[] = {nv("grpc-status", "14")};
    nghttp2_submit_headers(service.peer.session, NGHTTP2_FLAG_END_STREAM, service.stream_id, NULL,
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
    nghttp2_submit_response(service.peer.session, service.stream_id, headers, 5, NULL);
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
    service_end(message, "3", headers, 3);
}

static void large_details_come_as_a_message(void **state) {
    (void)state;
    enum { SIZE = 60000 }; /* what trailers could not hold */
    struct caller caller;
    caller_call(&caller);
    assert_true(service.details_accepted);
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

static void a_cancelled_call_is_reset_and_told_nothing(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    upstream_call_cancel(&caller.call);
    upstream_call_cancel(&caller.call);
    both_turn();
    assert_true(service.reset);
    assert_int_equal(service.reset_code, NGHTTP2_CANCEL);
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
    assert_string_equal(service.path, "");
    assert_false(caller.done);
    caller_free(&caller);
}

static void a_message_may_cancel_its_call(void **state) {
    (void)state;
    struct caller caller;
    caller_init(&caller, REQUEST);
    caller.cancel_on_message = true;
    caller_start(&caller);
    service_answer(SLICE("\0\0\0\0\1a\0\0\0\0\1b"));
    both_turn();
    assert_int_equal(caller.messages, 1);
    assert_false(caller.done);
    caller_free(&caller);
}

static void a_lost_connection_ends_calls_and_is_made_anew(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    scripted_peer_hang_up(&service.peer);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    usleep(2000); /* connects that calls ask for are at least 1 ms apart */
    both_turn();
    caller_free(&caller);
    caller_init(&caller, REQUEST);
    assert_int_equal(upstream_start(upstream, &caller.call), SYNC_OK);
    service_accept();
    both_turn();
    service_answer(SLICE("\0\0\0\0\0"));
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_OK);
    caller_free(&caller);
}

static void a_refused_call_may_be_sent_again(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    nghttp2_submit_rst_stream(service.peer.session, NGHTTP2_FLAG_NONE, service.stream_id,
                              NGHTTP2_REFUSED_STREAM);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_true(caller.result.unprocessed);
    caller_free(&caller);
}

static void a_call_that_the_service_cancels_finds_it_unavailable(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    nghttp2_submit_rst_stream(service.peer.session, NGHTTP2_FLAG_NONE, service.stream_id,
                              NGHTTP2_CANCEL);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_false(caller.result.unprocessed);
    caller_free(&caller);
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
            nghttp2_submit_shutdown_notice(service.peer.session);
        nghttp2_submit_response(service.peer.session, service.stream_id, headers, 3, NULL);
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
        nghttp2_submit_response(service.peer.session, service.stream_id, headers, 4, NULL);
        both_turn();
        assert_true(caller.done);
        assert_int_equal(caller.result.code, CODES[own]);
        caller_free(&caller);
    }
}

static void an_answer_without_a_status_is_no_success(void **state) {
    (void)state;
    struct caller caller;
    caller_call(&caller);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "text/html")};
    nghttp2_submit_response(service.peer.session, service.stream_id, headers, 2, NULL);
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
    setsockopt(service.peer.fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer);
    service_answer(buffer_slice(&stream));
    for (int i = 0; i < 2000 && caller.messages < MESSAGES; i++) {
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        uint8_t bytes[4096];
        ssize_t size;
        while ((size = recv(service.peer.fd, bytes, sizeof bytes, 0)) > 0)
            nghttp2_session_mem_recv(service.peer.session, bytes, (size_t)size);
        const uint8_t *frames;
        size = nghttp2_session_mem_send(service.peer.session, &frames);
        for (ssize_t sent = 0; sent < size;) {
            ssize_t rc = send(service.peer.fd, frames + sent, (size_t)(size - sent), 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_goes_there_and_back),
        TEST(a_call_has_begun_before_its_first_message),
        TEST(an_error_comes_with_message_and_details),
        TEST(large_details_come_as_a_message),
        TEST(details_that_cannot_be_kept_are_no_details),
        TEST(large_details_are_bounded_as_an_answer_is),
        TEST(a_cancelled_call_is_reset_and_told_nothing),
        TEST(a_call_cancelled_before_it_is_sent_leaves_no_trace),
        TEST(a_message_may_cancel_its_call),
        TEST(a_lost_connection_ends_calls_and_is_made_anew),
        TEST(a_refused_call_may_be_sent_again),
        TEST(a_call_that_the_service_cancels_finds_it_unavailable),
        TEST(a_call_cancelled_by_a_service_that_stops_finds_it_unavailable),
        TEST(a_call_that_the_service_dropped_unread_finds_it_unavailable),
        TEST(an_answer_without_a_status_is_no_success),
        TEST(a_held_call_stops_the_service_until_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
