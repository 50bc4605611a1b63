#include "gateway/upstream.h"

#include <assert.h>
#include <stddef.h>

#include "base/memory.h"
#include "gateway/grpc_status.h"
#include "gateway/upstream_backend.h"

enum {
    UPSTREAM_CALLS_MAX = 8192, /* on one session */
    UPSTREAM_REFRESH_US = 1000000,
    UPSTREAM_REFRESH_FIRST_US = 50000, /* while no address is known */
    SLOW_START_PARTS = 10, /* a backend that is back counts as so many times busier, then less */
};

static bool resolver_has(const struct resolver_address *addresses, size_t count,
                         const struct upstream_backend *backend) {
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i].address, &backend->at.address))
            return true;
    }
    return false;
}

/* Lets go of the backends whose addresses are no longer among these. */
static void upstream_retire_others(struct upstream *upstream,
                                   const struct resolver_address *addresses, size_t count) {
    struct upstream_backend **link = &upstream->backends;
    while (*link) {
        struct upstream_backend *backend = *link;
        if (resolver_has(addresses, count, backend)) {
            link = &backend->next;
            continue;
        }
        *link = backend->next;
        backend->next = upstream->retired;
        upstream->retired = backend;
        upstream->backend_count--;
        upstream->turn = 0;
        upstream_backend_retire(backend);
    }
}

/* Opens a backend for each address that has none. */
static enum sync_status upstream_open_missing(struct upstream *upstream,
                                              const struct resolver_address *addresses,
                                              size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct upstream_backend **link = &upstream->backends;
        while (*link && !address_equal(&(*link)->at.address, &addresses[i].address))
            link = &(*link)->next;
        if (*link)
            continue;
        *link = upstream_backend_open(upstream, &addresses[i]);
        if (!*link)
            return SYNC_ERR_NO_MEMORY;
        upstream->backend_count++;
    }
    return SYNC_OK;
}

/* Frees retired backends whose last calls are over. */
static void upstream_sweep(struct upstream *upstream) {
    struct upstream_backend **link = &upstream->retired;
    while (*link) {
        struct upstream_backend *backend = *link;
        if (upstream_backend_has_sessions(backend)) {
            link = &backend->next;
            continue;
        }
        *link = backend->next;
        upstream_backend_close(backend);
    }
}

/* Takes what names have come to mean. */
static enum sync_status upstream_refresh(struct upstream *upstream) {
    struct resolver *resolver = upstream->options.resolver;
    unsigned generation = resolver_generation(resolver);
    enum sync_status status = SYNC_OK;
    if (generation != upstream->generation) {
        struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
        size_t count = resolver_addresses(resolver, addresses);
        upstream_retire_others(upstream, addresses, count);
        status = upstream_open_missing(upstream, addresses, count);
        if (status == SYNC_OK) /* else it is tried again */
            upstream->generation = generation;
    }
    upstream_sweep(upstream);
    for (struct upstream_backend *backend = upstream->backends; backend; backend = backend->next)
        upstream_backend_update(backend); /* breakers change by time alone */
    return status;
}

static void upstream_refresh_later(struct upstream *upstream) {
    loop_timer_set(upstream->options.loop, &upstream->refresh,
                   upstream->backends ? UPSTREAM_REFRESH_US : UPSTREAM_REFRESH_FIRST_US);
}

static void upstream_refresh_fired(struct loop_timer *timer) {
    struct upstream *upstream =
        (struct upstream *)((char *)timer - offsetof(struct upstream, refresh));
    (void)upstream_refresh(upstream);
    upstream_refresh_later(upstream);
}

enum sync_status upstream_open(const struct upstream_options *options,
                               struct upstream **ret_upstream) {
    const struct upstream_policy *policy = options->policy;
    assert(policy->sessions >= 1 && policy->sessions <= UPSTREAM_SESSIONS_MAX);
    assert(policy->connect_timeout_us > 0 && policy->health_fall > 0 && policy->health_rise > 0);
    struct upstream *upstream = memory_zalloc(1, sizeof(*upstream));
    if (!upstream)
        return SYNC_ERR_NO_MEMORY;
    upstream->options = *options;
    upstream->refresh.fire = upstream_refresh_fired;
    enum sync_status status = upstream_refresh(upstream);
    if (status != SYNC_OK) {
        upstream_close(upstream);
        return status;
    }
    upstream_refresh_later(upstream);
    *ret_upstream = upstream;
    return SYNC_OK;
}

static void upstream_close_list(struct upstream_backend *backend) {
    while (backend) {
        struct upstream_backend *next = backend->next;
        upstream_backend_close(backend);
        backend = next;
    }
}

struct upstream *upstream_close(struct upstream *upstream) {
    if (!upstream)
        return NULL;
    upstream->closing = true;
    loop_timer_clear(&upstream->refresh);
    upstream_close_list(upstream->backends);
    upstream_close_list(upstream->retired);
    memory_free(upstream);
    return NULL;
}

/* How busy a backend counts as: its calls, and the one to come, weighted while it starts slowly. */
static uint64_t backend_cost(const struct upstream_backend *backend, uint64_t now_us) {
    uint64_t slow_us = backend->pool->options.policy->slow_start_us;
    uint64_t calls = backend->outstanding + 1, since_us = now_us - backend->good_since_us;
    if (since_us >= slow_us)
        return calls * SLOW_START_PARTS;
    uint64_t parts = since_us * SLOW_START_PARTS / slow_us; /* of its full share */
    return calls * SLOW_START_PARTS * SLOW_START_PARTS / (parts ? parts : 1);
}

