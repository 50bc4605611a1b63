/* Health: grpc.health.v1 over the store's state and the program's. */
#ifndef SERVICE_RPC_HEALTH_H
#define SERVICE_RPC_HEALTH_H

#include <stdatomic.h>

#include "service/rpc/call.h"

/* In the memory of who wires the service; thread-safe. */
struct health {
    atomic_bool is_draining; /* set: no more calls are wanted */
};

/* Answers for the whole ("") and for each of our services; for "store", not serving from the first
 * read on that meets damage. Another name is NOT_FOUND. */
void health_check_handle(struct rpc_call *call);

#endif
