#include "gateway/upstream_breaker.h"

#include <assert.h>

enum { DOUBLINGS_MAX = 16 };

enum upstream_breaker_state upstream_breaker_look(struct upstream_breaker *breaker,
                                                  uint64_t now_us) {
    if (breaker->state == UPSTREAM_BREAKER_OPEN && now_us >= breaker->open_until_us) {
        breaker->state = UPSTREAM_BREAKER_HALF_OPEN;
        breaker->probing = false;
    }
    return breaker->state;
}

/* A probe that takes long, such as a stream, does not hold up the next. */
static bool probe_is_free(const struct upstream_breaker *breaker,
                          const struct upstream_breaker_options *options, uint64_t now_us) {
    return !breaker->probing || now_us - breaker->probe_begun_us >= options->open_us;
}

bool upstream_breaker_admits(struct upstream_breaker *breaker,
                             const struct upstream_breaker_options *options, uint64_t now_us) {
    switch (upstream_breaker_look(breaker, now_us)) {
    case UPSTREAM_BREAKER_CLOSED:
        return true;
    case UPSTREAM_BREAKER_HALF_OPEN:
        return probe_is_free(breaker, options, now_us);
    default:
        return false;
    }
}

bool upstream_breaker_begin(struct upstream_breaker *breaker,
                            const struct upstream_breaker_options *options, uint64_t now_us) {
    if (upstream_breaker_look(breaker, now_us) != UPSTREAM_BREAKER_HALF_OPEN ||
        !probe_is_free(breaker, options, now_us))
        return false;
    breaker->probing = true;
    breaker->probe_begun_us = now_us;
    return true;
}

static void breaker_open(struct upstream_breaker *breaker,
                         const struct upstream_breaker_options *options, uint64_t now_us) {
    uint64_t open_us = options->open_us << breaker->openings;
    if (open_us > options->open_max_us)
        open_us = options->open_max_us;
    if (breaker->openings < DOUBLINGS_MAX)
        breaker->openings++;
    breaker->state = UPSTREAM_BREAKER_OPEN;
    breaker->open_until_us = now_us + open_us;
}

static void breaker_close(struct upstream_breaker *breaker, uint64_t now_us) {
    *breaker = (struct upstream_breaker){.openings = breaker->openings, .half_begun_us = now_us};
}

/* Moves the window on: it is two halves, of which the older is forgotten at a time. */
static void breaker_move_window(struct upstream_breaker *breaker,
                                const struct upstream_breaker_options *options, uint64_t now_us) {
    uint64_t half_us = options->window_us / 2, passed_us = now_us - breaker->half_begun_us;
    if (passed_us < half_us)
        return;
    bool both = passed_us >= 2 * half_us;
    breaker->calls_before = both ? 0 : breaker->calls;
    breaker->failures_before = both ? 0 : breaker->failures;
    if (breaker->failures == 0)
        breaker->openings = 0;
    breaker->calls = breaker->failures = 0;
    breaker->half_begun_us = now_us;
}

static bool breaker_is_too_much(const struct upstream_breaker *breaker,
                                const struct upstream_breaker_options *options) {
    unsigned calls = breaker->calls + breaker->calls_before;
    uint64_t failures = (uint64_t)breaker->failures + breaker->failures_before;
    return breaker->failures_in_row >= options->failures_max ||
           (calls >= options->window_calls_min &&
            failures * 100 >= (uint64_t)calls * options->failures_percent);
}

void upstream_breaker_hear(struct upstream_breaker *breaker, unsigned failures_in_row) {
    if (breaker->failures_in_row < failures_in_row)
        breaker->failures_in_row = failures_in_row;
}

bool upstream_breaker_end(struct upstream_breaker *breaker,
                          const struct upstream_breaker_options *options, bool probe,
                          enum upstream_outcome outcome, uint64_t now_us) {
    if (options->failures_max == 0)
        return false;
    if (upstream_breaker_look(breaker, now_us) != UPSTREAM_BREAKER_CLOSED) {
        /* Calls from before it opened, or sent for want of a better backend, tell nothing new. */
        if (!probe || breaker->state == UPSTREAM_BREAKER_OPEN)
            return false;
        breaker->probing = false;
        if (outcome == UPSTREAM_OUTCOME_SUCCESS)
            breaker_close(breaker, now_us);
        else if (outcome == UPSTREAM_OUTCOME_FAILURE)
            breaker_open(breaker, options, now_us);
        return breaker->state == UPSTREAM_BREAKER_OPEN;
    }
    if (outcome == UPSTREAM_OUTCOME_NONE)
        return false;
    breaker_move_window(breaker, options, now_us);
    breaker->calls++;
    if (outcome == UPSTREAM_OUTCOME_SUCCESS) {
        breaker->failures_in_row = 0;
        return false;
    }
    breaker->failures++;
    breaker->failures_in_row++;
    if (!breaker_is_too_much(breaker, options))
        return false;
    breaker_open(breaker, options, now_us);
    return true;
}
