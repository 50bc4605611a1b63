/* Unary echo: a bare server on the C core that sends back what it gets, whatever the method: what
 * the service's own frame is measured against. As the service, it has one completion queue and one
 * thread each. Runs until SIGTERM, or for an hour. */
#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

enum { THREADS_MAX = 16, POSTED = 32, LIFE_SECONDS = 3600 };

/* One call: requested, then read, then answered. */
struct echo {
    enum { ECHO_REQUESTED, ECHO_READ, ECHO_ANSWERED } state;
    struct echo_queue *queue;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *message;
    int is_cancelled;
};

struct echo_queue {
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
};

static void echo_request(struct echo_queue *queue) {
    struct echo *echo = memory_zalloc(1, sizeof *echo);
    assert(echo);
    echo->queue = queue;
    grpc_call_details_init(&echo->details);
    grpc_metadata_array_init(&echo->metadata);
    if (grpc_server_request_call(queue->server, &echo->call, &echo->details, &echo->metadata,
                                 queue->queue, queue->queue, echo) != GRPC_CALL_OK)
        memory_free(echo);
}

static void echo_free(struct echo *echo) {
    grpc_byte_buffer_destroy(echo->message);
    grpc_metadata_array_destroy(&echo->metadata);
    grpc_call_details_destroy(&echo->details);
    if (echo->call)
        grpc_call_unref(echo->call);
    memory_free(echo);
}

static void echo_read(struct echo *echo) {
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &echo->message;
    echo->state = ECHO_READ;
    grpc_call_start_batch(echo->call, &op, 1, echo, NULL);
}

static void echo_answer(struct echo *echo) {
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.send_message.send_message = echo->message;
    ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
    ops[3].data.recv_close_on_server.cancelled = &echo->is_cancelled;
    echo->state = ECHO_ANSWERED;
    grpc_call_start_batch(echo->call, ops, 4, echo, NULL);
}

static void echo_step(struct echo *echo, bool ok) {
    if (echo->state == ECHO_REQUESTED && ok) {
        echo_request(echo->queue);
        echo_read(echo);
    } else if (echo->state == ECHO_READ && ok && echo->message) {
        echo_answer(echo);
    } else {
        echo_free(echo);
    }
}

static void *queue_run(void *context) {
    struct echo_queue *queue = context;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(queue->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        echo_step(event.tag, event.success);
    }
}

int main(int argc, char **argv) {
    unsigned long threads = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX) {
        fputs("usage: unary_echo unix:PATH|HOST:PORT THREADS\n", stderr);
        return 2;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    alarm(LIFE_SECONDS);
    grpc_init();
    grpc_server *server = grpc_server_create(NULL, NULL);
    struct echo_queue queues[THREADS_MAX];
    for (unsigned long i = 0; i < threads; i++) {
        queues[i].server = server;
        queues[i].queue = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(server, queues[i].queue, NULL);
    }
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    if (grpc_server_add_http2_port(server, argv[1], credentials) == 0) {
        fputs("unary_echo: cannot listen\n", stderr);
        return EXIT_FAILURE;
    }
    grpc_server_credentials_release(credentials);
    grpc_server_start(server);
    for (unsigned long i = 0; i < threads; i++) {
        for (unsigned n = 0; n < POSTED; n++)
            echo_request(&queues[i]);
        pthread_create(&queues[i].thread, NULL, queue_run, &queues[i]);
    }
    puts("ready");
    fflush(stdout);
    int signal;
    sigwait(&ends, &signal);
    _exit(EXIT_SUCCESS); /* nothing to keep; calls under way belong to clients that have gone */
}
