// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "base/random_pool.h"

/* Counts up, so that each byte's place in the origin's row is known. */
struct counting_origin {
    struct random_source source;
    unsigned asked;
    uint8_t next;
};

static void counting_fill(void *context, uint8_t *bytes, size_t size) {
    struct counting_origin *origin = context;
    origin->asked++;
    for (size_t i = 0; i < size; i++)
        bytes[i] = origin->next++;
}

static void counting_init(struct counting_origin *origin) {
    *origin = (struct counting_origin){.source = {counting_fill, origin}};
}

static void many_small_asks_cost_the_origin_one(void **state) {
    (void)state;
    struct counting_origin origin;
    struct random_pool pool;
    counting_init(&origin);
    random_pool_init(&pool, &origin.source);
    assert_int_equal(origin.asked, 0);
    uint8_t expected = 0;
    for (int i = 0; i < RANDOM_POOL_SIZE / 8; i++) {
        uint8_t bytes[8];
        pool.source.fill(pool.source.context, bytes, sizeof bytes);
        for (size_t at = 0; at < sizeof bytes; at++)
            assert_int_equal(bytes[at], expected++);
    }
    assert_int_equal(origin.asked, 1);
    uint8_t byte;
    pool.source.fill(pool.source.context, &byte, 1);
    assert_int_equal(origin.asked, 2);
}

static void no_byte_is_given_twice(void **state) {
    (void)state;
    struct counting_origin origin;
    struct random_pool pool;
    uint8_t bytes[24];
    counting_init(&origin);
    random_pool_init(&pool, &origin.source);
    size_t whole = RANDOM_POOL_SIZE / sizeof bytes;
    for (size_t i = 0; i <= whole; i++)
        pool.source.fill(pool.source.context, bytes, sizeof bytes);
    /* The last did not fit into what was left, and begins a new pool. */
    assert_int_equal(origin.asked, 2);
    assert_int_equal(bytes[0], (uint8_t)RANDOM_POOL_SIZE);
}

static void what_was_given_is_forgotten(void **state) {
    (void)state;
    struct counting_origin origin;
    struct random_pool pool;
    static const uint8_t nothing[16] = {0};
    uint8_t bytes[16];
    counting_init(&origin);
    random_pool_init(&pool, &origin.source);
    pool.source.fill(pool.source.context, bytes, sizeof bytes);
    assert_memory_equal(pool.bytes, nothing, sizeof nothing);
    assert_memory_not_equal(bytes, nothing, sizeof nothing);
}

static void an_ask_beyond_the_pool_goes_to_the_origin(void **state) {
    (void)state;
    struct counting_origin origin;
    struct random_pool pool;
    uint8_t bytes[RANDOM_POOL_SIZE + 1];
    counting_init(&origin);
    random_pool_init(&pool, &origin.source);
    pool.source.fill(pool.source.context, bytes, sizeof bytes);
    assert_int_equal(origin.asked, 1);
    assert_int_equal(bytes[RANDOM_POOL_SIZE], (uint8_t)RANDOM_POOL_SIZE);
    assert_int_equal(pool.left, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_small_asks_cost_the_origin_one),
        cmocka_unit_test(no_byte_is_given_twice),
        cmocka_unit_test(what_was_given_is_forgotten),
        cmocka_unit_test(an_ask_beyond_the_pool_goes_to_the_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
