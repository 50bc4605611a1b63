/* Call: what the generated stubs stand on. A user sees the options, the loop and the ending of
 * calls; the rest is for generated code.
 *
 * Two ways to call. Blocking: the function returns when the call has ended. With a loop: the
 * function returns at once, and the answer is told by a callback on the thread that runs the loop,
 * which is the caller's. Messages given to a call are packed before the return. Messages that come
 * back are the caller's, each in one piece of memory: `stub_message_free` (the generated `…_free`
 * is the same) gives it back, protobuf-c's own `…__free_unpacked` must not.
 *
 * Failures of this side have codes as the server's: INVALID_ARGUMENT for metadata that may not be
 * sent, UNAUTHENTICATED without a token, RESOURCE_EXHAUSTED for a message beyond its bound or want
 * of memory, UNIMPLEMENTED when the server ends a call well but without the one message that is
 * due, INTERNAL when a message does not parse, or a server answers twice where one message is
 * due. */
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
struct stub_scope;
struct stub_call;

/* How a call is made. NULL or zeroed: as the channel does. Copied.
 *
 * Metadata are at most GRPC_METADATA_MAX bytes in all; keys that begin with "grpc-" or that HTTP/2
 * needs for itself are refused. A scope outlives its calls. */
struct stub_options {
    uint64_t timeout_ms;                  /* of all attempts together; 0: none */
    const struct stub_metadata *metadata; /* sent with the call */
    size_t metadata_count;
    bool may_retry;                    /* though the proto does not mark the method idempotent */
    bool no_retry;                     /* though it does */
    bool wait_for_ready;               /* wait for a connection instead of failing UNAVAILABLE */
    struct stub_scope *scope;          /* by which it can be cancelled too; NULL: none */
    size_t message_bytes_max;          /* received, at most the channel's; 0: the channel's */
    enum stub_compression compression; /* of what is sent, on a stream of every message */
};

/* Told once how a unary call has ended. `response` is NULL on failure and otherwise the callback's
 * to free; the status lives until the return. */
typedef void stub_answered(void *context, struct ProtobufCMessage *response,
                           const struct stub_status *status);

/* Told of a message of a stream, which is the callback's; NULL at the end. */
typedef void stub_received(void *context, struct ProtobufCMessage *message);

/* One method, as generated; static. Generated callbacks take messages of the method's own types:
 * they are given as stub_answered or stub_received, and called by what is named here, which casts
 * them back. NULL: they are what they are given as. */
struct stub_method {
    const char *path; /* "/package.Service/Method" */
    const struct ProtobufCMessageDescriptor *request, *response;
    bool client_streams, server_streams, is_idempotent;
    void (*tell_answer)(stub_answered *answered, void *context, struct ProtobufCMessage *response,
                        const struct stub_status *status);
    void (*tell_message)(stub_received *received, void *context, struct ProtobufCMessage *message);
};

/* ---- Scope: calls that are cancelled together, and the way to cancel a blocking unary call. */

/* Opens a scope without calls. RESOURCE_EXHAUSTED without memory. */
enum stub_code stub_scope_open(struct stub_scope **ret_scope);

/* Cancels, as stub_call_cancel does, the calls of the scope that are under way and every one that
 * will be made with it. From any thread. */
void stub_scope_cancel(struct stub_scope *scope);

/* Closes; returns NULL. Unary calls of the scope have ended and streams been closed before. NULL is
 * allowed. */
struct stub_scope *stub_scope_close(struct stub_scope *scope);

/* ---- Loop: where callbacks run. One thread at a time runs it; it is not tied to a channel. */

/* Opens a loop, which no thread runs yet. RESOURCE_EXHAUSTED without memory. */
enum stub_code stub_loop_open(struct stub_loop **ret_loop);

/* Waits for one event at most `timeout_ms` (UINT64_MAX: for ever; 0: not at all) and runs its
 * callback, if it has one. False: the time is over, or stub_loop_wake was called. Not from within a
 * callback. */
bool stub_loop_run_once(struct stub_loop *loop, uint64_t timeout_ms);

/* Makes the run that waits, or the next one, return. From any thread; several wakes before the
 * return count as one. */
void stub_loop_wake(struct stub_loop *loop);

/* Closes; returns NULL. Streams on it have been closed before; unary calls that are under way are
 * cancelled and their callbacks called, which start no new ones. NULL is allowed. */
struct stub_loop *stub_loop_close(struct stub_loop *loop);

