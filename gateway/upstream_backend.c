#include "gateway/upstream_backend.h"

#include <assert.h>
#include <stddef.h>

#include "base/memory.h"

enum {
    BACKOFF_FIRST_US = 50000,
    BACKOFF_MAX_US = 2000000,
    DEMAND_PAUSE_US = 1000, /* between connects that requests ask for */
    /* So many calls go by one session before the next is taken: what begins in one turn is sent in
     * few writes. */
    SESSION_CALLS_TOGETHER = 8,
};

static const struct upstream_policy *policy_of(const struct upstream_backend *backend) {
    return backend->pool->options.policy;
}

static struct loop *loop_of(const struct upstream_backend *backend) {
    return backend->pool->options.loop;
}

static void slot_connect_later(struct upstream_slot *slot) {
    loop_timer_set(loop_of(slot->backend), &slot->timer, slot->backoff_us);
    slot->backoff_us *= 2;
    if (slot->backoff_us > BACKOFF_MAX_US)
        slot->backoff_us = BACKOFF_MAX_US;
}

/* Whether the slot is one more than the policy has. */
static bool slot_is_extra(const struct upstream_slot *slot) {
    return slot - slot->backend->slots >= policy_of(slot->backend)->sessions;
}

static void slot_connect_failed(struct upstream_slot *slot) {
    struct upstream_backend *backend = slot->backend;
    if (slot_is_extra(slot)) {
        slot->timed_out = false;
        return; /* calls ask for another */
    }
    backend->failed_connects++;
    backend->mute = slot->timed_out;
    slot->timed_out = false;
    slot_connect_later(slot);
    resolver_ask(backend->pool->options.resolver);
    upstream_backend_update(backend);
}

static void slot_connect(struct upstream_slot *slot) {
    struct upstream_backend *backend = slot->backend;
    const struct upstream_options *options = &backend->pool->options;
    assert(!slot->session);
    slot->tried_us = loop_now_us(options->loop);
    metric_add(backend->series.connects, 1);
    const struct upstream_endpoint endpoint = {.address = &backend->at.address,
                                               .host = backend->at.host,
                                               .authority = slice_text(backend->at.authority),
                                               .tls = options->tls,
                                               .keepalive = options->policy->keepalive,
                                               .ping = options->policy->ping};
    enum sync_status status =
        upstream_session_open(options->loop, &endpoint, &backend->owner, options->scratch,
                              options->scratch_size, &slot->session);
    if (status == SYNC_OK)
        loop_timer_set(options->loop, &slot->timer, options->policy->connect_timeout_us);
    else
        slot_connect_failed(slot);
}

/* A connect has taken too long, or another is due. */
static void slot_timer_fired(struct loop_timer *timer) {
    struct upstream_slot *slot =
        (struct upstream_slot *)((char *)timer - offsetof(struct upstream_slot, timer));
    if (!slot->session) {
        slot_connect(slot);
        return;
    }
    slot->timed_out = true;
    upstream_session_close(slot->session);
}

static void slot_is_up(struct upstream_slot *slot) {
    struct upstream_backend *backend = slot->backend;
    loop_timer_clear(&slot->timer);
    slot->backoff_us = BACKOFF_FIRST_US;
    slot->counted = true;
    backend->failed_connects = 0;
    backend->mute = false;
    metric_add(backend->series.sessions, 1);
    upstream_check_begin(slot);
    upstream_backend_update(backend);
}

/* The slot's session is no longer up, and forgotten. */
static void slot_release(struct upstream_slot *slot) {
    loop_timer_clear(&slot->timer);
    upstream_check_end(slot);
    slot->session = NULL;
    if (slot->counted)
        metric_add(slot->backend->series.sessions, -1);
    slot->counted = false;
}

/* Keeps a session that ends with the calls on it. There is a bound to how many: beyond it the
 * oldest goes at once. */
static void backend_keep_drain(struct upstream_backend *backend, struct upstream_session *session) {
    struct upstream_drain *last = &backend->drains[UPSTREAM_DRAINS_MAX - 1];
    if (last->session)
        upstream_session_close(last->session);
    for (struct upstream_drain *drain = last; drain > backend->drains; drain--)
        *drain = drain[-1];
    backend->drains[0] = (struct upstream_drain){.session = session};
}

