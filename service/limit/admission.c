#include "service/limit/admission.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"

enum {
    JITTER_SEED = 0x61646d,
    RETRY_MIN_US = 1000000, /* nobody is told to come back sooner */
    FULL_MIN_US = 15000000, /* a full service empties slowly */
    SLOTS_PERCENT = 80,     /* of the pace, for who waits; the rest is for who comes new */
};

static const double SECOND_US = 1e6;

struct admission {
    struct admission_options options;
    double slot_us;       /* between two slots */
    pthread_mutex_t lock; /* guards all below */
    double tokens;
    uint64_t filled_us;    /* when `tokens` held */
    uint64_t next_slot_us; /* slots before it are given out */
    struct admission_counts counts;
};

/* A pace below one a second still lets one in. */
static double tokens_max(const struct admission *admission) {
    double rate = admission->options.opens_per_second;
    return rate > 1 ? rate : 1;
}

enum sync_status admission_open(const struct admission_options *options,
                                struct admission **ret_admission) {
    assert(options->streams_max > 0 && options->opening_max > 0);
    assert(options->opens_per_second > 0);
    struct admission *admission = memory_zalloc(1, sizeof *admission);
    if (!admission)
        return SYNC_ERR_NO_MEMORY;
    admission->options = *options;
    admission->slot_us = SECOND_US / options->opens_per_second * 100 / SLOTS_PERCENT;
    admission->tokens = tokens_max(admission);
    pthread_mutex_init(&admission->lock, NULL);
    *ret_admission = admission;
    return SYNC_OK;
}

struct admission *admission_close(struct admission *admission) {
    if (!admission)
        return NULL;
    pthread_mutex_destroy(&admission->lock);
    memory_free(admission);
    return NULL;
}

/* A share of `span_us` that is the caller's own. */
static uint64_t jitter_us(struct slice who, uint64_t span_us) {
    return span_us > 0 ? slice_hash(who, JITTER_SEED) % span_us : 0;
}

/* Gives out the next slot; under the lock. Where the queue is longer than the latest slot, the rest
 * share its second half. */
static struct admission_decision refuse(struct admission *admission, const char *reason,
                                        uint64_t least_us, struct slice who, uint64_t now_us) {
    uint64_t first_us = now_us + least_us;
    if (admission->next_slot_us < first_us)
        admission->next_slot_us = first_us;
    uint64_t slot_us = (uint64_t)admission->slot_us;
    uint64_t after_us = admission->next_slot_us - now_us + jitter_us(who, slot_us);
    if (after_us <= ADMISSION_RETRY_MAX_US)
        admission->next_slot_us += slot_us > 0 ? slot_us : 1;
    else
        after_us = ADMISSION_RETRY_MAX_US / 2 + jitter_us(who, ADMISSION_RETRY_MAX_US / 2);
    admission->counts.refused++;
    return (struct admission_decision){.reason = reason, .retry_after_us = after_us};
}

struct admission_decision admission_enter(struct admission *admission, struct slice who,
                                          uint64_t now_us) {
    struct admission_decision decision = {.admitted = true};
    pthread_mutex_lock(&admission->lock);
    if (admission->counts.open >= admission->options.streams_max)
        decision = refuse(admission, "STREAMS_FULL", FULL_MIN_US, who, now_us);
    else
        admission->counts.open++;
    pthread_mutex_unlock(&admission->lock);
    return decision;
}

static void refill(struct admission *admission, uint64_t now_us) {
    if (now_us <= admission->filled_us)
        return;
    double seconds = (double)(now_us - admission->filled_us) / SECOND_US;
    double tokens = admission->tokens + seconds * admission->options.opens_per_second;
    double most = tokens_max(admission);
    admission->tokens = tokens < most ? tokens : most;
    admission->filled_us = now_us;
}

struct admission_decision admission_begin(struct admission *admission, struct slice who,
                                          uint64_t now_us) {
    struct admission_decision decision = {.admitted = true};
    pthread_mutex_lock(&admission->lock);
    refill(admission, now_us);
    if (admission->counts.opening >= admission->options.opening_max || admission->tokens < 1) {
        decision = refuse(admission, "STREAMS_OPENING", RETRY_MIN_US, who, now_us);
    } else {
        admission->counts.opening++;
        admission->tokens -= 1;
    }
    pthread_mutex_unlock(&admission->lock);
    return decision;
}

void admission_complete(struct admission *admission) {
    pthread_mutex_lock(&admission->lock);
    assert(admission->counts.opening > 0);
    admission->counts.opening--;
    pthread_mutex_unlock(&admission->lock);
}

void admission_leave(struct admission *admission) {
    pthread_mutex_lock(&admission->lock);
    assert(admission->counts.open > 0);
    admission->counts.open--;
    pthread_mutex_unlock(&admission->lock);
}

uint64_t admission_drain_slot(const struct admission *admission, uint32_t index, uint32_t count,
                              struct slice who) {
    double window_us = admission->slot_us * count;
    if (window_us > ADMISSION_RETRY_MAX_US - RETRY_MIN_US)
        window_us = ADMISSION_RETRY_MAX_US - RETRY_MIN_US;
    double step_us = count > 0 ? window_us / count : 0;
    uint32_t place = index < count ? index : 0;
    return RETRY_MIN_US + (uint64_t)(step_us * place) + jitter_us(who, (uint64_t)step_us);
}

struct admission_counts admission_look(struct admission *admission) {
    pthread_mutex_lock(&admission->lock);
    struct admission_counts counts = admission->counts;
    pthread_mutex_unlock(&admission->lock);
    return counts;
}
