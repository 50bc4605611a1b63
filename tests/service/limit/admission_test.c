// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "base/memory.h"
#include "service/limit/admission.h"

static const uint64_t NOW_US = 1000000000;

static struct admission *admission_make(uint32_t streams, uint32_t opening, double rate) {
    struct admission *admission = NULL;
    assert_int_equal(admission_open(&(struct admission_options){.streams_max = streams,
                                                                .opening_max = opening,
                                                                .opens_per_second = rate},
                                    &admission),
                     SYNC_OK);
    return admission;
}

static struct slice device(int number) {
    static char text[32];
    snprintf(text, sizeof text, "device-%d", number);
    return slice_text(text);
}

static void streams_enter_until_they_are_full(void **state) {
    (void)state;
    struct admission *admission = admission_make(2, 10, 100);
    assert_true(admission_enter(admission, device(1), NOW_US).admitted);
    assert_true(admission_enter(admission, device(2), NOW_US).admitted);
    struct admission_decision refused = admission_enter(admission, device(3), NOW_US);
    assert_false(refused.admitted);
    assert_string_equal(refused.reason, "STREAMS_FULL");
    assert_in_range(refused.retry_after_us, 1000000, ADMISSION_RETRY_MAX_US);
    admission_leave(admission);
    assert_true(admission_enter(admission, device(3), NOW_US).admitted);
    assert_int_equal(admission_look(admission).open, 2);
    assert_int_equal(admission_look(admission).refused, 1);
    admission_close(admission);
}

static void openings_are_bounded_until_they_complete(void **state) {
    (void)state;
    struct admission *admission = admission_make(10, 2, 100);
    assert_true(admission_begin(admission, device(1), NOW_US).admitted);
    assert_true(admission_begin(admission, device(2), NOW_US).admitted);
    assert_string_equal(admission_begin(admission, device(3), NOW_US).reason, "STREAMS_OPENING");
    admission_complete(admission);
    assert_true(admission_begin(admission, device(3), NOW_US).admitted);
    admission_close(admission);
}

static void openings_keep_a_pace(void **state) {
    (void)state;
    struct admission *admission = admission_make(1000, 1000, 10);
    int admitted = 0;
    for (int i = 0; i < 50; i++)
        admitted += admission_begin(admission, device(i), NOW_US).admitted;
    assert_int_equal(admitted, 10);
    for (int i = 0; i < 50; i++)
        admitted += admission_begin(admission, device(i), NOW_US + 500000).admitted;
    assert_int_equal(admitted, 15);
    admission_close(admission);
}

static void a_slow_pace_still_lets_one_in(void **state) {
    (void)state;
    struct admission *admission = admission_make(10, 10, 0.5);
    assert_true(admission_begin(admission, device(1), NOW_US).admitted);
    assert_false(admission_begin(admission, device(2), NOW_US).admitted);
    assert_true(admission_begin(admission, device(2), NOW_US + 2000000).admitted);
    admission_close(admission);
}

static void refused_ones_get_slots_of_their_own(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    struct admission *admission = admission_make(100000, 1, 100);
    assert_true(admission_begin(admission, device(0), NOW_US).admitted);
    uint64_t last_us = 0;
    for (int i = 1; i <= COUNT; i++) {
        struct admission_decision refused = admission_begin(admission, device(i), NOW_US);
        assert_false(refused.admitted);
        /* Each slot is 12.5 ms wide, and a device's place in it is its own. */
        assert_in_range(refused.retry_after_us, 1000000 + (uint64_t)(i - 1) * 12500,
                        1000000 + (uint64_t)i * 12500 - 1);
        assert_true(refused.retry_after_us > last_us);
        last_us = refused.retry_after_us;
    }
    admission_close(admission);
}

static void the_same_refusals_get_the_same_slots(void **state) {
    (void)state;
    uint64_t first[20];
    for (int round = 0; round < 2; round++) {
        struct admission *admission = admission_make(1, 1, 3);
        admission_begin(admission, device(0), NOW_US);
        for (int i = 0; i < 20; i++) {
            uint64_t after_us = admission_begin(admission, device(i), NOW_US).retry_after_us;
            if (round == 0)
                first[i] = after_us;
            assert_int_equal(after_us, first[i]);
        }
        admission_close(admission);
    }
}

static void no_slot_is_later_than_the_latest(void **state) {
    (void)state;
    struct admission *admission = admission_make(1, 1, 1);
    admission_begin(admission, device(0), NOW_US);
    unsigned late = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t after_us = admission_begin(admission, device(i), NOW_US).retry_after_us;
        assert_in_range(after_us, 1000000, ADMISSION_RETRY_MAX_US);
        late += after_us > ADMISSION_RETRY_MAX_US / 2;
    }
    assert_true(late > 1000); /* the rest is spread over the second half, not at one moment */
    admission_close(admission);
}

static void slots_that_have_passed_are_forgotten(void **state) {
    (void)state;
    struct admission *admission = admission_make(10, 1, 1);
    admission_begin(admission, device(0), NOW_US);
    for (int i = 0; i < 20; i++)
        admission_begin(admission, device(i), NOW_US);
    uint64_t later_us = NOW_US + 3600ULL * 1000000;
    assert_in_range(admission_begin(admission, device(7), later_us).retry_after_us, 1000000,
                    1000000 + 1250000);
    admission_close(admission);
}

static void a_drain_spreads_streams_over_a_window_that_grows(void **state) {
    (void)state;
    struct admission *admission = admission_make(100000, 100, 100);
    assert_in_range(admission_drain_slot(admission, 0, 1, device(1)), 1000000, 1000000 + 12500);
    uint64_t last_us = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t slot_us = admission_drain_slot(admission, i, 1000, device((int)i));
        assert_in_range(slot_us, 1000000 + i * 12500, 1000000 + (i + 1) * 12500);
        assert_true(slot_us >= last_us);
        last_us = slot_us;
    }
    assert_in_range(admission_drain_slot(admission, 999999, 1000000, device(1)),
                    ADMISSION_RETRY_MAX_US - 1000000, ADMISSION_RETRY_MAX_US);
    /* One that came while the drain went on is not counted, and not far off. */
    assert_in_range(admission_drain_slot(admission, 5, 3, device(1)), 1000000, 2000000);
    admission_close(admission);
}

static void opening_without_memory_fails(void **state) {
    (void)state;
    struct admission *admission = NULL;
    memory_fail_after(1);
    enum sync_status status = admission_open(
        &(struct admission_options){.streams_max = 1, .opening_max = 1, .opens_per_second = 1},
        &admission);
    memory_fail_after(0);
    assert_int_equal(status, SYNC_ERR_NO_MEMORY);
    assert_null(admission);
    assert_null(admission_close(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_enter_until_they_are_full),
        cmocka_unit_test(openings_are_bounded_until_they_complete),
        cmocka_unit_test(openings_keep_a_pace),
        cmocka_unit_test(a_slow_pace_still_lets_one_in),
        cmocka_unit_test(refused_ones_get_slots_of_their_own),
        cmocka_unit_test(the_same_refusals_get_the_same_slots),
        cmocka_unit_test(no_slot_is_later_than_the_latest),
        cmocka_unit_test(slots_that_have_passed_are_forgotten),
        cmocka_unit_test(a_drain_spreads_streams_over_a_window_that_grows),
        cmocka_unit_test(opening_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
