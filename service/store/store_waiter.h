/* Store waiter: waits for one commit. Lives on the waiting thread's stack. */
#ifndef SERVICE_STORE_STORE_WAITER_H
#define SERVICE_STORE_STORE_WAITER_H

#include <pthread.h>

#include "service/store/store.h"

/* What a thread waits on for its commit. In the caller's memory. */
struct store_waiter {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    enum sync_status status;
    struct user_head head;
};

/* Prepares; then give store_waiter_committed with the waiter as context to one commit. */
void store_waiter_init(struct store_waiter *waiter);

/* The store_committed to give. */
void store_waiter_committed(void *waiter, enum sync_status status, const struct user_head *head);

/* Waits until the commit was told of and releases the waiter. `ret_head` may be NULL; it is set
 * when the commit went well. */
enum sync_status store_waiter_wait(struct store_waiter *waiter, struct user_head *ret_head);

#endif
