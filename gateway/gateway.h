/* Gateway: what all threads share. Filled by main before the threads start, then only read, but for
 * the atomics. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/work_pool.h"
#include "gateway/api.h"
#include "gateway/client_table.h"
#include "gateway/gateway_metrics.h"
#include "gateway/keepalive.h"
#include "gateway/network.h"
#include "gateway/penalty_table.h"
#include "gateway/resolver.h"
#include "gateway/tls.h"
#include "gateway/tls_client.h"
#include "gateway/upstream_board.h"
#include "gateway/upstream_policy.h"

enum { GATEWAY_CORS_ORIGINS_MAX = 16 };

/* Times and bounds that the operator may set. */
struct gateway_limits {
    uint64_t handshake_timeout_us; /* for TLS to be agreed on */
    uint64_t header_timeout_us;    /* from a request's first byte to its head's end */
    uint64_t idle_timeout_us;      /* of a connection without requests */
    uint64_t call_timeout_us;      /* of a unary call */
    uint64_t stream_timeout_us;    /* of a streamed answer */
    uint64_t stream_heartbeat_us;  /* between signs of life in streamed events */
    uint64_t drain_timeout_us;     /* for what is in flight when the process ends */
    struct keepalive keepalive;    /* of clients that have requests under way */
    uint64_t penalty_us;           /* that a new connection waits whose address was cut often */
    unsigned connections_max;      /* in the process */
    unsigned handshakes_max;       /* TLS not yet agreed on, per thread */
    uint64_t buffered_bytes_max;   /* of request bodies and answers, in the process */
};

struct gateway {
    const struct clock *clock;
    const struct random_source *random;
    struct log *log;
    struct log *access_log;          /* NULL: requests are not logged */
    struct tls *tls;                 /* NULL without https */
    struct client_table *clients;    /* NULL where no client has a bound */
    struct penalty_table *penalties; /* NULL where nobody is made to wait */
    struct networks trusted_proxies;
    bool proxy_protocol;       /* trusted proxies begin with its header */
    bool ignore_unknown_query; /* parameters that no field has are left out */
    struct gateway_metrics *metrics;
    struct api *api;           /* the newest; main's alone: threads have their own hold */
    struct resolver *resolver; /* where the service is */
    struct work_pool *pool;    /* for what would hold a loop for long; NULL: loops do it */
    struct upstream_policy upstream_policy;
    struct upstream_board upstream_board;
    struct tls_client *upstream_tls; /* NULL: in clear */
    struct gateway_limits limits;
    struct slice cors_origins[GATEWAY_CORS_ORIGINS_MAX]; /* one "*" allows all */
    size_t cors_origin_count;
    atomic_uint connections;
    atomic_ullong buffered_bytes;
    atomic_ullong served_us; /* when one who is known to mean well was last served */
    atomic_bool draining;
};

/* Counts `now` bytes as held of requests, in place of `*counted` before. False beyond the bound;
 * they are counted all the same. */
static inline bool gateway_count_buffered(struct gateway *gateway, uint64_t *counted,
                                          uint64_t now) {
    uint64_t before = *counted;
    *counted = now;
    if (now == before)
        return true;
    uint64_t all =
        atomic_fetch_add_explicit(&gateway->buffered_bytes, now - before, memory_order_relaxed);
    return now < before || all + (now - before) <= gateway->limits.buffered_bytes_max;
}

/* Tells whether requests hold as much as they may. */
static inline bool gateway_is_full(struct gateway *gateway) {
    return atomic_load_explicit(&gateway->buffered_bytes, memory_order_relaxed) >
           gateway->limits.buffered_bytes_max;
}

/* Tells whether bodies and answers hold more than half of the memory they may: who holds it without
 * need must go sooner. */
static inline bool gateway_is_pressed(struct gateway *gateway) {
    return atomic_load_explicit(&gateway->buffered_bytes, memory_order_relaxed) >
           gateway->limits.buffered_bytes_max / 2;
}

#endif
