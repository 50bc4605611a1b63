/* Address: where to listen and where to connect, as text and as the system has it. */
#ifndef GATEWAY_ADDRESS_H
#define GATEWAY_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/status.h"

enum { ADDRESS_TEXT_MAX = 128, ADDRESS_PORT_TEXT_MAX = 6 };

/* A socket address of any family. In its user's memory, freely copied. */
struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Reads "HOST:PORT", "[V6]:PORT", ":PORT" (any address) or "unix:PATH". Host names are resolved by
 * the system. SYNC_ERR_INVALID with one clear line in `error`. */
enum sync_status address_parse(const char *text, struct sync_error *error,
                               struct address *ret_address);

/* Reads an address to connect to, without asking anyone: SYNC_ERR_NOT_FOUND, and `error` as it was,
 * when the host is a name; SYNC_ERR_INVALID as address_parse. */
enum sync_status address_parse_numeric(const char *text, struct sync_error *error,
                                       struct address *ret_address);

/* Takes "HOST:PORT" or "[V6]:PORT" apart; the host may be empty. SYNC_ERR_INVALID as
 * address_parse. */
enum sync_status address_split(const char *text, struct sync_error *error,
                               char ret_host[ADDRESS_TEXT_MAX],
                               char ret_port[ADDRESS_PORT_TEXT_MAX]);

/* Tells whether two addresses are the same. */
bool address_equal(const struct address *a, const struct address *b);

/* Tells whether an address is one of `count`. */
bool address_is_among(const struct address *one, const struct address *addresses, size_t count);

/* Tells whether only this machine can reach the address. */
bool address_is_loopback(const struct address *address);

/* Writes the address as address_parse reads it, with numbers. */
void address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

#endif
