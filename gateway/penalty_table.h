/* Penalty table: the client addresses whose connections were lately cut for what they did. New ones
 * of theirs may be made to wait. An IPv6 client is its /64. All functions are thread-safe. */
#ifndef GATEWAY_PENALTY_TABLE_H
#define GATEWAY_PENALTY_TABLE_H

#include "base/clock.h"
#include "gateway/network.h"

enum {
    PENALTY_CUTS_MIN = 5, /* one client of many behind an address may have a fault */
    PENALTY_TIME_US = 10000000,
    PENALTY_ADDRESSES_MAX = 4096, /* beyond it, one that was not cut for long is forgotten */
};

struct penalty_table;

/* Opens a table, or NULL without memory. The clock outlives it. */
struct penalty_table *penalty_table_open(const struct clock *clock);

/* Closes; NULL is allowed; returns NULL. */
struct penalty_table *penalty_table_close(struct penalty_table *table);

/* A connection of the client was cut. A NULL table notes nothing. */
void penalty_note(struct penalty_table *table, const struct ip *ip);

/* Tells whether the client is to wait: PENALTY_CUTS_MIN connections of it were cut, none longer
 * than PENALTY_TIME_US after the one before, and the last not longer ago. */
bool penalty_is_due(struct penalty_table *table, const struct ip *ip);

#endif
