/* JSON scan: numbers as the nearest double or float, whichever way they go. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/json_scan.h"
#include "tests/gateway/transcode_fixture.h"

enum { RANDOM_NUMBERS = 200000 };

/* SplitMix64: the whole sequence follows from the seed. */
static uint64_t random_next(uint64_t *seed) {
    uint64_t bits = *seed += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static void expect_double(const char *text) {
    struct json_number number;
    double value = 0, wanted = strtod(text, NULL);
    const uint8_t *begin = (const uint8_t *)text, *end = begin + strlen(text);
    assert_ptr_equal(json_scan_number(begin, end, &number), end);
    assert_true(json_number_double(&number, &value));
    if (memcmp(&value, &wanted, sizeof value) != 0)
        fail_msg("%s is read as %.17g, not %.17g", text, value, wanted);
}

static void expect_float(const char *text) {
    struct json_number number;
    float value = 0, wanted = strtof(text, NULL);
    const uint8_t *begin = (const uint8_t *)text, *end = begin + strlen(text);
    assert_ptr_equal(json_scan_number(begin, end, &number), end);
    if (!json_number_float(&number, &value))
        value = number.negative ? -INFINITY : INFINITY;
    if (memcmp(&value, &wanted, sizeof value) != 0)
        fail_msg("%s is read as %.9g, not %.9g", text, (double)value, (double)wanted);
}

static void numbers_are_read_as_the_nearest_double(void **state) {
    static const char *const TEXTS[] = {
        "0",
        "-0.0",
        "0.1",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740992.5",
        "90071992547409935e-1",
        "900719925474099250000001e-8",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "5e-324",
        "18014398509481985",
        "18014398509481987",
        "9223372036854775807",
        "9999999999999999999",
        "0.9999999999999999999",
        "1.0000000000000001110",
        "1.000000000000000111e0",
        "0.0000000000000000001234567890123456789",
        "48.858370000000001",
    };
    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        expect_double(TEXTS[i]);
}

static void random_numbers_are_read_as_the_nearest_double(void **state) {
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    (void)state;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        char text[64];
        uint64_t digits = random_next(&seed) % 10000000000000000000u;
        digits >>= random_next(&seed) % 64;
        snprintf(text, sizeof text, "%s%" PRIu64 "e%d", i % 2 ? "-" : "", digits,
                 (int)(random_next(&seed) % 48) - 24);
        expect_double(text);
        expect_float(text);
    }
}

/* As long as can be: a tie of two floats, and a digit far behind that decides. */
static void long_numbers_are_rounded_once(void **state) {
    static const char *const ENDS[] = {"", "0", "1", "e0", "1e0"};
    uint64_t seed = 6;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char text[512];
        uint32_t bits = (uint32_t)random_next(&seed) & 0x7fffffff;
        float low, high;
        if (bits >= 0x7f7fffff)
            continue;
        memcpy(&low, &bits, sizeof low);
        bits++;
        memcpy(&high, &bits, sizeof high);
        int size = snprintf(text, sizeof text, "%.160f", ((double)low + (double)high) / 2);
        for (size_t end = 0; end < sizeof ENDS / sizeof *ENDS; end++) {
            snprintf(text + size, sizeof text - (size_t)size, "%s", ENDS[end]);
            expect_float(text);
        }
    }
    expect_float("0.0000e5");
    expect_float("-0");
    expect_float("16777217");
    expect_float("1e-50");
    expect_float("1e99999999999");
    expect_float("340282356779733661637539395458142568447");
    expect_float("340282356779733661637539395458142568448");
}

/* What lies just in the middle of two doubles, and beside it: the hardest to round. */
static void middles_are_rounded_to_even(void **state) {
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < RANDOM_NUMBERS / 10; i++) {
        char text[64];
        uint64_t middle = (random_next(&seed) >> 10 | (uint64_t)1 << 53) | 1;
        for (uint64_t number = middle - 1; number <= middle + 1; number++) {
            snprintf(text, sizeof text, "%" PRIu64, number);
            expect_double(text);
            snprintf(text, sizeof text, "%" PRIu64 ".5", number);
            expect_double(text);
            snprintf(text, sizeof text, "%" PRIu64 "000e-3", number);
            expect_double(text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_the_nearest_double),
        cmocka_unit_test(random_numbers_are_read_as_the_nearest_double),
        cmocka_unit_test(long_numbers_are_rounded_once),
        cmocka_unit_test(middles_are_rounded_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
