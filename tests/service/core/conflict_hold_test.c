/* What open conflicts hold back. What comes of it is in change_batch_test.c. */
#include "service/core/conflict_hold.h"

#include "service/core/write_build.h"
#include "tests/service/core/batch_sending.h"

#define ID(last) SLICE("0197a0c5-7e8e-7000-8000-00000000000" last)

static const struct record_key TRIP = {DATA_TYPE_TRIP, {(const uint8_t *)"t", 1}};

static struct slice key_of(const char *who, const char *device, enum data_type type,
                           const char *id) {
    struct record_key key = {type, slice_text(id)};
    struct slice bytes;
    assert_int_equal(conflict_hold_key(slice_text(who), slice_text(device), &key, &arena, &bytes),
                     SYNC_OK);
    return bytes;
}

static void keys_differ_by_user_device_type_and_record(void **state) {
    (void)state;
    const struct slice keys[] = {
        key_of("u", "d", DATA_TYPE_TRIP, "t"), key_of("v", "d", DATA_TYPE_TRIP, "t"),
        key_of("u", "e", DATA_TYPE_TRIP, "t"), key_of("u", "d", DATA_TYPE_BOOKING, "t"),
        key_of("u", "d", DATA_TYPE_TRIP, "s"), key_of("ud", "d", DATA_TYPE_TRIP, "t")};
    enum { COUNT = sizeof keys / sizeof *keys };
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++)
            assert_int_equal(slice_equal(keys[i], keys[j]), i == j);
    assert_true(slice_equal(keys[0], key_of("u", "d", DATA_TYPE_TRIP, "t")));
}

static const struct hold_cause CAUSE = {{(const uint8_t *)"c", 1}, {7}};

static struct conflict_hold open_row(const struct row *row) {
    struct conflict_hold hold;
    assert_int_equal(conflict_hold_open(row, &TRIP, &arena, &hold), SYNC_OK);
    return hold;
}

/* Writes the hold, and the row as it is stored then. */
static void write_row(struct conflict_hold *hold, struct user_head *head, struct row *row) {
    struct write_build build;
    assert_int_equal(write_build_init(&build, SLICE("u"), head, 1, &arena), SYNC_OK);
    assert_int_equal(conflict_hold_write(&build, hold), SYNC_OK);
    if (build.row_count > 0) {
        assert_true(slice_equal(build.rows[0].key, row->key));
        row->value = build.rows[0].value;
        row->found = !build.rows[0].remove;
    }
    *head = build.head;
    write_build_done(&build);
}

static void the_oldest_conflict_holds_until_all_have_ended(void **state) {
    (void)state;
    struct row row = {.table = TABLE_CONFLICT_HOLD, .key = SLICE("k")};
    struct user_head head = {0};
    struct conflict_hold hold = open_row(&row);
    conflict_hold_end(&hold, ID("1"));
    assert_false(hold.is_dirty);
    for (int time = 0; time < 2; time++)
        assert_int_equal(conflict_hold_begin(&hold, ID("1"), &CAUSE, &arena), SYNC_OK);
    assert_int_equal(conflict_hold_begin(&hold, ID("2"), &CAUSE, &arena), SYNC_OK);
    write_row(&hold, &head, &row);
    hold = open_row(&row);
    assert_true(slice_equal(conflict_hold_first(&hold), ID("1")));
    const struct hold_cause *cause;
    assert_true(slice_equal(conflict_hold_of(&hold, SLICE("c"), &cause), ID("1")));
    assert_memory_equal(cause->payload_hash, CAUSE.payload_hash, PAYLOAD_HASH_SIZE);
    assert_int_equal(conflict_hold_of(&hold, SLICE("d"), &cause).size, 0);
    row.value = slice_first(row.value, 2 * UUID_TEXT_SIZE); /* as rows were once */
    hold = open_row(&row);
    assert_int_equal(hold.id_count, 2);
    assert_int_equal(conflict_hold_of(&hold, SLICE("c"), &cause).size, 0);
    conflict_hold_end(&hold, ID("1"));
    assert_true(slice_equal(conflict_hold_first(&hold), ID("2")));
    conflict_hold_end(&hold, ID("2"));
    write_row(&hold, &head, &row);
    assert_false(row.found);
    hold = open_row(&row);
    assert_int_equal(conflict_hold_first(&hold).size, 0);
}

