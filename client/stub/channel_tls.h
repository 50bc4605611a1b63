/* Channel TLS: a channel's certificates, for the library. For client/stub alone. */
#ifndef CLIENT_STUB_CHANNEL_TLS_H
#define CLIENT_STUB_CHANNEL_TLS_H

#include <grpc/grpc_security.h>

#include "client/stub/channel.h"

/* Why the certificates cannot serve, as a static sentence; NULL when they can. The library itself
 * would fail every call with UNAVAILABLE. */
const char *channel_tls_fault(const struct stub_tls *tls);

/* The library's credentials, to be released. */
grpc_channel_credentials *channel_tls_credentials(const struct stub_tls *tls);

#endif
