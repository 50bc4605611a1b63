// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "service/rpc/operation.h"

enum { ARENA_MAX = 1 << 20, WRITTEN_US = 1000000 };

static int arena_setup(void **state) {
    static struct arena arena;
    arena_init(&arena, ARENA_MAX);
    *state = &arena;
    return 0;
}

static int arena_teardown(void **state) {
    arena_done(*state);
    return 0;
}

static PB(SyncOperation) *operation_of(struct arena *arena, enum operation_status status) {
    struct operation_draft draft = {.sync_id = "0190a5b0-0000-7000-8000-000000000000",
                                    .user = SLICE("anna"),
                                    .device = SLICE("phone"),
                                    .types = DATA_TYPES_ALL,
                                    .sync_type = SYNC_FULL,
                                    .status = status,
                                    .phase = "downloading",
                                    .created_us = WRITTEN_US};
    PB(SyncOperation) *operation = operation_make(&draft, arena);
    assert_non_null(operation);
    return operation;
}

static void a_streams_operation_goes_stale_at_the_time_that_is_told(void **state) {
    PB(SyncOperation) *operation = operation_of(*state, OPERATION_PROCESSING);
    int64_t stale_us = operation_stale_us(operation);
    assert_int_equal(stale_us, WRITTEN_US + OPERATION_STALE_US);
    assert_int_equal(operation_judge(operation, stale_us - 1, *state), SYNC_OK);
    assert_false(operation_has_ended(operation));
    assert_int_equal(operation_judge(operation, stale_us, *state), SYNC_OK);
    assert_int_equal(operation->status, OPERATION_FAILED);
    assert_int_equal(operation_stale_us(operation), INT64_MAX);
}

static void other_operations_do_not_go_stale(void **state) {
    PB(SyncOperation) *operation = operation_of(*state, OPERATION_PROCESSING);
    operation->sync_attempts = 1;
    assert_int_equal(operation_stale_us(operation), INT64_MAX);
    assert_int_equal(operation_judge(operation, INT64_MAX - 1, *state), SYNC_OK);
    assert_false(operation_has_ended(operation));
}

int main(void) {
#define WITH(test_) cmocka_unit_test_setup_teardown(test_, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_streams_operation_goes_stale_at_the_time_that_is_told),
        WITH(other_operations_do_not_go_stale),
    };
#undef WITH
    return cmocka_run_group_tests(tests, NULL, NULL);
}
