#include "base/timer.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

#include "base/memory.h"

#define WAIT_MAX_US UINT64_C(3600000000) /* keeps sums of times from overflowing */

struct timers {
    const struct clock *clock;
    pthread_t thread;
    pthread_mutex_t lock;  /* guards all below, and the timers' own fields */
    pthread_cond_t sooner; /* the first due time has changed, or `is_closing` was set */
    pthread_cond_t called; /* `running` has become NULL */
    struct timer *root;    /* due first */
    struct timer *running; /* whose `expired` is being called; it may be gone already */
    bool is_closing;
};

/* Joins two heaps; either may be NULL. */
static struct timer *heap_join(struct timer *a, struct timer *b) {
    if (!a || !b)
        return a ? a : b;
    if (b->due_us < a->due_us) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->link = &a->child;
    if (b->next)
        b->next->link = &b->next;
    a->child = b;
    return a;
}

/* Joins a list of siblings: in pairs from the left, then these from the right. */
static struct timer *heap_join_all(struct timer *list) {
    struct timer *pairs = NULL;
    while (list) {
        struct timer *a = list, *b = a->next;
        list = b ? b->next : NULL;
        struct timer *pair = heap_join(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *rest = pairs->next;
        pairs->next = NULL;
        root = heap_join(root, pairs);
        pairs = rest;
    }
    return root;
}

static void heap_set_root(struct timers *timers, struct timer *root) {
    timers->root = root;
    if (root) {
        root->next = NULL;
        root->link = &timers->root;
    }
}

static void heap_remove(struct timers *timers, struct timer *timer) {
    struct timer *children = heap_join_all(timer->child);
    if (timer == timers->root) {
        heap_set_root(timers, children);
    } else {
        *timer->link = timer->next;
        if (timer->next)
            timer->next->link = timer->link;
        heap_set_root(timers, heap_join(timers->root, children));
    }
    timer->child = timer->next = NULL;
    timer->link = NULL;
}

/* Waits until something changes, or the first timer is due. */
static void timers_wait(struct timers *timers) {
    if (!timers->root) {
        pthread_cond_wait(&timers->sooner, &timers->lock);
        return;
    }
    uint64_t now_us = clock_monotonic_us(timers->clock);
    uint64_t wait_us = timers->root->due_us > now_us ? timers->root->due_us - now_us : 0;
    wait_us = wait_us < WAIT_MAX_US ? wait_us : WAIT_MAX_US;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t until_ns = (uint64_t)until.tv_nsec + wait_us * 1000;
    until.tv_sec += (time_t)(until_ns / 1000000000);
    until.tv_nsec = (long)(until_ns % 1000000000);
    pthread_cond_timedwait(&timers->sooner, &timers->lock, &until);
}

static void *timers_run(void *context) {
    struct timers *timers = context;
    pthread_mutex_lock(&timers->lock);
    while (!timers->is_closing) {
        struct timer *timer = timers->root;
        if (!timer || timer->due_us > clock_monotonic_us(timers->clock)) {
            timers_wait(timers);
            continue;
        }
        heap_remove(timers, timer);
        timers->running = timer;
        void (*expired)(struct timer *) = timer->expired;
        pthread_mutex_unlock(&timers->lock);
        expired(timer);
        pthread_mutex_lock(&timers->lock);
        timers->running = NULL;
        pthread_cond_broadcast(&timers->called);
    }
    pthread_mutex_unlock(&timers->lock);
    return NULL;
}

enum sync_status timers_open(const struct clock *clock, struct timers **ret_timers) {
    assert(clock);
    struct timers *timers = memory_zalloc(1, sizeof *timers);
    if (!timers)
        return SYNC_ERR_NO_MEMORY;
    timers->clock = clock;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&timers->sooner, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&timers->called, NULL);
    pthread_mutex_init(&timers->lock, NULL);
    if (pthread_create(&timers->thread, NULL, timers_run, timers) != 0) {
        pthread_mutex_destroy(&timers->lock);
        pthread_cond_destroy(&timers->called);
        pthread_cond_destroy(&timers->sooner);
        memory_free(timers);
        return SYNC_ERR_UNAVAILABLE;
    }
    pthread_setname_np(timers->thread, "timers");
    *ret_timers = timers;
    return SYNC_OK;
}

struct timers *timers_close(struct timers *timers) {
    if (!timers)
        return NULL;
    pthread_mutex_lock(&timers->lock);
    timers->is_closing = true;
    pthread_cond_signal(&timers->sooner);
    pthread_mutex_unlock(&timers->lock);
    pthread_join(timers->thread, NULL);
    assert(!timers->root);
    pthread_mutex_destroy(&timers->lock);
    pthread_cond_destroy(&timers->called);
    pthread_cond_destroy(&timers->sooner);
    memory_free(timers);
    return NULL;
}

void timer_start(struct timers *timers, struct timer *timer, uint64_t due_us) {
    assert(timer->expired);
    pthread_mutex_lock(&timers->lock);
    if (timer->link)
        heap_remove(timers, timer);
    timer->due_us = due_us;
    timer->child = timer->next = NULL;
    heap_set_root(timers, heap_join(timers->root, timer));
    if (timers->root == timer)
        pthread_cond_signal(&timers->sooner);
    pthread_mutex_unlock(&timers->lock);
}

void timer_stop(struct timers *timers, struct timer *timer) {
    pthread_mutex_lock(&timers->lock);
    for (;;) {
        if (timer->link)
            heap_remove(timers, timer);
        if (timers->running != timer || pthread_equal(pthread_self(), timers->thread))
            break;
        pthread_cond_wait(&timers->called, &timers->lock); /* it may start itself again */
    }
    pthread_mutex_unlock(&timers->lock);
}

void timers_wake(struct timers *timers) {
    pthread_mutex_lock(&timers->lock);
    pthread_cond_signal(&timers->sooner);
    pthread_mutex_unlock(&timers->lock);
}
