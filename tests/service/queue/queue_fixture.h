/* Queue fixture: a job queue on a store of its own, with a clock that the test moves and a handler
 * of jobs of the kind "test" that writes down what it saw and answers as it is told. */
#ifndef TESTS_SERVICE_QUEUE_QUEUE_FIXTURE_H
#define TESTS_SERVICE_QUEUE_QUEUE_FIXTURE_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <stdatomic.h>

#include "service/queue/job_queue.h"
#include "service/queue/job_row.h"
#include "service/store/rocks_store.h"

enum { QUEUE_JOBS_MAX = 64 };

/* What the handlers saw, and what they shall answer; under its lock while the queue runs. */
struct queue_watch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned runs, running, running_most, given_up;
    unsigned runs_of[QUEUE_JOBS_MAX]; /* by the payload's first byte */
    uint32_t attempts_last, attempts_stored;
    char reason[SYNC_ERROR_REASON_MAX];
    enum sync_status answer;
    unsigned fail_first; /* this many runs get the answer, later ones SYNC_OK */
    bool hold;           /* runs wait until two run at once */
    unsigned deaf;       /* so many times given_up answers with an error */
};

/* Queue, store and clock under test. */
struct queue_fixture {
    char path[512]; /* of the store */
    struct store *store;
    struct job_queue *queue;
    struct clock clock;
    _Atomic uint64_t now_us;
    struct queue_watch watch;
    struct job_handler handler;
};

/* A case of cmocka with a fixture of its own, which is its state. */
#define TEST_QUEUE(test_)                                                                          \
    cmocka_unit_test_setup_teardown(test_, queue_fixture_setup, queue_fixture_teardown)

/* Opens the store, empty, and no queue; closes both. */
int queue_fixture_setup(void **state);
int queue_fixture_teardown(void **state);

/* Opens the store where it is, after the test has closed it. */
void queue_fixture_open_store(struct queue_fixture *fixture);

/* Opens the queue. */
void queue_fixture_start(struct queue_fixture *fixture, unsigned workers);

/* Puts a job of `kind` with `mark` as payload, due in `in_us`. */
void queue_fixture_put(struct queue_fixture *fixture, const char *kind, uint8_t mark,
                       uint64_t in_us);

/* Waits until a count of the watch reaches `wanted`, letting the clock run when `tick_us`. */
void queue_fixture_wait(struct queue_fixture *fixture, const unsigned *count, unsigned wanted,
                        uint64_t tick_us);

/* How many rows the table has; SIZE_MAX where that cannot be read. */
size_t queue_fixture_count(struct queue_fixture *fixture, enum table table);

#endif
