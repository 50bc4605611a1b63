#include "tests/gateway/scripted_peer.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

nghttp2_nv nv(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

/* In a new folder under /tmp: the folders of tests are too long for a socket's name, and process
 * ids need not differ between sandboxes. */
void scripted_peer_listen(struct scripted_peer *peer, struct address *ret_address) {
    char text[ADDRESS_TEXT_MAX];
    struct sync_error error;
    *peer = (struct scripted_peer){.fd = -1, .folder = "/tmp/peerXXXXXX"};
    assert_non_null(mkdtemp(peer->folder));
    snprintf(peer->path, sizeof peer->path, "%s/sock", peer->folder);
    snprintf(text, sizeof text, "unix:%s", peer->path);
    assert_int_equal(address_parse(text, &error, ret_address), SYNC_OK);
    peer->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(peer->listen_fd, (const struct sockaddr *)&ret_address->storage, ret_address->size),
        0);
    assert_int_equal(listen(peer->listen_fd, 4), 0);
}

bool scripted_peer_is_called(const struct scripted_peer *peer) {
    struct pollfd listener = {.fd = peer->listen_fd, .events = POLLIN};
    return poll(&listener, 1, 0) > 0;
}

void scripted_peer_accept(struct scripted_peer *peer, const struct scripted_events *events,
                          void *context) {
    nghttp2_session_callbacks *callbacks;
    peer->fd = accept4(peer->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    assert_true(peer->fd >= 0);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, events->header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, events->data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, events->frame);
    nghttp2_session_server_new(&peer->session, callbacks, context);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

/* Tells whether the socket takes a frame whole. */
static bool peer_has_room(const struct scripted_peer *peer) {
    struct pollfd writer = {.fd = peer->fd, .events = POLLOUT};
    return peer->fd >= 0 && poll(&writer, 1, 0) > 0;
}

void scripted_peer_turn(struct scripted_peer *peer) {
    uint8_t bytes[64 << 10];
    const uint8_t *frames;
    ssize_t size;
    while (peer->fd >= 0 && (size = recv(peer->fd, bytes, sizeof bytes, 0)) > 0)
        assert_int_equal(nghttp2_session_mem_recv(peer->session, bytes, (size_t)size), size);
    while (peer_has_room(peer) && (size = nghttp2_session_mem_send(peer->session, &frames)) > 0) {
        ssize_t sent = send(peer->fd, frames, (size_t)size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EPIPE) /* the other side has closed */
            scripted_peer_hang_up(peer);
        else
            assert_int_equal(sent, size);
    }
}

static ssize_t peer_read(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)context;
    struct scripted_peer *peer = source->ptr;
    size_t taken = peer->data.size < size ? peer->data.size : size;
    if (taken > 0)
        memcpy(out, peer->data.data, taken);
    peer->data = slice_after(peer->data, taken);
    if (peer->data.size == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream_id, peer->trailers, peer->trailer_count);
    }
    return (ssize_t)taken;
}

void scripted_peer_answer(struct scripted_peer *peer, nghttp2_session *session, int32_t stream_id,
                          const nghttp2_nv *headers, size_t count) {
    const nghttp2_data_provider provider = {.source.ptr = peer, .read_callback = peer_read};
    nghttp2_submit_response(session, stream_id, headers, count, &provider);
}

void scripted_peer_hang_up(struct scripted_peer *peer) {
    nghttp2_session_del(peer->session);
    peer->session = NULL;
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

void scripted_peer_close(struct scripted_peer *peer) {
    scripted_peer_hang_up(peer);
    close(peer->listen_fd);
    unlink(peer->path);
    rmdir(peer->folder);
}
