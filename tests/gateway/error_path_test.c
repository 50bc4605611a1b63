#include "gateway/error_path.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"

#define BAD_REQUEST "type.googleapis.com/google.rpc.BadRequest"

/* A google.rpc.Status with a detail of this type, whose violations have these paths. */
static void append_status(struct buffer *out, const char *type_url, const char *const *paths,
                          size_t count) {
    wire_write_uint(out, 1, 3);
    size_t any = wire_begin(out, 3);
    wire_write_bytes(out, 1, slice_text(type_url));
    size_t value = wire_begin(out, 2);
    for (size_t i = 0; i < count; i++) {
        size_t violation = wire_begin(out, 1);
        wire_write_bytes(out, 1, slice_text(paths[i]));
        wire_write_bytes(out, 2, SLICE("config.x is wrong"));
        wire_end(out, violation);
    }
    wire_end(out, value);
    wire_end(out, any);
}

/* Strips "config." of the paths, and compares with how they and the message should be. */
static void expect_strip(const char *type_url, const char *const before[3],
                         const char *const after[3], const char *message,
                         const char *message_after) {
    struct buffer given, wanted;
    struct arena arena;
    buffer_init(&given, 4096);
    buffer_init(&wanted, 4096);
    arena_init(&arena, 1 << 20);
    append_status(&given, type_url, before, 3);
    append_status(&wanted, type_url, after, 3);
    struct slice text = slice_text(message), details = buffer_slice(&given);
    error_path_strip(SLICE("config"), &arena, &text, &details);
    assert_true(slice_equal(details, buffer_slice(&wanted)));
    assert_true(slice_equal(text, slice_text(message_after)));
    arena_done(&arena);
    buffer_done(&given);
    buffer_done(&wanted);
}

static void paths_inside_the_body_begin_there(void **state) {
    (void)state;
    expect_strip(BAD_REQUEST,
                 (const char *const[]){"updateMask", "config.syncInterval", "config.a.config.b"},
                 (const char *const[]){"updateMask", "syncInterval", "a.config.b"},
                 "2 faults; the first is in config.syncInterval: config.x",
                 "2 faults; the first is in syncInterval: config.x");
}

static void what_only_looks_alike_stays(void **state) {
    (void)state;
    const char *const paths[] = {"config", "configuration.a", "config."};
    expect_strip(BAD_REQUEST, paths, paths, "config: is wrong", "config: is wrong");
}

static void details_of_other_types_stay(void **state) {
    (void)state;
    const char *const paths[] = {"config.a", "config.b", "config.c"};
    expect_strip("type.googleapis.com/google.rpc.Help", paths, paths, "config.a", "config.a");
}

static void malformed_and_missing_details_stay(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    const struct slice cases[] = {SLICE_EMPTY, SLICE("\x1a\x7f"), SLICE("\x1a\x02\x12\x07")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice message = SLICE("config.a"), details = cases[i];
        error_path_strip(SLICE("config"), &arena, &message, &details);
        assert_true(slice_equal(details, cases[i]));
        assert_true(slice_equal(message, SLICE("config.a")));
    }
    arena_done(&arena);
}

/* Without memory both stay, or the message alone does. */
static void without_memory_the_details_stay_whole(void **state) {
    (void)state;
    const char *const before[] = {"config.a"}, *const after[] = {"a"};
    struct buffer given, wanted;
    buffer_init(&given, 4096);
    buffer_init(&wanted, 4096);
    append_status(&given, BAD_REQUEST, before, 1);
    append_status(&wanted, BAD_REQUEST, after, 1);
    bool is_stripped = false;
    for (uint64_t i = 1; !is_stripped; i++) {
        assert_true(i < 10);
        struct arena arena;
        arena_init(&arena, 1 << 20);
        struct slice message = SLICE("config.a"), details = buffer_slice(&given);
        memory_fail_after(i);
        error_path_strip(SLICE("config"), &arena, &message, &details);
        memory_fail_after(0);
        is_stripped = slice_equal(details, buffer_slice(&wanted));
        assert_true(is_stripped || slice_equal(details, buffer_slice(&given)));
        arena_done(&arena);
    }
    buffer_done(&given);
    buffer_done(&wanted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_inside_the_body_begin_there),
        cmocka_unit_test(what_only_looks_alike_stays),
        cmocka_unit_test(details_of_other_types_stay),
        cmocka_unit_test(malformed_and_missing_details_stay),
        cmocka_unit_test(without_memory_the_details_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
