/* Job queue: durable work in the store. A job is put by the same commit as what it is about, runs
 * at least once, is retried with exponential backoff and full jitter, and after its last attempt
 * rests in quarantine for an operator. */
#ifndef SERVICE_QUEUE_JOB_QUEUE_H
#define SERVICE_QUEUE_JOB_QUEUE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/store/store.h"

struct job_queue;

enum { JOB_ATTEMPTS_MAX = 8, JOB_BACKOFF_FIRST_MS = 200, JOB_BACKOFF_MAX_MS = 60000 };

/* A job as stored. */
struct job {
    struct slice id;   /* UUID */
    struct slice kind; /* which handler */
    struct slice user;
    struct slice payload; /* the handler's own bytes */
    uint32_t attempts;    /* begun before this one */
    uint64_t due_us;      /* in quarantine: when it came there */
};

/* Runs a job on a worker thread; it may block. SYNC_OK ends the job. A passing error (HEAD_MOVED …
 * UNAVAILABLE, IO, NO_MEMORY) has it tried again later; any other, or the last attempt, puts it in
 * quarantine. */
typedef enum sync_status job_run(void *context, const struct job *job, struct sync_error *error);

/* Told when a job is given up, before it goes to quarantine, so that what it was for can be marked
 * as failed. With any answer but SYNC_OK the job stays where it is and is given up again later; so
 * it may be told more than once. */
typedef enum sync_status job_given_up(void *context, const struct job *job,
                                      const struct sync_error *error);

struct job_handler {
    const char *kind;
    job_run *run;
    job_given_up *given_up; /* may be NULL */
    void *context;
};

struct job_queue_options {
    struct store *store;
    const struct clock *clock;
    const struct random_source *random; /* jitter and ids */
    unsigned workers;
    const struct job_handler *handlers; /* live as long as the queue */
    size_t handler_count;
    struct metrics *metrics; /* NULL: none */
    struct log *log;         /* NULL: none */
};

/* Starts the workers; jobs of an earlier run go on. */
enum sync_status job_queue_open(const struct job_queue_options *options,
                                struct job_queue **ret_queue);

/* Lets running jobs end, then stops; returns NULL. */
struct job_queue *job_queue_close(struct job_queue *queue);

/* Makes the row that puts a job, for a write set. `job->id` may be empty: one is made;
 * `job->due_us` 0 is now. Memory from the arena. SYNC_ERR_NO_MEMORY; SYNC_ERR_TOO_LARGE when the id
 * is over 256 bytes. Thread-safe. */
enum sync_status job_queue_put(struct job_queue *queue, const struct job *job, struct arena *arena,
                               struct row_write *ret_row);

/* Makes the rows that put a job from quarantine back among those that wait, with all its attempts
 * before it: two of `ret_rows`. Memory from the arena, as job_queue_put. Thread-safe. */
enum sync_status job_queue_put_back(struct job_queue *queue, const struct job *job,
                                    struct arena *arena, struct row_write ret_rows[2]);

/* Wakes the workers after a commit with a job. Thread-safe. */
void job_queue_wake(struct job_queue *queue);

#endif
