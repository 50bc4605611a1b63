/* Status map: the one place where sync_status becomes a gRPC status code. Pure. */
#ifndef SERVICE_RPC_STATUS_MAP_H
#define SERVICE_RPC_STATUS_MAP_H

#include "base/status.h"

/* The status codes of gRPC, by their numbers on the wire. */
enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
    RPC_CODES,
};

/* The code for a status. Statuses of no known value are RPC_INTERNAL. */
enum rpc_code sync_status_to_grpc(enum sync_status status);

/* The code's name as gRPC's metrics write it, such as "InvalidArgument". Static memory. */
const char *rpc_code_name(enum rpc_code code);

/* Whether the status is a fault of ours, whose details concern the operator and not the caller. */
bool sync_status_is_internal(enum sync_status status);

#endif
