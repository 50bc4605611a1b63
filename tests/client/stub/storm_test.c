/* Calls of every shape by several threads at once, while connections are cut and scopes cancelled:
 * each call ends, once, in a way that it may end, and nothing is lost or left. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/client/stub/stub_fixture.h"

enum { ROUNDS = 150, LOOP_CALLS = 16, CALLERS = 3 };

struct storm {
    struct stub_fixture *fixture;
    pthread_mutex_t lock;
    struct stub_scope *scope; /* of the blocking calls that begin now; under the lock */
    atomic_bool is_over;
    atomic_uint ended, wrong;
};

/* Whether a call may end so in this weather. */
static bool may_end(enum stub_code code) {
    return code == STUB_OK || code == STUB_UNAVAILABLE || code == STUB_CANCELLED ||
           code == STUB_DEADLINE_EXCEEDED;
}

static void count_end(struct storm *storm, enum stub_code code) {
    atomic_fetch_add(&storm->ended, 1);
    atomic_fetch_add(&storm->wrong, !may_end(code));
}

/* Cuts connections and cancels scopes until it is over. */
static void *make_weather(void *context) {
    struct storm *storm = context;
    for (unsigned i = 0; !atomic_load(&storm->is_over); i++) {
        nap_ms(3);
        if (i % 4 == 0)
            echo_server_cut(storm->fixture->server);
        pthread_mutex_lock(&storm->lock);
        if (storm->scope)
            stub_scope_cancel(storm->scope);
        pthread_mutex_unlock(&storm->lock);
    }
    return NULL;
}

static void call_stream(struct storm *storm, const struct stub_options *options, unsigned round) {
    struct stub_call *call = NULL;
    const struct stub_method *method = round % 2 ? &exchange : &idempotent_download;
    enum stub_code code =
        stub_stream_open(storm->fixture->channel, method,
                         method->client_streams ? NULL : text_message("r"), options, NULL, &call);
    if (code != STUB_OK) {
        count_end(storm, code);
        return;
    }
    ProtobufCMessage *message = NULL;
    for (int i = 0; i < 5; i++) {
        if (method->client_streams && !stub_stream_send(call, text_message("m")))
            break;
        if (!stub_stream_receive(call, &message))
            break;
        stub_message_free(message);
    }
    if (method->client_streams)
        stub_stream_send_done(call);
    if (round % 3 != 0) /* sometimes it is closed as it is */
        count_end(storm, stub_call_finish(call, NULL));
    else
        count_end(storm, STUB_OK);
    stub_call_close(call);
}

/* Blocking calls, now and then within a scope that the weather cancels. */
static void *call_blocking(void *context) {
    struct storm *storm = context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct stub_options options = {.timeout_ms = round % 7 == 0 ? 1 : 20000};
        struct stub_scope *scope = NULL;
        bool is_ours = false;
        if (stub_scope_open(&scope) != STUB_OK)
            continue;
        pthread_mutex_lock(&storm->lock);
        is_ours = !storm->scope;
        if (is_ours)
            storm->scope = scope;
        pthread_mutex_unlock(&storm->lock);
        options.scope = scope;
        if (round % 2)
            count_end(storm, stub_unary(storm->fixture->channel, &idempotent_unary,
                                        text_message("?"), &options, NULL, NULL));
        else
            call_stream(storm, &options, round / 2);
        pthread_mutex_lock(&storm->lock);
        if (is_ours)
            storm->scope = NULL;
        pthread_mutex_unlock(&storm->lock);
        stub_scope_close(scope);
    }
    return NULL;
}

/* A slot of the loop: a unary call or a stream, again and again. */
struct slot {
    struct storm *storm;
    struct stub_loop *loop;
    struct stub_call *stream;
    unsigned round, received;
    bool is_over;
};

static void slot_start(struct slot *slot);

static void slot_end(struct slot *slot, enum stub_code code) {
    count_end(slot->storm, code);
    slot->stream = stub_call_close(slot->stream);
    slot_start(slot);
}

static void slot_answered(void *context, ProtobufCMessage *response,
                          const struct stub_status *status) {
    stub_message_free(response);
    slot_end(context, status->code);
}

static void slot_finished(void *context, const struct stub_status *status) {
    slot_end(context, status->code);
}

static void slot_received(void *context, ProtobufCMessage *message) {
    struct slot *slot = context;
    stub_message_free(message);
    if (message && ++slot->received % 5 == 0 && slot->round % 5 == 0)
        slot_end(slot, STUB_OK); /* closes in the midst of it */
    else if (message)
        stub_stream_receive_start(slot->stream, slot_received, slot);
    else
        stub_stream_finish_start(slot->stream, slot_finished, slot);
}

static void slot_start(struct slot *slot) {
    struct stub_channel *channel = slot->storm->fixture->channel;
    struct stub_options *options = WITH(entry("x-answers", "8"), entry("x-size", "500"));
    slot->is_over = ++slot->round > ROUNDS;
    if (slot->is_over)
        return;
    if (slot->round % 2) {
        stub_unary_start(channel, &idempotent_unary, text_message("?"), NULL, slot->loop,
                         slot_answered, slot, NULL);
    } else if (stub_stream_open(channel, &idempotent_download, text_message("r"), options,
                                slot->loop, &slot->stream) == STUB_OK) {
        stub_stream_receive_start(slot->stream, slot_received, slot);
    } else {
        atomic_fetch_add(&slot->storm->wrong, 1);
    }
}

static void run_slots(struct storm *storm) {
    struct slot slots[LOOP_CALLS];
    struct stub_loop *loop = NULL;
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    for (int i = 0; i < LOOP_CALLS; i++) {
        slots[i] = (struct slot){.storm = storm, .loop = loop};
        slot_start(&slots[i]);
    }
    for (int i = 0; i < LOOP_CALLS; i++)
        while (!slots[i].is_over)
            stub_loop_run_once(loop, 1000);
    stub_loop_close(loop);
}

static void every_call_ends_in_a_storm(void **state) {
    struct storm storm = {.fixture = *state, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t weather, callers[CALLERS];
    assert_int_equal(pthread_create(&weather, NULL, make_weather, &storm), 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, call_blocking, &storm), 0);
    run_slots(&storm);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    atomic_store(&storm.is_over, true);
    pthread_join(weather, NULL);
    assert_int_equal(atomic_load(&storm.wrong), 0);
    assert_int_equal(atomic_load(&storm.ended), (CALLERS + LOOP_CALLS) * ROUNDS);
    /* And all is as before. */
    EVENTUALLY(unary_code(storm.fixture->channel, NULL) == STUB_OK);
    EVENTUALLY(echo_server_running(storm.fixture->server) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_ends_in_a_storm, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
