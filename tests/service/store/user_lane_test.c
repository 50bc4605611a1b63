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

#include "service/store/user_lane.h"

enum { TURNS = 2000, USERS = 7 };

static struct user_lanes *lanes;
static atomic_uint inside[USERS], ran, overlaps;

/* A turn of one of some users. */
struct test_turn {
    struct user_turn turn; /* first */
    unsigned user;
    char name[16];
};

static void turn_work(struct work_task *task) {
    struct test_turn *turn = (struct test_turn *)task;
    if (atomic_fetch_add(&inside[turn->user], 1) != 0)
        atomic_fetch_add(&overlaps, 1);
    for (volatile int spin = 0; spin < 200; spin++)
        ;
    atomic_fetch_sub(&inside[turn->user], 1);
    atomic_fetch_add(&ran, 1);
    user_lane_leave(lanes, &turn->turn);
}

static void turn_init(struct test_turn *turn, unsigned user) {
    turn->user = user;
    snprintf(turn->name, sizeof turn->name, "user%u", user);
    turn->turn = (struct user_turn){.task = {.run = turn_work}, .user = slice_text(turn->name)};
}

static void *enter_many(void *context) {
    struct test_turn *turns = context;
    for (unsigned i = 0; i < TURNS; i++) {
        turn_init(&turns[i], i % USERS);
        if (user_lane_enter(lanes, &turns[i].turn))
            turn_work(&turns[i].turn.task);
    }
    return NULL;
}

static void run_crowd(size_t queue_max) {
    static struct test_turn turns[3][TURNS];
    struct work_pool *pool;
    pthread_t threads[3];
    atomic_store(&ran, 0);
    atomic_store(&overlaps, 0);
    assert_int_equal(work_pool_open("lanes", 2, queue_max, &pool), SYNC_OK);
    assert_int_equal(user_lanes_open(pool, &lanes), SYNC_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, enter_many, turns[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&ran) < 3 * TURNS)
        sched_yield();
    assert_null(work_pool_close(pool));
    assert_int_equal(atomic_load(&overlaps), 0);
    assert_null(user_lanes_close(lanes));
}

static void writers_of_one_user_never_overlap_and_all_run(void **state) {
    (void)state;
    run_crowd(3 * TURNS);
}

static void full_pool_loses_no_turn(void **state) {
    (void)state;
    run_crowd(1);
}

static char order[8];
static size_t order_size;

static void note_work(struct work_task *task) {
    struct test_turn *turn = (struct test_turn *)task;
    order[order_size++] = (char)('a' + turn->user);
    user_lane_leave(lanes, &turn->turn);
}

static void turns_come_in_the_order_of_asking(void **state) {
    (void)state;
    struct work_pool *pool;
    struct test_turn turns[4], other;
    assert_int_equal(work_pool_open("lanes", 1, 16, &pool), SYNC_OK);
    assert_int_equal(user_lanes_open(pool, &lanes), SYNC_OK);
    for (unsigned i = 0; i < 4; i++) {
        turn_init(&turns[i], i);
        turns[i].turn.user = SLICE("same");
        turns[i].turn.task.run = note_work;
        assert_int_equal(user_lane_enter(lanes, &turns[i].turn), i == 0);
    }
    turn_init(&other, 5);
    assert_true(user_lane_enter(lanes, &other.turn));
    user_lane_leave(lanes, &other.turn);
    assert_int_equal(order_size, 0);
    user_lane_leave(lanes, &turns[0].turn);
    work_pool_close(pool);
    assert_string_equal(order, "bcd");
    user_lanes_close(lanes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_of_one_user_never_overlap_and_all_run),
        cmocka_unit_test(full_pool_loses_no_turn),
        cmocka_unit_test(turns_come_in_the_order_of_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
