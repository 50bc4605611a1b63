#include "service/core/hybrid_clock.h"

#include <assert.h>
#include <stdbool.h>

int64_t hybrid_clock_correct(int64_t device_us, int64_t offset_us, int64_t now_us) {
    int64_t corrected;
    if (__builtin_sub_overflow(device_us, offset_us, &corrected))
        corrected = offset_us < 0 ? INT64_MAX : INT64_MIN;
    if (corrected < 0)
        corrected = 0;
    return corrected < now_us ? corrected : now_us;
}

int64_t hybrid_clock_at_device(int64_t time_us, int64_t offset_us) {
    int64_t device;
    if (__builtin_add_overflow(time_us, offset_us, &device))
        device = offset_us > 0 ? INT64_MAX : INT64_MIN;
    return device;
}

/* Tells whether a time of ours can be right. */
static bool hybrid_clock_is_sound(int64_t time_us, int64_t now_us) {
    return time_us <= HYBRID_CLOCK_AHEAD_MAX_US || time_us - HYBRID_CLOCK_AHEAD_MAX_US <= now_us;
}

int64_t hybrid_clock_next(int64_t last_us, int64_t now_us) {
    return now_us > last_us || !hybrid_clock_is_sound(last_us, now_us) ? now_us : last_us + 1;
}

int64_t hybrid_clock_believe(int64_t stored_us, int64_t now_us) {
    return hybrid_clock_is_sound(stored_us, now_us) ? stored_us : 0;
}

int64_t hybrid_clock_offset(int64_t sent_us, int64_t received_us, int64_t tolerance_us) {
    assert(tolerance_us >= 0);
    int64_t offset;
    if (sent_us == 0)
        return 0;
    if (__builtin_sub_overflow(sent_us, received_us, &offset))
        return received_us < 0 ? INT64_MAX : INT64_MIN;
    return offset > -tolerance_us && offset < tolerance_us ? 0 : offset;
}
