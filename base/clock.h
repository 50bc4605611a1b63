/* Clock: time as an argument. The rim hands a clock to whoever needs one; tests and the simulation
 * hand their own. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* A source of time. Both functions are thread-safe. */
struct clock {
    uint64_t (*now_us)(void *context);       /* microseconds since 1970-01-01T00:00:00Z; may jump */
    uint64_t (*monotonic_us)(void *context); /* microseconds since some start; never goes back */
    void *context;
};

/* The system's clocks. Static, stateless. */
const struct clock *clock_system(void);

/* Wall time in microseconds since 1970. */
static inline uint64_t clock_now_us(const struct clock *clock) {
    return clock->now_us(clock->context);
}

/* Microseconds since some moment; never goes back. */
static inline uint64_t clock_monotonic_us(const struct clock *clock) {
    return clock->monotonic_us(clock->context);
}

enum { TIME_TEXT_MAX = 32 };

/* Writes RFC 3339 in UTC with 0, 3 or 6 fraction digits, such as 2026-11-22T20:16:51.250Z,
 * NUL-terminated; returns the length. `time_us` is below the year 10000. */
size_t time_format(int64_t time_us, char text[TIME_TEXT_MAX]);

/* Reads an ISO 8601 / RFC 3339 time: date, 'T' (or 't' or space), time with optional fraction (up
 * to 9 digits, cut to microseconds), zone 'Z' or ±hh:mm (±hhmm and ±hh too); a date alone, or a
 * time without a zone, counts as UTC. Years 0001–9999, calendar checked, leap second 60 read
 * as 59.999999. False when it is none. */
bool time_parse(struct slice text, int64_t *ret_time_us);

#endif
