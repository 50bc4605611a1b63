/* Hexadecimal: bytes as two digits each. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/bytes.h"

/* The value of a digit of either case, or -1. */
static inline int hex_value(uint8_t digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Appends two lower-case digits a byte. */
void hex_append(struct buffer *out, struct slice bytes);

/* Appends the bytes that the digits, of either case, stand for. False when the text is none, and
 * then `out` is as before. A failure of `out` is told by buffer_status alone. */
bool hex_decode(struct slice text, struct buffer *out);

#endif
