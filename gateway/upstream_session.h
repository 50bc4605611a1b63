/* Upstream session: one HTTP/2 connection to the service and the calls on it. One thread. */
#ifndef GATEWAY_UPSTREAM_SESSION_H
#define GATEWAY_UPSTREAM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "gateway/address.h"
#include "gateway/grpc_message.h"
#include "gateway/keepalive.h"
#include "gateway/loop.h"
#include "gateway/transcode.h"

enum {
    UPSTREAM_FIELDS_MAX = 64, /* of one block of an answer */
    UPSTREAM_FIELDS_BYTES_MAX = 16 << 10,
};

struct upstream_session;
struct upstream_call;

/* How a call ended. Texts live in the call's arena. */
struct upstream_result {
    int code; /* gRPC status code */
    struct slice message;
    struct slice details; /* google.rpc.Status in wire form, or empty; of any size */
    bool refused;         /* the service has surely not seen the call */
    bool unprocessed;     /* nor is any of its request gone: it may be started again as it is */
    const struct upstream_fields *trailers; /* of a raw call, as they came, until `done` returns;
                                               NULL: the code and message above stand alone */
};

/* A block of header fields. Names are in lower case, pseudo-headers are not among them. */
struct upstream_fields {
    struct transcode_header list[UPSTREAM_FIELDS_MAX];
    size_t count, used;
    bool overflow; /* there were more, or larger ones */
    uint8_t text[UPSTREAM_FIELDS_BYTES_MAX];
};

/* What a call tells its owner. None is called after upstream_call_cancel, or within
 * upstream_call_start. An event may cancel the call, but not free its memory. */
struct upstream_call_events {
    /* The service has taken the call, though it has no message yet; once, or never. May be NULL. */
    void (*begun)(struct upstream_call *call);
    /* A message; borrowed until this returns. Not of a raw call. */
    void (*message)(struct upstream_call *call, struct slice message);
    /* More has come of a message that is not whole; upstream_call_partial tells how much is held
     * of it. Not of a raw call. May be NULL. */
    void (*partial)(struct upstream_call *call);
    /* So many of the bytes given to upstream_call_send are on their way. May be NULL. */
    void (*taken)(struct upstream_call *call, size_t size);
    /* Where this is set the call is raw: bytes of the answer as they come, messages in their
     * framing, borrowed until this returns. The service is granted room for more by
     * upstream_call_consume. */
    void (*data)(struct upstream_call *call, struct slice bytes);
    /* The head of a raw answer, borrowed until this returns; not told where the answer is trailers
     * alone. */
    void (*head)(struct upstream_call *call, const struct upstream_fields *fields);
    /* The end; the call is over. */
    void (*done)(struct upstream_call *call, const struct upstream_result *result);
};

struct upstream_backend;

/* One call, in its owner's memory. The owner fills the first part; it stays until the call is
 * over. */
struct upstream_call {
    const struct upstream_call_events *events;
    struct arena *arena;
    struct slice path;                       /* "/package.Service/Method" */
    struct slice request;                    /* the message with its prefix; empty where streamed */
    bool streamed;                           /* the request comes by upstream_call_send */
    struct slice authority, content_type;    /* empty: "localhost", "application/grpc" */
    uint64_t timeout_us;                     /* 0: the service is told none */
    const struct transcode_header *metadata; /* copied when the call starts */
    size_t metadata_count;
    size_t response_max; /* bytes of a message of the answer */
    bool takes_details;  /* details of an error may come as the answer's message, where large */

    /* the pool's own: gateway/upstream.h; the rest is zero where a call is started without one */
    bool (*ended)(struct upstream_call *call, const struct upstream_result *result);
    struct upstream *pool;
    struct upstream_backend *backend; /* the last that it was given to */
    uint64_t begun_us;
    unsigned starts;
    bool is_probe; /* of the backend's breaker */

    /* the session's own */
    struct upstream_session *session; /* NULL when the call is not active */
    struct upstream_call *next, **link;
    int32_t stream_id;
    size_t sent;         /* of `request` or `queue` */
    struct buffer queue; /* of a streamed request */
    bool deferred;       /* nothing to send: resumed when there is */
    bool request_ended;  /* nothing more comes from the owner */
    bool request_sent;   /* the service was told so */
    bool any_taken;      /* some of the queue is gone */
    struct grpc_reader reader;
    bool held_back; /* upstream_call_hold */
    size_t unconsumed;
    int http_status;
    bool is_grpc;
    bool has_code;
    bool details_come; /* as the answer's message */
    struct upstream_result result;
};

