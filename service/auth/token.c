#include "service/auth/token.h"

#include <assert.h>
#include <pthread.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "service/auth/jwk.h"
#include "service/auth/jwt.h"
#include "service/auth/token_cache.h"

enum { JWKS_FILE_MAX = 1 << 20 };

struct token_verifier {
    struct token_verifier_options options;
    pthread_rwlock_t lock; /* guards `keys`; held for reading from a check until it is cached */
    struct jwk_set *keys;
    struct token_cache *cache;
};

static enum sync_status keys_load(const char *path, struct sync_error *error,
                                  struct jwk_set **ret_keys) {
    struct buffer text;
    struct sync_error fault;
    buffer_init(&text, JWKS_FILE_MAX);
    enum sync_status status = file_read(
        &(struct file_wish){
            .path = path, .what = "key file", .reason = "JWKS", .size_max = JWKS_FILE_MAX},
        &text, error);
    if (status == SYNC_OK) {
        status = jwk_set_parse(buffer_slice(&text), &fault, ret_keys);
        if (status != SYNC_OK)
            sync_error_set(error, status, fault.reason, NULL, "the key file %s: %s", path,
                           fault.message);
    }
    buffer_done(&text);
    return status;
}

enum sync_status token_verifier_open(const struct token_verifier_options *options,
                                     struct sync_error *error,
                                     struct token_verifier **ret_verifier) {
    assert(options->jwks_path);
    assert(options->clock);
    struct jwk_set *keys = NULL;
    enum sync_status status = keys_load(options->jwks_path, error, &keys);
    if (status != SYNC_OK)
        return status;
    struct token_verifier *verifier = memory_zalloc(1, sizeof *verifier);
    struct token_cache *cache =
        token_cache_open(options->cache_max ? options->cache_max : TOKEN_CACHE_MAX);
    if (!verifier || !cache) {
        token_cache_close(cache);
        memory_free(verifier);
        jwk_set_close(keys);
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                              "no memory for the token verifier");
    }
    verifier->options = *options;
    verifier->keys = keys;
    verifier->cache = cache;
    pthread_rwlock_init(&verifier->lock, NULL);
    *ret_verifier = verifier;
    return SYNC_OK;
}

struct token_verifier *token_verifier_close(struct token_verifier *verifier) {
    if (!verifier)
        return NULL;
    jwk_set_close(verifier->keys);
    token_cache_close(verifier->cache);
    pthread_rwlock_destroy(&verifier->lock);
    memory_free(verifier);
    return NULL;
}

enum sync_status token_verifier_reload(struct token_verifier *verifier, struct sync_error *error) {
    struct jwk_set *keys = NULL;
    enum sync_status status = keys_load(verifier->options.jwks_path, error, &keys);
    if (status != SYNC_OK)
        return status;
    pthread_rwlock_wrlock(&verifier->lock);
    struct jwk_set *old = verifier->keys;
    verifier->keys = keys;
    token_cache_clear(verifier->cache);
    pthread_rwlock_unlock(&verifier->lock);
    jwk_set_close(old);
    return SYNC_OK;
}

/* Takes the token out of "Bearer <token>". */
static bool bearer_token(struct slice authorization, struct slice *ret_token) {
    const struct slice scheme = SLICE("Bearer ");
    if (authorization.size < scheme.size ||
        strncasecmp((const char *)authorization.data, (const char *)scheme.data, scheme.size) != 0)
        return false;
    struct slice token = slice_after(authorization, scheme.size);
    while (token.size > 0 && token.data[0] == ' ')
        token = slice_after(token, 1);
    *ret_token = token;
    return token.size > 0;
}

enum sync_status token_verify(struct token_verifier *verifier, struct slice authorization,
                              struct sync_error *error, struct identity *ret_identity) {
    struct slice token;
    if (!bearer_token(authorization, &token))
        return sync_error_set(error, SYNC_ERR_UNAUTHENTICATED, "TOKEN_MISSING", NULL,
                              "The call needs a token: authorization: Bearer <token>.");
    if (token.size > TOKEN_MAX)
        return sync_error_set(error, SYNC_ERR_UNAUTHENTICATED, "TOKEN_MALFORMED", NULL,
                              "The token has more than %d bytes.", TOKEN_MAX);
    uint8_t digest[SHA256_SIZE];
    sha256_of(token, digest);
    const struct token_verifier_options *options = &verifier->options;
    struct jwt_expectation expectation = {
        .issuer = options->issuer,
        .audience = options->audience,
        .now_us = (int64_t)clock_now_us(options->clock),
        .leeway_us = options->leeway_us,
    };
    if (token_cache_find(verifier->cache, digest, expectation.now_us - options->leeway_us,
                         ret_identity))
        return SYNC_OK;
    struct identity identity;
    pthread_rwlock_rdlock(&verifier->lock);
    enum sync_status status = jwt_verify(token, verifier->keys, &expectation, error, &identity);
    if (status == SYNC_OK)
        token_cache_put(verifier->cache, digest, &identity);
    pthread_rwlock_unlock(&verifier->lock);
    if (status == SYNC_OK)
        *ret_identity = identity;
    return status;
}
