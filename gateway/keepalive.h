/* Keepalive: how it is noticed that the other side of a connection has vanished without a word. */
#ifndef GATEWAY_KEEPALIVE_H
#define GATEWAY_KEEPALIVE_H

#include <stdint.h>

/* By value. */
struct keepalive {
    uint64_t after_us;   /* of silence: then the other side is asked; 0: never */
    uint64_t timeout_us; /* for its answer */
};

/* Has the system ask on a TCP socket, and give up where nothing is acknowledged. What a listening
 * socket is told, the sockets have that it accepts. */
void keepalive_start(int fd, const struct keepalive *keepalive);

#endif
