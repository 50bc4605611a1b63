/* TLS: the server's context, and a socket that may speak TLS. The only user of openssl/ssl.h. */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

struct tls;

/* Paths, which outlive the TLS, are of PEM files. */
struct tls_options {
    const char *cert_path, *key_path; /* a certificate chain and its key */
    const char *client_ca_path;       /* whose certificates clients may show; NULL: none */
    bool client_required;             /* and must */
    uint64_t ticket_lifetime_us;      /* for a session to be resumed in, at least a second */
    const struct clock *clock;
    const struct random_source *random;
};

/* Loads the files. TLS 1.2 or newer, forward secrecy only, ALPN h2 and http/1.1, sessions resumed
 * by tickets. SYNC_ERR_INVALID with one clear line in `error`. Shared by all threads. */
enum sync_status tls_open(const struct tls_options *options, struct sync_error *error,
                          struct tls **ret_tls);

/* Loads the files again for the connections to come; those that are open keep what they have. On
 * failure, told as tls_open does, everything stays. Thread-safe. */
enum sync_status tls_reload(struct tls *tls, struct sync_error *error);

/* Tells whether a file is not what it was when it was last loaded, well or not. Thread-safe. */
bool tls_files_changed(struct tls *tls);

/* When the certificate ends, in seconds since 1970; 0 when it does not tell. Thread-safe. */
int64_t tls_not_after_s(struct tls *tls);

/* Closes once no transport uses it; returns NULL. */
struct tls *tls_close(struct tls *tls);

enum {
    TRANSPORT_AGAIN = -1,  /* nothing now: wait for the socket */
    TRANSPORT_CLOSED = -2, /* the other side has ended */
    TRANSPORT_FAILED = -3  /* broken */
};

enum { TRANSPORT_PARTS_MAX = 64 }; /* written at once */
enum { TLS_KEY_UPDATES_MAX = 64 }; /* of a client on a connection; it needs one in gigabytes */

struct ssl_st;

/* A connected, non-blocking socket, in clear or through TLS. In its user's memory. */
struct transport {
    int fd;
    struct ssl_st *ssl;  /* NULL in clear */
    bool wants_write;    /* a TLS read waits for room to write */
    bool established;    /* TLS handshake over, or in clear */
    uint8_t key_updates; /* that came; reading fails beyond TLS_KEY_UPDATES_MAX */
};

/* Takes over `fd`; `tls` NULL is in clear. SYNC_ERR_NO_MEMORY leaves the fd to the caller. */
enum sync_status transport_init(struct transport *transport, int fd, struct tls *tls);

/* Closes the socket, saying goodbye in TLS where that does not block. */
void transport_done(struct transport *transport);

/* Reads up to `size` bytes: their count, or one of TRANSPORT_. */
ssize_t transport_read(struct transport *transport, uint8_t *bytes, size_t size);

/* Reads up to `size` bytes of the socket itself, without taking them: their count, or one of
 * TRANSPORT_. For what comes before TLS. */
ssize_t transport_peek(const struct transport *transport, uint8_t *bytes, size_t size);

/* Takes `size` bytes that transport_peek has shown. */
void transport_skip(const struct transport *transport, size_t size);

/* Writes what fits: the count written, or one of TRANSPORT_. After TRANSPORT_AGAIN the next write
 * must begin with the same bytes. */
ssize_t transport_write(struct transport *transport, struct slice bytes);

/* The same of several parts, one behind the other, of which none is empty; in TLS it is the first
 * alone. At most TRANSPORT_PARTS_MAX are looked at. */
ssize_t transport_write_parts(struct transport *transport, const struct slice *parts, size_t count);

/* Tells that bytes were read from the socket but not yet handed out, so that waiting for the
 * socket would be in vain. */
bool transport_has_pending(const struct transport *transport);

/* Tells the other side that nothing more will be written, but goes on reading. */
void transport_end_writing(struct transport *transport);

/* Tells whether ALPN chose HTTP/2. Known once established. */
bool transport_chose_http2(const struct transport *transport);

/* Appends who the client's verified certificate names, as one element of the header
 * X-Forwarded-Client-Cert that Envoy defined: Hash (SHA-256), Subject (RFC 2253), and each URI and
 * DNS name. Nothing where the client showed none. SYNC_ERR_TOO_LARGE beyond the buffer's bound.
 * Known once established. */
enum sync_status transport_identity(const struct transport *transport, struct buffer *out);

/* The TLS version, such as "TLSv1.3"; NULL in clear. Static. */
const char *transport_version(const struct transport *transport);

#endif
