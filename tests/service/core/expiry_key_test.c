#include "service/core/expiry_key.h"

#include "tests/service/core/test_arena.h"

static void what_is_due_first_comes_first(void **state) {
    (void)state;
    struct slice past, early, late, key;
    int64_t time_us;
    enum table table;
    assert_true(expiry_key_make(&arena, -1, TABLE_BUNDLE, SLICE("y"), &past));
    assert_true(expiry_key_make(&arena, 255, TABLE_BUNDLE, SLICE("z"), &early));
    assert_true(expiry_key_make(&arena, 256, TABLE_CONFLICT, SLICE("a"), &late));
    assert_true(slice_compare(past, early) < 0 && slice_compare(early, late) < 0);
    assert_true(expiry_key_parse(late, &time_us, &table, &key));
    assert_int_equal(time_us, 256);
    assert_int_equal(table, TABLE_CONFLICT);
    assert_true(slice_equal(key, SLICE("a")));
}

static void what_is_too_short_is_none(void **state) {
    (void)state;
    struct slice key = SLICE("kept");
    int64_t time_us;
    enum table table;
    assert_false(expiry_key_parse(SLICE("123456789"), &time_us, &table, &key));
    assert_true(slice_equal(key, SLICE("kept")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_is_due_first_comes_first),
        ARENA_TEST(what_is_too_short_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
