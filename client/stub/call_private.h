/* Call, inside: what the files of client/stub share. For these alone.
 *
 * A call goes through attempts, each a grpc_call. Its events come back through a completion queue:
 * a blocking call owns one and waits in it for the event it needs; other calls use their loop's.
 * Calls are kept for their next use with their queue, lock and arrays, so that a call in a row of
 * calls allocates next to nothing of ours. */
#ifndef CLIENT_STUB_CALL_PRIVATE_H
#define CLIENT_STUB_CALL_PRIVATE_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/status.h"
#include "client/stub/call.h"

enum { CALLS_FREE_MAX = 256 }; /* kept for their next use, of each kind */

/* What an event of the queue tells. */
enum stub_event {
    EVENT_UNARY,   /* a unary attempt as far as its answer */
    EVENT_OPEN,    /* a stream's beginning, both ways */
    EVENT_STATUS,  /* an attempt's end */
    EVENT_RECEIVE, /* a message, or that none comes any more */
    EVENT_SEND,    /* a message is out, or the end of them */
    EVENT_POSTED,  /* ours: look at the call */
    EVENT_COUNT,
};

/* What is given to the queue. Without a call: the loop's wake. */
struct stub_tag {
    struct stub_call *call;
    enum stub_event event;
};

struct stub_channel {
    grpc_channel *library;
    struct stub_retry retry;
    stub_token *token;
    void *token_context;
    enum stub_compression compression;
    size_t message_bytes_max;
    atomic_uint references; /* its owner's and its calls' */
    pthread_mutex_t lock;   /* guards what follows */
    struct stub_call *free_blocking, *free_looping;
    unsigned free_blocking_count, free_looping_count;
};

struct stub_loop {
    grpc_completion_queue *queue;
    grpc_channel *nowhere; /* of `poster` */
    grpc_call *poster;     /* whose empty batches are events of ours */
    struct stub_tag wake;
    atomic_uint announced; /* orders what starters of events wrote before what the loop reads */
    atomic_bool is_wake_due;
    bool is_running, is_closing;
    struct stub_call *waiting; /* for their next attempt, the soonest first */
    pthread_mutex_t lock;      /* guards `calls` and their links */
    pthread_mutex_t post_lock; /* guards `poster` */
    struct stub_call *calls;   /* not ended yet */
};

struct stub_scope {
    pthread_mutex_t lock; /* goes before a call's lock; guards what follows, and the calls' links */
    bool is_cancelled;
    struct stub_call *calls;
};

/* How far a call is. */
enum stub_phase {
    PHASE_TRYING,  /* an attempt is under way; next: WAITING, ENDED */
    PHASE_WAITING, /* for the next attempt; next: TRYING, ENDED */
    PHASE_ENDED,   /* nothing will happen any more */
};

struct stub_call {
    /* Kept from use to use. */
    struct stub_channel *channel; /* of the pool it belongs to */
    grpc_completion_queue *queue; /* its own when blocking, else NULL */
    struct stub_call *next_free;
    struct stub_tag tags[EVENT_COUNT];
    grpc_metadata *headers; /* to be sent, with room for ours */
    size_t headers_capacity;
    grpc_metadata_array initial, trailing;
    pthread_mutex_t lock; /* guards `call` against cancel, and what is said to be under it */
    pthread_cond_t cancelled;

    /* Of this use; zeroed before the next. */
    const struct stub_method *method;
    struct stub_loop *loop; /* NULL: blocking */
    struct stub_call *next_in_loop, *previous_in_loop, *next_waiting;
    struct stub_scope *scope; /* NULL: none, or left */
    struct stub_call *next_in_scope, *previous_in_scope;
    atomic_uint
        references;        /* events under way, the handle, and the call's own until it has ended */
    grpc_call *call;       /* of the attempt; written under the lock */
    enum stub_phase phase; /* written under the lock */
    bool is_cancelled;     /* under the lock */
    bool is_stream, is_closed, may_retry, wait_for_ready, is_listed;
    bool has_authorization; /* among the caller's metadata */
    bool due[EVENT_COUNT];  /* started and not yet back; each is one thread's at a time */
    atomic_bool is_posted;
    bool is_send_done;                   /* the sending thread's */
    size_t headers_given, headers_count; /* of every attempt, and with those of this one */
    size_t message_bytes_max;
    unsigned attempts, messages_received;
    uint64_t deadline_us; /* monotonic; UINT64_MAX: none */
    uint64_t retry_us;    /* monotonic; when to try again */
    grpc_slice request;   /* packed; kept as long as the call may be retried */
    bool has_request;
    grpc_byte_buffer *outgoing, *sending, *incoming;
    grpc_byte_buffer *surplus; /* of a unary call: a second answer */

    /* How it ended: the server's word, unless this side has one of its own. */
    grpc_status_code code;
    grpc_slice text;
    bool has_text;
    bool has_fault; /* under the lock, with the next two */
    enum stub_code fault;
    char fault_text[SYNC_ERROR_MESSAGE_MAX];

    /* With a loop. */
    bool is_status_known, is_receive_ended, is_finishing;
    stub_answered *answered;
    stub_sent *sent;
    stub_received *received;
    stub_finished *finished;
    void *answered_context, *sent_context, *received_context, *finished_context;
};

