/* TLS client: how a backend is spoken to by TLS. */
#ifndef GATEWAY_TLS_CLIENT_H
#define GATEWAY_TLS_CLIENT_H

#include "base/status.h"
#include "gateway/tls.h"

struct tls_client;

/* Paths are of PEM files, and outlive the client. */
struct tls_client_options {
    const char *ca_path; /* who may vouch for backends; NULL: those the system trusts */
    const char *cert_path, *key_path; /* what we show when asked; NULL: nothing */
};

/* Loads the files. TLS 1.2 or newer, forward secrecy only, ALPN h2, certificates always verified.
 * SYNC_ERR_INVALID with one clear line in `error`. Shared by all threads. */
enum sync_status tls_client_open(const struct tls_client_options *options, struct sync_error *error,
                                 struct tls_client **ret_client);

/* Loads the files again, for the connections to come; when that fails, what was loaded before stays
 * in force. SYNC_ERR_INVALID or SYNC_ERR_NO_MEMORY. Any thread, one at a time. */
enum sync_status tls_client_reload(struct tls_client *client, struct sync_error *error);

/* Tells whether the files are others than at the last load, well or not. */
bool tls_client_files_changed(const struct tls_client *client);

/* Closes once no transport uses it; returns NULL. */
struct tls_client *tls_client_close(struct tls_client *client);

/* Takes over a socket, whose connect may be under way: the handshake goes with the first bytes read
 * and written, and fails unless the certificate is of `host`, a name or an IP address.
 * SYNC_ERR_NO_MEMORY leaves the socket to the caller. */
enum sync_status tls_client_connect(struct tls_client *client, int fd, const char *host,
                                    struct transport *ret_transport);

#endif
