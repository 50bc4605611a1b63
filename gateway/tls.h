/* TLS: the server's context, and a socket that may speak TLS. The only user of openssl/ssl.h. */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/status.h"

struct tls;

/* Loads a certificate chain and its key, both PEM. TLS 1.2 or newer, forward secrecy only, ALPN h2
 * and http/1.1. SYNC_ERR_INVALID with one clear line in `error`. Shared by all threads. */
enum sync_status tls_open(const char *cert_path, const char *key_path, struct sync_error *error,
                          struct tls **ret_tls);

/* Closes once no transport uses it; returns NULL. */
struct tls *tls_close(struct tls *tls);

enum {
    TRANSPORT_AGAIN = -1,  /* nothing now: wait for the socket */
    TRANSPORT_CLOSED = -2, /* the other side has ended */
    TRANSPORT_FAILED = -3  /* broken */
};

struct ssl_st;

/* A connected, non-blocking socket, in clear or through TLS. In its user's memory. */
struct transport {
    int fd;
    struct ssl_st *ssl; /* NULL in clear */
    bool wants_write;   /* a TLS read waits for room to write */
    bool established;   /* TLS handshake over, or in clear */
};

/* Takes over `fd`; `tls` NULL is in clear. SYNC_ERR_NO_MEMORY leaves the fd to the caller. */
enum sync_status transport_init(struct transport *transport, int fd, struct tls *tls);

/* Closes the socket, saying goodbye in TLS where that does not block. */
void transport_done(struct transport *transport);

/* Reads up to `size` bytes: their count, or one of TRANSPORT_. */
ssize_t transport_read(struct transport *transport, uint8_t *bytes, size_t size);

/* Writes what fits: the count written, or one of TRANSPORT_. After TRANSPORT_AGAIN the next write
 * must begin with the same bytes. */
ssize_t transport_write(struct transport *transport, struct slice bytes);

/* Tells that bytes were read from the socket but not yet handed out, so that waiting for the
 * socket would be in vain. */
bool transport_has_pending(const struct transport *transport);

/* Tells the other side that nothing more will be written, but goes on reading. */
void transport_end_writing(struct transport *transport);

/* Tells whether ALPN chose HTTP/2. Known once established. */
bool transport_chose_http2(const struct transport *transport);

#endif
