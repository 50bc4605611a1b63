#include "service/auth/token_cache.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"

enum { WAYS = 4, LOCKS = 32 };

struct cached_token {
    uint8_t digest[SHA256_SIZE];
    struct identity identity;
    uint64_t used; /* the cache's count at the last use; 0: free */
};

/* Places are made at their first use: a table of thousands of tokens does not take the pages of one
 * of all that it may hold. */
struct cached_set {
    struct cached_token *ways[WAYS]; /* NULL: not made yet, and the next ones neither */
};

struct token_cache {
    size_t sets_count;
    pthread_mutex_t locks[LOCKS]; /* set i is guarded by lock i % LOCKS */
    uint64_t uses[LOCKS];         /* guarded by the lock of the same index */
    struct cached_set *sets;
};

struct token_cache *token_cache_open(size_t tokens_max) {
    assert(tokens_max > 0);
    struct token_cache *cache = memory_zalloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    cache->sets_count = (tokens_max + WAYS - 1) / WAYS;
    cache->sets = memory_zalloc(cache->sets_count, sizeof *cache->sets);
    return cache->sets ? cache : token_cache_close(cache);
}

struct token_cache *token_cache_close(struct token_cache *cache) {
    if (!cache)
        return NULL;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i]);
    for (size_t i = 0; cache->sets && i < cache->sets_count; i++)
        for (size_t way = 0; way < WAYS; way++)
            memory_free(cache->sets[i].ways[way]);
    memory_free(cache->sets);
    memory_free(cache);
    return NULL;
}

static size_t set_index(const struct token_cache *cache, const uint8_t digest[SHA256_SIZE]) {
    uint64_t bits;
    memcpy(&bits, digest, sizeof bits);
    return bits % cache->sets_count;
}

static struct cached_token *set_find(struct cached_set *set, const uint8_t digest[SHA256_SIZE]) {
    for (size_t i = 0; i < WAYS && set->ways[i]; i++) {
        if (set->ways[i]->used && memcmp(set->ways[i]->digest, digest, SHA256_SIZE) == 0)
            return set->ways[i];
    }
    return NULL;
}

/* The place for a newcomer: one that is free (0), or is made now, or was used longest ago. NULL
 * without memory for the first of a set. */
static struct cached_token *set_place(struct cached_set *set) {
    struct cached_token *place = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (!set->ways[i] && (!place || place->used))
            set->ways[i] = memory_zalloc(1, sizeof *set->ways[i]);
        if (!set->ways[i])
            break;
        if (!place || set->ways[i]->used < place->used)
            place = set->ways[i];
    }
    return place;
}

bool token_cache_find(struct token_cache *cache, const uint8_t digest[SHA256_SIZE], int64_t now_us,
                      struct identity *ret_identity) {
    size_t index = set_index(cache, digest);
    pthread_mutex_lock(&cache->locks[index % LOCKS]);
    struct cached_token *found = set_find(&cache->sets[index], digest);
    bool is_valid = found && found->identity.expires_us > now_us;
    if (is_valid) {
        found->used = ++cache->uses[index % LOCKS];
        *ret_identity = found->identity;
    } else if (found) {
        found->used = 0;
    }
    pthread_mutex_unlock(&cache->locks[index % LOCKS]);
    return is_valid;
}

void token_cache_put(struct token_cache *cache, const uint8_t digest[SHA256_SIZE],
                     const struct identity *identity) {
    size_t index = set_index(cache, digest);
    struct cached_set *set = &cache->sets[index];
    pthread_mutex_lock(&cache->locks[index % LOCKS]);
    struct cached_token *place = set_find(set, digest);
    if (!place)
        place = set_place(set);
    if (place) {
        memcpy(place->digest, digest, SHA256_SIZE);
        place->identity = *identity;
        place->used = ++cache->uses[index % LOCKS];
    }
    pthread_mutex_unlock(&cache->locks[index % LOCKS]);
}

void token_cache_clear(struct token_cache *cache) {
    for (size_t index = 0; index < cache->sets_count; index++) {
        pthread_mutex_lock(&cache->locks[index % LOCKS]);
        for (size_t i = 0; i < WAYS && cache->sets[index].ways[i]; i++)
            cache->sets[index].ways[i]->used = 0;
        pthread_mutex_unlock(&cache->locks[index % LOCKS]);
    }
}
