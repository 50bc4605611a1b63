#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "client/stub/call_private.h"
#include "client/stub/details.h"

enum { MS_US = 1000, SECOND_US = 1000000, PUSHBACK_TEXT_MAX = 24 };

/* What the server says of trying again. */
struct retry_hint {
    bool is_refused;
    uint64_t delay_ms; /* at least */
};

static const grpc_metadata *metadata_find(const grpc_metadata_array *array, const char *key) {
    for (size_t i = 0; i < array->count; i++)
        if (grpc_slice_str_cmp(array->metadata[i].key, key) == 0)
            return &array->metadata[i];
    return NULL;
}

/* Reads `grpc-retry-pushback-ms`: what is no number means no, as gRPC has it. */
static struct retry_hint pushback_read(const grpc_slice *value) {
    char text[PUSHBACK_TEXT_MAX];
    size_t size = GRPC_SLICE_LENGTH(*value);
    if (size == 0 || size >= sizeof text)
        return (struct retry_hint){.is_refused = true};
    memcpy(text, GRPC_SLICE_START_PTR(*value), size);
    text[size] = '\0';
    if (text[strspn(text, "0123456789")] != '\0')
        return (struct retry_hint){.is_refused = true};
    return (struct retry_hint){.delay_ms = strtoull(text, NULL, 10)};
}

static struct retry_hint hint_read(const struct stub_call *call) {
    struct retry_hint hint = {false, 0};
    const grpc_metadata *pushback = metadata_find(&call->trailing, "grpc-retry-pushback-ms");
    if (pushback)
        hint = pushback_read(&pushback->value);
    const grpc_metadata *details = metadata_find(&call->trailing, DETAILS_KEY);
    if (details) {
        uint64_t delay_ms = details_retry_ms(
            slice_of(GRPC_SLICE_START_PTR(details->value), GRPC_SLICE_LENGTH(details->value)));
        if (delay_ms > hint.delay_ms)
            hint.delay_ms = delay_ms;
    }
    if (hint.delay_ms > STUB_RETRY_HINT_MAX_MS)
        hint.is_refused = true;
    return hint;
}

/* Random in [0, what the policy allows after so many attempts]. */
static uint64_t jitter_us(const struct stub_retry *retry, unsigned attempts) {
    double most_us = (double)retry->backoff_ms * MS_US;
    double cap_us = (double)retry->backoff_max_ms * MS_US;
    for (unsigned i = 1; i < attempts && most_us < cap_us; i++)
        most_us *= retry->multiplier;
    if (most_us > cap_us)
        most_us = cap_us;
    uint64_t random;
    random_system()->fill(random_system()->context, (uint8_t *)&random, sizeof random);
    return random % ((uint64_t)most_us + 1);
}

static bool code_is_among(const struct stub_retry *retry, enum stub_code code) {
    for (int i = 0; i < STUB_RETRY_CODES_MAX && retry->codes[i] != STUB_OK; i++)
        if (retry->codes[i] == code)
            return true;
    return false;
}

bool retry_is_due(struct stub_call *call) {
    const struct stub_retry *retry = &call->channel->retry;
    if (!call->may_retry || call_has_fault(call) || call->attempts >= retry->attempts_max ||
        !code_is_among(retry, (enum stub_code)call->code))
        return false;
    struct retry_hint hint = hint_read(call);
    if (hint.is_refused)
        return false;
    uint64_t wait_us = jitter_us(retry, call->attempts);
    if (wait_us < hint.delay_ms * MS_US)
        wait_us = hint.delay_ms * MS_US;
    uint64_t at_us = clock_monotonic_us(clock_system()) + wait_us;
    if (at_us >= call->deadline_us)
        return false;
    pthread_mutex_lock(&call->lock);
    bool is_cancelled = call->is_cancelled;
    if (!is_cancelled)
        call->phase = PHASE_WAITING;
    pthread_mutex_unlock(&call->lock);
    call->retry_us = at_us;
    return !is_cancelled;
}

bool retry_wait(struct stub_call *call) {
    struct timespec until = {.tv_sec = (time_t)(call->retry_us / SECOND_US),
                             .tv_nsec = (long)(call->retry_us % SECOND_US * 1000)};
    pthread_mutex_lock(&call->lock);
    int waited = 0;
    while (!call->is_cancelled && waited == 0)
        waited = pthread_cond_timedwait(&call->cancelled, &call->lock, &until);
    bool is_cancelled = call->is_cancelled;
    pthread_mutex_unlock(&call->lock);
    if (is_cancelled)
        call_fault(call, STUB_CANCELLED, "The call was cancelled between two attempts.");
    return !is_cancelled;
}
