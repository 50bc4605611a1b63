#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/core/hybrid_clock.h"

static const int64_t MINUTE = 60000000, HOUR = 3600000000, YEAR = 31556952000000;
static const int64_t NOW = 1764000000000000;         /* 2025 */
static const int64_t YEAR_0001 = -62135596800000000; /* its first microsecond */
static const int64_t YEAR_9999 = 253402300799999999; /* its last */
static const int64_t TOLERANCE = 2000000;

static void device_time_is_corrected_by_the_offset_and_never_in_the_future(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_correct(1000, 0, 5000), 1000);
    assert_int_equal(hybrid_clock_correct(1000, 300, 5000), 700);
    assert_int_equal(hybrid_clock_correct(1000, -300, 5000), 1300);
    assert_int_equal(hybrid_clock_correct(6000, 0, 5000), 5000);
    assert_int_equal(hybrid_clock_correct(INT64_MAX, -1, 5000), 5000);
    assert_int_equal(hybrid_clock_correct(INT64_MIN, 1, 5000), 0);
    assert_int_equal(hybrid_clock_correct(INT64_MIN, INT64_MIN, 5000), 0);
    assert_int_equal(hybrid_clock_correct(INT64_MAX, INT64_MAX, 5000), 0);
    assert_int_equal(hybrid_clock_correct(-1, 0, 5000), 0);
}

/* A change made five minutes before it is sent, by a clock that is wrong all the while. */
static void a_clock_that_is_wrong_by_any_amount_is_corrected(void **state) {
    (void)state;
    const int64_t wrong[] = {0,          TOLERANCE, 10 * MINUTE, -10 * MINUTE,    7 * HOUR,
                             -30 * HOUR, 50 * YEAR, -50 * YEAR,  YEAR_9999 - NOW, YEAR_0001 - NOW};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t sent = NOW + wrong[i], made = sent - 5 * MINUTE;
        int64_t offset = hybrid_clock_offset(sent, NOW, TOLERANCE);
        assert_int_equal(offset, wrong[i]);
        assert_int_equal(hybrid_clock_correct(made, offset, NOW), NOW - 5 * MINUTE);
    }
}

static void what_a_device_says_of_its_clock_never_makes_it_later_than_now(void **state) {
    (void)state;
    const int64_t said[] = {0,          1,          YEAR_0001, YEAR_9999,
                            NOW - YEAR, NOW + YEAR, INT64_MIN, INT64_MAX};
    const int64_t made[] = {0, YEAR_0001, YEAR_9999, NOW - MINUTE, NOW + MINUTE};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        for (size_t k = 0; k < sizeof made / sizeof *made; k++) {
            int64_t offset = hybrid_clock_offset(said[i], NOW, TOLERANCE);
            int64_t corrected = hybrid_clock_correct(made[k], offset, NOW);
            assert_true(corrected >= 0 && corrected <= NOW);
        }
}

static void commit_times_only_grow(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_next(0, 5000), 5000);
    assert_int_equal(hybrid_clock_next(5000, 5000), 5001);
    assert_int_equal(hybrid_clock_next(9000, 5000), 9001);
    assert_int_equal(hybrid_clock_next(NOW, NOW - HOUR), NOW + 1);
}

static void a_clock_that_ran_years_ahead_is_left_behind_when_it_is_right_again(void **state) {
    (void)state;
    int64_t ahead = hybrid_clock_next(NOW, NOW + 10 * YEAR);
    assert_int_equal(ahead, NOW + 10 * YEAR);
    assert_int_equal(hybrid_clock_next(ahead, NOW + MINUTE), NOW + MINUTE);
    assert_int_equal(hybrid_clock_next(NOW, NOW - HOUR - 1), NOW - HOUR - 1);
    assert_int_equal(hybrid_clock_next(INT64_MAX, NOW), NOW);
}

static void a_stored_time_that_cannot_be_comes_before_all_others(void **state) {
    (void)state;
    assert_int_equal(hybrid_clock_believe(NOW, NOW), NOW);
    assert_int_equal(hybrid_clock_believe(NOW + HOUR, NOW), NOW + HOUR);
    assert_int_equal(hybrid_clock_believe(NOW + HOUR + 1, NOW), 0);
    assert_int_equal(hybrid_clock_believe(INT64_MAX, NOW), 0);
    assert_int_equal(hybrid_clock_believe(5, INT64_MIN), 5);
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
        cmocka_unit_test(a_clock_that_is_wrong_by_any_amount_is_corrected),
        cmocka_unit_test(what_a_device_says_of_its_clock_never_makes_it_later_than_now),
        cmocka_unit_test(commit_times_only_grow),
        cmocka_unit_test(a_clock_that_ran_years_ahead_is_left_behind_when_it_is_right_again),
        cmocka_unit_test(a_stored_time_that_cannot_be_comes_before_all_others),
        cmocka_unit_test(small_offsets_are_the_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