static void what_is_held_reads_back_in_order(void **state) {
    (void)state;
    struct row row = {.table = TABLE_CONFLICT_HOLD, .key = SLICE("k")};
    struct user_head head = {0};
    struct conflict_hold hold = open_row(&row);
    struct change changes[] = {change_of("a", CHANGE_UPDATE, "{\"n\":1}"),
                               change_of("b", CHANGE_DELETE, NULL),
                               change_of("c", CHANGE_CREATE, "{}")};
    /* The latest change is behind the conflict with the greatest id, in whatever order they came.
     */
    assert_int_equal(conflict_hold_begin(&hold, ID("2"), &CAUSE, &arena), SYNC_OK);
    assert_int_equal(conflict_hold_begin(&hold, ID("1"), &CAUSE, &arena), SYNC_OK);
    for (int i = 0; i < 3; i++) {
        changes[i].base_version = 7 + (uint64_t)i;
        assert_int_equal(conflict_hold_add(&hold, &head, &changes[i], NOW - i, &arena), SYNC_OK);
    }
    write_row(&hold, &head, &row);
    assert_int_equal(head.held_bytes, hold.bytes);
    hold = open_row(&row);
    assert_int_equal(hold.change_count, 3);
    assert_int_equal(hold.bytes, head.held_bytes);
    for (int i = 0; i < 3; i++) {
        const struct held_change *held = &hold.changes[i];
        assert_true(slice_equal(held->change.id, changes[i].id));
        assert_int_equal(held->change.kind, changes[i].kind);
        assert_int_equal(held->change.type, DATA_TYPE_TRIP);
        assert_true(slice_equal(held->change.data_id, TRIP.id));
        assert_true(slice_equal(held->change.data, changes[i].data));
        assert_int_equal(held->change.device_us, changes[i].device_us);
        assert_int_equal(held->change.base_version, 7 + i);
        assert_int_equal(held->corrected_us, NOW - i);
        assert_memory_equal(held->change.payload_hash, changes[i].payload_hash, PAYLOAD_HASH_SIZE);
        assert_true(slice_equal(held->conflict_id, ID("2")));
        assert_ptr_equal(conflict_hold_find(&hold, changes[i].id), held);
    }
    assert_null(conflict_hold_find(&hold, SLICE("d")));
    conflict_hold_end(&hold, ID("1"));
    conflict_hold_end(&hold, ID("2"));
    assert_int_equal(conflict_hold_begin(&hold, ID("3"), &CAUSE, &arena), SYNC_OK);
    conflict_hold_release(&hold, 2);
    assert_true(slice_equal(hold.changes[0].change.id, SLICE("c")));
    assert_true(slice_equal(hold.changes[0].conflict_id, ID("3")));
    write_row(&hold, &head, &row);
    assert_int_equal(head.held_bytes, hold.bytes);
    conflict_hold_end(&hold, ID("3"));
    conflict_hold_release(&hold, 1);
    write_row(&hold, &head, &row);
    assert_int_equal(head.held_bytes, 0);
    assert_false(row.found);
}

