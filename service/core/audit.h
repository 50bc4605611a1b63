/* Audit: the state checksums of the ranges that a kind of a user's records divides into, summed in
 * one pass, so that a device finds where it differs. Ranges lie side by side, without gaps, in the
 * order of the ids' bytes. Pure. */
#ifndef SERVICE_CORE_AUDIT_H
#define SERVICE_CORE_AUDIT_H

#include "base/arena.h"
#include "service/core/model.h"

/* What to sum. Slices live as long as the audit. */
struct audit_want {
    struct slice from;             /* the first id; empty: the start */
    struct slice to;               /* the id behind the last; empty: the end */
    size_t parts_max;              /* ranges, 1 to AUDIT_PARTS_MAX */
    size_t records_max, bytes_max; /* looked through before the audit is cut; > 0 */
};

/* A range: the records with from ≤ id < to. */
struct audit_range {
    struct slice from, to;    /* empty: the start, the end */
    struct slice first;       /* the id of its first live record; empty: there is none */
    size_t record_count;      /* live */
    size_t data_bytes;        /* of their canonical documents */
    struct checksum checksum; /* the sum of their elements */
};

/* In the caller's memory; ids live in the arena. */
struct audit {
    struct audit_want want;
    struct arena *arena;
    struct audit_range *ranges; /* counts once the audit has ended */
    size_t count;
    size_t stride;         /* records in each range but the last */
    size_t records, bytes; /* looked through */
    enum sync_status status;
};

/* Begins. SYNC_ERR_NO_MEMORY. */
enum sync_status audit_init(struct audit *audit, const struct audit_want *want,
                            struct arena *arena);

/* Takes the next record, tombstones included, in the order of ids from want.from on. False when no
 * more are wanted: the end is reached, the audit is cut, or memory ran out (audit_end tells). */
bool audit_add(struct audit *audit, const struct record *record);

/* Ends: there is at least one range; the last ends at want.to, or earlier where the audit was cut.
 * SYNC_ERR_NO_MEMORY. */
enum sync_status audit_end(struct audit *audit);

#endif
