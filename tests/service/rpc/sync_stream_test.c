/* The drivers of streams, through a real server and store, with each allocation of their thread
 * failing in turn. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "service/rpc/health.h"
#include "service/rpc/methods.h"
#include "service/rpc/operation.h"
#include "service/rpc/server.h"
#include "service/rpc/sync_stream_private.h"
#include "tests/service/auth/signer.h"
#include "tests/service/rpc/grpc_client.h"
#include "tests/service/rpc/service_fixture.h"

#define SYNC_SERVICE "/travelsense.sync.v1.SyncService/"
#define SYNC SYNC_SERVICE "Sync"
#define RECORDS "/travelsense.sync.v1.RecordService/"

#define HEALTH_WATCH "/grpc.health.v1.Health/Watch"

enum { METHODS_MAX = 64, TOKEN_TEXT_MAX = 512, MESSAGE_TEXT_MAX = 512, ALLOCATIONS_MAX = 5000 };

/* A server with one worker, so that all that a stream does is done on its thread. */
struct stream_service {
    struct service_fixture *fixture;
    struct health health;
    struct rpc_server *server;
    struct grpc_client *client;
    struct signer *signer;
    char folder[32], socket[64], keys[600], target[80];
    char token[TOKEN_TEXT_MAX], service_token[TOKEN_TEXT_MAX];
};

static void token_make(struct stream_service *self, const char *claims,
                       char ret_token[TOKEN_TEXT_MAX]) {
    struct buffer text;
    buffer_init(&text, TOKEN_TEXT_MAX - 1);
    buffer_append(&text, SLICE("Bearer "));
    signer_sign(self->signer, "{\"alg\":\"HS256\",\"kid\":\"k\"}", claims, &text);
    assert_int_equal(buffer_status(&text), SYNC_OK);
    memcpy(ret_token, text.data, text.size);
    buffer_done(&text);
}

static void gates_open(struct stream_service *self) {
    struct service *service = &self->fixture->service;
    struct sync_error error;
    const struct sync_stream_options options = {
        .admission = {.streams_max = 10, .opening_max = 10, .opens_per_second = 1e9},
        .send_timeout_us = 1000000,
        .memory_max = 64 << 20};
    self->signer = signer_open(JWK_HS256, "k");
    signers_write((const struct signer *const[]){self->signer}, 1, self->keys);
    assert_int_equal(limiter_open(&(struct limiter_options){.unlimited = true}, &service->limiter),
                     SYNC_OK);
    assert_int_equal(token_verifier_open(&(struct token_verifier_options){.jwks_path = self->keys,
                                                                          .clock = service->clock},
                                         &error, &service->tokens),
                     SYNC_OK);
    user_lanes_close(service->lanes);
    work_pool_close(service->pool);
    assert_int_equal(work_pool_open("test", 1, 64, &service->pool), SYNC_OK);
    assert_int_equal(user_lanes_open(service->pool, &service->lanes), SYNC_OK);
    assert_int_equal(sync_streams_open(service, &options, &service->streams), SYNC_OK);
    service->metrics = metrics_open();
    service->health = &self->health;
}

/* The service's methods, but that a watch of the health begins on the worker as well. */
static const struct rpc_method *methods_of_worker(size_t *ret_count) {
    static const struct rpc_policy by_worker = {.is_public = true, .is_long_lived = true};
    static struct rpc_method methods[METHODS_MAX];
    const struct rpc_method *all = service_methods(ret_count);
    assert_true(*ret_count <= METHODS_MAX);
    for (size_t i = 0; i < *ret_count; i++) {
        methods[i] = all[i];
        if (strcmp(methods[i].path, HEALTH_WATCH) == 0)
            methods[i].policy = &by_worker;
    }
    return methods;
}