/* The best backend for a call, or NULL. `avoid` is taken only for want of another. */
static struct upstream_backend *upstream_pick(struct upstream *upstream,
                                              const struct upstream_backend *avoid) {
    uint64_t now_us = loop_now_us(upstream->options.loop), best_cost = 0;
    enum upstream_rank best_rank = UPSTREAM_RANK_NONE;
    struct upstream_backend *best = NULL;
    unsigned index = 0, best_distance = 0;
    for (struct upstream_backend *one = upstream->backends; one; one = one->next, index++) {
        enum upstream_rank rank = upstream_backend_rank(one);
        if (one == avoid && rank < UPSTREAM_RANK_DOUBTFUL)
            rank = UPSTREAM_RANK_DOUBTFUL;
        uint64_t cost = backend_cost(one, now_us);
        unsigned distance =
            (index + upstream->backend_count - upstream->turn) % upstream->backend_count;
        if (rank > best_rank || rank == UPSTREAM_RANK_NONE)
            continue;
        if (rank == best_rank && best &&
            (cost > best_cost || (cost == best_cost && distance > best_distance)))
            continue;
        best = one;
        best_rank = rank;
        best_cost = cost;
        best_distance = distance;
    }
    if (best)
        upstream->turn = (upstream->turn + best_distance + 1) % upstream->backend_count;
    return best;
}

/* Starts the call on the best backend there is. */
static enum sync_status upstream_give(struct upstream *upstream, struct upstream_call *call,
                                      const struct upstream_backend *avoid) {
    struct upstream_backend *backend = upstream_pick(upstream, avoid);
    if (!backend) {
        for (struct upstream_backend *one = upstream->backends; one; one = one->next)
            upstream_backend_connect(one);
        backend = upstream_pick(upstream, avoid);
    }
    if (!backend)
        return SYNC_ERR_UNAVAILABLE;
    struct upstream_session *session = upstream_backend_session(backend);
    if (upstream_session_load(session) >= UPSTREAM_CALLS_MAX)
        return SYNC_ERR_BUSY;
    enum sync_status status = upstream_session_start(session, call);
    if (status != SYNC_OK)
        return status;
    call->backend = backend;
    call->starts++;
    call->is_probe = upstream_breaker_begin(&backend->breaker, &upstream->options.policy->breaker,
                                            loop_now_us(upstream->options.loop));
    backend->outstanding++;
    metric_add(backend->series.calls, 1);
    metric_add(backend->series.outstanding, 1);
    return SYNC_OK;
}

/* What the end of a call tells of its backend. That it is UNAVAILABLE in so many words, with
 * details, is a considered answer; so is any other status, since clients can bring it about. */
static enum upstream_outcome outcome_of(const struct upstream_result *result) {
    if (!result || result->refused)
        return UPSTREAM_OUTCOME_NONE;
    return result->code == GRPC_UNAVAILABLE && result->details.size == 0 ? UPSTREAM_OUTCOME_FAILURE
                                                                         : UPSTREAM_OUTCOME_SUCCESS;
}

/* Gives a call that no backend has seen to another; true when that is done. */
static bool upstream_start_again(struct upstream *upstream, struct upstream_call *call) {
    uint64_t passed_us = loop_now_us(upstream->options.loop) - call->begun_us;
    if (upstream->closing || call->starts >= UPSTREAM_STARTS_MAX || passed_us >= call->timeout_us)
        return false;
    uint64_t timeout_us = call->timeout_us;
    struct upstream_backend *backend = call->backend;
    call->timeout_us -= passed_us;
    call->begun_us += passed_us;
    if (upstream_give(upstream, call, backend) != SYNC_OK) {
        call->timeout_us = timeout_us;
        return false;
    }
    metric_add(backend->series.retries, 1);
    return true;
}

/* Tells the breaker how a call went, and what other threads have seen; true when it has opened. */
static bool backend_note(struct upstream_backend *backend, bool is_probe,
                         enum upstream_outcome outcome) {
    const struct upstream_options *options = &backend->pool->options;
    upstream_notice *notice = backend->notice;
    if (notice && outcome == UPSTREAM_OUTCOME_FAILURE)
        upstream_breaker_hear(&backend->breaker,
                              atomic_fetch_add_explicit(notice, 1, memory_order_relaxed));
    else if (notice && outcome == UPSTREAM_OUTCOME_SUCCESS &&
             atomic_load_explicit(notice, memory_order_relaxed) > 0)
        atomic_store_explicit(notice, 0, memory_order_relaxed);
    return upstream_breaker_end(&backend->breaker, &options->policy->breaker, is_probe, outcome,
                                loop_now_us(options->loop));
}

/* A call has ended; true when it has been started again. */
static bool upstream_call_over(struct upstream_call *call, const struct upstream_result *result) {
    struct upstream *upstream = call->pool;
    struct upstream_backend *backend = call->backend;
    backend->outstanding--;
    metric_add(backend->series.outstanding, -1);
    bool opened = backend_note(backend, call->is_probe, outcome_of(result));
    if (opened)
        metric_add(backend->series.ejections, 1);
    if (opened || call->is_probe)
        upstream_backend_update(backend);
    return result && result->unprocessed && upstream_start_again(upstream, call);
}

enum sync_status upstream_start(struct upstream *upstream, struct upstream_call *call) {
    call->ended = upstream_call_over;
    call->pool = upstream;
    call->starts = 0;
    call->begun_us = loop_now_us(upstream->options.loop);
    return upstream_give(upstream, call, NULL);
}
