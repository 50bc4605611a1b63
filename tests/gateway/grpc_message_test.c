#include "gateway/grpc_message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "gateway/grpc_status.h"

static void append_message(struct buffer *out, struct slice message) {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_put(prefix, message.size);
    buffer_append(out, slice_of(prefix, sizeof prefix));
    buffer_append(out, message);
}

static void messages_come_out_however_the_stream_is_cut(void **state) {
    (void)state;
    struct buffer stream;
    buffer_init(&stream, 4096);
    append_message(&stream, SLICE("first"));
    append_message(&stream, SLICE_EMPTY);
    append_message(&stream, SLICE("the third message"));
    for (size_t step = 1; step <= stream.size; step++) {
        struct grpc_reader reader;
        struct buffer seen;
        grpc_reader_init(&reader, 100);
        buffer_init(&seen, 4096);
        for (size_t at = 0; at < stream.size; at += step) {
            size_t size = stream.size - at < step ? stream.size - at : step;
            struct slice input = slice_of(stream.data + at, size), message;
            while (grpc_reader_feed(&reader, &input, &message) == GRPC_READ_MESSAGE) {
                buffer_append(&seen, message);
                buffer_append_byte(&seen, '|');
            }
            assert_int_equal(input.size, 0);
        }
        assert_true(grpc_reader_at_boundary(&reader));
        assert_true(slice_equal(buffer_slice(&seen), SLICE("first||the third message|")));
        buffer_done(&seen);
        grpc_reader_done(&reader);
    }
    buffer_done(&stream);
}

static void messages_compressed_or_too_large_are_refused(void **state) {
    (void)state;
    struct grpc_reader reader;
    struct slice message;
    grpc_reader_init(&reader, 4);
    struct slice input = SLICE("\x01\0\0\0\x01x");
    assert_int_equal(grpc_reader_feed(&reader, &input, &message), GRPC_READ_BROKEN);
    grpc_reader_done(&reader);
    grpc_reader_init(&reader, 4);
    input = SLICE("\0\0\0\0\x05");
    assert_int_equal(grpc_reader_feed(&reader, &input, &message), GRPC_READ_BROKEN);
    grpc_reader_done(&reader);
}

static void a_cut_message_is_no_end(void **state) {
    (void)state;
    struct grpc_reader reader;
    struct slice message, input = SLICE("\0\0\0\0\x02x");
    grpc_reader_init(&reader, 4);
    assert_int_equal(grpc_reader_feed(&reader, &input, &message), GRPC_READ_MORE);
    assert_false(grpc_reader_at_boundary(&reader));
    grpc_reader_done(&reader);
}

static void status_messages_are_decoded(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_true(
        slice_equal(grpc_message_decode(SLICE("a%20b%C3%9c%"), &arena), SLICE("a b\xc3\x9c%")));
    assert_true(slice_equal(grpc_message_decode(SLICE("100%zz"), &arena), SLICE("100%zz")));
    assert_true(slice_equal(grpc_message_decode(SLICE("%ff"), &arena), SLICE_EMPTY));
    arena_done(&arena);
}

static void timeouts_go_there_and_back(void **state) {
    (void)state;
    static const struct {
        uint64_t timeout_us;
        const char *text;
    } cases[] = {{1, "1u"},
                 {30000000, "30000000u"},
                 {99999999, "99999999u"},
                 {100000000, "100000m"},
                 {UINT64_C(200000000000), "200000S"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[GRPC_TIMEOUT_TEXT_MAX];
        uint64_t timeout_us = 0;
        grpc_timeout_format(cases[i].timeout_us, text);
        assert_string_equal(text, cases[i].text);
        assert_true(grpc_timeout_parse(slice_text(text), &timeout_us));
        assert_true(timeout_us == cases[i].timeout_us);
    }
    static const char *const bad[] = {"", "1", "u", "-1u", "1x", "123456789u", "1 u"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t timeout_us;
        assert_false(grpc_timeout_parse(slice_text(bad[i]), &timeout_us));
    }
}

static void codes_have_their_http_status(void **state) {
    (void)state;
    assert_int_equal(http_status_of_grpc(GRPC_INVALID_ARGUMENT), 400);
    assert_int_equal(http_status_of_grpc(GRPC_UNAUTHENTICATED), 401);
    assert_int_equal(http_status_of_grpc(GRPC_RESOURCE_EXHAUSTED), 429);
    assert_int_equal(http_status_of_grpc(99), 500);
    assert_int_equal(http_status_of_grpc(-1), 500);
    assert_true(slice_equal(grpc_code_name(GRPC_ABORTED), SLICE("ABORTED")));
    assert_int_equal(grpc_code_of_http(503), GRPC_UNAVAILABLE);
    assert_string_equal(http_status_phrase(404), "Not Found");
}

static void a_tracker_follows_messages_split_anywhere(void **state) {
    (void)state;
    static const char BYTES[] = "\0\0\0\0\2ab\1\0\0\0\0\0\0\0\0\1c";
    enum { SIZE = sizeof BYTES - 1 };
    static const size_t PARTIAL[SIZE + 1] = {0, 1, 2, 3, 4, 5, 6, 0, 1, 2,
                                             3, 4, 0, 1, 2, 3, 4, 5, 0};
    for (size_t split = 0; split <= SIZE; split++) {
        struct grpc_tracker tracker = {.left = 0};
        assert_true(grpc_tracker_feed(&tracker, slice_of(BYTES, split), 2));
        assert_int_equal(grpc_tracker_partial(&tracker), PARTIAL[split]);
        assert_true(grpc_tracker_feed(&tracker, slice_of(BYTES + split, SIZE - split), 2));
        assert_int_equal(grpc_tracker_partial(&tracker), 0);
    }
}

static void a_tracker_refuses_what_is_too_large_or_no_message(void **state) {
    (void)state;
    struct grpc_tracker tracker = {.left = 0};
    assert_false(grpc_tracker_feed(&tracker, SLICE("\0\0\0\0\3"), 2));
    tracker = (struct grpc_tracker){.left = 0};
    assert_false(grpc_tracker_feed(&tracker, SLICE("\x80"), 2));
}

static void a_message_text_is_percent_encoded_and_back(void **state) {
    (void)state;
    struct buffer out;
    struct arena arena;
    buffer_init(&out, 1 << 10);
    arena_init(&arena, 1 << 10);
    struct slice text = SLICE("a 100%\n\xc3\xa9~");
    grpc_message_encode(&out, text);
    assert_true(slice_equal(buffer_slice(&out), SLICE("a 100%25%0A%C3%A9~")));
    assert_true(slice_equal(grpc_message_decode(buffer_slice(&out), &arena), text));
    arena_done(&arena);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_however_the_stream_is_cut),
        cmocka_unit_test(messages_compressed_or_too_large_are_refused),
        cmocka_unit_test(a_cut_message_is_no_end),
        cmocka_unit_test(status_messages_are_decoded),
        cmocka_unit_test(timeouts_go_there_and_back),
        cmocka_unit_test(codes_have_their_http_status),
        cmocka_unit_test(a_tracker_follows_messages_split_anywhere),
        cmocka_unit_test(a_tracker_refuses_what_is_too_large_or_no_message),
        cmocka_unit_test(a_message_text_is_percent_encoded_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
