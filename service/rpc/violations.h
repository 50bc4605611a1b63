/* Violations: the syntactic faults of one request, collected so that all are told at once, in the
 * order of their paths. */
#ifndef SERVICE_RPC_VIOLATIONS_H
#define SERVICE_RPC_VIOLATIONS_H

#include "base/limits.h"
#include "service/rpc/call.h"

/* In the caller's memory; texts live in the arena. */
struct violations {
    struct arena *arena;
    struct rpc_violation *list; /* at most BATCH_FAULTS_MAX */
    size_t count, capacity, omitted;
    size_t elsewhere; /* found by the gateway, which names them itself */
    bool no_memory;
};

/* Begins with as many faults as the gateway found (rpc_call_faults). */
void violations_init(struct violations *violations, struct arena *arena, size_t elsewhere);

/* Adds a fault of the field whose path `field` is. `reason` is static. */
void violations_add(struct violations *violations, const char *field, const char *reason,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Adds a fault as a function of the core told it. */
void violations_add_error(struct violations *violations, const struct sync_error *error,
                          const char *reason);

/* Whether there is any, the gateway's included. */
bool violations_any(const struct violations *violations);

/* Ends the call when there is any (or when memory ran out on the way) and tells so. */
bool violations_end(struct violations *violations, struct rpc_call *call);

/* Checks shared by requests; each adds what it finds. */

/* A required UUID. */
void violations_check_uuid(struct violations *violations, const char *field, const char *text);

/* A page's size: 0 (then the default) to `size_max`. Returns the size that counts. */
size_t violations_check_page_size(struct violations *violations, int32_t size, size_t size_default,
                                  size_t size_max);

/* A known data type, the one at `index` of "dataTypes". */
void violations_check_type(struct violations *violations, size_t index, int type);

#endif
