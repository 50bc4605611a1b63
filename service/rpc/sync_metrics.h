/* Sync metrics: what the handlers and workers count. Series are looked up once, here. */
#ifndef SERVICE_RPC_SYNC_METRICS_H
#define SERVICE_RPC_SYNC_METRICS_H

#include "base/metrics.h"
#include "base/status.h"

enum {
    SYNC_METRICS_OUTCOMES = 8,  /* numbers of travelsense.sync.v1.ChangeOutcome */
    SYNC_METRICS_CONFLICTS = 4, /* numbers of travelsense.sync.v1.ConflictType */
    SYNC_METRICS_STATES = 6,    /* numbers of travelsense.sync.v1.SyncStatus */
    SYNC_METRICS_TYPES = 5,     /* numbers of travelsense.sync.v1.SyncType */
};

/* All NULL when there is no registry; metric functions accept that. */
struct sync_metrics {
    struct metric *changes[SYNC_METRICS_OUTCOMES];
    struct metric *duplicates;
    struct metric *conflicts[SYNC_METRICS_CONFLICTS];
    struct metric *decisions[SYNC_METRICS_CONFLICTS];   /* by ConflictType */
    struct metric *settled[SYNC_METRICS_CONFLICTS];     /* by ConflictType */
    struct metric *resolutions[SYNC_METRICS_CONFLICTS]; /* by Resolution */
    struct metric *undone;
    struct metric *upload_bytes, *bundle_bytes, *download_bytes;
    struct metric *bundle_records;
    struct metric *operations[SYNC_METRICS_STATES];
    struct metric *operation_seconds[SYNC_METRICS_TYPES];
    struct metric *expired, *dropped, *due_damaged;
    struct metric *quarantined_syncs, *quarantined_changes;
};

/* Registers the families and fills in the series. `metrics` may be NULL. */
void sync_metrics_init(struct sync_metrics *sync, struct metrics *metrics);

#endif
