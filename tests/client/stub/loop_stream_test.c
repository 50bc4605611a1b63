#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
