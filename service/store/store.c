#include "service/store/store.h"

#include <assert.h>

#include "service/store/store_waiter.h"

void store_waiter_init(struct store_waiter *waiter) {
    *waiter = (struct store_waiter){.done = false};
    pthread_mutex_init(&waiter->lock, NULL);
    pthread_cond_init(&waiter->told, NULL);
}

void store_waiter_committed(void *context, enum sync_status status, const struct user_head *head) {
    struct store_waiter *waiter = context;
    pthread_mutex_lock(&waiter->lock);
    assert(!waiter->done);
    waiter->done = true;
    waiter->status = status;
    waiter->head = *head;
    /* Told under the lock: once it is free, the waiter may be gone. */
    pthread_cond_signal(&waiter->told);
    pthread_mutex_unlock(&waiter->lock);
}

enum sync_status store_waiter_wait(struct store_waiter *waiter, struct user_head *ret_head) {
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->done)
        pthread_cond_wait(&waiter->told, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
    pthread_cond_destroy(&waiter->told);
    pthread_mutex_destroy(&waiter->lock);
    if (waiter->status == SYNC_OK && ret_head)
        *ret_head = waiter->head;
    return waiter->status;
}

enum sync_status store_commit_wait(struct store *store, const struct write_set *set,
                                   struct user_head *ret_head) {
    struct store_waiter waiter;
    store_waiter_init(&waiter);
    store_commit(store, set, store_waiter_committed, &waiter);
    return store_waiter_wait(&waiter, ret_head);
}
