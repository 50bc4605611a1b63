#include "gateway/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"

/* What a parser told of some bytes, as text: bodies are joined, since they may be cut anywhere. */
struct transcript {
    struct buffer text;
    struct buffer body;
};

static void transcript_flush(struct transcript *transcript) {
    if (transcript->body.size) {
        buffer_append(&transcript->text, SLICE("body="));
        buffer_append(&transcript->text, buffer_slice(&transcript->body));
        buffer_append(&transcript->text, SLICE("\n"));
    }
    buffer_clear(&transcript->body);
}

static void transcript_head(struct transcript *transcript, const struct http1_request *request) {
    buffer_append_format(&transcript->text, "head %.*s %.*s ?%.*s 1.%d keep=%d continue=%d\n",
                         (int)request->method.size, (const char *)request->method.data,
                         (int)request->path.size, (const char *)request->path.data,
                         (int)request->query.size, (const char *)request->query.data,
                         request->minor_version, request->keep_alive, request->expects_continue);
    for (size_t i = 0; i < request->header_count; i++)
        buffer_append_format(&transcript->text, "  %.*s=%.*s\n", (int)request->headers[i].name.size,
                             (const char *)request->headers[i].name.data,
                             (int)request->headers[i].value.size,
                             (const char *)request->headers[i].value.data);
}

/* Feeds one piece; false once the parser is broken. */
static bool transcript_feed(struct transcript *transcript, struct http1_parser *parser,
                            struct slice piece) {
    for (;;) {
        struct http1_event event;
        http1_feed(parser, &piece, &event);
        if (event.kind == HTTP1_BODY) {
            buffer_append(&transcript->body, event.body);
            continue;
        }
        if (event.kind == HTTP1_NEED_MORE)
            return true;
        transcript_flush(transcript);
        if (event.kind == HTTP1_HEAD) {
            transcript_head(transcript, http1_request(parser));
        } else if (event.kind == HTTP1_END) {
            buffer_append(&transcript->text, SLICE("end\n"));
        } else {
            buffer_append_format(&transcript->text, "error %d\n", event.status);
            return false;
        }
    }
}

static void transcript_of(struct slice input, size_t step, struct transcript *transcript) {
    struct http1_parser *parser = http1_open();
    assert_non_null(parser);
    buffer_init(&transcript->text, 1 << 20);
    buffer_init(&transcript->body, 64 << 20);
    for (size_t at = 0; at < input.size; at += step) {
        size_t size = input.size - at < step ? input.size - at : step;
        if (!transcript_feed(transcript, parser, slice_of(input.data + at, size)))
            break;
    }
    transcript_flush(transcript);
    buffer_append_byte(&transcript->text, '\0');
    http1_close(parser);
}

static void transcript_done(struct transcript *transcript) {
    buffer_done(&transcript->text);
    buffer_done(&transcript->body);
}

/* The transcript of `input` is `expected`, whole, byte by byte and by threes. */
static void expect_of(struct slice input, const char *expected) {
    static const size_t steps[] = {SIZE_MAX, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        struct transcript transcript;
        transcript_of(input, steps[i] == SIZE_MAX ? input.size : steps[i], &transcript);
        assert_string_equal((const char *)transcript.text.data, expected);
        transcript_done(&transcript);
    }
}

static void expect(const char *input, const char *expected) {
    expect_of(slice_text(input), expected);
}

static void a_request_is_told_with_its_headers(void **state) {
    (void)state;
    expect("GET /a%20b?x=1&y HTTP/1.1\r\nHost: h:80\r\nX-Odd:\t a b \t\r\nEmpty:\r\n\r\n",
           "head GET /a%20b ?x=1&y 1.1 keep=1 continue=0\n  host=h:80\n  x-odd=a b\n  empty=\n"
           "end\n");
    expect("GET http://H/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
           "head GET /p ?q 1.1 keep=1 continue=0\n  host=h\nend\n");
    expect("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n",
           "head GET / ?q 1.1 keep=1 continue=0\n  host=h\nend\n");
    expect("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
           "head OPTIONS * ? 1.1 keep=1 continue=0\n  host=h\nend\n");
}

