/* Scripted peer: the service's end of the gateway's connection, for tests that say frame by frame
 * what it answers. One connection and one nghttp2 session at a time; ends the test where something
 * goes wrong. */
#ifndef TESTS_GATEWAY_SCRIPTED_PEER_H
#define TESTS_GATEWAY_SCRIPTED_PEER_H

#include <nghttp2/nghttp2.h>

#include "base/bytes.h"
#include "gateway/address.h"

enum { PEER_TRAILERS_MAX = 4 };

/* In the caller's memory. */
struct scripted_peer {
    int listen_fd, fd;
    nghttp2_session *session;
    char folder[32], path[64];              /* of the socket */
    struct slice data;                      /* of an answer, still to be sent */
    nghttp2_nv trailers[PEER_TRAILERS_MAX]; /* behind it */
    size_t trailer_count;
};

/* What the peer's session tells; NULL: nothing. */
struct scripted_events {
    nghttp2_on_header_callback header;
    nghttp2_on_data_chunk_recv_callback data;
    nghttp2_on_frame_recv_callback frame;
};

/* Listens on a Unix socket of its own and says where. */
void scripted_peer_listen(struct scripted_peer *peer, struct address *ret_address);

/* Tells whether a connection waits to be taken. */
bool scripted_peer_is_called(const struct scripted_peer *peer);

/* Takes the connection that waits; `context` is the callbacks'. */
void scripted_peer_accept(struct scripted_peer *peer, const struct scripted_events *events,
                          void *context);

/* Takes what has come and sends what is due. */
void scripted_peer_turn(struct scripted_peer *peer);

/* Answers with headers, then `data`, then `trailers`, both as set before. */
void scripted_peer_answer(struct scripted_peer *peer, nghttp2_session *session, int32_t stream_id,
                          const nghttp2_nv *headers, size_t count);

/* Closes the connection; another may be accepted. */
void scripted_peer_hang_up(struct scripted_peer *peer);

/* Closes all. */
void scripted_peer_close(struct scripted_peer *peer);

/* A header; the texts are borrowed. */
nghttp2_nv nv(const char *name, const char *value);

#endif
