#include "service/auth/token_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

enum { NOW_US = 1000, LATER_US = 2000 };

/* The digest of a token by its number; in a cache of one set all meet. */
static const uint8_t *digest(uint8_t number) {
    static uint8_t bytes[SHA256_SIZE];
    bytes[SHA256_SIZE - 1] = number;
    return bytes;
}

static void put(struct token_cache *cache, uint8_t number) {
    struct identity identity = {.expires_us = LATER_US};
    snprintf(identity.user, sizeof identity.user, "user %d", number);
    token_cache_put(cache, digest(number), &identity);
}

/* Whether the token is remembered, as the right user. */
static bool is_known(struct token_cache *cache, uint8_t number) {
    struct identity identity = {.user = "nobody"};
    char user[16];
    snprintf(user, sizeof user, "user %d", number);
    bool is = token_cache_find(cache, digest(number), NOW_US, &identity);
    assert_string_equal(identity.user, is ? user : "nobody");
    return is;
}

static void a_newcomer_takes_the_place_used_longest_ago(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_open(4);
    assert_non_null(cache);
    for (uint8_t number = 0; number < 4; number++) {
        assert_false(is_known(cache, number));
        put(cache, number);
    }
    assert_true(is_known(cache, 0));
    put(cache, 4);
    assert_false(is_known(cache, 1));
    static const uint8_t left[] = {0, 2, 3, 4};
    for (size_t i = 0; i < sizeof left; i++)
        assert_true(is_known(cache, left[i]));
    assert_null(token_cache_close(cache));
    assert_null(token_cache_close(NULL));
}

static void an_expired_token_frees_its_place(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_open(4);
    struct identity identity;
    for (uint8_t number = 0; number < 4; number++)
        put(cache, number);
    assert_false(token_cache_find(cache, digest(2), LATER_US, &identity));
    put(cache, 4);
    static const uint8_t left[] = {0, 1, 3, 4};
    for (size_t i = 0; i < sizeof left; i++)
        assert_true(is_known(cache, left[i]));
    token_cache_clear(cache);
    for (uint8_t number = 0; number < 5; number++)
        assert_false(is_known(cache, number));
    put(cache, 5);
    assert_true(is_known(cache, 5));
    token_cache_close(cache);
}

static void without_memory_a_token_is_not_remembered(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_open(4);
    memory_fail_after(1);
    put(cache, 0);
    memory_fail_after(0);
    assert_false(is_known(cache, 0));
    put(cache, 1);
    memory_fail_after(1);
    put(cache, 2); /* in the place that there is */
    memory_fail_after(0);
    assert_true(is_known(cache, 2));
    assert_false(is_known(cache, 1));
    token_cache_close(cache);
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_after(n);
        assert_null(token_cache_open(4));
        memory_fail_after(0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newcomer_takes_the_place_used_longest_ago),
        cmocka_unit_test(an_expired_token_frees_its_place),
        cmocka_unit_test(without_memory_a_token_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
