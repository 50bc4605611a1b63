/* Changes that a fault of the service keeps from being applied, and what they hold up. */
#include "tests/service/rpc/upload_sending.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "service/queue/job_row.h"
#include "service/rpc/change_job.h"
#include "service/rpc/parked.h"
#include "service/store/fault_store.h"

/* The fixture's store, made to fail; for the worker of its queue no job is ever due. */
static char order[600];
static pthread_t tester;

static uint64_t late_now(void *context) {
    (void)context;
    return pthread_equal(pthread_self(), tester) ? 1 : 0;
}

static int set_up(void **state) {
    static struct clock late_clock;
    static struct job_handler handler = {.kind = CHANGE_JOB_KIND, .run = change_job_run};
    assert_int_equal(service_fixture_setup(state), 0);
    struct service_fixture *fixture = *state;
    struct service *service = &fixture->service;
    handler.context = service;
    snprintf(order, sizeof order, "%s.order", fixture->path);
    assert_int_equal(fault_store_open(service->store, order, &service->store), SYNC_OK);
    tester = pthread_self();
    late_clock = (struct clock){
        .now_us = late_now, .monotonic_us = fixture->clock.monotonic_us, .context = fixture};
    struct job_queue_options options = {.store = service->store,
                                        .clock = &late_clock,
                                        .random = service->random,
                                        .workers = 1,
                                        .handlers = &handler,
                                        .handler_count = 1};
    assert_int_equal(job_queue_open(&options, &service->jobs), SYNC_OK);
    return 0;
}

static int tear_down(void **state) {
    struct service_fixture *fixture = *state;
    fixture->service.jobs = job_queue_close(fixture->service.jobs);
    unlink(order);
    return service_fixture_teardown(state);
}

static void break_record(const char *fault) {
    FILE *file = fopen(order, "w");
    assert_non_null(file);
    fputs(fault, file);
    fclose(file);
}

static size_t count(struct service_fixture *fixture, enum table table) {
    return service_fixture_count(fixture, table, SLICE_EMPTY);
}

static void expect_outcomes(const struct sending *sending, const enum change_outcome *outcomes) {
    assert_int_equal(sending->status, SYNC_OK);
    for (size_t i = 0; i < sending->count; i++)
        assert_int_equal(sending->upload.results[i].outcome, outcomes[i]);
}

static void the_first_of_a_damaged_record_is_parked_and_the_rest_of_it_waits(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    break_record("damage bad");
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "good", "{\"n\":1}");
    add(&sending, "c2", CHANGE_CREATE, "bad", "{\"n\":2}");
    add(&sending, "c3", CHANGE_UPDATE, "bad", "{\"n\":3}");
    add(&sending, "c4", CHANGE_UPDATE, "good", "{\"n\":4}");
    send(&sending);
    expect_outcomes(&sending, (enum change_outcome[]){OUTCOME_APPLIED, OUTCOME_PENDING,
                                                      OUTCOME_BLOCKED, OUTCOME_APPLIED});
    assert_false(sending.upload.as_sent);
    assert_int_equal(sending.upload.sequence, 2);
    assert_int_equal(count(fixture, TABLE_PARKED), 1);
    assert_int_equal(count(fixture, TABLE_JOB), 1);
    assert_string_equal(sending.upload.messages[1]->error->field, "changes[1]");
    sending_close(&sending);
}

static void a_fault_that_is_not_a_changes_alone_parks_nothing(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    break_record("load");
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "good", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_ERR_IO);
    sending_close(&sending);
    unlink(order);
    assert_int_equal(count(fixture, TABLE_PARKED), 0);
    assert_int_equal(count(fixture, TABLE_JOB), 0);
}

static void without_a_queue_the_upload_fails_as_a_whole(void **state) {
    struct service_fixture *fixture = *state;
    struct sending sending;
    struct job_queue *jobs = fixture->service.jobs;
    fixture->service.jobs = NULL;
    break_record("damage bad");
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "bad", "{\"n\":1}");
    assert_int_equal(send(&sending), SYNC_ERR_CORRUPT);
    sending_close(&sending);
    fixture->service.jobs = jobs;
}

static void another_device_of_the_user_parks_its_own(void **state) {
    struct service_fixture *fixture = *state;
    static const char *const devices[] = {"phone", "tablet", "phone"};
    static const bool known[] = {false, false, true};
    break_record("record bad");
    for (size_t i = 0; i < 3; i++) {
        struct sending sending;
        sending_init(&sending, fixture, devices[i]);
        add(&sending, "c1", CHANGE_CREATE, "bad", "{\"n\":1}");
        send(&sending);
        expect_outcomes(&sending, (enum change_outcome[]){OUTCOME_PENDING});
        assert_int_equal(sending.upload.results[0].duplicate, known[i]);
        assert_int_equal(sending.upload.parks, !known[i]);
        sending_close(&sending);
    }
    assert_int_equal(count(fixture, TABLE_JOB), 2);
}

/* The user's only job. */
static bool find_job(void *context, const struct scan_item *item) {
    struct job *job = context;
    struct job read;
    static uint8_t bytes[4096];
    struct slice key = item->row->key, value = item->row->value;
    assert_true(key.size + value.size <= sizeof bytes);
    memcpy(bytes, key.data, key.size);
    memcpy(bytes + key.size, value.data, value.size);
    assert_int_equal(job_row_read(TABLE_JOB, slice_of(bytes, key.size),
                                  slice_of(bytes + key.size, value.size), &read, NULL),
                     SYNC_OK);
    *job = read;
    return false;
}

