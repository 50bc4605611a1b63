/* Upstream stream: the HTTP/2 side of a call. Used by gateway/upstream_session alone. */
#ifndef GATEWAY_UPSTREAM_STREAM_H
#define GATEWAY_UPSTREAM_STREAM_H

#include <nghttp2/nghttp2.h>

#include "gateway/http2_header.h"
#include "gateway/outbox.h"
#include "gateway/tls.h"
#include "gateway/upstream_session.h"

struct upstream_session {
    struct loop *loop;
    struct loop_source source;
    struct loop_task flush, grave;
    struct upstream_owner *owner; /* NULL once it has forgotten the session */
    enum upstream_state state;
    uint64_t heard_us;
    struct keepalive ping; /* by HTTP/2, while there are calls */
    struct loop_timer silence;
    uint64_t asked_us;          /* the last PING; 0: none yet */
    bool is_asked;              /* and nothing came since */
    struct transport transport; /* of source.fd */
    struct slice authority;
    bool connected; /* the socket is; the service may not have said a word */
    nghttp2_session *http2;
    struct outbox out; /* frames for the socket */
    struct outbox_part lent[OUTBOX_LENT_MAX];
    struct upstream_call *calls;
    size_t load;
    struct http2_names names;
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

/* nghttp2's source of a request's DATA, and what makes its frames. */
ssize_t upstream_request_read(nghttp2_session *http2, int32_t stream_id, uint8_t *out, size_t size,
                              uint32_t *flags, nghttp2_data_source *source, void *context);
int upstream_request_send(nghttp2_session *http2, nghttp2_frame *frame, const uint8_t *frame_head,
                          size_t size, nghttp2_data_source *source, void *context);

/* upstream_silence.c */

/* The timer of a session's silence. */
void upstream_silence_fired(struct loop_timer *timer);

/* A call has begun: from now on the session's silence is watched. */
void upstream_silence_begin(struct upstream_session *session);

/* A call is given up: if the service has said nothing since it began, it is asked. */
void upstream_silence_doubt(struct upstream_session *session, const struct upstream_call *call);

/* upstream_stream.c */

/* The callbacks of all sessions, made once; their user data is the session. */
const nghttp2_session_callbacks *upstream_stream_callbacks(void);

/* Ends an active call as UNAVAILABLE with a sentence, and tells its owner. `unprocessed`: nothing
 * of it was ever sent. */
void upstream_stream_end(struct upstream_call *call, struct slice message, bool unprocessed);

/* Queues a flush for the end of the turn. */
void upstream_session_wake(struct upstream_session *session);

/* The service has said its first word: the session is up. */
void upstream_session_greeted(struct upstream_session *session);

#endif
