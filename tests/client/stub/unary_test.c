#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

static void the_answer_comes_back(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_status status = {0};
    ProtobufCMessage *response = NULL;
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message("hello"), NULL, &status, &response),
        STUB_OK);
    assert_true(message_is(response, "hello"));
    assert_int_equal(status.code, STUB_OK);
    assert_string_equal(status.message, "");
    assert_null(status.memory);
    stub_status_done(&status);
}

static void an_empty_message_comes_back_empty(void **state) {
    struct stub_fixture *fixture = *state;
    Google__Protobuf__Any empty = GOOGLE__PROTOBUF__ANY__INIT;
    ProtobufCMessage *response = NULL;
    assert_int_equal(stub_unary(fixture->channel, &unary, &empty.base, NULL, NULL, &response),
                     STUB_OK);
    assert_true(message_is(response, ""));
}

static void a_large_message_in_many_pieces_comes_back_whole(void **state) {
    struct stub_fixture *fixture = *state;
    size_t size = 5 << 20;
    char *text = memory_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    text[size] = '\0';
    ProtobufCMessage *response = NULL;
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message(text), NULL, NULL, &response), STUB_OK);
    assert_true(message_is(response, text));
    memory_free(text);
}

static void metadata_travel_both_ways(void **state) {
    struct stub_fixture *fixture = *state;
    static const char bytes[] = {0, 1, (char)0xff, '\n', 0};
    struct stub_status status = {0};
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message("m"),
                   WITH(entry("x-echo-initial", "begin"),
                        {"x-echo-trailing-bin", bytes, sizeof bytes}, entry("x-empty", "")),
                   &status, NULL),
        STUB_OK);
    const struct stub_metadata *initial = stub_status_metadata(&status, "x-echo-initial");
    assert_non_null(initial);
    assert_string_equal(initial->value, "begin");
    const struct stub_metadata *trailing = stub_status_metadata(&status, "x-echo-trailing-bin");
    assert_non_null(trailing);
    assert_int_equal(trailing->size, sizeof bytes);
    assert_memory_equal(trailing->value, bytes, sizeof bytes);
    assert_null(stub_status_metadata(&status, "x-empty"));
    assert_int_equal(status.initial_count, 1);
    assert_int_equal(status.trailing_count, 1);
    stub_status_done(&status);
    assert_null(status.initial);
}

static void metadata_that_may_not_be_sent_are_refused(void **state) {
    struct stub_fixture *fixture = *state;
    static const char *const keys[] = {"",   "Upper", ":path",        "grpc-timeout",
                                       "te", "a b",   "content-type", "user-agent",
                                       "ké", "host",  "a\nb",         "connection"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct stub_status status = {0};
        assert_int_equal(stub_unary(fixture->channel, &unary, text_message("m"),
                                    WITH(entry(keys[i], "v")), &status, NULL),
                         STUB_INVALID_ARGUMENT);
        assert_true(strlen(status.message) > 0);
        stub_status_done(&status);
    }
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-a", "line\nbreak"))),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-a", "h\xc3\xa9"))),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(unary_code(fixture->channel, WITH({NULL, "v", 1})), STUB_INVALID_ARGUMENT);
    static char large[9000];
    memset(large, 'l', sizeof large - 1);
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-a", large))),
                     STUB_INVALID_ARGUMENT);
    large[4500] = '\0';
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-a", large), entry("x-b", large))),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(echo_server_calls(fixture->server), 0);
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-a", large))), STUB_OK);
}

static void the_servers_status_comes_with_its_text(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_status status = {0};
    ProtobufCMessage *response = (ProtobufCMessage *)fixture;
    assert_int_equal(stub_unary(fixture->channel, &unary, text_message("m"),
                                WITH(entry("x-code", "5"), entry("x-message", "no such trip")),
                                &status, &response),
                     STUB_NOT_FOUND);
    assert_ptr_equal(response, fixture); /* untouched */
    assert_string_equal(status.message, "no such trip");
    assert_string_equal(stub_code_name(status.code), "NOT_FOUND");
    assert_null(status.details);
    assert_null(status.reason);
    stub_status_done(&status);
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-code", "77"))), STUB_UNKNOWN);
    assert_string_equal(stub_code_name((enum stub_code)77), "UNKNOWN");
}