static int set_up(void **state) {
    static struct stream_service self;
    void *fixture;
    assert_int_equal(service_fixture_setup(&fixture), 0);
    self = (struct stream_service){.fixture = fixture};
    /* The folder of a test may be longer than a socket's path. */
    snprintf(self.folder, sizeof self.folder, "/tmp/sync-streamXXXXXX");
    assert_non_null(mkdtemp(self.folder));
    snprintf(self.socket, sizeof self.socket, "%s/s", self.folder);
    snprintf(self.keys, sizeof self.keys, "%s.keys", self.fixture->path);
    snprintf(self.target, sizeof self.target, "unix:%s", self.socket);
    gates_open(&self);
    token_make(&self, "{\"sub\":\"anna\",\"exp\":99999999999}", self.token);
    token_make(&self, "{\"sub\":\"trips\",\"role\":\"service\",\"exp\":99999999999}",
               self.service_token);
    size_t count;
    struct sync_error error;
    struct rpc_server_options options = {.service = &self.fixture->service,
                                         .methods = methods_of_worker(&count),
                                         .threads = 1,
                                         .unix_path = self.socket,
                                         .close_grace_ms = 500};
    options.method_count = count;
    assert_int_equal(rpc_server_open(&options, &error, &self.server), SYNC_OK);
    self.client = grpc_client_open(self.target);
    *state = &self;
    return 0;
}

static int tear_down(void **state) {
    struct stream_service *self = *state;
    struct service *service = &self->fixture->service;
    assert_true(rpc_server_drain(self->server, 10000));
    rpc_server_close(self->server);
    grpc_client_close(self->client);
    sync_streams_close(service->streams);
    user_lanes_drain(service->lanes);
    limiter_close(service->limiter);
    token_verifier_close(service->tokens);
    signer_close(self->signer);
    unlink(self->keys);
    rmdir(self->folder);
    struct metrics *metrics = service->metrics;
    void *fixture = self->fixture;
    int left = service_fixture_teardown(&fixture);
    metrics_close(metrics);
    return left;
}

/* ---- The worker's allocations */

struct arming {
    struct work_task task; /* first: found from it */
    uint64_t fail_after, count;
    sem_t done;
};

static void arm_task(struct work_task *task) {
    struct arming *arming = (struct arming *)task;
    arming->count = memory_count();
    memory_fail_after(arming->fail_after);
    sem_post(&arming->done);
}

/* Lets the n-th allocation of the worker fail (0: none); returns how many there were since. */
static uint64_t worker_arm(struct stream_service *self, uint64_t n) {
    struct arming arming = {.task = {.run = arm_task}, .fail_after = n};
    sem_init(&arming.done, 0, 0);
    work_pool_post(self->fixture->service.pool, &arming.task);
    sem_wait(&arming.done);
    sem_destroy(&arming.done);
    return arming.count;
}

/* ---- A session */

static struct slice request_pack(const PB(SyncRequest) *request, uint8_t *ret_bytes) {
    assert_true(protobuf_c_message_get_packed_size(&request->base) <= MESSAGE_TEXT_MAX);
    return slice_of(ret_bytes, protobuf_c_message_pack(&request->base, ret_bytes));
}

/* Hello, a batch of one change and the half-close; how it ended. */
static int session_run(struct stream_service *self, unsigned number) {
    uint8_t hello_bytes[MESSAGE_TEXT_MAX], batch_bytes[MESSAGE_TEXT_MAX];
    char change_id[32];
    snprintf(change_id, sizeof change_id, "delete-%u", number);
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1600000000;
    PB(Change) change = PB_INIT(CHANGE), *changes[] = {&change};
    change.id = change_id;
    change.type = TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_DELETE;
    change.data_type = TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_BOOKING;
    change.data_id = (char *)"gone";
    change.timestamp = &time;
    change.base_version = 2; /* as it was made */
    PB(SyncBatch) batch = PB_INIT(SYNC_BATCH);
    batch.batch_id = 1;
    batch.changes = changes;
    batch.n_changes = 1;
    PB(SyncRequest) first = PB_INIT(SYNC_REQUEST), second = PB_INIT(SYNC_REQUEST);
    first.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    first.hello = &hello;
    second.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BATCH;
    second.batch = &batch;
    const struct grpc_client_header header = {"authorization", slice_text(self->token)};
    struct grpc_client_answer answer;
    grpc_client_call(self->client,
                     &(struct grpc_client_request){.path = SYNC,
                                                   .message = request_pack(&first, hello_bytes),
                                                   .second = request_pack(&second, batch_bytes),
                                                   .headers = &header,
                                                   .header_count = 1,
                                                   .deadline_ms = 60000},
                     &answer);
    int code = answer.code;
    grpc_client_answer_done(&answer);
    return code;
}

