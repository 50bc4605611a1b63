#include "base/json_text.h"

#include <assert.h>

/* Tells whether any of 8 bytes must be looked at: a control, '"' or '\\'. Bytes from 128 on never
 * match; a borrow may only set bits above a byte that matches already. */
static inline bool json_word_is_special(uint64_t word) {
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    uint64_t control = (word - ones * 0x20) & ~word;
    return ((control | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & tops) != 0;
}

/* The size of the run at `at` that JSON shows as it is. */
static size_t json_plain_size(const uint8_t *at, const uint8_t *end) {
    const uint8_t *begin = at;
    while (at < end) {
        uint64_t word;
        if (end - at >= 8 && (memcpy(&word, at, 8), !json_word_is_special(word))) {
            at += 8;
            continue;
        }
        if (*at < 0x20 || *at == '"' || *at == '\\')
            break;
        at++;
    }
    return (size_t)(at - begin);
}

static void json_append_escape(struct buffer *out, uint8_t byte) {
    static const uint8_t SHORT_FORMS[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const uint8_t HEX[] = "0123456789abcdef";
    uint8_t letter = byte < 0x20 ? SHORT_FORMS[byte] : byte;
    if (letter) {
        buffer_append(out, slice_of((uint8_t[]){'\\', letter}, 2));
        return;
    }
    buffer_append(out, SLICE("\\u00"));
    buffer_append(out, slice_of((uint8_t[]){HEX[byte >> 4], HEX[byte & 15]}, 2));
}

void json_append_string(struct buffer *out, struct slice text) {
    assert(out);
    buffer_append_byte(out, '"');
    const uint8_t *at = text.data, *end = slice_end(text);
    while (at < end) {
        size_t plain = json_plain_size(at, end);
        buffer_append(out, slice_of(at, plain));
        at += plain;
        if (at < end)
            json_append_escape(out, *at++);
    }
    buffer_append_byte(out, '"');
}

/* Reads 4 hex digits. */
static bool json_read_hex(const uint8_t *at, const uint8_t *end, uint32_t *ret_unit) {
    if (end - at < 4)
        return false;
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = at[i], lower = byte | 0x20;
        if (byte >= '0' && byte <= '9')
            unit = unit << 4 | (uint32_t)(byte - '0');
        else if (lower >= 'a' && lower <= 'f')
            unit = unit << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    *ret_unit = unit;
    return true;
}

static void utf8_append(struct buffer *out, uint32_t code) {
    uint8_t bytes[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t LEADS[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; code >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    bytes[0] = (uint8_t)(LEADS[size] | code);
    buffer_append(out, slice_of(bytes, size));
}

/* Decodes what follows "\u"; a high surrogate must be followed by the escape of a low one. Returns
 * the bytes read, or 0. */
static size_t json_decode_unicode(const uint8_t *at, const uint8_t *end, struct buffer *out) {
    uint32_t code, low;
    if (!json_read_hex(at, end, &code) || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    if (code < 0xd800 || code > 0xdbff) {
        utf8_append(out, code);
        return 4;
    }
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u' || !json_read_hex(at + 6, end, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return 0;
    utf8_append(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
    return 10;
}

/* Decodes the escape after a backslash. Returns the bytes read, or 0. */
static size_t json_decode_escape(const uint8_t *at, const uint8_t *end, struct buffer *out) {
    static const char PLAIN[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (at == end)
        return 0;
    if (*at == 'u') {
        size_t size = json_decode_unicode(at + 1, end, out);
        return size > 0 ? size + 1 : 0;
    }
    if (*at >= 128 || !PLAIN[*at])
        return 0;
    buffer_append_byte(out, (uint8_t)PLAIN[*at]);
    return 1;
}

bool json_decode_string(struct slice content, struct buffer *out) {
    assert(out);
    if (!slice_is_utf8(content))
        return false;
    const uint8_t *at = content.data, *end = slice_end(content);
    while (at < end) {
        size_t plain = json_plain_size(at, end);
        buffer_append(out, slice_of(at, plain));
        at += plain;
        if (at == end)
            break;
        size_t escape = *at == '\\' ? json_decode_escape(at + 1, end, out) : 0;
        if (escape == 0)
            return false;
        at += 1 + escape;
    }
    return true;
}
