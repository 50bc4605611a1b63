// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "service/core/pull.h"
#include "service/rpc/lap.h"
#include "service/rpc/messages.h"
#include "tests/service/rpc/service_fixture.h"

enum { INDEX_BYTES = 1 << 20, RECORDS = 700, PAGE_BYTES = 8 << 10 };

#define USER "anna"

/* A device that takes a lap page by page. */
struct reader {
    struct service_fixture *fixture;
    struct lap lap;
    struct session_page_want want;
    size_t index_bytes_max;
    struct session_answer answer; /* of the last page */
    unsigned pages;
};

static struct reader reader_of(struct service_fixture *fixture, bool has_from, uint64_t from) {
    return (struct reader){.fixture = fixture,
                           .index_bytes_max = INDEX_BYTES,
                           .want = {.types = DATA_TYPES_ALL,
                                    .begins = true,
                                    .lap = {.has_from = has_from, .from = from},
                                    .bytes_max = PAGE_BYTES,
                                    .records_max = 100}};
}

/* Reads a page, and stands behind it then. */
static enum sync_status reader_read(struct reader *reader) {
    struct lap_source source = {.store = reader->fixture->service.store,
                                .user = SLICE(USER),
                                .now_us = (int64_t)reader->fixture->now_us,
                                .index_bytes_max = reader->index_bytes_max};
    lap_read(&reader->lap, &source, &reader->want, &reader->fixture->arena, &reader->answer);
    if (reader->answer.error.status == SYNC_OK) {
        reader->want.begins = false;
        reader->want.lap = reader->answer.page.lap;
        reader->pages++;
    }
    return reader->answer.error.status;
}

/* Changes a booking; every seventh has a start, so that ranks differ. */
static void put(struct service_fixture *fixture, int number, const char *word) {
    char id[32], json[1200], filling[900];
    int size = number * 37 % 800;
    memset(filling, 'x', (size_t)size);
    filling[size] = 0;
    snprintf(id, sizeof id, "b-%d", number);
    if (number % 7 == 0)
        snprintf(json, sizeof json, "{\"word\":\"%s\",\"startsAt\":\"2023-11-%02dT08:00:00Z\"}",
                 word, 1 + number % 28);
    else
        snprintf(json, sizeof json, "{\"word\":\"%s\",\"filling\":\"%s\"}", word, filling);
    service_fixture_change(fixture, USER, CHANGE_CREATE, id, json);
}

static void put_many(struct service_fixture *fixture, int count) {
    for (int i = 0; i < count; i++)
        put(fixture, i, "first");
}

/* What a whole pull of the live records gives. */
struct whole {
    struct service_fixture *fixture;
    struct pulled items[2 * RECORDS];
    size_t count;
};

static bool whole_visit(void *context, const struct scan_item *item) {
    struct whole *whole = context;
    if (item->record->deleted)
        return true;
    struct pulled *pulled = &whole->items[whole->count++];
    *pulled = (struct pulled){.record = *item->record,
                              .rank = pull_rank(item->record, (int64_t)whole->fixture->now_us)};
    return arena_copy(&whole->fixture->arena, item->record->key.id, &pulled->record.key.id);
}

static void whole_read(struct whole *whole, struct service_fixture *fixture) {
    *whole = (struct whole){.fixture = fixture};
    struct scan scan = {.kind = SCAN_RECORDS, .user = SLICE(USER), .type = DATA_TYPE_BOOKING};
    assert_int_equal(store_scan(fixture->service.store, NULL, &scan, whole_visit, whole), SYNC_OK);
    pull_sort(whole->items, whole->count);
}

/* Reads pages to the end and compares them with the whole from `place` on. */
static void reader_expect(struct reader *reader, const struct whole *whole, size_t place) {
    do {
        assert_int_equal(reader_read(reader), SYNC_OK);
        assert_int_equal(reader->answer.page.records_left,
                         whole->count - place - reader->answer.page.count);
        for (size_t i = 0; i < reader->answer.page.count; i++, place++) {
            assert_true(place < whole->count);
            assert_memory_equal(reader->answer.page.records[i]->data_id,
                                whole->items[place].record.key.id.data,
                                whole->items[place].record.key.id.size);
        }
        bool is_bounded = reader->answer.page.bytes <= PAGE_BYTES || reader->answer.page.count == 1;
        assert_true(is_bounded);
    } while (!reader->answer.page.ends);
    assert_int_equal(place, whole->count);
    assert_int_equal(reader->answer.page.bytes_left, 0);
    assert_null(reader->lap.index);
}

