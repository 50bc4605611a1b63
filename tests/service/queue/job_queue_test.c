#include <unistd.h>

#include "tests/service/queue/queue_fixture.h"

static void due_job_runs_once_and_is_gone(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 1);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 0);
}

static void job_waits_until_it_is_due(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 1000000);
    queue_fixture_put(fixture, "test", 2, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    assert_int_equal(fixture->watch.runs_of[2], 1);
    assert_int_equal(fixture->watch.runs_of[1], 0);
    fixture->now_us += 1000000;
    queue_fixture_wait(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(fixture->watch.runs_of[1], 1);
}

static void attempt_is_written_down_before_it_begins(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(fixture->watch.attempts_stored, 1);
}

static void passing_error_is_tried_again_later(void **state) {
    struct queue_fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_UNAVAILABLE;
    fixture->watch.fail_first = 3;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 4, 100000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 4);
    assert_int_equal(fixture->watch.attempts_last, 3);
    assert_int_equal(fixture->watch.given_up, 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
}

static void last_attempt_ends_in_quarantine_and_is_told(void **state) {
    struct queue_fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_IO;
    fixture->watch.fail_first = UINT32_MAX;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 1, 10000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, JOB_ATTEMPTS_MAX);
    assert_string_equal(fixture->watch.reason, "TESTED");
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 1);
}

/* The only row of a table, read. Its slices live until the fixture's store closes. */
struct found_row {
    struct job job;
    struct sync_error error;
    uint8_t bytes[512];
};

static bool find_row(void *context, const struct scan_item *item) {
    struct found_row *found = context;
    struct slice key = item->row->key, value = item->row->value;
    assert_true(key.size + value.size <= sizeof found->bytes);
    memcpy(found->bytes, key.data, key.size);
    memcpy(found->bytes + key.size, value.data, value.size);
    return job_row_read(item->row->table, slice_of(found->bytes, key.size),
                        slice_of(found->bytes + key.size, value.size), &found->job,
                        &found->error) == SYNC_OK;
}

static void a_job_that_waits_for_another_attempt_tells_why(void **state) {
    struct queue_fixture *fixture = *state;
    struct found_row found = {0};
    fixture->watch.answer = SYNC_ERR_UNAVAILABLE;
    fixture->watch.fail_first = 1;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(store_scan(fixture->store, NULL,
                                &(struct scan){.kind = SCAN_ROWS, .table = TABLE_JOB}, find_row,
                                &found),
                     SYNC_OK);
    assert_int_equal(found.job.attempts, 1);
    assert_int_equal(found.error.status, SYNC_ERR_UNAVAILABLE);
    assert_string_equal(found.error.reason, "TESTED");
    assert_true(found.job.due_us >= fixture->now_us);
}

static void a_job_whose_end_cannot_be_told_yet_waits_and_holds_up_no_other(void **state) {
    struct queue_fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = 1;
    fixture->watch.deaf = 3;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 1, 0);
    queue_fixture_put(fixture, "test", 2, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 0);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 4, 10000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[1], 1);
    assert_string_equal(fixture->watch.reason, "TESTED");
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 1);
}

static void a_job_put_back_has_all_its_attempts_again(void **state) {
    struct queue_fixture *fixture = *state;
    struct found_row found = {0};
    struct row_write rows[2];
    struct arena arena;
    arena_init(&arena, 1 << 20);
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = 1;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 7, 0);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 1, 0);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_QUARANTINE};
    for (int i = 0; i < 30000 && found.job.id.size == 0; i++) {
        usleep(1000);
        assert_int_equal(store_scan(fixture->store, NULL, &scan, find_row, &found), SYNC_OK);
    }
    assert_int_equal(found.job.attempts, 1);
    assert_int_equal(job_queue_put_back(fixture->queue, &found.job, &arena, rows), SYNC_OK);
    struct write_set set = {.rows = rows, .row_count = 2};
    assert_int_equal(store_commit_wait(fixture->store, &set, NULL), SYNC_OK);
    job_queue_wake(fixture->queue);
    queue_fixture_wait(fixture, &fixture->watch.runs, 2, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[7], 2);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 0);
    arena_done(&arena);
}

static void lasting_error_is_quarantined_at_once(void **state) {
    struct queue_fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = UINT32_MAX;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 1);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 1);
}