/* ---- call.c */

/* Makes a call of the method, or takes a used one; with the reference of its own. NULL without
 * memory. */
struct stub_call *call_take(struct stub_channel *channel, struct stub_loop *loop,
                            const struct stub_method *method);

/* Gives a reference back; the last one gives the call back to its channel. */
void call_drop(struct stub_call *call);

/* Takes over what the caller gave. False: a fault is set. */
bool call_prepare(struct stub_call *call, const struct ProtobufCMessage *request,
                  const struct stub_options *options);

/* Sets this side's reason for the end, unless there is one. Any thread. */
void call_fault(struct stub_call *call, enum stub_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells whether there is one, and whether the call was cancelled. Any thread. */
bool call_has_fault(struct stub_call *call);
bool call_is_cancelled(struct stub_call *call);

/* Makes the grpc_call of the next attempt, cancelled when the call is. False: a fault is set. */
bool call_try(struct stub_call *call);

/* Writes the operations that begin an attempt: metadata, the request if there is one, and the
 * server's metadata. `operations` has room for four; returns their number. */
size_t call_opening(struct stub_call *call, grpc_op *operations);

/* The operation that tells the attempt's end. */
grpc_op call_status_operation(struct stub_call *call);

/* Starts a batch whose end is `event`. */
void call_batch(struct stub_call *call, enum stub_event event, const grpc_op *operations,
                size_t count);

/* Waits for an event of a blocking call that is due; tells whether it went well. */
bool call_await(struct stub_call *call, enum stub_event event);

/* As call_await, until a monotonic time; tells whether the event has come, however it went. */
bool call_await_until(struct stub_call *call, enum stub_event event, uint64_t until_us);

/* Releases the attempt and what it received; nothing of it is under way. */
void call_try_end(struct stub_call *call);

/* Has the loop look at the call. Any thread. */
void call_notice(struct stub_call *call);

/* Changes the phase. */
void call_enter(struct stub_call *call, enum stub_phase phase);

/* Takes the received message out of the call: unpacked, or NULL with a fault set. */
struct ProtobufCMessage *call_unpack(struct stub_call *call);

/* A monotonic time for the library; UINT64_MAX: never. */
gpr_timespec time_of_us(uint64_t time_us);

/* Releases a call that is kept no longer. */
void call_free(struct stub_call *call);

/* ---- scope.c */

/* The call can be cancelled by the scope, until it leaves. NULL is allowed. */
void scope_join(struct stub_scope *scope, struct stub_call *call);

/* Leaves its scope, if it has one. */
void scope_leave(struct stub_call *call);

/* ---- channel.c */

/* Gives a reference to the channel back; the last one frees it. */
void channel_drop(struct stub_channel *channel);

/* ---- loop.c */

/* Goes before the start of any event of the call: the call is the loop's thread's from then on. */
static inline void loop_announce(struct stub_loop *loop, struct stub_call *call) {
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->announced, 1, memory_order_release);
}

/* Makes `event` of the call come out of the loop. Any thread. */
void loop_post(struct stub_loop *loop, struct stub_tag *tag);

/* The call has begun, or ended. Any thread. */
void loop_add(struct stub_loop *loop, struct stub_call *call);
void loop_remove(struct stub_loop *loop, struct stub_call *call);

/* Waits for the call's `retry_us`, or no more. By the thread that runs the loop. */
void loop_wait_add(struct stub_loop *loop, struct stub_call *call);
void loop_wait_remove(struct stub_loop *loop, struct stub_call *call);

/* ---- unary.c, stream.c: an event of the call's has come, or it is time for its next attempt */
void unary_event(struct stub_call *call, enum stub_event event);
void unary_retry(struct stub_call *call);
void stream_event(struct stub_call *call, enum stub_event event, bool ok);
void stream_retry(struct stub_call *call);

/* Begins the stream's next attempt. False: a fault is set. */
bool stream_try(struct stub_call *call);

/* Starts waiting for a message. */
void stream_receive(struct stub_call *call);

/* Counts the message that has come. False when it is one too many: a fault is set, and the call
 * cancelled. */
bool stream_count(struct stub_call *call);

/* Sets a fault if the one answer to a client stream is missing at its end. */
void stream_check_end(struct stub_call *call);

/* ---- stream_wait.c */

/* Cancels a blocking stream and waits for what is under way. */
void stream_abandon(struct stub_call *call);

/* ---- status.c */

/* The code of the call as it stands. */
enum stub_code status_code_of_call(struct stub_call *call);

/* Tells how the call ended; the server's status and metadata are still there. */
void status_of_call(struct stub_call *call, struct stub_status *ret_status);

/* A code with a static text, where there is no call. `status` may be NULL. */
enum stub_code status_plain(struct stub_status *status, enum stub_code code, const char *message);

/* ---- retry.c */

/* Tells whether the attempt that has ended is to be repeated, and sets when; the server's status
 * and metadata are still there. */
bool retry_is_due(struct stub_call *call);

/* Blocks until it is time. False when the call was cancelled meanwhile: a fault is set. */
bool retry_wait(struct stub_call *call);

#endif
