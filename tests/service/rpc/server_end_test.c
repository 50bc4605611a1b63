/* How calls end that do not end by themselves: the client leaves, the deadline passes, the server
 * drains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "tests/service/rpc/rpc_fixture.h"

static void handler_sees_that_the_client_left(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client_request request = {
        .path = HOLD, .headers = &header, .header_count = 1, .cancel_ms = 100};
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client, &request, &answer);
    assert_int_equal(answer.code, 1);
    grpc_client_answer_done(&answer);
    request.cancel_ms = 0;
    request.deadline_ms = 100;
    grpc_client_call(fixture->client, &request, &answer);
    assert_true(answer.code == 4 || answer.code == 1); /* whose clock is first */
    grpc_client_answer_done(&answer);
    while (atomic_load(&fixture->holding) > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Waits until as many streams wait. */
static void await_waiting(struct rpc_fixture *fixture, unsigned count) {
    while (atomic_load(&fixture->waiting) != count)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void idle_stream_is_told_that_its_client_left(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client_request request = {
        .path = WAIT, .headers = &header, .header_count = 1, .cancel_ms = 100};
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client, &request, &answer);
    assert_int_equal(answer.code, 1);
    grpc_client_answer_done(&answer);
    await_waiting(fixture, 0);
    request.cancel_ms = 0;
    request.deadline_ms = 100;
    grpc_client_call(fixture->client, &request, &answer);
    assert_true(answer.code == 4 || answer.code == 1); /* whose clock is first */
    grpc_client_answer_done(&answer);
    await_waiting(fixture, 0);
}

enum { WAITERS = 8 };

/* One stream that waits; its code. */
static void *wait_thread(void *context) {
    struct rpc_fixture *fixture = context;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    struct grpc_client *client = grpc_client_open(fixture->target);
    intptr_t code = grpc_client_code(client, WAIT, token, SLICE_EMPTY);
    grpc_client_close(client);
    return (void *)code;
}

static void drain_ends_idle_streams_without_its_grace(void **state) {
    struct rpc_fixture *fixture = *state;
    pthread_t threads[WAITERS];
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_thread, fixture), 0);
    await_waiting(fixture, WAITERS);
    /* Far longer than the clients' deadline, which would give another code. */
    assert_true(rpc_server_drain(fixture->server, 120000));
    for (size_t i = 0; i < WAITERS; i++) {
        void *code;
        pthread_join(threads[i], &code);
        assert_int_equal((intptr_t)code, 14);
    }
    fixture->server = rpc_server_close(fixture->server);
}

/* Holds one worker until the fixture lets go. */
static void *hold_thread(void *context) {
    struct rpc_fixture *fixture = context;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client *client = grpc_client_open(fixture->target);
    struct grpc_client_answer answer;
    grpc_client_call(client,
                     &(struct grpc_client_request){
                         .path = HOLD, .headers = &header, .header_count = 1, .deadline_ms = 60000},
                     &answer);
    grpc_client_answer_done(&answer);
    grpc_client_close(client);
    return NULL;
}

static void call_whose_deadline_passed_in_the_queue_is_not_run(void **state) {
    struct rpc_fixture *fixture = *state;
    pthread_t threads[FIXTURE_WORKERS];
    for (size_t i = 0; i < FIXTURE_WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_thread, fixture), 0);
    while (atomic_load(&fixture->holding) < FIXTURE_WORKERS)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    /* Connected, so that the call gets into the queue within its deadline. */
    assert_int_equal(
        grpc_client_code(fixture->client, "/grpc.health.v1.Health/Check", token, SLICE_EMPTY), 0);
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client,
                     &(struct grpc_client_request){
                         .path = FAIL, .headers = &header, .header_count = 1, .deadline_ms = 700},
                     &answer);
    assert_int_not_equal(answer.code, 0);
    grpc_client_answer_done(&answer);
    /* The server counts from when the call came, which was before its client gave it up. */
    nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
    atomic_store(&fixture->lets_go, true);
    for (size_t i = 0; i < FIXTURE_WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(rpc_server_drain(fixture->server, 5000));
    struct buffer text;
    buffer_init(&text, 1 << 20);
    metrics_render(fixture->service.metrics, &text);
    assert_true(
        text_contains(buffer_slice(&text),
                      "grpc_server_handled_total{grpc_service=\"test.Echo\",grpc_method=\"Fail\","
                      "grpc_type=\"unary\",grpc_code=\"DeadlineExceeded\"} 1"));
    buffer_done(&text);
    fixture->server = rpc_server_close(fixture->server);
}

