#include "tools/protoc-gen-grpc-c/comment.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include "base/memory.h"

/* What is written for a text, compared with what should be. */
static void expect(unsigned indent, const char *text, const char *expected) {
    struct buffer out;
    buffer_init(&out, 1 << 20);
    comment_write(&out, indent, slice_text(text));
    buffer_append_byte(&out, '\0');
    assert_int_equal(buffer_status(&out), SYNC_OK);
    assert_string_equal((const char *)out.data, expected);
    buffer_done(&out);
}

static void a_short_text_is_one_line(void **state) {
    (void)state;
    expect(0, "Gets.", "/* Gets. */\n");
    expect(4, "Gets\n  what   there is.\n", "    /* Gets what there is. */\n");
}

static void a_text_without_words_is_no_comment(void **state) {
    (void)state;
    expect(0, "", "");
    expect(0, "  \n\n ", "");
    expect(0, "buf:lint:ignore SOMETHING", "");
}

static void paragraphs_and_lists_stay_apart(void **state) {
    (void)state;
    expect(
        0, "One\nparagraph.\n\n\nAnother:\n- an item\n  that goes on\n- 2\n10. ten\n\n\n",
        "/* One paragraph.\n *\n * Another:\n * - an item that goes on\n * - 2\n * 10. ten */\n");
}

static void code_and_tables_stay_as_they_are(void **state) {
    (void)state;
    expect(0, "So:\n\n    a  =  b;\n\n```\n  x   y\n```\n| a | b |",
           "/* So:\n *\n *     a  =  b;\n *\n * ```\n *   x   y\n * ```\n * | a | b | */\n");
}

static void lines_are_at_most_as_long_as_they_may_be(void **state) {
    (void)state;
    char text[4000] = "";
    /* Ends of every length, so that some last word has to go below. */
    for (size_t words = 1; words < 300; words++) {
        memcpy(text + 7 * (words - 1), "sixsix ", 8);
        for (unsigned indent = 0; indent <= 4; indent += 4) {
            struct buffer out;
            buffer_init(&out, 1 << 20);
            comment_write(&out, indent, slice_text(text));
            for (size_t at = 0; at < out.size;) {
                const uint8_t *end = memchr(out.data + at, '\n', out.size - at);
                size_t size = (size_t)(end - out.data) - at;
                assert_in_range(size, 1, COMMENT_COLUMNS_MAX);
                at += size + 1;
            }
            buffer_done(&out);
        }
    }
}

static void wide_characters_take_two_columns(void **state) {
    (void)state;
    expect(
        0,
        "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本"
        "語日本 語",
        "/* "
        "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本"
        "語日本\n * 語 */\n");
}

static void nothing_ends_the_comment_but_its_end(void **state) {
    (void)state;
    static const char alphabet[] = "*/ ?\n\\x";
    char text[7] = "";
    /* All texts of six of these characters. */
    for (unsigned number = 0; number < 7 * 7 * 7 * 7 * 7 * 7; number++) {
        unsigned rest = number;
        for (size_t i = 0; i < 6; i++, rest /= 7)
            text[i] = alphabet[rest % 7];
        struct buffer out;
        buffer_init(&out, 1 << 16);
        comment_write(&out, 0, slice_text(text));
        buffer_append_byte(&out, '\0');
        if (out.size > 1) {
            const char *end = strstr((const char *)out.data + 2, "*/");
            assert_non_null(end);
            assert_string_equal(end, "*/\n");
            assert_null(strstr((const char *)out.data + 2, "/*"));
            assert_null(strstr((const char *)out.data, "?\?/"));
        }
        buffer_done(&out);
    }
}

static void marks_of_direction_and_control_are_left_out(void **state) {
    (void)state;
    expect(0,
           "a\xe2\x80\xae"
           "b\xe2\x81\xa6"
           "c\x01\x7f"
           "d\te\r\n",
           "/* abcd e */\n");
}

static void a_long_code_line_is_wrapped_after_all(void **state) {
    (void)state;
    expect(0,
           "    aaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaa "
           "aaaaaaaaaaaaaaaaaaa",
           "/*     aaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaa "
           "aaaaaaaaaaaaaaaaaaa\n *     aaaaaaaaaaaaaaaaaaa */\n");
}

static void a_refused_allocation_fails_the_output(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 8; n++) {
        struct buffer out;
        buffer_init(&out, 1 << 16);
        memory_fail_after(n);
        comment_write(&out, 0, SLICE("Some words of a comment.\n\nMore of them.\n- an item"));
        bool was_refused = memory_count() >= n;
        memory_fail_after(0);
        assert_int_equal(out.failed, was_refused);
        buffer_done(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_text_is_one_line),
        cmocka_unit_test(a_text_without_words_is_no_comment),
        cmocka_unit_test(paragraphs_and_lists_stay_apart),
        cmocka_unit_test(code_and_tables_stay_as_they_are),
        cmocka_unit_test(lines_are_at_most_as_long_as_they_may_be),
        cmocka_unit_test(wide_characters_take_two_columns),
        cmocka_unit_test(nothing_ends_the_comment_but_its_end),
        cmocka_unit_test(marks_of_direction_and_control_are_left_out),
        cmocka_unit_test(a_long_code_line_is_wrapped_after_all),
        cmocka_unit_test(a_refused_allocation_fails_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
