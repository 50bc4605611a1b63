/* Offload: long work of a loop's, done by the threads of a pool, so that the loop serves others
 * meanwhile. Each loop has one; of each client one task at a time is with the pool, so that who has
 * many waits for himself. */
#ifndef GATEWAY_OFFLOAD_H
#define GATEWAY_OFFLOAD_H

#include "base/work_pool.h"
#include "gateway/loop.h"
#include "gateway/network.h"

enum {
    OFFLOAD_TASKS_MAX = 256,       /* of a loop */
    OFFLOAD_CLIENT_TASKS_MAX = 16, /* of a client among them */
    OFFLOAD_RUNNING_MAX = 8,       /* of a loop, with the pool */
};

struct offload;

/* A task, in its owner's memory. The owner fills the first part. */
struct offload_task {
    struct ip client; /* whose it is */
    /* The work, on any thread: it touches nothing that others may touch meanwhile. */
    void (*run)(struct offload_task *task);
    /* It has run; on the loop's thread. The task is its owner's again. */
    void (*done)(struct offload_task *task);

    /* the offload's own */
    struct work_task work;
    struct offload *offload;
    struct offload_task *next, **link; /* of those that wait, or are with the pool */
    struct offload_task *next_finished;
    bool is_with_pool;
};

/* Opens; loop and pool outlive it. The pool's queue takes OFFLOAD_RUNNING_MAX tasks of each
 * offload. SYNC_ERR_NO_MEMORY or SYNC_ERR_IO. */
enum sync_status offload_open(struct loop *loop, struct work_pool *pool,
                              struct offload **ret_offload);

/* Closes; no task may wait. Waits for those with the pool, whose `done` is called. NULL is allowed;
 * returns NULL. */
struct offload *offload_close(struct offload *offload);

/* Has a task done. SYNC_ERR_BUSY when too many are there, in all or of its client. */
enum sync_status offload_start(struct offload *offload, struct offload_task *task);

/* Takes a task back: true, and it is its owner's at once, when the pool has not got it; false when
 * `done` will be called. */
bool offload_withdraw(struct offload_task *task);

#endif