/* Nothing of a stream is left. */
static void assert_none_left(struct stream_service *self) {
    struct sync_streams *streams = self->fixture->service.streams;
    struct admission_counts counts = admission_look(streams->admission);
    assert_int_equal(counts.open, 0);
    assert_int_equal(counts.opening, 0);
    assert_int_equal(stream_registry_count(streams->registry), 0);
    assert_int_equal(atomic_load(&streams->held_bytes), 0);
    assert_int_equal(atomic_load(&streams->index_bytes), 0);
}

static void each_allocation_of_a_stream_may_fail(void **state) {
    struct stream_service *self = *state;
    uint64_t n = 0, count;
    unsigned failed = 0;
    service_fixture_change(self->fixture, "anna", CHANGE_CREATE, "kept", "{\"a\":1}");
    service_fixture_change(self->fixture, "anna", CHANGE_CREATE, "gone", "{\"a\":1}");
    do {
        n++;
        assert_true(n < ALLOCATIONS_MAX);
        worker_arm(self, n);
        int code = session_run(self, (unsigned)n);
        count = worker_arm(self, 0);
        /* RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE; or well: some are only noted. */
        if (code != 0 && code != 8 && code != 13 && code != 14)
            fail_msg("with allocation %u failing: code %d", (unsigned)n, code);
        failed += code != 0;
        assert_none_left(self);
    } while (count >= n);
    assert_true(failed > n / 4);
    assert_int_equal(session_run(self, 0), 0);
    assert_none_left(self);
    struct user_head head = service_fixture_head(self->fixture, "anna");
    assert_int_equal(head.record_count, 1);
}

/* ---- A watch of the health */

/* Each allocation of a watch fails once: it ends with its cause, or goes on, and is counted no more
 * when it has ended. */
static void each_allocation_of_a_health_watch_may_fail(void **state) {
    struct stream_service *self = *state;
    unsigned failed = 0;
    uint64_t n = 0, count;
    do {
        struct grpc_client_answer answer;
        n++;
        assert_true(n < ALLOCATIONS_MAX);
        worker_arm(self, n);
        grpc_client_call(self->client,
                         &(struct grpc_client_request){.path = HEALTH_WATCH, .deadline_ms = 300},
                         &answer);
        count = worker_arm(self, 0);
        /* UNAVAILABLE; or DEADLINE_EXCEEDED: it was watching. */
        if (answer.code != 4 && answer.code != 14)
            fail_msg("with allocation %u failing: code %d", (unsigned)n, answer.code);
        failed += answer.code != 4;
        grpc_client_answer_done(&answer);
        while (atomic_load(&self->health.watches) > 0)
            usleep(1000);
    } while (count >= n);
    assert_true(failed > 0);
}

/* ---- Streams that follow, and batches of services */

/* Packs a request. */
static struct slice message_of(const ProtobufCMessage *message, uint8_t *ret_bytes) {
    assert_true(protobuf_c_message_get_packed_size(message) <= MESSAGE_TEXT_MAX);
    return slice_of(ret_bytes, protobuf_c_message_pack(message, ret_bytes));
}

/* Calls again and again, each time with the next allocation of the worker failing, until one comes
 * to its end without. Whatever fails, the call ends, and the next one is well. */
static void each_allocation_may_fail(struct stream_service *self,
                                     struct grpc_client_request *request, const char *token,
                                     int well) {
    const struct grpc_client_header header = {"authorization", slice_text(token)};
    uint64_t n = 0, count;
    unsigned failed = 0;
    request->headers = &header;
    request->header_count = 1;
    do {
        struct grpc_client_answer answer;
        n++;
        assert_true(n < ALLOCATIONS_MAX);
        worker_arm(self, n);
        grpc_client_call(self->client, request, &answer);
        count = worker_arm(self, 0);
        if (answer.code != well && answer.code != 8 && answer.code != 13 && answer.code != 14)
            fail_msg("with allocation %u failing: code %d", (unsigned)n, answer.code);
        failed += answer.code != well;
        grpc_client_answer_done(&answer);
    } while (count >= n);
    assert_true(failed > 0);
}

