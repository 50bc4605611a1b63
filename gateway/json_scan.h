/* JSON scan: tokens of RFC 8259 in memory, read strictly, many bytes at a time where that is
 * possible. Nothing is copied. */
#ifndef GATEWAY_JSON_SCAN_H
#define GATEWAY_JSON_SCAN_H

#include "base/bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { JSON_SHORT_MAX = 15 };

/* A string as scanned: what stands between its quotes. */
struct json_string {
    struct slice raw;
    bool escaped;   /* it has a backslash */
    bool non_ascii; /* it has a byte beyond ASCII, not yet checked */
};

/* A number as scanned. */
struct json_number {
    struct slice text;
    uint64_t mantissa; /* all digits, when there are at most 19 significant ones */
    int64_t exponent;  /* of ten, on the mantissa */
    bool negative, exact /* the mantissa holds all digits */, literal /* no point, no exponent */;
};

/* Steps over the bytes that stand for themselves inside a string, to the first quote, backslash or
 * control character, or to the end. */
static inline const uint8_t *json_scan_plain(const uint8_t *at, const uint8_t *end,
                                             bool *ret_non_ascii) {
    uint32_t high = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)at);
        __m128i stop =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, slash)),
                         _mm_cmpeq_epi8(_mm_min_epu8(block, control), block));
        uint32_t stops = (uint32_t)_mm_movemask_epi8(stop);
        uint32_t highs = (uint32_t)_mm_movemask_epi8(block);
        if (stops) {
            uint32_t count = (uint32_t)__builtin_ctz(stops);
            high |= highs & ((1u << count) - 1);
            *ret_non_ascii |= high != 0;
            return at + count;
        }
        high |= highs;
    }
#endif
    for (; at < end && *at != '"' && *at != '\\' && *at >= 0x20; at++)
        high |= *at & 0x80;
    *ret_non_ascii |= high != 0;
    return at;
}

#ifdef __SSE2__
/* A bit for each byte that does not stand for itself inside a string, or is beyond ASCII. */
static inline uint32_t json_block_stops(__m128i block) {
    __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')),
                                             _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))),
                                _mm_cmplt_epi8(block, _mm_set1_epi8(0x20)));
    return (uint32_t)_mm_movemask_epi8(stop); /* bytes beyond ASCII are negative numbers */
}
#endif

/* json_copy_plain of fewer than 16 bytes. */
static inline bool json_copy_plain_short(uint8_t *to, struct slice text) {
    const uint8_t *at = text.data, *end = slice_end(text);
#ifdef __SSE2__
    if (text.size >= 8) { /* two halves, which overlap */
        uint64_t head, tail;
        memcpy(&head, at, 8);
        memcpy(&tail, end - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + text.size - 8, &tail, 8);
        return json_block_stops(_mm_set_epi64x((long long)tail, (long long)head)) == 0;
    }
    if (text.size >= 4) {
        uint32_t head, tail;
        memcpy(&head, at, 4);
        memcpy(&tail, end - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + text.size - 4, &tail, 4);
        uint64_t both = (uint64_t)tail << 32 | head;
        return json_block_stops(_mm_set1_epi64x((long long)both)) == 0;
    }
#endif
    for (; at < end; at++, to++) {
        if (*at < 0x20 || *at >= 0x80 || *at == '"' || *at == '\\')
            return false;
        *to = *at;
    }
    return true;
}

/* Copies a text of ASCII that stands for itself inside a string; false where it is none, and then
 * what is in `to` does not matter. */
static inline bool json_copy_plain(uint8_t *to, struct slice text) {
#ifdef __SSE2__
    if (text.size >= 16) {
        size_t last = text.size - 16; /* the last block overlaps the one before */
        for (size_t at = 0;; at = at + 16 < last ? at + 16 : last) {
            __m128i block = _mm_loadu_si128((const __m128i *)(text.data + at));
            if (json_block_stops(block) != 0)
                return false;
            _mm_storeu_si128((__m128i *)(to + at), block);
            if (at == last)
                return true;
        }
    }
#endif
    return json_copy_plain_short(to, text);
}

