/* Retention clock: whether the clock may be believed before what it calls old is removed. A clock
 * that leaps ahead by years, and is set right an hour later, would have everything removed at once.
 * Pure. */
#ifndef SERVICE_RPC_RETENTION_CLOCK_H
#define SERVICE_RPC_RETENTION_CLOCK_H

#include "base/arena.h"

enum {
    RETENTION_LEAP_S = 24 * 3600, /* a step of more than this is a leap: a nightly stop is none */
    RETENTION_HOLD_S = 24 * 3600, /* so long after a leap nothing is removed */
    RETENTION_KEEP_S = 600,       /* stored at least so often: less than a leap */
};

/* Zero: nothing is known. */
struct retention_clock {
    int64_t last_us; /* the time of the latest step */
    int64_t held_us; /* when the latest leap was seen, by the clock after it; 0: none holds */
};

/* Takes a step's time; tells whether what is old by it may be removed. */
bool retention_clock_step(struct retention_clock *clock, int64_t now_us);

/* As a value, in the arena, and back. False without memory, or when it does not parse. */
bool retention_clock_pack(const struct retention_clock *clock, struct arena *arena,
                          struct slice *ret_value);
bool retention_clock_unpack(struct slice value, struct retention_clock *ret_clock);

#endif
