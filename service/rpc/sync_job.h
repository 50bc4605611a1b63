/* Sync job: the work behind RequestSync. It builds the bundle that the operation asked for and
 * keeps the operation told. */
#ifndef SERVICE_RPC_SYNC_JOB_H
#define SERVICE_RPC_SYNC_JOB_H

#include "service/rpc/service.h"

/* The job's kind; its payload is the operation's id. */
#define SYNC_JOB_KIND "sync"

/* job_run: runs on a worker of the queue; `context` is the service. An operation that has ended, or
 * is gone, needs nothing. */
enum sync_status sync_job_run(void *context, const struct job *job, struct sync_error *error);

/* job_given_up: marks the operation as failed. */
enum sync_status sync_job_given_up(void *context, const struct job *job,
                                   const struct sync_error *error);

#endif
