#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/wire.h"
#include "tests/client/stub/stub_fixture.h"

#define UNAVAILABLE_TIMES(n) entry("x-fail-times", n), entry("x-code", "14")

/* The code of an idempotent call. */
static enum stub_code get_code(struct stub_channel *channel, const struct stub_options *options) {
    return stub_unary(channel, &idempotent_unary, text_message("?"), options, NULL, NULL);
}

/* A packed google.rpc.Status with a RetryInfo of so many milliseconds. */
static void retry_info(struct buffer *details, uint64_t delay_ms) {
    buffer_init(details, 1000);
    wire_write_uint(details, 1, STUB_UNAVAILABLE);
    size_t any = wire_begin(details, 3);
    wire_write_bytes(details, 1, SLICE("type.googleapis.com/google.rpc.RetryInfo"));
    size_t value = wire_begin(details, 2), duration = wire_begin(details, 1);
    wire_write_uint(details, 1, delay_ms / 1000);
    wire_write_uint(details, 2, delay_ms % 1000 * 1000000);
    wire_end(details, duration);
    wire_end(details, value);
    wire_end(details, any);
}

static uint64_t now_ms(void) {
    return clock_monotonic_us(clock_system()) / 1000;
}

static void an_idempotent_call_is_repeated_until_it_is_well(void **state) {
    struct stub_fixture *fixture = *state;
    ProtobufCMessage *response = NULL;
    struct stub_status status = {0};
    assert_int_equal(stub_unary(fixture->channel, &idempotent_unary, text_message("again"),
                                WITH(UNAVAILABLE_TIMES("3")), &status, &response),
                     STUB_OK);
    assert_true(message_is(response, "again"));
    stub_status_done(&status);
    assert_int_equal(echo_server_calls(fixture->server), 4);
    assert_string_equal(echo_server_seen(fixture->server, "grpc-previous-rpc-attempts"), "3");
}

static void the_last_attempt_tells_the_end(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_status status = {0};
    assert_int_equal(stub_unary(fixture->channel, &idempotent_unary, text_message("?"),
                                WITH(UNAVAILABLE_TIMES("9"), entry("x-message", "still not")),
                                &status, NULL),
                     STUB_UNAVAILABLE);
    assert_string_equal(status.message, "still not");
    stub_status_done(&status);
    assert_int_equal(echo_server_calls(fixture->server), 4);
}

static void others_are_tried_once(void **state) {
    struct stub_fixture *fixture = *state;
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-code", "14"))), STUB_UNAVAILABLE);
    assert_int_equal(echo_server_calls(fixture->server), 1);
    assert_int_equal(get_code(fixture->channel, WITH(entry("x-code", "13"))), STUB_INTERNAL);
    assert_int_equal(get_code(fixture->channel, WITH(entry("x-code", "16"))), STUB_UNAUTHENTICATED);
    assert_int_equal(echo_server_calls(fixture->server), 3);
    struct stub_options options = *WITH(entry("x-code", "14"));
    options.no_retry = true;
    assert_int_equal(get_code(fixture->channel, &options), STUB_UNAVAILABLE);
    assert_int_equal(echo_server_calls(fixture->server), 4);
}

static void a_call_may_be_repeated_on_request(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(UNAVAILABLE_TIMES("2"));
    options.may_retry = true;
    assert_int_equal(unary_code(fixture->channel, &options), STUB_OK);
    assert_int_equal(echo_server_calls(fixture->server), 3);
}

static void an_answer_that_has_come_is_not_asked_for_again(void **state) {
    struct stub_fixture *fixture = *state;
    assert_int_equal(
        get_code(fixture->channel, WITH(entry("x-answers", "1"), entry("x-code", "14"))),
        STUB_UNAVAILABLE);
    assert_int_equal(echo_server_calls(fixture->server), 1);
}

static void the_server_says_when(void **state) {
    struct stub_fixture *fixture = *state;
    uint64_t begin_ms = now_ms();
    assert_int_equal(
        get_code(fixture->channel, WITH(UNAVAILABLE_TIMES("1"), entry("x-pushback", "60"))),
        STUB_OK);
    assert_true(now_ms() - begin_ms >= 60);
    assert_int_equal(echo_server_calls(fixture->server), 2);
}

static void retry_info_says_when(void **state) {
    struct stub_fixture *fixture = *state;
    struct buffer details;
    retry_info(&details, 70);
    uint64_t begin_ms = now_ms();
    assert_int_equal(
        get_code(fixture->channel,
                 WITH(UNAVAILABLE_TIMES("1"), {"x-details-bin", details.data, details.size})),
        STUB_OK);
    assert_true(now_ms() - begin_ms >= 70);
    assert_int_equal(echo_server_calls(fixture->server), 2);
    buffer_done(&details);
}

