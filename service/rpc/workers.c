#include "service/rpc/workers.h"

#include <assert.h>

#include "base/memory.h"
#include "service/rpc/change_job.h"
#include "service/rpc/retention.h"
#include "service/rpc/sync_job.h"
#include "service/rpc/sync_metrics.h"

enum { JOB_THREADS = 4 };

struct workers {
    struct service *service;
    struct sync_metrics metrics;
    struct job_handler handlers[2];
    struct retention *retention;
};

enum sync_status workers_open(struct service *service, struct workers **ret_workers) {
    assert(service->store && service->lanes && service->clock && service->random);
    struct workers *workers = memory_zalloc(1, sizeof *workers);
    if (!workers)
        return SYNC_ERR_NO_MEMORY;
    workers->service = service;
    workers->handlers[0] = (struct job_handler){.kind = SYNC_JOB_KIND,
                                                .run = sync_job_run,
                                                .given_up = sync_job_given_up,
                                                .context = service};
    workers->handlers[1] =
        (struct job_handler){.kind = CHANGE_JOB_KIND, .run = change_job_run, .context = service};
    sync_metrics_init(&workers->metrics, service->metrics);
    service->sync_metrics = &workers->metrics;
    struct job_queue_options options = {
        .store = service->store,
        .clock = service->clock,
        .random = service->random,
        .workers = JOB_THREADS,
        .handlers = workers->handlers,
        .handler_count = sizeof workers->handlers / sizeof workers->handlers[0],
        .metrics = service->metrics,
        .log = service->log,
    };
    enum sync_status status = job_queue_open(&options, &service->jobs);
    if (status == SYNC_OK)
        status = retention_open(service, &workers->retention);
    if (status != SYNC_OK) {
        workers_close(workers);
        return status;
    }
    *ret_workers = workers;
    return SYNC_OK;
}

struct workers *workers_close(struct workers *workers) {
    if (!workers)
        return NULL;
    retention_close(workers->retention);
    if (workers->service->jobs)
        workers->service->jobs = job_queue_close(workers->service->jobs);
    workers->service->sync_metrics = NULL;
    memory_free(workers);
    return NULL;
}
