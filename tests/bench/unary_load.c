/* Unary load: blocking calls from some threads over one channel, by the client stubs or on the bare
 * C core. Prints one JSON object. */
#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/stub/call.h"
#include "tests/bench/load_process.h"
#include "travelsense/sync/v1/config.pb-c.h"

enum { THREADS_MAX = 64, SECONDS_MAX = 3600, WARM_MS = 1000, CALL_TIMEOUT_S = 20 };

static const struct stub_method config_method = {
    .path = "/travelsense.sync.v1.SyncService/GetSyncConfig",
    .request = &travelsense__sync__v1__get_sync_config_request__descriptor,
    .response = &travelsense__sync__v1__get_sync_config_response__descriptor,
};

/* An empty request, and an answer whose one field goes unread. */
static const struct stub_method health_method = {
    .path = "/grpc.health.v1.Health/Check",
    .request = &travelsense__sync__v1__get_sync_config_request__descriptor,
    .response = &travelsense__sync__v1__get_sync_config_request__descriptor,
};

struct run {
    const char *mode, *target, *token;
    struct stub_channel *channel;
    grpc_channel *bare;
    atomic_bool is_over, has_failed;
};

struct worker {
    struct run *run;
    pthread_t thread;
    atomic_ullong calls;
};

static bool call_stub(struct run *run, const struct stub_method *method) {
    Travelsense__Sync__V1__GetSyncConfigRequest request =
        TRAVELSENSE__SYNC__V1__GET_SYNC_CONFIG_REQUEST__INIT;
    char bearer[STUB_TOKEN_MAX + 8];
    int size = snprintf(bearer, sizeof bearer, "Bearer %s", run->token);
    struct stub_metadata metadata = {"authorization", bearer, (size_t)size};
    struct stub_options options = {.timeout_ms = CALL_TIMEOUT_S * 1000,
                                   .metadata = &metadata,
                                   .metadata_count = *run->token ? 1 : 0};
    struct ProtobufCMessage *response = NULL;
    enum stub_code code =
        stub_unary(run->channel, method, &request.base, &options, NULL, &response);
    stub_message_free(response);
    return code == STUB_OK;
}

/* The least that the C core asks of a client. */
static bool call_bare(struct run *run, grpc_completion_queue *queue) {
    grpc_call *call =
        grpc_channel_create_call(run->bare, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
                                 grpc_slice_from_static_string("/echo/Echo"), NULL,
                                 gpr_time_from_seconds(CALL_TIMEOUT_S, GPR_TIMESPAN), NULL);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(NULL, 0), *response = NULL;
    grpc_metadata_array initial, trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    ops[1].data.send_message.send_message = request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].data.recv_message.recv_message = &response;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &code;
    ops[5].data.recv_status_on_client.status_details = &details;
    grpc_call_error error = grpc_call_start_batch(call, ops, 6, call, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
    grpc_completion_queue_pluck(queue, call, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    bool is_well = code == GRPC_STATUS_OK && response;
    grpc_byte_buffer_destroy(request);
    grpc_byte_buffer_destroy(response);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_slice_unref(details);
    grpc_call_unref(call);
    return is_well;
}

static bool call_once(struct run *run, grpc_completion_queue *queue) {
    if (run->bare)
        return call_bare(run, queue);
    return call_stub(run, strcmp(run->mode, "health") == 0 ? &health_method : &config_method);
}

static void *worker_run(void *context) {
    struct worker *worker = context;
    struct run *run = worker->run;
    grpc_completion_queue *queue = run->bare ? grpc_completion_queue_create_for_pluck(NULL) : NULL;
    while (!atomic_load_explicit(&run->is_over, memory_order_relaxed)) {
        if (!call_once(run, queue)) {
            atomic_store(&run->has_failed, true);
            break;
        }
        atomic_fetch_add_explicit(&worker->calls, 1, memory_order_relaxed);
    }
    if (queue) {
        grpc_completion_queue_shutdown(queue);
        grpc_completion_queue_destroy(queue);
    }
    return NULL;
}

static bool run_open(struct run *run) {
    if (strcmp(run->mode, "bare") == 0) {
        grpc_init();
        grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
        run->bare = grpc_channel_create(run->target, credentials, NULL);
        grpc_channel_credentials_release(credentials);
        return run->bare;
    }
    struct stub_channel_options options = {.target = run->target};
    return stub_channel_open(&options, NULL, &run->channel) == STUB_OK;
}

static unsigned long long calls_of(struct worker *workers, unsigned count) {
    unsigned long long calls = 0;
    for (unsigned i = 0; i < count; i++)
        calls += atomic_load(&workers[i].calls);
    return calls;
}

static void wait_ms(unsigned ms) {
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* A number from 1 to `most`, or 0. */
static unsigned number_of(const char *text, unsigned long most) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && number <= most ? (unsigned)number : 0;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fputs("usage: unary_load bare|health|config TARGET TOKEN THREADS SECONDS SERVER_PID\n",
              stderr);
        return 2;
    }
    struct run run = {.mode = argv[1], .target = argv[2], .token = argv[3]};
    unsigned threads = number_of(argv[4], THREADS_MAX), seconds = number_of(argv[5], SECONDS_MAX);
    int pid = (int)number_of(argv[6], INT32_MAX);
    struct load_process before, after;
    if (threads == 0 || seconds == 0 || pid == 0 || !run_open(&run)) {
        fputs("unary_load: cannot begin\n", stderr);
        return 2;
    }
    static struct worker workers[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++) {
        workers[i].run = &run;
        pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
    }
    wait_ms(WARM_MS);
    unsigned long long calls = calls_of(workers, threads);
    uint64_t begun_us = clock_monotonic_us(clock_system());
    double own = load_process_own_cpu();
    bool is_read = load_process_read(pid, &before);
    wait_ms(seconds * 1000);
    calls = calls_of(workers, threads) - calls;
    double took = (double)(clock_monotonic_us(clock_system()) - begun_us) / 1e6;
    own = load_process_own_cpu() - own;
    is_read = is_read && load_process_read(pid, &after);
    atomic_store(&run.is_over, true);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    if (!is_read || calls == 0 || atomic_load(&run.has_failed)) {
        fputs("unary_load: a call failed\n", stderr);
        return EXIT_FAILURE;
    }
    printf("{\"calls_per_second\": %.1f, \"server_us\": %.2f, \"client_us\": %.2f}\n",
           (double)calls / took, (after.cpu_seconds - before.cpu_seconds) * 1e6 / (double)calls,
           own * 1e6 / (double)calls);
    return EXIT_SUCCESS;
}
