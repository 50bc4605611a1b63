#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/wire.h"
#include "tests/service/rpc/rpc_fixture.h"

enum { ANY_TYPE = 1, ANY_VALUE = 2 };

static int limited_up(void **state) {
    static struct rpc_fixture fixture;
    rpc_fixture_open(&fixture, 3);
    *state = &fixture;
    return 0;
}

/* Calls as user "anna"; release the answer. */
static void call_as_anna(struct rpc_fixture *fixture, const char *path, struct slice message,
                         struct grpc_client_answer *answer) {
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    grpc_client_call(fixture->client,
                     &(struct grpc_client_request){
                         .path = path, .message = message, .headers = &header, .header_count = 1},
                     answer);
}

/* An Any whose value has `size` bytes. */
static void any_make(size_t size, struct buffer *out) {
    uint8_t *bytes = memory_zalloc(1, size + 1);
    assert_non_null(bytes);
    buffer_init(out, size + 100);
    wire_write_bytes(out, ANY_TYPE, SLICE("x"));
    wire_write_bytes(out, ANY_VALUE, slice_of(bytes, size));
    memory_free(bytes);
    assert_false(out->failed);
}

static void message_comes_back_as_it_was_sent(void **state) {
    static const size_t sizes[] = {1, 5000, 50000, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer message;
        struct grpc_client_answer answer;
        any_make(sizes[i], &message);
        call_as_anna(*state, ECHO, buffer_slice(&message), &answer);
        assert_int_equal(answer.code, 0);
        assert_true(slice_equal(buffer_slice(&answer.messages), buffer_slice(&message)));
        grpc_client_answer_done(&answer);
        buffer_done(&message);
    }
}

static void answers_that_wait_for_their_clients_are_bounded(void **state) {
    struct grpc_client_answer answer;
    struct buffer message;
    any_make(FIXTURE_ANSWERS_BYTES, &message);
    call_as_anna(*state, ECHO, buffer_slice(&message), &answer);
    assert_int_equal(answer.code, 14);
    assert_true(text_contains(buffer_slice(&answer.details), "ANSWERS_WAITING"));
    grpc_client_answer_done(&answer);
    buffer_done(&message);
    any_make(FIXTURE_ANSWERS_BYTES - 100, &message);
    for (int i = 0; i < 3; i++) {
        call_as_anna(*state, ECHO, buffer_slice(&message), &answer);
        assert_int_equal(answer.code, 0);
        grpc_client_answer_done(&answer);
    }
    buffer_done(&message);
}

static void call_without_a_token_is_unauthenticated(void **state) {
    struct rpc_fixture *fixture = *state;
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client, &(struct grpc_client_request){.path = ECHO}, &answer);
    assert_int_equal(answer.code, 16);
    assert_true(text_contains(buffer_slice(&answer.details), "TOKEN_MISSING"));
    assert_true(text_contains(buffer_slice(&answer.details), "sync.travelsense"));
    grpc_client_answer_done(&answer);
    assert_int_equal(grpc_client_code(fixture->client, ECHO, "Bearer a.b.c", SLICE_EMPTY), 16);
}

static void unknown_method_is_unimplemented(void **state) {
    struct rpc_fixture *fixture = *state;
    struct grpc_client_answer answer;
    call_as_anna(fixture, "/test.Echo/Nothing", SLICE_EMPTY, &answer);
    assert_int_equal(answer.code, 12);
    assert_non_null(strstr(answer.message, "/test.Echo/Nothing"));
    grpc_client_answer_done(&answer);
    call_as_anna(fixture, LATER, SLICE_EMPTY, &answer);
    assert_int_equal(answer.code, 12);
    grpc_client_answer_done(&answer);
}

static void method_for_services_denies_users(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    assert_int_equal(grpc_client_code(fixture->client, SERVICE_ONLY, token, SLICE_EMPTY), 7);
    rpc_fixture_token(fixture, "trip", "service", token);
    assert_int_equal(grpc_client_code(fixture->client, SERVICE_ONLY, token, SLICE_EMPTY), 0);
}

static void malformed_message_is_an_invalid_argument(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, ECHO, SLICE("\x0a\xff"), &answer);
    assert_int_equal(answer.code, 3);
    grpc_client_answer_done(&answer);
    call_as_anna(*state, ECHO, SLICE("\x0a\x02\xc3\x28"), &answer);
    assert_int_equal(answer.code, 3);
    assert_true(text_contains(buffer_slice(&answer.details), "typeUrl"));
    grpc_client_answer_done(&answer);
}

