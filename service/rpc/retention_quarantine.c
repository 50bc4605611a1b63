/* Retention of the quarantine: it is counted, and syncs that were given up go with their
 * operations. Changes stay until somebody decides. */
#include "service/queue/job_row.h"
#include "service/rpc/change_job.h"
#include "service/rpc/quarantine.h"
#include "service/rpc/retention.h"
#include "service/rpc/sync_job.h"
#include "service/rpc/sync_metrics.h"

enum { REMOVED_MAX = 1000 };

/* A walk through the quarantine. */
struct tending {
    struct arena arena;
    int64_t before_us; /* what was given up before this has had its time */
    struct row_write *rows;
    size_t row_count;
    uint64_t syncs, changes;
    bool no_memory;
};

static bool tending_visit(void *context, const struct scan_item *item) {
    struct tending *tending = context;
    const struct row *row = item->row;
    struct quarantined entry;
    if (!quarantined_read(TABLE_QUARANTINE, row->key, row->value, &entry))
        return true;
    bool is_sync = slice_equal(entry.job.kind, SLICE(SYNC_JOB_KIND));
    bool is_old = is_sync && (int64_t)entry.job.due_us < tending->before_us;
    tending->changes += slice_equal(entry.job.kind, SLICE(CHANGE_JOB_KIND));
    tending->syncs += is_sync && !is_old;
    if (!is_old)
        return true;
    struct row_write *remove = &tending->rows[tending->row_count++];
    *remove = (struct row_write){.table = TABLE_QUARANTINE, .remove = true};
    tending->no_memory = !arena_copy(&tending->arena, row->key, &remove->key);
    return !tending->no_memory && tending->row_count < REMOVED_MAX;
}

enum sync_status retention_tend_quarantine(struct service *service,
                                           struct retention_counts *counts) {
    struct tending tending = {.before_us = (int64_t)clock_now_us(service->clock) -
                                           (int64_t)service->retention.operation_us};
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_QUARANTINE, .with_damaged = true};
    arena_init(&tending.arena, 1 << 20);
    tending.rows = arena_zalloc(&tending.arena, REMOVED_MAX, sizeof *tending.rows);
    enum sync_status status = tending.rows
                                  ? store_scan(service->store, NULL, &scan, tending_visit, &tending)
                                  : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK && tending.no_memory)
        status = SYNC_ERR_NO_MEMORY;
    struct write_set set = {.rows = tending.rows, .row_count = tending.row_count};
    if (status == SYNC_OK && set.row_count > 0)
        status = store_commit_wait(service->store, &set, NULL);
    if (status == SYNC_OK)
        counts->jobs += set.row_count;
    if (status == SYNC_OK && service->sync_metrics) {
        metric_set(service->sync_metrics->quarantined_syncs, (double)tending.syncs);
        metric_set(service->sync_metrics->quarantined_changes, (double)tending.changes);
    }
    arena_done(&tending.arena);
    return status;
}
