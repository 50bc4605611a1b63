/* Bundle stream: a stored container sent piece by piece as google.api.HttpBody, whole or a range of
 * it, with the head of its HTTP answer in the first message. */
#ifndef SERVICE_RPC_BUNDLE_STREAM_H
#define SERVICE_RPC_BUNDLE_STREAM_H

#include "service/rpc/call.h"
#include "service/rpc/storage.h"

enum { STREAM_PIECE_BYTES = 256 << 10 };

/* The conditions of the request. Slices live as long as the call. */
struct bundle_conditions {
    uint64_t offset; /* the first byte wanted, where no range is given */
    struct slice range, if_none_match, if_range;
};

/* Sends a built bundle and ends the call; counts the download. Call it on a thread that may
 * block. */
void bundle_stream_start(struct rpc_call *call, const struct bundle *bundle,
                         const struct bundle_conditions *conditions);

#endif
