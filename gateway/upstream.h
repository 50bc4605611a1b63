/* Upstream: the way to the service. It has one backend or several; each is kept a few sessions to,
 * connected again when they end, checked for health and left alone while its calls fail. A call
 * goes to the backend with the fewest outstanding, in turn where they are equal. One thread. */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

#include "base/log.h"
#include "gateway/gateway_metrics.h"
#include "gateway/resolver.h"
#include "gateway/upstream_board.h"
#include "gateway/upstream_policy.h"
#include "gateway/upstream_session.h"

struct upstream;

struct upstream_options {
    struct loop *loop;
    struct resolver *resolver;            /* where the backends are; outlives the upstream */
    struct upstream_board *board;         /* other threads' word; outlives it; NULL: none */
    const struct upstream_policy *policy; /* outlives the upstream */
    struct tls_client *tls;               /* NULL: in clear; Unix sockets always are */
    uint8_t *scratch;                     /* as upstream_session_open */
    size_t scratch_size;
    struct log *log;                 /* NULL: silent */
    struct gateway_metrics *metrics; /* NULL: none */
};

/* Opens and begins to connect. An absent service is no error: connecting goes on in the
 * background. */
enum sync_status upstream_open(const struct upstream_options *options,
                               struct upstream **ret_upstream);

/* Ends all calls as UNAVAILABLE and closes; returns NULL. */
struct upstream *upstream_close(struct upstream *upstream);

/* Starts a call. One that surely never reached a backend (refused by REFUSED_STREAM or GOAWAY, or
 * the connection was never made) is given to another by itself, UPSTREAM_STARTS_MAX times in all
 * and within its time; no other call ever is. SYNC_ERR_UNAVAILABLE at once when no backend can take
 * it, SYNC_ERR_BUSY when too many calls are active. */
enum sync_status upstream_start(struct upstream *upstream, struct upstream_call *call);

/* Reads a grpc.health.v1.HealthCheckResponse: tells whether it says SERVING. */
bool upstream_health_is_serving(struct slice message);

#endif
