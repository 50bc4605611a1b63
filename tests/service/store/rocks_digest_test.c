// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "service/store/rocks_digest.h"

enum { LAST = 512, LEVEL = 2 };

static struct buffer out;
static struct rocks_key key;

static int digest_setup(void **state) {
    (void)state;
    buffer_init(&out, ROCKS_VALUE_MAX);
    rocks_key_digest(&key, SLICE("ann"), LEVEL, LAST);
    return 0;
}

static int digest_teardown(void **state) {
    (void)state;
    buffer_done(&out);
    return 0;
}

static const struct record_version SAMPLES[] = {
    {{DATA_TYPE_TRIP, SLICE("a")}, 512},       {{DATA_TYPE_TRIP, SLICE("ab")}, 1},
    {{DATA_TYPE_TRIP, SLICE("abc")}, 40},      {{DATA_TYPE_TRIP, SLICE("b")}, 511},
    {{DATA_TYPE_BOOKING, SLICE("abc-1")}, 77}, {{DATA_TYPE_BOOKING, SLICE("abc-2")}, 78},
};
enum { SAMPLE_COUNT = sizeof SAMPLES / sizeof *SAMPLES };

static void write_samples(void) {
    struct rocks_digest_writer writer;
    rocks_digest_begin(&writer, &out, LAST);
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        rocks_digest_put(&writer, &SAMPLES[i]);
    rocks_digest_end(&writer, rocks_key_slice(&key));
    assert_int_equal(buffer_status(&out), SYNC_OK);
}

static void records_come_back_in_order(void **state) {
    (void)state;
    struct rocks_digest_reader reader;
    write_samples();
    assert_int_equal(
        rocks_digest_open(&reader, rocks_key_slice(&key), buffer_slice(&out), LEVEL, LAST),
        SYNC_OK);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        assert_true(rocks_digest_next(&reader));
        assert_int_equal(rocks_digest_order(&reader.record.key, &SAMPLES[i].key), 0);
        assert_int_equal(reader.record.version, SAMPLES[i].version);
    }
    assert_false(rocks_digest_next(&reader));
    assert_true(reader.is_at_end);
    assert_false(reader.is_damaged);
}

static void spans_grow_by_the_fan(void **state) {
    (void)state;
    assert_int_equal(rocks_digest_span(1), ROCKS_DIGEST_SPAN);
    for (unsigned level = 2; level <= ROCKS_DIGEST_LEVELS; level++)
        assert_int_equal(rocks_digest_span(level), ROCKS_DIGEST_FAN * rocks_digest_span(level - 1));
}

static void keys_sort_by_level_then_end(void **state) {
    (void)state;
    struct rocks_key next;
    rocks_key_digest(&next, SLICE("ann"), LEVEL, LAST + 1);
    assert_true(slice_compare(rocks_key_slice(&key), rocks_key_slice(&next)) < 0);
    rocks_key_digest(&key, SLICE("ann"), LEVEL + 1, 1);
    assert_true(slice_compare(rocks_key_slice(&next), rocks_key_slice(&key)) < 0);
}

static void damage_to_any_bit_is_noticed(void **state) {
    (void)state;
    struct rocks_digest_reader reader;
    write_samples();
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(
            rocks_digest_open(&reader, rocks_key_slice(&key), buffer_slice(&out), LEVEL, LAST),
            SYNC_ERR_CORRUPT);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    rocks_key_digest(&key, SLICE("ann"), LEVEL, 2 * LAST);
    assert_int_equal(
        rocks_digest_open(&reader, rocks_key_slice(&key), buffer_slice(&out), LEVEL, 2 * LAST),
        SYNC_ERR_CORRUPT);
}

/* Reads a body under a good checksum; true when it is read to its end. */
static bool is_readable(struct slice body) {
    struct rocks_digest_reader reader;
    buffer_clear(&out);
    buffer_append(&out, body);
    rocks_value_seal(&out, 0, rocks_key_slice(&key));
    if (rocks_digest_open(&reader, rocks_key_slice(&key), buffer_slice(&out), LEVEL, LAST) !=
        SYNC_OK)
        return false;
    while (rocks_digest_next(&reader))
        ;
    assert_true(reader.is_at_end != reader.is_damaged);
    return reader.is_at_end;
}

static void malformed_bodies_are_refused(void **state) {
    (void)state;
    assert_true(is_readable(SLICE("\0")));
    assert_true(is_readable(SLICE("\0\1\0\1a\0")));
    assert_true(is_readable(SLICE("\0\1\0\1a\0\1\1\1b\0")));
    assert_false(is_readable(SLICE("")));
    assert_false(is_readable(SLICE("\1")));                    /* unknown flags */
    assert_false(is_readable(SLICE("\0\1\0\1a")));             /* no sequence */
    assert_false(is_readable(SLICE("\0\1\0\5a\0")));           /* an id longer than the rest */
    assert_false(is_readable(SLICE("\0\1\1\1a\0")));           /* nothing to share */
    assert_false(is_readable(SLICE("\0\1\0\1a\0\1\2\1b\0")));  /* more than there is */
    assert_false(is_readable(SLICE("\0\1\0\1a\x80\x04")));     /* before the stretch */
    uint8_t longest[5 + DATA_ID_MAX + 1] = {0, 1, 0, 0x81, 2}; /* an id of 257 bytes */
    assert_false(is_readable(slice_of(longest, sizeof longest)));
    longest[3] = 0x80;
    assert_true(is_readable(slice_of(longest, sizeof longest)));
}

int main(void) {
#define DIGEST_TEST(test_) cmocka_unit_test_setup_teardown(test_, digest_setup, digest_teardown)
    const struct CMUnitTest tests[] = {
        DIGEST_TEST(records_come_back_in_order),   DIGEST_TEST(spans_grow_by_the_fan),
        DIGEST_TEST(keys_sort_by_level_then_end),  DIGEST_TEST(damage_to_any_bit_is_noticed),
        DIGEST_TEST(malformed_bodies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