static void job_of_an_unknown_kind_is_quarantined(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "what", 1, 0);
    fixture->now_us += 1; /* the one worker takes the earlier one first */
    queue_fixture_put(fixture, "test", 2, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(queue_fixture_count(fixture, TABLE_QUARANTINE), 1);
    assert_int_equal(fixture->watch.runs_of[1], 0);
}

/* Puts a row as it is, past the queue. */
static void put_row(struct queue_fixture *fixture, const struct job *job) {
    struct arena arena;
    struct row_write row = {.table = TABLE_JOB};
    arena_init(&arena, 1 << 20);
    assert_true(job_row_key(job, &arena, &row.key));
    assert_true(job_row_value(job, NULL, &arena, &row.value));
    struct write_set set = {.rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(fixture->store, &set, NULL), SYNC_OK);
    arena_done(&arena);
}

static void job_of_long_ago_is_found_in_the_end(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    put_row(fixture, &(struct job){.id = SLICE("old"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\2"),
                                   .due_us = fixture->now_us - 3600 * (uint64_t)1000000});
    queue_fixture_wait(fixture, &fixture->watch.runs, 2, 10000000);
    assert_int_equal(fixture->watch.runs_of[2], 1);
}

static void job_committed_late_is_found_at_once(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 2);
    queue_fixture_put(fixture, "test", 1, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    put_row(fixture, &(struct job){.id = SLICE("late"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\2"),
                                   .due_us = fixture->now_us - 50000000});
    queue_fixture_wait(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(fixture->watch.runs_of[2], 1);
}

static void job_that_always_ended_the_process_is_given_up(void **state) {
    struct queue_fixture *fixture = *state;
    put_row(fixture, &(struct job){.id = SLICE("killer"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\1"),
                                   .attempts = JOB_ATTEMPTS_MAX,
                                   .due_us = 1});
    queue_fixture_start(fixture, 1);
    queue_fixture_wait(fixture, &fixture->watch.given_up, 1, 0);
    assert_int_equal(fixture->watch.runs, 0);
    assert_string_equal(fixture->watch.reason, "ABANDONED");
}

static void jobs_go_on_after_a_restart(void **state) {
    struct queue_fixture *fixture = *state;
    queue_fixture_start(fixture, 1);
    for (uint8_t i = 1; i <= 5; i++)
        queue_fixture_put(fixture, "test", i, 1000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 0);
    store_close(fixture->store);
    queue_fixture_open_store(fixture);
    fixture->now_us += 1000000;
    queue_fixture_start(fixture, 2);
    queue_fixture_wait(fixture, &fixture->watch.runs, 5, 0);
    for (uint8_t i = 1; i <= 5; i++)
        assert_int_equal(fixture->watch.runs_of[i], 1);
}

static void workers_share_jobs_and_never_one_job(void **state) {
    struct queue_fixture *fixture = *state;
    fixture->watch.hold = true;
    queue_fixture_start(fixture, 4);
    for (uint8_t i = 0; i < QUEUE_JOBS_MAX; i++)
        queue_fixture_put(fixture, "test", i, 0);
    queue_fixture_wait(fixture, &fixture->watch.runs, QUEUE_JOBS_MAX, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_true(fixture->watch.running_most >= 2);
    for (uint8_t i = 0; i < QUEUE_JOBS_MAX; i++)
        assert_int_equal(fixture->watch.runs_of[i], 1);
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_QUEUE(due_job_runs_once_and_is_gone),
        TEST_QUEUE(job_waits_until_it_is_due),
        TEST_QUEUE(attempt_is_written_down_before_it_begins),
        TEST_QUEUE(passing_error_is_tried_again_later),
        TEST_QUEUE(last_attempt_ends_in_quarantine_and_is_told),
        TEST_QUEUE(a_job_that_waits_for_another_attempt_tells_why),
        TEST_QUEUE(a_job_whose_end_cannot_be_told_yet_waits_and_holds_up_no_other),
        TEST_QUEUE(a_job_put_back_has_all_its_attempts_again),
        TEST_QUEUE(lasting_error_is_quarantined_at_once),
        TEST_QUEUE(job_of_an_unknown_kind_is_quarantined),
        TEST_QUEUE(job_of_long_ago_is_found_in_the_end),
        TEST_QUEUE(job_committed_late_is_found_at_once),
        TEST_QUEUE(job_that_always_ended_the_process_is_given_up),
        TEST_QUEUE(jobs_go_on_after_a_restart),
        TEST_QUEUE(workers_share_jobs_and_never_one_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