static void call_without_a_message_is_an_invalid_argument(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client_answer answer;
    grpc_client_call(
        fixture->client,
        &(struct grpc_client_request){
            .path = ECHO, .headers = &header, .header_count = 1, .without_message = true},
        &answer);
    assert_int_equal(answer.code, 3);
    grpc_client_answer_done(&answer);
}

static void stream_brings_every_message_in_order(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, COUNT, SLICE("abcdefghij"), &answer);
    assert_int_equal(answer.code, 0);
    assert_int_equal(answer.message_count, 10);
    assert_true(slice_equal(buffer_slice(&answer.messages), SLICE("abcdefghij")));
    grpc_client_answer_done(&answer);
}

static void internal_fault_leaks_no_detail(void **state) {
    static const char *const ours[] = {"-40", "-41", "-42", "-43", "-101"};
    static const int codes[] = {14, 13, 13, 13, 14};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        struct grpc_client_answer answer;
        call_as_anna(*state, FAIL, slice_text(ours[i]), &answer);
        assert_int_equal(answer.code, codes[i]);
        assert_null(strstr(answer.message, "disk"));
        assert_false(text_contains(buffer_slice(&answer.details), "disk"));
        assert_false(text_contains(buffer_slice(&answer.details), "SECRET_REASON"));
        assert_false(text_contains(buffer_slice(&answer.details), "secret"));
        grpc_client_answer_done(&answer);
    }
}

static void precondition_names_its_kind(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, FAIL, SLICE("-7"), &answer);
    assert_int_equal(answer.code, 9);
    assert_true(text_contains(buffer_slice(&answer.details), "google.rpc.PreconditionFailure"));
    assert_true(text_contains(buffer_slice(&answer.details), "SECRET_REASON"));
    grpc_client_answer_done(&answer);
}

static void full_quota_names_who_filled_it(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, FAIL, SLICE("-5"), &answer);
    assert_int_equal(answer.code, 8);
    assert_true(text_contains(buffer_slice(&answer.details), "user:anna"));
    assert_true(text_contains(buffer_slice(&answer.details), "google.rpc.RetryInfo"));
    grpc_client_answer_done(&answer);
}

static void violations_are_named_and_the_rest_counted(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, FIELDS, SLICE("3"), &answer);
    assert_int_equal(answer.code, 3);
    assert_true(text_contains(buffer_slice(&answer.details), "changes[2].timestamp"));
    assert_true(text_contains(buffer_slice(&answer.details), "omitted"));
    assert_non_null(strstr(answer.message, "10 faults"));
    grpc_client_answer_done(&answer);
}

static void hundred_violations_stay_below_what_a_peer_accepts(void **state) {
    struct grpc_client_answer answer;
    call_as_anna(*state, FIELDS, SLICE("100"), &answer);
    assert_int_equal(answer.code, 3);
    assert_in_range(answer.details.size, 3000, 4300);
    assert_true(text_contains(buffer_slice(&answer.details), "changes[0].timestamp"));
    assert_false(text_contains(buffer_slice(&answer.details), "changes[99].timestamp"));
    assert_true(text_contains(buffer_slice(&answer.details), "omitted"));
    grpc_client_answer_done(&answer);
}

/* Calls as anna, who takes details as a message; release the answer. */
static void call_taking_details(struct rpc_fixture *fixture, const char *path, struct slice message,
                                const char *faults, struct grpc_client_answer *answer) {
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header headers[] = {{"authorization", slice_text(token)},
                                                 {"accept-status-details", SLICE("message")},
                                                 {"json-faults", slice_text(faults)}};
    grpc_client_call(
        fixture->client,
        &(struct grpc_client_request){
            .path = path, .message = message, .headers = headers, .header_count = faults ? 3 : 2},
        answer);
}

static void violations_come_whole_to_who_takes_them_as_a_message(void **state) {
    struct grpc_client_answer answer;
    call_taking_details(*state, FIELDS, SLICE("9000"), NULL, &answer);
    assert_int_equal(answer.code, 3);
    assert_true(answer.details_come);
    assert_int_equal(answer.details.size, 0);
    assert_int_equal(answer.message_count, 1);
    assert_true(text_contains(buffer_slice(&answer.messages), "changes[0].timestamp"));
    assert_true(text_contains(buffer_slice(&answer.messages), "changes[8999].timestamp"));
    assert_non_null(strstr(answer.message, "9007 faults"));
    grpc_client_answer_done(&answer);
}

static void violations_that_fit_the_trailers_come_there(void **state) {
    struct grpc_client_answer answer;
    call_taking_details(*state, FIELDS, SLICE("3"), NULL, &answer);
    assert_int_equal(answer.code, 3);
    assert_false(answer.details_come);
    assert_int_equal(answer.message_count, 0);
    assert_true(text_contains(buffer_slice(&answer.details), "changes[2].timestamp"));
    grpc_client_answer_done(&answer);
}

