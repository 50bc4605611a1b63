#include "service/core/pull.h"

#include "base/clock.h"
#include "service/core/delta.h"
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

static struct log_entry entry_between(const char *before, const char *after) {
    struct log_entry entry = {.previous_deleted = !before};
    if (before)
        assert_int_equal(delta_between(doc(after), doc(before), &arena, &entry.undo), SYNC_OK);
    return entry;
}

static const char NEW[] = "{\"a\":2,\"b\":{\"c\":1},\"long\":\"a text that makes it worth it\"}";
static const char MIDDLE[] = "{\"a\":1,\"b\":{\"c\":1},\"long\":\"a text that makes it worth it\"}";
static const char OLD[] = "{\"a\":1,\"b\":{\"c\":2},\"long\":\"a text that makes it worth it\"}";

static void a_patch_spans_the_whole_history(void **state) {
    (void)state;
    struct pulled item = pulled_of(DATA_TYPE_TRIP, "t", NEW);
    struct log_entry history[] = {entry_between(MIDDLE, NEW), entry_between(OLD, MIDDLE)};
    assert_int_equal(pull_make_patch(&item, history, 2, &arena), SYNC_OK);
    assert_true(item.is_patch);
    assert_document(item.patch, "{\"a\":2,\"b\":{\"c\":1}}");
}

static void what_cannot_be_a_patch_is_sent_whole(void **state) {
    (void)state;
    struct pulled item = pulled_of(DATA_TYPE_TRIP, "t", NEW);
    struct log_entry made[] = {entry_between(MIDDLE, NEW), entry_between(NULL, MIDDLE)};
    assert_int_equal(pull_make_patch(&item, made, 2, &arena), SYNC_OK);
    assert_false(item.is_patch);
    struct pulled gone = pulled_of(DATA_TYPE_TRIP, "t", NULL);
    assert_int_equal(pull_make_patch(&gone, made, 1, &arena), SYNC_OK);
    assert_false(gone.is_patch);
    struct pulled null = pulled_of(DATA_TYPE_TRIP, "t", "{\"a\":null,\"b\":1}");
    struct log_entry set_null[] = {entry_between("{\"a\":1,\"b\":1}", "{\"a\":null,\"b\":1}")};
    assert_int_equal(pull_make_patch(&null, set_null, 1, &arena), SYNC_OK);
    assert_false(null.is_patch);
    struct pulled small = pulled_of(DATA_TYPE_TRIP, "t", "{\"a\":1}");
    struct log_entry larger[] = {entry_between("{\"b\":1}", "{\"a\":1}")};
    assert_int_equal(pull_make_patch(&small, larger, 1, &arena), SYNC_OK);
    assert_false(small.is_patch);
}

static void damaged_history_is_told(void **state) {
    (void)state;
    struct pulled item = pulled_of(DATA_TYPE_TRIP, "t", NEW);
    struct log_entry history[] = {{.undo = SLICE("\x09")}};
    assert_int_equal(pull_make_patch(&item, history, 1, &arena), SYNC_ERR_CORRUPT);
    assert_false(item.is_patch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_the_traveller_needs_soonest_comes_first),
        ARENA_TEST(types_come_in_the_order_that_is_asked_for),
        ARENA_TEST(a_patch_spans_the_whole_history),
        ARENA_TEST(what_cannot_be_a_patch_is_sent_whole),
        ARENA_TEST(damaged_history_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
