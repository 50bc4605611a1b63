/* Client table: what each client address may take of the gateway at one time, whatever connections
 * it comes by. An IPv6 client is its /64. All functions are thread-safe. */
#ifndef GATEWAY_CLIENT_TABLE_H
#define GATEWAY_CLIENT_TABLE_H

#include "base/clock.h"
#include "gateway/network.h"

struct client_table;
struct client;

/* Bounds per client; 0: none. */
struct client_limits {
    unsigned connections_max;
    unsigned requests_max;   /* in flight */
    unsigned requests_per_s; /* a second's worth may come at once */
};

/* What became of a request. */
enum client_verdict { CLIENT_ADMITTED, CLIENT_TOO_MANY, CLIENT_TOO_FAST };

/* Opens a table, or NULL without memory. The clock outlives it. */
struct client_table *client_table_open(const struct client_limits *limits,
                                       const struct clock *clock);

/* Closes once no client is held; NULL is allowed; returns NULL. */
struct client_table *client_table_close(struct client_table *table);

/* Counts a connection of the client. False when it has as many as it may, or without memory;
 * otherwise client_disconnect gives it back. A NULL table admits all, with NULL as the client. */
bool client_connect(struct client_table *table, const struct ip *ip, struct client **ret_client);

/* Gives a connection back. NULL is allowed. */
void client_disconnect(struct client_table *table, struct client *client);

/* Counts a request of the client. Unless admitted nothing is counted; lack of memory is
 * CLIENT_TOO_MANY. Otherwise client_finish gives it back. A NULL table admits all. */
enum client_verdict client_request(struct client_table *table, const struct ip *ip,
                                   struct client **ret_client);

/* Gives a request back. NULL is allowed. */
void client_finish(struct client_table *table, struct client *client);

#endif
