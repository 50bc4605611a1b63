#include "tests/client/stub/echo_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grpc/byte_buffer.h>
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/wire.h"

enum { CONNECTIONS_MAX = 256, SEEN_MAX = 64, TEXT_MAX = 16 << 10, ANSWER_VALUE = 2 };

struct seen {
    char key[64], value[TEXT_MAX];
};

struct echo_server {
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread, acceptor;
    int listener, port;
    bool is_tls;
    char target[32];
    atomic_bool is_closing, refuses;
    atomic_uint calls, cancelled, compressed, running;
    atomic_size_t bytes;
    pthread_mutex_t lock;
    int connections[CONNECTIONS_MAX]; /* duplicates, to cut */
    size_t connection_count;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    char found[TEXT_MAX];
};

/* A call and its thread. */
struct echo_call {
    struct echo_server *server;
    grpc_call *call;
    grpc_completion_queue *queue;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int is_cancelled; /* once `closed` is true */
    bool is_closed, has_begun, is_compressed;
    unsigned number;
};

static void must(bool holds) {
    if (!holds)
        abort();
}

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static const grpc_slice *header_find(const struct echo_call *call, const char *key) {
    for (size_t i = 0; i < call->metadata.count; i++)
        if (grpc_slice_str_cmp(call->metadata.metadata[i].key, key) == 0)
            return &call->metadata.metadata[i].value;
    return NULL;
}

static long header_number(const struct echo_call *call, const char *key, long otherwise) {
    const grpc_slice *value = header_find(call, key);
    char text[32] = "";
    if (!value)
        return otherwise;
    memcpy(text, GRPC_SLICE_START_PTR(*value),
           GRPC_SLICE_LENGTH(*value) < sizeof text ? GRPC_SLICE_LENGTH(*value) : 0);
    return strtol(text, NULL, 10);
}

/* ---- The call's operations */

/* Waits for the client's leaving at most so long; tells whether it has. */
static bool call_is_cancelled(struct echo_call *call, long ms) {
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
    if (!call->is_closed &&
        grpc_completion_queue_pluck(call->queue, &call->is_closed, until, NULL).type ==
            GRPC_OP_COMPLETE)
        call->is_closed = true;
    return call->is_closed && call->is_cancelled;
}

static bool call_do(struct echo_call *call, const grpc_op *operations, size_t count) {
    must(grpc_call_start_batch(call->call, operations, count, call, NULL) == GRPC_CALL_OK);
    return grpc_completion_queue_pluck(call->queue, call, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
        .success;
}

/* A message, to be destroyed; NULL at their end. */
static grpc_byte_buffer *call_read(struct echo_call *call) {
    grpc_byte_buffer *message = NULL;
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE};
    operation.data.recv_message.recv_message = &message;
    call_do(call, &operation, 1);
    if (!message)
        return NULL;
    if (message->data.raw.compression != GRPC_COMPRESS_NONE) {
        atomic_fetch_add(&call->server->compressed, 1);
        call->is_compressed = true; /* and so will be what comes back */
    }
    atomic_fetch_add(&call->server->bytes, grpc_byte_buffer_length(message));
    return message;
}

static void call_begin(struct echo_call *call) {
    const grpc_slice *echo = header_find(call, "x-echo-initial");
    const grpc_slice gzip = grpc_slice_from_static_string("gzip");
    const grpc_slice *coding = call->is_compressed ? &gzip : header_find(call, "x-compress");
    grpc_metadata entries[2];
    size_t count = 0;
    call_is_cancelled(call, header_number(call, "x-initial-delay-ms", 0));
    if (echo)
        entries[count++] =
            (grpc_metadata){.key = grpc_slice_from_static_string("x-echo-initial"), .value = *echo};
    if (coding)
        entries[count++] = (grpc_metadata){
            .key = grpc_slice_from_static_string(GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY),
            .value = *coding};
    grpc_op operation = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    operation.data.send_initial_metadata.count = count;
    operation.data.send_initial_metadata.metadata = entries;
    call_do(call, &operation, 1);
    call->has_begun = true;
}

