/* Job row: a job as it lies in the store. Pure.
 *
 * TABLE_JOB: key 8-byte big-endian due µs, job id. TABLE_QUARANTINE: key job id. The value is a
 * message: 1 kind, 2 user, 3 payload, 4 attempts; after an attempt that failed, and in quarantine,
 * also 5 due µs, 6 status (zigzag), 7 reason, 8 message. */
#ifndef SERVICE_QUEUE_JOB_ROW_H
#define SERVICE_QUEUE_JOB_ROW_H

#include "base/arena.h"
#include "service/queue/job_queue.h"

/* The key of a waiting job, in the arena. False without memory. */
bool job_row_key(const struct job *job, struct arena *arena, struct slice *ret_key);

/* Reads the due time of a waiting job's key; false when it is none. */
bool job_row_due(struct slice key, uint64_t *ret_due_us);

/* The value, in the arena; `error` is what the last attempt failed with, NULL (or one of SYNC_OK)
 * when none has. False without memory. */
bool job_row_value(const struct job *job, const struct sync_error *error, struct arena *arena,
                   struct slice *ret_value);

/* Reads a row of either table; the job borrows from key and value, `ret_error` may be NULL.
 * SYNC_ERR_CORRUPT when it does not parse. */
enum sync_status job_row_read(enum table table, struct slice key, struct slice value,
                              struct job *ret_job, struct sync_error *ret_error);

#endif