static void an_end_without_a_message_is_unimplemented(void **state) {
    struct stub_fixture *fixture = *state;
    assert_int_equal(unary_code(fixture->channel, WITH(entry("x-no-answer", "1"))),
                     STUB_UNIMPLEMENTED);
}

static void a_second_answer_fails_the_call_at_once(void **state) {
    struct stub_fixture *fixture = *state;
    static const char *const counts[] = {"2", "3", "50"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct stub_options options = *WITH(entry("x-answers", counts[i]));
        options.timeout_ms = 0; /* the end does not come from a deadline */
        struct stub_status status = {0};
        ProtobufCMessage *response = NULL;
        assert_int_equal(
            stub_unary(fixture->channel, &unary, text_message("m"), &options, &status, &response),
            STUB_INTERNAL);
        assert_null(response);
        assert_string_equal(status.message, "The server answered more than once.");
        stub_status_done(&status);
    }
    struct stub_options holding = *WITH(entry("x-answers", "2"), entry("x-hold", "1"));
    holding.timeout_ms = 0;
    assert_int_equal(unary_code(fixture->channel, &holding), STUB_INTERNAL);
    EVENTUALLY(echo_server_cancelled(fixture->server) >= 1);
}

static void a_status_that_comes_long_after_its_answer_is_waited_for(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-end-delay-ms", "30"));
    ProtobufCMessage *response = NULL;
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message("m"), &options, NULL, &response),
        STUB_OK);
    assert_true(message_is(response, "m"));
}

static void an_answer_that_does_not_parse_is_internal(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_status status = {0};
    ProtobufCMessage *response = NULL;
    assert_int_equal(stub_unary(fixture->channel, &unary, text_message("m"),
                                WITH(entry("x-garbage", "1")), &status, &response),
                     STUB_INTERNAL);
    assert_null(response);
    assert_true(strlen(status.message) > 0);
    stub_status_done(&status);
}

static void an_answer_beyond_its_bound_is_refused(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-answers", "1"), entry("x-size", "5000"));
    ProtobufCMessage *response = NULL;
    options.message_bytes_max = 5002; /* and a tag and a length of two bytes */
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message("m"), &options, NULL, &response),
        STUB_RESOURCE_EXHAUSTED);
    options.message_bytes_max = 5003;
    assert_int_equal(
        stub_unary(fixture->channel, &unary, text_message("m"), &options, NULL, &response),
        STUB_OK);
    stub_message_free(response);
    struct stub_channel *narrow = NULL;
    assert_int_equal(stub_channel_open(&(struct stub_channel_options){.target = echo_server_target(
                                                                          fixture->server),
                                                                      .message_bytes_max = 5002},
                                       NULL, &narrow),
                     STUB_OK);
    assert_int_equal(stub_unary(narrow, &unary, text_message("m"), &options, NULL, &response),
                     STUB_RESOURCE_EXHAUSTED);
    options.metadata_count = 0;
    assert_int_equal(stub_unary(narrow, &unary, text_message("m"), &options, NULL, NULL), STUB_OK);
    stub_channel_close(narrow);
}

static void the_deadline_ends_the_call(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-delay-ms", "9000"));
    /* Until one is long enough to reach the server: a machine may be slow. */
    for (options.timeout_ms = 30; echo_server_calls(fixture->server) == 0; options.timeout_ms *= 4)
        assert_int_equal(unary_code(fixture->channel, &options), STUB_DEADLINE_EXCEEDED);
    EVENTUALLY(echo_server_cancelled(fixture->server) >= 1);
}

static void nobody_there_is_unavailable_unless_waited_for(void **state) {
    (void)state;
    struct stub_channel *nowhere = fixture_channel("unix:/nonexistent/a socket%41", NULL, NULL);
    assert_int_equal(unary_code(nowhere, NULL), STUB_UNAVAILABLE);
    assert_int_equal(
        unary_code(nowhere, &(struct stub_options){.timeout_ms = 50, .wait_for_ready = true}),
        STUB_DEADLINE_EXCEEDED);
    stub_channel_close(nowhere);
}

static void the_channel_connects_again_after_a_cut(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options patient = {.timeout_ms = 20000, .wait_for_ready = true};
    assert_int_equal(unary_code(fixture->channel, &patient), STUB_OK);
    for (int i = 0; i < 3; i++) {
        echo_server_cut(fixture->server);
        /* The first calls may still meet the old connection. */
        EVENTUALLY(unary_code(fixture->channel, &patient) == STUB_OK);
    }
}

