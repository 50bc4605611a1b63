/* JWT: one token in compact form (RFC 7519, RFC 7515), from its text to who calls. Pure: keys and
 * time are arguments. */
#ifndef SERVICE_AUTH_JWT_H
#define SERVICE_AUTH_JWT_H

#include "service/auth/jwk.h"
#include "service/auth/token.h"

/* What is expected of a token beside its signature. */
struct jwt_expectation {
    const char *issuer, *audience; /* NULL: not checked */
    int64_t now_us, leeway_us;
};

/* Verifies `token`: form, algorithm against the key's, signature, claims. The errors are those of
 * token_verify. */
enum sync_status jwt_verify(struct slice token, const struct jwk_set *keys,
                            const struct jwt_expectation *expectation, struct sync_error *error,
                            struct identity *ret_identity);

#endif
