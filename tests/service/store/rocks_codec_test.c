// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/memory.h"
#include "service/store/rocks_block.h"
#include "service/store/rocks_codec.h"

static struct buffer out, scratch, body;
static struct arena arena;

static int codec_setup(void **state) {
    (void)state;
    buffer_init(&out, ROCKS_VALUE_MAX);
    buffer_init(&scratch, ROCKS_VALUE_MAX);
    buffer_init(&body, ROCKS_VALUE_MAX);
    arena_init(&arena, 64 << 20);
    return 0;
}

static int codec_teardown(void **state) {
    (void)state;
    buffer_done(&out);
    buffer_done(&scratch);
    buffer_done(&body);
    arena_done(&arena);
    return 0;
}

static const struct user_head sample_head = {.sequence = UINT64_MAX,
                                             .revision = 300,
                                             .log_floor = 7,
                                             .time_us = -5,
                                             .checksum = {1, UINT64_MAX},
                                             .data_bytes = 1 << 30,
                                             .record_count = UINT32_MAX,
                                             .conflicts_open = 1,
                                             .held_bytes = 300};

static struct record sample_record(struct slice data) {
    return (struct record){.key = {DATA_TYPE_TRIP, SLICE("trip-1")},
                           .version = 1234567890123,
                           .updated_us = -1,
                           .data = data,
                           .element = {2, 3}};
}

static void head_comes_back(void **state) {
    (void)state;
    struct user_head head;
    rocks_head_encode(&out, SLICE("ann"), &sample_head);
    assert_int_equal(rocks_head_decode(SLICE("ann"), buffer_slice(&out), &head), SYNC_OK);
    assert_memory_equal(&head, &sample_head, sizeof head);
}

/* A head that holds nothing is as it was before that was counted. */
static void head_without_held_bytes_is_as_it_ever_was(void **state) {
    (void)state;
    struct user_head head, holding = sample_head, plain = sample_head;
    plain.held_bytes = 0;
    holding.held_bytes = 1;
    rocks_head_encode(&out, SLICE("ann"), &holding);
    size_t size = out.size;
    buffer_clear(&out);
    rocks_head_encode(&out, SLICE("ann"), &plain);
    assert_int_equal(out.size, size - 1);
    assert_int_equal(rocks_head_decode(SLICE("ann"), buffer_slice(&out), &head), SYNC_OK);
    assert_memory_equal(&head, &plain, sizeof head);
}

static void value_under_another_key_is_corrupt(void **state) {
    (void)state;
    struct user_head head;
    rocks_head_encode(&out, SLICE("ann"), &sample_head);
    assert_int_equal(rocks_head_decode(SLICE("bob"), buffer_slice(&out), &head), SYNC_ERR_CORRUPT);
}

/* Every single flipped bit, and every cut, of a value must be noticed. */
static void assert_all_damage_is_noticed(struct slice value,
                                         enum sync_status (*decode)(struct slice value)) {
    assert_int_equal(decode(value), SYNC_OK);
    for (size_t bit = 0; bit < 8 * value.size; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(decode(value), SYNC_ERR_CORRUPT);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < value.size; size++)
        assert_int_equal(decode(slice_first(value, size)), SYNC_ERR_CORRUPT);
}

static enum sync_status decode_head(struct slice value) {
    struct user_head head;
    return rocks_head_decode(SLICE("ann"), value, &head);
}

static enum sync_status decode_record(struct slice value) {
    struct record record;
    return rocks_record_decode(SLICE("ann\0\1trip-1"), value, &arena, &record);
}

static enum sync_status decode_row(struct slice value) {
    struct slice content;
    return rocks_row_decode(SLICE("\1k"), value, &content);
}

static enum sync_status decode_block(struct slice value) {
    int64_t time_us;
    return rocks_block_open(SLICE("ann\0\0\0\0\0\0\0\0\1"), value, &body, &time_us);
}

static void damage_to_any_bit_is_noticed(void **state) {
    (void)state;
    static const uint8_t zeros[500];
    struct record record = sample_record(slice_of(zeros, sizeof zeros));
    struct settled settled = {
        .device = SLICE("d"), .change_id = SLICE("c"), .outcome = slice_of(zeros, 300)};
    rocks_head_encode(&out, SLICE("ann"), &sample_head);
    assert_all_damage_is_noticed(buffer_slice(&out), decode_head);
    buffer_clear(&out);
    rocks_record_encode(&out, SLICE("ann\0\1trip-1"), &record);
    assert_all_damage_is_noticed(buffer_slice(&out), decode_record);
    buffer_clear(&out);
    rocks_row_encode(&out, SLICE("\1k"), SLICE("value"));
    assert_all_damage_is_noticed(buffer_slice(&out), decode_row);
    buffer_clear(&out);
    rocks_settled_encode(&out, SLICE("ann\0\0\0\0\0\0\0\0\1"), 5, &settled, 1, &scratch);
    assert_all_damage_is_noticed(buffer_slice(&out), decode_block);
}

