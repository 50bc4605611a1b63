/* Hybrid logical clock (Kulkarni et al., 2014), reduced to one number: corrected time in
 * microseconds that grows for a user, but for one case: it does not run away from the server's
 * clock for ever. Pure. */
#ifndef SERVICE_CORE_HYBRID_CLOCK_H
#define SERVICE_CORE_HYBRID_CLOCK_H

#include <stdint.h>

/* How far a time of ours may lie ahead of the server's clock: what NTP, or another server's clock,
 * may make of it. One that lies further ahead was given out while a clock ran wrong. */
#define HYBRID_CLOCK_AHEAD_MAX_US INT64_C(3600000000)

/* Corrects a device's time by its measured offset (device minus server) and clamps it between 0 and
 * `now_us`. */
int64_t hybrid_clock_correct(int64_t device_us, int64_t offset_us, int64_t now_us);

/* The device's time at a time of ours, by its measured offset. */
int64_t hybrid_clock_at_device(int64_t time_us, int64_t offset_us);

/* The next commit time after `last_us`: now, or one microsecond more than the last. When the last
 * lies ahead by more than HYBRID_CLOCK_AHEAD_MAX_US, it is now all the same: the clock is right
 * again. */
int64_t hybrid_clock_next(int64_t last_us, int64_t now_us);

/* What a time of ours, as stored, is worth: itself, or 0 (before all others) when it lies ahead by
 * more than HYBRID_CLOCK_AHEAD_MAX_US. */
int64_t hybrid_clock_believe(int64_t stored_us, int64_t now_us);

/* The offset (device minus server) that an exchange shows; 0 when `sent_us` is 0. Offsets of less
 * than `tolerance_us` count as 0, being the network's. */
int64_t hybrid_clock_offset(int64_t sent_us, int64_t received_us, int64_t tolerance_us);

#endif
