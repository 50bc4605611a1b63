#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"
#include "service/rpc/parked.h"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static struct parked entry(const char *device, const char *change, const char *id,
                           const char *job) {
    return (struct parked){.device = slice_text(device),
                           .change_id = slice_text(change),
                           .key = {DATA_TYPE_TRIP, slice_text(id)},
                           .payload_hash = {1, 2, 3},
                           .job_id = slice_text(job)};
}

/* The row as a store gives it back. */
static struct row stored(const struct parked_list *list) {
    struct row_write write;
    assert_true(parked_list_write(list, SLICE("ann"), &arena, &write));
    assert_int_equal(write.table, TABLE_PARKED);
    assert_true(slice_equal(write.key, slice_of("ann", 4)));
    assert_int_equal(write.remove, list->count == 0);
    return (struct row){.found = !write.remove, .value = write.value};
}

static void a_list_is_read_back_as_it_was_written(void **state) {
    (void)state;
    struct parked items[] = {entry("phone", "c1", "rome", "job1"), entry("", "c1", "rome", "job2"),
                             entry("phone", "c2", "oslo", "job3")};
    struct parked_list list = {items, 3}, read;
    struct row row = stored(&list);
    assert_int_equal(parked_list_read(&row, &arena, &read), SYNC_OK);
    assert_int_equal(read.count, 3);
    const struct parked *found = parked_find_change(&read, SLICE("phone"), SLICE("c1"));
    assert_ptr_equal(found, &read.items[0]);
    assert_memory_equal(found->payload_hash, items[0].payload_hash, PAYLOAD_HASH_SIZE);
    assert_ptr_equal(parked_find_change(&read, SLICE_EMPTY, SLICE("c1")), &read.items[1]);
    assert_null(parked_find_change(&read, SLICE("tablet"), SLICE("c1")));
    struct record_key oslo = {DATA_TYPE_TRIP, SLICE("oslo")},
                      booking = {DATA_TYPE_BOOKING, SLICE("oslo")};
    assert_ptr_equal(parked_find_record(&read, SLICE("phone"), &oslo), &read.items[2]);
    assert_null(parked_find_record(&read, SLICE_EMPTY, &oslo));
    assert_null(parked_find_record(&read, SLICE("phone"), &booking));
}

static void an_entry_is_taken_out_by_its_job(void **state) {
    (void)state;
    struct parked items[] = {entry("phone", "c1", "rome", "job1"),
                             entry("phone", "c2", "oslo", "job2")};
    struct parked_list list = {items, 2}, rest, none;
    assert_true(parked_list_copy(&list, SLICE("job1"), 0, &arena, &rest));
    assert_int_equal(rest.count, 1);
    assert_true(slice_equal(rest.items[0].job_id, SLICE("job2")));
    assert_true(parked_list_copy(&rest, SLICE("job2"), 0, &arena, &none));
    struct row row = stored(&none);
    assert_int_equal(parked_list_read(&row, &arena, &rest), SYNC_OK);
    assert_int_equal(rest.count, 0);
}

