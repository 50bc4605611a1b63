/* Call: one RPC as its handler sees it. No grpc type shows here.
 *
 * A handler runs on a worker thread after the interceptors (method look-up, deadline, token, role,
 * rate) have passed the call; whose device it is about, it checks itself (device_binding.h). It
 * ends the call exactly once, at once or later from any thread (a commit's callback):
 * rpc_call_reply, rpc_call_fail or, for a stream, rpc_stream_end. Until then the call, its request
 * bytes and its arena are the handler's; afterwards it touches none of them. */
#ifndef SERVICE_RPC_CALL_H
#define SERVICE_RPC_CALL_H

#include "base/arena.h"
#include "base/status.h"
#include "service/auth/token.h"
#include "service/limit/limiter.h"
#include "service/rpc/service.h"

struct rpc_call;
struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/* Which side of a method streams. */
enum rpc_shape { RPC_UNARY, RPC_SERVER_STREAM, RPC_CLIENT_STREAM, RPC_BIDIRECTIONAL };

/* What the interceptors check for a method. */
struct rpc_policy {
    bool is_public;        /* no token: health and reflection */
    bool service_only;     /* role "service" */
    enum limit_kind limit; /* taken once per call with cost 1 */
    bool is_audited;       /* writes an audit line */
    bool is_long_lived;    /* a stream that ends when a side wants: no deadline but the client's;
                              `written` does not block */
    bool is_inline;        /* the handler never blocks and runs on the queue's own thread */
};

/* Handles a call on a worker; it may block on the store. Ends by finishing the call. */
typedef void rpc_handler(struct rpc_call *call);

/* What a generated skeleton (tools/protoc-gen-grpc-c) is given for a method. A NULL handler answers
 * UNIMPLEMENTED. */
struct rpc_binding {
    rpc_handler *handle;
    const struct rpc_policy *policy;
};

/* One method, as a skeleton writes it. */
struct rpc_method {
    const char *path; /* "/travelsense.sync.v1.SyncService/GetBundle" */
    enum rpc_shape shape;
    rpc_handler *handle;
    const struct rpc_policy *policy;
};

/* The call's surroundings. */
struct service *rpc_call_service(struct rpc_call *call);
struct arena *rpc_call_arena(struct rpc_call *call);
/* Gives back what a call that lives long does not need: what it came with, and what its arena
 * holds. By its handler, before it takes anything of the arena. */
void rpc_call_settle(struct rpc_call *call);
const struct identity *rpc_call_identity(const struct rpc_call *call);
/* When the call arrived, by the service's clock. */
int64_t rpc_call_received_us(const struct rpc_call *call);
/* Whether the client has gone away or the deadline has passed. */
bool rpc_call_is_cancelled(const struct rpc_call *call);
/* The request message's bytes; unary and server-stream calls. Live as long as the call. */
struct slice rpc_call_request(const struct rpc_call *call);
/* How many faults the gateway found while reading JSON: it left those fields out of the request and
 * will name them itself beside what the call fails with. Such a call must not succeed. */
size_t rpc_call_faults(const struct rpc_call *call);

/* Names the device that a call is about, for its audit line; without it the token's counts. */
void rpc_call_set_device(struct rpc_call *call, struct slice device);

/* Checks (base/wire.h wire_check) and unpacks the request into the arena; on failure the call has
 * ended and NULL is returned. */
struct ProtobufCMessage *rpc_call_unpack(struct rpc_call *call,
                                         const struct ProtobufCMessageDescriptor *descriptor);

/* Ends a unary call with a message. */
void rpc_call_reply(struct rpc_call *call, const struct ProtobufCMessage *message);

/* One violation of a field, for rpc_call_fail_fields. */
struct rpc_violation {
    struct slice field, description;
    const char *reason;
};

/* Ends a call with an error: status by sync_status_to_grpc, message, ErrorInfo (reason, domain),
 * and BadRequest when `error->field` is set. Errors of our own (IO, CORRUPT, INTERNAL, NO_MEMORY…)
 * are logged and told without detail. */
