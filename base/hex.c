#include "base/hex.h"

#include <assert.h>

void hex_append(struct buffer *out, struct slice bytes) {
    static const char DIGITS[] = "0123456789abcdef";
    assert(out);
    uint8_t *to = buffer_reserve(out, 2 * bytes.size);
    if (!to)
        return;
    for (size_t i = 0; i < bytes.size; i++) {
        to[2 * i] = (uint8_t)DIGITS[bytes.data[i] >> 4];
        to[2 * i + 1] = (uint8_t)DIGITS[bytes.data[i] & 15];
    }
    buffer_advance(out, 2 * bytes.size);
}

bool hex_decode(struct slice text, struct buffer *out) {
    assert(out);
    if (text.size % 2 != 0)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (hex_value(text.data[i]) < 0)
            return false;
    uint8_t *to = buffer_reserve(out, text.size / 2);
    if (!to)
        return true;
    for (size_t i = 0; i < text.size; i += 2)
        to[i / 2] = (uint8_t)(hex_value(text.data[i]) << 4 | hex_value(text.data[i + 1]));
    buffer_advance(out, text.size / 2);
    return true;
}
