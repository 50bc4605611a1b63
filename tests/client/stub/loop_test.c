#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

static void many_calls_are_answered_by_one_loop(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    for (int i = 0; i < 300; i++)
        stub_unary_start(fixture->channel, &unary, text_message("hi"), NULL, loop, count_answer,
                         &answer, NULL);
    assert_int_equal(answer.count, 0);
    RUN_UNTIL(loop, answer.count == 300);
    assert_int_equal(answer.well, 300);
    assert_false(stub_loop_run_once(loop, 0));
    assert_null(stub_loop_close(loop));
    assert_null(stub_loop_close(NULL));
}

static void what_fails_at_once_is_told_by_the_loop_too(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    stub_unary_start(fixture->channel, &unary, text_message("hi"), WITH(entry("Bad", "")), loop,
                     count_answer, &answer, NULL);
    assert_int_equal(answer.count, 0);
    RUN_UNTIL(loop, answer.count == 1);
    assert_int_equal(answer.code, STUB_INVALID_ARGUMENT);
    stub_loop_close(loop);
}

static void a_second_answer_fails_a_started_call(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    struct stub_options options = *WITH(entry("x-answers", "3"), entry("x-hold", "1"));
    options.timeout_ms = 0; /* the end does not come from a deadline */
    for (int i = 0; i < 20; i++)
        stub_unary_start(fixture->channel, &idempotent_unary, text_message("hi"), &options, loop,
                         count_answer, &answer, NULL);
    RUN_UNTIL(loop, answer.count == 20);
    assert_int_equal(answer.code, STUB_INTERNAL);
    assert_int_equal(answer.well, 0);
    assert_int_equal(echo_server_calls(fixture->server), 20);
    EVENTUALLY(echo_server_cancelled(fixture->server) == 20);
    stub_unary_start(fixture->channel, &unary, text_message("hi"),
                     WITH(entry("x-end-delay-ms", "30")), loop, count_answer, &answer, NULL);
    RUN_UNTIL(loop, answer.count == 21);
    assert_int_equal(answer.well, 1);
    stub_loop_close(loop);
}

static void a_started_call_is_cancelled(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    struct stub_call *call = NULL;
    stub_unary_start(fixture->channel, &unary, text_message("hi"),
                     WITH(entry("x-delay-ms", "9000")), loop, count_answer, &answer, &call);
    stub_call_cancel(call);
    RUN_UNTIL(loop, answer.count == 1);
    assert_int_equal(answer.code, STUB_CANCELLED);
    stub_call_cancel(call); /* has ended */
    assert_null(stub_call_close(call));
    /* Closing the handle cancels too. */
    stub_unary_start(fixture->channel, &unary, text_message("hi"),
                     WITH(entry("x-delay-ms", "9000")), loop, count_answer, &answer, &call);
    stub_call_close(call);
    RUN_UNTIL(loop, answer.count == 2);
    assert_int_equal(answer.code, STUB_CANCELLED);
    stub_loop_close(loop);
}

struct canceller {
    atomic_bool is_over;
    pthread_mutex_t lock;
    struct stub_call *calls[64];
    int count;
};

static void *cancel_all_the_time(void *context) {
    struct canceller *canceller = context;
    while (!atomic_load(&canceller->is_over)) {
        pthread_mutex_lock(&canceller->lock);
        for (int i = 0; i < canceller->count; i++)
            stub_call_cancel(canceller->calls[i]);
        pthread_mutex_unlock(&canceller->lock);
        nap_ms(1);
    }
    return NULL;
}

static void a_cancel_from_another_thread_may_come_at_any_time(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_channel *channel = fixture_channel(echo_server_target(fixture->server), NULL, NULL);
    struct stub_loop *loop = open_loop();
    struct canceller canceller = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct answer answer = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_all_the_time, &canceller), 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 64; i++) {
            struct stub_call *call = NULL;
            stub_unary_start(channel, &idempotent_unary, text_message("hi"),
                             i % 2 ? WITH(entry("x-code", "14")) : NULL, loop, count_answer,
                             &answer, &call);
            pthread_mutex_lock(&canceller.lock);
            canceller.calls[canceller.count++] = call;
            pthread_mutex_unlock(&canceller.lock);
            stub_loop_run_once(loop, 0);
        }
        RUN_UNTIL(loop, answer.count == 64 * (unsigned)(round + 1));
        pthread_mutex_lock(&canceller.lock);
        while (canceller.count > 0)
            stub_call_close(canceller.calls[--canceller.count]);
        pthread_mutex_unlock(&canceller.lock);
    }
    atomic_store(&canceller.is_over, true);
    pthread_join(thread, NULL);
    stub_loop_close(loop);
    stub_channel_close(channel);
}