static void backend_forget_drain(struct upstream_backend *backend,
                                 const struct upstream_session *session) {
    for (unsigned i = 0; i < UPSTREAM_DRAINS_MAX; i++) {
        if (backend->drains[i].session == session)
            backend->drains[i].session = NULL;
    }
}

static void backend_drain_timer_fired(struct loop_timer *timer) {
    struct upstream_backend *backend =
        (struct upstream_backend *)((char *)timer - offsetof(struct upstream_backend, drain_timer));
    uint64_t now_us = loop_now_us(loop_of(backend)), next_us = UINT64_MAX;
    for (unsigned i = 0; i < UPSTREAM_DRAINS_MAX; i++) {
        struct upstream_drain *drain = &backend->drains[i];
        if (!drain->session || drain->close_us == 0)
            continue;
        if (drain->close_us <= now_us)
            upstream_session_close(drain->session);
        else if (drain->close_us < next_us)
            next_us = drain->close_us;
    }
    if (next_us != UINT64_MAX)
        loop_timer_set(loop_of(backend), timer, next_us - now_us);
}

void upstream_slot_drain(struct upstream_slot *slot, uint64_t grace_us) {
    struct upstream_backend *backend = slot->backend;
    struct upstream_session *session = slot->session;
    upstream_session_drain(session);
    if (grace_us == 0 || backend->drains[0].session != session)
        return;
    backend->drains[0].close_us = loop_now_us(loop_of(backend)) + grace_us;
    if (!backend->drain_timer.link)
        loop_timer_set(loop_of(backend), &backend->drain_timer, grace_us);
}

static struct upstream_slot *slot_find(struct upstream_backend *backend,
                                       const struct upstream_session *session) {
    for (unsigned i = 0; i < backend->slot_count; i++) {
        if (backend->slots[i].session == session)
            return &backend->slots[i];
    }
    return NULL;
}

static void backend_changed(struct upstream_owner *owner, struct upstream_session *session,
                            enum upstream_state state) {
    struct upstream_backend *backend =
        (struct upstream_backend *)((char *)owner - offsetof(struct upstream_backend, owner));
    struct upstream_slot *slot = slot_find(backend, session);
    if (!slot) {
        backend_forget_drain(backend, session);
        return;
    }
    if (state == UPSTREAM_UP) {
        slot_is_up(slot);
        return;
    }
    bool was_up = slot->counted;
    slot_release(slot);
    if (state == UPSTREAM_DRAINING)
        backend_keep_drain(backend, session);
    if (backend->closing || backend->retired)
        return;
    if (!was_up)
        slot_connect_failed(slot);
    else if (!slot_is_extra(slot))
        slot_connect_later(slot);
    upstream_backend_update(backend);
}

static void slot_init(struct upstream_backend *backend, struct upstream_slot *slot) {
    slot->backend = backend;
    slot->timer.fire = slot_timer_fired;
    slot->backoff_us = BACKOFF_FIRST_US;
}

struct upstream_backend *upstream_backend_open(struct upstream *pool,
                                               const struct resolver_address *at) {
    struct upstream_backend *backend = memory_zalloc(1, sizeof(*backend));
    if (!backend)
        return NULL;
    backend->pool = pool;
    backend->owner.changed = backend_changed;
    backend->at = *at;
    backend->serving = true;
    backend->drain_timer.fire = backend_drain_timer_fired;
    address_format(&at->address, backend->name);
    if (pool->options.board)
        backend->notice = upstream_board_notice(pool->options.board, &at->address);
    if (pool->options.metrics)
        gateway_metrics_backend(pool->options.metrics, backend->name, &backend->series);
    backend->slot_count = policy_of(backend)->sessions;
    for (unsigned i = 0; i < backend->slot_count; i++)
        slot_init(backend, &backend->slots[i]);
    for (unsigned i = 0; i < backend->slot_count; i++)
        slot_connect(&backend->slots[i]);
    return backend;
}