struct tls_client;

/* Where a session leads. */
struct upstream_endpoint {
    const struct address *address;
    const char *host;           /* whose certificate is expected */
    struct slice authority;     /* outlives the session */
    struct tls_client *tls;     /* NULL: in clear; outlives the session */
    struct keepalive keepalive; /* by TCP */
    struct keepalive ping;      /* by HTTP/2 */
};

enum upstream_state {
    UPSTREAM_CONNECTING, /* until the service's first SETTINGS; next: UP, CLOSED */
    UPSTREAM_UP,         /* next: DRAINING, CLOSED */
    UPSTREAM_DRAINING,   /* takes no new calls; next: CLOSED */
    UPSTREAM_CLOSED,     /* all calls were told; the session frees itself */
};

/* Who keeps sessions is told when one changes its state. After UPSTREAM_CLOSED, and from
 * UPSTREAM_DRAINING on if it likes, the owner forgets the session. */
struct upstream_owner {
    void (*changed)(struct upstream_owner *owner, struct upstream_session *session,
                    enum upstream_state state);
};

/* Begins to connect. `scratch` is room for reading that nobody uses between two turns.
 * SYNC_ERR_UNAVAILABLE when it is refused at once. */
enum sync_status upstream_session_open(struct loop *loop, const struct upstream_endpoint *endpoint,
                                       struct upstream_owner *owner, uint8_t *scratch,
                                       size_t scratch_size, struct upstream_session **ret_session);

/* Takes no new calls, ends when those it has are over. Nothing on a session that is not up. */
void upstream_session_drain(struct upstream_session *session);

/* Ends the session: calls still active end as UNAVAILABLE, then UPSTREAM_CLOSED is told. */
void upstream_session_close(struct upstream_session *session);

/* Where the session is in its life. */
enum upstream_state upstream_session_state(const struct upstream_session *session);

/* The number of active calls. */
size_t upstream_session_load(const struct upstream_session *session);

/* When bytes last came from the service, as loop_now_us tells time. */
uint64_t upstream_session_heard_us(const struct upstream_session *session);

/* Tells whether the service takes no more calls on the session until one ends: another would wait
 * here. */
bool upstream_session_is_full(const struct upstream_session *session);

/* Starts a call on a session that is up or connecting: then it is sent once the session is up, and
 * ends as unprocessed if that never comes. SYNC_ERR_NO_MEMORY or SYNC_ERR_UNAVAILABLE; the call is
 * then not active. */
enum sync_status upstream_session_start(struct upstream_session *session,
                                        struct upstream_call *call);

/* Ends a call without further events; the service sees RST_STREAM CANCEL. Who streams a request
 * does so in the end in any case: a call that ended unprocessed keeps what it would send again. */
void upstream_call_cancel(struct upstream_call *call);

/* Tells whether the call is active. */
static inline bool upstream_call_is_active(const struct upstream_call *call) {
    return call->session != NULL;
}

/* The bytes of a streamed request that wait to be sent; none where the call is not active. */
static inline size_t upstream_call_queued(const struct upstream_call *call) {
    return upstream_call_is_active(call) && call->streamed ? call->queue.size - call->sent : 0;
}

/* The bytes that are held of a message of the answer that is not whole. */
static inline size_t upstream_call_partial(const struct upstream_call *call) {
    return upstream_call_is_active(call) ? grpc_reader_partial(&call->reader) : 0;
}

/* Keeps the message that the event has just told, as grpc_reader_keep does. */
static inline bool upstream_call_keep(struct upstream_call *call, struct slice message,
                                      struct buffer *out) {
    return grpc_reader_keep(&call->reader, message, out);
}

/* Queues bytes of a streamed request, in the framing of messages; an active call whose request has
 * not ended. The queue is the owner's to bound, by what `taken` tells. SYNC_ERR_NO_MEMORY: cancel
 * the call. */
enum sync_status upstream_call_send(struct upstream_call *call, struct slice bytes);

/* Nothing more of the request comes. Not active, or ended before: nothing. */
void upstream_call_end_request(struct upstream_call *call);

/* Grants the service room for so many bytes that `data` has told. Not active: nothing. */
void upstream_call_consume(struct upstream_call *call, size_t size);

/* Stops (or lets go on) granting the service room to send: back-pressure of a slow client. */
void upstream_call_hold(struct upstream_call *call, bool hold);

#endif
