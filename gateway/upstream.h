/* Upstream: the way to the service. A few sessions per loop, connected again when they end. */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

#include "base/log.h"
#include "base/metrics.h"
#include "gateway/upstream_session.h"

struct upstream;

struct upstream_options {
    struct loop *loop;
    const struct address *address; /* outlives the upstream */
    unsigned sessions;             /* 1 to 8 */
    uint8_t *scratch;              /* as upstream_session_open */
    size_t scratch_size;
    struct log *log;           /* NULL: silent */
    struct metric *up;         /* gauge of sessions that are up; NULL: none */
    struct metric *reconnects; /* counter; NULL: none */
};

/* Opens and begins to connect. An absent service is no error: connecting goes on in the
 * background. */
enum sync_status upstream_open(const struct upstream_options *options,
                               struct upstream **ret_upstream);

/* Ends all calls as UNAVAILABLE and closes; returns NULL. */
struct upstream *upstream_close(struct upstream *upstream);

/* Starts a call on the least busy session. SYNC_ERR_UNAVAILABLE at once when no session is up,
 * SYNC_ERR_BUSY when too many calls are active. */
enum sync_status upstream_start(struct upstream *upstream, struct upstream_call *call);

#endif