static bool call_write(struct echo_call *call, grpc_byte_buffer *message) {
    if (!call->has_begun)
        call_begin(call);
    grpc_op operation = {.op = GRPC_OP_SEND_MESSAGE};
    operation.data.send_message.send_message = message;
    return call_do(call, &operation, 1);
}

static bool call_write_bytes(struct echo_call *call, struct slice bytes) {
    grpc_slice piece = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&piece, 1);
    bool ok = call_write(call, message);
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(piece);
    return ok;
}

static void call_end(struct echo_call *call) {
    static const struct {
        const char *key, *sent;
    } trailers[] = {{"x-details-bin", "grpc-status-details-bin"},
                    {"x-pushback", "grpc-retry-pushback-ms"},
                    {"x-echo-trailing-bin", "x-echo-trailing-bin"}};
    enum { TRAILERS = sizeof trailers / sizeof trailers[0] };
    grpc_metadata entries[TRAILERS];
    size_t count = 0;
    for (size_t i = 0; i < TRAILERS; i++) {
        const grpc_slice *value = header_find(call, trailers[i].key);
        if (value)
            entries[count++] = (grpc_metadata){
                .key = grpc_slice_from_static_string(trailers[i].sent), .value = *value};
    }
    const grpc_slice *text = header_find(call, "x-message");
    grpc_op operations[2] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                             {.op = GRPC_OP_SEND_INITIAL_METADATA}};
    operations[0].data.send_status_from_server.trailing_metadata_count = count;
    operations[0].data.send_status_from_server.trailing_metadata = entries;
    operations[0].data.send_status_from_server.status =
        (grpc_status_code)header_number(call, "x-code", 0);
    operations[0].data.send_status_from_server.status_details = (grpc_slice *)text;
    call_do(call, operations, call->has_begun ? 1 : 2);
}

/* ---- What it does */

/* Messages of x-size bytes, then the end. */
static void call_answer_many(struct echo_call *call, long answers) {
    long size = header_number(call, "x-size", 10), cut = header_number(call, "x-cut-after", -1);
    struct buffer message;
    buffer_init(&message, SIZE_MAX);
    size_t value = wire_begin(&message, ANSWER_VALUE);
    uint8_t *bytes = buffer_reserve(&message, (size_t)size);
    must(bytes);
    memset(bytes, 'v', (size_t)size);
    buffer_advance(&message, (size_t)size);
    wire_end(&message, value);
    for (long i = 0; i < answers; i++) {
        if (i == cut)
            echo_server_cut(call->server);
        if (!call_write_bytes(call, buffer_slice(&message)))
            break;
    }
    if (cut == answers)
        echo_server_cut(call->server);
    buffer_done(&message);
}

/* Sends each message back. */
static void call_echo(struct echo_call *call, grpc_byte_buffer *message) {
    long cut = header_number(call, "x-cut-after", -1);
    for (long i = 0; message; i++) {
        if (i == cut)
            echo_server_cut(call->server);
        bool ok = call_write(call, message);
        grpc_byte_buffer_destroy(message);
        message = ok ? call_read(call) : NULL;
    }
}

static void call_answer(struct echo_call *call) {
    grpc_byte_buffer *message = call_read(call);
    if (!message)
        return;
    long answers = header_number(call, "x-answers", -1);
    while (header_find(call, "x-read-all")) {
        grpc_byte_buffer *next = call_read(call);
        if (!next)
            break;
        grpc_byte_buffer_destroy(message);
        message = next;
    }
    if (header_find(call, "x-garbage"))
        call_write_bytes(call, SLICE("\x07garbage"));
    else if (answers >= 0)
        call_answer_many(call, answers);
    else if (!header_find(call, "x-no-answer")) {
        call_echo(call, message);
        return;
    }
    grpc_byte_buffer_destroy(message);
}

