#include "tests/service/store/store_contract.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>

#include "base/limits.h"
#include "base/memory.h"
#include "tests/service/store/store_fixture.h"

/* What each test gets: the store, an arena, a commit to fill. */
struct contract {
    struct store *store;
    struct arena arena;
    struct fixture_commit *commit;
};

static const struct store_factory *factory_now;

static int contract_setup_all(void **state) {
    struct contract *contract = memory_zalloc(1, sizeof *contract);
    assert_non_null(contract);
    contract->commit = memory_alloc(sizeof *contract->commit);
    assert_non_null(contract->commit);
    arena_init(&contract->arena, 256 << 20);
    assert_int_equal(factory_now->open(factory_now->context, &contract->store), SYNC_OK);
    *state = contract;
    return 0;
}

static int contract_done_all(void **state) {
    struct contract *contract = *state;
    assert_null(store_close(contract->store));
    arena_done(&contract->arena);
    memory_free(contract->commit);
    memory_free(contract);
    return 0;
}

static int contract_setup(void **state) {
    struct contract *contract = *state;
    arena_reset(&contract->arena);
    return 0;
}

static struct user_view load(struct contract *contract, const struct touched *want) {
    struct user_view view;
    assert_int_equal(store_load(contract->store, NULL, want, &contract->arena, &view), SYNC_OK);
    return view;
}

static struct record_view load_record(struct contract *contract, struct slice user,
                                      const struct record_want *want) {
    return load(contract, &(struct touched){.user = user, .records = want, .record_count = 1})
        .records[0];
}

static void assert_slice(struct slice found, struct slice wanted) {
    assert_int_equal(found.size, wanted.size);
    if (wanted.size > 0)
        assert_memory_equal(found.data, wanted.data, wanted.size);
}

static void unknown_user_has_the_zero_head_and_nothing_else(void **state) {
    struct record_want record = {
        .key = {DATA_TYPE_TRIP, SLICE("t")}, .history = true, .history_after = 0};
    struct change_want change = {SLICE("d"), SLICE("c")};
    struct row row = {.table = TABLE_DEVICE, .key = SLICE("nobody")};
    struct user_view view = load(*state, &(struct touched){.user = SLICE("nobody"),
                                                           .records = &record,
                                                           .record_count = 1,
                                                           .changes = &change,
                                                           .change_count = 1,
                                                           .rows = &row,
                                                           .row_count = 1});
    assert_memory_equal(&view.head, &(struct user_head){0}, sizeof view.head);
    assert_false(view.records[0].found);
    assert_int_equal(view.records[0].history_count, 0);
    assert_false(view.changes[0].found);
    assert_false(view.rows[0].found);
}

static void commit_is_read_back_whole(void **state) {
    struct contract *contract = *state;
    struct slice user = SLICE("whole"), data = SLICE("\x0a\x05hello");
    struct fixture_wish wish = {.user = user,
                                .type = DATA_TYPE_BOOKING,
                                .prefix = "b",
                                .count = 3,
                                .data = data,
                                .time_us = 1700000000000000};
    wish.head.checksum = (struct checksum){UINT64_MAX, 1};
    wish.head.data_bytes = 21;
    wish.head.conflicts_open = 4;
    struct user_head head = fixture_commit_of(contract->store, &wish);
    assert_int_equal(head.revision, 1);
    struct record_want want = {.key = {DATA_TYPE_BOOKING, SLICE("b1")}, .history = true};
    struct change_want change = {SLICE("phone"), SLICE("change2")};
    struct user_view view = load(contract, &(struct touched){.user = user,
                                                             .records = &want,
                                                             .record_count = 1,
                                                             .changes = &change,
                                                             .change_count = 1});
    assert_memory_equal(&view.head, &head, sizeof head);
    assert_int_equal(view.head.sequence, 3);
    assert_true(view.head.checksum.high == UINT64_MAX && view.head.checksum.low == 1);
    assert_int_equal(view.head.data_bytes, 21);
    assert_int_equal(view.head.conflicts_open, 4);
    const struct record *record = &view.records[0].record;
    assert_true(view.records[0].found);
    assert_int_equal(record->key.type, DATA_TYPE_BOOKING);
    assert_slice(record->key.id, SLICE("b1"));
    assert_int_equal(record->version, 2);
    assert_int_equal(record->updated_us, 1700000000000001);
    assert_slice(record->data, data);
    assert_true(record->element.high == 2 && record->element.low == ~(uint64_t)2);
    assert_int_equal(view.records[0].history_count, 1);
    const struct log_entry *entry = &view.records[0].history[0];
    assert_int_equal(entry->sequence, 2);
    assert_int_equal(entry->kind, CHANGE_UPDATE);
    assert_true(entry->previous_deleted);
    assert_slice(entry->undo, SLICE("undo"));
    assert_slice(entry->device, SLICE("phone"));
    assert_slice(entry->change_id, SLICE("change2"));
    assert_int_equal(entry->device_us, 1699999999999996);
    assert_int_equal(entry->corrected_us, 1700000000000001);
    assert_true(view.changes[0].found);
    assert_slice(view.changes[0].settled.outcome, SLICE("applied"));
    assert_int_equal(view.changes[0].settled.payload_hash[15], 2);
}

