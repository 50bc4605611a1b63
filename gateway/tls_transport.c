#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/tls_context.h"

static void transport_note_message(int sent, int version, int type, const void *data, size_t size,
                                   SSL *ssl, void *context) {
    (void)version;
    (void)ssl;
    struct transport *transport = context;
    if (!sent && type == SSL3_RT_HANDSHAKE && size > 0 &&
        *(const uint8_t *)data == SSL3_MT_KEY_UPDATE)
        transport->key_updates++;
}

enum sync_status transport_init(struct transport *transport, int fd, struct tls *tls) {
    SSL *ssl = NULL;
    if (tls) {
        ssl = tls_connection(tls);
        if (!ssl || SSL_set_fd(ssl, fd) != 1) {
            SSL_free(ssl);
            return SYNC_ERR_NO_MEMORY;
        }
        SSL_set_accept_state(ssl);
        SSL_set_msg_callback(ssl, transport_note_message);
        SSL_set_msg_callback_arg(ssl, transport);
    }
    *transport = (struct transport){.fd = fd, .ssl = ssl, .established = !ssl};
    return SYNC_OK;
}

void transport_done(struct transport *transport) {
    if (transport->ssl) {
        if (transport->established)
            SSL_shutdown(transport->ssl);
        ERR_clear_error();
        SSL_free(transport->ssl);
    }
    close(transport->fd);
    transport->ssl = NULL;
    transport->fd = -1;
}

/* The reason an SSL call gave nothing. */
static ssize_t transport_tls_result(struct transport *transport, int rc) {
    switch (SSL_get_error(transport->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        transport->wants_write = true;
        return TRANSPORT_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_CLOSED;
    default:
        /* SSL_shutdown is not allowed after a fatal error. */
        transport->established = false;
        return TRANSPORT_FAILED;
    }
}

static ssize_t transport_socket_result(ssize_t rc) {
    if (rc > 0)
        return rc;
    if (rc == 0)
        return TRANSPORT_CLOSED;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TRANSPORT_AGAIN
                                                                     : TRANSPORT_FAILED;
}

ssize_t transport_read(struct transport *transport, uint8_t *bytes, size_t size) {
    if (!transport->ssl)
        return transport_socket_result(recv(transport->fd, bytes, size, 0));
    ERR_clear_error();
    transport->wants_write = false;
    size_t got = 0;
    int rc = SSL_read_ex(transport->ssl, bytes, size, &got);
    if (SSL_is_init_finished(transport->ssl))
        transport->established = true;
    if (transport->key_updates > TLS_KEY_UPDATES_MAX)
        return TRANSPORT_FAILED;
    return rc == 1 ? (ssize_t)got : transport_tls_result(transport, rc);
}

ssize_t transport_peek(const struct transport *transport, uint8_t *bytes, size_t size) {
    return transport_socket_result(recv(transport->fd, bytes, size, MSG_PEEK));
}

void transport_skip(const struct transport *transport, size_t size) {
    uint8_t bytes[256];
    while (size > 0) {
        size_t part = size < sizeof(bytes) ? size : sizeof(bytes);
        ssize_t got = recv(transport->fd, bytes, part, 0);
        assert(got == (ssize_t)part);
        (void)got;
        size -= part;
    }
}

ssize_t transport_write(struct transport *transport, struct slice bytes) {
    assert(bytes.size > 0);
    if (!transport->ssl)
        return transport_socket_result(send(transport->fd, bytes.data, bytes.size, MSG_NOSIGNAL));
    ERR_clear_error();
    size_t sent = 0;
    int rc = SSL_write_ex(transport->ssl, bytes.data, bytes.size, &sent);
    return rc == 1 ? (ssize_t)sent : transport_tls_result(transport, rc);
}

ssize_t transport_write_parts(struct transport *transport, const struct slice *parts,
                              size_t count) {
    assert(count > 0);
    if (transport->ssl || count == 1)
        return transport_write(transport, parts[0]);
    struct iovec list[TRANSPORT_PARTS_MAX];
    size_t used = 0;
    for (; used < count && used < TRANSPORT_PARTS_MAX; used++)
        list[used] = (struct iovec){(void *)parts[used].data, parts[used].size};
    const struct msghdr message = {.msg_iov = list, .msg_iovlen = used};
    return transport_socket_result(sendmsg(transport->fd, &message, MSG_NOSIGNAL));
}

bool transport_has_pending(const struct transport *transport) {
    /* SSL_has_pending would count a record that has come in part as well. */
    return transport->ssl && SSL_pending(transport->ssl) > 0;
}

void transport_end_writing(struct transport *transport) {
    if (transport->ssl && transport->established)
        SSL_shutdown(transport->ssl);
    shutdown(transport->fd, SHUT_WR);
}

bool transport_chose_http2(const struct transport *transport) {
    if (!transport->ssl)
        return false;
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(transport->ssl, &chosen, &size);
    return slice_equal(slice_of(chosen, size), SLICE("h2"));
}

enum sync_status transport_identity(const struct transport *transport, struct buffer *out) {
    if (!transport->ssl)
        return SYNC_OK;
    X509 *certificate = SSL_get0_peer_certificate(transport->ssl);
    if (!certificate)
        return SYNC_OK;
    tls_identity_write(certificate, out);
    return buffer_status(out);
}

const char *transport_version(const struct transport *transport) {
    return transport->ssl ? SSL_get_version(transport->ssl) : NULL;
}
