#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

/* Opens a stream that must open. */
static struct stub_call *open_stream(struct stub_fixture *fixture, const struct stub_method *method,
                                     const struct stub_options *options) {
    struct stub_call *call = NULL;
    const ProtobufCMessage *request = method->client_streams ? NULL : text_message("r");
    assert_int_equal(stub_stream_open(fixture->channel, method, request, options, NULL, &call),
                     STUB_OK);
    return call;
}

/* Receives to the end; the number of messages. */
static unsigned receive_all(struct stub_call *call) {
    unsigned count = 0;
    ProtobufCMessage *message = NULL;
    for (; stub_stream_receive(call, &message); count++)
        stub_message_free(message);
    return count;
}

static void a_server_stream_gives_its_messages_and_ends(void **state) {
    struct stub_call *call =
        open_stream(*state, &download, WITH(entry("x-answers", "100"), entry("x-size", "4000")));
    assert_int_equal(receive_all(call), 100);
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    assert_int_equal(stub_call_finish(call, NULL), STUB_OK);
    assert_null(stub_call_close(call));
}

static void a_client_stream_gives_one_answer(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = open_stream(fixture, &upload, WITH(entry("x-read-all", "1")));
    for (int i = 0; i < 50; i++)
        assert_true(stub_stream_send(call, text_message(i < 49 ? "up" : "last")));
    assert_true(stub_stream_send_done(call));
    ProtobufCMessage *message = NULL;
    assert_true(stub_stream_receive(call, &message));
    assert_true(message_is(message, "last"));
    assert_int_equal(stub_call_finish(call, NULL), STUB_OK);
    stub_call_close(call);
}

static void a_client_stream_without_or_with_two_answers_fails(void **state) {
    struct stub_fixture *fixture = *state;
    static const struct {
        const char *answers;
        bool is_received;
        enum stub_code code;
    } cases[] = {{"0", false, STUB_UNIMPLEMENTED}, {"2", true, STUB_INTERNAL}};
    for (int i = 0; i < 4; i++) {
        struct stub_call *call =
            open_stream(fixture, &upload,
                        WITH(entry("x-answers", cases[i % 2].answers), entry("x-read-all", "1")));
        assert_true(stub_stream_send(call, text_message("up")));
        assert_true(stub_stream_send_done(call));
        ProtobufCMessage *message = NULL;
        if (i < 2) {
            assert_int_equal(stub_stream_receive(call, &message), cases[i % 2].is_received);
            stub_message_free(message);
            assert_false(stub_stream_receive(call, &message));
        }
        assert_int_equal(stub_call_finish(call, NULL), cases[i % 2].code);
        stub_call_close(call);
    }
}

static void the_answer_to_a_client_stream_is_asked_for_at_once(void **state) {
    struct stub_fixture *fixture = *state;
    static const struct {
        const char *answers, *code;
        enum stub_code end;
    } cases[] = {{"1", "0", STUB_OK},
                 {"1", "5", STUB_NOT_FOUND},
                 {"0", "0", STUB_UNIMPLEMENTED},
                 {"2", "0", STUB_INTERNAL}};
    for (int i = 0; i < 8; i++) {
        struct stub_call *call =
            open_stream(fixture, &upload,
                        WITH(entry("x-answers", cases[i % 4].answers), entry("x-size", "1"),
                             entry("x-code", cases[i % 4].code), entry("x-read-all", "1")));
        ProtobufCMessage *response = (ProtobufCMessage *)fixture;
        struct stub_status status = {0};
        assert_true(stub_stream_send(call, text_message("up")));
        if (i >= 4)
            assert_true(stub_stream_send_done(call)); /* twice is once */
        assert_int_equal(stub_stream_answer(call, &status, i == 4 ? NULL : &response),
                         cases[i % 4].end);
        assert_int_equal(status.code, cases[i % 4].end);
        if (i == 0)
            assert_true(message_is(response, "v"));
        else
            assert_ptr_equal(response, fixture); /* untouched */
        stub_status_done(&status);
        stub_call_close(call);
    }
}

static void sending_ends_when_the_server_does(void **state) {
    struct stub_fixture *fixture = *state;
    const struct stub_method *const methods[] = {&upload, &exchange};
    for (int i = 0; i < 2; i++) {
        struct stub_call *call = open_stream(
            fixture, methods[i], WITH(entry("x-fail-times", "9"), entry("x-code", "8")));
        unsigned sent = 0;
        while (sent < 100000 && stub_stream_send(call, text_message("up")))
            sent++;
        assert_true(sent < 100000);
        assert_int_equal(stub_call_finish(call, NULL), STUB_RESOURCE_EXHAUSTED);
        stub_call_close(call);
    }
}

