/* Forwarded: whom trusted proxies say they speak for (RFC 7239, X-Forwarded-For). Pure. */
#ifndef GATEWAY_FORWARDED_H
#define GATEWAY_FORWARDED_H

#include "gateway/network.h"
#include "gateway/transcode.h"

/* The client behind `peer`. Where the peer is trusted, what it says of who spoke to it counts, and
 * so on from the last entry of X-Forwarded-For, or of Forwarded where there is none of those, to
 * the first whose speaker is not trusted. What is malformed ends the chain. */
struct ip forwarded_client(const struct networks *trusted, const struct ip *peer,
                           const struct transcode_header *headers, size_t header_count);

#endif
