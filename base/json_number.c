#include "base/json_text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Powers of ten that a double holds exactly. */
static const double EXACT_POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

enum {
    EXACT_POWER_MAX = 22,
    SHORT_SCALE_MAX = 4, /* decimal_of_short goes no farther, where decimal_of_exact is faster */
    DIGITS_MAX = 17,     /* no double needs more to read back */
    NUMBER_MAX = 32,     /* no number is written longer */
    PARSE_DIGITS = 800   /* more digits than any tie between two doubles has (767) */
};

static const double EXACT_INTEGER_MAX = 9007199254740992.0; /* 2^53 */

/* Significant digits d1…dk of a positive number 0.d1…dk × 10^point; neither d1 nor dk is '0'. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    int count, point;
};

static void decimal_strip(struct decimal *decimal) {
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

/* The decimal of `number` / 10^scale. */
static void decimal_of_integer(uint64_t number, int scale, struct decimal *ret_decimal) {
    char text[24];
    int at = sizeof text;
    for (; number > 0; number /= 10)
        text[--at] = (char)('0' + number % 10);
    ret_decimal->count = (int)sizeof text - at;
    ret_decimal->point = ret_decimal->count - scale;
    memcpy(ret_decimal->digits, text + at, (size_t)ret_decimal->count);
    decimal_strip(ret_decimal);
}

/* Most numbers of the world: few digits behind the point, up to 15 in all. A decimal of at most 15
 * digits is the only one that short that reads as its double, and a quotient of two exact numbers
 * is rounded as reading the decimal is; so the first scale that gives the value back gives its
 * shortest form. */
static bool decimal_of_short(double value, struct decimal *ret_decimal) {
    for (int scale = 0; scale <= SHORT_SCALE_MAX; scale++) {
        double scaled = rint(value * EXACT_POWERS[scale]);
        if (scaled >= 1e15)
            return false;
        if (scaled >= 1 && scaled / EXACT_POWERS[scale] == value) {
            decimal_of_integer((uint64_t)scaled, scale, ret_decimal);
            return true;
        }
    }
    return false;
}

/* A double taken apart for decimal_of_exact: `significand` / 2^shift, below 10^point. */
struct binary {
    uint64_t significand;
    int shift, point;
};

/* False outside of what decimal_of_exact can hold in 128 bits, and for powers of two, whose
 * neighbours are not equally far away. */
static bool binary_of(double value, struct binary *ret_binary) {
    int exponent;
    double fraction = frexp(value, &exponent);
    if (value < 1e-5 || value >= 1e15 || fraction == 0.5)
        return false;
    struct binary binary = {(uint64_t)ldexp(fraction, 53), 53 - exponent, 0};
    unsigned __int128 one = (unsigned __int128)1 << binary.shift, scaled = binary.significand;
    while (binary.point >= 0 && value >= EXACT_POWERS[binary.point])
        binary.point++;
    while (binary.point <= 0 && scaled * 10 < one) {
        scaled *= 10;
        binary.point--;
    }
    *ret_binary = binary;
    return true;
}

/* The nearest decimals of 15, 16 and 17 digits, by exact arithmetic, until one reads back. That it
 * does is seen from its distance: less than half of what lies between two doubles, or just that
 * where reading rounds the tie to this, even one. */
static bool decimal_of_exact(double value, struct decimal *ret_decimal) {
    struct binary binary;
    if (!binary_of(value, &binary))
        return false;
    unsigned __int128 one = (unsigned __int128)1 << binary.shift, power = 1;
    int scale = 15 - binary.point;
    for (int i = 0; i < scale; i++)
        power *= 10;
    for (int precision = 15;; precision++, scale++, power *= 10) {
        unsigned __int128 product = power * binary.significand, number = product >> binary.shift;
        unsigned __int128 below = product & (one - 1), above = one - below;
        bool up = above < below || (above == below && (number & 1));
        unsigned __int128 distance = 2 * (up ? above : below);
        if (precision < DIGITS_MAX && distance >= power &&
            (distance > power || (binary.significand & 1)))
            continue;
        decimal_of_integer((uint64_t)number + up, scale, ret_decimal);
        return true;
    }
}

