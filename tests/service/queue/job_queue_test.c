// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/queue/job_queue.h"
#include "service/queue/job_row.h"
#include "service/store/rocks_store.h"
#include "tests/service/store/row_damage.h"

enum { JOBS_MAX = 64, PATIENCE_SECONDS = 30 };

/* What the handlers saw, and what they shall answer. */
struct watch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned runs, running, running_most, given_up;
    unsigned runs_of[JOBS_MAX]; /* by the payload's first byte */
    uint32_t attempts_last, attempts_stored;
    char reason[SYNC_ERROR_REASON_MAX];
    enum sync_status answer;
    unsigned fail_first; /* this many runs get the answer, later ones SYNC_OK */
    bool hold;           /* runs wait until two run at once */
    unsigned deaf;       /* so many times given_up answers with an error */
};

/* Queue, store and clock under test. */
struct fixture {
    char path[512];
    struct store *store;
    struct job_queue *queue;
    struct clock clock;
    _Atomic uint64_t now_us;
    struct watch watch;
    struct job_handler handler;
};

static uint64_t fixture_now(void *context) {
    return ((struct fixture *)context)->now_us;
}

static size_t count_rows(struct fixture *fixture, enum table table);

static bool find_attempts(void *context, const struct scan_item *item) {
    struct job job;
    if (job_row_read(TABLE_JOB, item->row->key, item->row->value, &job, NULL) == SYNC_OK)
        *(uint32_t *)context = job.attempts;
    return false;
}

static struct timespec patience(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    return until;
}

static enum sync_status watch_run(void *context, const struct job *job, struct sync_error *error) {
    struct fixture *fixture = context;
    struct watch *watch = &fixture->watch;
    struct timespec until = patience();
    uint32_t stored = UINT32_MAX;
    store_scan(fixture->store, NULL, &(struct scan){.kind = SCAN_ROWS, .table = TABLE_JOB},
               find_attempts, &stored);
    pthread_mutex_lock(&watch->lock);
    watch->runs++;
    watch->runs_of[job->payload.data[0] % JOBS_MAX]++;
    watch->attempts_last = job->attempts;
    watch->attempts_stored = stored;
    if (++watch->running > watch->running_most)
        watch->running_most = watch->running;
    pthread_cond_broadcast(&watch->changed);
    while (watch->hold && watch->running_most < 2)
        if (pthread_cond_timedwait(&watch->changed, &watch->lock, &until) != 0)
            break;
    watch->running--;
    enum sync_status status = watch->runs <= watch->fail_first ? watch->answer : SYNC_OK;
    pthread_mutex_unlock(&watch->lock);
    if (status != SYNC_OK)
        sync_error_set(error, status, "TESTED", NULL, "as the test wants");
    return status;
}

static enum sync_status watch_given_up(void *context, const struct job *job,
                                       const struct sync_error *error) {
    struct fixture *fixture = context;
    (void)job;
    pthread_mutex_lock(&fixture->watch.lock);
    enum sync_status status =
        fixture->watch.given_up++ < fixture->watch.deaf ? SYNC_ERR_IO : SYNC_OK;
    memcpy(fixture->watch.reason, error->reason, sizeof error->reason);
    pthread_cond_broadcast(&fixture->watch.changed);
    pthread_mutex_unlock(&fixture->watch.lock);
    return status;
}

static void store_start(struct fixture *fixture) {
    struct sync_error error;
    struct rocks_store_options options = {.path = fixture->path, .random = random_system()};
    if (rocks_store_open(&options, &error, &fixture->store) != SYNC_OK)
        fail_msg("%s", error.message);
}

static void queue_start(struct fixture *fixture, unsigned workers) {
    struct job_queue_options options = {.store = fixture->store,
                                        .clock = &fixture->clock,
                                        .random = random_system(),
                                        .workers = workers,
                                        .handlers = &fixture->handler,
                                        .handler_count = 1};
    assert_int_equal(job_queue_open(&options, &fixture->queue), SYNC_OK);
}