static void faults_of_the_json_fail_a_request_without_others(void **state) {
    static const struct {
        const char *faults;
        int code;
    } cases[] = {{"1", 3}, {"999999999", 3}, {"0", 0},          {"", 0},
                 {"x", 0}, {"-1", 0},        {"1000000000", 0}, {"1 ", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct grpc_client_answer answer;
        call_taking_details(*state, CHECK, SLICE_EMPTY, cases[i].faults, &answer);
        if (answer.code != cases[i].code)
            fail_msg("\"%s\": %d", cases[i].faults, answer.code);
        grpc_client_answer_done(&answer);
    }
}

static void fourth_call_of_three_is_refused_with_its_headers(void **state) {
    for (int i = 0; i < 4; i++) {
        struct grpc_client_answer answer;
        call_as_anna(*state, ECHO, SLICE_EMPTY, &answer);
        assert_int_equal(answer.code, i < 3 ? 0 : 8);
        if (i == 3) {
            assert_true(text_contains(buffer_slice(&answer.details), "ratelimit-limit"));
            assert_true(text_contains(buffer_slice(&answer.details), "google.rpc.RetryInfo"));
            assert_true(text_contains(buffer_slice(&answer.details), "google.rpc.QuotaFailure"));
            assert_true(text_contains(buffer_slice(&answer.details), "user:anna"));
        }
        grpc_client_answer_done(&answer);
    }
}

/* The packed HealthCheckResponse for a state. */
static void assert_health(struct rpc_fixture *fixture, struct slice request, uint8_t state) {
    struct grpc_client_answer answer;
    grpc_client_call(
        fixture->client,
        &(struct grpc_client_request){.path = "/grpc.health.v1.Health/Check", .message = request},
        &answer);
    assert_int_equal(answer.code, 0);
    const uint8_t expected[] = {0x08, state};
    assert_true(slice_equal(buffer_slice(&answer.messages), slice_of(expected, 2)));
    grpc_client_answer_done(&answer);
}

static void health_follows_the_store_and_the_drain(void **state) {
    struct rpc_fixture *fixture = *state;
    assert_health(fixture, SLICE_EMPTY, 1);
    atomic_store(&fixture->store_health, SYNC_ERR_STORE_BROKEN);
    assert_health(fixture, SLICE_EMPTY, 2);
    atomic_store(&fixture->store_health, SYNC_OK);
    atomic_store(&fixture->health.is_draining, true);
    assert_health(fixture, SLICE_EMPTY, 2);
    assert_int_equal(
        grpc_client_code(fixture->client, "/grpc.health.v1.Health/Check", NULL, SLICE("\x0a\x01x")),
        5);
}

static void a_damaged_store_is_told_by_its_name_alone(void **state) {
    struct rpc_fixture *fixture = *state;
    const struct slice store = SLICE("\x0a\x05store");
    assert_health(fixture, store, 1);
    atomic_store(&fixture->damaged_reads, 1);
    assert_health(fixture, store, 2);
    assert_health(fixture, SLICE_EMPTY, 1);
    atomic_store(&fixture->store_health, SYNC_ERR_STORE_BROKEN);
    assert_health(fixture, store, 2);
}

static void reflection_lists_the_services(void **state) {
    struct rpc_fixture *fixture = *state;
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client,
                     &(struct grpc_client_request){
                         .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                         .message = SLICE("\x3a\x01*")},
                     &answer);
    assert_int_equal(answer.code, 0);
    assert_int_equal(answer.message_count, 1);
    assert_true(text_contains(buffer_slice(&answer.messages), "travelsense.sync.v1.SyncService"));
    assert_true(text_contains(buffer_slice(&answer.messages), "grpc.health.v1.Health"));
    grpc_client_answer_done(&answer);
}

static void metrics_count_calls_by_code(void **state) {
    struct rpc_fixture *fixture = *state;
    assert_int_equal(grpc_client_code(fixture->client, ECHO, NULL, SLICE_EMPTY), 16);
    assert_int_equal(grpc_client_code(fixture->client, "/x/y", NULL, SLICE_EMPTY), 12);
    struct buffer text;
    buffer_init(&text, 1 << 20);
    metrics_render(fixture->service.metrics, &text);
    assert_true(
        text_contains(buffer_slice(&text),
                      "grpc_server_handled_total{grpc_service=\"test.Echo\",grpc_method=\"Echo\","
                      "grpc_type=\"unary\",grpc_code=\"Unauthenticated\"} 1"));
    assert_true(text_contains(buffer_slice(&text), "grpc_service=\"unknown\""));
    assert_true(text_contains(buffer_slice(&text), "grpc_server_handling_seconds_count"));
    buffer_done(&text);
}

