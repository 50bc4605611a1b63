#include "base/work_pool.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"

enum { TASKS = 1000, SUBMITTERS = 4 };

/* A task that waits for its gate, then takes the next number. */
struct numbered {
    struct work_task task; /* first, so that the task's address is this one's */
    sem_t *gate;           /* NULL: open */
    sem_t *started;        /* NULL: nobody waits */
    atomic_int *counter;
    int number;
};

static void numbered_run(struct work_task *task) {
    struct numbered *numbered = (struct numbered *)task;
    if (numbered->started)
        sem_post(numbered->started);
    if (numbered->gate)
        sem_wait(numbered->gate);
    numbered->number = atomic_fetch_add(numbered->counter, 1) + 1;
}

static void one_thread_runs_tasks_first_come_first_served(void **state) {
    (void)state;
    static struct numbered tasks[TASKS];
    atomic_int counter = 0;
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("test", 1, TASKS, &pool), SYNC_OK);
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct numbered){.task = {.run = numbered_run}, .counter = &counter};
        assert_int_equal(work_pool_submit(pool, &tasks[i].task), SYNC_OK);
    }
    assert_null(work_pool_close(pool));
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(tasks[i].number, i + 1);
}

static void a_full_queue_is_busy_until_a_task_is_taken(void **state) {
    (void)state;
    atomic_int counter = 0;
    sem_t gate, started;
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    struct numbered tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = (struct numbered){
            .task = {.run = numbered_run}, .gate = &gate, .started = &started, .counter = &counter};
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("test", 1, 2, &pool), SYNC_OK);
    assert_int_equal(work_pool_submit(pool, &tasks[0].task), SYNC_OK);
    sem_wait(&started); /* the first is out of the queue */
    assert_int_equal(work_pool_submit(pool, &tasks[1].task), SYNC_OK);
    assert_int_equal(work_pool_submit(pool, &tasks[2].task), SYNC_OK);
    assert_int_equal(work_pool_submit(pool, &tasks[3].task), SYNC_ERR_BUSY);
    sem_post(&gate);
    sem_wait(&started); /* the second is out too */
    assert_int_equal(work_pool_submit(pool, &tasks[3].task), SYNC_OK);
    for (int i = 0; i < 3; i++)
        sem_post(&gate);
    work_pool_close(pool);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tasks[i].number, i + 1);
    sem_destroy(&gate);
    sem_destroy(&started);
}

static void threads_run_tasks_side_by_side(void **state) {
    (void)state;
    atomic_int counter = 0;
    sem_t gate, started;
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    struct numbered tasks[3];
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("a-name-longer-than-the-kernel-takes", 3, 3, &pool), SYNC_OK);
    for (int i = 0; i < 3; i++) {
        tasks[i] = (struct numbered){
            .task = {.run = numbered_run}, .gate = &gate, .started = &started, .counter = &counter};
        assert_int_equal(work_pool_submit(pool, &tasks[i].task), SYNC_OK);
    }
    for (int i = 0; i < 3; i++)
        sem_wait(&started); /* all have begun and none has ended */
    assert_int_equal(counter, 0);
    for (int i = 0; i < 3; i++)
        sem_post(&gate);
    work_pool_close(pool);
    assert_int_equal(counter, 3);
    sem_destroy(&gate);
    sem_destroy(&started);
}

struct submitter {
    struct work_pool *pool;
    struct numbered tasks[TASKS];
    atomic_int *counter;
};

static void *submit_all(void *context) {
    struct submitter *submitter = context;
    for (int i = 0; i < TASKS; i++) {
        submitter->tasks[i] =
            (struct numbered){.task = {.run = numbered_run}, .counter = submitter->counter};
        while (work_pool_submit(submitter->pool, &submitter->tasks[i].task) == SYNC_ERR_BUSY)
            sched_yield();
    }
    return NULL;
}

