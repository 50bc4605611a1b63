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

#endif
