#include "service/rpc/server.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "service/rpc/call_private.h"
#include "service/rpc/listen.h"

enum {
    CONNECTION_STREAMS_MAX = 1000, /* concurrent */
    METADATA_MAX = 16 << 10,     /* of a request; the gateway holds its own clients to half of it */
    FRAME_MAX = 256 << 10,       /* fewer slices per message */
    STREAM_WINDOW = 4 << 20,     /* what a peer may send of a message before it is read */
    HANG_UP_MS = 2000,           /* at a drain, for clients that have heard all */
    PING_INTERVAL_MIN_MS = 5000, /* a peer may ask no more often whether we live */
    ALGORITHMS_IDENTITY = 1,     /* no compressed messages: the gateway compresses for clients */
    ANSWERS_BYTES_MAX = 512 << 20, /* large answers that clients have yet to take */
    REQUEST_TIMEOUT_MS = 60000,
    REQUEST_LOOK_MS = 200, /* how exactly it is kept */
    ADDRESS_TEXT_MAX = 512,
};

/* The library's own complaints repeat what the status of its calls says. */
static void library_log(gpr_log_func_args *arguments) {
    (void)arguments;
}

static grpc_server *library_server(size_t messages_bytes_max) {
    grpc_resource_quota *quota = grpc_resource_quota_create("calls");
    grpc_resource_quota_resize(quota, messages_bytes_max);
    grpc_arg args[] = {
        {GRPC_ARG_POINTER,
         GRPC_ARG_RESOURCE_QUOTA,
         {.pointer = {quota, grpc_resource_quota_arg_vtable()}}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = GRPC_MESSAGE_MAX}},
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_CONCURRENT_STREAMS, {.integer = CONNECTION_STREAMS_MAX}},
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_METADATA_SIZE, {.integer = METADATA_MAX}},
        {GRPC_ARG_INTEGER, GRPC_ARG_HTTP2_MAX_FRAME_SIZE, {.integer = FRAME_MAX}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ENABLE_CHANNELZ, {.integer = 0}},
        /* a window of its own choosing costs a PING, 17 bytes, with each answer */
        {GRPC_ARG_INTEGER, GRPC_ARG_HTTP2_BDP_PROBE, {.integer = 0}},
        {GRPC_ARG_INTEGER, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, {.integer = STREAM_WINDOW}},
        {GRPC_ARG_INTEGER,
         GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
         {.integer = ALGORITHMS_IDENTITY}},
        /* nor the filters for them, which every call pays for with its memory */
        {GRPC_ARG_INTEGER, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, {.integer = 0}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, {.integer = 0}},
        {GRPC_ARG_INTEGER,
         GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         {.integer = PING_INTERVAL_MIN_MS}},
    };
    grpc_server *server =
        grpc_server_create(&(grpc_channel_args){sizeof args / sizeof args[0], args}, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

/* Binds one address in the library's form. */
static int library_bind(struct rpc_server *server, const char *target) {
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->server, target, credentials);
    grpc_server_credentials_release(credentials);
    return port;
}

static enum sync_status server_bind_unix(struct rpc_server *server, const char *path,
                                         struct sync_error *error) {
    char target[ADDRESS_TEXT_MAX];
    enum sync_status status = listen_unix_prepare(path, error);
    if (status != SYNC_OK)
        return status;
    snprintf(target, sizeof target, "unix:%s", path);
    if (!library_bind(server, target))
        return sync_error_set(error, SYNC_ERR_IO, "SOCKET_BIND", NULL, "cannot bind the socket %s",
                              path);
    server->unix_path = memory_copy_text(path, strlen(path));
    return server->unix_path ? SYNC_OK
                             : sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                                              "no memory for the socket's path");
}

