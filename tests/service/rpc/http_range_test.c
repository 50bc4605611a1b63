// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "service/rpc/http_range.h"

static void assert_part(const char *header, uint64_t size, uint64_t begin, uint64_t end) {
    struct http_range range = http_range_parse(slice_text(header), size);
    assert_int_equal(range.kind, HTTP_RANGE_PART);
    assert_int_equal(range.begin, begin);
    assert_int_equal(range.end, end);
}

static enum http_range_kind kind_of(const char *header, uint64_t size) {
    return http_range_parse(slice_text(header), size).kind;
}

static void a_range_names_its_first_and_last_byte(void **state) {
    (void)state;
    assert_part("bytes=0-0", 10, 0, 1);
    assert_part("bytes=2-5", 10, 2, 6);
    assert_part("bytes=2-", 10, 2, 10);
    assert_part(" bytes=9-9 ", 10, 9, 10);
}

static void a_last_byte_behind_the_end_is_cut(void **state) {
    (void)state;
    assert_part("bytes=5-99", 10, 5, 10);
    assert_part("bytes=5-99999999999999999999999999", 10, 5, 10);
}

static void a_suffix_counts_from_the_end(void **state) {
    (void)state;
    assert_part("bytes=-3", 10, 7, 10);
    assert_part("bytes=-30", 10, 0, 10);
}

static void a_range_behind_the_end_cannot_be_satisfied(void **state) {
    (void)state;
    assert_int_equal(kind_of("bytes=10-", 10), HTTP_RANGE_UNSATISFIABLE);
    assert_int_equal(kind_of("bytes=10-12", 10), HTTP_RANGE_UNSATISFIABLE);
    assert_int_equal(kind_of("bytes=-0", 10), HTTP_RANGE_UNSATISFIABLE);
    assert_int_equal(kind_of("bytes=0-", 0), HTTP_RANGE_UNSATISFIABLE);
}

static void what_is_no_single_range_means_the_whole(void **state) {
    (void)state;
    const char *const headers[] = {"",          "bytes",     "bytes=",     "bytes=-",
                                   "bytes=a-b", "bytes=5-2", "items=0-1",  "bytes=0-1,3-4",
                                   "bytes=1",   "bytes=--1", "bytes=0x1-2"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        assert_int_equal(kind_of(headers[i], 10), HTTP_RANGE_WHOLE);
}

static void a_tag_is_found_in_a_list_weak_or_strong(void **state) {
    (void)state;
    struct slice tag = SLICE("\"abc\"");
    assert_true(http_tags_match(SLICE("\"abc\""), tag));
    assert_true(http_tags_match(SLICE("\"x\", W/\"abc\" , \"y\""), tag));
    assert_true(http_tags_match(SLICE("*"), tag));
    assert_false(http_tags_match(SLICE("\"ab\""), tag));
    assert_false(http_tags_match(SLICE(""), tag));
}

static void a_range_counts_only_for_the_very_tag(void **state) {
    (void)state;
    struct slice tag = SLICE("\"abc\"");
    assert_true(http_if_range_holds(SLICE(""), tag));
    assert_true(http_if_range_holds(SLICE(" \"abc\""), tag));
    assert_false(http_if_range_holds(SLICE("W/\"abc\""), tag));
    assert_false(http_if_range_holds(SLICE("Sun, 22 Nov 2026 10:00:00 GMT"), tag));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_names_its_first_and_last_byte),
        cmocka_unit_test(a_last_byte_behind_the_end_is_cut),
        cmocka_unit_test(a_suffix_counts_from_the_end),
        cmocka_unit_test(a_range_behind_the_end_cannot_be_satisfied),
        cmocka_unit_test(what_is_no_single_range_means_the_whole),
        cmocka_unit_test(a_tag_is_found_in_a_list_weak_or_strong),
        cmocka_unit_test(a_range_counts_only_for_the_very_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
