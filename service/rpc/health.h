/* Health: grpc.health.v1 over the store's state and the program's. */
#ifndef SERVICE_RPC_HEALTH_H
#define SERVICE_RPC_HEALTH_H

#include <stdatomic.h>

#include "service/rpc/call.h"

/* In the memory of who wires the service; thread-safe. */
struct health {
    atomic_bool is_draining; /* set: no more calls are wanted */
    atomic_uint watches;     /* Watch calls under way */
};

/* Answers for the whole ("") and for each of our services; for "store", not serving from the first
 * read on that meets damage. Another name is NOT_FOUND. */
void health_check_handle(struct rpc_call *call);

/* Tells the same, and again after each change; another name is SERVICE_UNKNOWN. At most
 * HEALTH_WATCHES_MAX at once: anybody may ask. */
void health_watch_handle(struct rpc_call *call);

/* The state of the whole (""), of a service or of the store, as the number that grpc.health.v1
 * gives it; SERVICE_UNKNOWN for another name. */
int health_state(const struct service *service, const char *name);

#endif
