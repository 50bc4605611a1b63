/* Methods: every RPC that the service knows, those of later versions without a handler. */
#ifndef SERVICE_RPC_METHODS_H
#define SERVICE_RPC_METHODS_H

#include "service/rpc/call.h"

/* The table and its size. Static; each call fills it, so one thread at a time. */
const struct rpc_method *service_methods(size_t *ret_count);

#endif
