/* Health.Watch: the state as it is, and again after each change, until a side leaves. The store has
 * nothing to tell of its health, so each watch looks for itself now and then. */
#include <stddef.h>

#include "base/limits.h"
#include "grpc/health/v1/health.pb-c.h"
#include "service/rpc/health.h"
#include "service/rpc/wake.h"

/* Causes. */
enum {
    HEALTH_RANG = WAKE_CAUSE_FIRST,
    HEALTH_WRITTEN = HEALTH_RANG << 1,
    HEALTH_LOST = HEALTH_RANG << 2, /* a write failed */
    HEALTH_LEFT = HEALTH_RANG << 3,
    HEALTH_DRAIN = HEALTH_RANG << 4,
};

enum { LOOK_EVERY_US = 500000 };

/* A watch; in the call's arena. */
struct health_watch {
    struct wake wake; /* first: found from it */
    struct rpc_call *call;
    struct timer timer;
    const char *name; /* whose health; in the call's arena as well */
    bool is_writing;
    int told; /* the state that the client has; -1: none */
    unsigned pending;
    uint64_t cut_us; /* while it drains: who has not taken the last message by then is cut off */
};

static void watch_rang(struct timer *timer) {
    struct health_watch *watch =
        (struct health_watch *)((char *)timer - offsetof(struct health_watch, timer));
    wake_up(&watch->wake, HEALTH_RANG);
}

static void watch_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    (void)call;
    wake_up(&((struct health_watch *)context)->wake,
            cause == RPC_LEAVE_DRAIN ? HEALTH_DRAIN : HEALTH_LEFT);
}

static void watch_written(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    wake_up(&((struct health_watch *)context)->wake, ok ? HEALTH_WRITTEN : HEALTH_LOST);
}

/* Ends the call, and the watch with it. */
static bool watch_end(struct health_watch *watch, enum sync_status status, const char *reason,
                      const char *text) {
    struct service *service = rpc_call_service(watch->call);
    timer_stop(service->timers, &watch->timer);
    rpc_call_unwatch_leave(watch->call);
    atomic_fetch_sub(&service->health->watches, 1);
    rpc_call_fail_with(watch->call, status, reason, "%s", text);
    return false;
}

static void watch_tell(struct health_watch *watch, int state) {
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state;
    watch->told = state;
    watch->is_writing = true;
    rpc_stream_write_message(watch->call, &answer.base, watch_written, watch);
}

/* One look; false when the watch is gone. */
static bool watch_look(struct wake *wake, unsigned causes) {
    struct health_watch *watch = (struct health_watch *)wake;
    struct service *service = rpc_call_service(watch->call);
    watch->pending |= causes & (HEALTH_LOST | HEALTH_LEFT | HEALTH_DRAIN);
    if (causes & (HEALTH_WRITTEN | HEALTH_LOST))
        watch->is_writing = false;
    int state = health_state(service, watch->name);
    uint64_t now_us = clock_monotonic_us(service->clock);
    if (causes & HEALTH_DRAIN)
        watch->cut_us = now_us + 1000 * (uint64_t)STREAM_END_PATIENCE_MS;
    if (watch->is_writing) {
        if ((watch->pending & HEALTH_DRAIN) && now_us >= watch->cut_us)
            rpc_call_cut(watch->call);
    } else if (watch->pending & (HEALTH_LOST | HEALTH_LEFT)) {
        return watch_end(watch, SYNC_ERR_CANCELLED, "CANCELLED", "The client has left.");
    } else if (state != watch->told) {
        watch_tell(watch, state);
    } else if (watch->pending & HEALTH_DRAIN) {
        return watch_end(watch, SYNC_ERR_UNAVAILABLE, "DRAINING", "The service stops.");
    }
    timer_start(service->timers, &watch->timer, now_us + LOOK_EVERY_US);
    return true;
}

void health_watch_handle(struct rpc_call *call) {
    struct service *service = rpc_call_service(call);
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const void *)rpc_call_unpack(call, &grpc__health__v1__health_check_request__descriptor);
    if (!request)
        return;
    struct health_watch *watch = arena_zalloc(rpc_call_arena(call), 1, sizeof *watch);
    if (!watch) {
        rpc_call_fail_with(call, SYNC_ERR_NO_MEMORY, "NO_MEMORY", "no memory for the watch");
        return;
    }
    if (atomic_fetch_add(&service->health->watches, 1) >= HEALTH_WATCHES_MAX) {
        atomic_fetch_sub(&service->health->watches, 1);
        rpc_call_fail_with(call, SYNC_ERR_EXHAUSTED, "WATCHES_FULL",
                           "The health is watched by %d already.", HEALTH_WATCHES_MAX);
        return;
    }
    watch->call = call;
    watch->timer.expired = watch_rang;
    watch->name = request->service;
    watch->told = -1;
    wake_init(&watch->wake, service->pool, watch_look);
    rpc_call_watch_leave(call, watch_left, watch);
    wake_start(&watch->wake, 0);
}
