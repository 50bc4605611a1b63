// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <time.h>

#include "service/limit/user_slots.h"
#include "tests/service/rpc/rpc_fixture.h"

enum { CLIENTS = 8, COUNTS = 300 };

static void rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* One client of FOLLOW, with a thread of its own. */
struct client {
    struct rpc_fixture *fixture;
    const char *user;
    int64_t cancel_ms; /* 0: it stays to the end */
    pthread_t thread;
    int code;
    size_t count;
    uint64_t numbers[COUNTS + 1];
};

static void *client_run(void *context) {
    struct client *client = context;
    char token[FIXTURE_TOKEN_MAX];
    rpc_fixture_token(client->fixture, client->user, NULL, token);
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client *own = grpc_client_open(client->fixture->target);
    struct grpc_client_answer answer;
    grpc_client_call(own,
                     &(struct grpc_client_request){.path = FOLLOW,
                                                   .headers = &header,
                                                   .header_count = 1,
                                                   .cancel_ms = client->cancel_ms,
                                                   .deadline_ms = 60000},
                     &answer);
    client->code = answer.code;
    client->count = answer.message_count;
    if (answer.message_count > 0 && answer.messages.size <= sizeof client->numbers)
        memcpy(client->numbers, answer.messages.data, answer.messages.size);
    grpc_client_answer_done(&answer);
    grpc_client_close(own);
    return NULL;
}

static void client_start(struct client *client, struct rpc_fixture *fixture, const char *user) {
    client->fixture = fixture;
    client->user = user;
    assert_int_equal(pthread_create(&client->thread, NULL, client_run, client), 0);
}

/* Waits until so many turns were taken. */
static void await_turns(struct rpc_fixture *fixture, unsigned turns) {
    while (atomic_load(&fixture->turns) < turns)
        rest();
}

static void assert_grows_to_the_end(const struct client *client) {
    assert_int_equal(client->code, 0);
    assert_in_range(client->count, 1, COUNTS);
    for (size_t i = 1; i < client->count; i++)
        assert_true(client->numbers[i] > client->numbers[i - 1]);
    assert_int_equal(client->numbers[client->count - 1], client->fixture->count_end);
}

static void each_commit_wakes_the_streams_of_its_user(void **state) {
    struct rpc_fixture *fixture = *state;
    static struct client anna, bert;
    memset(&anna, 0, sizeof anna);
    memset(&bert, 0, sizeof bert);
    fixture->count_end = 4;
    client_start(&anna, fixture, "anna");
    client_start(&bert, fixture, "bert");
    await_turns(fixture, 2);
    unsigned turns = atomic_load(&fixture->turns);
    for (unsigned i = 1; i <= 3; i++) {
        rpc_fixture_count(fixture, SLICE("anna"));
        await_turns(fixture, turns + i); /* one after the other: none is passed over */
    }
    assert_int_equal(atomic_load(&fixture->turns), turns + 3);
    rpc_fixture_count(fixture, SLICE("anna"));
    pthread_join(anna.thread, NULL);
    assert_grows_to_the_end(&anna);
    assert_int_equal(anna.count, 4);
    watch_table_tell(fixture->watches, SLICE("bert"), &(struct store_event){.tables = 2});
    assert_int_equal(rpc_server_drain(fixture->server, 60000),
                     true); /* rows alone do not wake it */
    pthread_join(bert.thread, NULL);
    assert_int_equal(bert.code, 14);
    assert_int_equal(bert.count, 0);
    fixture->server = rpc_server_close(fixture->server);
}

static void commits_in_a_storm_are_told_to_their_last(void **state) {
    struct rpc_fixture *fixture = *state;
    static struct client clients[CLIENTS];
    memset(clients, 0, sizeof clients);
    fixture->count_end = COUNTS;
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i].cancel_ms = i % 4 == 3 ? (int64_t)i : 0;
        client_start(&clients[i], fixture, "anna");
    }
    for (int i = 0; i < COUNTS; i++) {
        rpc_fixture_count(fixture, SLICE("anna"));
        if (i % 16 == 0)
            rest();
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        if (clients[i].cancel_ms == 0)
            assert_grows_to_the_end(&clients[i]);
    }
}

static void streams_end_whatever_they_are_about_when_the_service_drains(void **state) {
    struct rpc_fixture *fixture = *state;
    static struct client clients[CLIENTS];
    memset(clients, 0, sizeof clients);
    fixture->count_end = UINT64_MAX;
    for (size_t i = 0; i < CLIENTS; i++)
        client_start(&clients[i], fixture, i % 2 ? "anna" : "bert");
    await_turns(fixture, CLIENTS);
    for (int i = 0; i < 20; i++)
        rpc_fixture_count(fixture, SLICE("anna"));
    assert_true(rpc_server_drain(fixture->server, 60000));
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].code, 14);
    }
    fixture->server = rpc_server_close(fixture->server);
}

static void a_turn_comes_when_its_time_has_come(void **state) {
    struct rpc_fixture *fixture = *state;
    static struct client anna;
    memset(&anna, 0, sizeof anna);
    fixture->count_end = 1;
    fixture->step_us = 1000;
    client_start(&anna, fixture, "anna");
    await_turns(fixture, 20); /* though nobody commits */
    rpc_fixture_count(fixture, SLICE("anna"));
    pthread_join(anna.thread, NULL);
    assert_grows_to_the_end(&anna);
}

static void a_user_has_only_so_many(void **state) {
    struct rpc_fixture *fixture = *state;
    static struct client anna[3], bert;
    memset(anna, 0, sizeof anna);
    memset(&bert, 0, sizeof bert);
    fixture->count_end = UINT64_MAX;
    fixture->service.watches = user_slots_open(2, 1);
    client_start(&anna[0], fixture, "anna");
    client_start(&anna[1], fixture, "anna");
    await_turns(fixture, 2);
    client_start(&anna[2], fixture, "anna");
    pthread_join(anna[2].thread, NULL);
    assert_int_equal(anna[2].code, 8);
    client_start(&bert, fixture, "bert");
    await_turns(fixture, 3);
    assert_true(rpc_server_drain(fixture->server, 60000));
    pthread_join(anna[0].thread, NULL);
    pthread_join(anna[1].thread, NULL);
    pthread_join(bert.thread, NULL);
    fixture->server = rpc_server_close(fixture->server);
    fixture->service.watches = user_slots_close(fixture->service.watches); /* all are left */
}

int main(void) {
#define WITH(test_) cmocka_unit_test_setup_teardown(test_, rpc_fixture_up, rpc_fixture_down)
    const struct CMUnitTest tests[] = {
        WITH(each_commit_wakes_the_streams_of_its_user),
        WITH(commits_in_a_storm_are_told_to_their_last),
        WITH(a_turn_comes_when_its_time_has_come),
        WITH(a_user_has_only_so_many),
        WITH(streams_end_whatever_they_are_about_when_the_service_drains),
    };
#undef WITH
    return cmocka_run_group_tests(tests, NULL, NULL);
}
