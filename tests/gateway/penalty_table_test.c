#include "gateway/penalty_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static uint64_t now_us;

static uint64_t clock_read(void *context) {
    (void)context;
    return now_us;
}

static const struct clock by_hand = {.now_us = clock_read, .monotonic_us = clock_read};

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(slice_text(text), &ip));
    return ip;
}

static int setup(void **state) {
    now_us = 1000000;
    *state = penalty_table_open(&by_hand);
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    assert_null(penalty_table_close(*state));
    return 0;
}

static void cut(struct penalty_table *table, const struct ip *ip, int times) {
    for (int i = 0; i < times; i++)
        penalty_note(table, ip);
}

static void who_was_cut_often_waits_until_time_has_passed(void **state) {
    const struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2");
    assert_false(penalty_is_due(*state, &a));
    cut(*state, &a, PENALTY_CUTS_MIN - 1);
    assert_false(penalty_is_due(*state, &a));
    now_us += PENALTY_TIME_US;
    cut(*state, &a, 1);
    assert_true(penalty_is_due(*state, &a));
    assert_false(penalty_is_due(*state, &b));
    now_us += PENALTY_TIME_US;
    assert_true(penalty_is_due(*state, &a));
    now_us++;
    assert_false(penalty_is_due(*state, &a));
}

static void cuts_far_apart_are_no_habit(void **state) {
    const struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2");
    for (int i = 0; i < 3 * PENALTY_CUTS_MIN; i++) {
        cut(*state, &a, 1);
        cut(*state, &b, PENALTY_CUTS_MIN); /* looks are not spared for want of anybody */
        assert_false(penalty_is_due(*state, &a));
        now_us += PENALTY_TIME_US + 1;
    }
}

static void an_ipv6_client_is_its_network(void **state) {
    const struct ip a = ip_of("2001:db8::1"), b = ip_of("2001:db8::2:0:0:1"),
                    c = ip_of("2001:db8:0:1::1");
    cut(*state, &a, PENALTY_CUTS_MIN);
    assert_true(penalty_is_due(*state, &b));
    assert_false(penalty_is_due(*state, &c));
}

static void however_many_are_cut_the_last_are_known(void **state) {
    struct ip ip = ip_of("10.0.0.0");
    for (int i = 0; i < 4 * PENALTY_ADDRESSES_MAX; i++) {
        now_us++;
        ip.bytes[13] = (uint8_t)(i >> 16);
        ip.bytes[14] = (uint8_t)(i >> 8);
        ip.bytes[15] = (uint8_t)i;
        cut(*state, &ip, PENALTY_CUTS_MIN);
        assert_true(penalty_is_due(*state, &ip));
    }
}

static void without_a_table_nobody_waits(void **state) {
    (void)state;
    const struct ip a = ip_of("192.0.2.1");
    cut(NULL, &a, PENALTY_CUTS_MIN);
    assert_false(penalty_is_due(NULL, &a));
}

static void lack_of_memory_is_told(void **state) {
    (void)state;
    memory_fail_after(1);
    assert_null(penalty_table_open(&by_hand));
    memory_fail_after(0);
    assert_null(penalty_table_close(NULL));
}

#define TEST_TABLE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_TABLE(who_was_cut_often_waits_until_time_has_passed),
        TEST_TABLE(cuts_far_apart_are_no_habit),
        TEST_TABLE(an_ipv6_client_is_its_network),
        TEST_TABLE(however_many_are_cut_the_last_are_known),
        cmocka_unit_test(without_a_table_nobody_waits),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
