#include "base/timer.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

enum { MANY = 20000 };

/* A clock that stands until it is set. */
static _Atomic uint64_t hand_us;

static uint64_t hand_now(void *context) {
    (void)context;
    return atomic_load(&hand_us);
}

static const struct clock HAND = {hand_now, hand_now, NULL};

static void hand_set(struct timers *timers, uint64_t now_us) {
    atomic_store(&hand_us, now_us);
    timers_wake(timers);
}

/* A timer that takes the next number when it is called. */
struct ring {
    struct timer timer; /* first, so that the timer's address is this one's */
    sem_t *rung;
    atomic_int *counter;
    atomic_int number, calls;
};

static void ring_expired(struct timer *timer) {
    struct ring *ring = (struct ring *)timer;
    atomic_store(&ring->number, atomic_fetch_add(ring->counter, 1) + 1);
    atomic_fetch_add(&ring->calls, 1);
    sem_post(ring->rung);
}

/* What each test gets. */
struct fixture {
    struct timers *timers;
    sem_t rung;
    atomic_int counter;
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    sem_init(&fixture->rung, 0, 0);
    atomic_store(&hand_us, 1000);
    assert_int_equal(timers_open(&HAND, &fixture->timers), SYNC_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    assert_null(timers_close(fixture->timers));
    sem_destroy(&fixture->rung);
    free(fixture);
    return 0;
}

static void ring_init(struct ring *ring, struct fixture *fixture) {
    *ring = (struct ring){
        .timer = {.expired = ring_expired}, .rung = &fixture->rung, .counter = &fixture->counter};
}

static void timers_ring_in_the_order_of_their_times(void **state) {
    struct fixture *fixture = *state;
    static struct ring rings[MANY];
    static bool seen[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        ring_init(&rings[i], fixture);
        timer_start(fixture->timers, &rings[i].timer, 2000 + i * 7919 % MANY);
    }
    hand_set(fixture->timers, 2000 + MANY);
    for (int i = 0; i < MANY; i++)
        sem_wait(&fixture->rung);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(rings[i].number, i * 7919 % MANY + 1);
        assert_false(seen[rings[i].number - 1]);
        seen[rings[i].number - 1] = true;
    }
}

static void no_timer_rings_before_its_time(void **state) {
    struct fixture *fixture = *state;
    struct ring early, late;
    ring_init(&early, fixture);
    ring_init(&late, fixture);
    timer_start(fixture->timers, &late.timer, 5001);
    timer_start(fixture->timers, &early.timer, 5000);
    hand_set(fixture->timers, 5000);
    sem_wait(&fixture->rung);
    assert_int_equal(early.calls, 1);
    assert_int_equal(late.calls, 0);
    hand_set(fixture->timers, 5001);
    sem_wait(&fixture->rung);
    assert_int_equal(late.calls, 1);
    assert_int_equal(early.calls, 1);
}

static void timer_started_again_rings_once_at_its_new_time(void **state) {
    struct fixture *fixture = *state;
    struct ring moved, other;
    ring_init(&moved, fixture);
    ring_init(&other, fixture);
    timer_start(fixture->timers, &moved.timer, 2000);
    timer_start(fixture->timers, &other.timer, 3000);
    timer_start(fixture->timers, &moved.timer, 4000);
    hand_set(fixture->timers, 3000);
    sem_wait(&fixture->rung);
    assert_int_equal(other.calls, 1);
    assert_int_equal(moved.calls, 0);
    timer_start(fixture->timers, &moved.timer, 2500); /* it is past: at once */
    sem_wait(&fixture->rung);
    assert_int_equal(moved.calls, 1);
    hand_set(fixture->timers, 9000);
    timer_stop(fixture->timers, &moved.timer);
    assert_int_equal(moved.calls, 1);
}

static void stopped_timers_do_not_ring_and_the_others_do(void **state) {
    struct fixture *fixture = *state;
    static struct ring rings[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        ring_init(&rings[i], fixture);
        timer_start(fixture->timers, &rings[i].timer, 2000 + i * 31 % MANY);
    }
    for (int i = 0; i < MANY; i++) {
        if (i % 3 != 0)
            timer_stop(fixture->timers, &rings[i].timer);
    }
    timer_stop(fixture->timers, &rings[1].timer); /* twice, and one that never started */
    struct ring never;
    ring_init(&never, fixture);
    timer_stop(fixture->timers, &never.timer);
    hand_set(fixture->timers, 2000 + MANY);
    for (int i = 0; i < MANY; i += 3)
        sem_wait(&fixture->rung);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(rings[i].calls, i % 3 == 0);
}

/* A timer that says that it runs, and waits to be let go. */
struct slow {
    struct timer timer;
    sem_t running, go;
    atomic_bool has_ended;
};