static void pipelined_requests_are_told_one_after_the_other(void **state) {
    (void)state;
    expect("POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
           "\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
           "head POST /1 ? 1.1 keep=1 continue=0\n  host=h\n  content-length=3\nbody=abc\nend\n"
           "head GET /2 ? 1.1 keep=0 continue=0\n  host=h\n  connection=close\nend\n");
}

static void chunks_are_joined_and_trailers_dropped(void **state) {
    (void)state;
    expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
           "3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n"
           "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
           "head POST / ? 1.1 keep=1 continue=0\n  host=h\n  transfer-encoding=Chunked\n"
           "body=abc0123456789\nend\nhead GET / ? 1.1 keep=1 continue=0\n  host=h\nend\n");
}

static void http_1_0_closes_unless_asked(void **state) {
    (void)state;
    expect("GET / HTTP/1.0\r\n\r\n", "head GET / ? 1.0 keep=0 continue=0\nend\n");
    expect("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
           "head GET / ? 1.0 keep=1 continue=0\n  connection=Keep-Alive\nend\n");
}

static void an_expectation_is_told(void **state) {
    (void)state;
    expect("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
           "head PUT / ? 1.1 keep=1 continue=1\n  host=h\n  expect=100-Continue\n"
           "  content-length=1\nbody=x\nend\n");
    expect("PUT / HTTP/1.1\r\nHost: h\r\nExpect: coffee\r\n\r\n", "error 417\n");
}