static void closing_the_loop_cancels_what_is_under_way(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    struct stub_call *call = NULL;
    for (int i = 0; i < 10; i++)
        stub_unary_start(fixture->channel, &unary, text_message("hi"),
                         WITH(entry("x-delay-ms", "9000")), loop, count_answer, &answer,
                         i == 0 ? &call : NULL);
    stub_loop_close(loop);
    assert_int_equal(answer.count, 10);
    assert_int_equal(answer.code, STUB_CANCELLED);
    stub_call_close(call); /* outlives the loop */
}

static void *wake_soon(void *context) {
    nap_ms(20);
    for (int i = 0; i < 1000; i++)
        stub_loop_wake(context);
    return NULL;
}

static void a_wake_ends_the_wait(void **state) {
    (void)state;
    struct stub_loop *loop = open_loop();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, loop), 0);
    assert_false(stub_loop_run_once(loop, UINT64_MAX));
    pthread_join(thread, NULL);
    stub_loop_wake(loop);
    stub_loop_wake(loop);
    assert_false(stub_loop_run_once(loop, UINT64_MAX)); /* came before */
    stub_loop_wake(loop);
    stub_loop_close(loop);
}

static void *start_many(void *context) {
    void **given = context;
    for (int i = 0; i < 200; i++)
        stub_unary_start(given[0], &unary, text_message("hi"), NULL, given[1], count_answer,
                         given[2], NULL);
    return NULL;
}

static void other_threads_start_calls_on_the_loop(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct answer answer = {0};
    void *given[] = {fixture->channel, loop, &answer};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_many, given), 0);
    RUN_UNTIL(loop, answer.count == 600);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(answer.well, 600);
    stub_loop_close(loop);
}

static void a_callback_starts_the_next_call(void *context, ProtobufCMessage *response,
                                            const struct stub_status *status) {
    void **given = context;
    unsigned *count = given[2];
    assert_int_equal(status->code, STUB_OK);
    stub_message_free(response);
    if (++*count < 50)
        stub_unary_start(given[0], &unary, text_message("hi"), NULL, given[1],
                         a_callback_starts_the_next_call, given, NULL);
}

static void calls_follow_one_another_from_callbacks(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    unsigned count = 0;
    void *given[] = {fixture->channel, loop, &count};
    stub_unary_start(fixture->channel, &unary, text_message("hi"), NULL, loop,
                     a_callback_starts_the_next_call, given, NULL);
    RUN_UNTIL(loop, count == 50);
    stub_loop_close(loop);
}

static void refused_memory_fails_a_loops_call_alone(void **state) {
    struct stub_fixture *fixture = *state;
    bool is_reached = true;
    for (uint64_t n = 1; is_reached; n++) {
        struct stub_channel *channel =
            fixture_channel(echo_server_target(fixture->server), NULL, NULL);
        struct stub_loop *loop = NULL;
        struct answer answer = {0};
        memory_fail_after(n);
        enum stub_code code = stub_loop_open(&loop);
        if (loop) {
            stub_unary_start(channel, &unary, text_message("hi"),
                             WITH(entry("x-echo-initial", "i")), loop, count_answer, &answer, NULL);
            for (int i = 0; i < 1000 && answer.count == 0; i++)
                stub_loop_run_once(loop, 100);
            code = answer.code;
            assert_int_equal(answer.count, 1);
        }
        is_reached = memory_count() >= n;
        memory_fail_after(0);
        assert_true(code == STUB_OK || code == STUB_RESOURCE_EXHAUSTED);
        stub_loop_close(loop);
        stub_channel_close(channel);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(many_calls_are_answered_by_one_loop),
        TEST(what_fails_at_once_is_told_by_the_loop_too),
        TEST(a_second_answer_fails_a_started_call),
        TEST(a_started_call_is_cancelled),
        TEST(a_cancel_from_another_thread_may_come_at_any_time),
        TEST(closing_the_loop_cancels_what_is_under_way),
        TEST(a_wake_ends_the_wait),
        TEST(other_threads_start_calls_on_the_loop),
        TEST(calls_follow_one_another_from_callbacks),
        TEST(refused_memory_fails_a_loops_call_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