/* The decimal of `precision` digits that is nearest to `value`. */
static void decimal_nearest(double value, int precision, struct decimal *ret_decimal) {
    char text[NUMBER_MAX];
    snprintf(text, sizeof text, "%.*e", precision - 1, value);
    int count = 0;
    const char *at = text;
    for (; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9') /* passes over the point, whatever the locale's is */
            ret_decimal->digits[count++] = *at;
    assert(*at == 'e');
    assert(count == precision);
    ret_decimal->count = count;
    ret_decimal->point = atoi(at + 1) + 1;
}

/* Adds one unit in the last place. */
static void decimal_increment(struct decimal *decimal) {
    int i = decimal->count - 1;
    for (; i >= 0 && decimal->digits[i] == '9'; i--)
        decimal->digits[i] = '0';
    if (i >= 0) {
        decimal->digits[i]++;
        return;
    }
    decimal->digits[0] = '1'; /* 999 became 000: it is 100, ten times as large */
    decimal->point++;
}

static double decimal_read(const struct decimal *decimal, bool single) {
    char text[NUMBER_MAX];
    snprintf(text, sizeof text, "%.*se%d", decimal->count, decimal->digits,
             decimal->point - decimal->count);
    return single ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* The shortest decimal that reads back, and of these the nearest. What lies just above a power of
 * two is rounded to it from farther away than what lies below, so there the second nearest decimal
 * may read back where the nearest does not. */
static void decimal_shortest(double value, bool single, struct decimal *ret_decimal) {
    int exponent;
    bool at_power = frexp(value, &exponent) == 0.5;
    bool normal = value >= (single ? 0x1p-126 : 0x1p-1022);
    int precision = !normal ? 1 : single ? 6 : 15;
    int precision_max = single ? 9 : DIGITS_MAX;
    for (;; precision++) {
        assert(precision <= precision_max);
        decimal_nearest(value, precision, ret_decimal);
        if (precision == precision_max || decimal_read(ret_decimal, single) == value)
            break;
        if (!at_power)
            continue;
        decimal_increment(ret_decimal);
        if (decimal_read(ret_decimal, single) == value)
            break;
    }
    decimal_strip(ret_decimal);
}

/* Appends as ECMA-262 Number::toString lays digits out. */
static void json_append_decimal(struct buffer *out, const struct decimal *decimal) {
    static const char ZEROS[] = "000000000000000000000";
    int count = decimal->count, point = decimal->point;
    struct slice digits = slice_of(decimal->digits, (size_t)count);
    if (count <= point && point <= 21) {
        buffer_append(out, digits);
        buffer_append(out, slice_of(ZEROS, (size_t)(point - count)));
    } else if (0 < point && point <= 21) {
        buffer_append(out, slice_first(digits, (size_t)point));
        buffer_append_byte(out, '.');
        buffer_append(out, slice_after(digits, (size_t)point));
    } else if (-6 < point && point <= 0) {
        buffer_append(out, SLICE("0."));
        buffer_append(out, slice_of(ZEROS, (size_t)-point));
        buffer_append(out, digits);
    } else {
        buffer_append(out, slice_first(digits, 1));
        if (count > 1)
            buffer_append_byte(out, '.');
        buffer_append(out, slice_after(digits, 1));
        buffer_append_format(out, "e%+d", point - 1);
    }
}

/* Appends a finite number; `single` asks for the digits that suffice for a float. */
static void json_append_finite(struct buffer *out, double value, bool single) {
    assert(isfinite(value));
    if (value == 0) {
        buffer_append_byte(out, '0');
        return;
    }
    if (value < 0)
        buffer_append_byte(out, '-');
    double size = fabs(value);
    struct decimal decimal;
    if (size < (single ? 0x1p24 : EXACT_INTEGER_MAX) && size == (double)(uint64_t)size)
        decimal_of_integer((uint64_t)size, 0, &decimal);
    else if (single || (!decimal_of_short(size, &decimal) && !decimal_of_exact(size, &decimal)))
        decimal_shortest(size, single, &decimal);
    json_append_decimal(out, &decimal);
}

void json_append_number(struct buffer *out, double value) {
    json_append_finite(out, value, false);
}

void json_append_float(struct buffer *out, float value) {
    json_append_finite(out, (double)value, true);
}

/* A JSON number taken apart: significant digits, without leading zeros, × 10^exponent. */
struct json_number {
    bool negative;
    char digits[PARSE_DIGITS + 1 + 16]; /* and room for the exponent's text */
    size_t count;
    int64_t exponent;
};

static inline bool byte_is_digit(const uint8_t *at, const uint8_t *end) {
    return at < end && *at >= '0' && *at <= '9';
}

/* Adds the digits at `at` to the number, and returns where they end. Digits beyond PARSE_DIGITS
 * matter only by not being zero, which one last '1' stands for. */
static const uint8_t *json_number_add(struct json_number *number, const uint8_t *at,
                                      const uint8_t *end, bool fraction) {
    for (; byte_is_digit(at, end); at++) {
        if (number->count < PARSE_DIGITS) {
            if (number->count > 0 || *at != '0')
                number->digits[number->count++] = (char)*at;
            number->exponent -= fraction;
            continue;
        }
        if (number->count == PARSE_DIGITS && *at != '0') {
            number->digits[number->count++] = '1';
            number->exponent -= 1;
        }
        number->exponent += !fraction;
    }
    return at;
}

/* Reads the exponent after 'e', saturating far beyond any double. NULL when it has no digit. */
static const uint8_t *json_number_exponent(struct json_number *number, const uint8_t *at,
                                           const uint8_t *end) {
    enum { EXPONENT_MAX = 1 << 30 };
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (!byte_is_digit(at, end))
        return NULL;
    int64_t exponent = 0;
    for (; byte_is_digit(at, end); at++)
        exponent = exponent < EXPONENT_MAX ? exponent * 10 + (*at - '0') : exponent;
    number->exponent += negative ? -exponent : exponent;
    return at;
}

/* Takes a number apart by RFC 8259's grammar; the whole text must be one. */
static bool json_number_scan(struct slice text, struct json_number *number) {
    const uint8_t *at = text.data, *end = slice_end(text);
    number->negative = at < end && *at == '-';
    number->count = 0;
    number->exponent = 0;
    at += number->negative;
    if (!byte_is_digit(at, end) || (*at == '0' && byte_is_digit(at + 1, end)))
        return false;
    at = json_number_add(number, at, end, false);
    if (at < end && *at == '.') {
        if (!byte_is_digit(at + 1, end))
            return false;
        at = json_number_add(number, at + 1, end, true);
    }
    if (at < end && (*at == 'e' || *at == 'E'))
        at = json_number_exponent(number, at + 1, end);
    return at == end;
}

/* Numbers whose digits and power of ten are both exact doubles: one operation rounds right. */
static bool json_number_exact(const struct json_number *number, double *ret_value) {
    if (number->count > 15 || number->exponent > EXACT_POWER_MAX ||
        number->exponent < -EXACT_POWER_MAX)
        return false;
    uint64_t integer = 0;
    for (size_t i = 0; i < number->count; i++)
        integer = integer * 10 + (uint64_t)(number->digits[i] - '0');
    *ret_value = number->exponent < 0 ? (double)integer / EXACT_POWERS[-number->exponent]
                                      : (double)integer * EXACT_POWERS[number->exponent];
    return true;
}

bool json_parse_number(struct slice text, double *ret_value) {
    struct json_number number;
    if (!json_number_scan(text, &number))
        return false;
    double value = 0;
    if (number.count > 0 && !json_number_exact(&number, &value)) {
        /* Without a point, so that the locale has no say. */
        int64_t exponent = number.exponent;
        exponent = exponent > 99999 ? 99999 : exponent < -99999 ? -99999 : exponent;
        snprintf(number.digits + number.count, sizeof number.digits - number.count, "e%d",
                 (int)exponent);
        value = strtod(number.digits, NULL);
    }
    if (isinf(value))
        return false;
    *ret_value = number.negative ? -value : value;
    return true;
}