static void a_change_is_read_back_as_it_was_written(void **state) {
    (void)state;
    struct parked_change written = {.device = SLICE("phone"),
                                    .acknowledged = 7,
                                    .clock_offset_us = -3600000000,
                                    .received_us = 1700000000000000,
                                    .change = {.id = SLICE("c1"),
                                               .kind = CHANGE_UPDATE,
                                               .type = DATA_TYPE_BOOKING,
                                               .data_id = SLICE("train"),
                                               .data_id_made = true,
                                               .data = SLICE("\x0a\x00"),
                                               .device_us = 1600000000000000,
                                               .base_version = 5,
                                               .payload_hash = {9, 8, 7}}};
    struct parked_change read;
    struct slice value;
    assert_true(parked_change_pack(&written, &arena, &value));
    assert_int_equal(parked_change_unpack(value, &read), SYNC_OK);
    assert_true(slice_equal(read.device, written.device));
    assert_true(slice_equal(read.change.id, written.change.id));
    assert_true(slice_equal(read.change.data_id, written.change.data_id));
    assert_true(slice_equal(read.change.data, written.change.data));
    assert_int_equal(read.acknowledged, 7);
    assert_int_equal(read.clock_offset_us, -3600000000);
    assert_int_equal(read.received_us, written.received_us);
    assert_int_equal(read.change.kind, CHANGE_UPDATE);
    assert_int_equal(read.change.type, DATA_TYPE_BOOKING);
    assert_true(read.change.data_id_made);
    assert_int_equal(read.change.device_us, written.change.device_us);
    assert_int_equal(read.change.base_version, 5);
    assert_memory_equal(read.change.payload_hash, written.change.payload_hash, PAYLOAD_HASH_SIZE);
    for (size_t size = 0; size < value.size; size++)
        assert_int_equal(parked_change_unpack(slice_first(value, size), &read), SYNC_ERR_CORRUPT);
    written.change.data = SLICE_EMPTY;
    written.change.operations = SLICE("\x04\x0a\x00\x18\x01");
    assert_true(parked_change_pack(&written, &arena, &value));
    assert_int_equal(parked_change_unpack(value, &read), SYNC_OK);
    assert_true(slice_equal(read.change.operations, written.change.operations));
    assert_int_equal(read.change.data.size, 0);
}

static void a_damaged_list_is_told(void **state) {
    (void)state;
    struct parked item = entry("phone", "c1", "rome", "job1");
    struct parked_list list = {&item, 1}, read;
    struct row row = stored(&list);
    struct slice whole = row.value;
    for (size_t size = 1; size < whole.size; size++) {
        row.value = slice_first(whole, size);
        assert_int_equal(parked_list_read(&row, &arena, &read), SYNC_ERR_CORRUPT);
    }
}

static void a_list_has_a_bound(void **state) {
    (void)state;
    struct parked *items = arena_zalloc(&arena, USER_PARKED_MAX + 1, sizeof *items);
    for (size_t i = 0; i <= USER_PARKED_MAX; i++)
        items[i] = entry("phone", "c1", "rome", "job1");
    struct parked_list list = {items, USER_PARKED_MAX}, read;
    struct row row = stored(&list), more = {.found = true};
    assert_int_equal(parked_list_read(&row, &arena, &read), SYNC_OK);
    assert_int_equal(read.count, USER_PARKED_MAX);
    list.count = 1;
    struct slice one = stored(&list).value;
    uint8_t *bytes = arena_alloc(&arena, row.value.size + one.size);
    memcpy(bytes, row.value.data, row.value.size);
    memcpy(bytes + row.value.size, one.data, one.size);
    more.value = slice_of(bytes, row.value.size + one.size);
    assert_int_equal(parked_list_read(&more, &arena, &read), SYNC_ERR_CORRUPT);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct parked item = entry("phone", "c1", "rome", "job1");
    struct parked_list list = {&item, 1}, other;
    struct parked_change change = {.change = {.id = SLICE("c"), .data_id = SLICE("d")}};
    struct row row = stored(&list);
    struct row_write write;
    struct slice value;
    for (uint64_t n = 1; n <= 4; n++) {
        struct arena small;
        arena_init(&small, 64 << 20);
        memory_fail_after(n);
        bool well = parked_list_read(&row, &small, &other) == SYNC_OK &&
                    parked_list_copy(&list, SLICE_EMPTY, 100, &small, &other) &&
                    parked_change_pack(&change, &small, &value) &&
                    parked_list_write(&list, SLICE("ann"), &small, &write);
        uint64_t made = memory_count();
        memory_fail_after(0);
        arena_done(&small);
        assert_int_equal(well, made < n);
    }
}

#define PARKED_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PARKED_TEST(a_list_is_read_back_as_it_was_written),
        PARKED_TEST(an_entry_is_taken_out_by_its_job),
        PARKED_TEST(a_change_is_read_back_as_it_was_written),
        PARKED_TEST(a_damaged_list_is_told),
        PARKED_TEST(a_list_has_a_bound),
        PARKED_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
