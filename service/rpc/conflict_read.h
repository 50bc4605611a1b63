/* Conflict read: a conflict with all that deciding it needs, as of one moment. */
#ifndef SERVICE_RPC_CONFLICT_READ_H
#define SERVICE_RPC_CONFLICT_READ_H

#include "service/core/conflict.h"
#include "service/rpc/service.h"

/* Lives in the arena that it was read into. */
struct conflict_reading {
    bool found; /* the members below count */
    struct conflict conflict;
    struct user_view view;        /* what conflict_touch asks for */
    struct batch_context context; /* by the service's clock, and the user's settings */
};

/* Reads a conflict by its id; one that is not there is no error. Blocks on the store. */
enum sync_status conflict_read(struct service *service, struct slice conflict_id,
                               struct arena *arena, struct conflict_reading *ret_reading);

#endif