static void each_allocation_of_a_watch_of_records_may_fail(void **state) {
    struct stream_service *self = *state;
    uint8_t bytes[MESSAGE_TEXT_MAX];
    PB(WatchRecordsRequest) watch = PB_INIT(WATCH_RECORDS_REQUEST);
    service_fixture_change(self->fixture, "anna", CHANGE_CREATE, "b1", "{\"a\":1}");
    service_fixture_change(self->fixture, "anna", CHANGE_CREATE, "b2", "{\"a\":1}");
    watch.user_id = (char *)"anna";
    watch.cursor = message_cursor(&self->fixture->service, &self->fixture->arena, 0);
    struct grpc_client_request request = {.path = RECORDS "WatchRecords",
                                          .message = message_of(&watch.base, bytes),
                                          .cancel_ms = 30}; /* it follows until it is left */
    each_allocation_may_fail(self, &request, self->service_token, 1);
}

static void each_allocation_of_a_watch_of_an_operation_may_fail(void **state) {
    struct stream_service *self = *state;
    struct arena *arena = &self->fixture->arena;
    uint8_t bytes[MESSAGE_TEXT_MAX];
    char sync_id[UUID_TEXT_SIZE + 1];
    struct row_write rows[OPERATION_ROWS_MAX];
    size_t count = 0;
    uuid_v7(self->fixture->now_us, random_system(), sync_id);
    struct operation_draft draft = {.sync_id = sync_id,
                                    .user = SLICE("anna"),
                                    .device = SLICE("phone"),
                                    .types = DATA_TYPES_ALL,
                                    .sync_type = SYNC_FULL,
                                    .status = OPERATION_COMPLETED,
                                    .phase = "done",
                                    .created_us = (int64_t)self->fixture->now_us};
    PB(SyncOperation) *operation = operation_make(&draft, arena);
    assert_non_null(operation);
    assert_int_equal(operation_put(operation, true, arena, rows, &count), SYNC_OK);
    struct write_set set = {.rows = rows, .row_count = count};
    assert_int_equal(store_commit_wait(self->fixture->service.store, &set, NULL), SYNC_OK);
    PB(WatchSyncOperationRequest) watch = PB_INIT(WATCH_SYNC_OPERATION_REQUEST);
    watch.sync_id = sync_id;
    struct grpc_client_request request = {.path = SYNC_SERVICE "WatchSyncOperation",
                                          .message = message_of(&watch.base, bytes)};
    each_allocation_may_fail(self, &request, self->token, 0);
}

static void each_allocation_of_applied_changes_may_fail(void **state) {
    struct stream_service *self = *state;
    uint8_t first_bytes[MESSAGE_TEXT_MAX], second_bytes[MESSAGE_TEXT_MAX];
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1600000000;
    PB(Change) change = PB_INIT(CHANGE), *changes[] = {&change};
    change.id = (char *)"delete";
    change.type = TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_DELETE;
    change.data_type = TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_BOOKING;
    change.data_id = (char *)"b1";
    change.timestamp = &time;
    PB(ApplyChangesRequest) batch = PB_INIT(APPLY_CHANGES_REQUEST);
    batch.user_id = (char *)"anna";
    batch.batch_id = 1;
    batch.changes = changes;
    batch.n_changes = 1;
    service_fixture_change(self->fixture, "anna", CHANGE_CREATE, "b1", "{\"a\":1}");
    struct grpc_client_request request = {.path = RECORDS "ApplyChanges",
                                          .message = message_of(&batch.base, first_bytes)};
    batch.batch_id = 2;
    request.second = message_of(&batch.base, second_bytes);
    each_allocation_may_fail(self, &request, self->service_token, 0);
    struct user_head head = service_fixture_head(self->fixture, "anna");
    assert_int_equal(head.sequence, 2); /* once, however often it was sent */
    assert_int_equal(head.record_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_allocation_of_a_watch_of_records_may_fail, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_allocation_of_a_watch_of_an_operation_may_fail, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_allocation_of_applied_changes_may_fail, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_allocation_of_a_stream_may_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_allocation_of_a_health_watch_may_fail, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
