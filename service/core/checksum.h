/* State checksum: the sum modulo 2^128 of one element per live record, so that order does not
 * matter and a change costs O(1). Element: the first 16 bytes of SHA-256(type byte, id, NUL,
 * SHA-256(canonical JSON)), as a big-endian number; the type byte is the number of
 * travelsense.sync.v1.DataType. docs/protocol.md has a worked example. Pure. */
#ifndef SERVICE_CORE_CHECKSUM_H
#define SERVICE_CORE_CHECKSUM_H

#include "service/core/model.h"

/* A record's element. `scratch` is cleared and used for the JSON. SYNC_ERR_NO_MEMORY when it cannot
 * grow. */
enum sync_status checksum_element(const struct record_key *key, struct slice document,
                                  struct buffer *scratch, struct checksum *ret_element);

/* Sums modulo 2^128. */
struct checksum checksum_add(struct checksum sum, struct checksum element);
struct checksum checksum_subtract(struct checksum sum, struct checksum element);

/* 32 lower-case hexadecimal digits and a NUL. */
void checksum_format(struct checksum sum, char ret_text[2 * CHECKSUM_SIZE + 1]);

/* 16 bytes, big-endian. */
void checksum_write(struct checksum sum, uint8_t ret_bytes[CHECKSUM_SIZE]);
struct checksum checksum_read(const uint8_t bytes[CHECKSUM_SIZE]);

#endif