static void large_documents_come_back_byte_for_byte(void **state) {
    struct contract *contract = *state;
    struct slice user = SLICE("large");
    uint8_t *bytes = arena_alloc(&contract->arena, 300000);
    assert_non_null(bytes);
    uint32_t noise = 1;
    for (size_t i = 0; i < 300000; i++)
        bytes[i] = (uint8_t)(i < 150000 ? i / 100 : (noise = noise * 1664525 + 1013904223) >> 24);
    const size_t sizes[] = {0, 1, 127, 128, 129, 150000, 300000};
    struct user_head head = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fixture_wish wish = {.user = user,
                                    .head = head,
                                    .type = DATA_TYPE_TRIP,
                                    .prefix = "t",
                                    .first = i,
                                    .count = 1,
                                    .data = slice_of(bytes, sizes[i])};
        head = fixture_commit_of(contract->store, &wish);
        struct record_want want = {.key = {DATA_TYPE_TRIP, fixture_id(&contract->arena, "t", i)}};
        assert_slice(load_record(contract, user, &want).record.data, wish.data);
    }
}

static void tombstone_keeps_version_and_loses_data(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("tombstone"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("x"),
                                .time_us = 10};
    wish.head = fixture_commit_of(contract->store, &wish);
    wish.deleted = true;
    wish.previous_version = 1;
    fixture_commit_of(contract->store, &wish);
    struct record_want want = {.key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true};
    struct record_view view = load_record(contract, wish.user, &want);
    assert_true(view.found);
    assert_true(view.record.deleted);
    assert_int_equal(view.record.version, 2);
    assert_int_equal(view.record.data.size, 0);
    assert_true(view.record.element.high == 0 && view.record.element.low == 0);
    assert_int_equal(view.history_count, 2);
    assert_int_equal(view.history[0].kind, CHANGE_DELETE);
    assert_false(view.history[0].previous_deleted);
}

static void commit_on_a_moved_head_writes_nothing(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("moved"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("first")};
    struct user_head head = fixture_commit_of(contract->store, &wish);
    struct row_write row = {.table = TABLE_CONFIG, .key = SLICE("moved"), .value = SLICE("v")};
    struct user_head heard = {.sequence = 77};
    wish.data = SLICE("second");
    fixture_make(contract->commit, &contract->arena, &wish);
    contract->commit->set.rows = &row;
    contract->commit->set.row_count = 1;
    assert_int_equal(store_commit_wait(contract->store, &contract->commit->set, &heard),
                     SYNC_ERR_HEAD_MOVED);
    assert_int_equal(heard.sequence, 77);
    struct record_want want = {.key = {DATA_TYPE_TRIP, SLICE("t0")}};
    struct row want_row = {.table = TABLE_CONFIG, .key = SLICE("moved")};
    struct user_view view = load(contract, &(struct touched){.user = wish.user,
                                                             .records = &want,
                                                             .record_count = 1,
                                                             .rows = &want_row,
                                                             .row_count = 1});
    assert_memory_equal(&view.head, &head, sizeof head);
    assert_slice(view.records[0].record.data, SLICE("first"));
    assert_false(view.rows[0].found);
}

