/* Connection types: the inside of a connection, for the connection*.c files alone. */
#ifndef GATEWAY_CONNECTION_TYPES_H
#define GATEWAY_CONNECTION_TYPES_H

#include "gateway/connection.h"

enum { CONNECTION_TURN_BYTES_MIN = 2 << 10 }; /* read in one turn, at first: others wait too */

/* connection.c */

/* Watches the socket for what is waited for. */
void connection_watch(struct connection *connection);

/* Notes a change of phase. */
void connection_note_phase(struct connection *connection);

/* Has a new connection wait where others of its client's address were often cut. */
void connection_penalize(struct connection *connection);

/* TLS is agreed on, or never will be. */
void connection_leave_handshake(struct connection *connection);

/* connection_input.c */

/* Reads as much as one turn allows, and has it served. May close the connection. */
void connection_read(struct connection *connection);

#endif
