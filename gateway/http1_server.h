/* HTTP/1 server: the requests of one connection, one after the other. */
#ifndef GATEWAY_HTTP1_SERVER_H
#define GATEWAY_HTTP1_SERVER_H

#include <stdbool.h>

/* What a client is told for whom there is no room. */
#define HTTP1_NO_ROOM                                                                              \
    "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"                  \
    "content-length: 0\r\n\r\n"

struct connection;

/* Makes the connection speak HTTP/1; false without memory. */
bool http1_server_start(struct connection *connection);

#endif