static void slow_expired(struct timer *timer) {
    struct slow *slow = (struct slow *)timer;
    sem_post(&slow->running);
    sem_wait(&slow->go);
    atomic_store(&slow->has_ended, true);
}

static void *slow_release(void *context) {
    struct slow *slow = context;
    for (int i = 0; i < 1000; i++)
        sched_yield();
    sem_post(&slow->go);
    return NULL;
}

static void stop_waits_for_a_timer_that_runs(void **state) {
    struct fixture *fixture = *state;
    struct slow slow = {.timer = {.expired = slow_expired}};
    pthread_t thread;
    sem_init(&slow.running, 0, 0);
    sem_init(&slow.go, 0, 0);
    timer_start(fixture->timers, &slow.timer, 0);
    sem_wait(&slow.running);
    assert_int_equal(pthread_create(&thread, NULL, slow_release, &slow), 0);
    timer_stop(fixture->timers, &slow.timer);
    assert_true(slow.has_ended);
    pthread_join(thread, NULL);
    sem_destroy(&slow.running);
    sem_destroy(&slow.go);
}

/* A timer that starts itself again until its turns are used, then stops itself. */
struct recurring {
    struct timer timer;
    struct timers *timers;
    sem_t *rung;
    int turns;
};

static void recurring_expired(struct timer *timer) {
    struct recurring *recurring = (struct recurring *)timer;
    timer_start(recurring->timers, timer, 0);
    if (--recurring->turns == 0) {
        timer_stop(recurring->timers, timer);
        sem_post(recurring->rung);
    }
}

static void timer_may_start_and_stop_itself(void **state) {
    struct fixture *fixture = *state;
    struct recurring recurring = {.timer = {.expired = recurring_expired},
                                  .timers = fixture->timers,
                                  .rung = &fixture->rung,
                                  .turns = 100};
    timer_start(fixture->timers, &recurring.timer, 0);
    sem_wait(&fixture->rung);
    timer_stop(fixture->timers, &recurring.timer);
    assert_int_equal(recurring.turns, 0);
}

static void real_time_comes_by_itself(void **state) {
    (void)state;
    struct fixture own = {0};
    struct ring ring;
    sem_init(&own.rung, 0, 0);
    assert_int_equal(timers_open(clock_system(), &own.timers), SYNC_OK);
    ring_init(&ring, &own);
    uint64_t due_us = clock_monotonic_us(clock_system()) + 20000;
    timer_start(own.timers, &ring.timer, due_us);
    sem_wait(&own.rung);
    assert_true(clock_monotonic_us(clock_system()) >= due_us);
    timers_close(own.timers);
    sem_destroy(&own.rung);
}

struct hammer {
    struct fixture *fixture;
    struct ring rings[64];
};

static void *hammer_run(void *context) {
    struct hammer *hammer = context;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 64; i++)
            timer_start(hammer->fixture->timers, &hammer->rings[i].timer,
                        i % 2 ? 0 : UINT64_MAX - (uint64_t)i);
        for (int i = 0; i < 64; i++) {
            timer_stop(hammer->fixture->timers, &hammer->rings[i].timer);
            int calls = hammer->rings[i].calls;
            if (i % 16 == 0)
                sched_yield();
            assert_int_equal(hammer->rings[i].calls, calls);
        }
    }
    return NULL;
}

static void many_threads_start_and_stop_at_once(void **state) {
    struct fixture *fixture = *state;
    static struct hammer hammers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        hammers[i].fixture = fixture;
        for (int j = 0; j < 64; j++)
            ring_init(&hammers[i].rings[j], fixture);
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    }
    int even = 0;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 64; j += 2)
            even += hammers[i].rings[j].calls;
    assert_int_equal(even, 0);
}

static void without_memory_there_are_no_timers(void **state) {
    (void)state;
    struct timers *timers = NULL;
    memory_fail_after(1);
    assert_int_equal(timers_open(clock_system(), &timers), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    assert_null(timers);
    assert_null(timers_close(NULL));
}

int main(void) {
#define TIMER_TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TIMER_TEST(timers_ring_in_the_order_of_their_times),
        TIMER_TEST(no_timer_rings_before_its_time),
        TIMER_TEST(timer_started_again_rings_once_at_its_new_time),
        TIMER_TEST(stopped_timers_do_not_ring_and_the_others_do),
        TIMER_TEST(stop_waits_for_a_timer_that_runs),
        TIMER_TEST(timer_may_start_and_stop_itself),
        TIMER_TEST(many_threads_start_and_stop_at_once),
        cmocka_unit_test(real_time_comes_by_itself),
        cmocka_unit_test(without_memory_there_are_no_timers),
    };
#undef TIMER_TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
