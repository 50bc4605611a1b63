/* Scans, readers, retention, writers that race. */
#include <pthread.h>

#include "tests/service/store/store_contract_tests.h"

/* Collects what a scan visits. */
struct seen {
    struct arena *arena;
    size_t count, stop_at;
    struct slice names[64];
    uint64_t numbers[2048];
};

static bool seen_visit(void *context, const struct scan_item *item) {
    struct seen *seen = context;
    struct slice name = item->record ? item->record->key.id
                        : item->row  ? item->row->key
                                     : item->user;
    if (item->entry)
        seen->numbers[seen->count] = item->entry->sequence;
    else
        assert_true(arena_copy(seen->arena, name, &seen->names[seen->count]));
    return ++seen->count != seen->stop_at;
}

static struct seen scan(struct contract *contract, const struct scan *what, size_t stop_at) {
    struct seen seen = {.arena = &contract->arena, .stop_at = stop_at};
    assert_int_equal(store_scan(contract->store, NULL, what, seen_visit, &seen), SYNC_OK);
    return seen;
}

void log_scan_resumes_inside_a_commit(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("log"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 50,
                                .data = SLICE("d")};
    for (size_t i = 0; i < 4; i++)
        wish.head = fixture_commit_of(contract->store, &wish);
    struct scan what = {.kind = SCAN_LOG, .user = wish.user, .after = 75};
    struct seen seen = scan(contract, &what, 0);
    assert_int_equal(seen.count, 125);
    for (size_t i = 0; i < seen.count; i++)
        assert_int_equal(seen.numbers[i], 76 + i);
    assert_int_equal(scan(contract, &what, 3).count, 3);
    what.after = 200;
    assert_int_equal(scan(contract, &what, 0).count, 0);
    what.after = UINT64_MAX;
    assert_int_equal(scan(contract, &what, 0).count, 0);
    what.after = 0;
    what.user = SLICE("lo");
    assert_int_equal(scan(contract, &what, 0).count, 0);
}

void record_scan_is_ordered_and_stays_in_its_type(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {
        .user = SLICE("scan"), .prefix = "r", .count = 5, .data = SLICE("d")};
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++) {
        wish.type = (enum data_type)type;
        wish.head = fixture_commit_of(contract->store, &wish);
    }
    struct scan what = {.kind = SCAN_RECORDS, .user = wish.user, .type = DATA_TYPE_PROFILE};
    struct seen seen = scan(contract, &what, 0);
    assert_int_equal(seen.count, 5);
    contract_assert_slice(seen.names[0], SLICE("r0"));
    contract_assert_slice(seen.names[4], SLICE("r4"));
    what.after_id = SLICE("r2");
    seen = scan(contract, &what, 0);
    assert_int_equal(seen.count, 2);
    contract_assert_slice(seen.names[0], SLICE("r3"));
    what.after_id = SLICE("r25");
    assert_int_equal(scan(contract, &what, 0).count, 2);
}

static void put_rows(struct contract *contract, struct row_write *rows, size_t count) {
    struct write_set set = {.rows = rows, .row_count = count};
    struct user_head head = {.sequence = 1};
    assert_int_equal(store_commit_wait(contract->store, &set, &head), SYNC_OK);
    assert_int_equal(head.sequence, 0);
}

void rows_are_put_scanned_by_prefix_and_removed(void **state) {
    struct contract *contract = *state;
    struct row_write rows[] = {
        {.table = TABLE_DEVICE, .key = SLICE("u\0a"), .value = SLICE("1")},
        {.table = TABLE_DEVICE, .key = SLICE("u\0b"), .value = SLICE_EMPTY},
        {.table = TABLE_DEVICE, .key = SLICE("u\0b\xff"), .value = SLICE("3")},
        {.table = TABLE_DEVICE, .key = SLICE("v\0a"), .value = SLICE("4")},
        {.table = TABLE_DEVICE_OWNER, .key = SLICE("u\0a"), .value = SLICE("5")},
    };
    put_rows(contract, rows, 5);
    struct scan what = {.kind = SCAN_ROWS, .table = TABLE_DEVICE, .prefix = SLICE("u\0")};
    struct seen seen = scan(contract, &what, 0);
    assert_int_equal(seen.count, 3);
    contract_assert_slice(seen.names[2], SLICE("u\0b\xff"));
    what.after_key = SLICE("u\0a");
    assert_int_equal(scan(contract, &what, 0).count, 2);
    what.prefix = SLICE("u\0b");
    assert_int_equal(scan(contract, &what, 0).count, 2);
    struct row row = {.table = TABLE_DEVICE, .key = SLICE("u\0b")};
    struct touched want = {.rows = &row, .row_count = 1};
    assert_true(contract_load(contract, &want).rows[0].found);
    assert_int_equal(contract_load(contract, &want).rows[0].value.size, 0);
    rows[1].remove = true;
    put_rows(contract, rows, 2);
    assert_false(contract_load(contract, &want).rows[0].found);
    row = (struct row){.table = TABLE_DEVICE_OWNER, .key = SLICE("u\0a")};
    contract_assert_slice(contract_load(contract, &want).rows[0].value, SLICE("5"));
}