static void both_directions_take_turns(void **state) {
    struct stub_call *call = open_stream(
        *state, &exchange, WITH(entry("x-echo-initial", "i"), entry("x-echo-trailing-bin", "t")));
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        ProtobufCMessage *message = NULL;
        assert_true(stub_stream_send(call, text_message(text)));
        assert_true(stub_stream_receive(call, &message));
        assert_true(message_is(message, text));
    }
    assert_true(stub_stream_send_done(call));
    struct stub_status status = {0};
    for (int i = 0; i < 2; i++) { /* tells the same twice */
        assert_int_equal(stub_call_finish(call, &status), STUB_OK);
        assert_non_null(stub_status_metadata(&status, "x-echo-initial"));
        assert_non_null(stub_status_metadata(&status, "x-echo-trailing-bin"));
        stub_status_done(&status);
    }
    stub_call_close(call);
}

struct sender {
    struct stub_call *call;
    char *text;
    unsigned count;
    bool is_well;
};

static void *send_many(void *context) {
    struct sender *sender = context;
    sender->is_well = true;
    for (unsigned i = 0; i < sender->count; i++)
        sender->is_well &= stub_stream_send(sender->call, text_message(sender->text));
    sender->is_well &= stub_stream_send_done(sender->call);
    return NULL;
}

static void one_thread_sends_while_another_receives(void **state) {
    enum { COUNT = 300, SIZE = 20000 };
    static char text[SIZE];
    memset(text, 't', sizeof text - 1);
    struct stub_call *call = open_stream(*state, &exchange, NULL);
    struct sender sender = {call, text, COUNT, false};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
    ProtobufCMessage *message = NULL;
    unsigned count = 0;
    for (; stub_stream_receive(call, &message); count++)
        assert_true(message_is(message, text));
    pthread_join(thread, NULL);
    assert_true(sender.is_well);
    assert_int_equal(count, COUNT);
    assert_int_equal(stub_call_finish(call, NULL), STUB_OK);
    stub_call_close(call);
}

static void finish_reads_on_what_nobody_received(void **state) {
    struct stub_call *call = open_stream(*state, &download,
                                         WITH(entry("x-answers", "500"), entry("x-size", "1000"),
                                              entry("x-code", "10"), entry("x-message", "late")));
    struct stub_status status = {0};
    assert_int_equal(stub_call_finish(call, &status), STUB_ABORTED);
    assert_string_equal(status.message, "late");
    stub_status_done(&status);
    stub_call_close(call);
}

static void a_flood_is_held_back_by_who_does_not_read(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = open_stream(
        fixture, &exchange, WITH(entry("x-answers", "1000000"), entry("x-size", "100000")));
    assert_true(stub_stream_send(call, text_message("go")));
    ProtobufCMessage *message = NULL;
    assert_true(stub_stream_receive(call, &message));
    stub_message_free(message);
    nap_ms(50);
    stub_call_close(call); /* 100 GB did not come; the server's write ends */
    EVENTUALLY(echo_server_running(fixture->server) == 0);
}

static void close_ends_what_is_under_way_at_every_stage(void **state) {
    struct stub_fixture *fixture = *state;
    ProtobufCMessage *message = NULL;
    for (int stage = 0; stage < 5; stage++) {
        struct stub_call *call = open_stream(fixture, &exchange, WITH(entry("x-hold", "1")));
        if (stage > 0)
            assert_true(stub_stream_send(call, text_message("m")));
        if (stage > 1)
            assert_true(stub_stream_receive(call, &message) && message_is(message, "m"));
        if (stage > 2)
            assert_true(stub_stream_send_done(call));
        if (stage > 3)
            stub_call_cancel(call);
        assert_null(stub_call_close(call));
    }
    assert_null(stub_call_close(NULL));
    EVENTUALLY(echo_server_running(fixture->server) == 0);
}

static void *cancel_soon(void *context) {
    nap_ms(20);
    stub_call_cancel(context);
    stub_call_cancel(context);
    return NULL;
}

static void a_cancel_from_another_thread_ends_a_receive(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = open_stream(fixture, &exchange, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, call), 0);
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    pthread_join(thread, NULL);
    assert_int_equal(stub_call_finish(call, NULL), STUB_CANCELLED);
    assert_false(stub_stream_send(call, text_message("late")));
    stub_call_cancel(call); /* ended: nothing */
    assert_int_equal(stub_call_finish(call, NULL), STUB_CANCELLED);
    stub_call_close(call);
}

static void a_cancel_from_another_thread_ends_a_blocked_send(void **state) {
    static char text[100000];
    memset(text, 't', sizeof text - 1);
    struct stub_call *call = open_stream(*state, &exchange, WITH(entry("x-delay-ms", "9000")));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, call), 0);
    unsigned sent = 0;
    while (sent < 1000 && stub_stream_send(call, text_message(text)))
        sent++;
    assert_true(sent < 1000);
    pthread_join(thread, NULL);
    assert_int_equal(stub_call_finish(call, NULL), STUB_CANCELLED);
    stub_call_close(call);
}

static void the_deadline_ends_a_stream(void **state) {
    struct stub_options options = *WITH(entry("x-hold", "1"));
    options.timeout_ms = 30;
    struct stub_call *call = open_stream(*state, &exchange, &options);
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    assert_int_equal(stub_call_finish(call, NULL), STUB_DEADLINE_EXCEEDED);
    stub_call_close(call);
}

