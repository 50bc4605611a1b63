#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static void allocations_are_aligned_and_do_not_overlap(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    static uint8_t *blocks[COUNT];
    static size_t sizes[COUNT];
    struct arena arena;
    arena_init(&arena, 1 << 30);
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = i * 7919 % 300 + (i % 97 == 0 ? 20000 : 0) + (i % 501 == 0 ? 600000 : 0);
        blocks[i] = arena_alloc(&arena, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        memset(blocks[i], (int)(i & 255), sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            if (blocks[i][at] != (i & 255))
                fail_msg("block %zu was overwritten", i);
    arena_done(&arena);
    arena_done(NULL);
}

static void an_untouched_arena_takes_no_memory(void **state) {
    (void)state;
    memory_fail_after(0);
    struct arena arena;
    arena_init(&arena, 100);
    arena_reset(&arena);
    arena_done(&arena);
    assert_int_equal(memory_count(), 0);
}

static void the_bound_holds_for_one_and_for_many(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    size_t count = 0;
    while (arena_alloc(&arena, 1))
        count++;
    assert_in_range(count, 1000 / alignof(max_align_t), 1000);
    arena_done(&arena);
}

static void an_arena_without_bound_refuses_what_cannot_be(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 7));
    assert_null(arena_zalloc(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_copy_text(&arena, slice_of("", SIZE_MAX)));
    arena_done(&arena);
}

static void zero_bytes_have_a_place(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    void *first = arena_alloc(&arena, 0), *second = arena_alloc(&arena, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    struct slice copy;
    assert_true(arena_copy(&arena, SLICE_EMPTY, &copy));
    assert_int_equal(copy.size, 0);
    assert_string_equal(arena_copy_text(&arena, SLICE_EMPTY), "");
    arena_done(&arena);
}

static void copies_and_formats_hold_the_same_text(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct slice copy;
    assert_true(arena_copy(&arena, SLICE("a\0b"), &copy));
    assert_true(slice_equal(copy, SLICE("a\0b")));
    assert_string_equal(arena_copy_text(&arena, SLICE("text")), "text");
    assert_string_equal(arena_format(&arena, "%s=%d", "x", 3), "x=3");
    assert_int_equal(strlen(arena_format(&arena, "%09000d", 1)), 9000);
    static const uint8_t ZEROS[5000];
    memset(arena_alloc(&arena, 5000), 0xff, 5000);
    arena_reset(&arena);
    assert_memory_equal(arena_zalloc(&arena, 1000, 5), ZEROS, 5000);
    arena_done(&arena);
}

static void a_reset_arena_serves_small_calls_without_new_memory(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_non_null(arena_alloc(&arena, 100));
    memory_fail_after(0);
    for (int call = 0; call < 10; call++) {
        arena_reset(&arena);
        assert_int_equal(arena.taken_bytes, 0);
        for (int i = 0; i < 30; i++)
            assert_non_null(arena_alloc(&arena, 100));
    }
    assert_int_equal(memory_count(), 0);
    arena_done(&arena);
}

static void blocks_double_so_that_many_allocations_take_few(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 30);
    memory_fail_after(0);
    for (int i = 0; i < 100000; i++)
        assert_non_null(arena_alloc(&arena, 64)); /* 6.4 MB */
    assert_in_range(memory_count(), 1, 40);
    arena_done(&arena);
}

static void a_large_allocation_leaves_the_free_room_in_use(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 30);
    uint8_t *before = arena_alloc(&arena, 16);
    assert_non_null(arena_alloc(&arena, 1 << 20));
    uint8_t *after = arena_alloc(&arena, 16);
    assert_ptr_equal(before + 16, after);
    arena_done(&arena);
}

static void a_refused_allocation_leaves_the_arena_usable(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct slice copy = SLICE("untouched");
    memory_fail_after(1);
    assert_false(arena_copy(&arena, SLICE("abc"), &copy));
    assert_true(slice_equal(copy, SLICE("untouched")));
    memory_fail_after(1);
    assert_null(arena_format(&arena, "%d", 1));
    memory_fail_after(0);
    assert_int_equal(arena.taken_bytes, 0);
    assert_string_equal(arena_format(&arena, "%d", 1), "1");
    memory_fail_after(1);
    assert_null(arena_alloc(&arena, 100000));
    memory_fail_after(0);
    assert_non_null(arena_alloc(&arena, 100000));
    arena_done(&arena);
}

static void protobuf_takes_from_the_arena_and_frees_nothing(void **state) {
    (void)state;
    struct arena arena;
    ProtobufCAllocator allocator;
    arena_init(&arena, 64);
    arena_protobuf_allocator(&arena, &allocator);
    char *text = allocator.alloc(allocator.allocator_data, 5);
    memcpy(text, "text", 5);
    allocator.free(allocator.allocator_data, text);
    assert_string_equal(text, "text");
    assert_null(allocator.alloc(allocator.allocator_data, 65));
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(an_untouched_arena_takes_no_memory),
        cmocka_unit_test(the_bound_holds_for_one_and_for_many),
        cmocka_unit_test(an_arena_without_bound_refuses_what_cannot_be),
        cmocka_unit_test(zero_bytes_have_a_place),
        cmocka_unit_test(copies_and_formats_hold_the_same_text),
        cmocka_unit_test(a_reset_arena_serves_small_calls_without_new_memory),
        cmocka_unit_test(blocks_double_so_that_many_allocations_take_few),
        cmocka_unit_test(a_large_allocation_leaves_the_free_room_in_use),
        cmocka_unit_test(a_refused_allocation_leaves_the_arena_usable),
        cmocka_unit_test(protobuf_takes_from_the_arena_and_frees_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
