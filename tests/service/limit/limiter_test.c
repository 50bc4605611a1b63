#include "service/limit/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

static const uint64_t DAY_US = 86400ULL * 1000000;
static const uint64_t NOON_US = 20000 * 86400ULL * 1000000 + 43200ULL * 1000000;

static struct limiter *open_with(struct limit_rule rule, size_t users_max) {
    struct limiter *limiter = NULL;
    const struct limiter_options options = {.rules = {rule, rule, rule, rule},
                                            .users_max = users_max};
    assert_int_equal(limiter_open(&options, &limiter), SYNC_OK);
    return limiter;
}

static bool take(struct limiter *limiter, const char *user, uint64_t cost, uint64_t now_us) {
    return limiter_take(limiter, slice_text(user), LIMIT_CALLS, cost, now_us).allowed;
}

static void burst_passes_and_the_next_is_refused(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){2, 5, 0}, 0);
    for (int i = 0; i < 5; i++)
        assert_true(take(limiter, "anna", 1, NOON_US));
    struct limit_decision decision = limiter_take(limiter, SLICE("anna"), LIMIT_CALLS, 1, NOON_US);
    assert_false(decision.allowed);
    assert_false(decision.quota);
    assert_int_equal(decision.limit, 5);
    assert_int_equal(decision.remaining, 0);
    assert_int_equal(decision.retry_after_ms, 500);
    assert_int_equal(decision.reset_ms, 2500);
    limiter_close(limiter);
}

static void retry_after_the_time_told_passes(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){3, 1, 0}, 0);
    uint64_t now_us = NOON_US;
    assert_true(take(limiter, "anna", 1, now_us));
    for (int i = 0; i < 100; i++) {
        struct limit_decision decision =
            limiter_take(limiter, SLICE("anna"), LIMIT_CALLS, 1, now_us);
        assert_false(decision.allowed);
        now_us += decision.retry_after_ms * 1000;
        assert_true(take(limiter, "anna", 1, now_us));
    }
    limiter_close(limiter);
}

static void refused_take_takes_nothing(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 10, 0}, 0);
    assert_true(take(limiter, "anna", 6, NOON_US));
    assert_false(take(limiter, "anna", 5, NOON_US));
    assert_true(take(limiter, "anna", 4, NOON_US));
    limiter_close(limiter);
}

static void more_than_the_burst_passes_when_full_and_leaves_a_debt(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 10, 0}, 0);
    assert_true(take(limiter, "anna", 30, NOON_US));
    assert_false(take(limiter, "anna", 1, NOON_US + 20 * 1000000));
    assert_true(take(limiter, "anna", 1, NOON_US + 21 * 1000000));
    limiter_close(limiter);
}

static void users_and_kinds_do_not_share(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 1, 0}, 0);
    assert_true(take(limiter, "anna", 1, NOON_US));
    assert_true(take(limiter, "ben", 1, NOON_US));
    assert_true(limiter_take(limiter, SLICE("anna"), LIMIT_SYNCS, 1, NOON_US).allowed);
    assert_false(take(limiter, "anna", 1, NOON_US));
    limiter_close(limiter);
}

static void quota_ends_with_the_day(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1000, 1000, 10}, 0);
    assert_true(take(limiter, "anna", 10, NOON_US));
    struct limit_decision decision = limiter_take(limiter, SLICE("anna"), LIMIT_CALLS, 1, NOON_US);
    assert_false(decision.allowed);
    assert_true(decision.quota);
    assert_int_equal(decision.limit, 10);
    assert_int_equal(decision.remaining, 0);
    assert_in_range(decision.retry_after_ms, 43200000, 43200001);
    assert_false(take(limiter, "anna", 1, NOON_US + DAY_US / 2 - 1));
    assert_true(take(limiter, "anna", 1, NOON_US + DAY_US / 2));
    limiter_close(limiter);
}

static void nearness_is_told_when_a_tenth_is_left(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 100, 1000}, 0);
    struct slice anna = SLICE("anna");
    assert_false(limiter_take(limiter, anna, LIMIT_CALLS, 90, NOON_US).is_near);
    assert_true(limiter_take(limiter, anna, LIMIT_CALLS, 1, NOON_US).is_near);
    /* The bucket is full again each time, the day's quota is not. */
    for (uint64_t i = 1; i <= 8; i++)
        assert_false(limiter_take(limiter, anna, LIMIT_CALLS, 90, NOON_US + i * 100000000).is_near);
    assert_true(limiter_take(limiter, anna, LIMIT_CALLS, 90, NOON_US + 900000000).is_near);
    limiter_close(limiter);
}

static void clock_that_goes_back_refills_nothing(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 1, 0}, 0);
    assert_true(take(limiter, "anna", 1, NOON_US));
    assert_false(take(limiter, "anna", 1, NOON_US - DAY_US));
    limiter_close(limiter);
}

static void longest_idle_user_is_forgotten_first(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){0.001, 1, 0}, 64);
    char name[32];
    assert_true(take(limiter, "anna", 1, NOON_US));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "user-%d", i);
        assert_true(take(limiter, name, 1, NOON_US));
    }
    assert_false(take(limiter, name, 1, NOON_US)); /* the newest is remembered */
    assert_true(take(limiter, "anna", 1, NOON_US));
    limiter_close(limiter);
}

static void without_limits_all_passes(void **state) {
    (void)state;
    struct limiter *limiter = NULL;
    assert_int_equal(limiter_open(&(struct limiter_options){.unlimited = true}, &limiter), SYNC_OK);
    for (int i = 0; i < 1000; i++)
        assert_true(take(limiter, "anna", 1000000, NOON_US));
    limiter_close(limiter);
}

static void user_passes_when_there_is_no_memory(void **state) {
    (void)state;
    struct limiter *limiter = open_with((struct limit_rule){1, 1, 0}, 0);
    memory_fail_after(1);
    assert_true(take(limiter, "anna", 5, NOON_US));
    memory_fail_after(1);
    assert_int_equal(limiter_open(&(struct limiter_options){.unlimited = true}, &limiter),
                     SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    limiter_close(limiter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_passes_and_the_next_is_refused),
        cmocka_unit_test(retry_after_the_time_told_passes),
        cmocka_unit_test(refused_take_takes_nothing),
        cmocka_unit_test(more_than_the_burst_passes_when_full_and_leaves_a_debt),
        cmocka_unit_test(users_and_kinds_do_not_share),
        cmocka_unit_test(quota_ends_with_the_day),
        cmocka_unit_test(nearness_is_told_when_a_tenth_is_left),
        cmocka_unit_test(clock_that_goes_back_refills_nothing),
        cmocka_unit_test(longest_idle_user_is_forgotten_first),
        cmocka_unit_test(without_limits_all_passes),
        cmocka_unit_test(user_passes_when_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
