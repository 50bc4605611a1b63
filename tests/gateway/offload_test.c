/* Offload: each client's tasks by turns, bounds, and tasks taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gateway/offload.h"
#include "tests/gateway/pool_gate.h"

enum { WAIT_MS = 1000 };

struct named_task {
    struct offload_task task;
    const char *name;
};

static struct loop *loop;
static struct work_pool *pool;
static struct offload *offload;
static struct pool_gate gate;
static char ran[256], told[256]; /* names, in order; the first of the pool's one thread */

static void task_run(struct offload_task *task) {
    strncat(ran, ((struct named_task *)task)->name, sizeof ran - strlen(ran) - 1);
}

static void task_done(struct offload_task *task) {
    strncat(told, ((struct named_task *)task)->name, sizeof told - strlen(told) - 1);
}

static struct named_task task_of(const char *name, unsigned client) {
    struct named_task task = {.name = name};
    task.task.run = task_run;
    task.task.done = task_done;
    memcpy(task.task.client.bytes, &client, sizeof client);
    return task;
}

static int setup(void **state) {
    (void)state;
    ran[0] = told[0] = '\0';
    assert_int_equal(loop_open(clock_system(), &loop), SYNC_OK);
    assert_int_equal(work_pool_open("test", 1, OFFLOAD_RUNNING_MAX + 1, &pool), SYNC_OK);
    assert_int_equal(offload_open(loop, pool, &offload), SYNC_OK);
    pool_gate_shut(&gate, pool);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    pool_gate_open(&gate);
    offload = offload_close(offload);
    pool = work_pool_close(pool);
    loop = loop_close(loop);
    return 0;
}

static void wait_for(const char *all) {
    while (strlen(told) < strlen(all))
        assert_int_equal(loop_turn(loop, WAIT_MS), SYNC_OK);
    assert_string_equal(told, all);
    assert_string_equal(ran, all);
}

static void clients_take_turns(void **state) {
    (void)state;
    struct named_task tasks[] = {task_of("a", 1), task_of("b", 1), task_of("c", 1),
                                 task_of("x", 2), task_of("y", 2), task_of("z", 3)};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(offload_start(offload, &tasks[i].task), SYNC_OK);
    assert_int_equal(loop_turn(loop, 0), SYNC_OK);
    assert_string_equal(told, "");
    pool_gate_open(&gate);
    while (strlen(told) < 6)
        assert_int_equal(loop_turn(loop, WAIT_MS), SYNC_OK);
    /* The first of each ran before the second of any. */
    assert_memory_equal(ran, "axz", 3);
    assert_string_equal(told, ran);
    assert_true(strchr(ran, 'b') < strchr(ran, 'c'));
}

static void a_task_that_waits_is_taken_back(void **state) {
    (void)state;
    struct named_task first = task_of("a", 1), second = task_of("b", 1), third = task_of("c", 1);
    assert_int_equal(offload_start(offload, &first.task), SYNC_OK);
    assert_int_equal(offload_start(offload, &second.task), SYNC_OK);
    assert_int_equal(offload_start(offload, &third.task), SYNC_OK);
    assert_false(offload_withdraw(&first.task));
    assert_true(offload_withdraw(&third.task));
    assert_int_equal(offload_start(offload, &third.task), SYNC_OK);
    assert_true(offload_withdraw(&second.task));
    pool_gate_open(&gate);
    wait_for("ac");
}

static void there_are_bounds(void **state) {
    (void)state;
    static struct named_task tasks[OFFLOAD_TASKS_MAX + 1];
    for (unsigned i = 0; i <= OFFLOAD_TASKS_MAX; i++)
        tasks[i] = task_of("", i / OFFLOAD_CLIENT_TASKS_MAX);
    struct named_task other = task_of("", 0);
    for (unsigned i = 0; i < OFFLOAD_CLIENT_TASKS_MAX; i++)
        assert_int_equal(offload_start(offload, &tasks[i].task), SYNC_OK);
    assert_int_equal(offload_start(offload, &other.task), SYNC_ERR_BUSY);
    for (unsigned i = OFFLOAD_CLIENT_TASKS_MAX; i < OFFLOAD_TASKS_MAX; i++)
        assert_int_equal(offload_start(offload, &tasks[i].task), SYNC_OK);
    assert_int_equal(offload_start(offload, &tasks[OFFLOAD_TASKS_MAX].task), SYNC_ERR_BUSY);
    unsigned with_pool = 0;
    for (unsigned i = 0; i < OFFLOAD_TASKS_MAX; i++)
        with_pool += !offload_withdraw(&tasks[i].task);
    assert_int_equal(with_pool, OFFLOAD_RUNNING_MAX);
}

static void closing_tells_of_what_runs(void **state) {
    (void)state;
    struct named_task task = task_of("a", 1);
    assert_int_equal(offload_start(offload, &task.task), SYNC_OK);
    pool_gate_open(&gate);
    offload = offload_close(offload);
    assert_string_equal(told, "a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clients_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_that_waits_is_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(there_are_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_tells_of_what_runs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
