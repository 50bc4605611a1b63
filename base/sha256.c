#include "base/sha256.h"

/* OpenSSL 3 deprecates the functions without a context on the heap; for digests of a few hundred
 * bytes the context of EVP costs as much as the digest. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

_Static_assert(sizeof(struct sha256) >= sizeof(SHA256_CTX), "the state has room");
_Static_assert(_Alignof(struct sha256) >= _Alignof(SHA256_CTX), "the state is aligned");

/* Only the library reads and writes the state. */
static SHA256_CTX *sha256_context(struct sha256 *sha) {
    return (SHA256_CTX *)(void *)sha->state;
}

void sha256_init(struct sha256 *sha) {
    SHA256_Init(sha256_context(sha));
}

void sha256_update(struct sha256 *sha, struct slice bytes) {
    if (bytes.size > 0)
        SHA256_Update(sha256_context(sha), bytes.data, bytes.size);
}

void sha256_final(struct sha256 *sha, uint8_t ret_digest[SHA256_SIZE]) {
    SHA256_Final(ret_digest, sha256_context(sha));
}

void sha256_of(struct slice bytes, uint8_t ret_digest[SHA256_SIZE]) {
    struct sha256 sha;
    sha256_init(&sha);
    sha256_update(&sha, bytes);
    sha256_final(&sha, ret_digest);
}
