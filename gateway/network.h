/* Network: IP addresses of clients, and the networks that the operator trusts. Pure. */
#ifndef GATEWAY_NETWORK_H
#define GATEWAY_NETWORK_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "gateway/address.h"

enum { IP_TEXT_MAX = 46, NETWORKS_MAX = 32 };

/* An IPv6 address, or an IPv4 one mapped into it (RFC 4291 section 2.5.5.2). By value. */
struct ip {
    uint8_t bytes[16];
};

/* The address's IP; false where it has none. */
bool ip_of_address(const struct address *address, struct ip *ret_ip);

/* Reads "192.0.2.1", "2001:db8::1", and either with a port as proxies write it: "192.0.2.1:80",
 * "[2001:db8::1]:80", "[2001:db8::1]". */
bool ip_parse(struct slice text, struct ip *ret_ip);

/* The part of a client's address that it cannot change at will: of IPv6 its /64. */
struct ip ip_of_client(const struct ip *ip);

/* Tells whether it is an IPv4 address. */
bool ip_is_v4(const struct ip *ip);

/* Writes the address with numbers, NUL-terminated, IPv4 as such. */
void ip_format(const struct ip *ip, char text[IP_TEXT_MAX]);

/* Networks by prefix. In its user's memory, freely copied. */
struct networks {
    struct {
        struct ip ip;
        unsigned bits; /* of 128 */
    } list[NETWORKS_MAX];
    size_t count;
};

/* Reads "10.0.0.0/8,2001:db8::/32,192.0.2.7"; an empty text is no network. SYNC_ERR_INVALID with
 * one clear line in `error`. */
enum sync_status networks_parse(const char *text, struct sync_error *error,
                                struct networks *ret_networks);

/* Tells whether one of the networks has the address. */
bool networks_have(const struct networks *networks, const struct ip *ip);

#endif
