/* Conflict due: settles a conflict whose deadline has come. For the thread of retention. */
#ifndef SERVICE_RPC_CONFLICT_DUE_H
#define SERVICE_RPC_CONFLICT_DUE_H

#include "service/rpc/service.h"

/* Settles the conflict in its user's lane, where `expiry_key` says that it is due, and removes that
 * row with it; it also goes when there is nothing to settle any more. Waits for the lane: not on a
 * thread of the store or the pool. `ret_settled` tells whether the conflict was still waiting. */
enum sync_status conflict_due_settle(struct service *service, struct slice conflict_id,
                                     struct slice expiry_key, bool *ret_settled);

#endif