static int fixture_setup(void **state) {
    static struct fixture fixture;
    static unsigned made;
    const char *top = getenv("TEST_TMPDIR") ? getenv("TEST_TMPDIR") : ".";
    memset(&fixture, 0, sizeof fixture);
    snprintf(fixture.path, sizeof fixture.path, "%s/jobs_%d_%u", top, (int)getpid(), made++);
    fixture.now_us = 1700000000000000;
    fixture.clock =
        (struct clock){.now_us = fixture_now, .monotonic_us = fixture_now, .context = &fixture};
    pthread_mutex_init(&fixture.watch.lock, NULL);
    pthread_cond_init(&fixture.watch.changed, NULL);
    fixture.handler = (struct job_handler){
        .kind = "test", .run = watch_run, .given_up = watch_given_up, .context = &fixture};
    store_start(&fixture);
    *state = &fixture;
    return 0;
}

static int fixture_teardown(void **state) {
    struct fixture *fixture = *state;
    fixture->queue = job_queue_close(fixture->queue);
    store_close(fixture->store);
    pthread_cond_destroy(&fixture->watch.changed);
    pthread_mutex_destroy(&fixture->watch.lock);
    return 0;
}

static bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    ++*(size_t *)context;
    return true;
}

static size_t count_rows(struct fixture *fixture, enum table table) {
    size_t count = 0;
    if (store_scan(fixture->store, NULL, &(struct scan){.kind = SCAN_ROWS, .table = table},
                   count_visit, &count) != SYNC_OK)
        return SIZE_MAX;
    return count;
}

/* Puts a job of `kind` with `mark` as payload, due in `in_us`. */
static void put(struct fixture *fixture, const char *kind, uint8_t mark, uint64_t in_us) {
    struct arena arena;
    struct row_write row;
    struct job job = {.kind = slice_text(kind),
                      .user = SLICE("ann"),
                      .payload = slice_of(&mark, 1),
                      .due_us = fixture->now_us + in_us};
    arena_init(&arena, 1 << 20);
    assert_int_equal(job_queue_put(fixture->queue, &job, &arena, &row), SYNC_OK);
    struct write_set set = {.rows = &row, .row_count = 1};
    assert_int_equal(store_commit_wait(fixture->store, &set, NULL), SYNC_OK);
    arena_done(&arena);
    job_queue_wake(fixture->queue);
}

/* Waits until a count of the watch reaches `wanted`, letting the clock run when `tick_us`. */
static void wait_for(struct fixture *fixture, const unsigned *count, unsigned wanted,
                     uint64_t tick_us) {
    struct timespec until = patience(), now;
    pthread_mutex_lock(&fixture->watch.lock);
    while (*count < wanted) {
        pthread_mutex_unlock(&fixture->watch.lock);
        fixture->now_us += tick_us;
        job_queue_wake(fixture->queue);
        usleep(1000);
        clock_gettime(CLOCK_REALTIME, &now);
        pthread_mutex_lock(&fixture->watch.lock);
        if (now.tv_sec > until.tv_sec) {
            pthread_mutex_unlock(&fixture->watch.lock);
            fail_msg("waited for %u, there are %u", wanted, *count);
        }
    }
    pthread_mutex_unlock(&fixture->watch.lock);
}

static void due_job_runs_once_and_is_gone(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 2);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 1);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 0);
}

