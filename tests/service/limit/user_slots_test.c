// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>

#include "base/memory.h"
#include "service/limit/user_slots.h"

static void each_user_has_as_many_as_he_may(void **state) {
    (void)state;
    struct user_slots *slots = user_slots_open(2, 7);
    struct user_slot anna[3] = {
        {.user = SLICE("anna")}, {.user = SLICE("anna")}, {.user = SLICE("anna")}};
    struct user_slot bert = {.user = SLICE("bert")};
    assert_true(user_slots_enter(slots, &anna[0]));
    assert_true(user_slots_enter(slots, &anna[1]));
    assert_false(user_slots_enter(slots, &anna[2]));
    assert_true(user_slots_enter(slots, &bert));
    user_slots_leave(slots, &anna[2]); /* it never was counted */
    assert_false(user_slots_enter(slots, &anna[2]));
    user_slots_leave(slots, &anna[0]);
    assert_true(user_slots_enter(slots, &anna[2]));
    user_slots_leave(slots, &anna[1]);
    user_slots_leave(slots, &anna[2]);
    user_slots_leave(slots, &bert);
    assert_null(user_slots_close(slots));
}

static void without_memory_there_are_none(void **state) {
    (void)state;
    memory_fail_after(1);
    assert_null(user_slots_open(1, 1));
    memory_fail_after(0);
    assert_null(user_slots_close(NULL));
}

enum { THREADS = 4, ROUNDS = 20000, EACH_MAX = 3 };

static void *enter_and_leave(void *context) {
    struct user_slots *slots = context;
    size_t entered = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct user_slot slot = {.user = SLICE("anna")};
        entered += user_slots_enter(slots, &slot);
        user_slots_leave(slots, &slot);
    }
    return (void *)(entered > 0 ? slots : NULL);
}

static void threads_come_and_go(void **state) {
    (void)state;
    struct user_slots *slots = user_slots_open(EACH_MAX, 7);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, slots), 0);
    for (int i = 0; i < THREADS; i++) {
        void *has_entered;
        pthread_join(threads[i], &has_entered);
        assert_non_null(has_entered);
    }
    struct user_slot last[EACH_MAX];
    for (int i = 0; i < EACH_MAX; i++) {
        last[i] = (struct user_slot){.user = SLICE("anna")};
        assert_true(user_slots_enter(slots, &last[i]));
    }
    for (int i = 0; i < EACH_MAX; i++)
        user_slots_leave(slots, &last[i]);
    user_slots_close(slots);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_user_has_as_many_as_he_may),
        cmocka_unit_test(without_memory_there_are_none),
        cmocka_unit_test(threads_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
