#include "tests/service/rpc/rpc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "google/protobuf/any.pb-c.h"
#include "reflected_descriptor.h"
#include "service/rpc/live_stream.h"
#include "service/rpc/reflection.h"
#include "sync_descriptor.h"
#include "tests/service/auth/signer.h"

/* Ends the test program when a step that must hold does not; on any thread. */
static void must(bool holds) {
    if (!holds)
        abort();
}

static struct rpc_fixture *fixture_of(struct rpc_call *call) {
    return (struct rpc_fixture *)((uint8_t *)rpc_call_service(call) -
                                  offsetof(struct rpc_fixture, service));
}

static struct rpc_fixture *fixture_of_store(struct store *store) {
    return (struct rpc_fixture *)((uint8_t *)store - offsetof(struct rpc_fixture, store));
}

static enum sync_status fixture_health(struct store *store) {
    struct rpc_fixture *fixture = fixture_of_store(store);
    enum sync_status status = (enum sync_status)atomic_load(&fixture->store_health);
    atomic_fetch_add(&fixture->health_looks, 1);
    return status;
}

static enum sync_status fixture_stats(struct store *store, struct store_stats *ret_stats) {
    *ret_stats =
        (struct store_stats){.damaged_reads = atomic_load(&fixture_of_store(store)->damaged_reads)};
    return SYNC_OK;
}

static void echo_handle(struct rpc_call *call) {
    const ProtobufCMessage *message = rpc_call_unpack(call, &google__protobuf__any__descriptor);
    if (message)
        rpc_call_reply(call, message);
}

static void count_written(struct rpc_call *call, void *context, bool ok) {
    size_t sent = (size_t)context;
    struct slice request = rpc_call_request(call);
    if (!ok || sent == request.size)
        rpc_stream_end(call);
    else
        rpc_stream_write(call, slice_of(request.data + sent, 1), count_written, (void *)(sent + 1));
}

static void count_handle(struct rpc_call *call) {
    count_written(call, NULL, true);
}

/* The request's bytes as a decimal number. */
static long request_number(struct rpc_call *call) {
    char *text = arena_copy_text(rpc_call_arena(call), rpc_call_request(call));
    must(text);
    return strtol(text, NULL, 10);
}

static void fail_handle(struct rpc_call *call) {
    struct sync_error error;
    sync_error_set(&error, (enum sync_status)request_number(call), "SECRET_REASON", "secret.field",
                   "a detail of the disk %s", "/dev/secret");
    rpc_call_fail(call, &error);
}

static void fields_handle(struct rpc_call *call) {
    size_t count = (size_t)request_number(call);
    struct rpc_violation *violations =
        arena_zalloc(rpc_call_arena(call), count + 1, sizeof *violations);
    must(violations);
    for (size_t i = 0; i < count; i++) {
        violations[i].field =
            slice_text(arena_format(rpc_call_arena(call), "changes[%zu].timestamp", i));
        violations[i].description = SLICE("is no time in the form of RFC 3339");
        violations[i].reason = "TIME_FORMAT";
    }
    rpc_call_fail_fields(call, violations, count, 7);
}

static void check_handle(struct rpc_call *call) {
    if (rpc_call_faults(call) > 0)
        rpc_call_fail_fields(call, NULL, 0, 0);
    else
        rpc_stream_end(call);
}

static void hold_handle(struct rpc_call *call) {
    struct rpc_fixture *fixture = fixture_of(call);
    atomic_fetch_add(&fixture->holding, 1);
    while (!rpc_call_is_cancelled(call) && !atomic_load(&fixture->lets_go))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_fetch_sub(&fixture->holding, 1);
    rpc_call_fail_with(call, SYNC_ERR_CANCELLED, "CANCELLED", "the client has left");
}

/* A stream of WAIT; in the call's arena. */
struct waiter {
    struct work_task task; /* first: found from it */
    struct rpc_call *call;
    enum rpc_leave cause;
};

static void wait_end(struct work_task *task) {
    struct waiter *waiter = (struct waiter *)task;
    atomic_fetch_sub(&fixture_of(waiter->call)->waiting, 1);
    rpc_call_unwatch_leave(waiter->call);
    bool drains = waiter->cause == RPC_LEAVE_DRAIN;
    rpc_call_fail_with(waiter->call, drains ? SYNC_ERR_UNAVAILABLE : SYNC_ERR_CANCELLED, "LEFT",
                       "told to leave");
}

static void wait_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    struct waiter *waiter = context;
    if (waiter->task.run)
        return;
    waiter->task.run = wait_end;
    waiter->cause = cause;
    work_pool_post(rpc_call_service(call)->pool, &waiter->task);
}

