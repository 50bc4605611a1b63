#include "tests/service/rpc/upload_sending.h"

/* Stores a device of the user's. */
static void put_device(struct service_fixture *fixture, const char *id,
                       const struct device *given) {
    struct device device = *given;
    struct row_write row = {.table = TABLE_DEVICE};
    device.id = slice_text(id);
    assert_true(key_of_user(&fixture->arena, ANNA, device.id, &row.key));
    assert_true(device_pack(&device, &fixture->arena, &row.value));
    struct write_set set = {.rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(fixture->service.store, &set, NULL), SYNC_OK);
}

static void a_batch_tells_where_it_leads(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b0", "{\"n\":0}");
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
    add(&sending, "c2", CHANGE_CREATE, "b2", "{\"n\":2}");
    assert_int_equal(send(&sending), SYNC_OK);
    struct user_head head = service_fixture_head(fixture, "anna");
    assert_int_equal(sending.upload.before.sequence, 1);
    assert_int_equal(sending.upload.sequence, 3);
    assert_int_equal(head.sequence, 3);
    assert_memory_equal(&sending.upload.checksum, &head.checksum, sizeof head.checksum);
    assert_true(sending.upload.as_sent);
    assert_int_equal(sending.prepared, 1);
    assert_string_equal(sending.upload.messages[1]->data_id, "b2");
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION, SLICE_EMPTY), 0);
    sending_close(&sending);
}

static void a_duplicate_is_not_as_sent_and_leads_nowhere(void **state) {
    struct service_fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        struct sending sending;
        sending_init(&sending, fixture, "phone");
        add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
        assert_int_equal(send(&sending), SYNC_OK);
        assert_int_equal(sending.upload.as_sent, i == 0);
        assert_int_equal(sending.upload.messages[0]->duplicate, i == 1);
        assert_int_equal(sending.upload.sequence, 1);
        sending_close(&sending);
    }
}

static void what_was_merged_is_not_as_sent(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1,\"m\":1}");
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b1", "{\"m\":2}");
    sending_init(&sending, fixture, "phone");
    sending.upload.acknowledged = 1;
    add(&sending, "c1", CHANGE_UPDATE, "b1", "{\"n\":2}");
    assert_int_equal(send(&sending), SYNC_OK);
    assert_int_equal(sending.upload.results[0].outcome, OUTCOME_MERGED);
    assert_false(sending.upload.as_sent);
    sending_close(&sending);
}

static void what_the_device_is_stored_to_hold_counts_when_it_is_more(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    put_device(fixture, "phone",
               &(struct device){.acknowledged = 2, .has_acknowledged = true, .last_seen_us = 1});
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1,\"m\":1}");
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b1", "{\"m\":2}");
    sending_init(&sending, fixture, "phone");
    sending.upload.acknowledged = 1;
    add(&sending, "c1", CHANGE_UPDATE, "b1", "{\"n\":2}");
    assert_int_equal(send(&sending), SYNC_OK);
    assert_true(sending.upload.as_sent);
    sending_close(&sending);
}

static void a_revoked_device_stores_nothing(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    put_device(fixture, "phone", &(struct device){.revoked = true});
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_ERR_DENIED);
    assert_string_equal(sending.upload.error.reason, "DEVICE_REVOKED");
    assert_int_equal(service_fixture_head(fixture, "anna").sequence, 0);
    sending_close(&sending);
}

static void a_service_needs_no_device(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    sending_init(&sending, fixture, "");
    sending.upload.device = SLICE_EMPTY;
    add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_OK);
    assert_int_equal(service_fixture_head(fixture, "anna").sequence, 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_DEVICE, SLICE_EMPTY), 0);
    sending_close(&sending);
}

static void looking_stores_nothing(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    char sync_id[UUID_TEXT_SIZE + 1];
    uuid_v7(fixture->now_us, fixture->service.random, sync_id);
    sending_init(&sending, fixture, "phone");
    sending.upload.store_nothing = true;
    sending.upload.sync_id = sync_id;
    add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_OK);
    assert_int_equal(sending.upload.results[0].outcome, OUTCOME_APPLIED);
    assert_int_equal(sending.upload.sequence, 0);
    assert_int_equal(service_fixture_head(fixture, "anna").sequence, 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION, SLICE_EMPTY), 0);
    sending_close(&sending);
}

static void an_upload_that_is_an_operation_completes_it(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    char sync_id[UUID_TEXT_SIZE + 1];
    PB(SyncOperation) *operation;
    uuid_v7(fixture->now_us, fixture->service.random, sync_id);
    sending_init(&sending, fixture, "phone");
    sending.upload.sync_id = sync_id;
    add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_OK);
    assert_int_equal(operation_load(fixture->service.store, slice_text(sync_id), ANNA,
                                    &sending.arena, NULL, &operation),
                     SYNC_OK);
    assert_int_equal(operation->status, OPERATION_COMPLETED);
    assert_int_equal(operation->changes_processed, 1);
    sending_close(&sending);
}

static void without_memory_nothing_is_stored(void **state) {
    struct service_fixture *fixture = *state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (uint64_t n = 1; status != SYNC_OK && n < 300; n++) {
        struct sending sending;
        static struct violations violations;
        sending_init(&sending, fixture, "phone");
        add(&sending, "c1", CHANGE_CREATE, "b1", "{\"n\":1}");
        violations_init(&violations, &sending.arena, 0);
        struct upload_message message = {.changes = sending.list, .count = sending.count};
        upload_check(&sending.upload, &message, &violations);
        memory_fail_after(n);
        upload_start(&sending.upload); /* the turn is free: it is applied on this thread */
        memory_fail_after(0);
        while (sem_wait(&sending.done) != 0)
            continue;
        status = sending.status;
        assert_int_equal(service_fixture_head(fixture, "anna").sequence, status == SYNC_OK);
        sending_close(&sending);
    }
    assert_int_equal(status, SYNC_OK);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)

