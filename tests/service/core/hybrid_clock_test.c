#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/core/hybrid_clock.h"

static void device_time_is_corrected_by_the_offset_and_never_in_the_future(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_correct(1000, 0, 5000), 1000);
    assert_int_equal(hybrid_clock_correct(1000, 300, 5000), 700);
    assert_int_equal(hybrid_clock_correct(1000, -300, 5000), 1300);
    assert_int_equal(hybrid_clock_correct(6000, 0, 5000), 5000);
    assert_int_equal(hybrid_clock_correct(INT64_MAX, -1, 5000), 5000);
    assert_int_equal(hybrid_clock_correct(INT64_MIN, 1, 5000), INT64_MIN);
}

static void commit_times_only_grow(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_next(0, 5000), 5000);
    assert_int_equal(hybrid_clock_next(5000, 5000), 5001);
    assert_int_equal(hybrid_clock_next(9000, 5000), 9001);
}

static void small_offsets_are_the_networks(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_offset(0, 5000, 100), 0);
    assert_int_equal(hybrid_clock_offset(5099, 5000, 100), 0);
    assert_int_equal(hybrid_clock_offset(4901, 5000, 100), 0);
    assert_int_equal(hybrid_clock_offset(5100, 5000, 100), 100);
    assert_int_equal(hybrid_clock_offset(4000, 5000, 100), -1000);
    assert_int_equal(hybrid_clock_offset(INT64_MIN, 5000, 100), INT64_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_time_is_corrected_by_the_offset_and_never_in_the_future),
        cmocka_unit_test(commit_times_only_grow),
        cmocka_unit_test(small_offsets_are_the_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
