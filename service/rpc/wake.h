/* Wake: turns what happens on any thread (a commit, a timer, a message) into runs of one function
 * on the pool, never two at once. Causes that come together are told together. */
#ifndef SERVICE_RPC_WAKE_H
#define SERVICE_RPC_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/work_pool.h"

struct wake;

/* Runs on a thread of the pool with the causes since the last run; it may block. False: it is over;
 * the wake is not touched any more and may be gone, or be woken in vain. */
typedef bool wake_run(struct wake *wake, unsigned causes);

enum { WAKE_QUEUED = 1 /* not a cause: the task is queued or runs */, WAKE_CAUSE_FIRST = 2 };

/* In the caller's memory. */
struct wake {
    struct work_pool *pool;
    wake_run *run;
    struct work_task task;
    atomic_uint causes;
};

/* Prepares; nothing runs before wake_start. */
void wake_init(struct wake *wake, struct work_pool *pool, wake_run *run);

/* The first run, on this thread, with the causes that have come since wake_init and
 * `cause` (0: none). */
void wake_start(struct wake *wake, unsigned cause);

/* Tells a cause, a bit from WAKE_CAUSE_FIRST on. Any thread; does not block. */
void wake_up(struct wake *wake, unsigned cause);

#endif
