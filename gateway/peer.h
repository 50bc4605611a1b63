/* Peer: who is at the other end of a connection, as far as the gateway knows. */
#ifndef GATEWAY_PEER_H
#define GATEWAY_PEER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "gateway/client_table.h"

/* In the connection's memory; exchanges read it while the connection lives. */
struct peer {
    struct ip ip;            /* the socket's, or what a trusted proxy says by the PROXY protocol */
    bool trusted;            /* a proxy whose forwarded headers count */
    struct client *client;   /* whom the connection counts for, or NULL */
    const char *protocol;    /* such as "HTTP/2"; static; NULL until known */
    bool is_http2;           /* what it speaks, once known */
    bool secure;             /* it came by TLS */
    const char *tls_version; /* static; NULL in clear */
    struct slice identity;   /* of its certificate, as transport_identity tells; or empty */
};

#endif
