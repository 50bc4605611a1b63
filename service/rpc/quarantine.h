/* Quarantine: jobs that have failed, as the API shows them: those that wait for another attempt,
 * and those that were given up. */
#ifndef SERVICE_RPC_QUARANTINE_H
#define SERVICE_RPC_QUARANTINE_H

#include "service/rpc/messages.h"

/* Jobs of the queue that are looked through for one. */
enum { QUARANTINE_LOOK_MAX = 10000 };

/* A job and why it failed. Slices live in the arena. */
struct quarantined {
    struct job job;
    struct sync_error error;
    bool rests; /* given up; else it waits for another attempt */
};

/* Reads a row of TABLE_JOB or TABLE_QUARANTINE, without copying. False: it is no job that has
 * failed. */
bool quarantined_read(enum table table, struct slice key, struct slice value,
                      struct quarantined *ret_entry);

/* Finds one. SYNC_ERR_NOT_FOUND when there is none that has failed, SYNC_ERR_DENIED when it is
 * another user's and the caller no service; each with the reason in `error`. */
enum sync_status quarantined_load(struct service *service, struct slice job_id,
                                  const struct identity *caller, struct arena *arena,
                                  struct sync_error *error, struct quarantined *ret_entry);

/* As the API shows it; the change's data only if they are wanted. NULL without memory. */
PB(QuarantinedJob) *quarantined_message(const struct quarantined *entry, bool with_data,
                                        struct arena *arena);

#endif
