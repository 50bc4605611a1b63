#include "service/queue/job_queue.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"
#include "service/queue/job_row.h"

enum {
    JOB_WAIT_MAX_MS = 1000, /* at least so often a worker looks, in case the clock jumped */
    JOB_KEY_MAX = 8 + 256,
    JOB_ARENA_MAX = 64 << 20,
};

/* A look begins this long before now, or at the oldest job that waits, and only so often at the
 * very first row: before it lie the marks of removed rows, which take time to pass. So much later
 * than it was made may a job be committed and still be found at once. */
static const uint64_t JOB_LATE_US = 60 * 1000000;

/* A worker, and the row that it holds: nobody else takes it meanwhile. */
struct job_worker {
    struct job_queue *queue;
    pthread_t thread;
    bool started;
    size_t key_size; /* 0: none */
    uint8_t key[JOB_KEY_MAX];
    struct arena arena;
};

struct job_queue {
    struct job_queue_options options;
    /* Held while a job is looked for and claimed, and while a claim ends: so a job that was just
     * done is either not in the rows any more, or still claimed. */
    pthread_mutex_t claim_lock;
    uint64_t begin_us;     /* no job known was due before this */
    uint64_t full_look_us; /* monotonic: when the next look begins at the first row */
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    uint64_t wakes; /* counts, so that none is missed */
    bool closing;
    struct metric_family *runs;
    struct metric *running;
    struct job_worker workers[];
};

/* What a look for a due job finds. */
struct job_search {
    struct job_queue *queue;
    struct arena *arena;
    uint64_t now_us, oldest_due_us, next_due_us;
    struct slice key, value;
    bool is_damaged; /* there is no value */
    bool found, more, failed;
};

static bool job_is_claimed(const struct job_queue *queue, struct slice key) {
    for (unsigned i = 0; i < queue->options.workers; i++) {
        const struct job_worker *worker = &queue->workers[i];
        if (worker->key_size > 0 && slice_equal(slice_of(worker->key, worker->key_size), key))
            return true;
    }
    return false;
}

/* Takes the first due job that nobody holds, and looks whether there is another. */
static bool job_search_visit(void *context, const struct scan_item *item) {
    struct job_search *search = context;
    uint64_t due_us;
    if (!job_row_due(item->row->key, &due_us) || item->row->key.size > JOB_KEY_MAX)
        return true;
    if (due_us < search->oldest_due_us)
        search->oldest_due_us = due_us;
    if (due_us > search->now_us) {
        search->next_due_us = due_us;
        return false;
    }
    if (job_is_claimed(search->queue, item->row->key))
        return true;
    if (search->found) {
        search->more = true;
        return false;
    }
    search->found = arena_copy(search->arena, item->row->key, &search->key) &&
                    arena_copy(search->arena, item->row->value, &search->value);
    search->is_damaged = !item->row->found;
    search->failed = !search->found;
    return search->found;
}

static void job_queue_signal(struct job_queue *queue) {
    pthread_mutex_lock(&queue->wake_lock);
    queue->wakes++;
    pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&queue->wake_lock);
}

void job_queue_wake(struct job_queue *queue) {
    job_queue_signal(queue);
}

/* Scans the rows from where jobs may wait. The claim lock is held. */
static void job_look(struct job_queue *queue, struct job_search *search) {
    struct job begin = {.due_us = queue->begin_us};
    struct scan what = {.kind = SCAN_ROWS, .table = TABLE_JOB, .with_damaged = true};
    uint64_t monotonic_us = clock_monotonic_us(queue->options.clock);
    bool full = monotonic_us >= queue->full_look_us;
    search->failed = !full && !job_row_key(&begin, search->arena, &what.after_key);
    search->oldest_due_us = search->now_us > JOB_LATE_US ? search->now_us - JOB_LATE_US : 0;
    if (search->failed ||
        store_scan(queue->options.store, NULL, &what, job_search_visit, search) != SYNC_OK)
        search->failed = true;
    if (search->failed) {
        search->found = false;
        return;
    }
    queue->begin_us = search->oldest_due_us;
    if (full)
        queue->full_look_us = monotonic_us + JOB_LATE_US;
}

/* Looks for a due job and claims it. */
static void job_claim(struct job_worker *worker, struct job_search *search) {
    struct job_queue *queue = worker->queue;
    pthread_mutex_lock(&queue->claim_lock);
    job_look(queue, search);
    if (search->found) {
        worker->key_size = search->key.size;
        memcpy(worker->key, search->key.data, search->key.size);
    }
    pthread_mutex_unlock(&queue->claim_lock);
    if (search->found && search->more)
        job_queue_signal(queue);
}