static void the_server_says_never(void **state) {
    struct stub_fixture *fixture = *state;
    static const char *const refusals[] = {"-1", "soon", "", "99999999",
                                           "999999999999999999999999"};
    unsigned calls = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        assert_int_equal(get_code(fixture->channel,
                                  WITH(entry("x-code", "14"), entry("x-pushback", refusals[i]))),
                         STUB_UNAVAILABLE);
        assert_int_equal(echo_server_calls(fixture->server), ++calls);
    }
    struct buffer details;
    retry_info(&details, STUB_RETRY_HINT_MAX_MS + 1);
    struct stub_status status = {0};
    assert_int_equal(
        stub_unary(fixture->channel, &idempotent_unary, text_message("?"),
                   WITH(entry("x-code", "14"), {"x-details-bin", details.data, details.size}),
                   &status, NULL),
        STUB_UNAVAILABLE);
    assert_int_equal(status.retry_after_ms, STUB_RETRY_HINT_MAX_MS + 1);
    assert_int_equal(echo_server_calls(fixture->server), ++calls);
    stub_status_done(&status);
    buffer_done(&details);
}

static void no_attempt_is_made_beyond_the_deadline(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-code", "14"), entry("x-pushback", "30000"));
    options.timeout_ms = 9000;
    uint64_t begin_ms = now_ms();
    assert_int_equal(get_code(fixture->channel, &options), STUB_UNAVAILABLE);
    assert_true(now_ms() - begin_ms < 9000); /* at once, not at the deadline */
    assert_int_equal(echo_server_calls(fixture->server), 1);
    /* The time is that of all attempts together. */
    options = *WITH(entry("x-delay-ms", "9000"));
    options.timeout_ms = 500;
    assert_int_equal(get_code(fixture->channel, &options), STUB_DEADLINE_EXCEEDED);
    assert_int_equal(echo_server_calls(fixture->server), 2);
}

static void a_server_that_comes_back_is_found(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_channel *channel = NULL;
    static const struct stub_retry patient = {.attempts_max = 50,
                                              .backoff_ms = 50,
                                              .backoff_max_ms = 50,
                                              .multiplier = 1,
                                              .codes = {STUB_ABORTED, STUB_UNAVAILABLE}};
    assert_int_equal(stub_channel_open(
                         &(struct stub_channel_options){
                             .target = echo_server_target(fixture->server), .retry = &patient},
                         NULL, &channel),
                     STUB_OK);
    echo_server_refuse(fixture->server, true);
    echo_server_cut(fixture->server);
    struct stub_options once = {.timeout_ms = 20000, .no_retry = true};
    assert_int_equal(get_code(channel, &once), STUB_UNAVAILABLE);
    echo_server_refuse(fixture->server, false);
    assert_int_equal(get_code(channel, NULL), STUB_OK);
    stub_channel_close(channel);
}

/* ---- Streams */

static void a_server_stream_is_repeated_before_its_first_message(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = NULL;
    ProtobufCMessage *message = NULL;
    assert_int_equal(stub_stream_open(fixture->channel, &idempotent_download, text_message("s"),
                                      WITH(UNAVAILABLE_TIMES("2")), NULL, &call),
                     STUB_OK);
    assert_true(stub_stream_receive(call, &message) && message_is(message, "s"));
    assert_false(stub_stream_receive(call, &message));
    assert_int_equal(stub_call_finish(call, NULL), STUB_OK);
    stub_call_close(call);
    assert_int_equal(echo_server_calls(fixture->server), 3);
}

static void finishing_repeats_a_server_stream_too(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = NULL;
    assert_int_equal(stub_stream_open(fixture->channel, &idempotent_download, text_message("s"),
                                      WITH(entry("x-code", "14"), entry("x-no-answer", "1")), NULL,
                                      &call),
                     STUB_OK);
    assert_int_equal(stub_call_finish(call, NULL), STUB_UNAVAILABLE);
    assert_int_equal(stub_call_finish(call, NULL), STUB_UNAVAILABLE);
    stub_call_close(call);
    assert_int_equal(echo_server_calls(fixture->server), 4);
}

static void *cancel_soon(void *context) {
    nap_ms(30);
    stub_call_cancel(context);
    return NULL;
}

static void a_cancel_ends_the_wait_between_attempts(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_call *call = NULL;
    assert_int_equal(stub_stream_open(fixture->channel, &idempotent_download, text_message("s"),
                                      WITH(UNAVAILABLE_TIMES("99"), entry("x-pushback", "19000")),
                                      NULL, &call),
                     STUB_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, call), 0);
    ProtobufCMessage *message = NULL;
    assert_false(stub_stream_receive(call, &message));
    pthread_join(thread, NULL);
    assert_int_equal(stub_call_finish(call, NULL), STUB_CANCELLED);
    stub_call_close(call);
    assert_int_equal(echo_server_calls(fixture->server), 1);
}

