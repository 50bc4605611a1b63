/* HTTP/2 types: the inside of an HTTP/2 connection, for the http2_*.c files alone. */
#ifndef GATEWAY_HTTP2_TYPES_H
#define GATEWAY_HTTP2_TYPES_H

#include <nghttp2/nghttp2.h>

#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/grpc_relay.h"
#include "gateway/http2_guard.h"
#include "gateway/http2_header.h"
#include "gateway/http2_memory.h"

enum { HTTP2_SWEEP_US = 3000000 };

struct http2_server {
    struct connection *connection;
    nghttp2_session *session;
    struct http2_stream *stream_list;
    struct http2_stream *spent; /* closed, but their answers are yet to be written */
    size_t streams;
    struct http2_names names;
    bool draining;
    bool parted;               /* the client was told which streams are the last */
    struct loop_timer parting; /* set while draining, until then */
    bool failed;               /* nothing more is received */
    bool cut;                  /* and noted as such */
    struct loop_timer sweep;   /* set while a stream is answered and open */
    size_t block_bytes;        /* of the last block of headers, unpacked */
    unsigned denied; /* calls whose tokens were refused less those served; the last at denied_us */
    uint64_t denied_us;
    struct http2_guard guard;
    struct http2_memory memory;
};

/* One request. Lives in its exchange's memory, or with its relay. */
struct http2_stream {
    struct exchange *exchange; /* NULL: a call passed through, whose head is needed no more */
    struct grpc_relay *relay;  /* NULL: no call passed through */
    struct http2_server *server;
    struct http2_stream *next, **link;
    int32_t id;
    struct slice method, path;
    struct transcode_header *headers;
    size_t header_count;
    uint64_t content_length;
    uint64_t moved_us; /* when bytes of the answer last left */
    bool too_large, no_memory;
    bool no_room; /* the gateway holds as much as it may */
    bool ended;   /* the request */
    bool refused; /* reset for no fault of the client's */
};

/* Puts a stream among the server's. */
void http2_stream_attach(struct http2_stream *stream);

/* Takes it out again. */
void http2_stream_detach(struct http2_stream *stream);

/* http2_head.c */

/* nghttp2's callback for a field of a head or of trailers. */
int http2_head_add(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_data,
                   size_t name_size, const uint8_t *data, size_t size, uint8_t flags,
                   void *context);

/* http2_answer.c */

/* What exchanges tell. */
extern const struct exchange_sink http2_sink;

/* nghttp2's source of an answer's DATA, and what makes its frames. */
ssize_t http2_data_source(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *context);
int http2_data_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head,
                    size_t size, nghttp2_data_source *source, void *context);

/* http2_doubt.c */

/* Notes how a stream was answered that closes. */
void http2_doubt_note(const struct http2_stream *stream);

/* Whether a request that has just begun is one too many of a client whose tokens are refused, which
 * is then counted. */
bool http2_doubt_refuses(const struct http2_server *server);

#define HTTP2_DOUBT_MESSAGE "calls of this connection had no valid token: few at one time"

/* http2_grpc.c: calls passed through. */

/* Tells whether a request whose head is read is such a call. */
bool http2_grpc_is(const struct http2_stream *stream);

/* Begins it; the stream lives elsewhere from then on. False without memory. */
bool http2_grpc_begin(struct http2_stream *stream);

/* Ends the call, and with it the stream's memory. */
void http2_grpc_close(struct http2_stream *stream);

/* The answer's data, as nghttp2's read callback gives it; the size, or NGHTTP2_ERR_DEFERRED. */
ssize_t http2_grpc_read(struct http2_stream *stream, size_t size, uint32_t *flags);

/* The frame that ends the answer is sent. */
void http2_grpc_sent(struct http2_stream *stream);

#endif
