/* Upstream breaker: tells when so many calls to a backend fail that it is better left alone.
 *
 * Closed, calls pass. Open, they should go elsewhere. Half-open, after a time, one call at a time
 * is let through as a probe: its success closes, its failure opens again for twice as long. Pure:
 * time is passed in, microseconds that never go back. In its user's memory; one thread. */
#ifndef GATEWAY_UPSTREAM_BREAKER_H
#define GATEWAY_UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum upstream_breaker_state {
    UPSTREAM_BREAKER_CLOSED,    /* next: OPEN */
    UPSTREAM_BREAKER_OPEN,      /* next: HALF_OPEN, by time alone */
    UPSTREAM_BREAKER_HALF_OPEN, /* next: CLOSED, OPEN */
};

/* How a call went, as far as it tells of the backend. */
enum upstream_outcome {
    UPSTREAM_OUTCOME_NONE, /* nothing: its client went away */
    UPSTREAM_OUTCOME_SUCCESS,
    UPSTREAM_OUTCOME_FAILURE,
};

struct upstream_breaker_options {
    unsigned failures_max;     /* failures in a row that open; 0: the breaker never opens */
    unsigned failures_percent; /* of a window's calls that open, */
    unsigned window_calls_min; /* where it has so many */
    uint64_t window_us;
    uint64_t open_us;     /* open for so long at first, */
    uint64_t open_max_us; /* at most so long later */
};

/* Zeroed memory is a closed breaker. */
struct upstream_breaker {
    enum upstream_breaker_state state;
    unsigned failures_in_row;
    unsigned calls, failures;               /* of the running half of the window */
    unsigned calls_before, failures_before; /* of the half before */
    uint64_t half_begun_us;
    uint64_t open_until_us;
    unsigned openings; /* without a quiet half of a window between */
    bool probing;
    uint64_t probe_begun_us;
};

/* The state now: an open breaker becomes half-open when its time is up. */
enum upstream_breaker_state upstream_breaker_look(struct upstream_breaker *breaker,
                                                  uint64_t now_us);

/* Tells whether a call should be sent: closed, or half-open and no probe is under way. */
bool upstream_breaker_admits(struct upstream_breaker *breaker,
                             const struct upstream_breaker_options *options, uint64_t now_us);

/* A call is sent, admitted or not. Tells whether it is the probe. */
bool upstream_breaker_begin(struct upstream_breaker *breaker,
                            const struct upstream_breaker_options *options, uint64_t now_us);

/* Breakers for the same backend have seen so many failures in a row together, before the next call
 * that is told. */
void upstream_breaker_hear(struct upstream_breaker *breaker, unsigned failures_in_row);

/* The call is over. `probe` is what upstream_breaker_begin told of it. Tells whether the breaker
 * has opened by it. */
bool upstream_breaker_end(struct upstream_breaker *breaker,
                          const struct upstream_breaker_options *options, bool probe,
                          enum upstream_outcome outcome, uint64_t now_us);

#endif
