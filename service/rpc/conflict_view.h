/* Conflict view: a stored conflict as a call reads and shows it. */
#ifndef SERVICE_RPC_CONFLICT_VIEW_H
#define SERVICE_RPC_CONFLICT_VIEW_H

#include "service/core/conflict_hold.h"
#include "service/rpc/messages.h"

/* A conflict as the API shows it, or NULL when there is no room. Of an open one `hold` has the
 * changes that wait behind it; NULL: none do. Documents are borrowed. */
PB(Conflict) *conflict_message(const struct conflict *conflict, const struct conflict_hold *hold,
                               struct arena *arena);

/* What waits behind a conflict that is open; nothing of one that is not. Lives in the arena. */
enum sync_status conflict_load_hold(struct store *store, const struct conflict *conflict,
                                    struct arena *arena, struct conflict_hold *ret_hold);

/* Reads a conflict of the caller's into the call's arena. SYNC_ERR_NOT_FOUND, SYNC_ERR_DENIED when
 * it is another user's; `error` (NULL is allowed) says what is wrong. */
enum sync_status conflict_load(struct rpc_call *call, struct slice conflict_id,
                               struct sync_error *error, struct conflict *ret_conflict);

/* The same as the API shows it: also one that is stored without its documents has them, as long as
 * the log reaches back to it. */
enum sync_status conflict_show(struct rpc_call *call, struct slice conflict_id,
                               struct sync_error *error, PB(Conflict) **ret_message);

#endif
