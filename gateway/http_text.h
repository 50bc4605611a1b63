/* HTTP text: what the fields of HTTP have in common, in whatever version. */
#ifndef GATEWAY_HTTP_TEXT_H
#define GATEWAY_HTTP_TEXT_H

#include <stdint.h>
#include <strings.h>

#include "base/bytes.h"

/* Tells whether the text is this word, in either case; `lower` is lower case. */
static inline bool http_text_is(struct slice text, struct slice lower) {
    return text.size == lower.size &&
           (text.size == 0 ||
            strncasecmp((const char *)text.data, (const char *)lower.data, lower.size) == 0);
}

enum { HTTP_NUMBER_MAX = 20 };

/* The decimal digits of a number, which stand in `room`; far cheaper than printf. */
static inline struct slice http_text_number(uint64_t number, char room[HTTP_NUMBER_MAX]) {
    size_t at = HTTP_NUMBER_MAX;
    do {
        room[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return slice_of(room + at, HTTP_NUMBER_MAX - at);
}

/* A byte of each value in each place of a word. */
#define HTTP_TEXT_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Tells whether none of eight bytes is a control, DEL or HTAB. Bytes beyond ASCII pass. */
static inline bool http_text_is_plain_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t del = word ^ HTTP_TEXT_EACH(0x7f);
    uint64_t controls = (word - HTTP_TEXT_EACH(0x20)) & ~word;
    uint64_t dels = (del - HTTP_TEXT_EACH(1)) & ~del;
    return ((controls | dels) & HTTP_TEXT_EACH(0x80)) == 0;
}

/* Tells whether the text may be a field's value: no control but HTAB (RFC 9110 section 5.5). */
static inline bool http_text_is_value(struct slice text) {
    const uint8_t *at = text.data, *end = slice_end(text);
    while (at < end) {
        if (end - at >= 8 && http_text_is_plain_word(at)) {
            at += 8;
            continue;
        }
        if ((*at < 0x20 && *at != '\t') || *at == 0x7f)
            return false;
        at++;
    }
    return true;
}

/* Tells whether the text is of visible ASCII and spaces alone. */
static inline bool http_text_is_ascii(struct slice text) {
    const uint8_t *at = text.data, *end = slice_end(text);
    while (at < end) {
        uint64_t word = HTTP_TEXT_EACH(0x80);
        if (end - at >= 8 && http_text_is_plain_word(at))
            memcpy(&word, at, sizeof(word));
        if ((word & HTTP_TEXT_EACH(0x80)) == 0) {
            at += 8;
            continue;
        }
        if (*at < 0x20 || *at > 0x7e)
            return false;
        at++;
    }
    return true;
}

/* Tells whether the text may be a request target: visible ASCII without a fragment. */
static inline bool http_text_is_target(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || text.data[i] == '#')
            return false;
    }
    return text.size > 0;
}

/* The text without the spaces and tabs around it; it borrows. */
static inline struct slice http_text_trim(struct slice text) {
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_after(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Tells whether a text may be an Origin as browsers write it (RFC 6454), null, or "*": one with a
 * path or a capital would never match. */
static inline bool http_text_is_origin(struct slice origin) {
    if (slice_equal(origin, SLICE("*")) || slice_equal(origin, SLICE("null")))
        return true;
    const uint8_t *mark = memmem(origin.data, origin.size, "://", 3);
    bool valid = mark && mark != origin.data && mark + 3 != slice_end(origin);
    for (const uint8_t *at = origin.data; valid && at < slice_end(origin); at++)
        valid = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') ||
                (*at && strchr(".-+:[]_", *at)) || (at > mark && at <= mark + 2);
    return valid;
}

#endif
