/* Limiter: token buckets and daily quotas per user, in this process. Thread-safe, bounded memory
 * (idle users' buckets are forgotten). Clock as an argument. */
#ifndef SERVICE_LIMIT_LIMITER_H
#define SERVICE_LIMIT_LIMITER_H

#include "base/bytes.h"
#include "base/status.h"

struct limiter;

/* What is limited. */
enum limit_kind {
    LIMIT_CALLS,   /* any call */
    LIMIT_CHANGES, /* changes uploaded */
    LIMIT_SYNCS,   /* synchronizations requested */
    LIMIT_BUNDLES, /* bundles generated */
    LIMIT_KINDS,
};

/* A bucket: `burst` at once, refilled at `per_second`; and at most `per_day` in a UTC day (0: no
 * quota). */
struct limit_rule {
    double per_second;
    double burst;
    uint64_t per_day;
};

struct limiter_options {
    struct limit_rule rules[LIMIT_KINDS];
    bool unlimited;   /* --no-limits */
    size_t users_max; /* remembered at once; 0: 100,000 */
};

/* What a decision says, for the RateLimit headers and RetryInfo. */
struct limit_decision {
    bool allowed;
    bool quota;   /* refused by the day's quota, not by the rate */
    bool is_near; /* above 90% of what is allowed at once, or in the day, is used */
    uint64_t limit, remaining;
    uint64_t retry_after_ms; /* when refused */
    uint64_t reset_ms;       /* until the bucket is full, or the day ends */
};

/* Opens; rules have a positive rate and burst. Idle users are forgotten, the longest idle first,
 * when more than `users_max` are remembered; a forgotten one begins anew. */
enum sync_status limiter_open(const struct limiter_options *options, struct limiter **ret_limiter);

/* Closes; returns NULL. */
struct limiter *limiter_close(struct limiter *limiter);

/* Takes `cost` from the user's bucket and quota, or refuses and takes nothing. */
struct limit_decision limiter_take(struct limiter *limiter, struct slice user, enum limit_kind kind,
                                   uint64_t cost, uint64_t now_us);

#endif