void reader_keeps_its_view_while_others_commit(void **state) {
    struct contract *contract = *state;
    struct store_reader *reader;
    struct fixture_wish wish = {.user = SLICE("reader"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 2,
                                .data = SLICE("old")};
    struct user_head head = wish.head = fixture_commit_of(contract->store, &wish);
    assert_int_equal(store_reader_open(contract->store, &reader), SYNC_OK);
    wish.data = SLICE("new");
    wish.count = 3;
    wish.previous_version = 1;
    fixture_commit_of(contract->store, &wish);
    struct record_want want = {.key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true};
    struct change_want change = {SLICE("phone"), SLICE("change3")};
    struct touched touched = {.user = wish.user,
                              .records = &want,
                              .record_count = 1,
                              .changes = &change,
                              .change_count = 1};
    struct user_view view;
    assert_int_equal(store_load(contract->store, reader, &touched, &contract->arena, &view),
                     SYNC_OK);
    assert_memory_equal(&view.head, &head, sizeof head);
    contract_assert_slice(view.records[0].record.data, SLICE("old"));
    assert_int_equal(view.records[0].history_count, 1);
    assert_false(view.changes[0].found);
    struct seen seen = {.arena = &contract->arena};
    struct scan what = {.kind = SCAN_RECORDS, .user = wish.user, .type = DATA_TYPE_TRIP};
    assert_int_equal(store_scan(contract->store, reader, &what, seen_visit, &seen), SYNC_OK);
    assert_int_equal(seen.count, 2);
    store_reader_close(contract->store, reader);
    assert_true(contract_load(contract, &touched).changes[0].found);
}

void trim_raises_the_floor_and_says_so_to_histories(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("trim"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d")};
    for (size_t i = 0; i < 10; i++) {
        wish.time_us = (int64_t)(1000 * (i + 1));
        wish.previous_version = i;
        wish.head = fixture_commit_of(contract->store, &wish);
    }
    struct store_trim trim = {.user = wish.user, .log_before_us = 6000, .settled_before_us = 3000};
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    struct user_head head = fixture_head(contract->store, wish.user);
    assert_int_equal(head.log_floor, 5);
    assert_int_equal(head.sequence, 10);
    assert_true(head.revision > wish.head.revision);
    struct record_want want = {
        .key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true, .history_after = 5};
    assert_false(contract_load_record(contract, wish.user, &want).history_trimmed);
    want.history_after = 4;
    struct record_view view = contract_load_record(contract, wish.user, &want);
    assert_true(view.history_trimmed);
    assert_int_equal(view.history_count, 5);
    const struct change_want changes[] = {{SLICE("phone"), SLICE("change2")},
                                          {SLICE("phone"), SLICE("change3")}};
    struct user_view found = contract_load(
        contract, &(struct touched){.user = wish.user, .changes = changes, .change_count = 2});
    assert_false(found.changes[0].found);
    assert_true(found.changes[1].found);
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    assert_int_equal(fixture_head(contract->store, wish.user).revision, head.revision);
    wish.head = head;
    wish.previous_version = 10;
    assert_int_equal(fixture_commit_of(contract->store, &wish).log_floor, 5);
}

/* The third and fourth commit were made while the clock ran ahead. */
void trim_passes_over_times_of_a_clock_that_ran_ahead(void **state) {
    struct contract *contract = *state;
    static const int64_t times[] = {1000, 2000, 900000, 900001, 3000, 4000};
    struct fixture_wish wish = {.user = SLICE("ahead"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d")};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        wish.time_us = times[i];
        wish.previous_version = i;
        wish.head = fixture_commit_of(contract->store, &wish);
    }
    struct store_trim trim = {
        .user = wish.user, .log_before_us = 2500, .settled_before_us = 2500, .ahead_us = 10000};
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    assert_int_equal(fixture_head(contract->store, wish.user).log_floor, 2);
    trim.ahead_us = 0;
    trim.log_before_us = trim.settled_before_us = 3500;
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    assert_int_equal(fixture_head(contract->store, wish.user).log_floor, 2);
    trim.ahead_us = 10000;
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    assert_int_equal(fixture_head(contract->store, wish.user).log_floor, 5);
    const struct change_want changes[] = {{SLICE("phone"), SLICE("change5")},
                                          {SLICE("phone"), SLICE("change6")}};
    struct user_view found = contract_load(
        contract, &(struct touched){.user = wish.user, .changes = changes, .change_count = 2});
    assert_false(found.changes[0].found);
    assert_true(found.changes[1].found);
}

void trim_of_an_unknown_user_is_well(void **state) {
    struct contract *contract = *state;
    struct store_trim trim = {.user = SLICE("never"), .log_before_us = 1, .settled_before_us = 1};
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
}

void users_are_scanned_with_their_heads(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {
        .user = SLICE("zz1"), .type = DATA_TYPE_TRIP, .prefix = "t", .count = 1};
    fixture_commit_of(contract->store, &wish);
    wish.user = SLICE("zz2");
    fixture_commit_of(contract->store, &wish);
    struct seen seen =
        scan(contract, &(struct scan){.kind = SCAN_USERS, .after_user = SLICE("zz0")}, 0);
    assert_int_equal(seen.count, 2);
    contract_assert_slice(seen.names[1], SLICE("zz2"));
    seen = scan(contract, &(struct scan){.kind = SCAN_USERS, .after_user = SLICE("zz1")}, 0);
    assert_int_equal(seen.count, 1);
}

enum { RACE_THREADS = 4, RACE_COMMITS = 40 };

/* One of several writers of one user: loads, applies one change, commits, again when moved. */
static void *race_run(void *context) {
    struct store *store = context;
    struct fixture_commit *commit = memory_alloc(sizeof *commit);
    struct arena arena;
    uint64_t moved = 0;
    arena_init(&arena, 16 << 20);
    for (size_t i = 0; commit && i < RACE_COMMITS;) {
        arena_reset(&arena);
        struct user_view view;
        struct change_want want[RACE_THREADS * RACE_COMMITS];
        for (size_t c = 0; c < RACE_THREADS * RACE_COMMITS; c++)
            want[c] = (struct change_want){SLICE("phone"), fixture_id(&arena, "change", c + 1)};
        struct touched touched = {
            .user = SLICE("race"), .changes = want, .change_count = RACE_THREADS * RACE_COMMITS};
        if (store_load(store, NULL, &touched, &arena, &view) != SYNC_OK)
            break;
        for (size_t c = 0; c < touched.change_count; c++)
            if (view.changes[c].found != (c < view.head.sequence))
                moved = UINT64_MAX / 2; /* a settled change is missing, or seen too early */
        fixture_make(commit, &arena,
                     &(struct fixture_wish){.user = touched.user,
                                            .head = view.head,
                                            .type = DATA_TYPE_TRIP,
                                            .prefix = "t",
                                            .first = view.head.sequence,
                                            .count = 1,
                                            .data = SLICE("d")});
        enum sync_status status = store_commit_wait(store, &commit->set, NULL);
        i += status == SYNC_OK;
        moved += status == SYNC_ERR_HEAD_MOVED;
        if (status != SYNC_OK && status != SYNC_ERR_HEAD_MOVED)
            break;
    }
    arena_done(&arena);
    memory_free(commit);
    return (void *)(uintptr_t)(moved > UINT64_MAX / 4);
}

void racing_writers_lose_no_change_and_see_what_is_settled(void **state) {
    struct contract *contract = *state;
    pthread_t threads[RACE_THREADS];
    for (size_t i = 0; i < RACE_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, contract->store), 0);
    for (size_t i = 0; i < RACE_THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    struct user_head head = fixture_head(contract->store, SLICE("race"));
    assert_int_equal(head.sequence, RACE_THREADS * RACE_COMMITS);
    assert_int_equal(head.revision, RACE_THREADS * RACE_COMMITS);
    struct scan what = {.kind = SCAN_LOG, .user = SLICE("race")};
    assert_int_equal(scan(contract, &what, 0).count, RACE_THREADS * RACE_COMMITS);
}
