#include "service/rpc/status_map.h"

enum rpc_code sync_status_to_grpc(enum sync_status status) {
    switch (status) {
    case SYNC_OK:
        return RPC_OK;
    case SYNC_ERR_INVALID:
    case SYNC_ERR_TOO_LARGE:
        return RPC_INVALID_ARGUMENT;
    case SYNC_ERR_NOT_FOUND:
        return RPC_NOT_FOUND;
    case SYNC_ERR_DENIED:
        return RPC_PERMISSION_DENIED;
    case SYNC_ERR_UNAUTHENTICATED:
        return RPC_UNAUTHENTICATED;
    case SYNC_ERR_EXHAUSTED:
        return RPC_RESOURCE_EXHAUSTED;
    case SYNC_ERR_PRECONDITION:
        return RPC_FAILED_PRECONDITION;
    case SYNC_ERR_EXISTS:
        return RPC_ALREADY_EXISTS;
    case SYNC_ERR_UNIMPLEMENTED:
        return RPC_UNIMPLEMENTED;
    case SYNC_ERR_CANCELLED:
        return RPC_CANCELLED;
    case SYNC_ERR_DEADLINE:
        return RPC_DEADLINE_EXCEEDED;
    case SYNC_ERR_HEAD_MOVED:
        return RPC_ABORTED;
    case SYNC_ERR_BUSY:
    case SYNC_ERR_UNAVAILABLE:
    case SYNC_ERR_NO_MEMORY:
    case SYNC_ERR_STORE_BROKEN:
        return RPC_UNAVAILABLE;
    case SYNC_ERR_CORRUPT:
    case SYNC_ERR_IO:
    case SYNC_ERR_INTERNAL:
    case SYNC_ERR_FATAL_BAND:
        return RPC_INTERNAL;
    }
    return RPC_INTERNAL;
}

const char *rpc_code_name(enum rpc_code code) {
    static const char *const names[RPC_CODES] = {
        [RPC_OK] = "OK",
        [RPC_CANCELLED] = "Canceled",
        [RPC_UNKNOWN] = "Unknown",
        [RPC_INVALID_ARGUMENT] = "InvalidArgument",
        [RPC_DEADLINE_EXCEEDED] = "DeadlineExceeded",
        [RPC_NOT_FOUND] = "NotFound",
        [RPC_ALREADY_EXISTS] = "AlreadyExists",
        [RPC_PERMISSION_DENIED] = "PermissionDenied",
        [RPC_RESOURCE_EXHAUSTED] = "ResourceExhausted",
        [RPC_FAILED_PRECONDITION] = "FailedPrecondition",
        [RPC_ABORTED] = "Aborted",
        [RPC_OUT_OF_RANGE] = "OutOfRange",
        [RPC_UNIMPLEMENTED] = "Unimplemented",
        [RPC_INTERNAL] = "Internal",
        [RPC_UNAVAILABLE] = "Unavailable",
        [RPC_DATA_LOSS] = "DataLoss",
        [RPC_UNAUTHENTICATED] = "Unauthenticated",
    };
    return (unsigned)code < RPC_CODES ? names[code] : names[RPC_UNKNOWN];
}

bool sync_status_is_internal(enum sync_status status) {
    return status <= SYNC_ERR_NO_MEMORY;
}