static void once_something_had_no_room_nothing_behind_it_is_held(void **state) {
    (void)state;
    struct row row = {.table = TABLE_CONFLICT_HOLD, .key = SLICE("k")};
    struct user_head head = {0};
    struct conflict_hold hold = open_row(&row);
    struct change change = change_of("a", CHANGE_UPDATE, "{\"n\":1}");
    assert_int_equal(conflict_hold_begin(&hold, ID("1"), &CAUSE, &arena), SYNC_OK);
    for (int i = 0; i < HELD_CHANGES_MAX; i++)
        assert_int_equal(conflict_hold_add(&hold, &head, &change, NOW, &arena), SYNC_OK);
    assert_int_equal(conflict_hold_add(&hold, &head, &change, NOW, &arena), SYNC_ERR_EXHAUSTED);
    write_row(&hold, &head, &row);
    hold = open_row(&row);
    assert_true(hold.is_full);
    assert_int_equal(hold.change_count, HELD_CHANGES_MAX);
    conflict_hold_end(&hold, ID("1"));
    conflict_hold_release(&hold, HELD_CHANGES_MAX);
    assert_false(hold.is_full);
    /* The bytes of a record, and of the user. */
    assert_int_equal(conflict_hold_begin(&hold, ID("2"), &CAUSE, &arena), SYNC_OK);
    head.held_bytes = 0;
    hold.row_bytes = 0;
    change.data = slice_of(arena_zalloc(&arena, 1, HELD_BYTES_MAX), HELD_BYTES_MAX);
    assert_int_equal(conflict_hold_add(&hold, &head, &change, NOW, &arena), SYNC_ERR_EXHAUSTED);
    hold.is_full = false;
    change.data.size = CHANGE_DATA_MAX;
    assert_int_equal(conflict_hold_add(&hold, &head, &change, NOW, &arena), SYNC_OK);
    head.held_bytes = USER_HELD_BYTES_MAX - 2 * CHANGE_DATA_MAX;
    assert_int_equal(conflict_hold_add(&hold, &head, &change, NOW, &arena), SYNC_ERR_EXHAUSTED);
}

static void a_services_conflict_holds_nothing(void **state) {
    (void)state;
    struct conflict conflict = {.id = ID("1"), .user = SLICE("u"), .key = TRIP};
    struct conflict_hold hold = open_row(NULL);
    struct user_head head = {0};
    struct row row = {.table = TABLE_CONFLICT_HOLD};
    bool holds = true;
    assert_int_equal(conflict_hold_begin(&hold, ID("1"), &CAUSE, &arena), SYNC_OK);
    assert_int_equal(hold.id_count, 0);
    conflict_hold_end(&hold, ID("1"));
    write_row(&hold, &head, &row);
    assert_int_equal(conflict_hold_row(&conflict, &arena, &holds, &row), SYNC_OK);
    assert_false(holds);
    struct touched want;
    assert_int_equal(conflict_touch(&conflict, NULL, &arena, &want), SYNC_OK);
    assert_int_equal(want.row_count, 0);
    assert_int_equal(want.record_count, 1);
    assert_false(want.records[0].history);
}

static void a_damaged_row_is_told(void **state) {
    (void)state;
    static const struct slice DAMAGED[] = {
        SLICE("short"),
        {(const uint8_t *)"\0\xff", 2},      /* no field */
        {(const uint8_t *)"\0\x0a\x05z", 4}, /* cut */
        {(const uint8_t *)"\0\x0a\0", 3},    /* a change without an id */
    };
    for (size_t i = 0; i < sizeof DAMAGED / sizeof *DAMAGED; i++) {
        struct row row = {
            .table = TABLE_CONFLICT_HOLD, .key = SLICE("k"), .value = DAMAGED[i], .found = true};
        struct conflict_hold hold;
        assert_int_equal(conflict_hold_open(&row, &TRIP, &arena, &hold), SYNC_ERR_CORRUPT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(keys_differ_by_user_device_type_and_record),
        USER_TEST(the_oldest_conflict_holds_until_all_have_ended),
        USER_TEST(what_is_held_reads_back_in_order),
        USER_TEST(once_something_had_no_room_nothing_behind_it_is_held),
        USER_TEST(a_services_conflict_holds_nothing),
        USER_TEST(a_damaged_row_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
