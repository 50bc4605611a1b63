/* gRPC metadata: what of a request's headers is handed on to the service, and whether it may be.
 *
 * The service's library closes its whole connection for one invalid base64 text or for more bytes
 * than it takes, so nothing goes there unseen. Pure. */
#ifndef GATEWAY_GRPC_METADATA_H
#define GATEWAY_GRPC_METADATA_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "gateway/transcode.h"

enum {
    METADATA_ENTRY_BYTES = 32, /* what gRPC counts beside name and value */
    METADATA_COUNT_MAX = HTTP_HEADERS_COUNT_MAX,
};

/* In the caller's memory. Slices borrow from the headers. */
struct grpc_metadata {
    struct transcode_header list[METADATA_COUNT_MAX];
    size_t count;
    size_t bytes; /* as gRPC counts them; begins with what the call has anyway */
};

enum grpc_metadata_fault {
    GRPC_METADATA_OK,
    GRPC_METADATA_TOO_LARGE,    /* GRPC_METADATA_MAX bytes in all, or METADATA_COUNT_MAX entries */
    GRPC_METADATA_BAD_NAME,     /* not of lower-case letters, digits, '_', '-' and '.' */
    GRPC_METADATA_BAD_VALUE,    /* not of printable ASCII */
    GRPC_METADATA_BAD_ENCODING, /* a "-bin" value that is not base64 */
};

/* Adds an entry that is known to be well. */
enum grpc_metadata_fault grpc_metadata_add(struct grpc_metadata *metadata, struct slice name,
                                           struct slice value);

/* Adds the headers that are metadata; those of HTTP's own, of a browser and of the gateway are left
 * out. Several values of a "-bin" header, joined by commas, become entries of their own. On a fault
 * `ret_name` (may be NULL) is the name of its header. */
enum grpc_metadata_fault grpc_metadata_gather(struct grpc_metadata *metadata,
                                              const struct transcode_header *headers, size_t count,
                                              struct slice *ret_name);

/* What a client is told of a fault, after the name of the header. Static. */
const char *grpc_metadata_fault_text(enum grpc_metadata_fault fault);

/* The value of a character of base64's standard alphabet, or -1. */
int grpc_base64_value(uint8_t byte);

/* Tells whether the text is base64 as gRPC's readers take it: the standard alphabet, padded or not,
 * spare bits zero. */
bool grpc_metadata_is_base64(struct slice text);

#endif
