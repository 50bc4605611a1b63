/* Upstream policy: how backends are connected to and judged, as the operator set it. */
#ifndef GATEWAY_UPSTREAM_POLICY_H
#define GATEWAY_UPSTREAM_POLICY_H

#include "gateway/keepalive.h"
#include "gateway/upstream_breaker.h"

enum {
    UPSTREAM_SESSIONS_MAX = 64,
    UPSTREAM_STARTS_MAX = 3, /* of one call */
};

struct upstream_policy {
    unsigned sessions;           /* kept to each backend, per thread; 1 to UPSTREAM_SESSIONS_MAX */
    uint64_t connect_timeout_us; /* until the service's first word */
    uint64_t health_interval_us; /* between checks of a session; 0: no checks */
    uint64_t health_timeout_us;  /* for a check's answer */
    unsigned health_fall;        /* failed checks in a row that take a backend out; 1 or more */
    unsigned health_rise;        /* passed checks in a row that bring it back; 1 or more */
    uint64_t slow_start_us;      /* a backend that is back is spared for so long; 0: not */
    uint64_t silence_max_us;     /* calls on a session that has fallen silent are given so long */
    struct keepalive keepalive;  /* of sessions by TCP */
    struct keepalive ping;       /* of those with calls by HTTP/2 */
    struct upstream_breaker_options breaker;
};

#endif
