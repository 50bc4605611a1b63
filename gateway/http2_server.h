/* HTTP/2 server: the requests of one connection, side by side. */
#ifndef GATEWAY_HTTP2_SERVER_H
#define GATEWAY_HTTP2_SERVER_H

#include <stdbool.h>

struct connection;

/* Makes the connection speak HTTP/2; false without memory. */
bool http2_server_start(struct connection *connection);

#endif
