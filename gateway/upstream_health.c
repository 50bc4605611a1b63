#include <assert.h>
#include <stddef.h>

#include "base/wire.h"
#include "gateway/grpc_status.h"
#include "gateway/upstream_backend.h"

enum { CHECK_ARENA_MAX = 64 << 10, CHECK_ANSWER_MAX = 1024 };

static struct upstream_slot *slot_of_call(struct upstream_call *call) {
    return (struct upstream_slot *)((char *)call - offsetof(struct upstream_slot, check.call));
}

/* HealthCheckResponse.status is field 1, SERVING is 1. */
bool upstream_health_is_serving(struct slice message) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    bool serving = false;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == 1 && field.type == WIRE_VARINT)
            serving = field.bits == 1;
    }
    return serving;
}

static void check_later(struct upstream_slot *slot) {
    const struct upstream_options *options = &slot->backend->pool->options;
    loop_timer_set(options->loop, &slot->check.timer, options->policy->health_interval_us);
}

/* Counts a verdict; the first decides at once. */
static void backend_judge(struct upstream_backend *backend, bool passed) {
    const struct upstream_policy *policy = backend->pool->options.policy;
    if (passed) {
        backend->passes++;
        backend->failures = 0;
        if (!backend->judged || backend->passes >= policy->health_rise)
            backend->serving = true;
    } else {
        backend->failures++;
        backend->passes = 0;
        metric_add(backend->series.check_failures, 1);
        if (!backend->judged || backend->failures >= policy->health_fall)
            backend->serving = false;
    }
    backend->judged = true;
    upstream_backend_update(backend);
}

static void check_message(struct upstream_call *call, struct slice message) {
    slot_of_call(call)->check.serving = upstream_health_is_serving(message);
}

static void check_done(struct upstream_call *call, const struct upstream_result *result) {
    struct upstream_slot *slot = slot_of_call(call);
    /* A lost connection tells of itself; where it was made, another check follows. */
    if (!upstream_slot_is_up(slot))
        return;
    slot->check.silences = 0;
    check_later(slot);
    /* Who does not have the service has no more to say than that he is there. */
    backend_judge(slot->backend, result->code == GRPC_UNIMPLEMENTED ||
                                     (result->code == GRPC_OK && slot->check.serving));
}

static void check_send(struct upstream_slot *slot) {
    static const struct upstream_call_events events = {.message = check_message,
                                                       .done = check_done};
    static const uint8_t prefix[GRPC_PREFIX_SIZE]; /* of an empty HealthCheckRequest */
    const struct upstream_options *options = &slot->backend->pool->options;
    struct upstream_check *check = &slot->check;
    if (upstream_session_is_full(slot->session)) { /* it would wait behind the calls that are */
        check_later(slot);
        return;
    }
    arena_reset(&check->arena);
    check->serving = false;
    check->sent_us = loop_now_us(options->loop);
    check->call = (struct upstream_call){.events = &events,
                                         .arena = &check->arena,
                                         .path = SLICE("/grpc.health.v1.Health/Check"),
                                         .request = slice_of(prefix, sizeof(prefix)),
                                         .timeout_us = options->policy->health_timeout_us,
                                         .response_max = CHECK_ANSWER_MAX};
    if (upstream_session_start(slot->session, &check->call) == SYNC_OK)
        loop_timer_set(options->loop, &check->timer, options->policy->health_timeout_us);
    else
        check_later(slot);
}

/* No answer in time: the backend is stopped, stuck, or gone without a word. One that sends other
 * things meanwhile is only slow. */
static void check_missed(struct upstream_slot *slot) {
    const struct upstream_policy *policy = slot->backend->pool->options.policy;
    upstream_call_cancel(&slot->check.call);
    if (upstream_session_heard_us(slot->session) > slot->check.sent_us) {
        slot->check.silences = 0;
        check_later(slot);
        return;
    }
    slot->check.silences++;
    metric_add(slot->backend->series.check_failures, 1);
    if (slot->check.silences < policy->health_fall)
        check_send(slot);
    else
        upstream_slot_drain(slot, policy->silence_max_us);
    upstream_backend_update(slot->backend);
}

static void check_timer_fired(struct loop_timer *timer) {
    struct upstream_slot *slot =
        (struct upstream_slot *)((char *)timer - offsetof(struct upstream_slot, check.timer));
    if (upstream_call_is_active(&slot->check.call))
        check_missed(slot);
    else
        check_send(slot);
}

void upstream_check_begin(struct upstream_slot *slot) {
    assert(upstream_slot_is_up(slot));
    slot->check.silences = 0;
    if (slot->backend->pool->options.policy->health_interval_us == 0)
        return;
    slot->check.timer.fire = check_timer_fired;
    arena_init(&slot->check.arena, CHECK_ARENA_MAX);
    check_send(slot);
}

void upstream_check_end(struct upstream_slot *slot) {
    loop_timer_clear(&slot->check.timer);
    upstream_call_cancel(&slot->check.call);
    arena_done(&slot->check.arena);
}
