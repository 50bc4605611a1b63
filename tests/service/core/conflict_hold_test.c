/* What open conflicts hold back. What comes of it is in change_batch_test.c. */
#include "service/core/conflict_hold.h"

#include "service/core/write_build.h"
#include "tests/service/core/batch_sending.h"

#define ID(last) "0197a0c5-7e8e-7000-8000-00000000000" last

static struct conflict conflict_of(const char *id, const char *device) {
    return (struct conflict){.id = slice_text(id),
                             .user = SLICE("u"),
                             .device = slice_text(device),
                             .key = {DATA_TYPE_TRIP, SLICE("t")}};
}

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

/* Begins or ends a hold on the row, which becomes what is written. */
static enum sync_status hold(struct row *row, const struct conflict *conflict, bool begins) {
    struct write_build build;
    struct user_head head = {0};
    enum sync_status status = write_build_init(&build, SLICE("u"), &head, 1, &arena);
    if (!status)
        status = begins ? conflict_hold_begin(&build, row, conflict)
                        : conflict_hold_end(&build, row, conflict);
    if (!status && build.row_count > 0) {
        row->value = build.rows[0].value;
        row->found = !build.rows[0].remove;
    }
    write_build_done(&build);
    return status;
}

static void the_oldest_conflict_holds_until_all_have_ended(void **state) {
    (void)state;
    struct row row = {.table = TABLE_CONFLICT_HOLD, .key = SLICE("k")};
    struct conflict a = conflict_of(ID("1"), "d"), b = conflict_of(ID("2"), "d");
    assert_int_equal(conflict_hold_first(&row).size, 0);
    assert_int_equal(hold(&row, &a, false), SYNC_OK); /* one from before there were rows */
    assert_false(row.found);
    assert_int_equal(hold(&row, &a, true), SYNC_OK);
    assert_int_equal(hold(&row, &a, true), SYNC_OK);
    assert_int_equal(hold(&row, &b, true), SYNC_OK);
    assert_int_equal(row.value.size, 2 * UUID_TEXT_SIZE);
    assert_true(slice_equal(conflict_hold_first(&row), a.id));
    assert_int_equal(hold(&row, &a, false), SYNC_OK);
    assert_true(slice_equal(conflict_hold_first(&row), b.id));
    assert_int_equal(hold(&row, &a, false), SYNC_OK);
    assert_int_equal(hold(&row, &b, false), SYNC_OK);
    assert_false(row.found);
    assert_int_equal(conflict_hold_first(&row).size, 0);
}

static void a_services_conflict_holds_nothing(void **state) {
    (void)state;
    struct row row = {.table = TABLE_CONFLICT_HOLD, .key = SLICE("k")};
    struct conflict conflict = conflict_of(ID("1"), "");
    assert_int_equal(hold(&row, &conflict, true), SYNC_OK);
    assert_false(row.found);
    struct touched want;
    assert_int_equal(conflict_touch(&conflict, &arena, &want), SYNC_OK);
    assert_int_equal(want.row_count, 0);
    assert_int_equal(want.record_count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(keys_differ_by_user_device_type_and_record),
        USER_TEST(the_oldest_conflict_holds_until_all_have_ended),
        USER_TEST(a_services_conflict_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
