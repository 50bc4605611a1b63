/* Ids: UUIDv7 (RFC 9562) and the syntax of the ids that come from outside. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { UUID_TEXT_SIZE = 36 };

/* Source of random bytes, as an argument. */
struct random_source {
    void (*fill)(void *context, uint8_t *bytes, size_t size);
    void *context;
};

/* The system's generator (getrandom). Static, thread-safe; ends the process if the system has no
 * randomness. */
const struct random_source *random_system(void);

/* Keys slice_hash with words from the source, which nobody else knows: slice_hash_set_key. */
void hash_key_draw(const struct random_source *random);

/* A UUIDv7 for the time `now_us`: 48 bits of milliseconds, 12 bits of sub-millisecond fraction (RFC
 * 9562 section 6.2 method 3), 62 random bits. Writes 36 characters in lower case and a NUL. */
void uuid_v7(uint64_t now_us, const struct random_source *random,
             char ret_text[UUID_TEXT_SIZE + 1]);

/* Tells whether the text is a UUID of any version in its 36-character form. */
bool uuid_is_valid(struct slice text);

/* When a UUIDv7 was made, to the millisecond; 0 when the text cannot be one. */
int64_t uuid_time_us(struct slice text);

/* 1–128 of [A-Za-z0-9._:-]. */
bool device_id_is_valid(struct slice text);

/* 1–DATA_ID_MAX bytes of UTF-8 without control characters. */
bool data_id_is_valid(struct slice text);

/* 1–CHANGE_ID_MAX bytes of UTF-8 without control characters; the same rule serves user ids. */
bool change_id_is_valid(struct slice text);

#endif
