#include "gateway/offload.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

struct offload {
    struct loop *loop;
    struct work_pool *pool;
    struct offload_task *waiting, **waiting_tail; /* first come first */
    struct offload_task *running;                 /* with the pool, or finished and not yet told */
    size_t waiting_count, running_count;
    struct loop_source wake; /* an eventfd: some are finished */
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t some_finished;
    struct offload_task *finished; /* last come first */
};

static void offload_woken(struct loop_source *source, uint32_t events);

enum sync_status offload_open(struct loop *loop, struct work_pool *pool,
                              struct offload **ret_offload) {
    assert(loop && pool);
    struct offload *offload = memory_zalloc(1, sizeof(*offload));
    if (!offload)
        return SYNC_ERR_NO_MEMORY;
    offload->loop = loop;
    offload->pool = pool;
    offload->waiting_tail = &offload->waiting;
    offload->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    offload->wake.ready = offload_woken;
    if (offload->wake.fd < 0 || loop_source_add(loop, &offload->wake, EPOLLIN) != SYNC_OK) {
        if (offload->wake.fd >= 0)
            close(offload->wake.fd);
        memory_free(offload);
        return SYNC_ERR_IO;
    }
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->some_finished, NULL);
    *ret_offload = offload;
    return SYNC_OK;
}

static void task_unlink(struct offload_task *task) {
    *task->link = task->next;
    if (task->next)
        task->next->link = task->link;
    else if (!task->is_with_pool)
        task->offload->waiting_tail = task->link;
    task->link = NULL;
}

/* On a thread of the pool. */
static void task_run(struct work_task *work) {
    struct offload_task *task =
        (struct offload_task *)((char *)work - offsetof(struct offload_task, work));
    struct offload *offload = task->offload;
    task->run(task);
    uint64_t one = 1;
    pthread_mutex_lock(&offload->lock);
    task->next_finished = offload->finished;
    offload->finished = task;
    (void)!write(offload->wake.fd, &one, sizeof(one));
    pthread_cond_signal(&offload->some_finished);
    pthread_mutex_unlock(&offload->lock); /* the offload may be gone from here on */
}

static size_t count_of(const struct offload_task *list, const struct ip *client) {
    size_t count = 0;
    for (; list; list = list->next)
        count += memcmp(&list->client, client, sizeof(*client)) == 0;
    return count;
}

/* Gives the pool what waits, of each client one. */
static void offload_advance(struct offload *offload) {
    struct offload_task *next = offload->waiting;
    while (next && offload->running_count < OFFLOAD_RUNNING_MAX) {
        struct offload_task *task = next;
        next = task->next;
        if (count_of(offload->running, &task->client) > 0)
            continue;
        task_unlink(task);
        offload->waiting_count--;
        task->is_with_pool = true;
        task->next = offload->running;
        task->link = &offload->running;
        if (task->next)
            task->next->link = &task->next;
        offload->running = task;
        offload->running_count++;
        task->work.run = task_run;
        enum sync_status status = work_pool_submit(offload->pool, &task->work);
        assert(status == SYNC_OK); /* its queue has room for as many, and it closes later */
        (void)status;
    }
}

/* Tells of those that are finished, in their order. */
static void offload_tell(struct offload *offload) {
    pthread_mutex_lock(&offload->lock);
    struct offload_task *list = offload->finished, *ordered = NULL;
    offload->finished = NULL;
    pthread_mutex_unlock(&offload->lock);
    while (list) {
        struct offload_task *task = list;
        list = task->next_finished;
        task->next_finished = ordered;
        ordered = task;
    }
    while (ordered) {
        struct offload_task *task = ordered;
        ordered = task->next_finished;
        task_unlink(task);
        offload->running_count--;
        task->is_with_pool = false;
        task->done(task);
    }
}

static void offload_woken(struct loop_source *source, uint32_t events) {
    (void)events;
    struct offload *offload = (struct offload *)((char *)source - offsetof(struct offload, wake));
    uint64_t count;
    (void)!read(source->fd, &count, sizeof(count));
    offload_tell(offload);
    offload_advance(offload);
}

struct offload *offload_close(struct offload *offload) {
    if (!offload)
        return NULL;
    assert(!offload->waiting);
    while (offload->running) {
        pthread_mutex_lock(&offload->lock);
        while (!offload->finished)
            pthread_cond_wait(&offload->some_finished, &offload->lock);
        pthread_mutex_unlock(&offload->lock);
        offload_tell(offload);
    }
    loop_source_remove(offload->loop, &offload->wake);
    close(offload->wake.fd);
    pthread_mutex_destroy(&offload->lock);
    pthread_cond_destroy(&offload->some_finished);
    memory_free(offload);
    return NULL;
}

enum sync_status offload_start(struct offload *offload, struct offload_task *task) {
    assert(task->run && task->done);
    if (offload->waiting_count + offload->running_count == OFFLOAD_TASKS_MAX ||
        count_of(offload->waiting, &task->client) + count_of(offload->running, &task->client) >=
            OFFLOAD_CLIENT_TASKS_MAX)
        return SYNC_ERR_BUSY;
    task->offload = offload;
    task->is_with_pool = false;
    task->next = NULL;
    task->link = offload->waiting_tail;
    *offload->waiting_tail = task;
    offload->waiting_tail = &task->next;
    offload->waiting_count++;
    offload_advance(offload);
    return SYNC_OK;
}

bool offload_withdraw(struct offload_task *task) {
    if (task->is_with_pool)
        return false;
    task_unlink(task);
    task->offload->waiting_count--;
    return true;
}