struct upstream_backend *upstream_backend_close(struct upstream_backend *backend) {
    if (!backend)
        return NULL;
    backend->closing = true;
    loop_timer_clear(&backend->drain_timer);
    for (unsigned i = 0; i < backend->slot_count; i++) {
        loop_timer_clear(&backend->slots[i].timer);
        if (backend->slots[i].session)
            upstream_session_close(backend->slots[i].session);
    }
    for (unsigned i = 0; i < UPSTREAM_DRAINS_MAX; i++) {
        if (backend->drains[i].session)
            upstream_session_close(backend->drains[i].session);
    }
    if (backend->told == UPSTREAM_STANDING_GOOD)
        metric_add(backend->series.up, -1);
    memory_free(backend);
    return NULL;
}

void upstream_backend_retire(struct upstream_backend *backend) {
    backend->retired = true;
    for (unsigned i = 0; i < backend->slot_count; i++) {
        struct upstream_slot *slot = &backend->slots[i];
        loop_timer_clear(&slot->timer);
        if (upstream_slot_is_up(slot))
            upstream_session_drain(slot->session);
        else if (slot->session)
            upstream_session_close(slot->session);
    }
    upstream_backend_update(backend);
}

bool upstream_backend_has_sessions(const struct upstream_backend *backend) {
    for (unsigned i = 0; i < backend->slot_count; i++) {
        if (backend->slots[i].session)
            return true;
    }
    for (unsigned i = 0; i < UPSTREAM_DRAINS_MAX; i++) {
        if (backend->drains[i].session)
            return true;
    }
    return false;
}

void upstream_backend_connect(struct upstream_backend *backend) {
    uint64_t now_us = loop_now_us(loop_of(backend));
    for (unsigned i = 0; i < policy_of(backend)->sessions; i++) {
        struct upstream_slot *slot = &backend->slots[i];
        if (slot->session || now_us - slot->tried_us < DEMAND_PAUSE_US)
            continue;
        loop_timer_clear(&slot->timer);
        slot_connect(slot);
    }
}

/* Whether a session is more to be chosen than another: up, answering, idle, in this order. */
static bool slot_is_better(const struct upstream_slot *slot, const struct upstream_slot *than) {
    if (!than)
        return true;
    bool up = upstream_slot_is_up(slot), than_up = upstream_slot_is_up(than);
    if (up != than_up)
        return up;
    bool silent = slot->check.silences > 0, than_silent = than->check.silences > 0;
    if (silent != than_silent)
        return than_silent;
    return upstream_session_load(slot->session) / SESSION_CALLS_TOGETHER <
           upstream_session_load(than->session) / SESSION_CALLS_TOGETHER;
}

static const struct upstream_slot *backend_best_slot(const struct upstream_backend *backend) {
    const struct upstream_slot *best = NULL;
    for (unsigned i = 0; i < backend->slot_count; i++) {
        const struct upstream_slot *slot = &backend->slots[i];
        /* In the midst of closing a session its slot may still hold it. */
        if (slot->session && upstream_session_state(slot->session) <= UPSTREAM_UP &&
            slot_is_better(slot, best))
            best = slot;
    }
    return best;
}

/* A session up or on its way with fewer calls than so many, or NULL. */
static struct upstream_session *backend_roomy(const struct upstream_backend *backend,
                                              size_t calls_max) {
    for (unsigned i = 0; i < backend->slot_count; i++) {
        struct upstream_session *session = backend->slots[i].session;
        if (session && upstream_session_state(session) <= UPSTREAM_UP &&
            upstream_session_load(session) < calls_max)
            return session;
    }
    return NULL;
}

/* Begins one session more than there are, or NULL. */
static struct upstream_session *backend_extend(struct upstream_backend *backend) {
    uint64_t now_us = loop_now_us(loop_of(backend));
    for (unsigned i = policy_of(backend)->sessions; i < UPSTREAM_SESSIONS_MAX; i++) {
        struct upstream_slot *slot = &backend->slots[i];
        if (i == backend->slot_count)
            slot_init(backend, &backend->slots[backend->slot_count++]);
        if (slot->session)
            continue;
        if (slot->tried_us > 0 && now_us - slot->tried_us < DEMAND_PAUSE_US)
            return NULL;
        slot_connect(slot);
        return slot->session;
    }
    return NULL;
}

