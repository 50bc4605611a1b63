/* Pool gate: keeps the one thread of a pool from working until a test lets it. */
#ifndef TESTS_GATEWAY_POOL_GATE_H
#define TESTS_GATEWAY_POOL_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/work_pool.h"

struct pool_gate {
    struct work_task task;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, open; /* under the lock */
};

static inline void pool_gate_run(struct work_task *task) {
    struct pool_gate *gate = (struct pool_gate *)((char *)task - offsetof(struct pool_gate, task));
    pthread_mutex_lock(&gate->lock);
    gate->entered = true;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

/* Shuts; the thread stands at the gate when this returns. */
static inline void pool_gate_shut(struct pool_gate *gate, struct work_pool *pool) {
    *gate = (struct pool_gate){.task.run = pool_gate_run};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    (void)work_pool_submit(pool, &gate->task);
    pthread_mutex_lock(&gate->lock);
    while (!gate->entered)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

/* Opens. The gate lives until the pool is closed. */
static inline void pool_gate_open(struct pool_gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

#endif
