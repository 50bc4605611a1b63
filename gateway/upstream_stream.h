/* Upstream stream: the HTTP/2 side of a call. Used by gateway/upstream_session alone. */
#ifndef GATEWAY_UPSTREAM_STREAM_H
#define GATEWAY_UPSTREAM_STREAM_H

#include <stddef.h>

#include "gateway/tls.h"
#include "gateway/upstream_session.h"

struct upstream_session {
    struct loop *loop;
    struct loop_source source;
    struct loop_task flush, grave;
    struct upstream_owner *owner; /* NULL once it has forgotten the session */
    enum upstream_state state;
    uint64_t heard_us;
    struct transport transport; /* of source.fd */
    struct slice authority;
    bool connected; /* the socket is; the service may not have said a word */
    struct http2_client *http2;
    struct buffer out; /* frames for the socket, from out_sent on */
    size_t out_sent;
    struct upstream_call *calls;
    size_t load;
    uint8_t *scratch; /* borrowed */
    size_t scratch_size;
    struct upstream_fields fields; /* the block that is being read, or was read last */
};

/* upstream_request.c */

/* Tells whether nothing of a request is gone. */
static inline bool upstream_call_is_whole(const struct upstream_call *call) {
    return !call->any_taken;
}

/* Makes ready a request that is about to be submitted. */
void upstream_request_init(struct upstream_call *call);

/* Gives back what it holds. `keep`: a request that is whole stays, to be started again. */
void upstream_request_done(struct upstream_call *call, bool keep);

/* What is to be sent of a request's body, and what of it is taken: of http2_client_events. */
struct slice upstream_request_ready(struct http2_client_stream *stream, bool *ret_last);
void upstream_request_taken(struct http2_client_stream *stream, size_t size, bool last);

/* upstream_stream.c */

/* The events of all sessions; their context is the session. */
extern const struct http2_client_events upstream_stream_events;

/* The call whose stream this is. */
static inline struct upstream_call *upstream_call_of(struct http2_client_stream *stream) {
    return (struct upstream_call *)((char *)stream - offsetof(struct upstream_call, stream));
}

/* Ends an active call as UNAVAILABLE with a sentence, and tells its owner. `unprocessed`: nothing
 * of it was ever sent. */
void upstream_stream_end(struct upstream_call *call, struct slice message, bool unprocessed);

/* Queues a flush for the end of the turn. */
void upstream_session_wake(struct upstream_session *session);

/* The service has said its first word: the session is up. */
void upstream_session_greeted(struct upstream_session *session);

#endif
