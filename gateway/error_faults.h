/* Error faults: what the gateway found at fault in a request, and what the service did, as one
 * google.rpc.BadRequest. */
#ifndef GATEWAY_ERROR_FAULTS_H
#define GATEWAY_ERROR_FAULTS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "gateway/transcode.h"

/* The faults told, in short. Slices borrow. */
struct error_faults {
    size_t count;
    struct slice path, description; /* of the first */
};

/* Appends a google.rpc.Status: a BadRequest that names the gateway's `faults` and those of
 * `details` (a google.rpc.Status of the service's in wire form, or empty) in the order of their
 * paths, then the other details as they are. The service has not seen what the gateway left out: of
 * its faults those in a field that the gateway named are dropped, and those that miss a field in
 * which the gateway named something (reason "REQUIRED"). Details that are malformed count as empty;
 * of their faults at most BATCH_FAULTS_MAX are told. SYNC_ERR_NO_MEMORY or SYNC_ERR_TOO_LARGE. The
 * arena gives working memory. */
enum sync_status error_faults_write(struct buffer *out, const struct transcode_faults *faults,
                                    struct slice details, struct arena *arena,
                                    struct error_faults *ret_told);

#endif
