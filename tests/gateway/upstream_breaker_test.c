#include "gateway/upstream_breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct upstream_breaker_options options = {.failures_max = 5,
                                                        .failures_percent = 50,
                                                        .window_calls_min = 20,
                                                        .window_us = 10000000,
                                                        .open_us = 1000000,
                                                        .open_max_us = 3000000};
enum { SECOND = 1000000 };

/* One call, and whether the breaker opened by it. */
static bool call(struct upstream_breaker *breaker, enum upstream_outcome outcome, uint64_t now_us) {
    bool probe = upstream_breaker_begin(breaker, &options, now_us);
    return upstream_breaker_end(breaker, &options, probe, outcome, now_us);
}

static void fail_in_row(struct upstream_breaker *breaker, uint64_t now_us) {
    for (unsigned i = 1; i < options.failures_max; i++)
        assert_false(call(breaker, UPSTREAM_OUTCOME_FAILURE, now_us));
    assert_true(call(breaker, UPSTREAM_OUTCOME_FAILURE, now_us));
}

static void failures_in_a_row_open_it(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    assert_true(upstream_breaker_admits(&breaker, &options, 0));
    fail_in_row(&breaker, 0);
    assert_int_equal(upstream_breaker_look(&breaker, 0), UPSTREAM_BREAKER_OPEN);
    assert_false(upstream_breaker_admits(&breaker, &options, SECOND - 1));
}

static void a_success_between_breaks_the_row(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    for (int i = 0; i < 4; i++)
        assert_false(call(&breaker, UPSTREAM_OUTCOME_FAILURE, 0));
    assert_false(call(&breaker, UPSTREAM_OUTCOME_SUCCESS, 0));
    for (int i = 0; i < 4; i++)
        assert_false(call(&breaker, UPSTREAM_OUTCOME_FAILURE, 0));
    assert_int_equal(upstream_breaker_look(&breaker, 0), UPSTREAM_BREAKER_CLOSED);
}

static void what_others_saw_counts_as_well(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    upstream_breaker_hear(&breaker, options.failures_max - 2);
    assert_false(call(&breaker, UPSTREAM_OUTCOME_FAILURE, 0));
    assert_false(call(&breaker, UPSTREAM_OUTCOME_SUCCESS, 0)); /* here it is well */
    fail_in_row(&breaker, 0);
    breaker = (struct upstream_breaker){0};
    upstream_breaker_hear(&breaker, options.failures_max + 7);
    assert_true(upstream_breaker_admits(&breaker, &options, 0));
    assert_true(call(&breaker, UPSTREAM_OUTCOME_FAILURE, 0));
}

static void what_tells_nothing_counts_as_nothing(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    for (int i = 0; i < 100; i++)
        assert_false(call(&breaker, UPSTREAM_OUTCOME_NONE, 0));
    fail_in_row(&breaker, 0);
}

static void half_of_a_windows_calls_open_it(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    int opened = 0, calls = 0;
    while (!opened && calls < 100) {
        opened = call(&breaker, calls % 2 ? UPSTREAM_OUTCOME_FAILURE : UPSTREAM_OUTCOME_SUCCESS,
                      (uint64_t)calls * 1000);
        calls++;
    }
    assert_int_equal(calls, 20);
}

static void calls_of_long_ago_are_forgotten(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    uint64_t now_us = 0;
    /* Each second one fails and one does not: never 20 in a window. */
    for (int i = 0; i < 30; i++, now_us += 2 * SECOND) {
        assert_false(call(&breaker, UPSTREAM_OUTCOME_FAILURE, now_us));
        assert_false(call(&breaker, UPSTREAM_OUTCOME_SUCCESS, now_us));
    }
    assert_int_equal(upstream_breaker_look(&breaker, now_us), UPSTREAM_BREAKER_CLOSED);
}

static void half_open_lets_one_probe_through(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    assert_true(upstream_breaker_admits(&breaker, &options, SECOND));
    assert_int_equal(upstream_breaker_look(&breaker, SECOND), UPSTREAM_BREAKER_HALF_OPEN);
    assert_true(upstream_breaker_begin(&breaker, &options, SECOND));
    assert_false(upstream_breaker_admits(&breaker, &options, SECOND));
    assert_false(upstream_breaker_begin(&breaker, &options, SECOND));
    assert_false(
        upstream_breaker_end(&breaker, &options, true, UPSTREAM_OUTCOME_SUCCESS, SECOND + 1));
    assert_int_equal(upstream_breaker_look(&breaker, SECOND + 1), UPSTREAM_BREAKER_CLOSED);
}