/* ---- Unary */

/* Blocks; from any thread. `ret_response` may be NULL; on failure it is untouched. `ret_status` may
 * be NULL; give it zeroed or done, and end it by stub_status_done. Returns the status's code. */
enum stub_code stub_unary(struct stub_channel *channel, const struct stub_method *method,
                          const struct ProtobufCMessage *request,
                          const struct stub_options *options, struct stub_status *ret_status,
                          struct ProtobufCMessage **ret_response);

/* Starts, from any thread; `answered` is called from the loop, also for what fails at once (only
 * without memory for the call itself it is called before the return, which leaves `ret_call` NULL).
 * `ret_call`, unless NULL, is for stub_call_cancel: it stays valid after `answered` too, so that
 * any thread may cancel at any time, and is to be closed by stub_call_close, whenever that is. */
void stub_unary_start(struct stub_channel *channel, const struct stub_method *method,
                      const struct ProtobufCMessage *request, const struct stub_options *options,
                      struct stub_loop *loop, stub_answered *answered, void *context,
                      struct stub_call **ret_call);

/* ---- Streams, of every shape */

/* Opens, for blocking use when `loop` is NULL, otherwise on the thread that runs the loop or while
 * none does. `request`: the only one of a server stream, else NULL. Waits for nothing: whether the
 * server is there shows at the first receive or send. `ret_call` is to be closed. Fails for what
 * this side refuses (see above), and then leaves `ret_call`. */
enum stub_code stub_stream_open(struct stub_channel *channel, const struct stub_method *method,
                                const struct ProtobufCMessage *request,
                                const struct stub_options *options, struct stub_loop *loop,
                                struct stub_call **ret_call);

/* Blocking. One thread may send while another receives or finishes. */

/* Sends; waits until the transport takes the message (flow control). False when the stream has
 * ended: stub_call_finish tells how. */
bool stub_stream_send(struct stub_call *call, const struct ProtobufCMessage *message);

/* Says that no more will be sent, by the thread that sends. False as for stub_stream_send; a second
 * time does nothing. */
bool stub_stream_send_done(struct stub_call *call);

/* Waits for a message, which is the caller's; false at the end of the stream, for good. */
bool stub_stream_receive(struct stub_call *call, struct ProtobufCMessage **ret_message);

/* Waits for the end (reading on and dropping what comes, so by the thread that receives); the
 * status as in stub_unary. A second call tells the same. A server that waits for
 * stub_stream_send_done does not end before. */
enum stub_code stub_call_finish(struct stub_call *call, struct stub_status *ret_status);

/* Of a client stream: says that no more will be sent and waits for the one answer and the end; the
 * rest as in stub_unary. */
enum stub_code stub_stream_answer(struct stub_call *call, struct stub_status *ret_status,
                                  struct ProtobufCMessage **ret_response);

/* With a loop, on the thread that runs it or while none does. One send (or send_done) and one
 * receive may be under way at a time. Callbacks are never called before the function that starts
 * them has returned. */

/* `ok` is false when the stream has ended. */
typedef void stub_sent(void *context, bool ok);

/* The status lives until the return. */
typedef void stub_finished(void *context, const struct stub_status *status);

/* As the blocking ones; each callback is called once, unless the stream is closed before. */
void stub_stream_send_start(struct stub_call *call, const struct ProtobufCMessage *message,
                            stub_sent *sent, void *context);
void stub_stream_send_done_start(struct stub_call *call, stub_sent *sent, void *context);
void stub_stream_receive_start(struct stub_call *call, stub_received *received, void *context);

/* `finished` is called once the status has come, after everything that was under way. Reads on for
 * that: a message that no receive asks for is dropped from now on (a receiver may go on asking,
 * from within its callback). Once. */
void stub_stream_finish_start(struct stub_call *call, stub_finished *finished, void *context);

/* Ends a call from any thread, at any time between its start and its close: it finishes with
 * CANCELLED, unless it had ended. */
void stub_call_cancel(struct stub_call *call);

/* Closes a call; returns NULL. NULL is allowed. What is under way is cancelled. Of a stream no
 * callback is called any more, and with a loop it is closed on the thread that runs it (from within
 * a callback, too) or while none does; the blocking form waits for what is under way. A unary
 * call's `answered` still comes. */
struct stub_call *stub_call_close(struct stub_call *call);

/* Frees a message that a call has returned. NULL is allowed. */
void stub_message_free(struct ProtobufCMessage *message);

#endif