static void job_unclaim(struct job_worker *worker) {
    pthread_mutex_lock(&worker->queue->claim_lock);
    worker->key_size = 0;
    pthread_mutex_unlock(&worker->queue->claim_lock);
}

static const struct job_handler *job_handler_of(const struct job_queue *queue, struct slice kind) {
    for (size_t i = 0; i < queue->options.handler_count; i++)
        if (slice_equal(kind, slice_text(queue->options.handlers[i].kind)))
            return &queue->options.handlers[i];
    return NULL;
}

static bool job_error_passes(enum sync_status status) {
    return (status <= SYNC_ERR_HEAD_MOVED && status >= SYNC_ERR_UNAVAILABLE) ||
           status == SYNC_ERR_IO || status == SYNC_ERR_NO_MEMORY;
}

/* Full jitter: anything up to the exponential bound. */
static uint64_t job_backoff_us(const struct job_queue *queue, uint32_t attempts) {
    const struct random_source *random = queue->options.random;
    uint64_t bound_us = (uint64_t)JOB_BACKOFF_FIRST_MS * 1000 << (attempts < 20 ? attempts : 20);
    uint64_t any;
    if (bound_us > (uint64_t)JOB_BACKOFF_MAX_MS * 1000)
        bound_us = (uint64_t)JOB_BACKOFF_MAX_MS * 1000;
    random->fill(random->context, (uint8_t *)&any, sizeof any);
    return any % (bound_us + 1);
}

static enum sync_status rows_commit(struct job_queue *queue, struct row_write *rows, size_t count) {
    struct write_set set = {.rows = rows, .row_count = count};
    return store_commit_wait(queue->options.store, &set, NULL);
}

/* Writes the attempt down before it begins, so that a job that ends the process is counted too. */
static enum sync_status job_begin(struct job_worker *worker, const struct job_search *search,
                                  const struct job *job, const struct sync_error *last) {
    struct job begun = *job;
    struct row_write row = {.table = TABLE_JOB, .key = search->key};
    begun.attempts++;
    if (!job_row_value(&begun, last, &worker->arena, &row.value))
        return SYNC_ERR_NO_MEMORY;
    return rows_commit(worker->queue, &row, 1);
}

/* Puts the job off: behind those that are due now, so that it does not hold them up. */
static enum sync_status job_put_off(struct job_worker *worker, const struct job_search *search,
                                    const struct job *job, const struct sync_error *error) {
    struct job_queue *queue = worker->queue;
    struct job again = *job;
    struct row_write rows[2] = {{.table = TABLE_JOB, .key = search->key, .remove = true},
                                {.table = TABLE_JOB}};
    again.due_us = clock_now_us(queue->options.clock) + job_backoff_us(queue, job->attempts);
    if (!job_row_key(&again, &worker->arena, &rows[1].key) ||
        !job_row_value(&again, error, &worker->arena, &rows[1].value))
        return SYNC_ERR_NO_MEMORY;
    /* The batch keeps the order: were both keys one, the put would stay. */
    return rows_commit(queue, rows, 2);
}

static enum sync_status job_quarantine(struct job_worker *worker, const struct job_search *search,
                                       const struct job *job, const struct sync_error *error) {
    struct job rests = *job;
    struct row_write rows[2] = {{.table = TABLE_JOB, .key = search->key, .remove = true},
                                {.table = TABLE_QUARANTINE, .key = job->id}};
    rests.due_us = clock_now_us(worker->queue->options.clock);
    if (!job_row_value(&rests, error, &worker->arena, &rows[1].value))
        return SYNC_ERR_NO_MEMORY;
    return rows_commit(worker->queue, rows, 2);
}

static void job_count(struct job_queue *queue, const struct job *job, const char *outcome) {
    const struct job_handler *handler = job_handler_of(queue, job->kind);
    const char *values[] = {handler ? handler->kind : "unknown", outcome};
    if (queue->runs)
        metric_add(metric_series(queue->runs, values), 1);
}

