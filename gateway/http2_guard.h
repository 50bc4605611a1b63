/* HTTP/2 guard: bounds what a client may have done for nothing on one connection.
 *
 * Frames that only keep us busy draw on an allowance that time and answers fill up again; streams
 * that the client makes us reset are counted; what comes on a stream that is closed for good ends
 * the connection. A bound that is passed ends the connection with GOAWAY. One thread. */
#ifndef GATEWAY_HTTP2_GUARD_H
#define GATEWAY_HTTP2_GUARD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "gateway/loop.h"

/* In the server's memory. */
struct http2_guard {
    const struct loop *loop;
    unsigned allowance; /* frames */
    uint64_t allowance_us;
    unsigned resets; /* that the client provoked since resets_us */
    uint64_t resets_us;
    int32_t reset_up_to; /* the highest stream that we reset or refused */
    size_t left;         /* bytes until the next frame's head */
    uint8_t kind;        /* of the frame that they are */
    bool ended;          /* it may have been its stream's last */
    bool block_open;     /* the last block of headers is not complete */
    uint64_t begun_us;   /* when the last frame began that continues none */
    size_t head_size;    /* of which so much is in `head` */
    uint8_t head[9];
};

/* Opens a server's session with the bounds that nghttp2 keeps itself, to be released with
 * nghttp2_session_del, and begins to guard it with a full allowance. The loop outlives the guard.
 * 0, or nghttp2's error. */
int http2_guard_open(struct http2_guard *guard, const struct loop *loop,
                     const nghttp2_session_callbacks *callbacks, void *context, nghttp2_mem *memory,
                     nghttp2_session **ret_session);

/* Hands what the client sent to the session, looking at each frame's head, up to as many frames as
 * one turn has time for. The bytes taken; negative: the connection must end, as of
 * nghttp2_session_mem_recv. */
ssize_t http2_guard_receive(struct http2_guard *guard, nghttp2_session *session,
                            struct slice bytes);

/* Tells whether something small has come in part: the preface, a frame other than DATA, a block of
 * headers. `begun_us` says when it began. */
bool http2_guard_is_partial(const struct http2_guard *guard);

/* Tells whether the client has lately drawn more on its allowance than one that means well does. */
bool http2_guard_is_wary(const struct http2_guard *guard);

/* A frame was refused: nghttp2 resets its stream, if it is one. */
void http2_guard_invalid(struct http2_guard *guard, const nghttp2_frame_hd *head);

/* A frame was sent. */
void http2_guard_sent(struct http2_guard *guard, nghttp2_session *session,
                      const nghttp2_frame *frame);

#endif
