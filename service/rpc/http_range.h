/* HTTP range: what a Range header and its conditions ask of a body of known size (RFC 9110,
 * sections 13 and 14). Pure. */
#ifndef SERVICE_RPC_HTTP_RANGE_H
#define SERVICE_RPC_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum http_range_kind {
    HTTP_RANGE_WHOLE,         /* no range, one that is not understood, or several */
    HTTP_RANGE_PART,          /* the bytes from `begin` to before `end` */
    HTTP_RANGE_UNSATISFIABLE, /* behind the end */
};

/* The bytes asked for: from `begin` up to, not including, `end`. */
struct http_range {
    enum http_range_kind kind;
    uint64_t begin, end;
};

/* Reads a Range header, such as "bytes=100-199", "bytes=100-" or "bytes=-100", for a body of `size`
 * bytes. */
struct http_range http_range_parse(struct slice header, uint64_t size);

/* Whether an If-None-Match header names the tag (weak comparison; "*" names any). The tag has its
 * quotes. */
bool http_tags_match(struct slice header, struct slice etag);

/* Whether an If-Range header lets the range count: it is empty or the very tag. */
bool http_if_range_holds(struct slice header, struct slice etag);

#endif