static enum sync_status job_give_up(struct job_worker *worker, const struct job_search *search,
                                    const struct job *job, const struct sync_error *error) {
    const struct job_handler *handler = job_handler_of(worker->queue, job->kind);
    struct job told = *job;
    enum sync_status status =
        handler && handler->given_up ? handler->given_up(handler->context, job, error) : SYNC_OK;
    if (status != SYNC_OK) {
        told.attempts = JOB_ATTEMPTS_MAX; /* so that it is given up the next time, not run */
        return job_put_off(worker, search, &told, error);
    }
    status = job_quarantine(worker, search, job, error);
    if (status != SYNC_OK)
        return status;
    job_count(worker->queue, job, "quarantined");
    log_line(worker->queue->options.log, LOG_ERROR, "job quarantined", LOG_SLICE("job", job->id),
             LOG_SLICE("kind", job->kind), LOG_TEXT("reason", error->reason),
             LOG_TEXT("error", error->message));
    return SYNC_OK;
}

/* Runs the handler and writes down what became of the job. */
static enum sync_status job_run_handler(struct job_worker *worker, const struct job_search *search,
                                        const struct job_handler *handler, struct job *job) {
    struct sync_error error = {.status = SYNC_OK};
    metric_add(worker->queue->running, 1);
    enum sync_status status = handler->run(handler->context, job, &error);
    metric_add(worker->queue->running, -1);
    if (status == SYNC_OK) {
        struct row_write row = {.table = TABLE_JOB, .key = search->key, .remove = true};
        job_count(worker->queue, job, "done");
        return rows_commit(worker->queue, &row, 1);
    }
    if (sync_status_is_fatal(status))
        return status;
    if (error.status != status)
        sync_error_of(&error, status);
    job->attempts++;
    if (job_error_passes(status) && job->attempts < JOB_ATTEMPTS_MAX) {
        job_count(worker->queue, job, "retried");
        return job_put_off(worker, search, job, &error);
    }
    return job_give_up(worker, search, job, &error);
}

/* Handles a claimed job. An error is the store's: the row is as it was, or was begun. */
static enum sync_status job_handle(struct job_worker *worker, const struct job_search *search) {
    struct job job = {.id = slice_after(search->key, 8)};
    struct sync_error error = {.status = SYNC_OK};
    enum sync_status status =
        search->is_damaged ? SYNC_ERR_CORRUPT
                           : job_row_read(TABLE_JOB, search->key, search->value, &job, &error);
    if (status != SYNC_OK) {
        sync_error_set(&error, status, "CORRUPT_JOB", NULL, "the stored job does not parse");
        job = (struct job){.id = job.id, .payload = search->value};
        return job_give_up(worker, search, &job, &error);
    }
    const struct job_handler *handler = job_handler_of(worker->queue, job.kind);
    if (!handler) {
        sync_error_set(&error, SYNC_ERR_UNIMPLEMENTED, "UNKNOWN_JOB", NULL,
                       "nothing here runs jobs of this kind");
        return job_give_up(worker, search, &job, &error);
    }
    if (job.attempts >= JOB_ATTEMPTS_MAX) {
        if (error.status == SYNC_OK)
            sync_error_set(&error, SYNC_ERR_INTERNAL, "ABANDONED", NULL,
                           "the process ended during every attempt");
        return job_give_up(worker, search, &job, &error);
    }
    status = job_begin(worker, search, &job, &error);
    return status == SYNC_OK ? job_run_handler(worker, search, handler, &job) : status;
}

/* How long until the next job is due, at most `longest_ms`, as a time of CLOCK_MONOTONIC. */
static struct timespec wait_until(const struct job_search *search) {
    struct timespec until;
    uint64_t wait_us = (uint64_t)JOB_WAIT_MAX_MS * 1000;
    if (!search->failed && search->next_due_us > 0 &&
        search->next_due_us - search->now_us < wait_us)
        wait_us = search->next_due_us - search->now_us;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + wait_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    return until;
}

/* Waits for a wake after `wakes`, a due job or the end. After a failure of the store no wake
 * hurries it. */
static void worker_wait(struct job_queue *queue, const struct job_search *search, uint64_t wakes) {
    struct timespec until = wait_until(search);
    int late = 0;
    pthread_mutex_lock(&queue->wake_lock);
    while (!queue->closing && late == 0 && (search->failed || queue->wakes == wakes))
        late = pthread_cond_timedwait(&queue->wake, &queue->wake_lock, &until);
    pthread_mutex_unlock(&queue->wake_lock);
}

static bool worker_goes_on(struct job_queue *queue, uint64_t *ret_wakes) {
    pthread_mutex_lock(&queue->wake_lock);
    bool on = !queue->closing;
    *ret_wakes = queue->wakes;
    pthread_mutex_unlock(&queue->wake_lock);
    return on;
}