struct burst {
    struct rpc_fixture *fixture;
    const char *token;
    int failed;
};

static void *burst_thread(void *context) {
    struct burst *burst = context;
    struct grpc_client *client = grpc_client_open(burst->fixture->target);
    struct buffer message;
    any_make(20000, &message);
    for (int i = 0; i < 200; i++)
        burst->failed += grpc_client_code(client, ECHO, burst->token, buffer_slice(&message)) != 0;
    buffer_done(&message);
    grpc_client_close(client);
    return NULL;
}

static void many_clients_at_once_are_all_answered(void **state) {
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(*state, "anna", NULL, token);
    struct burst bursts[8];
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        bursts[i] = (struct burst){.fixture = *state, .token = token};
        assert_int_equal(pthread_create(&threads[i], NULL, burst_thread, &bursts[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(bursts[i].failed, 0);
    }
}

static void second_server_on_a_live_socket_is_refused(void **state) {
    struct rpc_fixture *fixture = *state;
    struct sync_error error;
    struct rpc_server *server = NULL;
    static const struct rpc_policy policy = {.is_public = true};
    static const struct rpc_method method = {ECHO, RPC_UNARY, NULL, &policy};
    const struct rpc_server_options options = {.service = &fixture->service,
                                               .methods = &method,
                                               .method_count = 1,
                                               .threads = 1,
                                               .unix_path = fixture->socket};
    assert_int_equal(rpc_server_open(&options, &error, &server), SYNC_ERR_BUSY);
    assert_non_null(strstr(error.message, fixture->socket));
    message_comes_back_as_it_was_sent(state);
}

static void remote_address_needs_to_be_allowed(void **state) {
    struct rpc_fixture *fixture = *state;
    struct sync_error error;
    struct rpc_server *server = NULL;
    static const struct rpc_policy policy = {.is_public = true};
    static const struct rpc_method method = {ECHO, RPC_UNARY, NULL, &policy};
    struct rpc_server_options options = {.service = &fixture->service,
                                         .methods = &method,
                                         .method_count = 1,
                                         .threads = 1,
                                         .address = "0.0.0.0:0"};
    assert_int_equal(rpc_server_open(&options, &error, &server), SYNC_ERR_DENIED);
    options.address = "nowhere";
    assert_int_equal(rpc_server_open(&options, &error, &server), SYNC_ERR_INVALID);
    options.address = "127.0.0.1:0";
    assert_int_equal(rpc_server_open(&options, &error, &server), SYNC_OK);
    assert_int_not_equal(rpc_server_port(server), 0);
    char busy[32];
    snprintf(busy, sizeof busy, "127.0.0.1:%d", rpc_server_port(server));
    struct rpc_server *second = NULL;
    options.address = busy;
    assert_int_equal(rpc_server_open(&options, &error, &second), SYNC_ERR_IO);
    assert_non_null(strstr(error.message, busy));
    assert_true(rpc_server_drain(server, 1000));
    rpc_server_close(server);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, rpc_fixture_up, rpc_fixture_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(message_comes_back_as_it_was_sent),
        WITH(answers_that_wait_for_their_clients_are_bounded),
        WITH(call_without_a_token_is_unauthenticated),
        WITH(unknown_method_is_unimplemented),
        WITH(method_for_services_denies_users),
        WITH(malformed_message_is_an_invalid_argument),
        WITH(call_without_a_message_is_an_invalid_argument),
        WITH(stream_brings_every_message_in_order),
        WITH(internal_fault_leaks_no_detail),
        WITH(precondition_names_its_kind),
        WITH(full_quota_names_who_filled_it),
        WITH(violations_are_named_and_the_rest_counted),
        WITH(hundred_violations_stay_below_what_a_peer_accepts),
        WITH(violations_come_whole_to_who_takes_them_as_a_message),
        WITH(violations_that_fit_the_trailers_come_there),
        WITH(faults_of_the_json_fail_a_request_without_others),
        cmocka_unit_test_setup_teardown(fourth_call_of_three_is_refused_with_its_headers,
                                        limited_up, rpc_fixture_down),
        WITH(health_follows_the_store_and_the_drain),
        WITH(a_damaged_store_is_told_by_its_name_alone),
        WITH(reflection_lists_the_services),
        WITH(metrics_count_calls_by_code),
        WITH(many_clients_at_once_are_all_answered),
        WITH(second_server_on_a_live_socket_is_refused),
        WITH(remote_address_needs_to_be_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
