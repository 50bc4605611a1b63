#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/memory.h"

static void bytes_are_written_as_digits_and_read_back(void **state) {
    (void)state;
    struct buffer text, bytes;
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    buffer_init(&text, 1024);
    buffer_init(&bytes, 1024);
    hex_append(&text, slice_of(all, sizeof all));
    assert_int_equal(text.size, 512);
    assert_memory_equal(text.data + 2 * 0xa9, "a9aaab", 6);
    assert_true(hex_decode(buffer_slice(&text), &bytes));
    assert_true(slice_equal(buffer_slice(&bytes), slice_of(all, sizeof all)));
    buffer_clear(&bytes);
    assert_true(hex_decode(SLICE("aBCd"), &bytes));
    assert_true(slice_equal(buffer_slice(&bytes), SLICE("\xab\xcd")));
    assert_true(hex_decode(SLICE_EMPTY, &bytes));
    assert_int_equal(bytes.size, 2);
    buffer_done(&text);
    buffer_done(&bytes);
}

static void other_text_leaves_the_buffer_as_it_was(void **state) {
    (void)state;
    static const char *const OTHERS[] = {"a",  "abc", "ag", " a",        "0x",
                                         "a/", "a:",  "a@", "ab\xff\xff"};
    struct buffer bytes;
    buffer_init(&bytes, 16);
    buffer_append(&bytes, SLICE("kept"));
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        assert_false(hex_decode(slice_text(OTHERS[i]), &bytes));
    assert_true(slice_equal(buffer_slice(&bytes), SLICE("kept")));
    assert_int_equal(buffer_status(&bytes), SYNC_OK);
    buffer_done(&bytes);
}

static void refused_memory_is_told_by_the_buffer(void **state) {
    (void)state;
    struct buffer text, bytes;
    buffer_init(&text, 1024);
    buffer_init(&bytes, 1024);
    memory_fail_after(1);
    hex_append(&text, SLICE("abc"));
    memory_fail_after(1);
    assert_true(hex_decode(SLICE("abcd"), &bytes));
    memory_fail_after(0);
    assert_int_equal(buffer_status(&text), SYNC_ERR_NO_MEMORY);
    assert_int_equal(buffer_status(&bytes), SYNC_ERR_NO_MEMORY);
    buffer_done(&text);
    buffer_done(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_written_as_digits_and_read_back),
        cmocka_unit_test(other_text_leaves_the_buffer_as_it_was),
        cmocka_unit_test(refused_memory_is_told_by_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
