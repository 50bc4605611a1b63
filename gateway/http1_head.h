/* HTTP/1 head: reads a complete request head. Used by gateway/http1 alone. */
#ifndef GATEWAY_HTTP1_HEAD_H
#define GATEWAY_HTTP1_HEAD_H

#include "base/limits.h"
#include "gateway/http1.h"

/* Why a head is refused. `status` 0 is well. */
struct http1_refusal {
    int status;
    const char *message; /* static memory */
};

/* Tells whether the byte may stand in a header name or method (RFC 9110 section 5.6.2). */
bool http1_is_token(uint8_t byte);

/* Tells whether the byte may stand in a header value: visible, space, tab or above 127. */
bool http1_is_field(uint8_t byte);

/* Reads `head`, complete lines that all end in CRLF with the empty line last; lowers the case of
 * names in place. Fills `request`, whose `headers` has room for HTTP_HEADERS_COUNT_MAX; slices
 * borrow from `head`. */
struct http1_refusal http1_head_read(uint8_t *head, size_t size, struct http1_request *request);

#endif
