#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/rpc/retention_clock.h"
#include "tests/base/memory_walk.h"

static const int64_t NOW = 1764000000000000;
static const int64_t SECOND = 1000000, HOUR = 3600000000, DAY = 86400000000, YEAR = 31556952000000;

static void a_clock_that_goes_on_is_believed(void **state) {
    (void)state;
    struct retention_clock clock = {0};
    assert_true(retention_clock_step(&clock, NOW));
    for (int i = 1; i < 100; i++)
        assert_true(retention_clock_step(&clock, NOW + i * 2 * SECOND));
    assert_true(retention_clock_step(&clock, NOW + 12 * HOUR)); /* it was stopped for the night */
}

static void after_a_leap_nothing_is_removed_for_a_day(void **state) {
    (void)state;
    struct retention_clock clock = {0};
    retention_clock_step(&clock, NOW);
    int64_t leapt = NOW + 10 * YEAR;
    for (int64_t at = leapt; at < leapt + DAY; at += HOUR)
        assert_false(retention_clock_step(&clock, at));
    assert_true(retention_clock_step(&clock, leapt + DAY));
    assert_true(retention_clock_step(&clock, leapt + DAY + SECOND));
}

static void a_leap_that_is_taken_back_is_forgotten(void **state) {
    (void)state;
    struct retention_clock clock = {0};
    retention_clock_step(&clock, NOW);
    assert_false(retention_clock_step(&clock, NOW + 10 * YEAR));
    assert_true(retention_clock_step(&clock, NOW + SECOND));
    assert_true(retention_clock_step(&clock, NOW + 2 * SECOND));
}

static void a_clock_that_goes_back_is_believed(void **state) {
    (void)state;
    struct retention_clock clock = {0};
    retention_clock_step(&clock, NOW);
    assert_true(retention_clock_step(&clock, NOW - 10 * YEAR));
    assert_true(retention_clock_step(&clock, NOW - 10 * YEAR + SECOND));
    assert_false(retention_clock_step(&clock, NOW)); /* ahead again: nobody knows which is right */
}

static void what_is_stored_is_read_back(void **state) {
    (void)state;
    struct retention_clock clock = {.last_us = NOW + YEAR, .held_us = NOW}, read;
    struct arena arena;
    struct slice value;
    arena_init(&arena, 1 << 16);
    assert_true(retention_clock_pack(&clock, &arena, &value));
    assert_true(retention_clock_unpack(value, &read));
    assert_int_equal(read.last_us, clock.last_us);
    assert_int_equal(read.held_us, clock.held_us);
    assert_false(retention_clock_unpack(slice_first(value, value.size - 1), &read));
    assert_false(retention_clock_unpack(slice_of("\x0a", 2), &read));
    assert_true(retention_clock_unpack(SLICE_EMPTY, &read));
    assert_int_equal(read.last_us, 0);
    arena_done(&arena);
}

static void without_memory_nothing_is_packed(void **state) {
    (void)state;
    struct retention_clock clock = {.last_us = NOW + YEAR, .held_us = NOW}, read;
    unsigned failures = 0;
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena arena;
        struct slice value = SLICE_EMPTY;
        arena_init(&arena, 1 << 16);
        memory_walk_begin(&walk);
        bool is_packed = retention_clock_pack(&clock, &arena, &value);
        bool has_failed = memory_walk_end(&walk);
        failures += has_failed;
        assert_int_equal(is_packed, !has_failed);
        assert_int_equal(value.size > 0, is_packed); /* untouched on failure */
        if (is_packed)
            assert_true(retention_clock_unpack(value, &read) && read.held_us == NOW);
        arena_done(&arena);
    }
    assert_true(failures >= 2); /* the buffer and the arena */
    struct arena full;
    struct slice value;
    arena_init(&full, 0);
    assert_false(retention_clock_pack(&clock, &full, &value));
    arena_done(&full);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_goes_on_is_believed),
        cmocka_unit_test(after_a_leap_nothing_is_removed_for_a_day),
        cmocka_unit_test(a_leap_that_is_taken_back_is_forgotten),
        cmocka_unit_test(a_clock_that_goes_back_is_believed),
        cmocka_unit_test(what_is_stored_is_read_back),
        cmocka_unit_test(without_memory_nothing_is_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