static void pages_together_are_one_whole_pull(void **state) {
    struct service_fixture *fixture = *state;
    static struct whole whole;
    put_many(fixture, RECORDS);
    whole_read(&whole, fixture);
    struct reader reader = reader_of(fixture, false, 0);
    reader_expect(&reader, &whole, 0);
    assert_true(reader.pages > 10);
    assert_true(reader.answer.page.is_exact);
    struct user_head head = service_fixture_head(fixture, USER);
    assert_int_equal(reader.answer.page.lap.target, head.sequence);
    assert_memory_equal(&reader.answer.page.checksum, &head.checksum, sizeof head.checksum);
}

static void a_lap_goes_on_behind_its_cursor(void **state) {
    struct service_fixture *fixture = *state;
    static struct whole whole;
    put_many(fixture, RECORDS);
    whole_read(&whole, fixture);
    struct reader first = reader_of(fixture, false, 0);
    size_t place = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(reader_read(&first), SYNC_OK);
        place += first.answer.page.count;
    }
    struct reader second = reader_of(fixture, false, 0); /* another session */
    second.want = first.want;
    reader_expect(&second, &whole, place);
    assert_true(second.answer.page.is_exact);
    lap_release(&first.lap); /* as when it pauses */
    reader_expect(&first, &whole, place);
}

static void a_small_index_brings_the_same(void **state) {
    struct service_fixture *fixture = *state;
    static struct whole whole;
    put_many(fixture, RECORDS);
    whole_read(&whole, fixture);
    struct reader reader = reader_of(fixture, false, 0);
    reader.index_bytes_max = 2000;
    reader_expect(&reader, &whole, 0);
    assert_true(reader.answer.page.is_exact);
    struct reader large = reader_of(fixture, false, 0);
    large.want.bytes_max = UINT32_MAX;
    large.want.records_max = 1;
    large.index_bytes_max = 2000;
    assert_int_equal(reader_read(&large), SYNC_OK);
    assert_in_range(lap_index_bytes(large.lap.index), 1, 8000);
    lap_release(&large.lap);
}

static void what_is_newer_than_the_target_is_left_to_the_next_lap(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, 300);
    struct reader reader = reader_of(fixture, false, 0);
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_true(reader.answer.page.is_exact);
    char first[32];
    snprintf(first, sizeof first, "%s", reader.answer.page.records[0]->data_id);
    service_fixture_change(fixture, USER, CHANGE_DELETE, first, NULL); /* sent already */
    put(fixture, 299, "second"); /* one of the last, of the largest ids */
    put(fixture, 1000, "new");
    size_t seen = reader.answer.page.count;
    while (!reader.answer.page.ends) {
        assert_int_equal(reader_read(&reader), SYNC_OK);
        seen += reader.answer.page.count;
        for (size_t i = 0; i < reader.answer.page.count; i++)
            assert_true((uint64_t)reader.answer.page.records[i]->version <=
                        reader.answer.page.lap.target);
    }
    assert_int_equal(seen, 299);
    assert_false(reader.answer.page.is_exact);
    assert_int_equal(reader.answer.page.head, 303);
    struct reader next = reader_of(fixture, true, reader.answer.page.lap.target);
    assert_int_equal(reader_read(&next), SYNC_OK);
    assert_true(next.answer.page.ends);
    assert_true(next.answer.page.is_exact);
    assert_int_equal(next.answer.page.count, 3);
    assert_true(next.answer.page.records[0]->deleted); /* tombstones come first of their type */
    assert_string_equal(next.answer.page.records[0]->data_id, first);
    assert_int_equal(next.answer.page.lap.target, 303);
}

static void a_snapshot_resumed_on_moved_data_is_not_exact(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, 300);
    struct reader first = reader_of(fixture, false, 0);
    assert_int_equal(reader_read(&first), SYNC_OK);
    lap_release(&first.lap);
    put(fixture, 0, "second");
    struct reader second = reader_of(fixture, false, 0);
    second.want = first.want;
    while (!second.answer.page.ends)
        assert_int_equal(reader_read(&second), SYNC_OK);
    assert_false(second.answer.page.is_exact);
}

