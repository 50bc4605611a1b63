#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* 2026-11-22T20:16:51Z */
static const int64_t NOW = INT64_C(1795378611000000);

static void times_parse_to_microseconds(void **state) {
    (void)state;
    static const int64_t HOUR = INT64_C(3600000000), MINUTE = 60000000;
    const struct {
        const char *text;
        int64_t time_us;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01", 0},
        {"2026-11-22T20:16:51Z", NOW},
        {"2026-11-22t20:16:51z", NOW},
        {"2026-11-22 20:16:51Z", NOW},
        {"2026-11-22T20:16:51", NOW},
        {"2026-11-22T20:16Z", NOW - 51000000},
        {"2026-11-22T20:16:51.2Z", NOW + 200000},
        {"2026-11-22T20:16:51.250Z", NOW + 250000},
        {"2026-11-22T20:16:51.000001Z", NOW + 1},
        {"2026-11-22T20:16:51.123456789Z", NOW + 123456},
        {"2026-11-22T20:16:51.9999999", NOW + 999999},
        {"2026-11-22T20:16:51+01:00", NOW - HOUR},
        {"2026-11-22T20:16:51-05:30", NOW + 5 * HOUR + 30 * MINUTE},
        {"2026-11-22T20:16:51+0530", NOW - 5 * HOUR - 30 * MINUTE},
        {"2026-11-22T20:16:51-08", NOW + 8 * HOUR},
        {"2026-11-22T20:16:51-00:00", NOW},
        {"2026-11-22T20:16:51.5+23:59", NOW + 500000 - 23 * HOUR - 59 * MINUTE},
        {"2016-12-31T23:59:60Z", INT64_C(1483228799999999)},
        {"2016-12-31T23:59:60.5Z", INT64_C(1483228799999999)},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2000-02-29", INT64_C(951782400000000)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
        {"0001-01-01T00:00:00-01:00", INT64_C(-62135596800000000) + HOUR},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int64_t time_us = 0;
        if (!time_parse(slice_text(CASES[i].text), &time_us))
            fail_msg("%s was refused", CASES[i].text);
        if (time_us != CASES[i].time_us)
            fail_msg("%s was read as %lld", CASES[i].text, (long long)time_us);
    }
}

static void what_is_no_time_is_refused_and_leaves_the_output(void **state) {
    (void)state;
    static const char *const CASES[] = {
        "",
        "2026",
        "2026-11",
        "2026-11-2",
        "2026-11-22T",
        "2026-11-22T20",
        "2026-11-22T20:",
        "2026-11-22T20:16:",
        "2026-11-22T20:16:5",
        "2026-11-22T20:16:51.",
        "2026-11-22T20:16:51.Z",
        "2026-11-22T20:16:51.1234567890Z",
        "2026-11-22T20:16:51ZZ",
        "2026-11-22T20:16:51Z ",
        " 2026-11-22T20:16:51Z",
        "2026-11-22T20:16:51+",
        "2026-11-22T20:16:51+1",
        "2026-11-22T20:16:51+01:",
        "2026-11-22T20:16:51+01:0",
        "2026-11-22T20:16:51+24:00",
        "2026-11-22T20:16:51+01:60",
        "2026-11-22T20:16:51+010",
        "2026-11-22T20:16:51+01:00:00",
        "2026-11-22Z",
        "2026-11-22x20:16:51Z",
        "2026-11-22  20:16:51Z",
        "2026-00-10",
        "2026-13-10",
        "2026-11-00",
        "2026-11-31",
        "2026-02-29",
        "1900-02-29",
        "2100-02-29",
        "0000-01-01",
        "-001-01-01",
        "+2026-11-22",
        "12026-11-22",
        "2026/11/22",
        "20261122T201651Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T20:60:00Z",
        "2026-11-22T20:16:61Z",
        "2026-11-22T2a:16:51Z",
        "0001-01-01T00:00:00+00:01", /* the year 0 */
        "9999-12-31T23:59:59-00:01", /* the year 10000 */
        "1795378611",
        "yesterday",
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int64_t time_us = 42;
        if (time_parse(slice_text(CASES[i]), &time_us))
            fail_msg("%s was read as %lld", CASES[i], (long long)time_us);
        assert_int_equal(time_us, 42);
    }
    int64_t time_us;
    assert_false(time_parse(SLICE("2026-11-22\0"), &time_us));
}

static void times_are_written_with_the_digits_they_need(void **state) {
    (void)state;
    const struct {
        int64_t time_us;
        const char *text;
    } CASES[] = {
        {NOW, "2026-11-22T20:16:51Z"},
        {NOW + 250000, "2026-11-22T20:16:51.250Z"},
        {NOW + 250001, "2026-11-22T20:16:51.250001Z"},
        {NOW + 1000, "2026-11-22T20:16:51.001Z"},
        {NOW + 1, "2026-11-22T20:16:51.000001Z"},
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[TIME_TEXT_MAX];
        assert_int_equal(time_format(CASES[i].time_us, text), strlen(CASES[i].text));
        assert_string_equal(text, CASES[i].text);
    }
}

static void every_day_of_the_calendar_reads_back(void **state) {
    (void)state;
    static const int64_t DAY = INT64_C(86400000000), SOME = INT64_C(45296789012);
    char before[TIME_TEXT_MAX] = "", text[TIME_TEXT_MAX];
    for (int64_t day = -719162; day <= 2932896; day++) {
        int64_t time_us = 0;
        size_t size = time_format(day * DAY + SOME, text);
        if (!time_parse(slice_of(text, size), &time_us) || time_us != day * DAY + SOME)
            fail_msg("day %lld, %s, does not read back", (long long)day, text);
        if (strcmp(before, text) >= 0)
            fail_msg("%s is not after %s", text, before);
        memcpy(before, text, sizeof text);
    }
}

static void the_systems_clocks_go_forward(void **state) {
    (void)state;
    const struct clock *clock = clock_system();
    uint64_t before = clock_monotonic_us(clock);
    assert_true(clock_monotonic_us(clock) >= before);
    assert_true(clock_now_us(clock) > UINT64_C(1700000000000000)); /* after 2023 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_parse_to_microseconds),
        cmocka_unit_test(what_is_no_time_is_refused_and_leaves_the_output),
        cmocka_unit_test(times_are_written_with_the_digits_they_need),
        cmocka_unit_test(every_day_of_the_calendar_reads_back),
        cmocka_unit_test(the_systems_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
