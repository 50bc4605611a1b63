/* Call, inside: what call*.c, interceptor.c, observe.c and server.c share. For these alone. */
#ifndef SERVICE_RPC_CALL_PRIVATE_H
#define SERVICE_RPC_CALL_PRIVATE_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "service/rpc/call.h"
#include "service/rpc/method_table.h"
#include "service/rpc/status_map.h"

enum {
    CALL_ARENA_MAX = 4 * GRPC_MESSAGE_MAX,
    QUEUE_POSTED = 32,            /* requests posted ahead on each queue */
    QUEUE_FREE_MAX = 64,          /* calls kept for their next use on each queue */
    ANSWER_LARGE_BYTES = 1 << 20, /* from here on an answer counts among those that wait */
    CALL_ID_MAX = 128,            /* of x-request-id, as logged */
};

/* What an event of the completion queue belongs to. */
struct rpc_tag {
    struct rpc_call *call;
    enum { TAG_ACCEPT, TAG_CLOSE, TAG_READ, TAG_WRITE, TAG_END, TAG_SHUTDOWN } kind;
};

/* A completion queue and its thread. All but `server` is that thread's own. */
struct rpc_queue {
    struct rpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    bool is_running;
    struct rpc_call *free;
    struct rpc_call *waiting, *waiting_end; /* call_wait.c */
    unsigned free_count, posted;
    bool is_stopped; /* the server accepts no more */
};

struct rpc_server {
    struct service *service;
    struct log *audit_log;
    struct method_table *methods;
    grpc_server *server;
    struct rpc_tag shutdown;
    int port;
    char *unix_path; /* owned; NULL: none, or not made yet */
    uint64_t request_timeout_us, close_grace_ms;
    size_t answers_bytes_max;
    atomic_size_t answers_bytes; /* of large answers under way */
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* signalled when one of the next changes towards the end */
    bool is_shut;
    bool is_draining;
    unsigned live;              /* accepted and not yet released */
    unsigned streams;           /* of those, whose handlers are told of the drain */
    pthread_mutex_t leave_lock; /* guards the next two, and the calls' own of them */
    struct rpc_call *leaving;   /* calls whose handlers want to be told */
    bool is_leaving;            /* they have been told of the drain */
    unsigned queue_count;
    struct rpc_queue queues[];
};

/* One RPC. Its owner changes hands: the queue's thread until the handler is dispatched, the handler
 * until it ends the call, then the queue's thread again. `references` counts the batches under way
 * and the handler's hold; whoever starts a batch or ends releases by it what he wrote, and the
 * queue's thread acquires it. */
struct rpc_call {
    struct rpc_tag accept, close, read, write, end;
    struct rpc_queue *queue;
    struct rpc_call *next_free;
    atomic_uint references;

    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct method_entry *entry;
    struct identity identity;
    struct slice request_id, trace_id; /* in `metadata`, or in `ids` */
    uint8_t *ids;                      /* owned; of a call that has settled, or NULL */
    struct slice device;               /* in the arena, or empty */
    size_t faults;                     /* found by the gateway */
    bool takes_details;                /* as a message before the status */
    int64_t received_us;
    uint64_t started_us;  /* monotonic */
    uint64_t deadline_us; /* monotonic */
    int close_cancelled;  /* written by the library before the close event */
    atomic_bool is_cancelled;

    struct arena arena;
    struct work_task task;
    grpc_byte_buffer *message; /* received */
    grpc_slice flat;           /* the message in one piece, when it came in several */
    bool is_flat;
    struct slice request;
    rpc_received *received;
    void *received_context;
    struct rpc_call *wait_next, *wait_before, **wait_link; /* link: NULL when it does not wait */
    bool is_late;                                          /* cut by call_wait_look */

    grpc_byte_buffer *outgoing; /* the message being sent */
    size_t answer_bytes;        /* what it has of the server's answers_bytes */
    bool is_begun;              /* initial metadata are sent */
    rpc_written *written;
    void *written_context;
    bool written_ok;

    rpc_left *left; /* NULL: nobody wants to be told */
    void *left_context;
    struct rpc_call *leave_next, **leave_link;
    bool has_left;  /* the client, as its close event said */
    bool is_stream; /* counted among the server's */

    enum rpc_code code;
    grpc_slice status_text;
    grpc_metadata head, trailer;
};

/* Posts requests until QUEUE_POSTED wait; on the queue's thread. */
void call_post(struct rpc_queue *queue);

/* The request of a unary call or a server stream has yet to come; until call_unwait, which may be
 * called more than once. On the queue's thread. */
void call_wait(struct rpc_call *call);
void call_unwait(struct rpc_call *call);

/* Cuts the calls of a queue that have waited too long; on its thread. */
void call_wait_look(struct rpc_queue *queue);

/* Tells the handlers that asked that the service drains, now and from now on. */
void call_tell_drain(struct rpc_server *server);

/* Notes that the client of a call has left, and tells its handler. */
void call_tell_left(struct rpc_call *call);

/* Handles an event of a call; on its queue's thread. The call may be gone afterwards. */
void call_event(struct rpc_tag *tag, bool ok);

/* Releases the calls that a stopped queue keeps. */
void call_free_all(struct rpc_queue *queue);

/* Starts a batch with `tag`; adds a reference unless it is the ending one. */
void call_start(struct rpc_call *call, struct rpc_tag *tag, const grpc_op *ops, size_t count);

/* Ends the call with a code, a message and a packed google.rpc.Status (either may be empty). */
void call_finish(struct rpc_call *call, enum rpc_code code, struct slice message,
                 struct slice details);

/* The same with the details as a message before the status, for a client that takes them so. False
 * when there is no room for them: the call has not ended. */
bool call_finish_large(struct rpc_call *call, enum rpc_code code, struct slice message,
                       struct slice details);

/* Passes a call that has just arrived through everything that needs no message. False: it has been
 * ended. */
bool interceptor_pass(struct rpc_call *call);

/* Counts and logs a call that has ended. */
void call_observe(struct rpc_call *call);

/* The bytes of a library slice, while it lives. */
static inline struct slice slice_of_grpc(const grpc_slice *slice) {
    return slice_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

#endif