struct caller {
    struct stub_channel *channel;
    int number, done;
};

static void *call_often(void *context) {
    struct caller *caller = context;
    for (int i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d of %d", i, caller->number);
        ProtobufCMessage *response = NULL;
        if (stub_unary(caller->channel, &unary, text_message(text), NULL, NULL, &response) ==
                STUB_OK &&
            message_is(response, text))
            caller->done++;
    }
    return NULL;
}

static void many_threads_call_on_one_channel(void **state) {
    enum { THREADS = 8 };
    struct stub_fixture *fixture = *state;
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){fixture->channel, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].done, 200);
    }
}

static void *cancel_soon(void *context) {
    nap_ms(20);
    stub_scope_cancel(context);
    return NULL;
}

static void a_scope_cancels_blocking_calls(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_scope *scope = NULL;
    assert_int_equal(stub_scope_open(&scope), STUB_OK);
    struct stub_options options = *WITH(entry("x-echo-initial", "i"));
    options.scope = scope;
    assert_int_equal(unary_code(fixture->channel, &options), STUB_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, scope), 0);
    options = *WITH(entry("x-delay-ms", "9000"));
    options.scope = scope;
    assert_int_equal(unary_code(fixture->channel, &options), STUB_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(unary_code(fixture->channel, &options), STUB_CANCELLED); /* for good */
    assert_null(stub_scope_close(scope));
    assert_null(stub_scope_close(NULL));
    memory_fail_after(1);
    assert_int_equal(stub_scope_open(&scope), STUB_RESOURCE_EXHAUSTED);
    memory_fail_after(0);
}

static void a_scope_ends_the_wait_between_attempts(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_scope *scope = NULL;
    assert_int_equal(stub_scope_open(&scope), STUB_OK);
    struct stub_options options =
        *WITH(entry("x-code", "14"), entry("x-pushback", "19000"), entry("x-no-answer", "1"));
    options.scope = scope;
    options.may_retry = true;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, scope), 0);
    assert_int_equal(unary_code(fixture->channel, &options), STUB_CANCELLED);
    pthread_join(thread, NULL);
    stub_scope_close(scope);
}

static void refused_memory_fails_the_call_alone(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options *options =
        WITH(entry("x-echo-initial", "i"), entry("x-echo-trailing-bin", "t"));
    unsigned refusals = 0;
    for (uint64_t n = 1;; n++) {
        struct stub_channel *channel = /* new: nothing is kept from the last call */
            fixture_channel(echo_server_target(fixture->server), NULL, NULL);
        struct stub_status status = {0};
        ProtobufCMessage *response = NULL;
        memory_fail_after(n);
        enum stub_code code =
            stub_unary(channel, &unary, text_message("m"), options, &status, &response);
        bool is_reached = memory_count() >= n;
        memory_fail_after(0);
        if (code != STUB_OK) {
            assert_int_equal(code, STUB_RESOURCE_EXHAUSTED);
            assert_null(response);
            refusals++;
        }
        assert_int_equal(status.code, code);
        assert_non_null(status.message);
        stub_message_free(response);
        stub_status_done(&status);
        stub_channel_close(channel);
        if (!is_reached)
            break;
    }
    assert_true(refusals >= 3); /* the call, its metadata, the message */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(the_answer_comes_back),
        TEST(an_empty_message_comes_back_empty),
        TEST(a_large_message_in_many_pieces_comes_back_whole),
        TEST(metadata_travel_both_ways),
        TEST(metadata_that_may_not_be_sent_are_refused),
        TEST(the_servers_status_comes_with_its_text),
        TEST(an_end_without_a_message_is_unimplemented),
        TEST(a_second_answer_fails_the_call_at_once),
        TEST(a_status_that_comes_long_after_its_answer_is_waited_for),
        TEST(an_answer_that_does_not_parse_is_internal),
        TEST(an_answer_beyond_its_bound_is_refused),
        TEST(the_deadline_ends_the_call),
        TEST(nobody_there_is_unavailable_unless_waited_for),
        TEST(the_channel_connects_again_after_a_cut),
        TEST(many_threads_call_on_one_channel),
        TEST(a_scope_cancels_blocking_calls),
        TEST(a_scope_ends_the_wait_between_attempts),
        TEST(refused_memory_fails_the_call_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