static void every_task_of_many_submitters_runs_once(void **state) {
    (void)state;
    static struct submitter submitters[SUBMITTERS];
    atomic_int counter = 0;
    pthread_t threads[SUBMITTERS];
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("test", 3, 7, &pool), SYNC_OK);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].pool = pool;
        submitters[i].counter = &counter;
        assert_int_equal(pthread_create(&threads[i], NULL, submit_all, &submitters[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    work_pool_close(pool);
    assert_int_equal(counter, SUBMITTERS * TASKS);
    static bool seen[SUBMITTERS * TASKS + 1];
    for (int i = 0; i < SUBMITTERS; i++) {
        for (int j = 0; j < TASKS; j++) {
            int number = submitters[i].tasks[j].number;
            assert_in_range(number, 1, SUBMITTERS * TASKS);
            assert_false(seen[number]);
            seen[number] = true;
        }
    }
}

/* A task that submits another when the pool is closing. */
struct late {
    struct work_task task;
    struct work_pool *pool;
    sem_t *started;
    struct numbered another;
    enum sync_status status;
};

static void late_run(struct work_task *task) {
    struct late *late = (struct late *)task;
    sem_post(late->started);
    /* Queued once at most: the only thread is here, so the queue of one is then full. */
    while ((late->status = work_pool_submit(late->pool, &late->another.task)) !=
           SYNC_ERR_UNAVAILABLE)
        sched_yield();
}

static void a_closing_pool_takes_no_more(void **state) {
    (void)state;
    sem_t started;
    sem_init(&started, 0, 0);
    atomic_int counter = 0;
    struct late late = {.task = {.run = late_run}, .started = &started};
    assert_int_equal(work_pool_open("test", 1, 1, &late.pool), SYNC_OK);
    late.another = (struct numbered){.task = {.run = numbered_run}, .counter = &counter};
    assert_int_equal(work_pool_submit(late.pool, &late.task), SYNC_OK);
    sem_wait(&started);
    work_pool_close(late.pool);
    assert_int_equal(late.status, SYNC_ERR_UNAVAILABLE);
    assert_int_equal(counter, late.another.number); /* what was queued before has run */
    sem_destroy(&started);
}

/* Waits in the gate as a posted task, so that what is queued meanwhile is taken in the pool's
 * order.
 */
static void submitted_tasks_go_before_posted_ones_but_not_for_ever(void **state) {
    (void)state;
    static struct numbered submitted[TASKS], posted[TASKS];
    atomic_int counter = 0;
    sem_t gate, started;
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    struct numbered first = {
        .task = {.run = numbered_run}, .gate = &gate, .started = &started, .counter = &counter};
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("test", 1, TASKS, &pool), SYNC_OK);
    assert_int_equal(work_pool_submit(pool, &first.task), SYNC_OK);
    sem_wait(&started);
    for (int i = 0; i < TASKS; i++) {
        posted[i] = submitted[i] =
            (struct numbered){.task = {.run = numbered_run}, .counter = &counter};
        work_pool_post(pool, &posted[i].task);
        assert_int_equal(work_pool_submit(pool, &submitted[i].task), SYNC_OK);
    }
    sem_post(&gate);
    work_pool_close(pool);
    assert_int_equal(counter, 2 * TASKS + 1);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(submitted[i].number, 2 + i + i / (POSTED_EVERY - 1));
    for (int i = 0; i < TASKS / POSTED_EVERY; i++)
        assert_int_equal(posted[i].number, 1 + POSTED_EVERY * (i + 1));
    for (int i = 1; i < TASKS; i++)
        assert_true(posted[i].number > posted[i - 1].number);
    sem_destroy(&gate);
    sem_destroy(&started);
}

static void posted_tasks_leave_a_thread_to_submitted_ones(void **state) {
    (void)state;
    enum { THREADS = 3, POSTED = 100 };
    atomic_int counter = 0, submitted_counter = 0;
    sem_t gate, started, submitted_started;
    sem_init(&gate, 0, 0);
    sem_init(&started, 0, 0);
    sem_init(&submitted_started, 0, 0);
    static struct numbered posted[POSTED];
    struct work_pool *pool = NULL;
    assert_int_equal(work_pool_open("test", THREADS, 10, &pool), SYNC_OK);
    for (int i = 0; i < POSTED; i++) {
        posted[i] = (struct numbered){
            .task = {.run = numbered_run}, .gate = &gate, .started = &started, .counter = &counter};
        work_pool_post(pool, &posted[i].task);
    }
    for (int i = 0; i < THREADS - 1; i++)
        sem_wait(&started); /* they hold all threads but one */
    static struct numbered submitted[10];
    for (int i = 0; i < 10; i++) {
        submitted[i] = (struct numbered){.task = {.run = numbered_run},
                                         .started = &submitted_started,
                                         .counter = &submitted_counter};
        assert_int_equal(work_pool_submit(pool, &submitted[i].task), SYNC_OK);
        sem_wait(&submitted_started);
    }
    assert_int_equal(counter, 0);
    assert_int_not_equal(sem_trywait(&started), 0); /* no third posted task has begun */
    for (int i = 0; i < POSTED; i++)
        sem_post(&gate);
    work_pool_close(pool);
    assert_int_equal(counter, POSTED);
    sem_destroy(&gate);
    sem_destroy(&started);
    sem_destroy(&submitted_started);
}

/* A task that posts itself again while it has turns left. */
struct recurring {
    struct work_task task;
    struct work_pool *pool;
    sem_t *started;
    int turns;
};

static void recurring_run(struct work_task *task) {
    struct recurring *recurring = (struct recurring *)task;
    if (recurring->started) {
        sem_post(recurring->started);
        recurring->started = NULL;
    }
    if (--recurring->turns > 0)
        work_pool_post(recurring->pool, task);
}

static void a_closing_pool_runs_what_its_tasks_post(void **state) {
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        sem_t started;
        sem_init(&started, 0, 0);
        struct recurring tasks[8];
        struct work_pool *pool = NULL;
        assert_int_equal(work_pool_open("test", threads, 1, &pool), SYNC_OK);
        for (int i = 0; i < 8; i++) {
            tasks[i] = (struct recurring){
                .task = {.run = recurring_run}, .pool = pool, .started = &started, .turns = TASKS};
            work_pool_post(pool, &tasks[i].task);
        }
        sem_wait(&started);
        work_pool_close(pool);
        for (int i = 0; i < 8; i++)
            assert_int_equal(tasks[i].turns, 0);
        sem_destroy(&started);
    }
}

static void without_memory_there_is_no_pool(void **state) {
    (void)state;
    struct work_pool *pool = NULL;
    memory_fail_after(1);
    assert_int_equal(work_pool_open("test", 1, 1, &pool), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    assert_null(pool);
    assert_null(work_pool_close(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_runs_tasks_first_come_first_served),
        cmocka_unit_test(a_full_queue_is_busy_until_a_task_is_taken),
        cmocka_unit_test(threads_run_tasks_side_by_side),
        cmocka_unit_test(every_task_of_many_submitters_runs_once),
        cmocka_unit_test(a_closing_pool_takes_no_more),
        cmocka_unit_test(submitted_tasks_go_before_posted_ones_but_not_for_ever),
        cmocka_unit_test(posted_tasks_leave_a_thread_to_submitted_ones),
        cmocka_unit_test(a_closing_pool_runs_what_its_tasks_post),
        cmocka_unit_test(without_memory_there_is_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