static void changes_come_once_each_with_their_last_state(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, 20);
    uint64_t from = service_fixture_head(fixture, USER).sequence;
    put(fixture, 3, "second");
    put(fixture, 3, "third");
    service_fixture_change(fixture, USER, CHANGE_DELETE, "b-4", NULL);
    struct reader reader = reader_of(fixture, true, from);
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_true(reader.answer.page.ends);
    assert_int_equal(reader.answer.page.count, 2);
    assert_true(reader.answer.page.records[0]->deleted);
    assert_string_equal(reader.answer.page.records[1]->data_id, "b-3");
    assert_int_equal(reader.answer.page.records[1]->version, from + 2);
    assert_int_equal(reader.answer.page.lap.target, from + 3);
    assert_true(reader.answer.page.is_exact);
    /* Of other types there is nothing, but the cursor moves on. */
    struct reader trips = reader_of(fixture, true, from);
    trips.want.types = 1u << DATA_TYPE_TRIP;
    assert_int_equal(reader_read(&trips), SYNC_OK);
    assert_int_equal(trips.answer.page.count, 0);
    assert_int_equal(trips.answer.page.lap.target, from + 3);
    assert_true(trips.answer.page.ends);
}

static void many_changes_come_in_pages(void **state) {
    struct service_fixture *fixture = *state;
    static struct whole whole;
    put(fixture, 0, "zeroth");
    put_many(fixture, RECORDS);
    whole_read(&whole, fixture);
    struct reader reader = reader_of(fixture, true, 1); /* more than are read at once */
    reader_expect(&reader, &whole, 0);
    assert_true(reader.answer.page.is_exact);
    put_many(fixture, RECORDS);
    struct reader again = reader_of(fixture, true, 1);
    again.index_bytes_max = 3000;
    whole_read(&whole, fixture);
    reader_expect(&again, &whole, 0);
}

static void patches_stand_for_small_changes(void **state) {
    struct service_fixture *fixture = *state;
    for (int count = 300; count > 0; count = 0) {
        for (int i = 1; i <= count; i++)
            put(fixture, 21, i % 2 ? "odd" : "even");
    }
    uint64_t from = service_fixture_head(fixture, USER).sequence;
    put(fixture, 22, "first");
    put(fixture, 22, "second");
    uint64_t between = from + 1;
    struct reader reader = reader_of(fixture, true, between);
    reader.want.patches = PATCH_FORM_MERGE;
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_int_equal(reader.answer.page.count, 1);
    assert_int_equal(reader.answer.page.records[0]->patch_presence_case,
                     TRAVELSENSE__SYNC__V1__RECORD__PATCH_PRESENCE_PATCH);
    assert_true(reader.answer.page.bytes < 100);
    struct reader whole = reader_of(fixture, true, between);
    assert_int_equal(reader_read(&whole), SYNC_OK);
    assert_int_equal(whole.answer.page.records[0]->data_presence_case,
                     TRAVELSENSE__SYNC__V1__RECORD__DATA_PRESENCE_DATA);
}

static void one_large_record_is_a_page(void **state) {
    struct service_fixture *fixture = *state;
    put(fixture, 1, "first");
    put(fixture, 2, "first");
    struct reader reader = reader_of(fixture, true, 0);
    reader.want.bytes_max = 10;
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_int_equal(reader.answer.page.count, 1);
    assert_false(reader.answer.page.ends);
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_int_equal(reader.answer.page.count, 1);
    assert_true(reader.answer.page.ends);
}

static void nothing_new_is_an_empty_last_page(void **state) {
    struct service_fixture *fixture = *state;
    struct reader nobody = reader_of(fixture, false, 0);
    assert_int_equal(reader_read(&nobody), SYNC_OK);
    assert_true(nobody.answer.page.ends);
    assert_int_equal(nobody.answer.page.count, 0);
    put(fixture, 1, "first");
    struct reader reader = reader_of(fixture, true, 1);
    assert_int_equal(reader_read(&reader), SYNC_OK);
    assert_true(reader.answer.page.ends);
    assert_int_equal(reader.answer.page.count, 0);
    assert_int_equal(reader.answer.page.lap.target, 1);
    assert_true(reader.answer.page.is_exact);
}

