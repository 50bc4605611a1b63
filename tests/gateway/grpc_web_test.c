/* gRPC-Web's base64, however it is cut, and its trailers. */
#include "gateway/grpc_web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json_text.h"

static void types_are_told_apart(void **state) {
    (void)state;
    static const struct {
        const char *type;
        enum grpc_web_form form;
    } CASES[] = {{"application/grpc-web", GRPC_WEB_BINARY},
                 {"application/grpc-web+proto", GRPC_WEB_BINARY},
                 {"Application/gRPC-Web; charset=utf-8", GRPC_WEB_BINARY},
                 {"application/grpc-web-text", GRPC_WEB_TEXT},
                 {"application/grpc-web-text+proto", GRPC_WEB_TEXT},
                 {"application/grpc-webs", GRPC_WEB_NONE},
                 {"application/grpc", GRPC_WEB_NONE},
                 {"application/json", GRPC_WEB_NONE},
                 {"", GRPC_WEB_NONE}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(grpc_web_form_of(slice_text(CASES[i].type)), CASES[i].form);
}

/* Decodes a text in three pieces, cut at `first` and `second`. */
static bool decode_cut(struct slice text, size_t first, size_t second, struct buffer *out) {
    struct grpc_web_decoder decoder = {.bits = 0};
    buffer_clear(out);
    return grpc_web_decode(&decoder, slice_first(text, first), out) &&
           grpc_web_decode(&decoder, slice_of(text.data + first, second - first), out) &&
           grpc_web_decode(&decoder, slice_after(text, second), out) &&
           grpc_web_decode_at_end(&decoder);
}

static void base64_may_be_cut_anywhere(void **state) {
    (void)state;
    static const char BYTES[] = "\0\1\2\xff\xfe messages of any length";
    struct buffer text, plain;
    buffer_init(&text, 256);
    buffer_init(&plain, 256);
    for (size_t size = 0; size < sizeof BYTES; size++) {
        /* Two flushes, each padded as its length asks. */
        for (size_t flush = 0; flush <= size; flush++) {
            buffer_clear(&text);
            base64_append(&text, slice_of(BYTES, flush));
            base64_append(&text, slice_of(BYTES + flush, size - flush));
            for (size_t first = 0; first <= text.size; first++) {
                for (size_t second = first; second <= text.size; second += 3) {
                    assert_true(decode_cut(buffer_slice(&text), first, second, &plain));
                    assert_true(slice_equal(buffer_slice(&plain), slice_of(BYTES, size)));
                }
            }
        }
    }
    buffer_done(&plain);
    buffer_done(&text);
}

static void what_is_no_base64_is_refused_however_it_is_cut(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"A",    "AA",   "AAA",  "=AAA", "A=AA", "AA=A",   "A===",
                                        "====", "AA*A", "AB==", "AAB=", "AA-_", "AAAA\n", "AA==A"};
    struct buffer plain;
    buffer_init(&plain, 256);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct slice text = slice_text(TEXTS[i]);
        for (size_t first = 0; first <= text.size; first++)
            for (size_t second = first; second <= text.size; second++)
                assert_false(decode_cut(text, first, second, &plain));
    }
    buffer_done(&plain);
}

static void trailers_are_a_frame_of_the_body(void **state) {
    (void)state;
    const struct transcode_header list[] = {{SLICE("grpc-status"), SLICE("0")},
                                            {SLICE("x-a"), SLICE("")}};
    struct buffer out;
    buffer_init(&out, 256);
    grpc_web_trailers_write(&out, list, 2);
    assert_true(
        slice_equal(buffer_slice(&out), SLICE("\x80\0\0\0\x17grpc-status: 0\r\nx-a: \r\n")));
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_told_apart),
        cmocka_unit_test(base64_may_be_cut_anywhere),
        cmocka_unit_test(what_is_no_base64_is_refused_however_it_is_cut),
        cmocka_unit_test(trailers_are_a_frame_of_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
