/* Service: what all handlers share, wired by main.c. Everything here outlives the calls. */
#ifndef SERVICE_RPC_SERVICE_H
#define SERVICE_RPC_SERVICE_H

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/timer.h"
#include "base/work_pool.h"
#include "service/auth/token.h"
#include "service/core/policy.h"
#include "service/limit/limiter.h"
#include "service/queue/job_queue.h"
#include "service/store/store.h"
#include "service/store/user_lane.h"

/* Retention, from the configuration. */
struct service_retention {
    uint64_t bundle_us;     /* after its making; default 24 h */
    uint64_t operation_us;  /* after its end; default 7 days */
    uint64_t log_us;        /* log entries and settled changes; default 30 days */
    uint64_t decisions_max; /* resolved conflicts kept of a user, within log_us; 0: all of them */
};

struct sync_metrics;
struct health;
struct reflection_index;
struct sync_streams;
struct user_slots;

struct service {
    const struct clock *clock;
    const struct random_source *random;
    struct log *log;
    struct metrics *metrics;
    struct sync_metrics *sync_metrics; /* what the handlers count; workers_open sets it */
    struct work_pool *pool; /* handlers and turns run here; they may block on the store */
    struct timers *timers;  /* on its own thread */
    struct store *store;
    struct user_lanes *lanes;
    struct job_queue *jobs;
    struct token_verifier *tokens;
    struct limiter *limiter;
    const struct policy_set *policies;
    struct service_retention retention;
    struct health *health; /* what grpc.health.v1 says beside the store's own */
    struct reflection_index *reflection;
    struct sync_streams *streams; /* the Sync streams that are open */
    struct user_slots *watches;   /* streams that watch, by user: live_stream.c; NULL: unbounded */
    unsigned operations_max;      /* concurrent per user: USER_SYNC_OPERATIONS_MAX */
};

#endif
