/* Error body: the JSON that every error answer has, and what its details say beside. */
#ifndef GATEWAY_ERROR_BODY_H
#define GATEWAY_ERROR_BODY_H

#include "base/arena.h"
#include "base/bytes.h"
#include "gateway/transcode.h"

enum { RESPONSE_HEAD_HEADERS_MAX = 16 };

/* A travelsense.http.v1.ResponseHead. Slices borrow from the message. */
struct response_head {
    int status; /* 0: not given */
    struct transcode_header headers[RESPONSE_HEAD_HEADERS_MAX];
    size_t header_count;
};

/* Reads a ResponseHead in wire form; hop-by-hop headers, malformed names and values are dropped.
 * Unreadable bytes leave what was read before them. */
void response_head_read(struct slice wire, struct response_head *head);

/* One google.protobuf.Any in wire form, taken apart. Slices borrow. */
struct any_parts {
    struct slice type_name; /* after the last '/' of the URL */
    struct slice type_url;
    struct slice value;
};

/* False when malformed. */
bool any_read(struct slice wire, struct any_parts *ret_parts);

/* What details say that is no part of the body. */
struct error_hints {
    int retry_after_s; /* from google.rpc.RetryInfo, rounded up, at least 1; 0: not given */
    struct response_head head;
};

/* Appends {"error":{"code","status","message","details"}}. `details` is a google.rpc.Status in wire
 * form or empty; details that neither the schema nor `more` (which may be NULL) can resolve are
 * dropped, a ResponseHead goes to `ret_hints` (which borrows from `details`). */
void error_body_write(struct buffer *out, const struct schema *schema, const struct schema *more,
                      int http_status, struct slice status_name, struct slice message,
                      struct slice details, struct error_hints *ret_hints);

/* Appends a google.rpc.Status with one ErrorInfo. */
void error_info_details(struct buffer *out, struct slice reason, struct slice domain);

#endif
