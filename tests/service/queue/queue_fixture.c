#include "tests/service/queue/queue_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 30 };

static uint64_t fixture_now(void *context) {
    return ((struct queue_fixture *)context)->now_us;
}

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
    struct queue_fixture *fixture = context;
    struct queue_watch *watch = &fixture->watch;
    struct timespec until = patience();
    uint32_t stored = UINT32_MAX;
    store_scan(fixture->store, NULL, &(struct scan){.kind = SCAN_ROWS, .table = TABLE_JOB},
               find_attempts, &stored);
    pthread_mutex_lock(&watch->lock);
    watch->runs++;
    watch->runs_of[job->payload.data[0] % QUEUE_JOBS_MAX]++;
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
    struct queue_fixture *fixture = context;
    (void)job;
    pthread_mutex_lock(&fixture->watch.lock);
    enum sync_status status =
        fixture->watch.given_up++ < fixture->watch.deaf ? SYNC_ERR_IO : SYNC_OK;
    memcpy(fixture->watch.reason, error->reason, sizeof error->reason);
    pthread_cond_broadcast(&fixture->watch.changed);
    pthread_mutex_unlock(&fixture->watch.lock);
    return status;
}

void queue_fixture_open_store(struct queue_fixture *fixture) {
    struct sync_error error;
    struct rocks_store_options options = {.path = fixture->path, .random = random_system()};
    if (rocks_store_open(&options, &error, &fixture->store) != SYNC_OK)
        fail_msg("%s", error.message);
}

void queue_fixture_start(struct queue_fixture *fixture, unsigned workers) {
    struct job_queue_options options = {.store = fixture->store,
                                        .clock = &fixture->clock,
                                        .random = random_system(),
                                        .workers = workers,
                                        .handlers = &fixture->handler,
                                        .handler_count = 1};
    assert_int_equal(job_queue_open(&options, &fixture->queue), SYNC_OK);
}

int queue_fixture_setup(void **state) {
    static struct queue_fixture fixture;
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
    queue_fixture_open_store(&fixture);
    *state = &fixture;
    return 0;
}

int queue_fixture_teardown(void **state) {
    struct queue_fixture *fixture = *state;
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

size_t queue_fixture_count(struct queue_fixture *fixture, enum table table) {
    size_t count = 0;
    if (store_scan(fixture->store, NULL, &(struct scan){.kind = SCAN_ROWS, .table = table},
                   count_visit, &count) != SYNC_OK)
        return SIZE_MAX;
    return count;
}

void queue_fixture_put(struct queue_fixture *fixture, const char *kind, uint8_t mark,
                       uint64_t in_us) {
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

void queue_fixture_wait(struct queue_fixture *fixture, const unsigned *count, unsigned wanted,
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
