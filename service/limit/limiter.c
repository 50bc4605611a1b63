#include "service/limit/limiter.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>

#include "base/limits.h"
#include "base/memory.h"

enum {
    SHARDS = 16,
    CHAINS = 1024 /* per shard */,
    USERS_DEFAULT = 100000,
    HASH_SEED = 0x6c696d,
    NEAR_PART = 10
};

static const uint64_t DAY_US = 86400ULL * 1000000;

/* One user's bucket and quota of one kind. */
struct bucket {
    double tokens;
    uint64_t filled_us; /* when `tokens` held */
    uint64_t day, day_used;
};

/* What is remembered of a user; in a chain and in the order of use. */
struct limited_user {
    struct limited_user *chained;
    struct limited_user *older, *newer;
    uint64_t hash;
    uint32_t name_size;
    struct bucket buckets[LIMIT_KINDS];
    uint8_t name[];
};

struct shard {
    pthread_mutex_t lock; /* guards all below */
    struct limited_user *chains[CHAINS];
    struct limited_user *oldest, *newest;
    size_t users;
};

struct limiter {
    struct limiter_options options;
    size_t shard_users_max;
    struct shard shards[SHARDS];
};

enum sync_status limiter_open(const struct limiter_options *options, struct limiter **ret_limiter) {
    struct limiter *limiter = memory_zalloc(1, sizeof *limiter);
    if (!limiter)
        return SYNC_ERR_NO_MEMORY;
    limiter->options = *options;
    size_t users_max = options->users_max ? options->users_max : USERS_DEFAULT;
    limiter->shard_users_max = (users_max + SHARDS - 1) / SHARDS;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&limiter->shards[i].lock, NULL);
    *ret_limiter = limiter;
    return SYNC_OK;
}

struct limiter *limiter_close(struct limiter *limiter) {
    if (!limiter)
        return NULL;
    for (size_t i = 0; i < SHARDS; i++) {
        struct limited_user *user = limiter->shards[i].oldest;
        while (user) {
            struct limited_user *newer = user->newer;
            memory_free(user);
            user = newer;
        }
        pthread_mutex_destroy(&limiter->shards[i].lock);
    }
    memory_free(limiter);
    return NULL;
}

/* Takes a user out of the order of use. */
static void order_remove(struct shard *shard, struct limited_user *user) {
    *(user->older ? &user->older->newer : &shard->oldest) = user->newer;
    *(user->newer ? &user->newer->older : &shard->newest) = user->older;
    user->older = user->newer = NULL;
}

/* Puts a user at the new end of the order. */
static void order_append(struct shard *shard, struct limited_user *user) {
    user->older = shard->newest;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = user;
    shard->newest = user;
}

/* Where the chain points to the user, or ends. */
static struct limited_user **chain_find(struct shard *shard, uint64_t hash, struct slice name) {
    struct limited_user **link = &shard->chains[hash / SHARDS % CHAINS];
    while (*link && !((*link)->hash == hash &&
                      slice_equal(slice_of((*link)->name, (*link)->name_size), name)))
        link = &(*link)->chained;
    return link;
}

/* Forgets who was used longest ago. */
static void shard_forget_oldest(struct shard *shard) {
    struct limited_user *user = shard->oldest;
    struct limited_user **link =
        chain_find(shard, user->hash, slice_of(user->name, user->name_size));
    assert(*link == user);
    *link = user->chained;
    order_remove(shard, user);
    shard->users--;
    memory_free(user);
}

/* The user, made with full buckets when new; NULL without memory. */
static struct limited_user *shard_user(struct limiter *limiter, struct shard *shard, uint64_t hash,
                                       struct slice name, uint64_t now_us) {
    struct limited_user **link = chain_find(shard, hash, name);
    struct limited_user *user = *link;
    if (user) {
        order_remove(shard, user);
        order_append(shard, user);
        return user;
    }
    user = memory_zalloc(1, sizeof *user + name.size);
    if (!user)
        return NULL;
    user->hash = hash;
    user->name_size = (uint32_t)name.size;
    memcpy(user->name, name.data, name.size);
    for (size_t kind = 0; kind < LIMIT_KINDS; kind++)
        user->buckets[kind] =
            (struct bucket){.tokens = limiter->options.rules[kind].burst, .filled_us = now_us};
    *link = user;
    order_append(shard, user);
    if (++shard->users > limiter->shard_users_max)
        shard_forget_oldest(shard);
    return user;
}

