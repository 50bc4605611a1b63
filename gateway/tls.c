#include "gateway/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

struct tls {
    SSL_CTX *context;
};

static int tls_choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                               const unsigned char *in, unsigned in_size, void *context) {
    static const unsigned char offered[] = "\x02h2\x08http/1.1";
    (void)ssl;
    (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, offered, sizeof(offered) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Why the last call failed: the system's reason, such as a missing file, or OpenSSL's. */
static const char *tls_reason(void) {
    unsigned long code = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unknown reason";
}

static enum sync_status tls_load(SSL_CTX *context, const char *cert_path, const char *key_path,
                                 struct sync_error *error) {
    if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "CERTIFICATE", NULL,
                              "cannot read a certificate chain from %s: %s", cert_path,
                              tls_reason());
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "KEY", NULL,
                              "cannot read a private key from %s: %s", key_path, tls_reason());
    if (SSL_CTX_check_private_key(context) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "KEY", NULL,
                              "the key in %s is not the certificate's", key_path);
    return SYNC_OK;
}

enum sync_status tls_open(const char *cert_path, const char *key_path, struct sync_error *error,
                          struct tls **ret_tls) {
    assert(cert_path && key_path);
    struct tls *tls = memory_zalloc(1, sizeof(*tls));
    if (!tls)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    tls->context = SSL_CTX_new(TLS_server_method());
    if (!tls->context) {
        tls_close(tls);
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    }
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                          SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_cipher_list(tls->context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(tls->context, tls_choose_protocol, NULL);
    ERR_clear_error();
    enum sync_status status = tls_load(tls->context, cert_path, key_path, error);
    if (status != SYNC_OK) {
        tls_close(tls);
        return status;
    }
    *ret_tls = tls;
    return SYNC_OK;
}

struct tls *tls_close(struct tls *tls) {
    if (!tls)
        return NULL;
    SSL_CTX_free(tls->context);
    memory_free(tls);
    return NULL;
}

enum sync_status transport_init(struct transport *transport, int fd, struct tls *tls) {
    SSL *ssl = NULL;
    if (tls) {
        ssl = SSL_new(tls->context);
        if (!ssl || SSL_set_fd(ssl, fd) != 1) {
            SSL_free(ssl);
            return SYNC_ERR_NO_MEMORY;
        }
        SSL_set_accept_state(ssl);
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
    return rc == 1 ? (ssize_t)got : transport_tls_result(transport, rc);
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

bool transport_has_pending(const struct transport *transport) {
    return transport->ssl && SSL_has_pending(transport->ssl);
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
