/* Bundle source: the records of a bundle, read from one snapshot of the store and put in order.
 * Blocks on the store. One thread at a time. */
#ifndef SERVICE_RPC_BUNDLE_SOURCE_H
#define SERVICE_RPC_BUNDLE_SOURCE_H

#include "base/arena.h"
#include "base/limits.h"
#include "service/core/pull.h"
#include "service/store/store.h"

enum {
    /* Records' data kept in memory; the data of the rest are read when they are needed. */
    SOURCE_DATA_MAX = BUNDLE_BYTES_MAX,
    SOURCE_ARENA_MAX = 4 * BUNDLE_BYTES_MAX,
};

/* What to read. */
struct bundle_want {
    struct slice user;
    data_type_set types;
    bool has_from; /* what changed after `from`, tombstones included; else all live records */
    uint64_t from; /* sequence */
    bool has_since;
    int64_t since_us;        /* instead of `from`: what was committed at this time or later */
    int64_t now_us;          /* with has_since: the service's clock */
    bool must_reach;         /* refuse when the log has been trimmed behind `from` */
    enum patch_form patches; /* where that is possible */
};

/* In the caller's memory. */
struct bundle_source {
    struct store *store;
    struct store_reader *reader;
    struct arena arena;
    struct bundle_want want; /* `has_since` resolved to `from` */
    struct user_head head;
    struct pulled *items; /* in order, once collected; of a patch the record's data are not kept */
    size_t count, capacity;
    size_t data_bytes; /* kept */
    int64_t rank_us;
    enum sync_status status; /* of a visit */
};

/* Takes a snapshot, reads the head and finds where to begin. SYNC_ERR_PRECONDITION with reason
 * RESYNC_REQUIRED when the log must reach back and does not; SYNC_ERR_INVALID when `from` lies
 * ahead of the head. On failure nothing is to be released. */
enum sync_status bundle_source_init(struct bundle_source *source, struct store *store,
                                    const struct bundle_want *want, struct sync_error *error);

/* Reads the records and orders them as of `rank_us`. */
enum sync_status bundle_source_collect(struct bundle_source *source, int64_t rank_us);

/* Makes sure that an item's data are there: reads what was not kept into `arena`. */
enum sync_status bundle_source_fill(struct bundle_source *source, struct pulled *item,
                                    struct arena *arena);

/* Lets go of the snapshot; items with their data stay. */
void bundle_source_release(struct bundle_source *source);

/* Releases everything. */
void bundle_source_done(struct bundle_source *source);

#endif
