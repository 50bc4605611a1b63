#include "base/json_text.h"

#include <assert.h>

static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL_SAFE[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64_append_with(struct buffer *out, struct slice bytes, const char *alphabet,
                               bool padded) {
    assert(out);
    size_t spare = bytes.size % 3, groups = bytes.size / 3;
    size_t size = groups * 4 + (spare == 0 ? 0 : padded ? 4 : spare + 1);
    uint8_t *to = buffer_reserve(out, size);
    if (!to)
        return;
    const uint8_t *at = bytes.data;
    for (; groups > 0; groups--, at += 3, to += 4) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        for (int i = 0; i < 4; i++)
            to[i] = (uint8_t)alphabet[bits >> (18 - 6 * i) & 63];
    }
    if (spare > 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (spare == 2 ? (uint32_t)at[1] << 8 : 0);
        *to++ = (uint8_t)alphabet[bits >> 18];
        *to++ = (uint8_t)alphabet[bits >> 12 & 63];
        if (spare == 2)
            *to++ = (uint8_t)alphabet[bits >> 6 & 63];
        for (size_t i = spare; padded && i < 3; i++)
            *to++ = '=';
    }
    buffer_advance(out, size);
}

void base64_append(struct buffer *out, struct slice bytes) {
    base64_append_with(out, bytes, STANDARD, true);
}

void base64url_append(struct buffer *out, struct slice bytes) {
    base64_append_with(out, bytes, URL_SAFE, false);
}

bool base64url_is_valid(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return text.size > 0;
}

/* The 6 bits of a character of either alphabet, or -1. */
static inline int base64_bits(uint8_t byte) {
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if (byte == '+' || byte == '-')
        return 62;
    return byte == '/' || byte == '_' ? 63 : -1;
}

/* Reads `count` characters, at most 4, to the top of 24 bits. */
static bool base64_read(const uint8_t *at, size_t count, uint32_t *ret_bits) {
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        int six = base64_bits(at[i]);
        if (six < 0)
            return false;
        bits |= (uint32_t)six << (18 - 6 * i);
    }
    *ret_bits = bits;
    return true;
}

/* The text without its padding, which must fill it up to whole groups. */
static bool base64_unpad(struct slice text, struct slice *ret_text) {
    size_t size = text.size, padding = 0;
    while (padding < 2 && padding < size && text.data[size - 1 - padding] == '=')
        padding++;
    if (padding > 0 && size % 4 != 0)
        return false;
    *ret_text = slice_first(text, size - padding);
    return (size - padding) % 4 != 1;
}

/* base64_decode; `loose` takes any spare bits. */
static bool base64_decode_with(struct slice text, bool loose, struct buffer *out) {
    assert(out);
    if (!base64_unpad(text, &text))
        return false;
    const uint8_t *at = text.data;
    size_t spare = text.size % 4, groups = text.size / 4;
    size_t size = groups * 3 + (spare > 0 ? spare - 1 : 0);
    uint32_t bits;
    uint8_t *to = buffer_reserve(out, size);
    for (; groups > 0; groups--, at += 4) {
        if (!base64_read(at, 4, &bits))
            return false;
        if (!to)
            continue;
        *to++ = (uint8_t)(bits >> 16);
        *to++ = (uint8_t)(bits >> 8);
        *to++ = (uint8_t)bits;
    }
    if (spare > 0) {
        /* The bits that fill up the last character are to be zero: one text for one content. */
        if (!base64_read(at, spare, &bits) || (!loose && (bits & (spare == 2 ? 0xffff : 0xff))))
            return false;
        if (to)
            *to++ = (uint8_t)(bits >> 16);
        if (to && spare == 3)
            *to = (uint8_t)(bits >> 8);
    }
    if (to)
        buffer_advance(out, size);
    return true;
}

bool base64_decode(struct slice text, struct buffer *out) {
    return base64_decode_with(text, false, out);
}

bool base64_decode_loose(struct slice text, struct buffer *out) {
    return base64_decode_with(text, true, out);
}