static void record_comes_back(void **state) {
    (void)state;
    struct record record = sample_record(SLICE("short")), found;
    struct slice key = SLICE("ann\0\1trip-1");
    rocks_record_encode(&out, key, &record);
    assert_int_equal(rocks_record_decode(key, buffer_slice(&out), &arena, &found), SYNC_OK);
    assert_int_equal(found.key.type, DATA_TYPE_TRIP);
    assert_true(slice_equal(found.key.id, record.key.id));
    assert_true(slice_equal(found.data, record.data));
    assert_true(found.version == record.version && found.updated_us == -1);
    assert_true(found.element.high == 2 && found.element.low == 3);
    assert_true(found.data.data < out.data || found.data.data >= out.data + out.size);
}

static void stamps_come_back_beside_the_document(void **state) {
    (void)state;
    static uint8_t data[4096];
    struct slice key = SLICE("ann\0\1trip-1");
    const struct slice documents[] = {SLICE("short"), SLICE_EMPTY, slice_of(data, sizeof data)};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct record record = sample_record(documents[i]), found;
        record.stamps = SLICE("when the fields changed");
        buffer_clear(&out);
        rocks_record_encode(&out, key, &record);
        assert_true(out.size < 400);
        assert_int_equal(rocks_record_decode(key, buffer_slice(&out), &arena, &found), SYNC_OK);
        assert_true(slice_equal(found.stamps, record.stamps));
        assert_true(slice_equal(found.data, record.data));
        struct record_version version;
        int64_t updated_us;
        assert_int_equal(
            rocks_record_decode_version(key, buffer_slice(&out), &version, &updated_us), SYNC_OK);
        assert_true(slice_equal(version.key.id, record.key.id));
        assert_true(version.version == record.version && updated_us == -1);
    }
}

static void stamps_longer_than_all_are_corrupt(void **state) {
    (void)state;
    struct slice key = SLICE("ann\0\1trip-1");
    struct record record = sample_record(SLICE("document")), found;
    record.stamps = SLICE("stamps");
    rocks_record_encode(&out, key, &record);
    uint8_t *size = memmem(out.data, out.size, "\6stamps", 7);
    assert_non_null(size);
    *size = 15;
    out.size -= ROCKS_CRC_SIZE;
    rocks_value_seal(&out, 0, key);
    assert_int_equal(rocks_record_decode(key, buffer_slice(&out), &arena, &found),
                     SYNC_ERR_CORRUPT);
}

static void long_documents_are_compressed_when_that_saves(void **state) {
    (void)state;
    static uint8_t data[4096];
    struct slice key = SLICE("ann\0\1trip-1");
    struct record record = sample_record(slice_of(data, sizeof data));
    rocks_record_encode(&out, key, &record);
    assert_true(out.size < 400);
    uint32_t noise = 1;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)((noise = noise * 1664525 + 1013904223) >> 24);
    buffer_clear(&out);
    rocks_record_encode(&out, key, &record);
    assert_true(out.size > sizeof data && out.size < sizeof data + 64);
    assert_int_equal(decode_record(buffer_slice(&out)), SYNC_OK);
}

static void tombstone_is_small(void **state) {
    (void)state;
    struct record record = sample_record(SLICE_EMPTY), found;
    struct slice key = SLICE("ann\0\1trip-1");
    record.deleted = true;
    rocks_record_encode(&out, key, &record);
    assert_true(out.size < 16);
    assert_int_equal(rocks_record_decode(key, buffer_slice(&out), &arena, &found), SYNC_OK);
    assert_true(found.deleted);
    assert_int_equal(found.data.size, 0);
}

static void keys_sort_by_user_then_number(void **state) {
    (void)state;
    static struct rocks_key keys[6];
    rocks_key_numbered(&keys[0], SLICE("a"), 255);
    rocks_key_numbered(&keys[1], SLICE("a"), 256);
    rocks_key_numbered(&keys[2], SLICE("a"), UINT64_MAX);
    rocks_key_numbered(&keys[3], SLICE("a\1"), 0);
    rocks_key_numbered(&keys[4], SLICE("aa"), 0);
    rocks_key_numbered(&keys[5], SLICE("b"), 0);
    for (size_t i = 0; i + 1 < 6; i++)
        assert_true(slice_compare(rocks_key_slice(&keys[i]), rocks_key_slice(&keys[i + 1])) < 0);
    uint64_t number;
    assert_true(rocks_key_read_number(rocks_key_slice(&keys[1]), &number));
    assert_int_equal(number, 256);
    assert_false(rocks_key_read_number(SLICE("a\0\0\0\0"), &number));
}

static void successor_bounds_a_prefix(void **state) {
    (void)state;
    static struct rocks_key key;
    rocks_key_row(&key, TABLE_CONFIG, SLICE("ab\xff\xff"));
    rocks_key_successor(&key);
    assert_true(slice_equal(rocks_key_slice(&key), SLICE("\1ac")));
    rocks_key_row(&key, TABLE_CONFIG, SLICE_EMPTY);
    rocks_key_successor(&key);
    assert_true(slice_equal(rocks_key_slice(&key), SLICE("\2")));
}

