#include "base/json_text.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { RANDOM_NUMBERS = 100000 };

static void assert_number_form(double value, const char *json) {
    struct buffer out;
    buffer_init(&out, 100);
    json_append_number(&out, value);
    if (!slice_equal(buffer_slice(&out), slice_text(json)))
        fail_msg("%.17g is written %.*s, not %s", value, (int)out.size, out.data, json);
    buffer_done(&out);
}

static double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void numbers_are_written_as_ecmascript_writes_them(void **state) {
    (void)state;
    /* RFC 8785, appendix B */
    static const struct {
        uint64_t bits;
        const char *json;
    } CASES[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_number_form(double_of_bits(CASES[i].bits), CASES[i].json);
}

static void the_form_changes_where_ecmascript_changes_it(void **state) {
    (void)state;
    assert_number_form(1, "1");
    assert_number_form(-1, "-1");
    assert_number_form(100, "100");
    assert_number_form(1e15, "1000000000000000");
    assert_number_form(1e20, "100000000000000000000");
    assert_number_form(1e21, "1e+21");
    assert_number_form(1.5e21, "1.5e+21");
    assert_number_form(123456789012345680000.0, "123456789012345680000");
    assert_number_form(0.1, "0.1");
    assert_number_form(0.1 + 0.2, "0.30000000000000004");
    assert_number_form(0.000001, "0.000001");
    assert_number_form(0.0000012, "0.0000012");
    assert_number_form(1e-7, "1e-7");
    assert_number_form(1.2e-7, "1.2e-7");
    assert_number_form(-48.8566, "-48.8566");
    assert_number_form(123.456, "123.456");
    assert_number_form(1e100, "1e+100");
    assert_number_form(1e-100, "1e-100");
    assert_number_form(9007199254740991.0, "9007199254740991");
    assert_number_form(9007199254740994.0, "9007199254740994");
    assert_number_form(4503599627370495.5, "4503599627370495.5");
    assert_number_form(DBL_MIN, "2.2250738585072014e-308");
    /* Above a power of two the nearest 16 digits read as another double; the next ones do. */
    assert_number_form(0x1p-44, "5.684341886080802e-14");
}

static void floats_are_written_with_a_floats_digits(void **state) {
    (void)state;
    static const struct {
        float value;
        const char *json;
    } CASES[] = {
        {0.0f, "0"},
        {-0.0f, "0"},
        {0.1f, "0.1"},
        {-1.5f, "-1.5"},
        {3.4028235e38f, "3.4028235e+38"},
        {1.17549435e-38f, "1.1754944e-38"},
        {1e-45f, "1e-45"},
        {16777216.0f, "16777216"},
        {16777215.0f, "16777215"},
        {1e10f, "10000000000"},
        {3.14159274f, "3.1415927"},
        {1e-7f, "1e-7"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buffer out;
        buffer_init(&out, 100);
        json_append_float(&out, CASES[i].value);
        if (!slice_equal(buffer_slice(&out), slice_text(CASES[i].json)))
            fail_msg("%.9g is written %.*s", (double)CASES[i].value, (int)out.size, out.data);
        buffer_done(&out);
    }
}

/* SplitMix64: the whole sequence follows from the seed. */
static uint64_t random_next(uint64_t *seed) {
    uint64_t bits = *seed += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static uint64_t random_seed(void) {
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static int digits_count(struct slice text) {
    int count = 0, zeros = 0;
    for (size_t i = 0; i < text.size && text.data[i] != 'e'; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            continue;
        if (text.data[i] == '0') {
            zeros += count > 0;
        } else {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

/* Whether two numbers are of other significant digits. */
static bool digits_differ(const char *a, const char *b) {
    while (*a && (*a < '1' || *a > '9'))
        a++;
    while (*b && (*b < '1' || *b > '9'))
        b++;
    for (;;) {
        a += *a == '.';
        b += *b == '.';
        if (*b == 'e' || *b == 0)
            return strspn(a, ".0") < strcspn(a, "e");
        if (*a == 'e' || *a == 0)
            return strspn(b, ".0") < strcspn(b, "e");
        if (*a++ != *b++)
            return true;
    }
}

/* The form reads back, is the nearest of its length, and one digit fewer does not read back. */
static void assert_shortest(double value) {
    struct buffer out;
    buffer_init(&out, 100);
    json_append_number(&out, value);
    double back = 0;
    buffer_append_byte(&out, '\0');
    const char *text = (const char *)out.data;
    if (!json_parse_number(slice_text(text), &back) || back != value || strtod(text, NULL) != value)
        fail_msg("%.17g is written %s, which reads as %.17g", value, text, back);
    int count = digits_count(slice_text(text)), exponent;
    char shorter[64];
    snprintf(shorter, sizeof shorter, "%.*e", count - 1, value);
    if (frexp(fabs(value), &exponent) != 0.5 && strtod(shorter, NULL) == value &&
        digits_differ(text, shorter))
        fail_msg("%.17g is written %s, but %s is nearer", value, text, shorter);
    if (count > 1) {
        snprintf(shorter, sizeof shorter, "%.*e", count - 2, value);
        if (strtod(shorter, NULL) == value)
            fail_msg("%.17g is written %s, but %s is shorter", value, text, shorter);
    }
    buffer_done(&out);
}

static void random_doubles_read_back_from_their_shortest_form(void **state) {
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        double value = double_of_bits(random_next(&seed));
        if (isfinite(value))
            assert_shortest(value);
    }
}

/* Most numbers that people write lie between these. */
static void random_doubles_of_common_size_read_back(void **state) {
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        uint64_t bits = random_next(&seed), exponent = 1023 - 20 + bits % 75;
        assert_shortest(double_of_bits(exponent << 52 | random_next(&seed) >> 12));
    }
}

static void random_decimals_read_back_from_their_shortest_form(void **state) {
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        char text[64];
        int scale = (int)(random_next(&seed) % 12);
        uint64_t digits = random_next(&seed) >> (random_next(&seed) % 64);
        snprintf(text, sizeof text, "%llue-%d", (unsigned long long)digits, scale);
        assert_shortest(strtod(text, NULL));
    }
}

static void powers_of_two_and_their_neighbours_read_back(void **state) {
    (void)state;
    for (int exponent = -1074; exponent <= 1023; exponent++) {
        double value = ldexp(1, exponent);
        assert_shortest(value);
        assert_shortest(nextafter(value, 0));
        assert_shortest(nextafter(value, INFINITY) == INFINITY ? value
                                                               : nextafter(value, INFINITY));
    }
}

static void random_floats_read_back(void **state) {
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < RANDOM_NUMBERS; i++) {
        uint32_t bits = (uint32_t)random_next(&seed);
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        struct buffer out;
        buffer_init(&out, 100);
        json_append_float(&out, value);
        buffer_append_byte(&out, '\0');
        if (strtof((const char *)out.data, NULL) != value)
            fail_msg("%.9g is written %s", (double)value, out.data);
        assert_in_range(digits_count(slice_text((const char *)out.data)), 0, 9);
        buffer_done(&out);
    }
}

static void numbers_parse_to_the_nearest_double(void **state) {
    (void)state;
    static const char *const CASES[] = {
        "0",
        "-0",
        "0.0",
        "1",
        "-1",
        "10",
        "1.5",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "1.25e-3",
        "0e5",
        "0.1",
        "123456789012345678",
        "9007199254740993",
        "9007199254740992.9999999999999999",
        "1e22",
        "1e23",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "5e-324",
        "2e-324",
        "2.4703282292062328e-324",
        "1e-400",
        "0e999999999999999999999",
        "0.000000000000001e15",
        "100000000000000000000000000000000000000000000000000000000e-56",
        "1e-99999999999999999999",
        "2.2250738585072011e-308",
        "6.631236846766476e-316",
        "3.518437208883201171875e13",
        "62.5364939768271845828",
        "8.10109172351e-10",
        "1.50000000000000011102230246251565",
        "0.500000000000000166533453693773481063544750213623046875",
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        double value = 42, expected = strtod(CASES[i], NULL);
        if (!json_parse_number(slice_text(CASES[i]), &value))
            fail_msg("%s was refused", CASES[i]);
        if (value != expected || signbit(value) != signbit(expected))
            fail_msg("%s was read as %.17g", CASES[i], value);
    }
}

/* 1 + 2^-53 lies between two doubles; one more digit, however late, decides. */
static void digits_beyond_the_kept_ones_still_decide(void **state) {
    (void)state;
    static const char TIE[] = "1.00000000000000011102230246251565404236316680908203125";
    char text[3000];
    double value;
    assert_true(json_parse_number(slice_text(TIE), &value));
    assert_true(value == 1);
    memset(text, '0', sizeof text);
    memcpy(text, TIE, sizeof TIE - 1);
    assert_true(json_parse_number(slice_of(text, sizeof text), &value));
    assert_true(value == 1);
    text[sizeof text - 1] = '1';
    assert_true(json_parse_number(slice_of(text, sizeof text), &value));
    assert_true(value == 1 + DBL_EPSILON);
    memset(text, '1', sizeof text);
    snprintf(text + 2900, 100, "e-2899");
    assert_true(json_parse_number(slice_text(text), &value));
    assert_true(value == strtod(text, NULL));
}

static void what_is_no_json_number_is_refused(void **state) {
    (void)state;
    static const char *const CASES[] = {
        "",
        "-",
        "+1",
        ".5",
        "5.",
        "-.5",
        "01",
        "-01",
        "00",
        "1e",
        "1e+",
        "1.e5",
        "1e5.5",
        "0x10",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "NaN",
        "Infinity",
        "-Infinity",
        "inf",
        "1e400",
        "-1e400",
        "--1",
        "1-",
        "1e5e5",
        "1.2.3",
        "1.7976931348623159e308",
        "1e99999999999999999999",
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        double value = 42;
        if (json_parse_number(slice_text(CASES[i]), &value))
            fail_msg("%s was read as %g", CASES[i], value);
        assert_true(value == 42);
    }
    double value;
    assert_false(json_parse_number(SLICE("1\0"), &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_as_ecmascript_writes_them),
        cmocka_unit_test(the_form_changes_where_ecmascript_changes_it),
        cmocka_unit_test(floats_are_written_with_a_floats_digits),
        cmocka_unit_test(random_doubles_read_back_from_their_shortest_form),
        cmocka_unit_test(random_doubles_of_common_size_read_back),
        cmocka_unit_test(random_decimals_read_back_from_their_shortest_form),
        cmocka_unit_test(powers_of_two_and_their_neighbours_read_back),
        cmocka_unit_test(random_floats_read_back),
        cmocka_unit_test(numbers_parse_to_the_nearest_double),
        cmocka_unit_test(digits_beyond_the_kept_ones_still_decide),
        cmocka_unit_test(what_is_no_json_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
