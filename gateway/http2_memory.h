/* HTTP/2 memory: an allocator for one nghttp2 session, of which a waiting connection keeps little.
 *
 * A session holds 16 kB for the frame that is being written and 4 kB for its table of streams, also
 * when there is neither for hours. Here both lie in pages of their own, which rest when the
 * connection does. One thread. */
#ifndef GATEWAY_HTTP2_MEMORY_H
#define GATEWAY_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

/* In the server's memory; outlives the session. */
struct http2_memory {
    uint8_t *pages;                /* the table, then the frame */
    bool table_taken, frame_taken; /* by the session */
};

/* Prepares; false without memory. */
bool http2_memory_init(struct http2_memory *memory);

/* Releases what the session had, which is gone. */
void http2_memory_done(struct http2_memory *memory);

/* The allocator, for nghttp2_session_server_new3. */
nghttp2_mem http2_memory_allocator(struct http2_memory *memory);

/* The session has nothing to write: gives up what its frame holds, and its table while that holds
 * nothing. */
void http2_memory_rest(struct http2_memory *memory);

#endif
