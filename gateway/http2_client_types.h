/* HTTP/2 client types: the inside of a client's end, for the http2_client*.c files alone. */
#ifndef GATEWAY_HTTP2_CLIENT_TYPES_H
#define GATEWAY_HTTP2_CLIENT_TYPES_H

#include "gateway/http2_client.h"

enum {
    HTTP2_FRAME_HEAD_SIZE = 9,
    HTTP2_FRAME_MAX_DEFAULT = 16 << 10,
    HTTP2_WINDOW_DEFAULT = 65535,
};

/* A frame's head: RFC 9113 section 4.1. */
struct http2_frame_head {
    size_t size;
    uint8_t type, flags;
    int32_t id;
};

/* What of a frame has come. */
struct http2_client_input {
    uint8_t head_bytes[HTTP2_FRAME_HEAD_SIZE];
    size_t head_size;
    struct http2_frame_head head; /* once head_size is whole */
    size_t left;                  /* of its payload */
    bool is_padding_told;         /* of DATA */
    size_t padding;               /* of DATA, at its end */
    struct buffer held;           /* payload of another frame that came in parts */
    struct buffer block;          /* of a head in several frames */
    int32_t block_id;             /* 0: no head is under way */
    bool block_ends_stream;
    size_t fields_bytes; /* of the head that is read, decoded */
};

struct http2_client {
    const struct http2_client_events *events;
    void *context;
    struct buffer *out;
    bool failed;
    bool greeted; /* the other side's SETTINGS came */
    bool leaving; /* no more streams are opened */
    struct http2_client_stream *buckets[HTTP2_CLIENT_BUCKETS];
    size_t open_count;
    uint32_t next_id;                                    /* beyond INT32_MAX: all are used up */
    struct http2_client_stream *waiting, **waiting_tail; /* to be opened */
    struct http2_client_stream *turns, **turns_tail;     /* with DATA to send */
    struct http2_client_stream *current; /* whose frame is read; NULL once it is closed */

    /* what the other side grants */
    uint32_t streams_max;
    uint32_t frame_max;
    int32_t stream_window;
    int64_t send_window;

    /* what we grant */
    int32_t receive_left;
    int32_t consumed;

    struct http2_client_input input;
    nghttp2_hd_inflater *inflater;
    struct hpack_encoder encoder;
};

/* Appends a frame's head to `out`. */
void http2_frame_head_put(struct buffer *out, const struct http2_frame_head *head);

/* Breaks the connection: says why and receives nothing more. Returns false. */
bool http2_client_fail(struct http2_client *client, uint32_t error_code);

/* Appends a frame of one number. */
void http2_client_number(struct http2_client *client, uint8_t type, int32_t id, uint32_t number);

/* The open stream of this id, or NULL. */
struct http2_client_stream *http2_client_find(const struct http2_client *client, int32_t id);

/* Takes a stream out of all lists and tells its owner that it is closed. */
void http2_client_close_stream(struct http2_client_stream *stream, uint32_t error_code);

/* Resets a stream for a fault of its own, and closes it. */
void http2_client_fail_stream(struct http2_client_stream *stream, uint32_t error_code);

/* Closes a stream whose answer is complete. The rest of a request that was answered before its end
 * is for nobody. */
void http2_client_finish_stream(struct http2_client_stream *stream);

/* Takes the block of a head or of trailers; `is_last`: the answer ends with it. False as
 * http2_client_receive. http2_client_head.c. */
bool http2_client_head(struct http2_client *client, int32_t id, bool is_last, struct slice block);

/* Opens no more streams: tells so, and refuses those that wait. */
void http2_client_leave(struct http2_client *client);

/* Writes what a connection begins with: the preface, SETTINGS and the window. */
void http2_client_greet(struct http2_client *client);

/* A big-endian number of 32 bits. */
static inline uint32_t http2_number_of(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The same, written. */
static inline void http2_number_put(uint8_t *at, uint32_t number) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

#endif