static void what_two_parsers_could_read_differently_is_refused(void **state) {
    (void)state;
    static const char *const heads[] = {
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://u@h/ HTTP/1.1\r\nHost: u@h\r\n\r\n",
        "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /# HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        expect(heads[i], "error 400\n");
    expect_of(SLICE("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n"), "error 400\n");
    expect_of(SLICE("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), "error 400\n");
}

static void bad_chunks_are_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "g\r\n",
        "\r\n",
        "-1\r\n",
        "1\nx\r\n",
        "1 \r\nx\r\n",
        "123456789\r\n",
        "1\r\nxy\r\n",
        "1\r\nx\n",
        "1;\x01\r\n",
        "0\r\n: v\r\n\r\n",
        "0\r\nA b\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct buffer input;
        buffer_init(&input, 4096);
        buffer_append(&input, SLICE("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked"
                                    "\r\n\r\n"));
        buffer_append(&input, slice_text(bodies[i]));
        struct transcript transcript;
        transcript_of(buffer_slice(&input), 1, &transcript);
        assert_non_null(strstr((const char *)transcript.text.data, "error 400\n"));
        transcript_done(&transcript);
        buffer_done(&input);
    }
}

static void other_refusals_have_their_own_status(void **state) {
    (void)state;
    expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "error 501\n");
    expect("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "error 501\n");
    expect("GET / HTTP/2.0\r\nHost: h\r\n\r\n", "error 505\n");
    expect("GET / HTTP/1.2\r\nHost: h\r\n\r\n", "error 505\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 33554433\r\n\r\n", "error 413\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
           "error 413\n");
    expect("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2000001\r\n",
           "head POST / ? 1.1 keep=1 continue=0\n  host=h\n  transfer-encoding=chunked\n"
           "error 413\n");
}

/* A request with a path of `path` letters and `headers` headers of `value` letters. */
static void make_large(struct buffer *out, size_t path, size_t headers, size_t value) {
    buffer_append(out, SLICE("GET /"));
    for (size_t i = 0; i < path; i++)
        buffer_append_byte(out, 'p');
    buffer_append(out, SLICE(" HTTP/1.1\r\nHost: h\r\n"));
    for (size_t i = 0; i < headers; i++) {
        buffer_append(out, SLICE("a: "));
        for (size_t j = 0; j < value; j++)
            buffer_append_byte(out, 'v');
        buffer_append(out, SLICE("\r\n"));
    }
    buffer_append(out, SLICE("\r\n"));
}

static void expect_large(size_t path, size_t headers, size_t value, const char *error) {
    static const size_t steps[] = {1 << 20, 1, 1000};
    struct buffer input;
    buffer_init(&input, 1 << 20);
    make_large(&input, path, headers, value);
    for (size_t i = 0; i < 3; i++) {
        struct transcript transcript;
        transcript_of(buffer_slice(&input), steps[i], &transcript);
        const char *text = (const char *)transcript.text.data;
        if (error)
            assert_string_equal(text, error);
        else
            assert_string_equal(text + strlen(text) - 4, "end\n");
        transcript_done(&transcript);
    }
    buffer_done(&input);
}

static void heads_are_taken_up_to_their_bounds(void **state) {
    (void)state;
    size_t around = strlen("GET / HTTP/1.1");
    expect_large(HTTP_REQUEST_LINE_MAX - around, 0, 0, NULL);
    expect_large(HTTP_REQUEST_LINE_MAX - around + 1, 0, 0, "error 414\n");
    expect_large(1, HTTP_HEADERS_COUNT_MAX - 1, 1, NULL);
    expect_large(1, HTTP_HEADERS_COUNT_MAX, 1, "error 431\n");
    size_t host = strlen("Host: h\r\n"), frame = strlen("a: \r\n");
    expect_large(1, 1, HTTP_HEADERS_BYTES_MAX - host - frame, NULL);
    expect_large(1, 1, HTTP_HEADERS_BYTES_MAX - host - frame + 1, "error 431\n");
}

static void another_protocol_is_told_apart(void **state) {
    (void)state;
    expect("INVALID CONNECTION PREFACE\r\n\r\n", "error -1\n");
    expect("HELO mail.example.com SMTP\r\n\r\n", "error -1\n");
    expect("GET / FTP/1.1\r\n\r\n", "error 400\n");
    expect("GET x http/1.1\r\n\r\n", "error 400\n");
}

static void a_broken_parser_stays_broken(void **state) {
    (void)state;
    struct http1_parser *parser = http1_open();
    struct slice input = SLICE("\n\n");
    struct http1_event event;
    http1_feed(parser, &input, &event);
    assert_int_equal(event.kind, HTTP1_ERROR);
    input = SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_feed(parser, &input, &event);
    assert_int_equal(event.kind, HTTP1_ERROR);
    assert_int_equal(event.status, 400);
    http1_close(parser);
}

static void idle_is_told_apart_from_a_begun_request(void **state) {
    (void)state;
    struct http1_parser *parser = http1_open();
    struct http1_event event;
    assert_true(http1_is_idle(parser));
    struct slice input = SLICE("G");
    http1_feed(parser, &input, &event);
    assert_false(http1_is_idle(parser));
    input = SLICE("ET / HTTP/1.1\r\nHost: h\r\n\r\n");
    http1_feed(parser, &input, &event);
    assert_int_equal(event.kind, HTTP1_HEAD);
    http1_feed(parser, &input, &event);
    assert_int_equal(event.kind, HTTP1_END);
    assert_true(http1_is_idle(parser));
    assert_true(slice_equal(http1_request(parser)->path, SLICE("/")));
    http1_close(parser);
}

static void lack_of_memory_is_an_answer(void **state) {
    (void)state;
    struct http1_parser *parser = http1_open();
    struct slice input = SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct http1_event event;
    memory_fail_after(1);
    http1_feed(parser, &input, &event);
    memory_fail_after(0);
    assert_int_equal(event.kind, HTTP1_ERROR);
    assert_int_equal(event.status, 503);
    http1_close(parser);
    memory_fail_after(1);
    assert_null(http1_open());
    memory_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_with_its_headers),
        cmocka_unit_test(pipelined_requests_are_told_one_after_the_other),
        cmocka_unit_test(chunks_are_joined_and_trailers_dropped),
        cmocka_unit_test(http_1_0_closes_unless_asked),
        cmocka_unit_test(an_expectation_is_told),
        cmocka_unit_test(what_two_parsers_could_read_differently_is_refused),
        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(other_refusals_have_their_own_status),
        cmocka_unit_test(heads_are_taken_up_to_their_bounds),
        cmocka_unit_test(another_protocol_is_told_apart),
        cmocka_unit_test(a_broken_parser_stays_broken),
        cmocka_unit_test(idle_is_told_apart_from_a_begun_request),
        cmocka_unit_test(lack_of_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
