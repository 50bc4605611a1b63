/* Proxy header: what a load balancer tells of its client before the client's first byte (the PROXY
 * protocol, versions 1 and 2, as HAProxy defines it). Pure. */
#ifndef GATEWAY_PROXY_HEADER_H
#define GATEWAY_PROXY_HEADER_H

#include "gateway/network.h"

enum {
    PROXY_V1_MAX = 107, /* bytes of the line */
    PROXY_V2_MAX = 16 + 512,
};

enum proxy_result {
    PROXY_MORE, /* the bytes are the beginning of a header */
    PROXY_DONE, /* the header is complete */
    PROXY_BAD,  /* they are none, or larger than the bound */
};

struct proxy_header {
    size_t size;     /* what follows is the client's */
    bool has_source; /* false: the proxy speaks for itself, or does not know */
    struct ip source;
};

/* Reads a header from the front of `bytes`; `ret_header` is set when it is done. */
enum proxy_result proxy_header_read(struct slice bytes, struct proxy_header *ret_header);

#endif
