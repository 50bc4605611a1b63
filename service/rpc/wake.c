#include "service/rpc/wake.h"

#include <assert.h>
#include <stddef.h>

static void wake_task(struct work_task *task) {
    struct wake *wake = (struct wake *)((char *)task - offsetof(struct wake, task));
    unsigned causes = atomic_exchange(&wake->causes, WAKE_QUEUED);
    if (!wake->run(wake, causes & ~(unsigned)WAKE_QUEUED))
        return;
    unsigned expected = WAKE_QUEUED;
    if (!atomic_compare_exchange_strong(&wake->causes, &expected, 0))
        work_pool_post(wake->pool, task);
}

void wake_init(struct wake *wake, struct work_pool *pool, wake_run *run) {
    assert(pool && run);
    wake->pool = pool;
    wake->run = run;
    wake->task = (struct work_task){.run = wake_task};
    atomic_init(&wake->causes, WAKE_QUEUED);
}

void wake_start(struct wake *wake, unsigned cause) {
    atomic_fetch_or(&wake->causes, cause);
    wake_task(&wake->task);
}

void wake_up(struct wake *wake, unsigned cause) {
    assert(cause >= WAKE_CAUSE_FIRST);
    unsigned before = atomic_fetch_or(&wake->causes, cause | WAKE_QUEUED);
    if (!(before & WAKE_QUEUED))
        work_pool_post(wake->pool, &wake->task);
}