static void a_cursor_behind_the_log_or_ahead_of_the_data_is_refused(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, 10);
    struct reader ahead = reader_of(fixture, true, 11);
    assert_int_equal(reader_read(&ahead), SYNC_ERR_INVALID);
    assert_string_equal(ahead.answer.error.reason, "INVALID_CURSOR");
    ahead.want.begins = false;
    ahead.want.lap = (struct lap_cursor){.target = 99, .id_size = 1, .id = "x"};
    assert_int_equal(reader_read(&ahead), SYNC_ERR_INVALID);
    struct store_trim trim = {.user = SLICE(USER), .log_before_us = INT64_MAX};
    assert_int_equal(store_trim(fixture->service.store, &trim), SYNC_OK);
    uint64_t floor = service_fixture_head(fixture, USER).log_floor;
    assert_true(floor > 2);
    struct reader behind = reader_of(fixture, true, 2);
    assert_int_equal(reader_read(&behind), SYNC_ERR_PRECONDITION);
    assert_string_equal(behind.answer.error.reason, "RESYNC_REQUIRED");
    behind.want.begins = false;
    behind.want.lap.target = 5;
    behind.want.lap.id_size = 1;
    assert_int_equal(reader_read(&behind), SYNC_ERR_PRECONDITION);
    struct reader snapshot = reader_of(fixture, false, 0);
    assert_int_equal(reader_read(&snapshot), SYNC_OK);
    assert_int_equal(snapshot.answer.page.count, 10);
}

static void a_page_without_memory_fails_and_the_next_goes_on(void **state) {
    struct service_fixture *fixture = *state;
    static struct whole whole;
    put_many(fixture, 300);
    whole_read(&whole, fixture);
    struct reader reader = reader_of(fixture, false, 0);
    assert_int_equal(reader_read(&reader), SYNC_OK);
    size_t place = reader.answer.page.count;
    lap_release(&reader.lap);
    for (uint64_t n = 1; n < 400; n++) {
        memory_fail_after(n);
        enum sync_status status = reader_read(&reader);
        bool is_through = memory_count() < n;
        memory_fail_after(0);
        if (status == SYNC_OK) {
            place += reader.answer.page.count;
            if (is_through)
                break;
        }
    }
    reader_expect(&reader, &whole, place);
}

static void an_index_keeps_what_comes_first(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    static struct lap_item items[COUNT];
    static char ids[COUNT][16];
    struct lap_index *index = lap_index_open(20000);
    for (size_t i = 0; i < COUNT; i++) {
        int length = snprintf(ids[i], sizeof ids[i], "id-%zu", i * 7919 % COUNT);
        items[i] = (struct lap_item){
            .rank = i * 104729 % 50,
            .key = {.type = (enum data_type)(1 + i % 4), .id = slice_of(ids[i], (size_t)length)},
            .size = 3};
        assert_true(lap_index_add(index, &items[i]));
        assert_true(lap_index_bytes(index) < 40000);
    }
    lap_index_sort(index);
    qsort(items, COUNT, sizeof items[0],
          (int (*)(const void *, const void *))(void *)lap_item_compare);
    assert_true(lap_index_is_cut(index));
    size_t count = lap_index_count(index);
    assert_in_range(count, 200, 800);
    for (size_t i = 0; i < count; i++) {
        struct lap_item item = lap_index_at(index, i);
        assert_int_equal(lap_item_compare(&item, &items[i]), 0);
    }
    uint64_t bytes;
    assert_int_equal(lap_index_total(index, &bytes), COUNT);
    assert_int_equal(bytes, 3 * COUNT);
    lap_index_close(index);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pages_together_are_one_whole_pull),
        TEST(a_lap_goes_on_behind_its_cursor),
        TEST(a_small_index_brings_the_same),
        TEST(what_is_newer_than_the_target_is_left_to_the_next_lap),
        TEST(a_snapshot_resumed_on_moved_data_is_not_exact),
        TEST(changes_come_once_each_with_their_last_state),
        TEST(many_changes_come_in_pages),
        TEST(patches_stand_for_small_changes),
        TEST(one_large_record_is_a_page),
        TEST(nothing_new_is_an_empty_last_page),
        TEST(a_cursor_behind_the_log_or_ahead_of_the_data_is_refused),
        TEST(a_page_without_memory_fails_and_the_next_goes_on),
        cmocka_unit_test(an_index_keeps_what_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