/* Scans the string whose opening quote is at `at`. Returns where it ends, behind the closing quote,
 * or NULL: no closing quote, or a control character. Escapes are not checked. */
static inline const uint8_t *json_scan_string(const uint8_t *at, const uint8_t *end,
                                              struct json_string *ret_string) {
    const uint8_t *begin = ++at;
    ret_string->escaped = ret_string->non_ascii = false;
    for (;;) {
        at = json_scan_plain(at, end, &ret_string->non_ascii);
        if (at == end || *at < 0x20)
            return NULL;
        if (*at == '"')
            break;
        ret_string->escaped = true;
        at += 2;
        if (at > end)
            return NULL;
    }
    ret_string->raw = slice_of(begin, (size_t)(at - begin));
    return at + 1;
}

/* json_scan_short of a string that is not all ASCII: finds the size, up to JSON_SHORT_MAX. */
bool json_scan_short_utf8(const uint8_t *at, uint32_t *ret_size);

/* Scans the string whose opening quote is at `at` where that is quickly done: it is UTF-8, without
 * escapes, and of at most JSON_SHORT_MAX bytes. Returns where it ends, or NULL. */
static inline const uint8_t *json_scan_short(const uint8_t *at, const uint8_t *end,
                                             struct slice *ret_text) {
#ifdef __SSE2__
    if (end - at < JSON_SHORT_MAX + 2)
        return NULL;
    uint32_t stops = json_block_stops(_mm_loadu_si128((const __m128i *)(at + 1)));
    if (stops == 0)
        return NULL;
    uint32_t size = (uint32_t)__builtin_ctz(stops);
    if (at[1 + size] != '"' && !json_scan_short_utf8(at, &size))
        return NULL;
    *ret_text = slice_of(at + 1, size);
    return at + size + 2;
#else
    (void)at;
    (void)end;
    (void)ret_text;
    return NULL;
#endif
}

/* The number that eight bytes are the digits of, the first one lowest; false where they are none.
 */
static inline bool json_eight_digits(const uint8_t *at, uint64_t *ret_value) {
    uint64_t text = 0;
    for (int i = 0; i < 8; i++)
        text |= (uint64_t)at[i] << (8 * i);
    uint64_t over = text + 0x0606060606060606u;
    if (((text | over) & 0xf0f0f0f0f0f0f0f0u) != 0x3030303030303030u ||
        (text & 0xf0f0f0f0f0f0f0f0u) != 0x3030303030303030u)
        return false;
    /* Pairs of digits, then of pairs, then of fours, are put together by one product each. */
    text = (text & 0x0f0f0f0f0f0f0f0fu) * (10 * 256 + 1) >> 8;
    text = (text & 0x00ff00ff00ff00ffu) * (100 * 65536 + 1) >> 16;
    *ret_value = (text & 0x0000ffff0000ffffu) * (10000 * ((uint64_t)1 << 32) + 1) >> 32;
    return true;
}

/* Steps over decimal digits; returns their number, modulo 2^64. */
static inline uint64_t json_scan_digits(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0, eight;
    for (; end - *at >= 8 && json_eight_digits(*at, &eight); *at += 8)
        value = value * 100000000 + eight;
    for (; *at < end && (uint8_t)(**at - '0') < 10; ++*at)
        value = value * 10 + (uint64_t)(**at - '0');
    return value;
}

/* Scans the number at `at`; returns where it ends, or NULL when it is none. */
const uint8_t *json_scan_number(const uint8_t *at, const uint8_t *end,
                                struct json_number *ret_number);

/* Tells whether every backslash of a string begins an escape of RFC 8259. */
bool json_escapes_valid(struct slice raw);

/* The number as an integer: its size and, by `negative`, its sign. False when it is not integral or
 * beyond 64 bits. */
bool json_number_integer(const struct json_number *number, uint64_t *ret_size);

/* The number as the nearest double, or float. False when beyond its range. */
bool json_number_double(const struct json_number *number, double *ret_value);
bool json_number_float(const struct json_number *number, float *ret_value);

/* Steps over white space. */
static inline const uint8_t *json_scan_space(const uint8_t *at, const uint8_t *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

#endif
