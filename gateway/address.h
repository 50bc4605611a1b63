/* Address: where to listen and where to connect, as text and as the system has it. */
#ifndef GATEWAY_ADDRESS_H
#define GATEWAY_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/status.h"

enum { ADDRESS_TEXT_MAX = 128 };

/* A socket address of any family. In its user's memory, freely copied. */
struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Reads "HOST:PORT", "[V6]:PORT", ":PORT" (any address) or "unix:PATH". Host names are resolved by
 * the system. SYNC_ERR_INVALID with one clear line in `error`. */
enum sync_status address_parse(const char *text, struct sync_error *error,
                               struct address *ret_address);

/* Tells whether only this machine can reach the address. */
bool address_is_loopback(const struct address *address);

/* Writes the address as address_parse reads it, with numbers. */
void address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

#endif