/* ---- With a loop */

struct told {
    unsigned answers, messages;
    bool is_ended, is_finished;
    enum stub_code code;
    struct stub_call *call;
};

static void tell_answer(void *context, ProtobufCMessage *response,
                        const struct stub_status *status) {
    struct told *told = context;
    told->answers++;
    told->code = status->code;
    stub_message_free(response);
}

static void tell_received(void *context, ProtobufCMessage *message) {
    struct told *told = context;
    told->is_ended = !message;
    told->messages += message ? 1 : 0;
    stub_message_free(message);
    if (message)
        stub_stream_receive_start(told->call, tell_received, told);
}

static void tell_finished(void *context, const struct stub_status *status) {
    struct told *told = context;
    told->is_finished = true;
    told->code = status->code;
}

static void a_loop_repeats_calls(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = NULL;
    struct told told = {0};
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    for (int i = 0; i < 4; i++)
        stub_unary_start(fixture->channel, &idempotent_unary, text_message("?"),
                         WITH(UNAVAILABLE_TIMES("9")), loop, tell_answer, &told, NULL);
    /* 9 calls fail, in whatever order; at most 4 × 4 are made. */
    RUN_UNTIL(loop, told.answers == 4);
    assert_int_equal(told.code, STUB_OK);
    assert_in_range(echo_server_calls(fixture->server), 10, 13);
    stub_loop_close(loop);
}

static void a_loop_repeats_server_streams(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_loop *loop = NULL;
    struct told told = {0};
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    assert_int_equal(stub_stream_open(fixture->channel, &idempotent_download, text_message("s"),
                                      WITH(UNAVAILABLE_TIMES("2")), loop, &told.call),
                     STUB_OK);
    stub_stream_receive_start(told.call, tell_received, &told);
    RUN_UNTIL(loop, told.is_ended);
    assert_int_equal(told.messages, 1);
    stub_stream_finish_start(told.call, tell_finished, &told);
    RUN_UNTIL(loop, told.is_finished);
    assert_int_equal(told.code, STUB_OK);
    assert_int_equal(echo_server_calls(fixture->server), 3);
    stub_call_close(told.call);
    stub_loop_close(loop);
}

/* Ends a call of a loop while it waits for its next attempt. */
static void end_in_the_wait(struct stub_fixture *fixture, bool is_stream, bool closes) {
    struct stub_loop *loop = NULL;
    struct told told = {0};
    struct stub_options *options = WITH(UNAVAILABLE_TIMES("99"), entry("x-pushback", "19000"));
    unsigned before = echo_server_calls(fixture->server);
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    if (is_stream) {
        assert_int_equal(stub_stream_open(fixture->channel, &idempotent_download, text_message("s"),
                                          options, loop, &told.call),
                         STUB_OK);
        stub_stream_receive_start(told.call, tell_received, &told);
        stub_stream_finish_start(told.call, tell_finished, &told);
    } else {
        stub_unary_start(fixture->channel, &idempotent_unary, text_message("?"), options, loop,
                         tell_answer, &told, &told.call);
    }
    for (int i = 0; i < 20 || echo_server_running(fixture->server) > 0; i++)
        stub_loop_run_once(loop, 5);
    assert_int_equal(told.answers + told.is_finished, 0);
    stub_call_cancel(told.call);
    if (!closes) {
        RUN_UNTIL(loop, told.answers == 1 || told.is_finished);
        assert_int_equal(told.code, STUB_CANCELLED);
    }
    stub_call_close(told.call);
    stub_loop_close(loop);
    assert_int_equal(told.answers, is_stream ? 0 : 1);
    assert_int_equal(told.is_finished, is_stream && !closes);
    assert_int_equal(echo_server_calls(fixture->server), before + 1);
}

static void a_loops_wait_between_attempts_can_be_ended(void **state) {
    end_in_the_wait(*state, false, false);
    end_in_the_wait(*state, false, true);
    end_in_the_wait(*state, true, false);
    end_in_the_wait(*state, true, true);
}

/* ---- Tokens */

struct wallet {
    unsigned asked;
    const char *const *tokens;
};

static bool next_token(void *context, char *ret_token, size_t size) {
    struct wallet *wallet = context;
    const char *token = wallet->tokens[wallet->asked++];
    if (token)
        snprintf(ret_token, size, "%s", token);
    return token;
}