void rpc_call_fail(struct rpc_call *call, const struct sync_error *error);

/* The same with RetryInfo that says when to come back. */
void rpc_call_fail_later(struct rpc_call *call, const struct sync_error *error,
                         uint64_t retry_after_ms);

/* rpc_call_fail from parts. */
void rpc_call_fail_with(struct rpc_call *call, enum sync_status status, const char *reason,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Ends a call with INVALID_ARGUMENT that names the violations: all of them where the client takes
 * details as a message (error_details.h), otherwise as many as fit the trailers. `omitted`: how
 * many more there are. Without any, there are those of rpc_call_faults. */
void rpc_call_fail_fields(struct rpc_call *call, const struct rpc_violation *violations,
                          size_t count, size_t omitted);

/* Ends a call with RESOURCE_EXHAUSTED: RetryInfo, QuotaFailure and the RateLimit headers. `subject`
 * names the limit. */
void rpc_call_fail_limit(struct rpc_call *call, const char *subject,
                         const struct limit_decision *decision);

/* Called when a stream's message has been taken over by the transport, or has failed (the client
 * left): on the pool (as a posted task), of long-lived calls on a queue's thread. */
typedef void rpc_written(struct rpc_call *call, void *context, bool ok);

/* Sends one message of a server stream; one at a time: the next after `written`. The bytes are
 * copied before the return. */
void rpc_stream_write(struct rpc_call *call, struct slice message, rpc_written *written,
                      void *context);

/* The same of a message, packed before the return; at most GRPC_MESSAGE_MAX bytes. */
void rpc_stream_write_message(struct rpc_call *call, const struct ProtobufCMessage *message,
                              rpc_written *written, void *context);

/* Tells the client that the stream stands, before there is a message to write; `written` as for
 * one. At most once, and before the first rpc_stream_write, which does it otherwise. */
void rpc_stream_begin(struct rpc_call *call, rpc_written *written, void *context);

/* Cuts the call's way to the client: a write that he does not take, or a read, then fails. The
 * handler still ends the call. Any thread. */
void rpc_call_cut(struct rpc_call *call);

/* The same, and a client that still listens hears why: status and message, without details. */
void rpc_call_cut_with(struct rpc_call *call, const struct sync_error *error);

/* Called when a message of the client's stream has come: its bytes are rpc_call_request, until the
 * next read. Not ok: the client has sent all it will, or has left; the library may tell of the
 * leaving only later, so that whoever must know that all has come has the client say so in a
 * message. On a queue's thread: it does not block. Every read is answered once: one that is under
 * way when the handler ends the call is answered afterwards, not ok, and the call is then good for
 * nothing. */
typedef void rpc_received(struct rpc_call *call, void *context, bool ok);

/* Asks for the next message of a client's stream; one at a time. */
void rpc_stream_read(struct rpc_call *call, rpc_received *received, void *context);

/* Lets go of the message that came last, before the next is asked for: a stream that waits holds
 * none. Not while a read is under way. */
void rpc_stream_drop(struct rpc_call *call);

/* Why a stream's handler is woken though nothing it asked for has come. */
enum rpc_leave {
    RPC_LEAVE_CLIENT, /* the client has left, or its deadline has passed */
    RPC_LEAVE_DRAIN,  /* the service stops: end soon, with UNAVAILABLE */
};

/* Told once of each cause. It does not block, does not end the call and takes no lock that is held
 * where rpc_call_unwatch_leave is called: it posts a task. */
typedef void rpc_left(struct rpc_call *call, void *context, enum rpc_leave cause);

/* Asks to be told when the client has left or the service drains, on any thread; of what has
 * happened already, before the return. For calls that wait for something else than their client;
 * whoever asks calls rpc_call_unwatch_leave before he ends the call. */
void rpc_call_watch_leave(struct rpc_call *call, rpc_left *left, void *context);

/* After the return `left` is not running and will not be called. Not from within it. */
void rpc_call_unwatch_leave(struct rpc_call *call);

/* Ends a server stream well. To end it with an error: rpc_call_fail. */
void rpc_stream_end(struct rpc_call *call);

#endif
