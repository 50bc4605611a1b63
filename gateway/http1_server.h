/* HTTP/1 server: the requests of one connection, one after the other. */
#ifndef GATEWAY_HTTP1_SERVER_H
#define GATEWAY_HTTP1_SERVER_H

#include <stdbool.h>

struct connection;

/* Makes the connection speak HTTP/1; false without memory. */
bool http1_server_start(struct connection *connection);

#endif
