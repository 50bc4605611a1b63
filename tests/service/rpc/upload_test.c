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
        TEST(without_memory_nothing_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
