/* Call: what the generated stubs stand on. A user sees the options, the loop and the ending of
 * calls; the rest is for generated code.
 *
 * Two ways to call. Blocking: the function returns when the call has ended. With a loop: the
 * function returns at once, and the answer is told by a callback on the thread that runs the loop,
 * which is the caller's. Messages given to a call are packed before the return. Messages that come
 * back are the caller's: `stub_message_free` (the generated `…_free` is the same). */
#ifndef CLIENT_STUB_CALL_H
#define CLIENT_STUB_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/stub/channel.h"
#include "client/stub/status.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct stub_loop;
struct stub_call;

/* How a call is made. NULL or zeroed: as the channel does. */
struct stub_options {
    uint64_t timeout_ms;                  /* 0: none */
    const struct stub_metadata *metadata; /* sent with the call; copied */
    size_t metadata_count;
    bool may_retry;           /* though the proto does not mark the method idempotent */
    bool no_retry;            /* though it does */
    bool wait_for_ready;      /* wait for a connection instead of failing UNAVAILABLE */
    size_t message_bytes_max; /* received; 0: the channel's */
};

/* One method, as generated; static. */
struct stub_method {
    const char *path; /* "/package.Service/Method" */
    const struct ProtobufCMessageDescriptor *request, *response;
    bool client_streams, server_streams, is_idempotent;
};

/* ---- Loop: where callbacks run. One thread at a time runs it; it is not tied to a channel. */

enum stub_code stub_loop_open(struct stub_loop **ret_loop);
/* Waits for one event at most `timeout_ms` (UINT64_MAX: for ever) and runs its callback. False: the
 * time is over, or stub_loop_wake was called. */
bool stub_loop_run_once(struct stub_loop *loop, uint64_t timeout_ms);
/* Makes the run that waits, or the next one, return. From any thread. */
void stub_loop_wake(struct stub_loop *loop);
/* Closes once every call on it has ended; returns NULL. NULL is allowed. */
struct stub_loop *stub_loop_close(struct stub_loop *loop);

/* ---- Unary */

/* Blocks. `ret_response` may be NULL; on failure it is untouched. `ret_status` may be NULL; give it
 * zeroed or done, and end it by stub_status_done. */
enum stub_code stub_unary(struct stub_channel *channel, const struct stub_method *method,
                          const struct ProtobufCMessage *request,
                          const struct stub_options *options, struct stub_status *ret_status,
                          struct ProtobufCMessage **ret_response);

/* Told once. `response` is NULL on failure and otherwise the callback's to free; the status lives
 * until the return. */
typedef void stub_answered(void *context, struct ProtobufCMessage *response,
                           const struct stub_status *status);

/* Starts; `answered` is called from the loop, also for what fails at once. `ret_call` (may be NULL)
 * is for stub_call_cancel and is valid until `answered` is called. */
void stub_unary_start(struct stub_channel *channel, const struct stub_method *method,
                      const struct ProtobufCMessage *request, const struct stub_options *options,
                      struct stub_loop *loop, stub_answered *answered, void *context,
                      struct stub_call **ret_call);

/* ---- Streams, of every shape */

/* Opens with a loop of its own inside (blocking use) when `loop` is NULL. `request`: the only one
 * of a server stream, else NULL. `ret_call` is to be closed. */
enum stub_code stub_stream_open(struct stub_channel *channel, const struct stub_method *method,
                                const struct ProtobufCMessage *request,
                                const struct stub_options *options, struct stub_loop *loop,
                                struct stub_call **ret_call);

/* Blocking. One thread may send while another receives. */
/* False when the stream has ended: stub_call_finish tells how. Waits until the transport takes the
 * message (flow control). */
bool stub_stream_send(struct stub_call *call, const struct ProtobufCMessage *message);
/* Says that no more will be sent. */
bool stub_stream_send_done(struct stub_call *call);
/* Waits for a message, which is the caller's; false at the end of the stream. */
bool stub_stream_receive(struct stub_call *call, struct ProtobufCMessage **ret_message);
/* Waits for the end (reading on and dropping what comes); the status as in stub_unary. A second
 * call tells the same. */
enum stub_code stub_call_finish(struct stub_call *call, struct stub_status *ret_status);

/* With a loop. One send and one receive may be under way at a time. */
typedef void stub_sent(void *context, bool ok);
typedef void stub_received(void *context, struct ProtobufCMessage *message /* NULL at the end */);
typedef void stub_finished(void *context, const struct stub_status *status);
void stub_stream_send_start(struct stub_call *call, const struct ProtobufCMessage *message,
                            stub_sent *sent, void *context);
void stub_stream_send_done_start(struct stub_call *call, stub_sent *sent, void *context);
void stub_stream_receive_start(struct stub_call *call, stub_received *received, void *context);
/* `finished` is called once the status has come, after everything that was under way. */
void stub_stream_finish_start(struct stub_call *call, stub_finished *finished, void *context);

/* Ends a call from any thread: it finishes with CANCELLED, unless it had ended. */
void stub_call_cancel(struct stub_call *call);

/* Releases a stream, cancelling what is under way; returns NULL. NULL is allowed. With a loop: not
 * while a callback of it is due, unless from within one. */
struct stub_call *stub_call_close(struct stub_call *call);

/* Frees a message that a call has returned. NULL is allowed. */
void stub_message_free(struct ProtobufCMessage *message);

#endif