static void job_waits_until_it_is_due(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 1000000);
    put(fixture, "test", 2, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    assert_int_equal(fixture->watch.runs_of[2], 1);
    assert_int_equal(fixture->watch.runs_of[1], 0);
    fixture->now_us += 1000000;
    wait_for(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(fixture->watch.runs_of[1], 1);
}

static void attempt_is_written_down_before_it_begins(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(fixture->watch.attempts_stored, 1);
}

static bool key_visit(void *context, const struct scan_item *item) {
    struct buffer *key = context;
    buffer_append(key, item->row->key);
    return false;
}

static void damaged_job_is_put_aside_and_those_behind_it_run(void **state) {
    struct fixture *fixture = *state;
    struct buffer key;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 1000000);
    put(fixture, "test", 2, 2000000);
    fixture->queue = job_queue_close(fixture->queue);
    buffer_init(&key, 1 << 10);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_JOB};
    assert_int_equal(store_scan(fixture->store, NULL, &scan, key_visit, &key), SYNC_OK);
    store_close(fixture->store);
    row_damage(fixture->path, TABLE_JOB, buffer_slice(&key));
    store_start(fixture);
    fixture->now_us += 2000000;
    queue_start(fixture, 1);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[2], 1);
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
    struct row wanted = {.table = TABLE_QUARANTINE, .key = slice_after(buffer_slice(&key), 8)};
    struct touched want = {.rows = &wanted, .row_count = 1};
    struct user_view view;
    struct arena arena;
    struct job job;
    struct sync_error error;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_load(fixture->store, NULL, &want, &arena, &view), SYNC_OK);
    assert_true(view.rows[0].found);
    assert_int_equal(job_row_read(TABLE_QUARANTINE, wanted.key, view.rows[0].value, &job, &error),
                     SYNC_OK);
    assert_string_equal(error.reason, "CORRUPT_JOB");
    arena_done(&arena);
    buffer_done(&key);
}

static void passing_error_is_tried_again_later(void **state) {
    struct fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_UNAVAILABLE;
    fixture->watch.fail_first = 3;
    queue_start(fixture, 2);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 4, 100000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 4);
    assert_int_equal(fixture->watch.attempts_last, 3);
    assert_int_equal(fixture->watch.given_up, 0);
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
}

static void last_attempt_ends_in_quarantine_and_is_told(void **state) {
    struct fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_IO;
    fixture->watch.fail_first = UINT32_MAX;
    queue_start(fixture, 2);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.given_up, 1, 10000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, JOB_ATTEMPTS_MAX);
    assert_string_equal(fixture->watch.reason, "TESTED");
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 1);
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
    struct fixture *fixture = *state;
    struct found_row found = {0};
    fixture->watch.answer = SYNC_ERR_UNAVAILABLE;
    fixture->watch.fail_first = 1;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
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
    struct fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = 1;
    fixture->watch.deaf = 3;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.given_up, 1, 0);
    put(fixture, "test", 2, 0);
    wait_for(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 0);
    wait_for(fixture, &fixture->watch.given_up, 4, 10000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[1], 1);
    assert_string_equal(fixture->watch.reason, "TESTED");
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 1);
}

static void a_job_put_back_has_all_its_attempts_again(void **state) {
    struct fixture *fixture = *state;
    struct found_row found = {0};
    struct row_write rows[2];
    struct arena arena;
    arena_init(&arena, 1 << 20);
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = 1;
    queue_start(fixture, 2);
    put(fixture, "test", 7, 0);
    wait_for(fixture, &fixture->watch.given_up, 1, 0);
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
    wait_for(fixture, &fixture->watch.runs, 2, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[7], 2);
    assert_int_equal(fixture->watch.attempts_last, 0);
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 0);
    arena_done(&arena);
}

static void lasting_error_is_quarantined_at_once(void **state) {
    struct fixture *fixture = *state;
    fixture->watch.answer = SYNC_ERR_CORRUPT;
    fixture->watch.fail_first = UINT32_MAX;
    queue_start(fixture, 1);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.given_up, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 1);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 1);
}

static void job_of_an_unknown_kind_is_quarantined(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 1);
    put(fixture, "what", 1, 0);
    fixture->now_us += 1; /* the one worker takes the earlier one first */
    put(fixture, "test", 2, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(count_rows(fixture, TABLE_QUARANTINE), 1);
    assert_int_equal(fixture->watch.runs_of[1], 0);
}

