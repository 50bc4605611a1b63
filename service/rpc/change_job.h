/* Change job: applies a parked change (parked.h), again and again until it is applied or given up.
 */
#ifndef SERVICE_RPC_CHANGE_JOB_H
#define SERVICE_RPC_CHANGE_JOB_H

#include "service/rpc/service.h"

/* The job's kind; its payload is a parked change. */
#define CHANGE_JOB_KIND "change"

/* job_run: runs on a worker of the queue; `context` is the service. */
enum sync_status change_job_run(void *context, const struct job *job, struct sync_error *error);

#endif
