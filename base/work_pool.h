/* Work pool: threads that run tasks which may block (database waits), so that queue threads do not.
 */
#ifndef BASE_WORK_POOL_H
#define BASE_WORK_POOL_H

#include <stddef.h>

#include "base/status.h"

struct work_pool;

/* A task, embedded in what it works for; the pool keeps only the pointer. */
struct work_task {
    struct work_task *next;
    void (*run)(struct work_task *task);
};

/* Starts `threads` threads with a queue of at most `queue_max` tasks. `name` shows in debuggers. */
enum sync_status work_pool_open(const char *name, unsigned threads, size_t queue_max,
                                struct work_pool **ret_pool);

/* Runs what is queued, then joins the threads; returns NULL. */
struct work_pool *work_pool_close(struct work_pool *pool);

/* Queues a task; it runs once, on any of the threads, first come first served. SYNC_ERR_BUSY when
 * the queue is full, SYNC_ERR_UNAVAILABLE when closing. Thread-safe. */
enum sync_status work_pool_submit(struct work_pool *pool, struct work_task *task);

/* Queues a task of lower rank, without a bound of the pool's own: for tasks that their owners
 * bound, such as one for each open stream. It runs once, after the submitted tasks that wait, but
 * for every POSTED_EVERY-th turn, and never on all threads at once when there are several. A
 * closing pool still runs what its tasks post. Thread-safe. */
void work_pool_post(struct work_pool *pool, struct work_task *task);

enum { POSTED_EVERY = 8 };

#endif