/* Puts a row as it is, past the queue. */
static void put_row(struct fixture *fixture, const struct job *job) {
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
    struct fixture *fixture = *state;
    queue_start(fixture, 2);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    put_row(fixture, &(struct job){.id = SLICE("old"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\2"),
                                   .due_us = fixture->now_us - 3600 * (uint64_t)1000000});
    wait_for(fixture, &fixture->watch.runs, 2, 10000000);
    assert_int_equal(fixture->watch.runs_of[2], 1);
}

static void job_committed_late_is_found_at_once(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 2);
    put(fixture, "test", 1, 0);
    wait_for(fixture, &fixture->watch.runs, 1, 0);
    put_row(fixture, &(struct job){.id = SLICE("late"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\2"),
                                   .due_us = fixture->now_us - 50000000});
    wait_for(fixture, &fixture->watch.runs, 2, 0);
    assert_int_equal(fixture->watch.runs_of[2], 1);
}

static void job_that_always_ended_the_process_is_given_up(void **state) {
    struct fixture *fixture = *state;
    put_row(fixture, &(struct job){.id = SLICE("killer"),
                                   .kind = SLICE("test"),
                                   .payload = SLICE("\1"),
                                   .attempts = JOB_ATTEMPTS_MAX,
                                   .due_us = 1});
    queue_start(fixture, 1);
    wait_for(fixture, &fixture->watch.given_up, 1, 0);
    assert_int_equal(fixture->watch.runs, 0);
    assert_string_equal(fixture->watch.reason, "ABANDONED");
}

static void jobs_go_on_after_a_restart(void **state) {
    struct fixture *fixture = *state;
    queue_start(fixture, 1);
    for (uint8_t i = 1; i <= 5; i++)
        put(fixture, "test", i, 1000000);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs, 0);
    store_close(fixture->store);
    store_start(fixture);
    fixture->now_us += 1000000;
    queue_start(fixture, 2);
    wait_for(fixture, &fixture->watch.runs, 5, 0);
    for (uint8_t i = 1; i <= 5; i++)
        assert_int_equal(fixture->watch.runs_of[i], 1);
}

static void workers_share_jobs_and_never_one_job(void **state) {
    struct fixture *fixture = *state;
    fixture->watch.hold = true;
    queue_start(fixture, 4);
    for (uint8_t i = 0; i < JOBS_MAX; i++)
        put(fixture, "test", i, 0);
    wait_for(fixture, &fixture->watch.runs, JOBS_MAX, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_true(fixture->watch.running_most >= 2);
    for (uint8_t i = 0; i < JOBS_MAX; i++)
        assert_int_equal(fixture->watch.runs_of[i], 1);
    assert_int_equal(count_rows(fixture, TABLE_JOB), 0);
}

int main(void) {
#define QUEUE_TEST(test_) cmocka_unit_test_setup_teardown(test_, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(due_job_runs_once_and_is_gone),
        QUEUE_TEST(job_waits_until_it_is_due),
        QUEUE_TEST(attempt_is_written_down_before_it_begins),
        QUEUE_TEST(damaged_job_is_put_aside_and_those_behind_it_run),
        QUEUE_TEST(passing_error_is_tried_again_later),
        QUEUE_TEST(last_attempt_ends_in_quarantine_and_is_told),
        QUEUE_TEST(a_job_that_waits_for_another_attempt_tells_why),
        QUEUE_TEST(a_job_whose_end_cannot_be_told_yet_waits_and_holds_up_no_other),
        QUEUE_TEST(a_job_put_back_has_all_its_attempts_again),
        QUEUE_TEST(lasting_error_is_quarantined_at_once),
        QUEUE_TEST(job_of_an_unknown_kind_is_quarantined),
        QUEUE_TEST(job_of_long_ago_is_found_in_the_end),
        QUEUE_TEST(job_committed_late_is_found_at_once),
        QUEUE_TEST(job_that_always_ended_the_process_is_given_up),
        QUEUE_TEST(jobs_go_on_after_a_restart),
        QUEUE_TEST(workers_share_jobs_and_never_one_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
