/* Retention: removes what has had its time: expired bundles with their parts, operations that ended
 * and conflicts that were resolved long ago, and old entries of the users' logs. Blocks on commits
 * and lanes: for a thread of its own, or a test with a clock of its own. */
#ifndef SERVICE_RPC_RETENTION_H
#define SERVICE_RPC_RETENTION_H

#include "service/rpc/service.h"

/* What a run has removed. */
struct retention_counts {
    uint64_t bundles, operations, conflicts;
    uint64_t dropped;       /* resolved conflicts beyond retention.decisions_max */
    uint64_t settled;       /* not removed: conflicts whose deadline had come */
    uint64_t jobs;          /* of the quarantine */
    uint64_t users_trimmed; /* looked at, to be exact */
    uint64_t damaged;       /* not removed: rows that are due, and damaged */
};

/* Removes bundles whose time is over by the service's clock, and settles conflicts whose deadline
 * has come. What is damaged stays, and is counted. */
enum sync_status retention_work_off_due(struct service *service, struct retention_counts *counts);

/* Removes operations that ended more than retention.operation_us ago. */
enum sync_status retention_expire_operations(struct service *service,
                                             struct retention_counts *counts);

/* Removes conflicts that were resolved more than retention.log_us ago; open ones stay. */
enum sync_status retention_expire_conflicts(struct service *service,
                                            struct retention_counts *counts);

/* Removes the oldest resolved conflicts of users who have more than retention.decisions_max. */
enum sync_status retention_bound_conflicts(struct service *service,
                                           struct retention_counts *counts);

/* Removes syncs that were given up more than retention.operation_us ago from the quarantine, and
 * counts what is in it for the metrics. */
enum sync_status retention_tend_quarantine(struct service *service,
                                           struct retention_counts *counts);

/* Trims the logs and settled changes of all users to retention.log_us. */
enum sync_status retention_trim_logs(struct service *service, struct retention_counts *counts);

struct retention;

/* Starts a thread that does all of it now and then. */
enum sync_status retention_open(struct service *service, struct retention **ret_retention);

/* Lets the step at hand end, then stops; returns NULL. */
struct retention *retention_close(struct retention *retention);

#endif