static void users_whose_names_share_a_beginning_do_not_mix(void **state) {
    struct contract *contract = *state;
    const struct slice users[] = {SLICE("ann"), SLICE("ann\x01"), SLICE("anna"), SLICE("an")};
    for (size_t i = 0; i < 4; i++)
        fixture_commit_of(contract->store, &(struct fixture_wish){.user = users[i],
                                                                  .type = DATA_TYPE_TRIP,
                                                                  .prefix = "t",
                                                                  .count = i + 1,
                                                                  .data = users[i]});
    struct change_want change = {SLICE("phone"), SLICE("change2")};
    struct record_want want = {.key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true};
    for (size_t i = 0; i < 4; i++) {
        struct user_view view = load(contract, &(struct touched){.user = users[i],
                                                                 .records = &want,
                                                                 .record_count = 1,
                                                                 .changes = &change,
                                                                 .change_count = 1});
        assert_int_equal(view.head.sequence, i + 1);
        assert_slice(view.records[0].record.data, users[i]);
        assert_int_equal(view.records[0].history_count, 1);
        assert_int_equal(view.changes[0].found, i > 0);
    }
}

static void history_follows_a_record_through_many_commits(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("history"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .data = SLICE("d"),
                                .time_us = 1};
    uint64_t version = 0;
    for (size_t i = 0; i < 20; i++) {
        wish.prefix = "other";
        wish.first = i * 10;
        wish.count = 7;
        wish.previous_version = 0;
        wish.head = fixture_commit_of(contract->store, &wish);
        wish.prefix = "t";
        wish.first = 0;
        wish.count = 1;
        wish.previous_version = version;
        wish.head = fixture_commit_of(contract->store, &wish);
        version = wish.head.sequence;
    }
    struct record_want want = {
        .key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true, .history_after = 80};
    struct record_view view = load_record(contract, wish.user, &want);
    assert_int_equal(view.history_count, 10);
    assert_false(view.history_trimmed);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(view.history[i].sequence, 160 - 8 * i);
    want.history_after = 159;
    assert_int_equal(load_record(contract, wish.user, &want).history_count, 1);
    want.history_after = 160;
    assert_int_equal(load_record(contract, wish.user, &want).history_count, 0);
    want.history = false;
    want.history_after = 0;
    assert_int_equal(load_record(contract, wish.user, &want).history_count, 0);
}

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

