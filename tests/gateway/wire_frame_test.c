/* Frames: lengths of any size, nested and in a row, equal to what wire_begin and wire_end write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"
#include "gateway/wire_frame.h"

enum { BYTES_MAX = 64 << 20 };

/* Writes the same tree both ways: `width` children a level, leaves of growing size. */
static void write_tree(struct wire_frames *frames, struct buffer *framed, struct buffer *plain,
                       int depth, int width, size_t leaf) {
    for (int i = 0; i < width; i++) {
        buffer_append_byte(framed, 1 << 3 | WIRE_LEN);
        struct wire_frame frame = wire_frame_open(frames, framed);
        size_t begin = wire_begin(plain, 1);
        if (depth > 0)
            write_tree(frames, framed, plain, depth - 1, width, leaf * 3 + (size_t)i);
        for (size_t j = 0; j < leaf; j++) {
            buffer_append_byte(framed, (uint8_t)j);
            buffer_append_byte(plain, (uint8_t)j);
        }
        wire_frame_close(frames, framed, frame);
        wire_end(plain, begin);
    }
}

static void frames_write_what_wire_begin_and_end_write(void **state) {
    (void)state;
    for (size_t leaf = 0; leaf < 300; leaf += 7) {
        struct wire_frames frames = {0};
        struct buffer framed, plain;
        buffer_init(&framed, BYTES_MAX);
        buffer_init(&plain, BYTES_MAX);
        buffer_append(&framed, SLICE("before"));
        buffer_append(&plain, SLICE("before"));
        write_tree(&frames, &framed, &plain, 4, 3, leaf);
        wire_frames_finish(&frames, &framed);
        assert_int_equal(buffer_status(&framed), SYNC_OK);
        assert_true(slice_equal(buffer_slice(&framed), buffer_slice(&plain)));
        wire_frames_done(&frames);
        buffer_done(&framed);
        buffer_done(&plain);
    }
}

static void a_failed_buffer_stays_failed(void **state) {
    (void)state;
    struct wire_frames frames = {0};
    struct buffer out;
    buffer_init(&out, 200);
    struct wire_frame frame = wire_frame_open(&frames, &out);
    for (int i = 0; i < 300; i++)
        buffer_append_byte(&out, 0);
    wire_frame_close(&frames, &out, frame);
    wire_frames_finish(&frames, &out);
    assert_int_equal(buffer_status(&out), SYNC_ERR_TOO_LARGE);
    wire_frames_done(&frames);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_write_what_wire_begin_and_end_write),
        cmocka_unit_test(a_failed_buffer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
