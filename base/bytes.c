#include "base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum { BUFFER_CAPACITY_MIN = 64 };

int slice_compare(struct slice a, struct slice b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t load32(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Folds the 128-bit product of both: every bit of either reaches every bit of the result. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Until they are replaced, odd numbers with about as many ones as zeros: digits of pi and of the
 * golden ratio. A block that is the second one makes its product 0, whatever stands beside it. */
static uint64_t hash_key[SLICE_HASH_KEY_WORDS] = {0x243f6a8885a308d3, 0x9e3779b97f4a7c15,
                                                  0xa4093822299f31d1};

void slice_hash_set_key(const uint64_t key[SLICE_HASH_KEY_WORDS]) {
    memcpy(hash_key, key, sizeof hash_key);
}

uint64_t slice_hash(struct slice bytes, uint64_t seed) {
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    uint64_t block_key = hash_key[1];
    uint64_t hash = seed ^ hash_mix(seed ^ hash_key[0], block_key ^ bytes.size);
    for (; left > 16; at += 16, left -= 16)
        hash = hash_mix(load64(at) ^ block_key, load64(at + 8) ^ hash);
    uint64_t low = 0, high = 0;
    if (left >= 8) {
        low = load64(at);
        high = load64(at + left - 8); /* overlaps `low` when fewer than 16 are left */
    } else if (left >= 4) {
        low = load32(at);
        high = load32(at + left - 4);
    } else if (left > 0) {
        low = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    return hash_mix(hash_key[2] ^ bytes.size, hash_mix(low ^ block_key, high ^ hash));
}

/* The size of the UTF-8 sequence that begins at `at`, or 0 when it is none. The lead byte is not
 * ASCII. The first continuation byte's range excludes overlong forms, surrogates and what lies
 * beyond U+10FFFF. */
static size_t utf8_sequence_size(const uint8_t *at, const uint8_t *end) {
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t size;
    if (lead >= 0xc2 && lead <= 0xdf) {
        size = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        size = 3;
        low = lead == 0xe0 ? 0xa0 : low;
        high = lead == 0xed ? 0x9f : high;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        size = 4;
        low = lead == 0xf0 ? 0x90 : low;
        high = lead == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if ((size_t)(end - at) < size || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool slice_is_utf8(struct slice bytes) {
    const uint8_t *at = bytes.data, *end = slice_end(bytes);
    while (at < end) {
        if (end - at >= 8 && (load64(at) & 0x8080808080808080) == 0) {
            at += 8;
        } else if (*at < 0x80) {
            at++;
        } else {
            size_t size = utf8_sequence_size(at, end);
            if (size == 0)
                return false;
            at += size;
        }
    }
    return true;
}

struct slice slice_cut_utf8(struct slice text, size_t size_max) {
    if (text.size <= size_max)
        return text;
    size_t size = size_max;
    while (size > 0 && size_max - size < 3 && (text.data[size] & 0xc0) == 0x80)
        size--;
    return slice_first(text, size);
}

void buffer_init(struct buffer *buffer, size_t size_max) {
    assert(buffer);
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_done(struct buffer *buffer) {
    if (!buffer)
        return;
    memory_free(buffer->data);
    buffer_init(buffer, buffer->size_max);
}

void buffer_clear(struct buffer *buffer) {
    assert(buffer);
    buffer->size = 0;
    buffer->failed = buffer->past_bound = false;
}

bool buffer_grow(struct buffer *buffer, size_t extra) {
    assert(buffer->size <= buffer->capacity);
    if (extra > buffer->size_max - buffer->size) {
        buffer->failed = buffer->past_bound = true;
        return false;
    }
    size_t capacity = buffer->capacity < BUFFER_CAPACITY_MIN    ? BUFFER_CAPACITY_MIN
                      : buffer->capacity > buffer->size_max / 2 ? buffer->size_max
                                                                : buffer->capacity * 2;
    if (capacity > buffer->size_max)
        capacity = buffer->size_max;
    if (capacity < buffer->size + extra)
        capacity = buffer->size + extra;
    uint8_t *data = memory_realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t extra) {
    static uint8_t nowhere; /* a valid place for no bytes when nothing is allocated yet */
    if (!buffer_has_room(buffer, extra))
        return NULL;
    return buffer->data ? buffer->data + buffer->size : &nowhere;
}

void buffer_append_utf8(struct buffer *buffer, struct slice text) {
    const uint8_t *at = text.data, *end = at + text.size, *valid = at;
    while (at < end) {
        size_t size = *at < 0x80 ? 1 : utf8_sequence_size(at, end);
        if (size == 0) {
            buffer_append(buffer, slice_of(valid, (size_t)(at - valid)));
            buffer_append(buffer, SLICE("\xef\xbf\xbd"));
            valid = at + 1;
        }
        at += size > 0 ? size : 1;
    }
    buffer_append(buffer, slice_of(valid, (size_t)(at - valid)));
}

/* Prints `size` bytes and drops the NUL that comes with them, which has no room in the buffer when
 * the text just reaches the bound. */
static void buffer_append_long(struct buffer *buffer, size_t size, const char *format,
                               va_list arguments) {
    uint8_t *room = buffer_reserve(buffer, size);
    if (!room || size == 0)
        return;
    if (size < buffer->capacity - buffer->size) {
        vsnprintf((char *)room, size + 1, format, arguments);
        buffer->size += size;
        return;
    }
    char *text = memory_alloc(size + 1);
    if (!text) {
        buffer->failed = true;
        return;
    }
    vsnprintf(text, size + 1, format, arguments);
    buffer_append(buffer, slice_of(text, size));
    memory_free(text);
}

void buffer_append_format(struct buffer *buffer, const char *format, ...) {
    assert(buffer);
    if (buffer->failed)
        return;
    size_t room = buffer->capacity - buffer->size;
    char *at = room > 0 ? (char *)buffer->data + buffer->size : NULL;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(at, room, format, arguments);
    assert(size >= 0);
    if ((size_t)size < room)
        buffer->size += (size_t)size;
    else
        buffer_append_long(buffer, (size_t)size, format, again);
    va_end(again);
    va_end(arguments);
}

void buffer_consume(struct buffer *buffer, size_t size) {
    assert(buffer);
    assert(size <= buffer->size);
    if (size == 0)
        return;
    buffer->size -= size;
    memmove(buffer->data, buffer->data + size, buffer->size);
}

enum sync_status buffer_status(const struct buffer *buffer) {
    if (!buffer->failed)
        return SYNC_OK;
    return buffer->past_bound ? SYNC_ERR_TOO_LARGE : SYNC_ERR_NO_MEMORY;
}