static void a_cut_in_mid_stream_is_unavailable(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = open_stream(
        fixture, &download,
        WITH(entry("x-answers", "100000"), entry("x-size", "1000"), entry("x-cut-after", "50")));
    assert_true(receive_all(call) < 100000);
    assert_int_equal(stub_call_finish(call, NULL), STUB_UNAVAILABLE);
    stub_call_close(call);
    /* Not even an idempotent one is repeated once a message has come. */
    call = open_stream(fixture, &idempotent_download,
                       WITH(entry("x-answers", "3"), entry("x-hold", "1")));
    ProtobufCMessage *message = NULL;
    assert_true(stub_stream_receive(call, &message));
    stub_message_free(message);
    echo_server_cut(fixture->server);
    receive_all(call);
    assert_int_equal(stub_call_finish(call, NULL), STUB_UNAVAILABLE);
    stub_call_close(call);
    assert_int_equal(echo_server_calls(fixture->server), 2);
}

static void a_server_that_dies_ends_the_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = open_stream(fixture, &exchange, NULL);
    ProtobufCMessage *message = NULL;
    assert_true(stub_stream_send(call, text_message("m")));
    assert_true(stub_stream_receive(call, &message) && message_is(message, "m"));
    fixture->server = echo_server_close(fixture->server);
    assert_false(stub_stream_receive(call, &message));
    enum stub_code code = stub_call_finish(call, NULL);
    assert_true(code == STUB_UNAVAILABLE || code == STUB_CANCELLED);
    stub_call_close(call);
}

static void a_message_that_does_not_parse_ends_the_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call =
        open_stream(fixture, &download, WITH(entry("x-garbage", "1"), entry("x-hold", "1")));
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    assert_false(stub_stream_receive(call, &message));
    struct stub_status status = {0};
    assert_int_equal(stub_call_finish(call, &status), STUB_INTERNAL);
    assert_true(strlen(status.message) > 0);
    stub_status_done(&status);
    stub_call_close(call);
    EVENTUALLY(echo_server_running(fixture->server) == 0);
}

static void a_message_beyond_its_bound_ends_the_stream(void **state) {
    struct stub_options options = *WITH(entry("x-answers", "5"), entry("x-size", "100"));
    options.message_bytes_max = 50;
    struct stub_call *call = open_stream(*state, &download, &options);
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    assert_int_equal(stub_call_finish(call, NULL), STUB_RESOURCE_EXHAUSTED);
    stub_call_close(call);
}

static void what_may_not_be_sent_opens_no_stream(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = NULL;
    assert_int_equal(
        stub_stream_open(fixture->channel, &exchange, NULL, WITH(entry("A", "b")), NULL, &call),
        STUB_INVALID_ARGUMENT);
    assert_null(call);
}

static void refused_memory_fails_a_stream_alone(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options *options = WITH(entry("x-answers", "3"), entry("x-echo-initial", "i"));
    bool is_reached = true;
    for (uint64_t n = 1; is_reached; n++) {
        struct stub_channel *channel =
            fixture_channel(echo_server_target(fixture->server), NULL, NULL);
        struct stub_call *call = NULL;
        struct stub_status status = {0};
        memory_fail_after(n);
        enum stub_code code =
            stub_stream_open(channel, &download, text_message("r"), options, NULL, &call);
        unsigned count = code == STUB_OK ? receive_all(call) : 0;
        if (code == STUB_OK)
            code = stub_call_finish(call, &status);
        is_reached = memory_count() >= n;
        memory_fail_after(0);
        assert_true(code == STUB_RESOURCE_EXHAUSTED || (code == STUB_OK && count == 3));
        stub_status_done(&status);
        stub_call_close(call);
        stub_channel_close(channel);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(a_server_stream_gives_its_messages_and_ends),
        TEST(a_client_stream_gives_one_answer),
        TEST(a_client_stream_without_or_with_two_answers_fails),
        TEST(the_answer_to_a_client_stream_is_asked_for_at_once),
        TEST(sending_ends_when_the_server_does),
        TEST(both_directions_take_turns),
        TEST(one_thread_sends_while_another_receives),
        TEST(finish_reads_on_what_nobody_received),
        TEST(a_flood_is_held_back_by_who_does_not_read),
        TEST(close_ends_what_is_under_way_at_every_stage),
        TEST(a_cancel_from_another_thread_ends_a_receive),
        TEST(a_cancel_from_another_thread_ends_a_blocked_send),
        TEST(the_deadline_ends_a_stream),
        TEST(a_cut_in_mid_stream_is_unavailable),
        TEST(a_server_that_dies_ends_the_stream),
        TEST(a_message_that_does_not_parse_ends_the_stream),
        TEST(a_message_beyond_its_bound_ends_the_stream),
        TEST(what_may_not_be_sent_opens_no_stream),
        TEST(refused_memory_fails_a_stream_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