static enum sync_status server_bind_address(struct rpc_server *server,
                                            const struct rpc_server_options *options,
                                            struct sync_error *error) {
    struct slice address = slice_text(options->address);
    if (!listen_address_is_valid(address) || address.size >= ADDRESS_TEXT_MAX)
        return sync_error_set(error, SYNC_ERR_INVALID, "ADDRESS", NULL,
                              "\"%s\" is no address of the form HOST:PORT", options->address);
    if (!options->allow_remote && !listen_address_is_loopback(address))
        return sync_error_set(error, SYNC_ERR_DENIED, "ADDRESS_REMOTE", NULL,
                              "%s is not a loopback address; other machines should come through "
                              "the gateway (--allow-remote lifts this)",
                              options->address);
    server->port = library_bind(server, options->address);
    if (!server->port)
        return sync_error_set(error, SYNC_ERR_IO, "ADDRESS_BUSY", NULL,
                              "cannot listen on %s: the port is in use or not ours",
                              options->address);
    return SYNC_OK;
}

static void server_shut(struct rpc_server *server) {
    pthread_mutex_lock(&server->lock);
    server->is_shut = true;
    pthread_cond_signal(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

/* Until when a queue's thread may sleep: there may be calls that wait too long. */
static gpr_timespec queue_until(const struct rpc_queue *queue) {
    return queue->waiting ? gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                         gpr_time_from_millis(REQUEST_LOOK_MS, GPR_TIMESPAN))
                          : gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

static void *queue_run(void *context) {
    struct rpc_queue *queue = context;
    for (;;) {
        call_post(queue);
        grpc_event event = grpc_completion_queue_next(queue->queue, queue_until(queue), NULL);
        if (queue->waiting)
            call_wait_look(queue);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            break;
        if (event.type == GRPC_QUEUE_TIMEOUT)
            continue;
        struct rpc_tag *tag = event.tag;
        if (tag->kind == TAG_SHUTDOWN)
            server_shut(queue->server);
        else
            call_event(tag, event.success);
    }
    queue->is_stopped = true;
    call_free_all(queue);
    return NULL;
}

static bool server_start(struct rpc_server *server) {
    grpc_server_start(server->server);
    for (unsigned i = 0; i < server->queue_count; i++) {
        struct rpc_queue *queue = &server->queues[i];
        if (pthread_create(&queue->thread, NULL, queue_run, queue) != 0)
            return false;
        char name[16];
        snprintf(name, sizeof name, "rpc-%u", i % 1000);
        pthread_setname_np(queue->thread, name);
        queue->is_running = true;
    }
    return true;
}

/* Makes the parts that need no address. */
static bool server_prepare(struct rpc_server *server, const struct rpc_server_options *options) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->quiet, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->leave_lock, NULL);
    server->service = options->service;
    server->audit_log = options->audit_log;
    server->queue_count = options->threads;
    server->shutdown.kind = TAG_SHUTDOWN;
    gpr_set_log_function(library_log);
    grpc_init();
    server->server = library_server(options->messages_bytes_max ? options->messages_bytes_max
                                                                : MESSAGES_BYTES_MAX);
    for (unsigned i = 0; i < server->queue_count; i++) {
        server->queues[i].server = server;
        server->queues[i].queue = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(server->server, server->queues[i].queue, NULL);
    }
    server->request_timeout_us =
        1000 * (options->request_timeout_ms ? options->request_timeout_ms : REQUEST_TIMEOUT_MS);
    server->close_grace_ms =
        options->close_grace_ms ? options->close_grace_ms : STREAM_END_PATIENCE_MS;
    server->answers_bytes_max =
        options->answers_bytes_max ? options->answers_bytes_max : ANSWERS_BYTES_MAX;
    server->methods =
        method_table_open(options->methods, options->method_count, options->service->metrics);
    return server->methods;
}

