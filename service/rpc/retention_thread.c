#include <assert.h>
#include <pthread.h>
#include <time.h>

#include "base/memory.h"
#include "service/rpc/retention.h"
#include "service/rpc/retention_clock.h"
#include "service/rpc/sync_metrics.h"

/* What is due is looked for in each step, what has ended every ten seconds, the logs once an hour.
 */
enum { STEP_SECONDS = 2, ENDED_STEPS = 5, LOG_STEPS = 1800, CLOCK_ARENA_MAX = 64 << 10 };

struct retention {
    struct service *service;
    pthread_t thread;
    pthread_mutex_t lock; /* guards is_closing */
    pthread_cond_t closing;
    bool is_closing;
    struct retention_clock clock; /* as stored, once it is loaded */
    bool is_loaded;
    int64_t stored_us;
    uint64_t damaged; /* rows that the last step passed over */
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

/* Where the clock's state is stored. */
static const struct slice clock_key = SLICE("retention");

/* Reads the state of an earlier run. One that does not parse is begun anew. */
static enum sync_status clock_load(struct retention *retention) {
    struct row wanted = {.table = TABLE_META, .key = clock_key};
    struct touched want = {.rows = &wanted, .row_count = 1};
    struct user_view view;
    struct arena arena;
    arena_init(&arena, CLOCK_ARENA_MAX);
    enum sync_status status = store_load(retention->service->store, NULL, &want, &arena, &view);
    if (status == SYNC_OK && view.rows[0].found)
        (void)retention_clock_unpack(view.rows[0].value, &retention->clock);
    retention->is_loaded = status == SYNC_OK;
    arena_done(&arena);
    return status;
}

static enum sync_status clock_store(struct retention *retention) {
    struct row_write row = {.table = TABLE_META, .key = clock_key};
    struct write_set set = {.rows = &row, .row_count = 1};
    struct arena arena;
    arena_init(&arena, CLOCK_ARENA_MAX);
    enum sync_status status = retention_clock_pack(&retention->clock, &arena, &row.value)
                                  ? store_commit_wait(retention->service->store, &set, NULL)
                                  : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK)
        retention->stored_us = retention->clock.last_us;
    arena_done(&arena);
    return status;
}

/* Whether the clock is believed; what it is, is stored now and then. SYNC_ERR_BUSY: it is not. */
static enum sync_status clock_check(struct retention *retention) {
    struct service *service = retention->service;
    enum sync_status status = retention->is_loaded ? SYNC_OK : clock_load(retention);
    if (status != SYNC_OK)
        return status;
    bool was_held = retention->clock.held_us != 0;
    bool is_believed =
        retention_clock_step(&retention->clock, (int64_t)clock_now_us(service->clock));
    bool has_turned = was_held == is_believed;
    if (has_turned)
        log_line(service->log, LOG_WARN,
                 is_believed ? "retention goes on"
                             : "the clock has leapt ahead: nothing is removed for a day",
                 LOG_INT("now_us", retention->clock.last_us));
    int64_t since_us = retention->clock.last_us - retention->stored_us;
    if (has_turned || since_us < 0 || since_us >= (int64_t)RETENTION_KEEP_S * 1000000)
        status = clock_store(retention);
    return status == SYNC_OK && !is_believed ? SYNC_ERR_BUSY : status;
}

/* The first error counts; what comes behind it is done all the same. */
static void step_take(enum sync_status *first, enum sync_status status) {
    if (*first == SYNC_OK)
        *first = status;
}

/* Shows what was passed over, and logs it when there is more than before. */
static void damage_tell(struct retention *retention, uint64_t damaged) {
    const struct service *service = retention->service;
    if (service->sync_metrics)
        metric_set(service->sync_metrics->due_damaged, (double)damaged);
    if (damaged > retention->damaged)
        log_line(service->log, LOG_ERROR, "what is due is damaged, and stays",
                 LOG_INT("rows", (int64_t)damaged));
    retention->damaged = damaged;
}

static void retention_step(struct retention *retention, uint64_t step) {
    struct service *service = retention->service;
    struct retention_counts counts = {0};
    bool with_ended = step % ENDED_STEPS == 1, with_logs = step % LOG_STEPS == 1;
    enum sync_status status = clock_check(retention);
    if (status == SYNC_ERR_BUSY)
        return;
    if (status == SYNC_OK) {
        status = retention_work_off_due(service, &counts);
        damage_tell(retention, counts.damaged);
        if (with_ended)
            step_take(&status, retention_expire_operations(service, &counts));
        if (with_ended)
            step_take(&status, retention_tend_quarantine(service, &counts));
        if (with_logs)
            step_take(&status, retention_expire_conflicts(service, &counts));
        if (with_logs)
            step_take(&status, retention_bound_conflicts(service, &counts));
        if (with_logs)
            step_take(&status, retention_trim_logs(service, &counts));
    }
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
        retention_step(retention, step);
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
