/* Every shape of call between a client and a server that are generated from one description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "greeter.grpc-c.h"
#include "tests/client/generated/greeter_server.h"

struct fixture {
    struct greeter *greeter;
    struct stub_channel *channel;
};

static const struct stub_options patient = {.timeout_ms = 20000};

static int fixture_open(void **state) {
    static struct fixture fixture;
    fixture.greeter = greeter_open();
    struct stub_channel_options options = {.target = greeter_target(fixture.greeter)};
    *state = &fixture;
    return stub_channel_open(&options, NULL, &fixture.channel) == STUB_OK ? 0 : -1;
}

static int fixture_close(void **state) {
    struct fixture *fixture = *state;
    stub_channel_close(fixture->channel);
    greeter_close(fixture->greeter);
    return 0;
}

/* A request with the name; static, until the next one. */
static const Greeter__V1__GreetRequest *named(const char *name) {
    static Greeter__V1__GreetRequest request;
    greeter__v1__greet_request__init(&request);
    request.name = (char *)name;
    return &request;
}

/* Whether the response says that; frees it. */
static bool says(Greeter__V1__GreetResponse *response, const char *text) {
    bool is = response && strcmp(response->text, text) == 0;
    greeter_service_greet_free(response);
    return is;
}

static struct greeter_service_greet_together_stream *open_together(struct fixture *fixture,
                                                                   struct stub_loop *loop) {
    struct greeter_service_greet_together_stream *stream = NULL;
    assert_int_equal(greeter_service_greet_together_open(fixture->channel, &patient, loop, &stream),
                     STUB_OK);
    return stream;
}

static void a_unary_call_is_answered(void **state) {
    struct fixture *fixture = *state;
    Greeter__V1__GreetResponse *response = NULL;
    assert_int_equal(
        greeter_service_greet(fixture->channel, named("Ann"), &patient, NULL, &response), STUB_OK);
    assert_true(says(response, "Hello Ann"));
    assert_int_equal(greeter_service_greet(fixture->channel, named("nobody"), &patient, NULL, NULL),
                     STUB_INVALID_ARGUMENT);
}

static void a_server_streams(void **state) {
    struct fixture *fixture = *state;
    struct greeter_service_greet_often_stream *stream = NULL;
    Greeter__V1__GreetResponse *response;
    assert_int_equal(
        greeter_service_greet_often_open(fixture->channel, named("Ann"), &patient, NULL, &stream),
        STUB_OK);
    for (int i = 0; i < GREETER_OFTEN; i++) {
        assert_true(greeter_service_greet_often_receive(stream, &response));
        assert_true(says(response, "Hello Ann"));
    }
    assert_false(greeter_service_greet_often_receive(stream, &response));
    assert_int_equal(greeter_service_greet_often_finish(stream, NULL), STUB_OK);
    greeter_service_greet_often_close(stream);
}

static void both_stream(void **state) {
    struct fixture *fixture = *state;
    struct greeter_service_greet_each_stream *stream = NULL;
    Greeter__V1__GreetResponse *response;
    assert_int_equal(greeter_service_greet_each_open(fixture->channel, &patient, NULL, &stream),
                     STUB_OK);
    for (int i = 0; i < 20; i++) {
        char name[32], text[48];
        snprintf(name, sizeof name, "guest %d", i);
        snprintf(text, sizeof text, "Hello %s", name);
        assert_true(greeter_service_greet_each_send(stream, named(name)));
        assert_true(greeter_service_greet_each_receive(stream, &response));
        assert_true(says(response, text));
    }
    assert_true(greeter_service_greet_each_send_done(stream));
    assert_false(greeter_service_greet_each_receive(stream, &response));
    assert_int_equal(greeter_service_greet_each_finish(stream, NULL), STUB_OK);
    greeter_service_greet_each_close(stream);
}