static void *worker_run(void *context) {
    struct job_worker *worker = context;
    struct job_queue *queue = worker->queue;
    uint64_t wakes;
    while (worker_goes_on(queue, &wakes)) {
        struct job_search search = {
            .queue = queue, .arena = &worker->arena, .now_us = clock_now_us(queue->options.clock)};
        arena_reset(&worker->arena);
        job_claim(worker, &search);
        if (search.found) {
            search.failed = job_handle(worker, &search) != SYNC_OK;
            job_unclaim(worker);
        }
        if (!search.found || search.failed)
            worker_wait(queue, &search, wakes);
    }
    return NULL;
}

static void queue_add_metrics(struct job_queue *queue) {
    static const char *const labels[] = {"kind", "outcome", NULL};
    struct metrics *metrics = queue->options.metrics;
    if (!metrics)
        return;
    queue->runs = metric_family_add(
        metrics, &(struct metric_options){.kind = METRIC_COUNTER,
                                          .name = "sync_job_runs_total",
                                          .help = "Ended attempts of background jobs.",
                                          .labels = labels});
    queue->running = metric_series(
        metric_family_add(metrics, &(struct metric_options){.kind = METRIC_GAUGE,
                                                            .name = "sync_jobs_running",
                                                            .help = "Background jobs now run."}),
        NULL);
}

static void queue_init_locks(struct job_queue *queue) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&queue->wake_lock, NULL);
    pthread_mutex_init(&queue->claim_lock, NULL);
}

enum sync_status job_queue_open(const struct job_queue_options *options,
                                struct job_queue **ret_queue) {
    assert(options->store);
    assert(options->workers > 0);
    struct job_queue *queue =
        memory_zalloc(1, sizeof *queue + options->workers * sizeof(struct job_worker));
    if (!queue)
        return SYNC_ERR_NO_MEMORY;
    queue->options = *options;
    queue_init_locks(queue);
    queue_add_metrics(queue);
    for (unsigned i = 0; i < options->workers; i++) {
        struct job_worker *worker = &queue->workers[i];
        worker->queue = queue;
        arena_init(&worker->arena, JOB_ARENA_MAX);
        worker->started = pthread_create(&worker->thread, NULL, worker_run, worker) == 0;
        if (!worker->started) {
            job_queue_close(queue);
            return SYNC_ERR_NO_MEMORY;
        }
        pthread_setname_np(worker->thread, "job worker");
    }
    *ret_queue = queue;
    return SYNC_OK;
}

struct job_queue *job_queue_close(struct job_queue *queue) {
    if (!queue)
        return NULL;
    pthread_mutex_lock(&queue->wake_lock);
    queue->closing = true;
    pthread_cond_broadcast(&queue->wake);
    pthread_mutex_unlock(&queue->wake_lock);
    for (unsigned i = 0; i < queue->options.workers; i++) {
        if (queue->workers[i].started)
            pthread_join(queue->workers[i].thread, NULL);
        arena_done(&queue->workers[i].arena);
    }
    pthread_cond_destroy(&queue->wake);
    pthread_mutex_destroy(&queue->wake_lock);
    pthread_mutex_destroy(&queue->claim_lock);
    memory_free(queue);
    return NULL;
}

enum sync_status job_queue_put(struct job_queue *queue, const struct job *job, struct arena *arena,
                               struct row_write *ret_row) {
    assert(job->kind.size > 0);
    struct job whole = *job;
    struct row_write row = {.table = TABLE_JOB};
    uint64_t now_us = clock_now_us(queue->options.clock);
    if (whole.due_us < now_us)
        whole.due_us = now_us;
    if (whole.id.size == 0) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_v7(now_us, queue->options.random, id);
        if (!arena_copy(arena, slice_of(id, UUID_TEXT_SIZE), &whole.id))
            return SYNC_ERR_NO_MEMORY;
    }
    if (!job_row_key(&whole, arena, &row.key) || !job_row_value(&whole, NULL, arena, &row.value))
        return SYNC_ERR_NO_MEMORY;
    if (row.key.size > JOB_KEY_MAX)
        return SYNC_ERR_TOO_LARGE;
    *ret_row = row;
    return SYNC_OK;
}

enum sync_status job_queue_put_back(struct job_queue *queue, const struct job *job,
                                    struct arena *arena, struct row_write ret_rows[2]) {
    struct job again = {
        .id = job->id, .kind = job->kind, .user = job->user, .payload = job->payload};
    struct row_write rows[2] = {{.table = TABLE_QUARANTINE, .key = job->id, .remove = true}};
    enum sync_status status = job_queue_put(queue, &again, arena, &rows[1]);
    if (status == SYNC_OK)
        memcpy(ret_rows, rows, sizeof rows);
    return status;
}
