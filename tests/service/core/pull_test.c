#include "service/core/pull.h"

#include "base/clock.h"
#include "service/core/delta.h"
#include "service/core/field_stamps.h"
#include "tests/service/core/test_arena.h"

static int64_t time_of(const char *text) {
    int64_t time_us;
    assert_true(time_parse(slice_text(text), &time_us));
    return time_us;
}

static struct pulled pulled_of(enum data_type type, const char *id, const char *json) {
    struct pulled item = {
        .record = {.key = {type, slice_text(id)}, .version = 1, .deleted = json == NULL}};
    if (json)
        item.record.data = doc(json);
    item.rank = pull_rank(&item.record, time_of("2026-06-01T12:00:00Z"));
    return item;
}

static void what_the_traveller_needs_soonest_comes_first(void **state) {
    (void)state;
    struct pulled items[] = {
        pulled_of(DATA_TYPE_PREFERENCE, "pref", "{}"),
        pulled_of(DATA_TYPE_PROFILE, "prof", "{}"),
        pulled_of(DATA_TYPE_TRIP, "9-trip-none", "{}"),
        pulled_of(DATA_TYPE_TRIP, "8-trip-soon", "{\"startDate\":\"2026-06-02\"}"),
        pulled_of(DATA_TYPE_BOOKING, "7-none", "{\"name\":\"x\"}"),
        pulled_of(DATA_TYPE_BOOKING, "6-year", "{\"checkinTime\":\"2027-06-01\"}"),
        pulled_of(DATA_TYPE_BOOKING, "5-flight",
                  "{\"reservationFor\":{\"departureTime\":{\"@type\":\"QDateTime\","
                  "\"@value\":\"2026-06-01T16:00:00+02:00\",\"timezone\":\"Europe/Rome\"}}}"),
        pulled_of(DATA_TYPE_BOOKING, "4-past", "{\"pickupTime\":\"2026-06-01T11:30:00Z\"}"),
        pulled_of(DATA_TYPE_BOOKING, "3-gone", NULL),
        pulled_of(DATA_TYPE_BOOKING, "2-bad", "{\"startTime\":\"soon\"}"),
        pulled_of(DATA_TYPE_BOOKING, "1-event",
                  "{\"reservationFor\":{\"startDate\":\"2026-06-04\"}}"),
    };
    enum { COUNT = sizeof items / sizeof *items };
    static const char *const EXPECTED[COUNT] = {"3-gone",      "4-past", "5-flight", "1-event",
                                                "6-year",      "2-bad",  "7-none",   "8-trip-soon",
                                                "9-trip-none", "prof",   "pref"};
    pull_sort(items, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(slice_equal(items[i].record.key.id, slice_text(EXPECTED[i])));
}

static void types_come_in_the_order_that_is_asked_for(void **state) {
    (void)state;
    enum { ORDER = DATA_TYPE_PROFILE | DATA_TYPE_BOOKING << 4 };
    static const enum data_type EXPECTED[] = {DATA_TYPE_PROFILE, DATA_TYPE_BOOKING, DATA_TYPE_TRIP};
    struct pulled items[] = {pulled_of(DATA_TYPE_TRIP, "a", "{\"startDate\":\"2026-06-02\"}"),
                             pulled_of(DATA_TYPE_BOOKING, "a", NULL),
                             pulled_of(DATA_TYPE_PROFILE, "a", "{}")};
    enum { COUNT = sizeof items / sizeof *items };
    for (size_t i = 0; i < COUNT; i++)
        items[i].rank = pull_rank_by(&items[i].record, 0, ORDER);
    pull_sort(items, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(items[i].record.key.type, EXPECTED[i]);
}

/* A record that was `before` at version 4, and is `after` at version 7. */
static struct pulled changed_of(const char *before, const char *after) {
    struct pulled item = pulled_of(DATA_TYPE_TRIP, "t", before);
    struct slice document = doc(after), undo;
    item.record.version = 4;
    assert_int_equal(delta_between(document, doc(before), &arena, &undo), SYNC_OK);
    struct field_change change = {
        .before = &item.record, .document = document, .undo = undo, .version = 7};
    struct slice stamps;
    assert_int_equal(field_stamps_after(&change, &arena, &stamps), SYNC_OK);
    item.record.version = 7;
    item.record.data = document;
    item.record.stamps = stamps;
    return item;
}

static const char NEW[] = "{\"a\":2,\"b\":{\"c\":1},\"long\":\"a text that makes it worth it\"}";
static const char OLD[] = "{\"a\":1,\"b\":{\"c\":1},\"long\":\"a text that makes it worth it\"}";

static void a_patch_has_the_changed_fields(void **state) {
    (void)state;
    for (uint64_t since = 4; since < 7; since++) {
        struct pulled item = changed_of(OLD, NEW);
        assert_int_equal(pull_make_patch(&item, since, PATCH_FORM_MERGE, &arena), SYNC_OK);
        assert_int_equal(item.form, PATCH_FORM_MERGE);
        assert_document(item.patch, "{\"a\":2}");
    }
}

static void what_cannot_be_a_patch_is_sent_whole(void **state) {
    (void)state;
    struct pulled new = changed_of(OLD, NEW);
    assert_int_equal(pull_make_patch(&new, 3, PATCH_FORM_MERGE, &arena), SYNC_OK);
    assert_int_equal(new.form, PATCH_FORM_NONE);
    struct pulled gone = pulled_of(DATA_TYPE_TRIP, "t", NULL);
    assert_int_equal(pull_make_patch(&gone, 1, PATCH_FORM_MERGE, &arena), SYNC_OK);
    assert_int_equal(gone.form, PATCH_FORM_NONE);
    struct pulled null = changed_of("{\"a\":1,\"b\":1}", "{\"a\":null,\"b\":1}");
    assert_int_equal(pull_make_patch(&null, 5, PATCH_FORM_MERGE, &arena), SYNC_OK);
    assert_int_equal(null.form, PATCH_FORM_NONE);
    struct pulled small = changed_of("{\"b\":1}", "{\"a\":1}");
    assert_int_equal(pull_make_patch(&small, 5, PATCH_FORM_MERGE, &arena), SYNC_OK);
    assert_int_equal(small.form, PATCH_FORM_NONE);
}

static void the_smallest_form_is_chosen(void **state) {
    (void)state;
    static const char BEFORE[] =
        "{\"legs\":[{\"id\":\"a\",\"n\":1},{\"id\":\"b\",\"n\":1}],\"s\":1}";
    static const char AFTER[] =
        "{\"legs\":[{\"id\":\"a\",\"n\":1},{\"id\":\"b\",\"n\":2}],\"s\":1}";
    struct pulled item = changed_of(BEFORE, AFTER);
    assert_int_equal(pull_make_patch(&item, 4, PATCH_FORM_OPERATIONS, &arena), SYNC_OK);
    assert_int_equal(item.form, PATCH_FORM_OPERATIONS);
    item = changed_of(BEFORE, AFTER);
    assert_int_equal(pull_make_patch(&item, 4, PATCH_FORM_MERGE, &arena), SYNC_OK);
    assert_int_equal(item.form, PATCH_FORM_MERGE);
    item = changed_of(OLD, NEW); /* a member of the record is as short in either */
    assert_int_equal(pull_make_patch(&item, 4, PATCH_FORM_OPERATIONS, &arena), SYNC_OK);
    assert_int_not_equal(item.form, PATCH_FORM_NONE);
    item = changed_of("{\"a\":1,\"b\":1,\"c\":\"text\"}", "{\"a\":null,\"b\":1,\"c\":\"text\"}");
    assert_int_equal(pull_make_patch(&item, 4, PATCH_FORM_OPERATIONS, &arena), SYNC_OK);
    assert_int_equal(item.form, PATCH_FORM_OPERATIONS); /* null, which no merge patch sets */
    item = changed_of(OLD, NEW);
    assert_int_equal(pull_make_patch(&item, 4, PATCH_FORM_NONE, &arena), SYNC_OK);
    assert_int_equal(item.form, PATCH_FORM_NONE);
}

static void damaged_stamps_are_told(void **state) {
    (void)state;
    struct pulled item = pulled_of(DATA_TYPE_TRIP, "t", NEW);
    item.record.stamps = SLICE("\x02");
    assert_int_equal(pull_make_patch(&item, 0, PATCH_FORM_MERGE, &arena), SYNC_ERR_CORRUPT);
    assert_int_equal(item.form, PATCH_FORM_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_the_traveller_needs_soonest_comes_first),
        ARENA_TEST(types_come_in_the_order_that_is_asked_for),
        ARENA_TEST(a_patch_has_the_changed_fields),
        ARENA_TEST(what_cannot_be_a_patch_is_sent_whole),
        ARENA_TEST(the_smallest_form_is_chosen),
        ARENA_TEST(damaged_stamps_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
