#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

static struct stub_loop *open_loop(void) {
    struct stub_loop *loop = NULL;
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    return loop;
}

/* ---- Unary */

struct answer {
    unsigned count, well;
    enum stub_code code;
};

static void count_answer(void *context, ProtobufCMessage *response,
                         const struct stub_status *status) {
    struct answer *answer = context;
    answer->count++;
    answer->code = status->code;
    assert_true(!response == (status->code != STUB_OK));
    assert_non_null(status->message);
    if (status->code == STUB_OK)
        answer->well += message_is(response, "hi");
}

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

/* ---- Streams */

/* What a stream's callbacks have told. */
struct talk {
    struct stub_call *call;
    unsigned sent, refused, received, received_max;
    bool is_ended, is_finished, closes_at_end;
    enum stub_code code;
};

static struct stub_call *open_stream(struct stub_fixture *fixture, const struct stub_method *method,
                                     const struct stub_options *options, struct stub_loop *loop) {
    struct stub_call *call = NULL;
    assert_int_equal(stub_stream_open(fixture->channel, method,
                                      method->client_streams ? NULL : text_message("r"), options,
                                      loop, &call),
                     STUB_OK);
    return call;
}

static void tell_sent(void *context, bool ok) {
    struct talk *talk = context;
    *(ok ? &talk->sent : &talk->refused) += 1;
}

static void tell_finished(void *context, const struct stub_status *status) {
    struct talk *talk = context;
    assert_false(talk->is_finished);
    talk->is_finished = true;
    talk->code = status->code;
}

static void tell_received(void *context, ProtobufCMessage *message) {
    struct talk *talk = context;
    if (!message) {
        talk->is_ended = true;
        if (talk->closes_at_end)
            talk->call = stub_call_close(talk->call);
        return;
    }
    stub_message_free(message);
    talk->received++;
    if (talk->received_max > 0 && talk->received == talk->received_max)
        talk->call = stub_call_close(talk->call);
    else
        stub_stream_receive_start(talk->call, tell_received, talk);
}