/* Brings a bucket to the present. A clock that went back refills nothing. */
static void bucket_refill(struct bucket *bucket, const struct limit_rule *rule, uint64_t now_us) {
    if (now_us > bucket->filled_us) {
        double gained = (double)(now_us - bucket->filled_us) / 1e6 * rule->per_second;
        bucket->tokens = fmin(rule->burst, bucket->tokens + gained);
    }
    bucket->filled_us = now_us;
    uint64_t day = now_us / DAY_US;
    if (day != bucket->day) {
        bucket->day = day;
        bucket->day_used = 0;
    }
}

/* Milliseconds until `tokens` more are there; never 0, so that a retry finds them. */
static uint64_t refill_ms(const struct limit_rule *rule, double tokens) {
    double wait = ceil(tokens / rule->per_second * 1000);
    return wait < 1 ? 1 : wait > 1e12 ? (uint64_t)1e12 : (uint64_t)wait;
}

/* Refused by the day's quota: what is said of it. */
static struct limit_decision quota_decision(const struct bucket *bucket,
                                            const struct limit_rule *rule, uint64_t now_us) {
    uint64_t rest_ms = (DAY_US - now_us % DAY_US) / 1000 + 1;
    return (struct limit_decision){
        .quota = true,
        .limit = rule->per_day,
        .remaining = rule->per_day - bucket->day_used,
        .retry_after_ms = rest_ms,
        .reset_ms = rest_ms,
    };
}

/* Whether less than a tenth of the bucket, or of the day's quota, is left. */
static bool bucket_is_near(const struct bucket *bucket, const struct limit_rule *rule) {
    bool is_quota_near =
        rule->per_day > 0 && rule->per_day - bucket->day_used < rule->per_day / NEAR_PART;
    return is_quota_near || bucket->tokens < rule->burst / NEAR_PART;
}

static struct limit_decision bucket_take(struct bucket *bucket, const struct limit_rule *rule,
                                         uint64_t cost, uint64_t now_us) {
    bucket_refill(bucket, rule, now_us);
    if (rule->per_day > 0 && cost > rule->per_day - bucket->day_used)
        return quota_decision(bucket, rule, now_us);
    struct limit_decision decision = {.limit = (uint64_t)rule->burst};
    /* What is more than the bucket ever holds passes when it is full, and leaves a debt. */
    decision.allowed = bucket->tokens >= fmin((double)cost, rule->burst);
    if (decision.allowed) {
        bucket->tokens -= (double)cost;
        bucket->day_used += cost;
    } else {
        decision.retry_after_ms = refill_ms(rule, fmin((double)cost, rule->burst) - bucket->tokens);
    }
    decision.is_near = bucket_is_near(bucket, rule);
    decision.remaining = bucket->tokens > 0 ? (uint64_t)bucket->tokens : 0;
    decision.reset_ms =
        bucket->tokens < rule->burst ? refill_ms(rule, rule->burst - bucket->tokens) : 0;
    return decision;
}

struct limit_decision limiter_take(struct limiter *limiter, struct slice user, enum limit_kind kind,
                                   uint64_t cost, uint64_t now_us) {
    assert((unsigned)kind < LIMIT_KINDS);
    assert(user.size <= USER_ID_MAX);
    struct limit_decision decision = {.allowed = true};
    if (limiter->options.unlimited)
        return decision;
    uint64_t hash = slice_hash(user, HASH_SEED);
    struct shard *shard = &limiter->shards[hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct limited_user *found = shard_user(limiter, shard, hash, user, now_us);
    if (found) /* without memory, better to serve than to refuse */
        decision = bucket_take(&found->buckets[kind], &limiter->options.rules[kind], cost, now_us);
    pthread_mutex_unlock(&shard->lock);
    return decision;
}
