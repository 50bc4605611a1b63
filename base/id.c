#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/limits.h"

enum { UUID_TIME_DIGITS = 12 }; /* hexadecimal, of milliseconds; a hyphen is among them */

static void system_fill(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* ids that can be guessed are worse than no process */
        bytes += got;
        size -= (size_t)got;
    }
}

const struct random_source *random_system(void) {
    static const struct random_source SYSTEM = {system_fill, NULL};
    return &SYSTEM;
}

void hash_key_draw(const struct random_source *random) {
    uint64_t key[SLICE_HASH_KEY_WORDS];
    random->fill(random->context, (uint8_t *)key, sizeof key);
    slice_hash_set_key(key);
}

void uuid_v7(uint64_t now_us, const struct random_source *random,
             char ret_text[UUID_TEXT_SIZE + 1]) {
    /* How the bytes are grouped: 8-4-4-4-12 characters. */
    static const uint8_t GROUPS[] = {4, 2, 2, 2, 6};
    uint8_t bytes[16];
    assert(random);
    random->fill(random->context, bytes + 8, 8);
    uint64_t ms = now_us / 1000, fraction = now_us % 1000 * 4096 / 1000;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    bytes[6] = (uint8_t)(0x70 | fraction >> 8); /* version 7 */
    bytes[7] = (uint8_t)fraction;
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f)); /* variant of RFC 9562 */
    char *at = ret_text;
    struct slice rest = slice_of(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(GROUPS); i++) {
        at = hex_put(at, slice_first(rest, GROUPS[i]));
        rest = slice_after(rest, GROUPS[i]);
        *at++ = '-';
    }
    at[-1] = '\0';
}

static bool byte_is_hex(uint8_t byte) {
    uint8_t lower = byte | 0x20;
    return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'f');
}

bool uuid_is_valid(struct slice text) {
    if (text.size != UUID_TEXT_SIZE)
        return false;
    for (size_t i = 0; i < UUID_TEXT_SIZE; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : !byte_is_hex(text.data[i]))
            return false;
    }
    return true;
}

int64_t uuid_time_us(struct slice text) {
    int64_t time_ms = 0;
    int digits = 0;
    for (size_t i = 0; i < text.size && digits < UUID_TIME_DIGITS; i++) {
        uint8_t c = text.data[i];
        if (c == '-')
            continue;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return 0;
        time_ms = time_ms << 4 | digit;
        digits++;
    }
    return digits == UUID_TIME_DIGITS ? time_ms * 1000 : 0;
}

bool device_id_is_valid(struct slice text) {
    if (text.size < 1 || text.size > DEVICE_ID_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i], lower = byte | 0x20;
        bool letter = lower >= 'a' && lower <= 'z';
        if (!letter && !(byte >= '0' && byte <= ':') && byte != '.' && byte != '_' && byte != '-')
            return false;
    }
    return true;
}

/* 1 to `size_max` bytes of UTF-8 without controls: U+0000–001F, U+007F and U+0080–009F. */
static bool text_is_printable(struct slice text, size_t size_max) {
    if (text.size < 1 || text.size > size_max || !slice_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && text.data[i + 1] < 0xa0))
            return false;
    }
    return true;
}

bool data_id_is_valid(struct slice text) {
    return text_is_printable(text, DATA_ID_MAX);
}

bool change_id_is_valid(struct slice text) {
    return text_is_printable(text, CHANGE_ID_MAX);
}