static void a_loop_reads_a_server_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(fixture, &download,
                            WITH(entry("x-answers", "200"), entry("x-size", "3000")), loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    RUN_UNTIL(loop, talk.is_ended);
    assert_int_equal(talk.received, 200);
    /* Once more: the end is told again, and not before the return. */
    talk.is_ended = false;
    stub_stream_receive_start(talk.call, tell_received, &talk);
    assert_false(talk.is_ended);
    RUN_UNTIL(loop, talk.is_ended);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_finished);
    assert_int_equal(talk.code, STUB_OK);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void a_loop_sends_and_receives_at_once(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(fixture, &exchange, NULL, loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    for (unsigned i = 0; i < 100; i++) {
        stub_stream_send_start(talk.call, text_message("m"), tell_sent, &talk);
        RUN_UNTIL(loop, talk.sent == i + 1);
    }
    stub_stream_send_done_start(talk.call, tell_sent, &talk);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_finished);
    assert_true(talk.is_ended);
    assert_int_equal(talk.sent, 101);
    assert_int_equal(talk.code, STUB_OK);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void finish_alone_drops_the_messages(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(
        fixture, &download,
        WITH(entry("x-answers", "200"), entry("x-size", "3000"), entry("x-code", "9")), loop);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_finished);
    assert_int_equal(talk.code, STUB_FAILED_PRECONDITION);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void a_loops_client_stream_has_one_answer(void **state) {
    struct stub_fixture *fixture = *state;
    static const struct {
        const char *answers;
        unsigned received;
        enum stub_code code;
    } cases[] = {{"0", 0, STUB_UNIMPLEMENTED}, {"1", 1, STUB_OK}, {"2", 1, STUB_INTERNAL}};
    for (int i = 0; i < 6; i++) {
        struct stub_loop *loop = open_loop();
        struct talk talk = {0};
        talk.call = open_stream(
            fixture, &upload,
            WITH(entry("x-answers", cases[i % 3].answers), entry("x-read-all", "1")), loop);
        stub_stream_send_start(talk.call, text_message("m"), tell_sent, &talk);
        RUN_UNTIL(loop, talk.sent == 1);
        stub_stream_send_done_start(talk.call, tell_sent, &talk);
        if (i < 3)
            stub_stream_receive_start(talk.call, tell_received, &talk);
        stub_stream_finish_start(talk.call, tell_finished, &talk);
        RUN_UNTIL(loop, talk.is_finished);
        assert_int_equal(talk.received, i < 3 ? cases[i % 3].received : 0);
        assert_int_equal(talk.code, cases[i % 3].code);
        stub_call_close(talk.call);
        stub_loop_close(loop);
    }
}

static void a_cancelled_stream_tells_everything_then_the_status(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(fixture, &exchange, WITH(entry("x-delay-ms", "9000")), loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    assert_false(stub_loop_run_once(loop, 0) && talk.is_finished);
    stub_call_cancel(talk.call);
    RUN_UNTIL(loop, talk.is_finished);
    assert_true(talk.is_ended);
    assert_int_equal(talk.code, STUB_CANCELLED);
    stub_stream_send_start(talk.call, text_message("late"), tell_sent, &talk);
    RUN_UNTIL(loop, talk.refused == 1);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void a_closed_stream_tells_nothing_more(void **state) {
    struct stub_fixture *fixture = *state;
    for (unsigned when = 0; when < 4; when++) {
        struct stub_loop *loop = open_loop();
        struct talk talk = {.received_max = when}; /* closes within the callback */
        talk.call = open_stream(fixture, &download,
                                WITH(entry("x-answers", "100000"), entry("x-size", "3000")), loop);
        stub_stream_receive_start(talk.call, tell_received, &talk);
        if (when == 0)
            talk.call = stub_call_close(talk.call);
        RUN_UNTIL(loop, !talk.call);
        for (int i = 0; i < 20; i++)
            stub_loop_run_once(loop, 1);
        assert_false(talk.is_ended);
        assert_int_equal(talk.received, when);
        stub_loop_close(loop);
    }
    EVENTUALLY(echo_server_running(fixture->server) == 0);
}

static void a_stream_closes_in_its_last_callback(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {.closes_at_end = true};
    talk.call = open_stream(fixture, &download, WITH(entry("x-answers", "3")), loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_ended);
    assert_null(talk.call);
    stub_loop_close(loop);
    assert_false(talk.is_finished);
}

static void a_bad_message_ends_a_loops_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call =
        open_stream(fixture, &download, WITH(entry("x-garbage", "1"), entry("x-hold", "1")), loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    RUN_UNTIL(loop, talk.is_ended);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_finished);
    assert_int_equal(talk.code, STUB_INTERNAL);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void a_cut_ends_a_loops_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(fixture, &exchange, NULL, loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    stub_stream_send_start(talk.call, text_message("m"), tell_sent, &talk);
    RUN_UNTIL(loop, talk.received == 1);
    echo_server_cut(fixture->server);
    RUN_UNTIL(loop, talk.is_ended);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    RUN_UNTIL(loop, talk.is_finished);
    assert_int_equal(talk.code, STUB_UNAVAILABLE);
    stub_call_close(talk.call);
    stub_loop_close(loop);
}

static void a_scope_cancels_a_loops_calls_and_streams(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct stub_scope *scope = NULL;
    struct answer answer = {0};
    struct talk talk = {0};
    struct stub_call *handle = NULL;
    assert_int_equal(stub_scope_open(&scope), STUB_OK);
    struct stub_options options = *WITH(entry("x-delay-ms", "9000"));
    options.scope = scope;
    for (int i = 0; i < 5; i++)
        stub_unary_start(fixture->channel, &unary, text_message("hi"), &options, loop, count_answer,
                         &answer, i == 2 ? &handle : NULL);
    talk.call = open_stream(fixture, &exchange, &options, loop);
    stub_stream_finish_start(talk.call, tell_finished, &talk);
    stub_scope_cancel(scope);
    RUN_UNTIL(loop, answer.count == 5 && talk.is_finished);
    assert_int_equal(answer.code, STUB_CANCELLED);
    assert_int_equal(talk.code, STUB_CANCELLED);
    stub_call_close(talk.call);
    stub_scope_close(scope);
    stub_call_close(handle);
    stub_loop_close(loop);
}

static void the_channel_may_close_before_a_closed_stream_has_its_end(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = open_loop();
    struct talk talk = {0};
    talk.call = open_stream(fixture, &exchange, WITH(entry("x-delay-ms", "9000")), loop);
    stub_stream_receive_start(talk.call, tell_received, &talk);
    stub_stream_send_start(talk.call, text_message("m"), tell_sent, &talk);
    stub_call_close(talk.call);
    fixture->channel = stub_channel_close(fixture->channel);
    stub_loop_close(loop);
    assert_false(talk.is_ended);
    assert_int_equal(talk.sent + talk.refused, 0);
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
        TEST(a_started_call_is_cancelled),
        TEST(a_cancel_from_another_thread_may_come_at_any_time),
        TEST(closing_the_loop_cancels_what_is_under_way),
        TEST(a_wake_ends_the_wait),
        TEST(other_threads_start_calls_on_the_loop),
        TEST(calls_follow_one_another_from_callbacks),
        TEST(a_loop_reads_a_server_stream),
        TEST(a_loop_sends_and_receives_at_once),
        TEST(finish_alone_drops_the_messages),
        TEST(a_loops_client_stream_has_one_answer),
        TEST(a_cancelled_stream_tells_everything_then_the_status),
        TEST(a_closed_stream_tells_nothing_more),
        TEST(a_stream_closes_in_its_last_callback),
        TEST(a_bad_message_ends_a_loops_stream),
        TEST(a_cut_ends_a_loops_stream),
        TEST(a_scope_cancels_a_loops_calls_and_streams),
        TEST(the_channel_may_close_before_a_closed_stream_has_its_end),
        TEST(refused_memory_fails_a_loops_call_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