static void a_client_streams_and_gets_one_answer(void **state) {
    struct fixture *fixture = *state;
    struct greeter_service_greet_together_stream *stream = open_together(fixture, NULL);
    Greeter__V1__GreetResponse *response = NULL;
    static const char *const names[] = {"Ann", "Ben", "Cleo"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(greeter_service_greet_together_send(stream, named(names[i])));
    assert_int_equal(greeter_service_greet_together_finish(stream, NULL, &response), STUB_OK);
    assert_true(says(response, "Hello Ann, Ben, Cleo"));
    greeter_service_greet_together_close(stream);
}

static void a_client_stream_without_a_message_is_answered(void **state) {
    struct greeter_service_greet_together_stream *stream = open_together(*state, NULL);
    Greeter__V1__GreetResponse *response = NULL;
    assert_int_equal(greeter_service_greet_together_finish(stream, NULL, &response), STUB_OK);
    assert_true(says(response, "Hello "));
    greeter_service_greet_together_close(stream);
}

static void a_client_stream_may_be_failed_before_its_end(void **state) {
    struct greeter_service_greet_together_stream *stream = open_together(*state, NULL);
    Greeter__V1__GreetResponse *response = NULL;
    struct stub_status status = {0};
    assert_true(greeter_service_greet_together_send(stream, named("Ann")));
    greeter_service_greet_together_send(stream, named("nobody"));
    for (int i = 0; i < 1000 && greeter_service_greet_together_send(stream, named("Ben")); i++)
        continue; /* a sender learns of the end at some time, or when he is done */
    assert_int_equal(greeter_service_greet_together_finish(stream, &status, &response),
                     STUB_INVALID_ARGUMENT);
    assert_null(response);
    assert_string_equal(status.reason, "NOBODY");
    stub_status_done(&status);
    greeter_service_greet_together_close(stream);
}

static void a_message_that_is_no_text_fails_the_client_stream(void **state) {
    struct greeter_service_greet_together_stream *stream = open_together(*state, NULL);
    greeter_service_greet_together_send(stream, named("\xc3\x28"));
    assert_int_equal(greeter_service_greet_together_finish(stream, NULL, NULL),
                     STUB_INVALID_ARGUMENT);
    greeter_service_greet_together_close(stream);
}

/* Waits until it holds, half a minute and more. */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        for (int tries = 0; tries < 30000 && !(condition); tries++)                                \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        assert_true(condition);                                                                    \
    } while (0)

static void the_server_hears_the_end_of_a_cancelled_client_stream(void **state) {
    struct fixture *fixture = *state;
    struct greeter_service_greet_together_stream *stream = open_together(fixture, NULL);
    assert_true(greeter_service_greet_together_send(stream, named("Ann")));
    EVENTUALLY(greeter_begun(fixture->greeter) == 1);
    assert_int_equal(greeter_ended(fixture->greeter), 0);
    greeter_service_greet_together_cancel(stream);
    assert_int_equal(greeter_service_greet_together_finish(stream, NULL, NULL), STUB_CANCELLED);
    greeter_service_greet_together_close(stream);
    EVENTUALLY(greeter_ended(fixture->greeter) == 1);
}

/* ---- With a loop */

struct looped {
    struct greeter_service_greet_together_stream *stream;
    Greeter__V1__GreetResponse *response;
    unsigned to_send;
    bool is_done, is_finished;
    enum stub_code code;
};

static void looped_sent(void *context, bool ok) {
    struct looped *looped = context;
    assert_true(ok);
    if (looped->to_send > 0) {
        looped->to_send--;
        greeter_service_greet_together_send_start(looped->stream, named("Ann"), looped_sent,
                                                  looped);
    } else if (!looped->is_done) {
        looped->is_done = true;
        greeter_service_greet_together_send_done_start(looped->stream, looped_sent, looped);
    }
}

static void looped_received(void *context, Greeter__V1__GreetResponse *message) {
    ((struct looped *)context)->response = message;
}

static void looped_finished(void *context, const struct stub_status *status) {
    struct looped *looped = context;
    looped->is_finished = true;
    looped->code = status->code;
}

static void a_client_streams_on_a_loop(void **state) {
    struct stub_loop *loop = NULL;
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    struct looped looped = {.stream = open_together(*state, loop), .to_send = 3};
    greeter_service_greet_together_receive_start(looped.stream, looped_received, &looped);
    greeter_service_greet_together_finish_start(looped.stream, looped_finished, &looped);
    looped_sent(&looped, true);
    for (int i = 0; i < 1000 && !looped.is_finished; i++)
        stub_loop_run_once(loop, 100);
    assert_true(looped.is_finished);
    assert_int_equal(looped.code, STUB_OK);
    assert_true(says(looped.response, "Hello Ann, Ann, Ann"));
    greeter_service_greet_together_close(looped.stream);
    stub_loop_close(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(a_unary_call_is_answered),
        TEST(a_server_streams),
        TEST(both_stream),
        TEST(a_client_streams_and_gets_one_answer),
        TEST(a_client_stream_without_a_message_is_answered),
        TEST(a_client_stream_may_be_failed_before_its_end),
        TEST(a_message_that_is_no_text_fails_the_client_stream),
        TEST(the_server_hears_the_end_of_a_cancelled_client_stream),
        TEST(a_client_streams_on_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
