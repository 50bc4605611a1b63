/* Upstream session: one HTTP/2 connection to the service and the calls on it. One thread. */
#ifndef GATEWAY_UPSTREAM_SESSION_H
#define GATEWAY_UPSTREAM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "gateway/address.h"
#include "gateway/grpc_message.h"
#include "gateway/loop.h"
#include "gateway/transcode.h"

struct upstream_session;
struct upstream_call;

/* How a call ended. Texts live in the call's arena. */
struct upstream_result {
    int code; /* gRPC status code */
    struct slice message;
    struct slice details; /* google.rpc.Status in wire form, or empty; of any size */
    bool unprocessed;     /* the service has surely not seen the call: it may be sent again */
};

/* What a call tells its owner. None is called after upstream_call_cancel, or within
 * upstream_call_start. An event may cancel the call, but not free its memory. */
struct upstream_call_events {
    /* The service has taken the call, though it has no message yet; once, or never. May be NULL. */
    void (*begun)(struct upstream_call *call);
    /* A message; borrowed until this returns. */
    void (*message)(struct upstream_call *call, struct slice message);
    /* The end; the call is over. */
    void (*done)(struct upstream_call *call, const struct upstream_result *result);
};

struct upstream_backend;

/* One call, in its owner's memory. The owner fills the first part; it stays until the call is
 * over. */
struct upstream_call {
    const struct upstream_call_events *events;
    struct arena *arena;
    struct slice path;    /* "/package.Service/Method" */
    struct slice request; /* the message with its prefix */
    uint64_t timeout_us;
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
    size_t sent;
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
    const char *host;       /* whose certificate is expected */
    struct slice authority; /* outlives the session */
    struct tls_client *tls; /* NULL: in clear; outlives the session */
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

/* Ends a call without further events; the service sees RST_STREAM CANCEL. Not active: nothing. */
void upstream_call_cancel(struct upstream_call *call);

/* Tells whether the call is active. */
static inline bool upstream_call_is_active(const struct upstream_call *call) {
    return call->session != NULL;
}

/* Stops (or lets go on) granting the service room to send: back-pressure of a slow client. */
void upstream_call_hold(struct upstream_call *call, bool hold);

#endif