static struct job the_job(struct service_fixture *fixture) {
    struct job job = {.attempts = UINT32_MAX};
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_JOB};
    assert_int_equal(store_scan(fixture->service.store, NULL, &scan, find_job, &job), SYNC_OK);
    assert_int_equal(job.attempts, 0);
    return job;
}

static void park_one(struct service_fixture *fixture) {
    struct sending sending;
    break_record("damage bad");
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "bad", "{\"n\":1}");
    send(&sending);
    expect_outcomes(&sending, (enum change_outcome[]){OUTCOME_PENDING});
    sending_close(&sending);
}

static void its_job_applies_it_once_and_lets_the_rest_go_on(void **state) {
    struct service_fixture *fixture = *state;
    struct sync_error error = {0};
    park_one(fixture);
    struct job job = the_job(fixture);
    assert_int_equal(change_job_run(&fixture->service, &job, &error), SYNC_ERR_CORRUPT);
    assert_int_equal(error.status, SYNC_ERR_CORRUPT);
    assert_int_equal(count(fixture, TABLE_PARKED), 1);
    unlink(order);
    for (int i = 0; i < 2; i++) { /* again after a crash before the job's row was removed */
        assert_int_equal(change_job_run(&fixture->service, &job, &error), SYNC_OK);
        assert_int_equal(count(fixture, TABLE_PARKED), 0);
        assert_int_equal(service_fixture_head(fixture, "anna").sequence, 1);
    }
    struct sending sending;
    sending_init(&sending, fixture, "phone");
    add(&sending, "c1", CHANGE_CREATE, "bad", "{\"n\":1}");
    add(&sending, "c2", CHANGE_UPDATE, "bad", "{\"n\":2}");
    send(&sending);
    expect_outcomes(&sending, (enum change_outcome[]){OUTCOME_APPLIED, OUTCOME_APPLIED});
    assert_true(sending.upload.results[0].duplicate);
    sending_close(&sending);
}

static void a_job_that_does_not_parse_is_told(void **state) {
    struct service_fixture *fixture = *state;
    struct job job = {.id = SLICE("j"), .user = ANNA, .payload = SLICE("\xff")};
    struct sync_error error;
    assert_int_equal(change_job_run(&fixture->service, &job, &error), SYNC_ERR_CORRUPT);
    assert_string_equal(error.reason, "CORRUPT");
}

/* Wherever memory is refused: all of the batch is stored, as the results say, or nothing. */
static void without_memory_what_is_pending_is_stored_and_nothing_else(void **state) {
    struct service_fixture *fixture = *state;
    bool is_done = false;
    size_t jobs = 0;
    break_record("damage bad");
    for (uint64_t n = 1; !is_done && n < 1000; n++) {
        struct sending sending;
        static struct violations violations;
        char user[16];
        snprintf(user, sizeof user, "user%u", (unsigned)n);
        sending_init(&sending, fixture, "phone");
        sending.upload.user = slice_text(user);
        add(&sending, "c1", CHANGE_CREATE, "bad", "{\"n\":1}");
        add(&sending, "c2", CHANGE_CREATE, "good", "{\"n\":1}");
        violations_init(&violations, &sending.arena, 0);
        struct upload_message message = {.changes = sending.list, .count = sending.count};
        upload_check(&sending.upload, &message, &violations);
        memory_fail_after(n);
        upload_start(&sending.upload); /* the turn is free: it is applied on this thread */
        is_done = memory_count() < n;
        memory_fail_after(0);
        while (sem_wait(&sending.done) != 0)
            continue;
        size_t pending = 0, applied = 0;
        for (size_t i = 0; sending.status == SYNC_OK && i < sending.count; i++) {
            pending += sending.upload.results[i].outcome == OUTCOME_PENDING;
            applied += sending.upload.results[i].outcome == OUTCOME_APPLIED;
        }
        jobs += pending;
        assert_int_equal(pending + applied, sending.status == SYNC_OK ? 2 : 0);
        assert_int_equal(service_fixture_head(fixture, user).sequence, applied);
        assert_int_equal(count(fixture, TABLE_JOB), jobs);
        assert_int_equal(service_fixture_count(fixture, TABLE_PARKED, slice_text(user)),
                         sending.status == SYNC_OK);
        sending_close(&sending);
    }
    assert_true(is_done);
}

static void without_memory_a_job_is_tried_again(void **state) {
    struct service_fixture *fixture = *state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    struct sync_error error;
    park_one(fixture);
    struct job job = the_job(fixture);
    unlink(order);
    for (uint64_t n = 1; status != SYNC_OK && n < 300; n++) {
        assert_int_equal(count(fixture, TABLE_PARKED), 1);
        memory_fail_after(n);
        status = change_job_run(&fixture->service, &job, &error);
        memory_fail_after(0);
        assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
    }
    assert_int_equal(status, SYNC_OK);
    assert_int_equal(count(fixture, TABLE_PARKED), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_first_of_a_damaged_record_is_parked_and_the_rest_of_it_waits),
        TEST(a_fault_that_is_not_a_changes_alone_parks_nothing),
        TEST(without_a_queue_the_upload_fails_as_a_whole),
        TEST(another_device_of_the_user_parks_its_own),
        TEST(its_job_applies_it_once_and_lets_the_rest_go_on),
        TEST(a_job_that_does_not_parse_is_told),
        TEST(without_memory_what_is_pending_is_stored_and_nothing_else),
        TEST(without_memory_a_job_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