static void log_scan_resumes_inside_a_commit(void **state) {
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

static void record_scan_is_ordered_and_stays_in_its_type(void **state) {
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
    assert_slice(seen.names[0], SLICE("r0"));
    assert_slice(seen.names[4], SLICE("r4"));
    what.after_id = SLICE("r2");
    seen = scan(contract, &what, 0);
    assert_int_equal(seen.count, 2);
    assert_slice(seen.names[0], SLICE("r3"));
    what.after_id = SLICE("r25");
    assert_int_equal(scan(contract, &what, 0).count, 2);
}

static void put_rows(struct contract *contract, struct row_write *rows, size_t count) {
    struct write_set set = {.rows = rows, .row_count = count};
    struct user_head head = {.sequence = 1};
    assert_int_equal(store_commit_wait(contract->store, &set, &head), SYNC_OK);
    assert_int_equal(head.sequence, 0);
}

static void rows_are_put_scanned_by_prefix_and_removed(void **state) {
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
    assert_slice(seen.names[2], SLICE("u\0b\xff"));
    what.after_key = SLICE("u\0a");
    assert_int_equal(scan(contract, &what, 0).count, 2);
    what.prefix = SLICE("u\0b");
    assert_int_equal(scan(contract, &what, 0).count, 2);
    struct row row = {.table = TABLE_DEVICE, .key = SLICE("u\0b")};
    struct touched want = {.rows = &row, .row_count = 1};
    assert_true(load(contract, &want).rows[0].found);
    assert_int_equal(load(contract, &want).rows[0].value.size, 0);
    rows[1].remove = true;
    put_rows(contract, rows, 2);
    assert_false(load(contract, &want).rows[0].found);
    row = (struct row){.table = TABLE_DEVICE_OWNER, .key = SLICE("u\0a")};
    assert_slice(load(contract, &want).rows[0].value, SLICE("5"));
}

static void rows_under_a_user_need_no_revision_when_told_so(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("any"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d")};
    struct user_head head = fixture_commit_of(contract->store, &wish);
    struct row_write row = {.table = TABLE_CONFIG, .key = SLICE("any"), .value = SLICE("v")};
    struct write_set set = {.user = wish.user, .any_revision = true, .rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_OK);
    struct user_head after = fixture_head(contract->store, wish.user);
    assert_memory_equal(&after, &head, sizeof head);
}

static void reader_keeps_its_view_while_others_commit(void **state) {
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
    assert_slice(view.records[0].record.data, SLICE("old"));
    assert_int_equal(view.records[0].history_count, 1);
    assert_false(view.changes[0].found);
    struct seen seen = {.arena = &contract->arena};
    struct scan what = {.kind = SCAN_RECORDS, .user = wish.user, .type = DATA_TYPE_TRIP};
    assert_int_equal(store_scan(contract->store, reader, &what, seen_visit, &seen), SYNC_OK);
    assert_int_equal(seen.count, 2);
    store_reader_close(contract->store, reader);
    assert_true(load(contract, &touched).changes[0].found);
}

static void settled_changes_are_found_by_device_and_id_exactly(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("settled"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 100,
                                .data = SLICE("d")};
    for (size_t i = 0; i < 3; i++)
        wish.head = fixture_commit_of(contract->store, &wish);
    const struct change_want changes[] = {{SLICE("phone"), SLICE("change1")},
                                          {SLICE("phone"), SLICE("change300")},
                                          {SLICE("phone"), SLICE("change301")},
                                          {SLICE("tablet"), SLICE("change1")},
                                          {SLICE("phonec"), SLICE("hange1")}};
    struct user_view view =
        load(contract, &(struct touched){.user = wish.user, .changes = changes, .change_count = 5});
    assert_true(view.changes[0].found && view.changes[1].found);
    assert_slice(view.changes[1].settled.change_id, SLICE("change300"));
    assert_int_equal(view.changes[1].settled.payload_hash[0], 300 & 255);
    assert_false(view.changes[2].found || view.changes[3].found || view.changes[4].found);
}

static void trim_raises_the_floor_and_says_so_to_histories(void **state) {
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
    assert_false(load_record(contract, wish.user, &want).history_trimmed);
    want.history_after = 4;
    struct record_view view = load_record(contract, wish.user, &want);
    assert_true(view.history_trimmed);
    assert_int_equal(view.history_count, 5);
    const struct change_want changes[] = {{SLICE("phone"), SLICE("change2")},
                                          {SLICE("phone"), SLICE("change3")}};
    struct user_view found =
        load(contract, &(struct touched){.user = wish.user, .changes = changes, .change_count = 2});
    assert_false(found.changes[0].found);
    assert_true(found.changes[1].found);
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    assert_int_equal(fixture_head(contract->store, wish.user).revision, head.revision);
    wish.head = head;
    wish.previous_version = 10;
    assert_int_equal(fixture_commit_of(contract->store, &wish).log_floor, 5);
}

static void trim_of_an_unknown_user_is_well(void **state) {
    struct contract *contract = *state;
    struct store_trim trim = {.user = SLICE("never"), .log_before_us = 1, .settled_before_us = 1};
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
}

static void users_are_scanned_with_their_heads(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {
        .user = SLICE("zz1"), .type = DATA_TYPE_TRIP, .prefix = "t", .count = 1};
    fixture_commit_of(contract->store, &wish);
    wish.user = SLICE("zz2");
    fixture_commit_of(contract->store, &wish);
    struct seen seen =
        scan(contract, &(struct scan){.kind = SCAN_USERS, .after_user = SLICE("zz0")}, 0);
    assert_int_equal(seen.count, 2);
    assert_slice(seen.names[1], SLICE("zz2"));
    seen = scan(contract, &(struct scan){.kind = SCAN_USERS, .after_user = SLICE("zz1")}, 0);
    assert_int_equal(seen.count, 1);
}

static void bad_keys_are_refused(void **state) {
    struct contract *contract = *state;
    struct user_view view;
    uint8_t wide[4096] = {1};
    memset(wide, 'x', sizeof wide);
    struct record_want want = {.key = {DATA_TYPE_TRIP, slice_of(wide, DATA_ID_MAX + 1)}};
    const struct slice users[] = {SLICE("a\0b"), slice_of(wide, USER_ID_MAX + 1)};
    for (size_t i = 0; i < 2; i++) {
        struct write_set set = {.user = users[i]};
        struct touched touched = {.user = users[i]};
        assert_int_equal(store_load(contract->store, NULL, &touched, &contract->arena, &view),
                         SYNC_ERR_INVALID);
        assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_ERR_INVALID);
    }
    struct touched touched = {.user = SLICE("ok"), .records = &want, .record_count = 1};
    assert_int_equal(store_load(contract->store, NULL, &touched, &contract->arena, &view),
                     SYNC_ERR_INVALID);
    struct row_write row = {.table = TABLE_CONFIG, .key = slice_of(wide, sizeof wide)};
    struct write_set set = {.rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_ERR_INVALID);
}

static void epoch_and_health_are_there(void **state) {
    struct contract *contract = *state;
    struct store_stats stats;
    assert_true(store_epoch(contract->store) != 0);
    assert_int_equal(store_health(contract->store), SYNC_OK);
    assert_int_equal(store_stats(contract->store, &stats), SYNC_OK);
    assert_true(stats.records > 0);
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

static void racing_writers_lose_no_change_and_see_what_is_settled(void **state) {
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

int store_contract_run(const char *name, const struct store_factory *factory) {
#define CONTRACT_TEST(test_) cmocka_unit_test_setup(test_, contract_setup)
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(unknown_user_has_the_zero_head_and_nothing_else),
        CONTRACT_TEST(commit_is_read_back_whole),
        CONTRACT_TEST(large_documents_come_back_byte_for_byte),
        CONTRACT_TEST(tombstone_keeps_version_and_loses_data),
        CONTRACT_TEST(commit_on_a_moved_head_writes_nothing),
        CONTRACT_TEST(users_whose_names_share_a_beginning_do_not_mix),
        CONTRACT_TEST(history_follows_a_record_through_many_commits),
        CONTRACT_TEST(log_scan_resumes_inside_a_commit),
        CONTRACT_TEST(record_scan_is_ordered_and_stays_in_its_type),
        CONTRACT_TEST(rows_are_put_scanned_by_prefix_and_removed),
        CONTRACT_TEST(rows_under_a_user_need_no_revision_when_told_so),
        CONTRACT_TEST(reader_keeps_its_view_while_others_commit),
        CONTRACT_TEST(settled_changes_are_found_by_device_and_id_exactly),
        CONTRACT_TEST(trim_raises_the_floor_and_says_so_to_histories),
        CONTRACT_TEST(trim_of_an_unknown_user_is_well),
        CONTRACT_TEST(users_are_scanned_with_their_heads),
        CONTRACT_TEST(bad_keys_are_refused),
        CONTRACT_TEST(racing_writers_lose_no_change_and_see_what_is_settled),
        CONTRACT_TEST(epoch_and_health_are_there),
    };
#undef CONTRACT_TEST
    factory_now = factory;
    return _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, contract_setup_all,
                                   contract_done_all);
}
