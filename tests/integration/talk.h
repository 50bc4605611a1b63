/* Talk: one gRPC call of any shape, spoken in JSON lines on standard input and output. For tests
 * and for trying things by hand; needs no proto file and nothing installed. */
#ifndef TESTS_INTEGRATION_TALK_H
#define TESTS_INTEGRATION_TALK_H

#include <grpc/grpc.h>
#include <pthread.h>

#include "gateway/transcode.h"

enum { TALK_HEADERS_MAX = 32, TALK_LINE_MAX = 128 << 20 };

/* What the command line says. Texts are those of argv. */
struct talk_command {
    const char *target, *method, *token;
    struct talk_header {
        const char *key, *value;
    } headers[TALK_HEADERS_MAX];
    size_t header_count;
    int timeout_s;  /* of the whole call */
    bool slow_read; /* take a message only when told to */
};

/* A running call. The main thread takes what the call tells; the speaker's thread reads lines and
 * sends. */
struct talk {
    const struct talk_command *command;
    struct schema *schema;
    const struct schema_method *method;
    grpc_completion_queue *queue;
    grpc_call *call;
    int sent_fd;   /* eventfd: the last send is done */
    int ended_fd;  /* eventfd: the call has ended */
    int signal_fd; /* SIGTERM and SIGINT */
    pthread_mutex_t lock;
    uint64_t may_read; /* messages that may still be taken; by the lock, with the next two */
    bool is_reading;   /* a receive is under way */
    bool has_ended;    /* no message comes any more */
    unsigned underway; /* batches; by the lock */
    grpc_byte_buffer *received; /* where the receive under way puts the message */
};

/* Events of the call, by tag. */
enum talk_tag { TALK_HEADERS = 1, TALK_MESSAGE, TALK_STATUS, TALK_SENT };

/* Reads lines and sends each at once, until the call has ended; a thread's body. A line that begins
 * with '!' is a command: `!raw HEX` sends these bytes as a message, `!read N` takes N messages
 * (with slow_read), `!cancel` cancels. A fault of a line is told on standard error and cancels. */
void *talk_speak(void *talk);

/* Runs the call with a thread that speaks: takes answers and prints them until the call has ended;
 * returns the status code. */
int talk_listen(struct talk *talk);

/* Starts a batch of one operation; its event comes to the listener. From any thread. */
void talk_start(struct talk *talk, const grpc_op *op, enum talk_tag tag);

/* Lets the listener take so many messages more. From any thread. */
void talk_allow(struct talk *talk, uint64_t messages);

#endif
