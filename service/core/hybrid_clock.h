/* Hybrid logical clock (Kulkarni et al., 2014), reduced to one number: corrected time in
 * microseconds that never goes back for a user. Pure. */
#ifndef SERVICE_CORE_HYBRID_CLOCK_H
#define SERVICE_CORE_HYBRID_CLOCK_H

#include <stdint.h>

/* Corrects a device's time by its measured offset (device minus server) and clamps it to `now_us`
 * when it lies ahead. */
int64_t hybrid_clock_correct(int64_t device_us, int64_t offset_us, int64_t now_us);

/* The next commit time after `last_us`: now, or one microsecond more than the last. */
int64_t hybrid_clock_next(int64_t last_us, int64_t now_us);

/* The offset (device minus server) that an exchange shows; 0 when `sent_us` is 0. Offsets of less
 * than `tolerance_us` count as 0, being the network's. */
int64_t hybrid_clock_offset(int64_t sent_us, int64_t received_us, int64_t tolerance_us);

#endif
