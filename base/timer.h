/* Timer: one thread that calls back when a time has come. Thousands of timers cost nothing while
 * they wait. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/clock.h"
#include "base/status.h"

struct timers;

/* A timer, embedded in what it is for; zeroed but for `expired`, and never moved while started. */
struct timer {
    /* Called on the timers' thread once the time has come; the timer is stopped by then and may be
     * started again, or be gone. It does not block: other timers wait for it. */
    void (*expired)(struct timer *timer);
    /* ---- the timers' own */
    uint64_t due_us;
    struct timer *child, *next, **link; /* a pairing heap; link: NULL when not started */
};

/* Starts the thread. Times are the clock's monotonic microseconds; the clock outlives the timers.
 */
enum sync_status timers_open(const struct clock *clock, struct timers **ret_timers);

/* Ends the thread; no timer is started any more. NULL is allowed; returns NULL. */
struct timers *timers_close(struct timers *timers);

/* Starts a timer, or moves one that waits: `expired` is called once, when the clock's monotonic
 * time is `due_us` or soon after. Takes no memory. Thread-safe. */
void timer_start(struct timers *timers, struct timer *timer, uint64_t due_us);

/* Stops a timer: after the return `expired` is not running and will not be called. It waits for one
 * that is running, so hold no lock that it takes; from within any `expired` it does not wait.
 * A timer that never was started may be stopped. Thread-safe. */
void timer_stop(struct timers *timers, struct timer *timer);

/* Looks at the clock again; for a clock that is set by hand. */
void timers_wake(struct timers *timers);

#endif
