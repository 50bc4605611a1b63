/* Reflection: grpc.reflection.v1 and v1alpha, whose messages are the same on the wire. */
#ifndef SERVICE_RPC_REFLECTION_H
#define SERVICE_RPC_REFLECTION_H

#include "service/rpc/call.h"
#include "service/rpc/reflection_index.h"

/* Answers each request of the client's stream in turn. */
void reflection_info_handle(struct rpc_call *call);

/* Appends the answer to one packed ServerReflectionRequest; a request that asks nothing known is
 * answered with an error inside the answer. */
void reflection_answer(const struct reflection_index *index, struct slice request,
                       struct buffer *out);

#endif
