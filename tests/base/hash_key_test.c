/* The key of slice_hash: texts that collide under the one that everybody knows, and no longer once
 * it is replaced. A program of its own, since the key is the process's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/id.h"

enum { TEXTS = 1000, TEXT_SIZE = 32 };

/* Text number `i` of a family that the built-in key gives one hash, whatever the seed. */
static struct slice text_of(uint64_t i, uint8_t bytes[TEXT_SIZE]) {
    const uint64_t block = 0x9e3779b97f4a7c15;
    memset(bytes, 'x', TEXT_SIZE);
    memcpy(bytes, &block, sizeof block);
    memcpy(bytes + sizeof block, &i, sizeof i);
    return slice_of(bytes, TEXT_SIZE);
}

/* How many of the family share the first one's hash. */
static unsigned collisions_count(uint64_t seed) {
    uint8_t bytes[TEXT_SIZE];
    uint64_t first = slice_hash(text_of(0, bytes), seed);
    unsigned count = 0;
    for (uint64_t i = 1; i < TEXTS; i++)
        count += slice_hash(text_of(i, bytes), seed) == first;
    return count;
}

static void counted_fill(void *context, uint8_t *bytes, size_t size) {
    uint64_t *state = context;
    for (size_t i = 0; i < size; i++) {
        *state = *state * 6364136223846793005 + 1442695040888963407;
        bytes[i] = (uint8_t)(*state >> 56);
    }
}

static void texts_that_collide_by_the_known_key_differ_by_another(void **state) {
    (void)state;
    assert_int_equal(collisions_count(0), TEXTS - 1);
    assert_int_equal(collisions_count(12345), TEXTS - 1);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random_state = seed;
        hash_key_draw(&(struct random_source){counted_fill, &random_state});
        assert_int_equal(collisions_count(0), 0);
        assert_int_equal(collisions_count(seed), 0);
    }
}

static void every_word_of_the_key_counts(void **state) {
    (void)state;
    const uint64_t key[SLICE_HASH_KEY_WORDS] = {0x8f14e45fceea167a, 0x5a36ab1dce57c0a3,
                                                0x64e8a0bd1f7a3c95};
    for (size_t i = 0; i < SLICE_HASH_KEY_WORDS; i++) {
        uint64_t other[SLICE_HASH_KEY_WORDS];
        memcpy(other, key, sizeof key);
        other[i] ^= UINT64_C(1) << 40;
        for (size_t size = 0; size <= 40; size++) {
            uint8_t bytes[40] = {7};
            slice_hash_set_key(key);
            uint64_t before = slice_hash(slice_of(bytes, size), 5);
            slice_hash_set_key(other);
            assert_true(slice_hash(slice_of(bytes, size), 5) != before);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_collide_by_the_known_key_differ_by_another),
        cmocka_unit_test(every_word_of_the_key_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
