#include <assert.h>

#include "base/clock.h"
#include "base/memory.h"
#include "client/stub/call_private.h"

enum { MS_US = 1000 };

enum stub_code stub_loop_open(struct stub_loop **ret_loop) {
    struct stub_loop *loop = memory_zalloc(1, sizeof *loop);
    if (!loop)
        return STUB_RESOURCE_EXHAUSTED;
    grpc_init();
    loop->queue = grpc_completion_queue_create_for_next(NULL);
    /* The library gives no way to put an event of one's own into a queue but this: a batch without
     * operations comes out at once. It needs a call; one that leads nowhere does. */
    loop->nowhere = grpc_lame_client_channel_create("nowhere", GRPC_STATUS_UNAVAILABLE, "");
    loop->poster = grpc_channel_create_call(loop->nowhere, NULL, 0, loop->queue,
                                            grpc_slice_from_static_string("/"), NULL,
                                            time_of_us(UINT64_MAX), NULL);
    pthread_mutex_init(&loop->lock, NULL);
    pthread_mutex_init(&loop->post_lock, NULL);
    *ret_loop = loop;
    return STUB_OK;
}

void loop_post(struct stub_loop *loop, struct stub_tag *tag) {
    pthread_mutex_lock(&loop->post_lock);
    grpc_call_error error = grpc_call_start_batch(loop->poster, NULL, 0, tag, NULL);
    pthread_mutex_unlock(&loop->post_lock);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

void stub_loop_wake(struct stub_loop *loop) {
    if (!atomic_exchange(&loop->is_wake_due, true))
        loop_post(loop, &loop->wake);
}

void loop_add(struct stub_loop *loop, struct stub_call *call) {
    pthread_mutex_lock(&loop->lock);
    call->is_listed = true;
    call->next_in_loop = loop->calls;
    if (loop->calls)
        loop->calls->previous_in_loop = call;
    loop->calls = call;
    pthread_mutex_unlock(&loop->lock);
}

void loop_remove(struct stub_loop *loop, struct stub_call *call) {
    pthread_mutex_lock(&loop->lock);
    assert(call->is_listed);
    call->is_listed = false;
    if (call->previous_in_loop)
        call->previous_in_loop->next_in_loop = call->next_in_loop;
    else
        loop->calls = call->next_in_loop;
    if (call->next_in_loop)
        call->next_in_loop->previous_in_loop = call->previous_in_loop;
    pthread_mutex_unlock(&loop->lock);
}

void loop_wait_add(struct stub_loop *loop, struct stub_call *call) {
    struct stub_call **at = &loop->waiting;
    while (*at && (*at)->retry_us <= call->retry_us)
        at = &(*at)->next_waiting;
    call->next_waiting = *at;
    *at = call;
}

void loop_wait_remove(struct stub_loop *loop, struct stub_call *call) {
    struct stub_call **at = &loop->waiting;
    while (*at && *at != call)
        at = &(*at)->next_waiting;
    assert(*at);
    *at = call->next_waiting;
    call->next_waiting = NULL;
}

/* Waits for an event; what its starter wrote can be read after it. */
static grpc_event loop_next(struct stub_loop *loop, gpr_timespec until) {
    grpc_event event = grpc_completion_queue_next(loop->queue, until, NULL);
    (void)atomic_load_explicit(&loop->announced, memory_order_acquire);
    return event;
}

/* Begins the next attempt of the call that has waited longest, if its time has come. */
static bool loop_retry(struct stub_loop *loop) {
    struct stub_call *call = loop->waiting;
    if (!call || call->retry_us > clock_monotonic_us(clock_system()))
        return false;
    loop_wait_remove(loop, call);
    if (call->is_stream)
        stream_retry(call);
    else
        unary_retry(call);
    return true;
}

/* Gives an event to its call, whose reference it holds. */
static void loop_dispatch(const struct stub_tag *tag, bool ok) {
    struct stub_call *call = tag->call;
    if (tag->event == EVENT_POSTED)
        atomic_store(&call->is_posted, false);
    if (call->is_stream)
        stream_event(call, tag->event, ok);
    else
        unary_event(call, tag->event);
    call_drop(call);
}

/* When a run of `timeout_ms` is to return at the latest, for its caller or for a retry. */
static gpr_timespec loop_until(const struct stub_loop *loop, uint64_t end_us) {
    if (loop->waiting && loop->waiting->retry_us < end_us)
        end_us = loop->waiting->retry_us;
    return time_of_us(end_us);
}

/* As stub_loop_run_once, until the time `end_us`. */
static bool loop_run(struct stub_loop *loop, uint64_t end_us) {
    for (;;) {
        if (loop_retry(loop))
            return true;
        grpc_event event = loop_next(loop, loop_until(loop, end_us));
        if (event.type == GRPC_OP_COMPLETE) {
            const struct stub_tag *tag = event.tag;
            if (tag->call) {
                loop_dispatch(tag, event.success);
                return true;
            }
            (void)atomic_exchange(&loop->is_wake_due, false); /* orders as a lock would */
            return false;
        }
        assert(event.type == GRPC_QUEUE_TIMEOUT);
        if (clock_monotonic_us(clock_system()) >= end_us)
            return loop_retry(loop);
    }
}

bool stub_loop_run_once(struct stub_loop *loop, uint64_t timeout_ms) {
    assert(!loop->is_running);
    uint64_t now_us = clock_monotonic_us(clock_system());
    uint64_t end_us =
        timeout_ms < (UINT64_MAX - now_us) / MS_US ? now_us + timeout_ms * MS_US : UINT64_MAX;
    loop->is_running = true;
    bool has_run = loop_run(loop, end_us);
    loop->is_running = false;
    return has_run;
}

/* Cancels what is under way. */
static void loop_cancel(struct stub_loop *loop) {
    pthread_mutex_lock(&loop->lock);
    for (struct stub_call *call = loop->calls; call; call = call->next_in_loop) {
        assert(!call->is_stream || call->is_closed);
        stub_call_cancel(call);
    }
    pthread_mutex_unlock(&loop->lock);
}

static bool loop_has_calls(struct stub_loop *loop) {
    pthread_mutex_lock(&loop->lock);
    bool has_calls = loop->calls;
    pthread_mutex_unlock(&loop->lock);
    return has_calls;
}

struct stub_loop *stub_loop_close(struct stub_loop *loop) {
    if (!loop)
        return NULL;
    loop->is_closing = true;
    loop_cancel(loop);
    while (loop_has_calls(loop))
        stub_loop_run_once(loop, UINT64_MAX);
    grpc_call_unref(loop->poster);
    grpc_channel_destroy(loop->nowhere);
    grpc_completion_queue_shutdown(loop->queue);
    for (;;) {
        grpc_event event = loop_next(loop, time_of_us(UINT64_MAX));
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            break;
        const struct stub_tag *tag = event.tag;
        if (tag->call)
            loop_dispatch(tag, event.success);
    }
    grpc_completion_queue_destroy(loop->queue);
    grpc_shutdown();
    pthread_mutex_destroy(&loop->lock);
    pthread_mutex_destroy(&loop->post_lock);
    memory_free(loop);
    return NULL;
}
