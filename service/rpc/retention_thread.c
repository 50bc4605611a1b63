#include <assert.h>
#include <pthread.h>
#include <time.h>

#include "base/memory.h"
#include "service/rpc/retention.h"
#include "service/rpc/sync_metrics.h"

/* What is due is looked for in each step, what has ended every ten seconds, the logs once an hour.
 */
enum { STEP_SECONDS = 2, ENDED_STEPS = 5, LOG_STEPS = 1800 };

struct retention {
    struct service *service;
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_closing */
    pthread_cond_t closing;
    bool is_closing;
};

/* Sleeps for a step; false when it is time to stop. */
static bool retention_sleep(struct retention *retention) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STEP_SECONDS;
    pthread_mutex_lock(&retention->lock);
    int error = 0;
    while (!retention->is_closing && error == 0)
        error = pthread_cond_timedwait(&retention->closing, &retention->lock, &until);
    bool goes_on = !retention->is_closing;
    pthread_mutex_unlock(&retention->lock);
    return goes_on;
}

static void retention_step(struct service *service, uint64_t step) {
    struct retention_counts counts = {0};
    bool with_ended = step % ENDED_STEPS == 1, with_logs = step % LOG_STEPS == 1;
    enum sync_status status = retention_work_off_due(service, &counts);
    if (status == SYNC_OK && with_ended)
        status = retention_expire_operations(service, &counts);
    if (status == SYNC_OK)
        status = retention_tend_quarantine(service, &counts);
    if (status == SYNC_OK && with_logs)
        status = retention_expire_conflicts(service, &counts);
    if (status == SYNC_OK && with_logs)
        status = retention_bound_conflicts(service, &counts);
    if (status == SYNC_OK && with_logs)
        status = retention_trim_logs(service, &counts);
    uint64_t removed = counts.bundles + counts.operations + counts.conflicts;
    if (service->sync_metrics)
        metric_add(service->sync_metrics->expired, (double)removed);
    if (service->sync_metrics && counts.dropped > 0)
        metric_add(service->sync_metrics->dropped, (double)counts.dropped);
    if (status != SYNC_OK)
        log_line(service->log, LOG_WARN, "retention step failed",
                 LOG_TEXT("cause", sync_status_name(status)));
    else if (removed + counts.settled + counts.dropped > 0)
        log_line(service->log, LOG_INFO, "retention", LOG_INT("bundles", (int64_t)counts.bundles),
                 LOG_INT("operations", (int64_t)counts.operations),
                 LOG_INT("conflicts", (int64_t)counts.conflicts),
                 LOG_INT("settled", (int64_t)counts.settled),
                 LOG_INT("dropped", (int64_t)counts.dropped));
}

static void *retention_run(void *context) {
    struct retention *retention = context;
    for (uint64_t step = 1; retention_sleep(retention); step++) {
        retention_step(retention->service, step);
        if (step % ENDED_STEPS == 1)
            memory_trim();
    }
    return NULL;
}

enum sync_status retention_open(struct service *service, struct retention **ret_retention) {
    struct retention *retention = memory_zalloc(1, sizeof *retention);
    if (!retention)
        return SYNC_ERR_NO_MEMORY;
    retention->service = service;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&retention->lock, NULL);
    pthread_cond_init(&retention->closing, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&retention->thread, NULL, retention_run, retention) != 0) {
        pthread_cond_destroy(&retention->closing);
        pthread_mutex_destroy(&retention->lock);
        memory_free(retention);
        return SYNC_ERR_NO_MEMORY;
    }
    pthread_setname_np(retention->thread, "retention");
    *ret_retention = retention;
    return SYNC_OK;
}

struct retention *retention_close(struct retention *retention) {
    if (!retention)
        return NULL;
    pthread_mutex_lock(&retention->lock);
    retention->is_closing = true;
    pthread_cond_signal(&retention->closing);
    pthread_mutex_unlock(&retention->lock);
    pthread_join(retention->thread, NULL);
    pthread_cond_destroy(&retention->closing);
    pthread_mutex_destroy(&retention->lock);
    memory_free(retention);
    return NULL;
}
