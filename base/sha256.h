/* SHA-256 (FIPS 180-4) and CRC-32C, from the libraries that have them. Pure: no state outside the
 * arguments. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdint.h>

#include "base/bytes.h"

enum { SHA256_SIZE = 32 };

/* The state of a digest; copy it to finish more than once. The library's own, in its size. */
struct sha256 {
    uint64_t state[14];
};

/* Digest in pieces: init, any number of updates, final; after it the state is spent. */
void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, struct slice bytes);
void sha256_final(struct sha256 *sha, uint8_t ret_digest[SHA256_SIZE]);

/* Digest of one piece. */
void sha256_of(struct slice bytes, uint8_t ret_digest[SHA256_SIZE]);

/* CRC-32C (Castagnoli), `crc` is 0 or the value of what came before. */
uint32_t crc32c(uint32_t crc, struct slice bytes);

/* The same by a table, for processors without the instruction. */
uint32_t crc32c_portable(uint32_t crc, struct slice bytes);

#endif