static void wait_handle(struct rpc_call *call) {
    struct waiter *waiter = arena_zalloc(rpc_call_arena(call), 1, sizeof *waiter);
    must(waiter);
    waiter->call = call;
    atomic_fetch_add(&fixture_of(call)->waiting, 1);
    rpc_call_watch_leave(call, wait_left, waiter);
}

/* A stream of FOLLOW; in the call's arena. */
struct follower {
    struct live_stream live; /* first: found from it */
    uint64_t sent;
};

static void follow_turn(struct live_stream *live, struct arena *arena, struct live_step *ret_step) {
    struct follower *follower = (struct follower *)live;
    struct rpc_fixture *fixture = fixture_of(live->call);
    uint64_t count = atomic_load(&fixture->count);
    atomic_fetch_add(&fixture->turns, 1);
    uint64_t *message = arena_alloc(arena, sizeof *message);
    must(message);
    if (count == follower->sent) {
        ret_step->kind = count == fixture->count_end ? LIVE_END : LIVE_WAIT;
        if (fixture->step_us > 0)
            ret_step->wake_us = clock_monotonic_us(fixture->service.clock) + fixture->step_us;
        return;
    }
    follower->sent = *message = count;
    ret_step->kind = LIVE_SEND;
    ret_step->has_more = count == fixture->count_end;
    ret_step->message = slice_of(message, sizeof *message);
}

static void follow_handle(struct rpc_call *call) {
    struct follower *follower = arena_zalloc(rpc_call_arena(call), 1, sizeof *follower);
    must(follower);
    follower->live = (struct live_stream){
        .call = call, .user = slice_text(rpc_call_identity(call)->user), .turn = follow_turn};
    live_stream_start(&follower->live);
}

static void fixture_watch_add(struct store *store, struct store_watch *watch) {
    struct rpc_fixture *fixture = fixture_of_store(store);
    watch_table_add(fixture->watches, watch);
}

static void fixture_watch_remove(struct store *store, struct store_watch *watch) {
    struct rpc_fixture *fixture = fixture_of_store(store);
    watch_table_remove(fixture->watches, watch);
}

void rpc_fixture_count(struct rpc_fixture *fixture, struct slice user) {
    static const struct user_head head = {0};
    atomic_fetch_add(&fixture->count, 1);
    watch_table_tell(fixture->watches, user, &(struct store_event){.head = &head});
}

static const struct rpc_policy policy_user = {.limit = LIMIT_CALLS, .is_audited = true};
static const struct rpc_policy policy_wait = {.limit = LIMIT_CALLS, .is_long_lived = true};
static const struct rpc_policy policy_service = {.service_only = true};
static const struct rpc_policy policy_public = {.is_public = true, .is_inline = true};
static const struct rpc_policy policy_watch = {
    .is_public = true, .is_inline = true, .is_long_lived = true};

static const struct rpc_method methods[] = {
    {ECHO, RPC_UNARY, echo_handle, &policy_user},
    {COUNT, RPC_SERVER_STREAM, count_handle, &policy_user},
    {FAIL, RPC_UNARY, fail_handle, &policy_user},
    {FIELDS, RPC_UNARY, fields_handle, &policy_user},
    {CHECK, RPC_SERVER_STREAM, check_handle, &policy_user},
    {HOLD, RPC_UNARY, hold_handle, &policy_user},
    {WAIT, RPC_SERVER_STREAM, wait_handle, &policy_wait},
    {FOLLOW, RPC_SERVER_STREAM, follow_handle, &policy_wait},
    {SERVICE_ONLY, RPC_UNARY, echo_handle, &policy_service},
    {LATER, RPC_UNARY, NULL, &policy_user},
    {"/grpc.health.v1.Health/Check", RPC_UNARY, health_check_handle, &policy_public},
    {"/grpc.health.v1.Health/Watch", RPC_SERVER_STREAM, health_watch_handle, &policy_watch},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", RPC_BIDIRECTIONAL,
     reflection_info_handle, &policy_public},
};

