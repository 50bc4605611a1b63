/* Listen: what must hold of a socket path or an address before the library binds it. */
#ifndef SERVICE_RPC_LISTEN_H
#define SERVICE_RPC_LISTEN_H

#include "base/bytes.h"

/* Makes a Unix socket's path free: removes a socket that nobody answers on, left by a process that
 * ended badly. `error` says when somebody answers, when the path is something else, or too long. */
enum sync_status listen_unix_prepare(const char *path, struct sync_error *error);

/* Whether HOST:PORT names this machine alone: 127.0.0.0/8, [::1] or localhost. */
bool listen_address_is_loopback(struct slice address);

/* Whether the text is HOST:PORT with a port of 0 to 65535. */
bool listen_address_is_valid(struct slice address);

#endif
