#include "gateway/json_scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"

enum {
    EXPONENT_MAX = 1 << 24,
    MANTISSA_DIGITS_MAX = 19,
    INTEGER_DIGITS_MAX = 20,
    RATIO_SCALE_MAX = 19,
    FLOAT_DIGITS_MAX = 128, /* more than a tie of two floats has */
    FLOAT_EXPONENT_MAX = 99999,
};

static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool is_digit(const uint8_t *at, const uint8_t *end) {
    return at < end && (uint8_t)(*at - '0') < 10;
}

/* Reads "e+12" behind the e; NULL when it has no digit. */
static const uint8_t *scan_exponent(const uint8_t *at, const uint8_t *end,
                                    struct json_number *number) {
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (!is_digit(at, end))
        return NULL;
    int64_t exponent = 0;
    for (; is_digit(at, end); at++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    number->exponent += negative ? -exponent : exponent;
    return at;
}

const uint8_t *json_scan_number(const uint8_t *at, const uint8_t *end,
                                struct json_number *ret_number) {
    struct json_number number = {.literal = true};
    const uint8_t *begin = at;
    number.negative = at < end && *at == '-';
    at += number.negative;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
        return NULL;
    const uint8_t *digits = at;
    uint64_t mantissa = json_scan_digits(&at, end);
    size_t count = *digits == '0' ? 0 : (size_t)(at - digits);
    if (at < end && *at == '.') {
        if (!is_digit(++at, end))
            return NULL;
        const uint8_t *fraction = at;
        for (; is_digit(at, end); at++) {
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
            count += count > 0 || *at != '0';
        }
        number.exponent = -(int64_t)(at - fraction);
        number.literal = false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        number.literal = false;
        at = scan_exponent(at + 1, end, &number);
        if (!at)
            return NULL;
    }
    number.mantissa = mantissa;
    number.exact = count <= MANTISSA_DIGITS_MAX;
    number.text = slice_of(begin, (size_t)(at - begin));
    *ret_number = number;
    return at;
}

bool json_scan_short_utf8(const uint8_t *at, uint32_t *ret_size) {
    bool non_ascii = false;
    const uint8_t *begin = at + 1,
                  *stop = json_scan_plain(begin, begin + JSON_SHORT_MAX + 1, &non_ascii);
    if (stop > begin + JSON_SHORT_MAX || *stop != '"' ||
        !slice_is_utf8(slice_of(begin, (size_t)(stop - begin))))
        return false;
    *ret_size = (uint32_t)(stop - begin);
    return true;
}

bool json_escapes_valid(struct slice raw) {
    const uint8_t *at = raw.data, *end = slice_end(raw);
    while (at < end && (at = memchr(at, '\\', (size_t)(end - at)))) {
        if (++at == end || *at == 0 || !strchr("\"\\/bfnrtu", *at))
            return false;
        if (*at++ != 'u')
            continue;
        for (int i = 0; i < 4; i++, at++)
            if (at == end || !((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f') ||
                               (*at >= 'A' && *at <= 'F')))
                return false;
    }
    return true;
}

/* Digits of any length: the significant ones are gathered and must be few enough. */
static bool integer_of_digits(const struct json_number *number, uint64_t *ret_size) {
    uint8_t digits[INTEGER_DIGITS_MAX];
    size_t count = 0, zeros = 0;
    int64_t exponent = number->exponent;
    for (size_t i = 0; i < number->text.size; i++) {
        uint8_t byte = number->text.data[i];
        if (byte == 'e' || byte == 'E')
            break;
        if (byte < '0' || byte > '9' || (byte == '0' && count == 0))
            continue;
        if (byte == '0') {
            zeros++;
            continue;
        }
        if (count + zeros + 1 > INTEGER_DIGITS_MAX)
            return false;
        for (; zeros > 0; zeros--)
            digits[count++] = 0;
        digits[count++] = byte - '0';
    }
    exponent += (int64_t)zeros;
    if (exponent < 0 || exponent > INTEGER_DIGITS_MAX)
        return false;
    uint64_t size = 0;
    for (int64_t i = 0; i < (int64_t)count + exponent; i++)
        if (__builtin_mul_overflow(size, 10, &size) ||
            __builtin_add_overflow(size, i < (int64_t)count ? digits[i] : 0, &size))
            return false;
    *ret_size = size;
    return true;
}

bool json_number_integer(const struct json_number *number, uint64_t *ret_size) {
    if (!number->exact)
        return integer_of_digits(number, ret_size);
    uint64_t size = number->mantissa;
    int64_t exponent = size == 0 ? 0 : number->exponent;
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(size, 10, &size))
            return false;
    for (; exponent < 0; exponent++, size /= 10)
        if (size % 10 != 0)
            return false;
    *ret_size = size;
    return true;
}

/* mantissa / 10^scale, rounded once: 64 bits and more of the quotient, and a last one for what
 * remains. The mantissa is not 0, the scale at most RATIO_SCALE_MAX. */
static double ratio_double(uint64_t mantissa, unsigned scale) {
    int shift = __builtin_clzll(mantissa);
    unsigned __int128 dividend = (unsigned __int128)(mantissa << shift) << 64;
    uint64_t divisor = 1;
    for (unsigned i = 0; i < scale; i++)
        divisor *= 10;
    unsigned __int128 quotient = dividend / divisor;
    quotient |= quotient * divisor != dividend;
    return ldexp((double)quotient, -64 - shift);
}

bool json_number_double(const struct json_number *number, double *ret_value) {
    if (number->exact && number->mantissa != 0 && number->exponent <= 0 &&
        number->exponent >= -RATIO_SCALE_MAX && number->mantissa >> 53) {
        double size = ratio_double(number->mantissa, (unsigned)-number->exponent);
        *ret_value = number->negative ? -size : size;
        return true;
    }
    if (!number->exact || number->mantissa > (uint64_t)1 << 53 || number->exponent > 22 ||
        number->exponent < -22)
        return json_parse_number(number->text, ret_value);
    double value = (double)number->mantissa;
    value =
        number->exponent < 0 ? value / POWERS[-number->exponent] : value * POWERS[number->exponent];
    *ret_value = number->negative ? -value : value;
    return true;
}

/* The number's digits and its exponent, as text without a point: the locale has no say in that, and
 * digits beyond FLOAT_DIGITS_MAX matter only by not being zero, which one last '1' stands for. */
static void float_text(const struct json_number *number, char *text, size_t size) {
    size_t count = 0;
    int64_t exponent = number->exponent;
    bool rest = false;
    for (size_t i = 0; i < number->text.size; i++) {
        uint8_t byte = number->text.data[i];
        if (byte == 'e' || byte == 'E')
            break;
        if (byte < '0' || byte > '9' || (byte == '0' && count == 0))
            continue;
        if (count < FLOAT_DIGITS_MAX) {
            text[count++] = (char)byte;
            continue;
        }
        rest = rest || byte != '0';
        exponent++;
    }
    if (rest) {
        text[count++] = '1';
        exponent--;
    }
    exponent = exponent > FLOAT_EXPONENT_MAX    ? FLOAT_EXPONENT_MAX
               : exponent < -FLOAT_EXPONENT_MAX ? -FLOAT_EXPONENT_MAX
                                                : exponent;
    snprintf(text + count, size - count, "%se%d", count == 0 ? "0" : "", (int)exponent);
}

/* A double in between could round twice. */
bool json_number_float(const struct json_number *number, float *ret_value) {
    char text[FLOAT_DIGITS_MAX + 32];
    float value;
    if (number->exact && number->mantissa <= 1 << 24 && number->exponent <= 0 &&
        number->exponent >= -10) {
        value = (float)number->mantissa / (float)POWERS[-number->exponent]; /* both exact */
    } else {
        float_text(number, text, sizeof text);
        value = strtof(text, NULL);
    }
    if (isinf(value))
        return false;
    *ret_value = number->negative ? -value : value;
    return true;
}
