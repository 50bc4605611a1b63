#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bench/load_answer.h"

static void feed_bytewise(struct load_answer *answer, struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        assert_true(answer->state < ANSWER_DONE);
        assert_int_equal(load_answer_feed(answer, slice_of(text.data + i, 1)), 1);
    }
}

static void an_answer_with_length_is_read_byte_by_byte(void **state) {
    (void)state;
    struct load_answer answer;
    load_answer_init(&answer);
    feed_bytewise(&answer,
                  SLICE("HTTP/1.1 202 Accepted\r\ncontent-LENGTH: 5\r\nX: y\r\n\r\nhello"));
    assert_int_equal(answer.state, ANSWER_DONE);
    assert_int_equal(answer.status, 202);
    assert_true(slice_equal(buffer_slice(&answer.body), SLICE("hello")));
    load_answer_done(&answer);
}

static void a_chunked_answer_is_joined(void **state) {
    (void)state;
    struct load_answer answer;
    load_answer_init(&answer);
    feed_bytewise(&answer, SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n"));
    assert_int_equal(answer.state, ANSWER_DONE);
    assert_true(slice_equal(buffer_slice(&answer.body), SLICE("abc0123456789")));
    load_answer_done(&answer);
}

static void the_next_answer_is_not_touched(void **state) {
    (void)state;
    struct load_answer answer;
    load_answer_init(&answer);
    struct slice one = SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
    struct slice two = SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 500 No\r\n");
    assert_int_equal(load_answer_feed(&answer, two), one.size);
    assert_int_equal(answer.state, ANSWER_DONE);
    load_answer_next(&answer);
    load_answer_feed(&answer, slice_after(two, one.size));
    assert_int_equal(answer.state, ANSWER_HEADERS);
    assert_int_equal(answer.status, 500);
    assert_int_equal(answer.body.size, 0);
    load_answer_done(&answer);
}

static void an_empty_body_ends_with_the_head(void **state) {
    (void)state;
    struct load_answer answer;
    load_answer_init(&answer);
    feed_bytewise(&answer, SLICE("HTTP/1.1 304 Not Modified\r\n\r\n"));
    assert_int_equal(answer.state, ANSWER_DONE);
    load_answer_done(&answer);
}

static void what_is_not_http_is_broken(void **state) {
    (void)state;
    static const struct slice texts[] = {
        SLICE("SSH-2.0\r\n"),
        SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct load_answer answer;
        load_answer_init(&answer);
        load_answer_feed(&answer, texts[i]);
        assert_int_equal(answer.state, ANSWER_BROKEN);
        load_answer_done(&answer);
    }
}

static void a_text_is_counted_in_the_body_alone(void **state) {
    (void)state;
    struct load_answer answer;
    load_answer_init(&answer);
    load_answer_feed(&answer, SLICE("HTTP/1.1 200 aa\r\nContent-Length: 6\r\n\r\naabaaa"));
    assert_int_equal(load_answer_count(&answer, SLICE("aa")), 2);
    assert_int_equal(load_answer_count(&answer, SLICE("c")), 0);
    load_answer_done(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_with_length_is_read_byte_by_byte),
        cmocka_unit_test(a_chunked_answer_is_joined),
        cmocka_unit_test(the_next_answer_is_not_touched),
        cmocka_unit_test(an_empty_body_ends_with_the_head),
        cmocka_unit_test(what_is_not_http_is_broken),
        cmocka_unit_test(a_text_is_counted_in_the_body_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
