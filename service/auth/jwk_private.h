/* JWK, inside: what jwk.c, jwk_parse.c and jwk_verify.c share. For these alone. */
#ifndef SERVICE_AUTH_JWK_PRIVATE_H
#define SERVICE_AUTH_JWK_PRIVATE_H

#include <jansson.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "service/auth/jwk.h"

struct jwk {
    enum jwk_algorithm algorithm;
    char id[JWK_ID_MAX + 1]; /* empty: none */
    EVP_PKEY *key;           /* of the three with public keys */
    struct buffer secret;    /* of HS256 */
};

/* The keys of a file, in its order. */
struct jwk_set {
    size_t count;
    struct jwk keys[JWKS_KEYS_MAX];
};

/* Reads one key into `ret_key`. SYNC_ERR_NOT_FOUND when it is not for us. */
enum sync_status jwk_parse(json_t *object, struct sync_error *error, struct jwk *ret_key);

/* Releases what the key holds. */
void jwk_done(struct jwk *key);

#endif