static void *call_run(void *context) {
    struct echo_call *call = context;
    struct echo_server *server = call->server;
    grpc_op operation = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    operation.data.recv_close_on_server.cancelled = &call->is_cancelled;
    must(grpc_call_start_batch(call->call, &operation, 1, &call->is_closed, NULL) == GRPC_CALL_OK);
    long delay = header_number(call, "x-delay-ms", 0);
    long fails = header_number(call, "x-fail-times", -1);
    bool is_cancelled = delay > 0 && call_is_cancelled(call, delay);
    if (!is_cancelled && (fails < 0 || call->number > fails)) {
        if (fails >= 0)
            call->metadata.count = 0; /* all is well now */
        call_answer(call);
    }
    call_is_cancelled(call, header_number(call, "x-end-delay-ms", 0));
    while (header_find(call, "x-hold") && !call_is_cancelled(call, 10000) && !call->is_closed)
        continue;
    call_end(call);
    while (!call->is_closed)
        call_is_cancelled(call, 1000);
    atomic_fetch_add(&server->cancelled, call->is_cancelled ? 1 : 0);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    grpc_call_unref(call->call);
    grpc_completion_queue_shutdown(call->queue);
    grpc_completion_queue_destroy(call->queue);
    memory_free(call);
    atomic_fetch_sub(&server->running, 1);
    return NULL;
}

/* ---- The server */

static void server_see(struct echo_server *server, const grpc_metadata_array *metadata) {
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_metadata *entry = &metadata->metadata[i];
        size_t at = 0;
        while (at < server->seen_count && grpc_slice_str_cmp(entry->key, server->seen[at].key) != 0)
            at++;
        must(at < SEEN_MAX);
        if (at == server->seen_count)
            server->seen_count++;
        snprintf(server->seen[at].key, sizeof server->seen[at].key, "%.*s",
                 (int)GRPC_SLICE_LENGTH(entry->key),
                 (const char *)GRPC_SLICE_START_PTR(entry->key));
        snprintf(server->seen[at].value, TEXT_MAX, "%.*s", (int)GRPC_SLICE_LENGTH(entry->value),
                 (const char *)GRPC_SLICE_START_PTR(entry->value));
    }
    pthread_mutex_unlock(&server->lock);
}

static struct echo_call *server_request(struct echo_server *server) {
    struct echo_call *call = memory_zalloc(1, sizeof *call);
    must(call);
    call->server = server;
    call->queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    must(grpc_server_request_call(server->server, &call->call, &call->details, &call->metadata,
                                  call->queue, server->queue, call) == GRPC_CALL_OK);
    return call;
}

static void server_start_call(struct echo_server *server, struct echo_call *call) {
    atomic_fetch_add(&server->running, 1);
    call->number = atomic_fetch_add(&server->calls, 1) + 1;
    server_see(server, &call->metadata);
    pthread_t thread;
    must(pthread_create(&thread, NULL, call_run, call) == 0);
    pthread_detach(thread);
}

static void *server_run(void *context) {
    struct echo_server *server = context;
    struct echo_call *posted = server_request(server);
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.tag == server) {
            grpc_completion_queue_shutdown(server->queue);
        } else if (event.success) {
            server_start_call(server, posted);
            posted = server_request(server);
        } else {
            grpc_metadata_array_destroy(&posted->metadata);
            grpc_call_details_destroy(&posted->details);
            grpc_completion_queue_shutdown(posted->queue);
            grpc_completion_queue_destroy(posted->queue);
            memory_free(posted);
        }
    }
}

