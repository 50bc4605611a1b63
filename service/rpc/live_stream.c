#include "service/rpc/live_stream.h"

#include <assert.h>
#include <stddef.h>

#include "base/limits.h"

/* Causes. */
enum {
    LIVE_CHANGED = WAKE_CAUSE_FIRST,
    LIVE_WRITTEN = LIVE_CHANGED << 1,
    LIVE_LOST = LIVE_CHANGED << 2, /* a write failed */
    LIVE_LEFT = LIVE_CHANGED << 3,
    LIVE_DRAIN = LIVE_CHANGED << 4,
    LIVE_RANG = LIVE_CHANGED << 5,    /* the timer */
    LIVE_EXPIRED = LIVE_CHANGED << 6, /* the token */
};

enum { TURN_ARENA_MAX = 64 << 20 };

#define LIVE_OF(member_, pointer_)                                                                 \
    ((struct live_stream *)((char *)(pointer_)-offsetof(struct live_stream, member_)))

static void live_changed(struct store_watch *watch, const struct store_event *event) {
    struct live_stream *live = LIVE_OF(watch, watch);
    if (live->tables ? (event->tables & live->tables) != 0 : event->head != NULL)
        wake_up(&live->wake, LIVE_CHANGED);
}

static void live_rang(struct timer *timer) {
    wake_up(&LIVE_OF(timer, timer)->wake, LIVE_RANG);
}

static void live_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    (void)call;
    wake_up(&((struct live_stream *)context)->wake,
            cause == RPC_LEAVE_DRAIN ? LIVE_DRAIN : LIVE_LEFT);
}

static void live_written(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    wake_up(&((struct live_stream *)context)->wake, ok ? LIVE_WRITTEN : LIVE_LOST);
}

static uint64_t live_now_us(const struct live_stream *live) {
    return clock_monotonic_us(rpc_call_service(live->call)->clock);
}

/* Sets the timer for what comes first: the token's expiry, or the turn that is due (0: none). */
static void live_sleep(struct live_stream *live, uint64_t wake_us) {
    bool is_due = wake_us > 0 && wake_us < live->expires_us;
    timer_start(rpc_call_service(live->call)->timers, &live->timer,
                is_due ? wake_us : live->expires_us);
}

/* Ends all by which it could be woken. */
static void live_stop(struct live_stream *live) {
    struct service *service = rpc_call_service(live->call);
    assert(!live->is_writing);
    store_watch_remove(service->store, &live->watch);
    timer_stop(service->timers, &live->timer);
    rpc_call_unwatch_leave(live->call);
    if (service->watches)
        user_slots_leave(service->watches, &live->slot);
}

/* Ends the stream when there is cause to; true when it is gone. */
static bool live_end_for(struct live_stream *live, unsigned pending) {
    if (!(pending & (LIVE_LOST | LIVE_LEFT | LIVE_DRAIN | LIVE_EXPIRED)))
        return false;
    live_stop(live);
    if (pending & (LIVE_LOST | LIVE_LEFT))
        rpc_call_fail_with(live->call, SYNC_ERR_CANCELLED, "CANCELLED", "The client has left.");
    else if (pending & LIVE_DRAIN)
        rpc_call_fail_with(live->call, SYNC_ERR_UNAVAILABLE, "DRAINING",
                           "The service stops; go on with another from where this stream came.");
    else
        rpc_call_fail_with(live->call, SYNC_ERR_UNAUTHENTICATED, "TOKEN_EXPIRED",
                           "The token has expired; go on with a new one.");
    return true;
}

/* While a message is under way: a client that does not take it is not waited for long. */
static void live_press(struct live_stream *live) {
    struct service *service = rpc_call_service(live->call);
    if (live->is_stopping && (live->pending & LIVE_RANG)) {
        rpc_call_cut(live->call);
    } else if (!live->is_stopping && (live->pending & (LIVE_DRAIN | LIVE_EXPIRED))) {
        live->is_stopping = true;
        timer_start(service->timers, &live->timer,
                    live_now_us(live) + 1000 * (uint64_t)STREAM_END_PATIENCE_MS);
    }
}

/* Does what a turn has come to; false when the stream is gone. */
static bool live_take(struct live_stream *live, const struct live_step *step) {
    switch (step->kind) {
    case LIVE_WAIT:
        if (!live->is_begun) { /* the client learns that the stream stands */
            live->is_begun = live->is_writing = true;
            rpc_stream_begin(live->call, live_written, live);
        }
        return true;
    case LIVE_SEND:
        live->pending |= step->has_more ? LIVE_CHANGED : 0;
        live->is_begun = live->is_writing = true;
        rpc_stream_write(live->call, step->message, live_written, live);
        return true;
    case LIVE_END:
        live_stop(live);
        rpc_stream_end(live->call);
        return false;
    default:
        live_stop(live);
        rpc_call_fail(live->call, &step->error);
        return false;
    }
}

/* One look at what has happened; false when the stream is gone. */
static bool live_look(struct wake *wake, unsigned causes) {
    struct live_stream *live = LIVE_OF(wake, wake);
    live->pending |= causes;
    if ((live->pending & LIVE_RANG) && !live->is_stopping) {
        live->pending &= ~(unsigned)LIVE_RANG;
        live->pending |= live_now_us(live) >= live->expires_us ? LIVE_EXPIRED : LIVE_CHANGED;
    }
    if (live->pending & (LIVE_WRITTEN | LIVE_LOST))
        live->is_writing = false;
    live->pending &= ~(unsigned)LIVE_WRITTEN;
    if (live->is_writing) {
        live_press(live);
        return true;
    }
    if (live_end_for(live, live->pending))
        return false;
    if (!(live->pending & LIVE_CHANGED))
        return true;
    live->pending &= ~(unsigned)LIVE_CHANGED;
    struct arena arena;
    struct live_step step = {.kind = LIVE_WAIT};
    arena_init(&arena, TURN_ARENA_MAX);
    live->turn(live, &arena, &step);
    bool goes_on = live_take(live, &step);
    if (goes_on)
        live_sleep(live, step.wake_us);
    arena_done(&arena);
    return goes_on;
}

void live_stream_start(struct live_stream *live) {
    assert(live->call && live->turn && live->user.size > 0);
    struct service *service = rpc_call_service(live->call);
    const struct identity *identity = rpc_call_identity(live->call);
    live->slot = (struct user_slot){.user = slice_text(identity->user)};
    if (service->watches && !identity->is_service &&
        !user_slots_enter(service->watches, &live->slot)) {
        rpc_call_fail_with(live->call, SYNC_ERR_EXHAUSTED, "WATCHES_FULL",
                           "A user watches with at most %d streams at once.", USER_WATCHES_MAX);
        return;
    }
    live->watch = (struct store_watch){.user = live->user, .changed = live_changed};
    live->timer = (struct timer){.expired = live_rang};
    wake_init(&live->wake, service->pool, live_look);
    store_watch_add(service->store, &live->watch);
    rpc_call_watch_leave(live->call, live_left, live);
    int64_t left_us = identity->expires_us - rpc_call_received_us(live->call);
    live->expires_us = live_now_us(live) + (uint64_t)(left_us > 0 ? left_us : 0);
    live_sleep(live, 0);
    wake_start(&live->wake, LIVE_CHANGED);
}

void live_step_fail(struct live_step *step, enum sync_status status) {
    step->kind = LIVE_FAIL;
    sync_error_of(&step->error, status);
}
