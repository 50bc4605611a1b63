#include "service/rpc/sync_metrics.h"

#include "service/rpc/change_job.h"
#include "service/rpc/sync_job.h"

static const double SECONDS_BOUNDS[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                        1,     2.5,  5,     10,   30,  60};

/* A counter family with one label, a series per named value; NULL values are left out. `labels` is
 * static, as the registry keeps it. */
static void counters_init(struct metrics *metrics, const char *name, const char *help,
                          const char *const *labels, const char *const *values, size_t count,
                          struct metric **ret_series) {
    struct metric_family *family = metric_family_add(
        metrics, &(struct metric_options){
                     .kind = METRIC_COUNTER, .name = name, .help = help, .labels = labels});
    for (size_t i = 0; i < count; i++)
        if (values[i])
            ret_series[i] = metric_series(family, &values[i]);
}

static struct metric *counter_init(struct metrics *metrics, const char *name, const char *help) {
    static const char *const none[] = {NULL};
    return metric_series(metric_family_add(metrics, &(struct metric_options){.kind = METRIC_COUNTER,
                                                                             .name = name,
                                                                             .help = help,
                                                                             .labels = none}),
                         none);
}

/* What waits in quarantine, by kind of job. */
static void quarantine_init(struct sync_metrics *sync, struct metrics *metrics) {
    static const char *const labels[] = {"kind", NULL};
    static const char *const sync_kind[] = {SYNC_JOB_KIND}, *const change_kind[] = {
                                                                CHANGE_JOB_KIND};
    struct metric_family *family =
        metric_family_add(metrics, &(struct metric_options){.kind = METRIC_GAUGE,
                                                            .name = "sync_quarantine_jobs",
                                                            .help = "Jobs in quarantine, by kind.",
                                                            .labels = labels});
    sync->quarantined_syncs = metric_series(family, sync_kind);
    sync->quarantined_changes = metric_series(family, change_kind);
}

/* How long operations took, by what was asked for. */
static void seconds_init(struct sync_metrics *sync, struct metrics *metrics) {
    static const char *const labels[] = {"sync_type", NULL};
    static const char *const types[SYNC_METRICS_TYPES] = {NULL, "full", "delta", "incremental",
                                                          "upload"};
    struct metric_family *family = metric_family_add(
        metrics,
        &(struct metric_options){.kind = METRIC_HISTOGRAM,
                                 .name = "sync_operation_seconds",
                                 .help = "Seconds from a synchronization's request to its end.",
                                 .labels = labels,
                                 .bounds = SECONDS_BOUNDS,
                                 .bounds_count = sizeof SECONDS_BOUNDS / sizeof SECONDS_BOUNDS[0]});
    for (size_t i = 1; i < SYNC_METRICS_TYPES; i++)
        sync->operation_seconds[i] = metric_series(family, &types[i]);
}

void sync_metrics_init(struct sync_metrics *sync, struct metrics *metrics) {
    static const char *const outcomes[SYNC_METRICS_OUTCOMES] = {
        NULL, "applied", "merged", "conflict", "rejected", "blocked", "pending", "held"};
    static const char *const conflicts[SYNC_METRICS_CONFLICTS] = {NULL, "update-update",
                                                                  "update-delete", "delete-update"};
    static const char *const resolutions[SYNC_METRICS_CONFLICTS] = {NULL, "client", "server",
                                                                    "merge"};
    static const char *const states[SYNC_METRICS_STATES] = {NULL,        "pending", "processing",
                                                            "completed", "failed",  "cancelled"};
    static const char *const label_outcome[] = {"outcome", NULL},
                             *const label_type[] = {"type", NULL},
                             *const label_resolution[] = {"resolution", NULL},
                             *const label_status[] = {"status", NULL};
    *sync = (struct sync_metrics){0};
    if (!metrics)
        return;
    counters_init(metrics, "sync_changes_total", "Changes uploaded, by what became of them.",
                  label_outcome, outcomes, SYNC_METRICS_OUTCOMES, sync->changes);
    counters_init(metrics, "sync_conflicts_total", "Conflicts that wait for a user, by type.",
                  label_type, conflicts, SYNC_METRICS_CONFLICTS, sync->conflicts);
    counters_init(metrics, "sync_decisions_total",
                  "Conflicts that were decided without the user, by type.", label_type, conflicts,
                  SYNC_METRICS_CONFLICTS, sync->decisions);
    counters_init(metrics, "sync_conflicts_settled_total",
                  "Conflicts that nobody resolved before their deadline, by type.", label_type,
                  conflicts, SYNC_METRICS_CONFLICTS, sync->settled);
    counters_init(metrics, "sync_resolutions_total", "Conflicts that users resolved, by how.",
                  label_resolution, resolutions, SYNC_METRICS_CONFLICTS, sync->resolutions);
    counters_init(metrics, "sync_operations_total", "Synchronizations that came to a state.",
                  label_status, states, SYNC_METRICS_STATES, sync->operations);
    sync->undone = counter_init(metrics, "sync_resolutions_undone_total",
                                "Resolutions, of users or without them, taken back.");
    sync->duplicates =
        counter_init(metrics, "sync_duplicates_total", "Changes that had been uploaded before.");
    sync->upload_bytes =
        counter_init(metrics, "sync_upload_bytes_total", "Bytes of uploaded batches.");
    sync->bundle_bytes =
        counter_init(metrics, "sync_bundle_bytes_total", "Bytes of records' data in bundles.");
    sync->bundle_records =
        counter_init(metrics, "sync_bundle_records_total", "Records put into bundles.");
    sync->download_bytes =
        counter_init(metrics, "sync_download_bytes_total", "Bytes of containers sent.");
    sync->expired = counter_init(metrics, "sync_expired_total",
                                 "Bundles, operations and resolved conflicts removed when their "
                                 "time was over.");
    sync->dropped = counter_init(metrics, "sync_decisions_dropped_total",
                                 "Resolved conflicts removed before their time, since their user "
                                 "had too many.");
    sync->due_damaged = metric_series(
        metric_family_add(
            metrics,
            &(struct metric_options){
                .kind = METRIC_GAUGE,
                .name = "sync_due_damaged",
                .help = "Rows that are due and passed over, since they are damaged."}),
        NULL);
    seconds_init(sync, metrics);
    quarantine_init(sync, metrics);
}