static void each_attempt_has_a_new_token(void **state) {
    struct stub_fixture *fixture = *state;
    struct wallet wallet = {0, (const char *const[]){"first", "second", "third", NULL, "a b", ""}};
    struct stub_channel *channel =
        fixture_channel(echo_server_target(fixture->server), next_token, &wallet);
    assert_int_equal(get_code(channel, WITH(UNAVAILABLE_TIMES("1"))), STUB_OK);
    assert_int_equal(wallet.asked, 2);
    assert_string_equal(echo_server_seen(fixture->server, "authorization"), "Bearer second");
    /* No repetition of ours after UNAUTHENTICATED, but the next call has the renewed token. */
    assert_int_equal(get_code(channel, WITH(entry("x-code", "16"))), STUB_UNAUTHENTICATED);
    assert_string_equal(echo_server_seen(fixture->server, "authorization"), "Bearer third");
    unsigned calls = echo_server_calls(fixture->server);
    for (int i = 0; i < 3; i++) /* none, one with a blank, an empty one */
        assert_int_equal(get_code(channel, NULL), STUB_UNAUTHENTICATED);
    assert_int_equal(echo_server_calls(fixture->server), calls);
    assert_int_equal(get_code(channel, WITH(entry("authorization", "Basic mine"))), STUB_OK);
    assert_string_equal(echo_server_seen(fixture->server, "authorization"), "Basic mine");
    assert_int_equal(wallet.asked, 6);
    stub_channel_close(channel);
}

static void a_token_that_fails_later_ends_the_retries(void **state) {
    struct stub_fixture *fixture = *state;
    struct wallet wallet = {0,
                            (const char *const[]){"t", NULL, "t", NULL, "t", NULL, "t", NULL, "t"}};
    struct stub_channel *channel =
        fixture_channel(echo_server_target(fixture->server), next_token, &wallet);
    struct stub_options *options = WITH(UNAVAILABLE_TIMES("99"));
    assert_int_equal(get_code(channel, options), STUB_UNAUTHENTICATED);
    struct stub_call *call = NULL;
    assert_int_equal(
        stub_stream_open(channel, &idempotent_download, text_message("s"), options, NULL, &call),
        STUB_OK);
    assert_int_equal(stub_call_finish(call, NULL), STUB_UNAUTHENTICATED);
    stub_call_close(call);
    struct stub_loop *loop = NULL;
    struct told told = {0};
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    stub_unary_start(channel, &idempotent_unary, text_message("?"), options, loop, tell_answer,
                     &told, NULL);
    RUN_UNTIL(loop, told.answers == 1);
    assert_int_equal(told.code, STUB_UNAUTHENTICATED);
    told.code = STUB_OK;
    assert_int_equal(stub_stream_open(channel, &idempotent_download, text_message("s"), options,
                                      loop, &told.call),
                     STUB_OK);
    stub_stream_receive_start(told.call, tell_received, &told);
    stub_stream_finish_start(told.call, tell_finished, &told);
    RUN_UNTIL(loop, told.is_finished);
    assert_int_equal(told.code, STUB_UNAUTHENTICATED);
    assert_true(told.is_ended);
    stub_call_close(told.call);
    stub_loop_close(loop);
    stub_channel_close(channel);
    assert_int_equal(echo_server_calls(fixture->server), 4);
}

static bool long_token(void *context, char *ret_token, size_t size) {
    memset(ret_token, 't', size); /* no NUL */
    if (context)
        ret_token[STUB_TOKEN_MAX - 1500] = '\0';
    return true;
}

static void a_token_without_its_end_is_refused(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_channel *channel =
        fixture_channel(echo_server_target(fixture->server), long_token, NULL);
    assert_int_equal(get_code(channel, NULL), STUB_UNAUTHENTICATED);
    stub_channel_close(channel);
    channel = fixture_channel(echo_server_target(fixture->server), long_token, fixture);
    assert_int_equal(get_code(channel, NULL), STUB_OK);
    stub_channel_close(channel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(an_idempotent_call_is_repeated_until_it_is_well),
        TEST(the_last_attempt_tells_the_end),
        TEST(others_are_tried_once),
        TEST(a_call_may_be_repeated_on_request),
        TEST(an_answer_that_has_come_is_not_asked_for_again),
        TEST(the_server_says_when),
        TEST(retry_info_says_when),
        TEST(the_server_says_never),
        TEST(no_attempt_is_made_beyond_the_deadline),
        TEST(a_server_that_comes_back_is_found),
        TEST(a_server_stream_is_repeated_before_its_first_message),
        TEST(finishing_repeats_a_server_stream_too),
        TEST(a_cancel_ends_the_wait_between_attempts),
        TEST(a_loop_repeats_calls),
        TEST(a_loop_repeats_server_streams),
        TEST(a_loops_wait_between_attempts_can_be_ended),
        TEST(each_attempt_has_a_new_token),
        TEST(a_token_that_fails_later_ends_the_retries),
        TEST(a_token_without_its_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
