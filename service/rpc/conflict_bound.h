/* Conflict bound: keeps what is kept of a user's decided conflicts within a number. For the thread
 * of retention. */
#ifndef SERVICE_RPC_CONFLICT_BOUND_H
#define SERVICE_RPC_CONFLICT_BOUND_H

#include "service/rpc/service.h"

/* Of each user who has more than retention.decisions_max conflicts that are resolved, by himself or
 * without him, removes the oldest; those that wait are not counted and stay. Waits for the users'
 * lanes: not on a thread of the store or the pool. Adds to `count` how many went, also when it
 * fails. */
enum sync_status conflict_bound_keep(struct service *service, uint64_t *count);

#endif
