#include "base/json_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"

static void assert_string_form(struct slice text, const char *json) {
    struct buffer out;
    buffer_init(&out, 10000);
    json_append_string(&out, text);
    if (!slice_equal(buffer_slice(&out), slice_text(json)))
        fail_msg("%.*s is not %s", (int)out.size, out.data, json);
    buffer_done(&out);
}

static void strings_are_escaped_as_rfc_8785_says(void **state) {
    (void)state;
    assert_string_form(SLICE_EMPTY, "\"\"");
    assert_string_form(SLICE("plain"), "\"plain\"");
    assert_string_form(SLICE("\b\t\n\f\r\"\\"), "\"\\b\\t\\n\\f\\r\\\"\\\\\"");
    assert_string_form(SLICE("\0\x01\x0b\x1f"), "\"\\u0000\\u0001\\u000b\\u001f\"");
    assert_string_form(SLICE("/\x7f\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80"),
                       "\"/\x7f\xc2\x80\xe2\x80\xa8\xf0\x9f\x98\x80\"");
    /* the example of RFC 8785, section 3.2.2.2 */
    assert_string_form(SLICE("\xe2\x82\xac$\x0f\nA'B\"\\\\\"/"),
                       "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
}

static void an_escape_is_found_at_every_place(void **state) {
    (void)state;
    static const uint8_t SPECIAL[] = {0x00, 0x1f, '"', '\\'},
                         PLAIN[] = {0x20, '!', '#', '[', ']', 0x7f};
    for (size_t at = 0; at < 24; at++) {
        for (size_t i = 0; i < sizeof SPECIAL + sizeof PLAIN; i++) {
            bool special = i < sizeof SPECIAL;
            uint8_t text[24];
            memset(text, i % 2 ? 'a' : 0x21, sizeof text);
            text[at] = special ? SPECIAL[i] : PLAIN[i - sizeof SPECIAL];
            struct buffer out, back;
            buffer_init(&out, 1000);
            buffer_init(&back, 1000);
            json_append_string(&out, slice_of(text, sizeof text));
            assert_int_equal(out.size > sizeof text + 2, special);
            assert_true(json_decode_string(slice_of(out.data + 1, out.size - 2), &back));
            assert_true(slice_equal(buffer_slice(&back), slice_of(text, sizeof text)));
            buffer_done(&out);
            buffer_done(&back);
        }
    }
}

static void escapes_decode_to_utf8(void **state) {
    (void)state;
    static const struct {
        struct slice content, text;
    } CASES[] = {
        {SLICE_EMPTY, SLICE_EMPTY},
        {SLICE("plain text"), SLICE("plain text")},
        {SLICE("\\\"\\\\\\/\\b\\f\\n\\r\\t"), SLICE("\"\\/\b\f\n\r\t")},
        {SLICE("\\u0041\\u00e9\\u20AC"), SLICE("A\xc3\xa9\xe2\x82\xac")},
        {SLICE("\\ud83d\\ude00!"), SLICE("\xf0\x9f\x98\x80!")},
        {SLICE("\\uD800\\uDC00"), SLICE("\xf0\x90\x80\x80")},
        {SLICE("\\udbff\\udfff"), SLICE("\xf4\x8f\xbf\xbf")},
        {SLICE("\\u0000"), SLICE("\0")},
        {SLICE("\\u007f\\u0080\\u07ff\\u0800\\uffff"),
         SLICE("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {SLICE("caf\xc3\xa9\\n"), SLICE("caf\xc3\xa9\n")},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        assert_true(json_decode_string(CASES[i].content, &out));
        assert_true(slice_equal(buffer_slice(&out), CASES[i].text));
        buffer_done(&out);
    }
}

static void malformed_strings_are_refused(void **state) {
    (void)state;
    static const struct slice CASES[] = {
        SLICE("\\"),
        SLICE("\\x"),
        SLICE("\\u"),
        SLICE("\\u12"),
        SLICE("\\u123g"),
        SLICE("\\U0041"),
        SLICE("\\ud800"),
        SLICE("\\ud800x"),
        SLICE("\\ud800\\n"),
        SLICE("\\ud800\\u"),
        SLICE("\\ud800\\u0041"),
        SLICE("\\udc00"),
        SLICE("\\ud800\\ud800"),
        SLICE("\\udc00\\ud800"),
        SLICE("a\nb"),
        SLICE("a\0b"),
        SLICE("\x1f"),
        SLICE("a\"b"),
        SLICE("\xff"),
        SLICE("\xc3"),
        SLICE("\xed\xa0\x80"),
        SLICE("\\\xc3\xa9"),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        if (json_decode_string(CASES[i], &out))
            fail_msg("case %zu was decoded", i);
        buffer_done(&out);
    }
}

static void base64_is_that_of_rfc_4648(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        const char *standard, *url;
    } CASES[] = {
        {SLICE_EMPTY, "", ""},
        {SLICE("f"), "Zg==", "Zg"},
        {SLICE("fo"), "Zm8=", "Zm8"},
        {SLICE("foo"), "Zm9v", "Zm9v"},
        {SLICE("foob"), "Zm9vYg==", "Zm9vYg"},
        {SLICE("fooba"), "Zm9vYmE=", "Zm9vYmE"},
        {SLICE("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
        {SLICE("\xfb\xff\xbf\xfe"), "+/+//g==", "-_-__g"},
        {SLICE("\0\0\0"), "AAAA", "AAAA"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        base64_append(&out, CASES[i].bytes);
        assert_true(slice_equal(buffer_slice(&out), slice_text(CASES[i].standard)));
        buffer_clear(&out);
        base64url_append(&out, CASES[i].bytes);
        assert_true(slice_equal(buffer_slice(&out), slice_text(CASES[i].url)));
        assert_int_equal(base64url_is_valid(buffer_slice(&out)), out.size > 0);
        buffer_clear(&out);
        assert_true(base64_decode(slice_text(CASES[i].standard), &out));
        assert_true(base64_decode(slice_text(CASES[i].url), &out));
        assert_int_equal(out.size, 2 * CASES[i].bytes.size);
        assert_true(slice_equal(slice_of(out.data, out.size / 2), CASES[i].bytes));
        assert_true(slice_equal(slice_after(buffer_slice(&out), out.size / 2), CASES[i].bytes));
        buffer_done(&out);
    }
}

static void padding_and_the_standard_alphabet_are_not_base64url(void **state) {
    (void)state;
    static const char *const WRONG[] = {"", "Zg==", "-_+-", "-_/-", "Zm 9", "Zm9v\n"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++)
        assert_false(base64url_is_valid(slice_text(WRONG[i])));
}

static void base64_of_any_bytes_decodes_to_them(void **state) {
    (void)state;
    uint8_t bytes[260];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct buffer text, back;
        buffer_init(&text, 1000);
        buffer_init(&back, 1000);
        base64_append(&text, slice_of(bytes, size));
        assert_int_equal(text.size, (size + 2) / 3 * 4);
        assert_true(base64_decode(buffer_slice(&text), &back));
        assert_true(slice_equal(buffer_slice(&back), slice_of(bytes, size)));
        buffer_done(&text);
        buffer_done(&back);
    }
}

static void malformed_base64_is_refused_and_appends_nothing(void **state) {
    (void)state;
    static const char *const CASES[] = {
        "Z",      "Zg=",      "Z===",  "=",    "==",    "====",        "Zg==Zg==", "Zm9v=",
        "Zm9v==", "Zm9v====", "Zm8==", "Z=g=", "Zg= =", "Zm9\n",       "Zm 9v",    "Zm9*",
        "Zh==",   "Zh",       "Zm9=",  "Zm9",  "Zm9vZ", "Zm9v\x80zzz",
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        buffer_append_byte(&out, 'x');
        if (base64_decode(slice_text(CASES[i]), &out))
            fail_msg("%s was decoded", CASES[i]);
        assert_true(slice_equal(buffer_slice(&out), SLICE("x")));
        buffer_done(&out);
    }
}

static void loose_base64_may_have_any_spare_bits(void **state) {
    (void)state;
    static const char *const BAD[] = {"Z", "Zg=", "Z===", "====", "Zm 9v", "Zm9*"};
    struct buffer out;
    buffer_init(&out, 100);
    assert_true(base64_decode_loose(SLICE("Zh=="), &out));
    assert_true(base64_decode_loose(SLICE("Zm9"), &out));
    assert_true(base64_decode_loose(SLICE("-_"), &out));
    assert_true(slice_equal(buffer_slice(&out), SLICE("ffo\xfb")));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(base64_decode_loose(slice_text(BAD[i]), &out));
    assert_int_equal(out.size, 4);
    buffer_done(&out);
}

static void a_refused_allocation_is_told_by_the_buffer_alone(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 100);
    memory_fail_after(1);
    assert_true(base64_decode(SLICE("Zm9v"), &out));
    assert_int_equal(buffer_status(&out), SYNC_ERR_NO_MEMORY);
    buffer_clear(&out);
    memory_fail_after(1);
    assert_true(json_decode_string(SLICE("a\\n\\u0041"), &out));
    assert_int_equal(buffer_status(&out), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    assert_int_equal(out.size, 0);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_as_rfc_8785_says),
        cmocka_unit_test(an_escape_is_found_at_every_place),
        cmocka_unit_test(escapes_decode_to_utf8),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(base64_is_that_of_rfc_4648),
        cmocka_unit_test(padding_and_the_standard_alphabet_are_not_base64url),
        cmocka_unit_test(base64_of_any_bytes_decodes_to_them),
        cmocka_unit_test(malformed_base64_is_refused_and_appends_nothing),
        cmocka_unit_test(loose_base64_may_have_any_spare_bits),
        cmocka_unit_test(a_refused_allocation_is_told_by_the_buffer_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
