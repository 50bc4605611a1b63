/* The guard and the memory of an HTTP/2 session, fed frame by frame. */
#include "gateway/http2_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"
#include "gateway/http2_memory.h"

enum { INPUT_MAX = 1 << 20 };

static uint64_t now_us;

static uint64_t clock_read(void *context) {
    (void)context;
    return now_us;
}

static const struct clock by_hand = {.now_us = clock_read, .monotonic_us = clock_read};

/* A server's session as a test makes it. */
struct fixture {
    struct loop *loop;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    struct http2_memory memory;
    struct http2_guard guard;
    struct buffer input;
};

static void put_frame(struct buffer *out, uint8_t type, uint8_t flags, uint8_t stream,
                      struct slice payload) {
    const uint8_t head[] = {
        0, (uint8_t)(payload.size >> 8), (uint8_t)payload.size, type, flags, 0, 0, 0, stream};
    buffer_append(out, slice_of(head, sizeof head));
    buffer_append(out, payload);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    http2_guard_sent(&((struct fixture *)context)->guard, session, frame);
    return 0;
}

static int setup(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.loop = NULL};
    now_us += 3600000000;
    assert_int_equal(loop_open(&by_hand, &fixture.loop), SYNC_OK);
    nghttp2_session_callbacks_new(&fixture.callbacks);
    nghttp2_session_callbacks_set_on_frame_send_callback(fixture.callbacks, on_frame_sent);
    assert_true(http2_memory_init(&fixture.memory));
    nghttp2_mem memory = http2_memory_allocator(&fixture.memory);
    assert_int_equal(http2_guard_open(&fixture.guard, fixture.loop, fixture.callbacks, &fixture,
                                      &memory, &fixture.session),
                     0);
    buffer_init(&fixture.input, INPUT_MAX);
    buffer_append(&fixture.input, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    put_frame(&fixture.input, NGHTTP2_SETTINGS, 0, 0, SLICE_EMPTY);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    buffer_done(&fixture->input);
    nghttp2_session_del(fixture->session);
    http2_memory_done(&fixture->memory);
    nghttp2_session_callbacks_del(fixture->callbacks);
    loop_close(fixture->loop);
    return 0;
}

static void send_all(struct fixture *fixture) {
    const uint8_t *bytes;
    while (nghttp2_session_mem_send(fixture->session, &bytes) > 0) {
    }
}

/* Feeds the input in pieces of `step` bytes; the session still wants to read unless it has ended.
 */
static bool feed(struct fixture *fixture, size_t step) {
    struct slice rest = buffer_slice(&fixture->input);
    while (rest.size > 0) {
        size_t size = rest.size < step ? rest.size : step;
        ssize_t taken =
            http2_guard_receive(&fixture->guard, fixture->session, slice_first(rest, size));
        assert_true(taken > 0);
        rest = slice_after(rest, (size_t)taken);
    }
    buffer_clear(&fixture->input);
    send_all(fixture);
    return nghttp2_session_want_read(fixture->session);
}

static const struct slice request = {(const uint8_t *)"\x82\x86\x84\x01\x01h",
                                     6}; /* GET / of http://h */

static void frames_that_carry_nothing_are_bound(void **state) {
    static const struct {
        uint8_t type;
        struct slice payload;
    } frames[] = {
        {NGHTTP2_PING, {(const uint8_t *)"12345678", 8}},
        {NGHTTP2_SETTINGS, {NULL, 0}},
        {NGHTTP2_WINDOW_UPDATE, {(const uint8_t *)"\0\0\0\1", 4}},
        {10, {NULL, 0}},
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct fixture *fixture = *state;
        for (int j = 0; j < HTTP2_IDLE_FRAMES_MAX - 1; j++)
            put_frame(&fixture->input, frames[i].type, 0, 0, frames[i].payload);
        assert_true(feed(fixture, 100));
        put_frame(&fixture->input, frames[i].type, 0, 0, frames[i].payload);
        assert_false(feed(fixture, 100));
        teardown(state);
        setup(state);
    }
}

static void the_allowance_comes_back_with_time(void **state) {
    struct fixture *fixture = *state;
    for (int second = 0; second < 20; second++) {
        for (int i = 0; i < 150; i++)
            put_frame(&fixture->input, NGHTTP2_PING, 0, 0, SLICE("12345678"));
        assert_true(feed(fixture, INPUT_MAX));
        now_us += 1000000;
        assert_int_equal(loop_turn(fixture->loop, 0), SYNC_OK);
    }
}

