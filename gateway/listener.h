/* Listener: accepts clients on one socket. One thread; SO_REUSEPORT shares a port among threads. */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include "gateway/address.h"
#include "gateway/worker.h"

struct listener;

/* Binds `count` sockets to one address, shared by SO_REUSEPORT, and listens. A port of 0 is chosen
 * by the system; `address` then tells it. SYNC_ERR_IO with one clear line in `error`, also when
 * another process has the port; no socket is then left. */
enum sync_status listener_bind(struct address *address, int *fds, unsigned count,
                               struct sync_error *error);

/* Accepts on `fd`, which it owns, also on failure. `tls` NULL is in clear. */
enum sync_status listener_open(struct worker *worker, int fd, struct tls *tls,
                               struct listener **ret_listener);

/* Stops accepting and closes the socket; returns NULL. */
struct listener *listener_close(struct listener *listener);

#endif
