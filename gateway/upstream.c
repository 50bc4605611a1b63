#include "gateway/upstream.h"

#include <assert.h>
#include <stddef.h>

#include "base/memory.h"

enum {
    UPSTREAM_SESSIONS_MAX = 8,
    UPSTREAM_CALLS_MAX = 8192, /* on one session */
    UPSTREAM_BACKOFF_FIRST_US = 50000,
    UPSTREAM_BACKOFF_MAX_US = 2000000,
    UPSTREAM_DEMAND_PAUSE_US = 1000, /* between connects that requests ask for */
};

struct upstream_slot {
    struct upstream *upstream;
    struct upstream_session *session; /* NULL between connections */
    struct loop_timer retry;
    uint64_t backoff_us;
    uint64_t tried_us;
    bool counted; /* in the gauge of sessions that are up */
};

struct upstream {
    struct upstream_owner owner;
    struct upstream_options options;
    bool closing;
    bool told_down;
    struct upstream_slot slots[UPSTREAM_SESSIONS_MAX];
};

static void upstream_connect(struct upstream_slot *slot);

static void upstream_retry_later(struct upstream_slot *slot) {
    loop_timer_set(slot->upstream->options.loop, &slot->retry, slot->backoff_us);
    slot->backoff_us *= 2;
    if (slot->backoff_us > UPSTREAM_BACKOFF_MAX_US)
        slot->backoff_us = UPSTREAM_BACKOFF_MAX_US;
}

static void upstream_retry_fired(struct loop_timer *timer) {
    upstream_connect(
        (struct upstream_slot *)((char *)timer - offsetof(struct upstream_slot, retry)));
}

static void upstream_report_down(struct upstream *upstream) {
    if (upstream->told_down || upstream->closing)
        return;
    char text[ADDRESS_TEXT_MAX];
    address_format(upstream->options.address, text);
    log_line(upstream->options.log, LOG_WARN, "the service cannot be reached",
             LOG_TEXT("upstream", text));
    upstream->told_down = true;
}

static void upstream_became_up(struct upstream_slot *slot) {
    struct upstream *upstream = slot->upstream;
    slot->backoff_us = UPSTREAM_BACKOFF_FIRST_US;
    if (slot->counted)
        return;
    slot->counted = true;
    metric_add(upstream->options.up, 1);
    if (!upstream->told_down)
        return;
    upstream->told_down = false;
    log_line(upstream->options.log, LOG_INFO, "the service can be reached again",
             LOG_INT("sessions", upstream->options.sessions));
}

static void upstream_connect(struct upstream_slot *slot) {
    struct upstream *upstream = slot->upstream;
    loop_timer_clear(&slot->retry);
    slot->tried_us = loop_now_us(upstream->options.loop);
    metric_add(upstream->options.reconnects, 1);
    struct upstream_session *session = NULL;
    enum sync_status status =
        upstream_session_open(upstream->options.loop, upstream->options.address, &upstream->owner,
                              upstream->options.scratch, upstream->options.scratch_size, &session);
    if (status == SYNC_OK) {
        slot->session = session;
        if (upstream_session_state(session) == UPSTREAM_UP)
            upstream_became_up(slot);
        return;
    }
    upstream_report_down(upstream);
    upstream_retry_later(slot);
}

static struct upstream_slot *upstream_slot_of(struct upstream *upstream,
                                              const struct upstream_session *session) {
    for (unsigned i = 0; i < upstream->options.sessions; i++) {
        if (upstream->slots[i].session == session)
            return &upstream->slots[i];
    }
    return NULL;
}

static void upstream_changed(struct upstream_owner *owner, struct upstream_session *session,
                             enum upstream_state state) {
    struct upstream *upstream =
        (struct upstream *)((char *)owner - offsetof(struct upstream, owner));
    /* None while upstream_session_open is running, and for a session that was let go. */
    struct upstream_slot *slot = upstream_slot_of(upstream, session);
    if (!slot)
        return;
    if (state == UPSTREAM_UP) {
        upstream_became_up(slot);
        return;
    }
    /* Closed, or draining: then it ends by itself, and the slot connects anew. */
    slot->session = NULL;
    if (slot->counted)
        metric_add(upstream->options.up, -1);
    slot->counted = false;
    if (!upstream->closing)
        upstream_retry_later(slot);
}

enum sync_status upstream_open(const struct upstream_options *options,
                               struct upstream **ret_upstream) {
    assert(options->sessions >= 1 && options->sessions <= UPSTREAM_SESSIONS_MAX);
    struct upstream *upstream = memory_zalloc(1, sizeof(*upstream));
    if (!upstream)
        return SYNC_ERR_NO_MEMORY;
    upstream->options = *options;
    upstream->owner.changed = upstream_changed;
    for (unsigned i = 0; i < options->sessions; i++) {
        struct upstream_slot *slot = &upstream->slots[i];
        slot->upstream = upstream;
        slot->retry.fire = upstream_retry_fired;
        slot->backoff_us = UPSTREAM_BACKOFF_FIRST_US;
        upstream_connect(slot);
    }
    *ret_upstream = upstream;
    return SYNC_OK;
}

struct upstream *upstream_close(struct upstream *upstream) {
    if (!upstream)
        return NULL;
    upstream->closing = true;
    for (unsigned i = 0; i < upstream->options.sessions; i++) {
        struct upstream_slot *slot = &upstream->slots[i];
        loop_timer_clear(&slot->retry);
        if (slot->session)
            upstream_session_close(slot->session);
    }
    memory_free(upstream);
    return NULL;
}

static struct upstream_session *upstream_pick(struct upstream *upstream) {
    struct upstream_session *best = NULL;
    for (unsigned i = 0; i < upstream->options.sessions; i++) {
        struct upstream_session *session = upstream->slots[i].session;
        if (!session || upstream_session_state(session) != UPSTREAM_UP)
            continue;
        if (!best || upstream_session_load(session) < upstream_session_load(best))
            best = session;
    }
    return best;
}

/* A request is the best reason to look whether the service is back. */
static struct upstream_session *upstream_connect_now(struct upstream *upstream) {
    uint64_t now_us = loop_now_us(upstream->options.loop);
    for (unsigned i = 0; i < upstream->options.sessions; i++) {
        struct upstream_slot *slot = &upstream->slots[i];
        if (!slot->session && now_us - slot->tried_us >= UPSTREAM_DEMAND_PAUSE_US)
            upstream_connect(slot);
    }
    return upstream_pick(upstream);
}

enum sync_status upstream_start(struct upstream *upstream, struct upstream_call *call) {
    struct upstream_session *session = upstream_pick(upstream);
    if (!session)
        session = upstream_connect_now(upstream);
    if (!session)
        return SYNC_ERR_UNAVAILABLE;
    if (upstream_session_load(session) >= UPSTREAM_CALLS_MAX)
        return SYNC_ERR_BUSY;
    return upstream_session_start(session, call);
}