static void what_comes_on_a_closed_stream_ends_the_connection(void **state) {
    for (size_t step = 1; step <= 64; step++) {
        struct fixture *fixture = *state;
        put_frame(&fixture->input, NGHTTP2_HEADERS, 4 | 1, 1, request);
        put_frame(&fixture->input, NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
        assert_true(feed(fixture, step));
        put_frame(&fixture->input, NGHTTP2_DATA, 0, 1, SLICE("x"));
        assert_false(feed(fixture, step));
        teardown(state);
        setup(state);
    }
}

static void what_comes_right_behind_the_end_of_a_stream_ends_the_connection(void **state) {
    for (size_t step = 1; step <= 64; step++) {
        struct fixture *fixture = *state;
        put_frame(&fixture->input, NGHTTP2_HEADERS, 4, 1, request);
        assert_true(feed(fixture, step));
        put_frame(&fixture->input, NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
        put_frame(&fixture->input, NGHTTP2_DATA, 0, 1, SLICE("x"));
        assert_false(feed(fixture, step));
        teardown(state);
        setup(state);
    }
}

static void a_stream_that_we_reset_may_still_be_spoken_on(void **state) {
    struct fixture *fixture = *state;
    put_frame(&fixture->input, NGHTTP2_HEADERS, 4, 1, request);
    assert_true(feed(fixture, INPUT_MAX));
    nghttp2_submit_rst_stream(fixture->session, 0, 1, NGHTTP2_NO_ERROR);
    send_all(fixture);
    put_frame(&fixture->input, NGHTTP2_DATA, 0, 1, SLICE("x"));
    put_frame(&fixture->input, NGHTTP2_DATA, 1, 1, SLICE("y"));
    assert_true(feed(fixture, INPUT_MAX));
}

static void what_has_come_in_part_is_told(void **state) {
    struct fixture *fixture = *state;
    assert_true(http2_guard_is_partial(&fixture->guard)); /* the preface */
    assert_true(feed(fixture, 1));
    assert_false(http2_guard_is_partial(&fixture->guard));
    put_frame(&fixture->input, NGHTTP2_HEADERS, 0, 1, request); /* CONTINUATION to come */
    assert_true(feed(fixture, 1));
    assert_true(http2_guard_is_partial(&fixture->guard));
    put_frame(&fixture->input, NGHTTP2_CONTINUATION, 4, 1, SLICE_EMPTY);
    assert_true(feed(fixture, 2)); /* nghttp2 counts the reads of such a head, up to 8 */
    assert_false(http2_guard_is_partial(&fixture->guard));
    put_frame(&fixture->input, NGHTTP2_DATA, 0, 1, SLICE("body"));
    buffer_truncate(&fixture->input, fixture->input.size - 2);
    assert_true(feed(fixture, 1));
    assert_false(http2_guard_is_partial(&fixture->guard)); /* bodies have a time of their own */
}

static void a_session_that_rests_goes_on_as_before(void **state) {
    struct fixture *fixture = *state;
    for (uint8_t stream = 1; stream < 100; stream += 2) {
        put_frame(&fixture->input, NGHTTP2_HEADERS, 4 | 1, stream, request);
        assert_true(feed(fixture, INPUT_MAX));
        if (stream % 3 == 0)
            http2_memory_rest(&fixture->memory); /* also with a stream that is open */
        assert_non_null(nghttp2_session_find_stream(fixture->session, stream));
        nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"204", 7, 3, 0};
        assert_int_equal(nghttp2_submit_response(fixture->session, stream, &status, 1, NULL), 0);
        send_all(fixture);
        assert_null(nghttp2_session_find_stream(fixture->session, stream));
        http2_memory_rest(&fixture->memory);
    }
}

static void lack_of_memory_is_told_wherever_it_occurs(void **state) {
    struct fixture *fixture = *state;
    struct http2_memory memory;
    memory_fail_after(1);
    assert_false(http2_memory_init(&memory));
    int rc = NGHTTP2_ERR_NOMEM;
    for (uint64_t n = 1; rc != 0; n++) {
        struct http2_guard guard;
        nghttp2_session *session = NULL;
        assert_true(http2_memory_init(&memory));
        nghttp2_mem allocator = http2_memory_allocator(&memory);
        memory_fail_after(n);
        rc = http2_guard_open(&guard, fixture->loop, fixture->callbacks, fixture, &allocator,
                              &session);
        memory_fail_after(0);
        assert_true(rc == 0 || rc == NGHTTP2_ERR_NOMEM);
        nghttp2_session_del(session);
        http2_memory_done(&memory);
    }
}

static void a_turn_takes_so_many_frames_and_no_part_of_the_next(void **state) {
    enum { TURN = 16, FRAME = 9 + 8 };
    struct fixture *fixture = *state;
    struct slice ping = slice_of("12345678", 8);
    assert_true(feed(fixture, 1000));
    for (int i = 0; i < 2 * TURN; i++)
        put_frame(&fixture->input, NGHTTP2_PING, 0, 0, ping);
    struct slice input = buffer_slice(&fixture->input);
    /* Wherever it is cut. */
    assert_int_equal(http2_guard_receive(&fixture->guard, fixture->session, slice_first(input, 5)),
                     5);
    input = slice_after(input, 5);
    assert_int_equal(http2_guard_receive(&fixture->guard, fixture->session, input),
                     TURN * FRAME - 5);
    input = slice_after(input, TURN * FRAME - 5);
    assert_false(http2_guard_is_partial(&fixture->guard));
    assert_int_equal(http2_guard_receive(&fixture->guard, fixture->session, input), TURN * FRAME);
}

static void data_is_bound_by_its_bytes_alone(void **state) {
    enum { COUNT = 1000, FRAME = 9 + 1 };
    struct fixture *fixture = *state;
    put_frame(&fixture->input, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, request);
    assert_true(feed(fixture, 1000));
    for (int i = 0; i < COUNT; i++)
        put_frame(&fixture->input, NGHTTP2_DATA, 0, 1, SLICE("x"));
    assert_int_equal(
        http2_guard_receive(&fixture->guard, fixture->session, buffer_slice(&fixture->input)),
        COUNT * FRAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_that_carry_nothing_are_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(the_allowance_comes_back_with_time, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_on_a_closed_stream_ends_the_connection, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_comes_right_behind_the_end_of_a_stream_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_that_we_reset_may_still_be_spoken_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_has_come_in_part_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_that_rests_goes_on_as_before, setup, teardown),
        cmocka_unit_test_setup_teardown(lack_of_memory_is_told_wherever_it_occurs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_takes_so_many_frames_and_no_part_of_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(data_is_bound_by_its_bytes_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
