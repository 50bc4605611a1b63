#include "base/work_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { THREAD_NAME_SIZE = 16 /* the kernel's bound, NUL included */ };

/* Tasks in order of arrival. */
struct task_queue {
    struct work_task *first, *last;
};

struct work_pool {
    pthread_mutex_t lock;           /* guards all below, but for `threads` */
    pthread_cond_t work_or_closing; /* there may be a task to take, or `closing` was set */
    struct task_queue submitted, posted;
    size_t queued, queue_max;            /* submitted */
    unsigned posted_running, posted_max; /* how many threads may run posted tasks */
    unsigned passed_over;                /* submitted tasks taken since posted ones began to wait */
    bool closing;
    unsigned threads_count;
    pthread_t threads[]; /* the opener's and closer's own */
};

static void queue_put(struct task_queue *queue, struct work_task *task) {
    task->next = NULL;
    if (queue->last)
        queue->last->next = task;
    else
        queue->first = task;
    queue->last = task;
}

static struct work_task *queue_take(struct task_queue *queue) {
    struct work_task *task = queue->first;
    queue->first = task->next;
    queue->last = queue->first ? queue->last : NULL;
    return task;
}

/* Whether there is a posted task and a thread may take it. */
static bool posted_is_ready(const struct work_pool *pool) {
    return pool->posted.first && (pool->posted_running < pool->posted_max || pool->closing);
}

/* Takes the next task, waiting for one; NULL when closing and none is left. */
static struct work_task *work_pool_take(struct work_pool *pool, bool *ret_is_posted) {
    while (!pool->submitted.first && !posted_is_ready(pool) && !pool->closing)
        pthread_cond_wait(&pool->work_or_closing, &pool->lock);
    bool is_ready = posted_is_ready(pool);
    *ret_is_posted = is_ready && (!pool->submitted.first || pool->passed_over + 1 >= POSTED_EVERY);
    if (*ret_is_posted) {
        pool->passed_over = 0;
        pool->posted_running++;
        return queue_take(&pool->posted);
    }
    if (!pool->submitted.first)
        return NULL;
    if (is_ready) { /* somebody else may take what this thread passes over */
        pool->passed_over++;
        pthread_cond_signal(&pool->work_or_closing);
    }
    pool->queued--;
    return queue_take(&pool->submitted);
}

static void *work_pool_thread(void *context) {
    struct work_pool *pool = context;
    bool is_posted;
    pthread_mutex_lock(&pool->lock);
    for (struct work_task *task; (task = work_pool_take(pool, &is_posted));) {
        pthread_mutex_unlock(&pool->lock);
        task->run(task); /* the task may be gone from here on */
        pthread_mutex_lock(&pool->lock);
        pool->posted_running -= is_posted; /* this thread is then free to take the next */
    }
    pthread_mutex_unlock(&pool->lock);
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
    pool->posted_max = threads > 1 ? threads - 1 : 1;
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
    assert(!pool->submitted.first && !pool->posted.first);
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
        queue_put(&pool->submitted, task);
        pool->queued++;
        pthread_cond_signal(&pool->work_or_closing);
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

void work_pool_post(struct work_pool *pool, struct work_task *task) {
    assert(pool);
    assert(task->run);
    pthread_mutex_lock(&pool->lock);
    queue_put(&pool->posted, task);
    pthread_cond_signal(&pool->work_or_closing);
    pthread_mutex_unlock(&pool->lock);
}