static void fixture_service(struct rpc_fixture *fixture, double burst) {
    struct sync_error error;
    struct service *service = &fixture->service;
    static const struct store_calls calls = {.health = fixture_health,
                                             .stats = fixture_stats,
                                             .watch_add = fixture_watch_add,
                                             .watch_remove = fixture_watch_remove};
    fixture->watches = watch_table_open(1);
    must(fixture->watches);
    fixture->store.calls = &calls;
    service->clock = clock_system();
    service->random = random_system();
    service->metrics = metrics_open();
    service->store = &fixture->store;
    service->health = &fixture->health;
    must(timers_open(service->clock, &service->timers) == SYNC_OK);
    must(work_pool_open("test", FIXTURE_WORKERS, 1024, &service->pool) == SYNC_OK);
    const struct limit_rule rule = {.per_second = 0.001, .burst = burst > 0 ? burst : 1};
    const struct limiter_options limits = {.rules = {rule, rule, rule, rule},
                                           .unlimited = burst == 0};
    must(limiter_open(&limits, &service->limiter) == SYNC_OK);
    must(token_verifier_open(
             &(struct token_verifier_options){.jwks_path = fixture->keys, .clock = service->clock},
             &error, &service->tokens) == SYNC_OK);
    const struct slice sets[] = {slice_of(sync_descriptor, sync_descriptor_size),
                                 slice_of(reflected_descriptor, reflected_descriptor_size)};
    must(reflection_index_open(sets, 2, &service->reflection) == SYNC_OK);
}

void rpc_fixture_open(struct rpc_fixture *fixture, double burst) {
    memset(fixture, 0, sizeof *fixture);
    const char *base = getenv("TEST_TMPDIR");
    snprintf(fixture->folder, sizeof fixture->folder, "%s/rpcXXXXXX",
             base && strlen(base) < 40 ? base : "/tmp");
    must(mkdtemp(fixture->folder));
    snprintf(fixture->socket, sizeof fixture->socket, "%s/s", fixture->folder);
    snprintf(fixture->keys, sizeof fixture->keys, "%s/keys", fixture->folder);
    snprintf(fixture->target, sizeof fixture->target, "unix:%s", fixture->socket);
    fixture->signer = signer_open(JWK_HS256, "k");
    signers_write((const struct signer *const[]){fixture->signer}, 1, fixture->keys);
    fixture_service(fixture, burst);
    struct sync_error error;
    enum sync_status status = rpc_server_open(
        &(struct rpc_server_options){
            .service = &fixture->service,
            .methods = methods,
            .method_count = sizeof methods / sizeof methods[0],
            .threads = 2,
            .unix_path = fixture->socket,
            .answers_bytes_max = FIXTURE_ANSWERS_BYTES,
            .request_timeout_ms = FIXTURE_REQUEST_TIMEOUT_MS,
            .close_grace_ms = FIXTURE_CLOSE_GRACE_MS, /* the client hangs up later than that */
        },
        &error, &fixture->server);
    if (status != SYNC_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    fixture->client = grpc_client_open(fixture->target);
}

void rpc_fixture_close(struct rpc_fixture *fixture) {
    if (fixture->server) {
        must(rpc_server_drain(fixture->server, 5000));
        rpc_server_close(fixture->server);
    }
    grpc_client_close(fixture->client);
    struct service *service = &fixture->service;
    work_pool_close(service->pool);
    timers_close(fixture->service.timers);
    watch_table_close(fixture->watches);
    limiter_close(service->limiter);
    token_verifier_close(service->tokens);
    reflection_index_close(service->reflection);
    metrics_close(service->metrics);
    signer_close(fixture->signer);
    unlink(fixture->keys);
    unlink(fixture->socket);
    rmdir(fixture->folder);
}

void rpc_fixture_token(struct rpc_fixture *fixture, const char *user, const char *role,
                       char token[FIXTURE_TOKEN_MAX]) {
    char payload[256];
    struct buffer text;
    buffer_init(&text, FIXTURE_TOKEN_MAX - 1);
    snprintf(payload, sizeof payload, "{\"sub\":\"%s\",\"exp\":99999999999%s%s%s}", user,
             role ? ",\"role\":\"" : "", role ? role : "", role ? "\"" : "");
    buffer_append(&text, SLICE("Bearer "));
    signer_sign(fixture->signer, "{\"alg\":\"HS256\",\"kid\":\"k\"}", payload, &text);
    must(!text.failed);
    memcpy(token, text.data, text.size);
    token[text.size] = 0;
    buffer_done(&text);
}

int rpc_fixture_up(void **state) {
    static struct rpc_fixture fixture;
    rpc_fixture_open(&fixture, 0);
    *state = &fixture;
    return 0;
}

int rpc_fixture_down(void **state) {
    rpc_fixture_close(*state);
    return 0;
}

bool text_contains(struct slice bytes, const char *text) {
    return bytes.size > 0 && memmem(bytes.data, bytes.size, text, strlen(text));
}
