/* Peer: who is at the other end of a connection, as far as the gateway knows. */
#ifndef GATEWAY_PEER_H
#define GATEWAY_PEER_H

#include <stdbool.h>

#include "base/bytes.h"

/* In the connection's memory; exchanges read it while the connection lives. */
struct peer {
    bool secure;             /* it came by TLS */
    const char *tls_version; /* static; NULL in clear */
    struct slice identity;   /* of its certificate, as transport_identity tells; or empty */
};

#endif