/* All that the store holds. */
struct contents {
    struct buffer bytes;
};

static bool contents_visit(void *context, const struct scan_item *item) {
    struct contents *contents = context;
    if (item->row) {
        buffer_append(&contents->bytes, item->row->key);
        buffer_append(&contents->bytes, item->row->value);
    } else if (item->record) {
        buffer_append(&contents->bytes, slice_of(&item->record->version, sizeof(uint64_t)));
        buffer_append(&contents->bytes, item->record->data);
    } else if (item->entry) {
        buffer_append(&contents->bytes, item->entry->change_id);
    } else {
        buffer_append(&contents->bytes, slice_of(item->head, sizeof *item->head));
    }
    return true;
}

static void contents_read(struct service_fixture *fixture, struct contents *contents) {
    struct store *store = fixture->service.store;
    struct scan scan = {.kind = SCAN_USERS};
    buffer_init(&contents->bytes, 16 << 20);
    assert_int_equal(store_scan(store, NULL, &scan, contents_visit, contents), SYNC_OK);
    for (int table = 1; table <= TABLE_LAST; table++) {
        scan = (struct scan){.kind = SCAN_ROWS, .table = (enum table)table};
        assert_int_equal(store_scan(store, NULL, &scan, contents_visit, contents), SYNC_OK);
    }
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++) {
        scan = (struct scan){.kind = SCAN_RECORDS, .user = ANNA, .type = (enum data_type)type};
        assert_int_equal(store_scan(store, NULL, &scan, contents_visit, contents), SYNC_OK);
    }
    scan = (struct scan){.kind = SCAN_LOG, .user = ANNA};
    assert_int_equal(store_scan(store, NULL, &scan, contents_visit, contents), SYNC_OK);
    assert_int_equal(buffer_status(&contents->bytes), SYNC_OK);
}

/* Sends a batch that makes a conflict, decides another by itself, and has one more wait. */
static void send_disputes(struct service_fixture *fixture, bool store_nothing, const char *mark) {
    struct sending sending;
    sending_init(&sending, fixture, "phone");
    sending.upload.store_nothing = store_nothing;
    add(&sending, arena_format(&sending.arena, "%s1", mark), CHANGE_UPDATE, "b1", "{\"n\":3}");
    add(&sending, arena_format(&sending.arena, "%s2", mark), CHANGE_UPDATE, "b1", "{\"m\":3}");
    add(&sending, arena_format(&sending.arena, "%s3", mark), CHANGE_UPDATE, "b2", "{\"price\":3}");
    sending.changes[0].base_version = sending.changes[1].base_version = 1;
    sending.changes[2].base_version = 2;
    assert_int_equal(send(&sending), SYNC_OK);
    const struct change_result *results = sending.upload.results;
    assert_int_equal(results[0].outcome, mark[0] == 'a' ? OUTCOME_CONFLICT : OUTCOME_HELD);
    assert_int_equal(results[1].outcome, OUTCOME_HELD);
    assert_int_equal(results[2].outcome, OUTCOME_MERGED);
    assert_true(results[2].decision_id.size > 0);
    sending_close(&sending);
}

static void a_dry_run_of_disputes_leaves_no_trace(void **state) {
    struct service_fixture *fixture = *state;
    struct contents before, after;
    PB(SyncConfig) config = PB_INIT(SYNC_CONFIG);
    struct row_write row = {.table = TABLE_CONFIG};
    config.conflict_resolution = (PB(ConflictStrategy))STRATEGY_MANUAL;
    assert_true(key_of_user(&fixture->arena, ANNA, SLICE_EMPTY, &row.key));
    assert_true(message_pack(&config.base, &fixture->arena, &row.value));
    struct write_set set = {.rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(fixture->service.store, &set, NULL), SYNC_OK);
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b2", "{\"price\":1}");
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b1", "{\"n\":2}");
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b2", "{\"price\":2}");
    static const char *const MARKS[] = {"a", "b"}; /* without a conflict from before, and with */
    for (int i = 0; i < 2; i++) {
        contents_read(fixture, &before);
        send_disputes(fixture, true, MARKS[i]);
        contents_read(fixture, &after);
        assert_true(slice_equal(buffer_slice(&before.bytes), buffer_slice(&after.bytes)));
        buffer_done(&before.bytes);
        buffer_done(&after.bytes);
        send_disputes(fixture, false, MARKS[i]);
    }
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT_HOLD, SLICE_EMPTY), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_batch_tells_where_it_leads),
        TEST(a_duplicate_is_not_as_sent_and_leads_nowhere),
        TEST(what_was_merged_is_not_as_sent),
        TEST(what_the_device_is_stored_to_hold_counts_when_it_is_more),
        TEST(a_revoked_device_stores_nothing),
        TEST(a_service_needs_no_device),
        TEST(looking_stores_nothing),
        TEST(an_upload_that_is_an_operation_completes_it),
        TEST(a_dry_run_of_disputes_leaves_no_trace),
        TEST(without_memory_nothing_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