struct upstream_session *upstream_backend_session(struct upstream_backend *backend) {
    const struct upstream_slot *best = backend_best_slot(backend);
    if (!upstream_slot_is_up(best) || !upstream_session_is_full(best->session))
        return best->session;
    /* As many as the service takes of this it takes of any. */
    struct upstream_session *other = backend_roomy(backend, upstream_session_load(best->session));
    if (!other)
        other = backend_extend(backend);
    return other ? other : best->session;
}

enum upstream_rank upstream_backend_rank(struct upstream_backend *backend) {
    const struct upstream_slot *slot = backend_best_slot(backend);
    if (!slot)
        return UPSTREAM_RANK_NONE;
    /* Where nobody listened, a connection that is taken is a new process; where nobody greeted, it
     * may be the same again, and nobody waits for that. */
    if (!upstream_slot_is_up(slot))
        return backend->mute ? UPSTREAM_RANK_NONE : UPSTREAM_RANK_CONNECTING;
    if (!backend->serving || slot->check.silences > 0 ||
        !upstream_breaker_admits(&backend->breaker, &policy_of(backend)->breaker,
                                 loop_now_us(loop_of(backend))))
        return UPSTREAM_RANK_DOUBTFUL;
    return UPSTREAM_RANK_READY;
}

static enum upstream_standing backend_standing(struct upstream_backend *backend) {
    const struct upstream_slot *slot = backend_best_slot(backend);
    if (!slot || !upstream_slot_is_up(slot))
        return backend->failed_connects > 0 ? UPSTREAM_STANDING_ABSENT : UPSTREAM_STANDING_NEW;
    if (slot->check.silences > 0)
        return UPSTREAM_STANDING_SILENT;
    if (!backend->serving)
        return UPSTREAM_STANDING_NOT_SERVING;
    if (upstream_breaker_look(&backend->breaker, loop_now_us(loop_of(backend))) !=
        UPSTREAM_BREAKER_CLOSED)
        return UPSTREAM_STANDING_EJECTED;
    return UPSTREAM_STANDING_GOOD;
}

/* A connection that is made anew as it should be is nothing to tell of. */
static bool standing_is_bad(enum upstream_standing standing) {
    return standing > UPSTREAM_STANDING_GOOD;
}

void upstream_backend_update(struct upstream_backend *backend) {
    static const char *const reasons[] = {
        [UPSTREAM_STANDING_ABSENT] = "it cannot be reached",
        [UPSTREAM_STANDING_SILENT] = "it does not answer",
        [UPSTREAM_STANDING_NOT_SERVING] = "it says that it does not serve",
        [UPSTREAM_STANDING_EJECTED] = "too many of its calls fail",
    };
    struct log *log = backend->pool->options.log;
    enum upstream_standing standing = backend_standing(backend), before = backend->told;
    if (standing == before || backend->closing)
        return;
    if (standing == UPSTREAM_STANDING_GOOD)
        metric_add(backend->series.up, 1);
    else if (before == UPSTREAM_STANDING_GOOD)
        metric_add(backend->series.up, -1);
    if (standing == UPSTREAM_STANDING_NEW && standing_is_bad(before))
        return; /* it is still away */
    backend->told = standing;
    if (standing == UPSTREAM_STANDING_GOOD)
        backend->good_since_us = loop_now_us(loop_of(backend));
    if (standing_is_bad(standing) && !backend->retired)
        log_line(log, LOG_WARN, "an upstream is not used", LOG_TEXT("backend", backend->name),
                 LOG_TEXT("reason", reasons[standing]));
    else if (standing == UPSTREAM_STANDING_GOOD && standing_is_bad(before))
        log_line(log, LOG_INFO, "an upstream is used again", LOG_TEXT("backend", backend->name));
}
