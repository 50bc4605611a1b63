/* Error details: a google.rpc.Status with its details, as the trailer grpc-status-details-bin
 * carries it.
 *
 * Written part by part; a part that would not fit the bound is left out whole, so that the trailers
 * as a whole stay below what a peer accepts. Not shared between threads.
 *
 * Of a unary call, more than the trailer holds goes to a client that asks for it by the metadata
 * "accept-status-details: message": the answer's metadata are then "status-details: message", its
 * one message is the google.rpc.Status, and the status follows as always, without that trailer. */
#ifndef SERVICE_RPC_ERROR_DETAILS_H
#define SERVICE_RPC_ERROR_DETAILS_H

#include "base/bytes.h"
#include "service/rpc/call.h"
#include "service/rpc/status_map.h"

enum {
    /* Base64 makes 5,600 bytes of it; with the message, at most three times its size when escaped,
     * the trailers stay below 7 kB. */
    ERROR_DETAILS_MAX = 4200,
    /* The same as a message: room for all faults of a batch, each with a path and a sentence as
     * long as they get. */
    ERROR_DETAILS_LARGE_MAX = 6 << 20,
    /* What BadRequest leaves for the details that come after it. */
    ERROR_DETAILS_RESERVE = 400,
};

/* In the caller's memory; one field, a google.rpc.Status in the making. */
struct error_details {
    struct buffer bytes;
    size_t size_max;
};

/* One name and value: of ErrorInfo's metadata, or a header. */
struct error_pair {
    const char *name;
    const char *value;
};

/* Begins a status with code and message that fits the trailers. */
void error_details_init(struct error_details *details, enum rpc_code code, struct slice message);

/* Begins one that goes as a message. */
void error_details_init_large(struct error_details *details, enum rpc_code code,
                              struct slice message);

/* Releases the memory. */
void error_details_done(struct error_details *details);

/* ErrorInfo: reason, the domain "sync.travelsense", and `count` pairs. */
void error_details_add_info(struct error_details *details, const char *reason,
                            const struct error_pair *pairs, size_t count);

/* BadRequest: the violations. Returns how many found room. */
size_t error_details_add_fields(struct error_details *details,
                                const struct rpc_violation *violations, size_t count);

/* RetryInfo. */
void error_details_add_retry(struct error_details *details, uint64_t delay_ms);

/* QuotaFailure with one violation. */
void error_details_add_quota(struct error_details *details, struct slice subject,
                             struct slice description);

/* PreconditionFailure with one violation. */
void error_details_add_precondition(struct error_details *details, const char *type,
                                    struct slice subject, struct slice description);

/* travelsense.http.v1.ResponseHead with headers. */
void error_details_add_head(struct error_details *details, const struct error_pair *headers,
                            size_t count);

/* The status so far; empty when there was no memory for it. Lives until the next call. */
struct slice error_details_bytes(const struct error_details *details);

#endif
