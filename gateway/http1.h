/* HTTP/1: a strict push parser of requests (RFC 9112). Pure: bytes in, events out, no I/O.
 *
 * The same bytes give the same events however they are cut into feeds, but for where bodies are
 * cut. Whatever two parsers could read differently is refused: bare LF, line folding, space before
 * a colon, NUL, a length beside a transfer coding, repeated lengths. */
#ifndef GATEWAY_HTTP1_H
#define GATEWAY_HTTP1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "gateway/transcode.h"

struct http1_parser;

enum http1_event_kind {
    HTTP1_NEED_MORE, /* everything fed is used up */
    HTTP1_HEAD,      /* http1_request tells the request; next: BODY, END or ERROR */
    HTTP1_BODY,      /* some of the body; next: BODY, END or ERROR */
    HTTP1_END,       /* the request is complete; next: HEAD of the next one */
    HTTP1_ERROR,     /* answer with `status` and close; the parser stays in this state */
};

/* An error's status where the client does not speak HTTP at all: close without an answer. */
enum { HTTP1_STATUS_NONE = -1 };

struct http1_event {
    enum http1_event_kind kind;
    struct slice body; /* HTTP1_BODY: borrowed from what was fed */
    int status; /* HTTP1_ERROR: 400, 413, 414, 417, 431, 501, 503, 505 or HTTP1_STATUS_NONE */
    const char *message; /* HTTP1_ERROR: a sentence; static memory */
};

/* The head of a request. Slices live until the parser is fed after HTTP1_END. */
struct http1_request {
    struct slice method;
    struct slice path;  /* percent-encoded as sent, begins with '/', or "*" */
    struct slice query; /* without '?' */
    struct slice host;
    struct slice authority; /* of a target in absolute form, the same as the host; or empty */
    struct transcode_header *headers; /* names in lower case, values trimmed */
    size_t header_count;
    int minor_version; /* 0 or 1 */
    bool keep_alive;
    bool expects_continue;
    bool chunked;
    uint64_t content_length; /* 0 when chunked or absent */
};

/* Opens a parser, or NULL without memory. */
struct http1_parser *http1_open(void);

/* Closes; returns NULL. */
struct http1_parser *http1_close(struct http1_parser *parser);

/* Takes bytes off the front of `input` and tells what they were. Call until HTTP1_NEED_MORE. Lack
 * of memory is HTTP1_ERROR with status 503. */
void http1_feed(struct http1_parser *parser, struct slice *input, struct http1_event *ret_event);

/* The head last announced by HTTP1_HEAD. */
const struct http1_request *http1_request(const struct http1_parser *parser);

/* Bytes of memory that the head takes, also once its request is over. */
size_t http1_head_bytes(const struct http1_parser *parser);

/* Gives up the head of a request that is over, unless it is small. */
void http1_forget_head(struct http1_parser *parser);

/* Tells whether the parser is between requests, with nothing of the next one seen. */
bool http1_is_idle(const struct http1_parser *parser);

/* Bytes of body still to come; SIZE_MAX when chunked and not at its end. */
uint64_t http1_body_left(const struct http1_parser *parser);

#endif