static void keys_that_do_not_fit_are_refused(void **state) {
    (void)state;
    static struct rocks_key key;
    static uint8_t wide[ROCKS_KEY_MAX] = {1};
    rocks_key_user(&key, SLICE_EMPTY);
    assert_true(key.failed);
    rocks_key_user(&key, SLICE("a\0"));
    assert_true(key.failed);
    rocks_key_record(&key, SLICE("a"), DATA_TYPE_TRIP, slice_of(wide, DATA_ID_MAX + 1));
    assert_true(key.failed);
    rocks_key_row(&key, TABLE_META, slice_of(wide, sizeof wide));
    assert_true(key.failed);
    rocks_key_row(&key, TABLE_META, slice_of(wide, sizeof wide - 1));
    assert_false(key.failed);
}

static void log_block_comes_back_and_tells_its_time(void **state) {
    (void)state;
    static struct rocks_key key;
    struct log_entry entries[3], found;
    for (size_t i = 0; i < 3; i++)
        entries[i] = (struct log_entry){.sequence = 100 + 7 * i,
                                        .kind = (enum change_kind)(CHANGE_CREATE + i),
                                        .key = {DATA_TYPE_BOOKING, SLICE("b\0x")},
                                        .previous_version = i * UINT32_MAX,
                                        .previous_deleted = i == 1,
                                        .as_sent = i == 2,
                                        .undo = SLICE("undo"),
                                        .change_id = SLICE("c"),
                                        .device_us = -3,
                                        .corrected_us = 1000 * (int64_t)i};
    assert_int_equal(rocks_log_encode(&out, SLICE("ann"), 900, entries, 3, &scratch, &key), 3);
    int64_t time_us;
    uint64_t number, sequence = 0;
    assert_true(rocks_key_read_number(rocks_key_slice(&key), &number));
    assert_int_equal(number, 114);
    assert_int_equal(rocks_block_open(rocks_key_slice(&key), buffer_slice(&out), &body, &time_us),
                     SYNC_OK);
    assert_int_equal(time_us, 900);
    struct wire_reader reader = wire_reader_of(buffer_slice(&body));
    for (size_t i = 0; i < 3; i++) {
        assert_true(rocks_log_next(&reader, &sequence, &found));
        assert_int_equal(found.sequence, 100 + 7 * i);
        assert_int_equal(found.kind, CHANGE_CREATE + i);
        assert_true(slice_equal(found.key.id, SLICE("b\0x")));
        assert_true(found.previous_version == i * UINT32_MAX);
        assert_int_equal(found.previous_deleted, i == 1);
        assert_int_equal(found.as_sent, i == 2);
        assert_int_equal(found.device.size, 0);
        assert_int_equal(found.device_us, -3);
    }
    assert_true(wire_at_end(&reader));
}

static void malformed_bodies_are_refused(void **state) {
    (void)state;
    struct log_entry entry;
    struct settled settled;
    const struct slice logs[] = {SLICE("\0"), SLICE("\xff\1\1"), SLICE("\1\0\1\1x\0\0\0\0\0\0"),
                                 SLICE("\1\1\1\x7fx")};
    for (size_t i = 0; i < 4; i++) {
        struct wire_reader reader = wire_reader_of(logs[i]);
        uint64_t sequence = 0;
        assert_false(rocks_log_next(&reader, &sequence, &entry));
    }
    struct wire_reader reader = wire_reader_of(SLICE("\1d\1c0123456789abcde"));
    assert_false(rocks_settled_next(&reader, &settled));
}

static void refused_memory_leaves_the_failure_in_the_buffer(void **state) {
    (void)state;
    static uint8_t data[1000];
    struct record record = sample_record(slice_of(data, sizeof data));
    memory_fail_after(1);
    rocks_record_encode(&out, SLICE("ann\0\1trip-1"), &record);
    memory_fail_after(0);
    assert_int_equal(buffer_status(&out), SYNC_ERR_NO_MEMORY);
}

int main(void) {
#define CODEC_TEST(test_) cmocka_unit_test_setup_teardown(test_, codec_setup, codec_teardown)
    const struct CMUnitTest tests[] = {
        CODEC_TEST(head_comes_back),
        CODEC_TEST(head_without_held_bytes_is_as_it_ever_was),
        CODEC_TEST(value_under_another_key_is_corrupt),
        CODEC_TEST(damage_to_any_bit_is_noticed),
        CODEC_TEST(record_comes_back),
        CODEC_TEST(stamps_come_back_beside_the_document),
        CODEC_TEST(stamps_longer_than_all_are_corrupt),
        CODEC_TEST(long_documents_are_compressed_when_that_saves),
        CODEC_TEST(tombstone_is_small),
        CODEC_TEST(keys_sort_by_user_then_number),
        CODEC_TEST(successor_bounds_a_prefix),
        CODEC_TEST(keys_that_do_not_fit_are_refused),
        CODEC_TEST(log_block_comes_back_and_tells_its_time),
        CODEC_TEST(malformed_bodies_are_refused),
        CODEC_TEST(refused_memory_leaves_the_failure_in_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
