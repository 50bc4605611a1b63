/* Bytes: the borrowed slice and the owned buffer.
 *
 * A slice goes by value and owns nothing; whoever hands one out says how long it lives.
 * A buffer owns its bytes and grows up to the bound that its user gives.
 * Nothing here is shared between threads without the caller's lock. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

/* Borrowed bytes. `data` may be NULL when `size` is 0. */
struct slice {
    const uint8_t *data;
    size_t size;
};

/* A slice over a string literal, without its final NUL. */
#define SLICE(literal) ((struct slice){(const uint8_t *)("" literal), sizeof(literal) - 1})

/* The empty slice. */
#define SLICE_EMPTY ((struct slice){NULL, 0})

/* Makes a slice over `size` bytes at `data`, which live as long as the caller's. */
static inline struct slice slice_of(const void *data, size_t size) {
    return (struct slice){(const uint8_t *)data, size};
}

/* Makes a slice over a NUL-terminated string; NULL gives the empty slice. */
static inline struct slice slice_text(const char *text) {
    return slice_of(text, text ? strlen(text) : 0);
}

/* Where the slice's last byte ends. To the NULL of an empty slice not even 0 may be added. */
static inline const uint8_t *slice_end(struct slice bytes) {
    return bytes.size > 0 ? bytes.data + bytes.size : bytes.data;
}

/* Tells whether both hold the same bytes. */
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Orders by bytes, shorter first when one is the other's prefix: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

/* Tells whether `text` begins with `prefix`. */
static inline bool slice_starts_with(struct slice text, struct slice prefix) {
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/* The bytes from `offset` on; `offset` is at most the size. */
static inline struct slice slice_after(struct slice bytes, size_t offset) {
    return slice_of(offset > 0 ? bytes.data + offset : bytes.data, bytes.size - offset);
}

/* The first `size` bytes; `size` is at most the slice's. */
static inline struct slice slice_first(struct slice bytes, size_t size) {
    return slice_of(bytes.data, size);
}

/* Writes bytes in lower-case hexadecimal, two characters each and no NUL; returns where the text
 * ends. */
static inline char *hex_put(char *at, struct slice bytes) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        *at++ = digits[bytes.data[i] >> 4];
        *at++ = digits[bytes.data[i] & 15];
    }
    return at;
}

/* A 64-bit hash for tables in memory (not for storage, nor for anything that another process or a
 * caller would see). The same seed and bytes give the same value in one process. */
uint64_t slice_hash(struct slice bytes, uint64_t seed);

enum { SLICE_HASH_KEY_WORDS = 3 };

/* Replaces the key of slice_hash, which is the same in every process until then: whoever knows it
 * can make any number of texts of one hash, whatever the seed. A program that serves others gives
 * it random words (hash_key_draw) before there is a table or a second thread; simulations and tests
 * stay as they are. */
void slice_hash_set_key(const uint64_t key[SLICE_HASH_KEY_WORDS]);

/* Tells whether the bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool slice_is_utf8(struct slice bytes);

/* The longest beginning of valid UTF-8 that has at most `size_max` bytes and splits no sequence. Of
 * other bytes at most three fewer than `size_max` remain. */
struct slice slice_cut_utf8(struct slice text, size_t size_max);

/* Owned bytes that grow. Fields are readable by all, written only by buffer_ functions.
 * `failed` is sticky: after a refused allocation or the bound passed, appends do nothing, and one
 * check of buffer_status at the end suffices. */
struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max; /* appends beyond this fail */
    bool failed;
    bool past_bound; /* why it failed: the bound, not the memory */
};

/* Prepares an empty buffer in the caller's memory that may grow to `size_max` bytes; takes no
 * memory. */
void buffer_init(struct buffer *buffer, size_t size_max);

/* Releases the bytes; the buffer is then as after buffer_init. NULL is allowed. */
void buffer_done(struct buffer *buffer);

/* Empties the buffer and clears `failed`; keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Grows a buffer that has not room for `extra` more bytes, at least doubling it, within its bound;
 * or sets `failed`. For buffer_has_room alone. */
bool buffer_grow(struct buffer *buffer, size_t extra);

/* Tells whether `extra` more bytes have room, after growing if need be; false sets `failed`. */
static inline bool buffer_has_room(struct buffer *buffer, size_t extra) {
    return !buffer->failed &&
           (extra <= buffer->capacity - buffer->size || buffer_grow(buffer, extra));
}

/* Makes room for `extra` more bytes and returns where they go, or NULL (then `failed` is set).
 * The room is valid until the next call; buffer_advance says how much of it was used. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t extra);

/* Counts `used` bytes, written into the room that buffer_reserve gave, as content. */
static inline void buffer_advance(struct buffer *buffer, size_t used) {
    buffer->size += used;
}

/* Appends bytes; on failure sets `failed`. Inline, since most of what is appended is short, and
 * often of a size that the compiler knows. */
static inline void buffer_append(struct buffer *buffer, struct slice bytes) {
    if (bytes.size == 0 || !buffer_has_room(buffer, bytes.size))
        return;
    assert(buffer->data);
    memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    buffer->size += bytes.size;
}

/* Appends one byte. */
static inline void buffer_append_byte(struct buffer *buffer, uint8_t byte) {
    if (buffer_has_room(buffer, 1))
        buffer->data[buffer->size++] = byte;
}

/* Appends text with every byte that is no part of valid UTF-8 replaced by U+FFFD. */
void buffer_append_utf8(struct buffer *buffer, struct slice text);

/* Appends printf text. */
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first `size` bytes, moving the rest down; `size` is at most the content's. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Takes back what was appended beyond the first `size` bytes. */
static inline void buffer_truncate(struct buffer *buffer, size_t size) {
    buffer->size = size;
}

/* The content. The slice lives until the buffer changes. */
static inline struct slice buffer_slice(const struct buffer *buffer) {
    return slice_of(buffer->data, buffer->size);
}

/* SYNC_OK, or what made an append fail: SYNC_ERR_NO_MEMORY or SYNC_ERR_TOO_LARGE. */
enum sync_status buffer_status(const struct buffer *buffer);

#endif
