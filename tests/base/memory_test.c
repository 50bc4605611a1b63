#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void the_nth_allocation_fails_once(void **state) {
    (void)state;
    memory_fail_after(3);
    char *first = memory_alloc(8), *second = memory_zalloc(2, 4);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(memory_copy_text("text", 4));
    char *again = memory_copy_text("text", 4);
    assert_string_equal(again, "text");
    assert_int_equal(memory_count(), 4);
    memory_fail_after(0);
    assert_int_equal(memory_count(), 0);
    memory_free(first);
    memory_free(second);
    memory_free(again);
    memory_free(NULL);
}

static void a_refused_resize_keeps_the_block(void **state) {
    (void)state;
    char *block = memory_copy_text("kept", 4);
    memory_fail_after(1);
    assert_null(memory_realloc(block, 1000));
    memory_fail_after(0);
    assert_string_equal(block, "kept");
    block = memory_realloc(block, 1000);
    assert_string_equal(block, "kept");
    memory_free(block);
}

static void zeroed_memory_is_zero_and_its_product_cannot_overflow(void **state) {
    (void)state;
    static const char ZEROS[300];
    char *block = memory_zalloc(100, 3);
    assert_memory_equal(block, ZEROS, 300);
    memory_free(block);
    block = memory_zalloc(0, 3);
    assert_non_null(block);
    memory_free(block);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(memory_zalloc(huge, 3));
    assert_null(memory_copy_text("", SIZE_MAX));
}

static void freed_memory_goes_back_to_the_system(void **state) {
    (void)state;
    enum { BLOCKS = 4096, BLOCK_BYTES = 4096 };
    static char *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_zalloc(1, BLOCK_BYTES);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    char *last = memory_copy_text("kept", 4); /* the free ones lie before one that is not */
    for (size_t i = 0; i < BLOCKS; i++)
        memory_free(blocks[i]);
    memory_trim();
    assert_string_equal(last, "kept");
    memory_free(last);
}

static void an_empty_text_is_copied(void **state) {
    (void)state;
    char *copy = memory_copy_text(NULL, 0);
    assert_string_equal(copy, "");
    memory_free(copy);
}

static void *allocate_elsewhere(void *context) {
    char *block = memory_alloc(1);
    *(int *)context = block != NULL;
    memory_free(block);
    return NULL;
}

static void a_test_refuses_only_its_own_thread(void **state) {
    (void)state;
    int worked = 0;
    pthread_t thread;
    memory_fail_after(1);
    assert_int_equal(pthread_create(&thread, NULL, allocate_elsewhere, &worked), 0);
    pthread_join(thread, NULL);
    assert_true(worked);
    assert_int_equal(memory_count(), 0);
    assert_null(memory_alloc(1));
    memory_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(a_refused_resize_keeps_the_block),
        cmocka_unit_test(zeroed_memory_is_zero_and_its_product_cannot_overflow),
        cmocka_unit_test(freed_memory_goes_back_to_the_system),
        cmocka_unit_test(an_empty_text_is_copied),
        cmocka_unit_test(a_test_refuses_only_its_own_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
