/* Status: how a call ended, with the details of google.rpc decoded. */
#ifndef CLIENT_STUB_STATUS_H
#define CLIENT_STUB_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The codes of gRPC. */
enum stub_code {
    STUB_OK = 0,
    STUB_CANCELLED = 1,
    STUB_UNKNOWN = 2,
    STUB_INVALID_ARGUMENT = 3,
    STUB_DEADLINE_EXCEEDED = 4,
    STUB_NOT_FOUND = 5,
    STUB_ALREADY_EXISTS = 6,
    STUB_PERMISSION_DENIED = 7,
    STUB_RESOURCE_EXHAUSTED = 8,
    STUB_FAILED_PRECONDITION = 9,
    STUB_ABORTED = 10,
    STUB_OUT_OF_RANGE = 11,
    STUB_UNIMPLEMENTED = 12,
    STUB_INTERNAL = 13,
    STUB_UNAVAILABLE = 14,
    STUB_DATA_LOSS = 15,
    STUB_UNAUTHENTICATED = 16,
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. Static. */
const char *stub_code_name(enum stub_code code);

/* One field at fault (google.rpc.BadRequest). */
struct stub_violation {
    const char *field, *description;
};

/* A metadata entry. Keys are of [a-z0-9_.-]. The value of a key that ends in "-bin" is bytes (not
 * in base64, that is the wire's); others are printable ASCII. Of received ones a NUL stands behind
 * the value's `size` bytes. */
struct stub_metadata {
    const char *key;
    const void *value;
    size_t size;
};

/* How a call ended. What it points to lives until stub_status_done; a zeroed one holds nothing.
 * Texts are valid UTF-8, whatever the server sent. Without memory for the rest the code alone is
 * right. Belongs to one thread at a time. */
struct stub_status {
    enum stub_code code;
    const char *message; /* UTF-8, "" without */
    const char *reason;  /* google.rpc.ErrorInfo: the stable cause; NULL without */
    const char *domain;
    const struct stub_violation *violations;
    size_t violation_count;
    uint64_t retry_after_ms; /* google.rpc.RetryInfo, rounded up; 0 without */
    const void *details;     /* the packed google.rpc.Status as sent; NULL without */
    size_t details_size;
    const struct stub_metadata *initial, *trailing; /* metadata of the server */
    size_t initial_count, trailing_count;
    void *memory; /* the status's own */
};

/* Finds trailing, then initial metadata by key (lower case); NULL when there is none. */
const struct stub_metadata *stub_status_metadata(const struct stub_status *status, const char *key);

/* Releases what it holds and zeroes it. */
void stub_status_done(struct stub_status *status);

#endif