/* Takes connections in itself, so as to be able to cut them. */
static void *server_accept(void *context) {
    struct echo_server *server = context;
    while (!atomic_load(&server->is_closing)) {
        struct pollfd wait = {.fd = server->listener, .events = POLLIN};
        if (poll(&wait, 1, 20) <= 0)
            continue;
        int connection = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0)
            continue;
        if (atomic_load(&server->refuses)) {
            close(connection);
            continue;
        }
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_mutex_lock(&server->lock);
        must(server->connection_count < CONNECTIONS_MAX);
        server->connections[server->connection_count++] = dup(connection);
        pthread_mutex_unlock(&server->lock);
        grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
        grpc_server_add_channel_from_fd(server->server, connection, insecure);
        grpc_server_credentials_release(insecure);
    }
    return NULL;
}

void echo_server_cut(struct echo_server *server) {
    pthread_mutex_lock(&server->lock);
    while (server->connection_count > 0) {
        int connection = server->connections[--server->connection_count];
        shutdown(connection, SHUT_RDWR);
        close(connection);
    }
    pthread_mutex_unlock(&server->lock);
}

static void server_listen_tls(struct echo_server *server, const struct echo_server_tls *tls) {
    grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->certificate};
    grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_ex(
        tls->roots, &pair, 1,
        tls->roots ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
    server->port = grpc_server_add_http2_port(server->server, "127.0.0.1:0", credentials);
    grpc_server_credentials_release(credentials);
    must(server->port > 0);
}

static void server_listen(struct echo_server *server) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(server->listener, (struct sockaddr *)&address, size) == 0);
    must(listen(server->listener, 128) == 0);
    must(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
}

struct echo_server *echo_server_open(const struct echo_server_tls *tls) {
    struct echo_server *server = memory_zalloc(1, sizeof *server);
    must(server);
    grpc_init();
    grpc_arg arguments[] = {
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = -1}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, {.integer = 0}}};
    server->server = grpc_server_create(&(grpc_channel_args){2, arguments}, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->server, server->queue, NULL);
    pthread_mutex_init(&server->lock, NULL);
    server->is_tls = tls;
    if (tls)
        server_listen_tls(server, tls);
    else
        server_listen(server);
    snprintf(server->target, sizeof server->target, "127.0.0.1:%d", server->port);
    grpc_server_start(server->server);
    must(pthread_create(&server->thread, NULL, server_run, server) == 0);
    must(tls || pthread_create(&server->acceptor, NULL, server_accept, server) == 0);
    return server;
}

struct echo_server *echo_server_close(struct echo_server *server) {
    if (!server)
        return NULL;
    atomic_store(&server->is_closing, true);
    if (!server->is_tls) {
        pthread_join(server->acceptor, NULL);
        close(server->listener);
    }
    grpc_server_shutdown_and_notify(server->server, server->queue, server);
    grpc_server_cancel_all_calls(server->server);
    pthread_join(server->thread, NULL);
    while (atomic_load(&server->running) > 0)
        sleep_ms(1);
    echo_server_cut(server);
    grpc_server_destroy(server->server);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown();
    pthread_mutex_destroy(&server->lock);
    memory_free(server);
    return NULL;
}

const char *echo_server_target(const struct echo_server *server) {
    return server->target;
}

unsigned echo_server_calls(struct echo_server *server) {
    return atomic_load(&server->calls);
}

unsigned echo_server_cancelled(struct echo_server *server) {
    return atomic_load(&server->cancelled);
}

unsigned echo_server_compressed(struct echo_server *server) {
    return atomic_load(&server->compressed);
}

unsigned echo_server_running(struct echo_server *server) {
    return atomic_load(&server->running);
}

size_t echo_server_bytes(struct echo_server *server) {
    return atomic_load(&server->bytes);
}

const char *echo_server_seen(struct echo_server *server, const char *key) {
    pthread_mutex_lock(&server->lock);
    server->found[0] = '\0';
    for (size_t i = 0; i < server->seen_count; i++)
        if (strcmp(server->seen[i].key, key) == 0)
            memcpy(server->found, server->seen[i].value, TEXT_MAX);
    pthread_mutex_unlock(&server->lock);
    return server->found;
}

void echo_server_refuse(struct echo_server *server, bool refuses) {
    atomic_store(&server->refuses, refuses);
}
