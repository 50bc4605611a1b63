/* Commits and loads. */
#include "tests/service/store/store_contract_tests.h"

void unknown_user_has_the_zero_head_and_nothing_else(void **state) {
    struct record_want record = {
        .key = {DATA_TYPE_TRIP, SLICE("t")}, .history = true, .history_after = 0};
    struct change_want change = {SLICE("d"), SLICE("c")};
    struct row row = {.table = TABLE_DEVICE, .key = SLICE("nobody")};
    struct user_view view = contract_load(*state, &(struct touched){.user = SLICE("nobody"),
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

void commit_is_read_back_whole(void **state) {
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
    wish.head.held_bytes = 5;
    struct user_head head = fixture_commit_of(contract->store, &wish);
    assert_int_equal(head.revision, 1);
    struct record_want want = {.key = {DATA_TYPE_BOOKING, SLICE("b1")}, .history = true};
    struct change_want change = {SLICE("phone"), SLICE("change2")};
    struct user_view view = contract_load(contract, &(struct touched){.user = user,
                                                                      .records = &want,
                                                                      .record_count = 1,
                                                                      .changes = &change,
                                                                      .change_count = 1});
    assert_memory_equal(&view.head, &head, sizeof head);
    assert_int_equal(view.head.sequence, 3);
    assert_true(view.head.checksum.high == UINT64_MAX && view.head.checksum.low == 1);
    assert_int_equal(view.head.data_bytes, 21);
    assert_int_equal(view.head.conflicts_open, 4);
    assert_int_equal(view.head.held_bytes, 5);
    const struct record *record = &view.records[0].record;
    assert_true(view.records[0].found);
    assert_int_equal(record->key.type, DATA_TYPE_BOOKING);
    contract_assert_slice(record->key.id, SLICE("b1"));
    assert_int_equal(record->version, 2);
    assert_int_equal(record->updated_us, 1700000000000001);
    contract_assert_slice(record->data, data);
    contract_assert_slice(record->stamps, SLICE("stamps"));
    assert_true(record->element.high == 2 && record->element.low == ~(uint64_t)2);
    assert_int_equal(view.records[0].history_count, 1);
    const struct log_entry *entry = &view.records[0].history[0];
    assert_int_equal(entry->sequence, 2);
    assert_int_equal(entry->kind, CHANGE_UPDATE);
    assert_true(entry->previous_deleted);
    contract_assert_slice(entry->undo, SLICE("undo"));
    contract_assert_slice(entry->device, SLICE("phone"));
    contract_assert_slice(entry->change_id, SLICE("change2"));
    assert_int_equal(entry->device_us, 1699999999999996);
    assert_int_equal(entry->corrected_us, 1699999999999998);
    assert_true(view.changes[0].found);
    contract_assert_slice(view.changes[0].settled.outcome, SLICE("applied"));
    assert_int_equal(view.changes[0].settled.payload_hash[15], 2);
}

void large_documents_come_back_byte_for_byte(void **state) {
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
        contract_assert_slice(contract_load_record(contract, user, &want).record.data, wish.data);
    }
}

void thing_wanted_twice_is_given_twice(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("twice"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 40,
                                .data = SLICE("d")};
    fixture_commit_of(contract->store, &wish);
    struct record_want records[100];
    struct change_want changes[100];
    for (size_t i = 0; i < 100; i++) {
        records[i] = (struct record_want){
            .key = {DATA_TYPE_TRIP, fixture_id(&contract->arena, "t", i * 7 % 50)},
            .history = true};
        changes[i] = (struct change_want){SLICE("phone"),
                                          fixture_id(&contract->arena, "change", i * 7 % 50 + 1)};
    }
    struct user_view view = contract_load(contract, &(struct touched){.user = wish.user,
                                                                      .records = records,
                                                                      .record_count = 100,
                                                                      .changes = changes,
                                                                      .change_count = 100});
    for (size_t i = 0; i < 100; i++) {
        bool there = i * 7 % 50 < 40;
        assert_int_equal(view.records[i].found, there);
        assert_int_equal(view.changes[i].found, there);
        assert_int_equal(view.records[i].history_count, there);
        if (there)
            assert_int_equal(view.records[i].record.version, i * 7 % 50 + 1);
    }
}

void tombstone_keeps_version_and_loses_data(void **state) {
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
    struct record_view view = contract_load_record(contract, wish.user, &want);
    assert_true(view.found);
    assert_true(view.record.deleted);
    assert_int_equal(view.record.version, 2);
    assert_int_equal(view.record.data.size, 0);
    assert_true(view.record.element.high == 0 && view.record.element.low == 0);
    assert_int_equal(view.history_count, 2);
    assert_int_equal(view.history[0].kind, CHANGE_DELETE);
    assert_false(view.history[0].previous_deleted);
}

void commit_on_a_moved_head_writes_nothing(void **state) {
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
    struct user_view view = contract_load(contract, &(struct touched){.user = wish.user,
                                                                      .records = &want,
                                                                      .record_count = 1,
                                                                      .rows = &want_row,
                                                                      .row_count = 1});
    assert_memory_equal(&view.head, &head, sizeof head);
    contract_assert_slice(view.records[0].record.data, SLICE("first"));
    assert_false(view.rows[0].found);
}

void users_whose_names_share_a_beginning_do_not_mix(void **state) {
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
        struct user_view view = contract_load(contract, &(struct touched){.user = users[i],
                                                                          .records = &want,
                                                                          .record_count = 1,
                                                                          .changes = &change,
                                                                          .change_count = 1});
        assert_int_equal(view.head.sequence, i + 1);
        contract_assert_slice(view.records[0].record.data, users[i]);
        assert_int_equal(view.records[0].history_count, 1);
        assert_int_equal(view.changes[0].found, i > 0);
    }
}

void history_follows_a_record_through_many_commits(void **state) {
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
    struct record_view view = contract_load_record(contract, wish.user, &want);
    assert_int_equal(view.history_count, 10);
    assert_false(view.history_trimmed);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(view.history[i].sequence, 160 - 8 * i);
    want.history_after = 159;
    assert_int_equal(contract_load_record(contract, wish.user, &want).history_count, 1);
    want.history_after = 160;
    assert_int_equal(contract_load_record(contract, wish.user, &want).history_count, 0);
    want.history = false;
    want.history_after = 0;
    assert_int_equal(contract_load_record(contract, wish.user, &want).history_count, 0);
}

void history_ends_where_a_device_knew_the_record(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("known"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d"),
                                .time_us = 1};
    for (uint64_t i = 0; i < 10; i++) {
        wish.as_sent = i == 3 || i == 6;
        wish.previous_version = i;
        wish.head = fixture_commit_of(contract->store, &wish);
    }
    struct record_want want = {
        .key = {DATA_TYPE_TRIP, SLICE("t0")}, .history = true, .history_of = SLICE("phone")};
    struct record_view view = contract_load_record(contract, wish.user, &want);
    assert_int_equal(view.history_count, 4);
    assert_int_equal(view.history[3].sequence, 7);
    assert_true(view.history[3].as_sent && !view.history[2].as_sent && !view.history_trimmed);
    want.history_after = 8;
    assert_int_equal(contract_load_record(contract, wish.user, &want).history_count, 2);
    want.history_after = 0;
    want.history_of = SLICE("tablet");
    assert_int_equal(contract_load_record(contract, wish.user, &want).history_count, 10);
}

void rows_under_a_user_need_no_revision_when_told_so(void **state) {
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

void settled_changes_are_found_by_device_and_id_exactly(void **state) {
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
    struct user_view view = contract_load(
        contract, &(struct touched){.user = wish.user, .changes = changes, .change_count = 5});
    assert_true(view.changes[0].found && view.changes[1].found);
    contract_assert_slice(view.changes[1].settled.change_id, SLICE("change300"));
    assert_int_equal(view.changes[1].settled.payload_hash[0], 300 & 255);
    assert_false(view.changes[2].found || view.changes[3].found || view.changes[4].found);
}

void bad_keys_are_refused(void **state) {
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

void epoch_and_health_are_there(void **state) {
    struct contract *contract = *state;
    struct store_stats stats;
    assert_true(store_epoch(contract->store) != 0);
    assert_int_equal(store_health(contract->store), SYNC_OK);
    assert_int_equal(store_stats(contract->store, &stats), SYNC_OK);
    assert_true(stats.records > 0);
}
