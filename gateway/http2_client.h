/* HTTP/2 client: the client's end of a connection (RFC 9113) as calls to a gRPC service need it.
 * Pure: bytes in, bytes out, no I/O. One thread.
 *
 * Streams lie in their owner's memory. Heads and DATA are written by http2_client_fill, in turns;
 * what is received is granted room for again only as it is consumed. Heads are read by nghttp2's
 * decoder of HPACK. The rest, which every call passes through, is ours: a session of nghttp2 took
 * more than a third of the gateway's own instructions for a small request, this takes a fifth of
 * that. */
#ifndef GATEWAY_HTTP2_CLIENT_H
#define GATEWAY_HTTP2_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "base/bytes.h"
#include "gateway/hpack_encoder.h"
#include "gateway/transcode.h"

enum {
    HTTP2_CLIENT_STREAM_WINDOW =
        1 << 20,                      /* granted to each stream: what a slow reader makes us hold */
    HTTP2_CLIENT_WINDOW = 64 << 20,   /* to the connection */
    HTTP2_CLIENT_FRAME_MAX = 1 << 20, /* of a frame that is received */
    HTTP2_CLIENT_BUCKETS = 256,
};

struct http2_client_stream;

/* What a client tells its owner. All may reset any stream, open others and free the memory of
 * those that are closed, the one they are told of among them. */
struct http2_client_events {
    /* What is to be sent of the request's body, borrowed until the next event; `ret_last`: nothing
     * follows. Empty and not the last: it is asked again after http2_stream_resume. */
    struct slice (*ready)(struct http2_client_stream *stream, bool *ret_last);
    /* So many bytes of it are taken; `last`: that was the end of the request. */
    void (*taken)(struct http2_client_stream *stream, size_t size, bool last);
    /* A head or trailers begin; then come their fields, borrowed. */
    void (*fields_begin)(struct http2_client_stream *stream);
    void (*field)(struct http2_client_stream *stream, struct slice name, struct slice value);
    /* All fields of a head (`trailers` false) or of trailers are told. `last`: the answer ends
     * with them. A head of 1xx is told by its fields alone. */
    void (*fields_end)(struct http2_client_stream *stream, bool trailers, bool last);
    /* Some of the answer's body; borrowed. It counts against the stream's window until
     * http2_stream_consume. */
    void (*data)(struct http2_client_stream *stream, struct slice bytes);
    /* The stream is closed, by the other side or for its faults: an error code of RFC 9113,
     * NO_ERROR where the answer is complete. */
    void (*closed)(struct http2_client_stream *stream, uint32_t error_code);
    /* The other side's SETTINGS came. */
    void (*settings)(void *context);
    /* GOAWAY came; streams that were not processed were closed with REFUSED_STREAM. */
    void (*goaway)(void *context);
};

/* A stream, zeroed before it is opened; fields are the client's own. */
struct http2_client_stream {
    struct http2_client *client;              /* NULL: closed */
    struct http2_client_stream *next, **link; /* in its bucket, or among those that wait */
    struct http2_client_stream *turn_next, **turn_link; /* among those with DATA to send */
    struct buffer head;   /* the block of one that waits to be opened */
    uint64_t length_left; /* of the content-length told */
    int32_t id;           /* 0: waits to be opened */
    int32_t send_window;
    int32_t receive_left; /* of the window granted */
    int32_t consumed;     /* not yet granted again */
    bool has_length, has_status, has_head, is_interim, is_bad;
    bool request_ended;
};

struct http2_client;

/* Opens the client's end; `out` takes all that is to be sent, the preface and SETTINGS first, and
 * outlives it. NULL without memory. */
struct http2_client *http2_client_open(const struct http2_client_events *events, void *context,
                                       struct buffer *out);

/* Closes; streams that are left must not be used any more. Returns NULL. */
struct http2_client *http2_client_close(struct http2_client *client);

/* Takes what came. False when the connection is broken: what is in `out` tells why, then it is to
 * be closed. */
bool http2_client_receive(struct http2_client *client, struct slice bytes);

/* Opens streams and puts their DATA into `out`, until so many bytes are in it or nothing more may
 * be sent now. False as http2_client_receive. */
bool http2_client_fill(struct http2_client *client, size_t size_max);

/* How many streams may be open at once; 0 until the other side's SETTINGS came. */
uint32_t http2_client_streams_max(const struct http2_client *client);

/* Fields that a request begins with, in order; pseudo-headers first. */
struct http2_client_field {
    struct slice name, value;
    enum hpack_form form;
};

/* Has a stream opened by the next http2_client_fill, or as soon after it as the other side allows:
 * one that is reset before leaves no trace. Fields are copied. SYNC_ERR_NO_MEMORY or
 * SYNC_ERR_UNAVAILABLE: the connection takes no more. */
enum sync_status http2_stream_open(struct http2_client *client, struct http2_client_stream *stream,
                                   const struct http2_client_field *fields, size_t count);

/* There is more of the request to send, or its end. */
void http2_stream_resume(struct http2_client_stream *stream);

/* So many bytes that `data` told are done with: as many more may come. */
void http2_stream_consume(struct http2_client_stream *stream, size_t size);

/* Closes the stream without a word to its owner, resetting it where it was opened. Closed:
 * nothing. */
void http2_stream_reset(struct http2_client_stream *stream, uint32_t error_code);

#endif
