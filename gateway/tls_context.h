/* TLS inside: what tls.c lends to the transport. For the gateway/tls files alone. */
#ifndef GATEWAY_TLS_CONTEXT_H
#define GATEWAY_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "gateway/tls.h"

/* A connection of the context that is in force, or NULL without memory. Thread-safe. */
SSL *tls_connection(struct tls *tls);

/* Appends who a verified certificate names, as tls.h says of transport_identity. */
void tls_identity_write(X509 *certificate, struct buffer *out);

#endif