/* A client that opens calls and then says nothing. */
static void request_that_does_not_come_in_time_ends_its_call(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    static const char *const paths[] = {ECHO, COUNT, "/grpc.health.v1.Health/Check"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct grpc_client_answer answer;
        grpc_client_call(fixture->client,
                         &(struct grpc_client_request){.path = paths[i],
                                                       .headers = &header,
                                                       .header_count = 1,
                                                       .deadline_ms = 60000,
                                                       .is_silent = true},
                         &answer);
        assert_int_equal(answer.code, 4);
        assert_string_equal(answer.message, "the request's message did not come in time");
        grpc_client_answer_done(&answer);
    }
    assert_int_equal(grpc_client_code(fixture->client, ECHO, token, SLICE_EMPTY), 0);
}

enum { WATCHED_MAX = 8 };

/* One Health.Watch, on a thread of its own. */
struct health_client {
    struct rpc_fixture *fixture;
    struct slice request;
    pthread_t thread;
    int code;
    size_t size;
    uint8_t messages[WATCHED_MAX]; /* two bytes each: 8 and the state */
};

static void *health_thread(void *context) {
    struct health_client *client = context;
    struct grpc_client *own = grpc_client_open(client->fixture->target);
    struct grpc_client_answer answer;
    grpc_client_call(own,
                     &(struct grpc_client_request){.path = "/grpc.health.v1.Health/Watch",
                                                   .message = client->request,
                                                   .deadline_ms = 60000},
                     &answer);
    client->code = answer.code;
    client->size = answer.messages.size;
    if (client->size <= WATCHED_MAX && client->size > 0)
        memcpy(client->messages, answer.messages.data, client->size);
    grpc_client_answer_done(&answer);
    grpc_client_close(own);
    return NULL;
}

static void health_is_watched_through_a_fault_and_the_drain(void **state) {
    struct rpc_fixture *fixture = *state;
    struct health_client known = {.fixture = fixture},
                         unknown = {.fixture = fixture, .request = SLICE("\x0a\x01x")};
    assert_int_equal(pthread_create(&known.thread, NULL, health_thread, &known), 0);
    while (atomic_load(&fixture->health_looks) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(pthread_create(&unknown.thread, NULL, health_thread, &unknown), 0);
    while (atomic_load(&fixture->health.watches) < 2)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&fixture->store_health, SYNC_ERR_STORE_BROKEN);
    assert_true(rpc_server_drain(fixture->server, 60000));
    pthread_join(known.thread, NULL);
    pthread_join(unknown.thread, NULL);
    assert_int_equal(known.code, 14);
    assert_int_equal(known.size, 4);
    assert_memory_equal(known.messages, "\x08\x01\x08\x02", 4);
    assert_int_equal(unknown.code, 14);
    assert_int_equal(unknown.size, 2);
    assert_memory_equal(unknown.messages, "\x08\x03", 2);
    assert_int_equal(atomic_load(&fixture->health.watches), 0);
    fixture->server = rpc_server_close(fixture->server);
}

static void no_more_watch_the_health_than_may(void **state) {
    struct rpc_fixture *fixture = *state;
    atomic_store(&fixture->health.watches, HEALTH_WATCHES_MAX);
    struct health_client client = {.fixture = fixture};
    health_thread(&client);
    assert_int_equal(client.code, 8);
    assert_int_equal(atomic_load(&fixture->health.watches), HEALTH_WATCHES_MAX);
}

static void *drain_thread(void *context) {
    struct rpc_fixture *fixture = context;
    return rpc_server_drain(fixture->server, 200) ? fixture : NULL;
}

static void drain_cancels_what_outlasts_its_grace(void **state) {
    struct rpc_fixture *fixture = *state;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(fixture, "anna", NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    assert_int_equal(grpc_client_code(fixture->client, ECHO, token, SLICE_EMPTY), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain_thread, fixture), 0);
    struct grpc_client_answer answer;
    grpc_client_call(fixture->client,
                     &(struct grpc_client_request){
                         .path = HOLD, .headers = &header, .header_count = 1, .deadline_ms = 3000},
                     &answer);
    assert_int_not_equal(answer.code, 0);
    grpc_client_answer_done(&answer);
    void *is_drained;
    pthread_join(thread, &is_drained);
    assert_non_null(is_drained);
    fixture->server = rpc_server_close(fixture->server);
    assert_int_not_equal(access(fixture->socket, F_OK), 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, rpc_fixture_up, rpc_fixture_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(handler_sees_that_the_client_left),
        WITH(idle_stream_is_told_that_its_client_left),
        WITH(drain_ends_idle_streams_without_its_grace),
        WITH(call_whose_deadline_passed_in_the_queue_is_not_run),
        WITH(request_that_does_not_come_in_time_ends_its_call),
        WITH(health_is_watched_through_a_fault_and_the_drain),
        WITH(no_more_watch_the_health_than_may),
        WITH(drain_cancels_what_outlasts_its_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
