/* gRPC status: the canonical codes and their HTTP faces. Pure. */
#ifndef GATEWAY_GRPC_STATUS_H
#define GATEWAY_GRPC_STATUS_H

#include "base/bytes.h"

/* The codes (google/rpc/code.proto). */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* The code's name, such as "INVALID_ARGUMENT"; "UNKNOWN" for numbers that are no code. Static. */
struct slice grpc_code_name(int code);

/* The HTTP status of an error (google/rpc/code.proto); 500 for numbers that are no code. */
int http_status_of_grpc(int code);

/* The code that an HTTP status of something that is no gRPC stands for. */
int grpc_code_of_http(int http_status);

/* The standard phrase of an HTTP status, such as "Not Found"; "Status" when unknown. Static. */
const char *http_status_phrase(int status);

#endif