static void calls_of_before_do_not_judge_it(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    assert_false(upstream_breaker_end(&breaker, &options, false, UPSTREAM_OUTCOME_SUCCESS, 10));
    assert_int_equal(upstream_breaker_look(&breaker, 10), UPSTREAM_BREAKER_OPEN);
    assert_false(upstream_breaker_end(&breaker, &options, false, UPSTREAM_OUTCOME_FAILURE, SECOND));
    assert_int_equal(upstream_breaker_look(&breaker, SECOND), UPSTREAM_BREAKER_HALF_OPEN);
}

static void a_failed_probe_doubles_the_time_up_to_its_bound(void **state) {
    (void)state;
    static const uint64_t OPEN_US[] = {2 * SECOND, 3 * SECOND, 3 * SECOND};
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    uint64_t now_us = SECOND;
    for (int i = 0; i < 3; i++) {
        assert_true(call(&breaker, UPSTREAM_OUTCOME_FAILURE, now_us));
        assert_false(upstream_breaker_admits(&breaker, &options, now_us + OPEN_US[i] - 1));
        now_us += OPEN_US[i];
        assert_true(upstream_breaker_admits(&breaker, &options, now_us));
    }
}

static void a_probe_whose_client_goes_away_makes_room_for_another(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    assert_false(call(&breaker, UPSTREAM_OUTCOME_NONE, SECOND));
    assert_true(upstream_breaker_admits(&breaker, &options, SECOND));
}

static void a_probe_that_lasts_does_not_hold_up_the_next(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    assert_true(upstream_breaker_begin(&breaker, &options, SECOND));
    assert_false(upstream_breaker_admits(&breaker, &options, 2 * SECOND - 1));
    assert_true(upstream_breaker_begin(&breaker, &options, 2 * SECOND));
}

static void a_quiet_time_brings_the_first_pause_back(void **state) {
    (void)state;
    struct upstream_breaker breaker = {0};
    fail_in_row(&breaker, 0);
    assert_true(call(&breaker, UPSTREAM_OUTCOME_FAILURE, SECOND));
    assert_false(call(&breaker, UPSTREAM_OUTCOME_SUCCESS, 4 * SECOND));
    for (int i = 0; i < 4; i++)
        assert_false(call(&breaker, UPSTREAM_OUTCOME_SUCCESS, (uint64_t)(10 + 6 * i) * SECOND));
    fail_in_row(&breaker, 40 * SECOND);
    assert_true(upstream_breaker_admits(&breaker, &options, 41 * SECOND));
}

static void without_a_bound_it_never_opens(void **state) {
    (void)state;
    const struct upstream_breaker_options never = {.failures_max = 0};
    struct upstream_breaker breaker = {0};
    for (int i = 0; i < 1000; i++)
        assert_false(
            upstream_breaker_end(&breaker, &never, false, UPSTREAM_OUTCOME_FAILURE, (uint64_t)i));
    assert_true(upstream_breaker_admits(&breaker, &never, 1000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it),
        cmocka_unit_test(a_success_between_breaks_the_row),
        cmocka_unit_test(what_others_saw_counts_as_well),
        cmocka_unit_test(what_tells_nothing_counts_as_nothing),
        cmocka_unit_test(half_of_a_windows_calls_open_it),
        cmocka_unit_test(calls_of_long_ago_are_forgotten),
        cmocka_unit_test(half_open_lets_one_probe_through),
        cmocka_unit_test(calls_of_before_do_not_judge_it),
        cmocka_unit_test(a_failed_probe_doubles_the_time_up_to_its_bound),
        cmocka_unit_test(a_probe_whose_client_goes_away_makes_room_for_another),
        cmocka_unit_test(a_probe_that_lasts_does_not_hold_up_the_next),
        cmocka_unit_test(a_quiet_time_brings_the_first_pause_back),
        cmocka_unit_test(without_a_bound_it_never_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
