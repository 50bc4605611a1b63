#include "service/core/cursor_text.h"

#include <assert.h>

uint8_t *cursor_put_number(uint8_t *at, uint64_t value, int size) {
    assert(size > 0 && size <= 8);
    for (int i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
    return at + size;
}

uint64_t cursor_get_number(const uint8_t **at, int size) {
    assert(size > 0 && size <= 8);
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | *(*at)++;
    return value;
}

size_t cursor_text_write(struct slice bytes, char *ret_text) {
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = ret_text;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[i + 2] : 0;
        for (size_t j = 0; j <= left; j++)
            *at++ = ALPHABET[group >> (18 - 6 * j) & 63];
    }
    *at = '\0';
    return (size_t)(at - ret_text);
}

/* The value of a character of the alphabet, or -1. */
static int character_value(uint8_t character) {
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '-' ? 62 : character == '_' ? 63 : -1;
}

bool cursor_text_read(struct slice text, size_t size_max, uint8_t *ret_bytes, size_t *ret_size) {
    uint32_t bits = 0;
    int bit_count = 0;
    size_t size = 0;
    if (text.size > (size_max + 2) / 3 * 4 || text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int value = character_value(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (size == size_max)
                return false;
            ret_bytes[size++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    *ret_size = size;
    return bits == 0;
}
