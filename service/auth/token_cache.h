/* Token cache: who a verified token stands for, by the token's digest. Bounded: a table of small
 * sets, where the newcomer takes the place of the one used longest ago. Thread-safe. */
#ifndef SERVICE_AUTH_TOKEN_CACHE_H
#define SERVICE_AUTH_TOKEN_CACHE_H

#include "base/sha256.h"
#include "service/auth/token.h"

struct token_cache;

/* Opens a cache of at most `tokens_max` tokens, rounded up to whole sets; NULL without memory. */
struct token_cache *token_cache_open(size_t tokens_max);

/* Closes; returns NULL. */
struct token_cache *token_cache_close(struct token_cache *cache);

/* The identity of a token that has not expired at `now_us`; an expired one is forgotten. */
bool token_cache_find(struct token_cache *cache, const uint8_t digest[SHA256_SIZE], int64_t now_us,
                      struct identity *ret_identity);

/* Remembers; without memory for it, does not. */
void token_cache_put(struct token_cache *cache, const uint8_t digest[SHA256_SIZE],
                     const struct identity *identity);

/* Forgets all. */
void token_cache_clear(struct token_cache *cache);

#endif