enum sync_status rpc_server_open(const struct rpc_server_options *options, struct sync_error *error,
                                 struct rpc_server **ret_server) {
    assert(options->threads > 0);
    assert(options->unix_path || options->address);
    struct rpc_server *server =
        memory_zalloc(1, sizeof *server + options->threads * sizeof(struct rpc_queue));
    if (!server)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                              "no memory for the server");
    enum sync_status status = SYNC_OK;
    if (!server_prepare(server, options))
        status = sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                                "no memory for the server");
    if (status == SYNC_OK && options->unix_path)
        status = server_bind_unix(server, options->unix_path, error);
    if (status == SYNC_OK && options->address)
        status = server_bind_address(server, options, error);
    if (status == SYNC_OK && !server_start(server))
        status = sync_error_set(error, SYNC_ERR_UNAVAILABLE, "THREADS", NULL,
                                "cannot start the server's threads");
    if (status != SYNC_OK) {
        if (server->queues[0].is_running)
            (void)rpc_server_drain(server, 0); /* no call has come */
        rpc_server_close(server);
        return status;
    }
    *ret_server = server;
    return SYNC_OK;
}

int rpc_server_port(const struct rpc_server *server) {
    return server->port;
}

/* What a drain waits for, one after the other. */
enum drain_goal { DRAIN_STREAMS, DRAIN_CALLS, DRAIN_CONNECTIONS };

static bool drain_is_at(const struct rpc_server *server, enum drain_goal goal) {
    if (goal == DRAIN_STREAMS)
        return server->streams == 0;
    return server->live == 0 && (goal == DRAIN_CALLS || server->is_shut);
}

/* Waits, at most `wait_ms`; tells whether it came to that. */
static bool server_wait(struct rpc_server *server, uint64_t wait_ms, enum drain_goal goal) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&server->lock);
    server->is_draining = true;
    int result = 0;
    while (result != ETIMEDOUT && !drain_is_at(server, goal))
        result = pthread_cond_timedwait(&server->quiet, &server->lock, &until);
    bool is_there = drain_is_at(server, goal);
    pthread_mutex_unlock(&server->lock);
    return is_there;
}

bool rpc_server_drain(struct rpc_server *server, uint64_t grace_ms) {
    uint64_t close_ms = server->close_grace_ms;
    uint64_t hang_up_ms = close_ms < HANG_UP_MS ? close_ms : HANG_UP_MS;
    call_tell_drain(server);
    /* Once it shuts down, the library closes a connection with its last call, and a client that is
     * still at what came before does not hear how that ended. So streams end before. */
    (void)server_wait(server, grace_ms < close_ms ? grace_ms : close_ms, DRAIN_STREAMS);
    grpc_server_shutdown_and_notify(server->server, server->queues[0].queue, &server->shutdown);
    if (server_wait(server, grace_ms, DRAIN_CALLS) &&
        server_wait(server, hang_up_ms, DRAIN_CONNECTIONS))
        return true;
    grpc_server_cancel_all_calls(server->server);
    return server_wait(server, grace_ms > close_ms ? grace_ms : close_ms, DRAIN_CONNECTIONS);
}

/* Ends a queue: its thread when it has one, otherwise by draining it here. */
static void queue_close(struct rpc_queue *queue) {
    grpc_completion_queue_shutdown(queue->queue);
    if (queue->is_running)
        pthread_join(queue->thread, NULL);
    else
        queue->is_stopped = true, queue_run(queue);
    grpc_completion_queue_destroy(queue->queue);
}

struct rpc_server *rpc_server_close(struct rpc_server *server) {
    if (!server)
        return NULL;
    bool is_running = server->queue_count > 0 && server->queues[0].is_running;
    if (is_running)
        assert(server->is_shut && server->live == 0);
    else
        grpc_server_shutdown_and_notify(server->server, server->queues[0].queue, &server->shutdown);
    for (unsigned i = 0; i < server->queue_count; i++)
        queue_close(&server->queues[i]);
    grpc_server_destroy(server->server);
    method_table_close(server->methods);
    if (server->unix_path)
        unlink(server->unix_path);
    memory_free(server->unix_path);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->leave_lock);
    pthread_mutex_destroy(&server->lock);
    memory_free(server);
    grpc_shutdown();
    return NULL;
}
