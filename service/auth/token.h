/* Tokens: verifying a JWT (RFC 7519) against a set of keys (RFC 7517), and remembering what was
 * verified.
 *
 * The algorithm belongs to the key: RS256, ES256, EdDSA or HS256; "none" and any other algorithm
 * than the key's are refused before anything is verified. `exp` is required; `nbf`, `iss` and `aud`
 * are checked when configured or present. A verified token is remembered until it expires, at most
 * TOKEN_CACHE_MAX of them. Thread-safe. */
#ifndef SERVICE_AUTH_TOKEN_H
#define SERVICE_AUTH_TOKEN_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/status.h"

struct token_verifier;

/* Who calls. In the caller's memory; texts are NUL-terminated copies. */
struct identity {
    char user[USER_ID_MAX + 1];     /* claim "sub" */
    char device[DEVICE_ID_MAX + 1]; /* claim "device_id", or empty: any device of the user */
    bool is_service;                /* claim "role" is "service" (or "roles" holds it) */
    int64_t expires_us;
};

struct token_verifier_options {
    const char *jwks_path;         /* a JWK set file, read again by token_verifier_reload */
    const char *issuer, *audience; /* NULL: not checked */
    int64_t leeway_us;             /* for exp and nbf */
    const struct clock *clock;
    size_t cache_max; /* 0: TOKEN_CACHE_MAX */
};

/* Opens. `error` holds one clear line when the file is missing, malformed, or holds no usable key.
 */
enum sync_status token_verifier_open(const struct token_verifier_options *options,
                                     struct sync_error *error,
                                     struct token_verifier **ret_verifier);

/* Closes; returns NULL. */
struct token_verifier *token_verifier_close(struct token_verifier *verifier);

/* Reads the key file again; on error the old keys stay. Forgets remembered tokens. */
enum sync_status token_verifier_reload(struct token_verifier *verifier, struct sync_error *error);

/* Verifies an Authorization value, "Bearer …" (the scheme in any case). SYNC_ERR_UNAUTHENTICATED
 * with a reason in `error` (TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_EXPIRED, TOKEN_NOT_YET_VALID,
 * TOKEN_SIGNATURE, TOKEN_ALGORITHM, TOKEN_KEY_UNKNOWN, TOKEN_CLAIMS); no part of the token is ever
 * in it. */
enum sync_status token_verify(struct token_verifier *verifier, struct slice authorization,
                              struct sync_error *error, struct identity *ret_identity);

#endif
