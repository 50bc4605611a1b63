#include "base/work_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { THREAD_NAME_SIZE = 16 /* the kernel's bound, NUL included */ };

struct work_pool {
    pthread_mutex_t lock;           /* guards all below, but for `threads` */
    pthread_cond_t work_or_closing; /* a task was queued, or `closing` was set */
    struct work_task *first, *last;
    size_t queued, queue_max;
    bool closing;
    unsigned threads_count;
    pthread_t threads[]; /* the opener's and closer's own */
};

/* Takes the oldest task, waiting for one; NULL when closing and none is left. */
static struct work_task *work_pool_take(struct work_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->closing)
        pthread_cond_wait(&pool->work_or_closing, &pool->lock);
    struct work_task *task = pool->first;
    if (task) {
        pool->first = task->next;
        pool->last = pool->first ? pool->last : NULL;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *work_pool_thread(void *context) {
    struct work_pool *pool = context;
    for (struct work_task *task; (task = work_pool_take(pool));)
        task->run(task); /* the task may be gone from here on */
    return NULL;
}

/* Starts the threads; on failure those that run are counted. */
static bool work_pool_start(struct work_pool *pool, const char *name, unsigned threads) {
    char thread_name[THREAD_NAME_SIZE];
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, work_pool_thread, pool) != 0)
            return false;
        pool->threads_count++;
        snprintf(thread_name, sizeof thread_name, "%.10s-%u", name, i % 10000);
        pthread_setname_np(pool->threads[i], thread_name);
    }
    return true;
}

enum sync_status work_pool_open(const char *name, unsigned threads, size_t queue_max,
                                struct work_pool **ret_pool) {
    assert(name);
    assert(threads > 0);
    assert(queue_max > 0);
    struct work_pool *pool = memory_zalloc(1, sizeof *pool + threads * sizeof(pthread_t));
    if (!pool)
        return SYNC_ERR_NO_MEMORY;
    pool->queue_max = queue_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work_or_closing, NULL);
    if (!work_pool_start(pool, name, threads)) {
        work_pool_close(pool);
        return SYNC_ERR_UNAVAILABLE;
    }
    *ret_pool = pool;
    return SYNC_OK;
}

struct work_pool *work_pool_close(struct work_pool *pool) {
    if (!pool)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work_or_closing);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads_count; i++)
        pthread_join(pool->threads[i], NULL);
    assert(!pool->first);
    pthread_cond_destroy(&pool->work_or_closing);
    pthread_mutex_destroy(&pool->lock);
    memory_free(pool);
    return NULL;
}

enum sync_status work_pool_submit(struct work_pool *pool, struct work_task *task) {
    assert(pool);
    assert(task->run);
    enum sync_status status = SYNC_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->closing) {
        status = SYNC_ERR_UNAVAILABLE;
    } else if (pool->queued == pool->queue_max) {
        status = SYNC_ERR_BUSY;
    } else {
        task->next = NULL;
        if (pool->last)
            pool->last->next = task;
        else
            pool->first = task;
        pool->last = task;
        pool->queued++;
        pthread_cond_signal(&pool->work_or_closing);
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}
