#include "service/rpc/retention_clock.h"

#include "base/wire.h"

enum { CLOCK_LAST = 1, CLOCK_HELD = 2, CLOCK_BYTES_MAX = 64 };
static const int64_t SECOND_US = 1000000;

bool retention_clock_step(struct retention_clock *clock, int64_t now_us) {
    int64_t step_us = now_us - clock->last_us;
    if (clock->last_us != 0 && step_us > RETENTION_LEAP_S * SECOND_US)
        clock->held_us = now_us;
    if (now_us < clock->held_us) /* the leap is taken back */
        clock->held_us = 0;
    clock->last_us = now_us;
    if (clock->held_us != 0 && now_us - clock->held_us >= RETENTION_HOLD_S * SECOND_US)
        clock->held_us = 0;
    return clock->held_us == 0;
}

bool retention_clock_pack(const struct retention_clock *clock, struct arena *arena,
                          struct slice *ret_value) {
    struct buffer out;
    buffer_init(&out, CLOCK_BYTES_MAX);
    wire_write_uint(&out, CLOCK_LAST, (uint64_t)clock->last_us);
    wire_write_uint(&out, CLOCK_HELD, (uint64_t)clock->held_us);
    bool done = buffer_status(&out) == SYNC_OK && arena_copy(arena, buffer_slice(&out), ret_value);
    buffer_done(&out);
    return done;
}

bool retention_clock_unpack(struct slice value, struct retention_clock *ret_clock) {
    struct retention_clock clock = {0};
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field) || field.type != WIRE_VARINT)
            return false;
        if (field.number == CLOCK_LAST)
            clock.last_us = (int64_t)field.bits;
        else if (field.number == CLOCK_HELD)
            clock.held_us = (int64_t)field.bits;
    }
    *ret_clock = clock;
    return clock.last_us >= 0 && clock.held_us >= 0;
}
