#include "service/core/audit.h"

#include <assert.h>

#include "base/limits.h"
#include "service/core/checksum.h"

enum sync_status audit_init(struct audit *audit, const struct audit_want *want,
                            struct arena *arena) {
    assert(want->parts_max > 0 && want->parts_max <= AUDIT_PARTS_MAX);
    assert(want->records_max > 0 && want->bytes_max > 0);
    *audit = (struct audit){.want = *want, .arena = arena, .stride = 1};
    audit->ranges = arena_zalloc(arena, want->parts_max, sizeof *audit->ranges);
    return audit->ranges ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Makes one range of each two, so that twice as many records fit. */
static void audit_double(struct audit *audit) {
    size_t halves = (audit->count + 1) / 2;
    for (size_t i = 0; i < halves; i++) {
        struct audit_range range = audit->ranges[2 * i];
        if (2 * i + 1 < audit->count) {
            const struct audit_range *next = &audit->ranges[2 * i + 1];
            range.record_count += next->record_count;
            range.data_bytes += next->data_bytes;
            range.checksum = checksum_add(range.checksum, next->checksum);
        }
        audit->ranges[i] = range;
    }
    audit->count = halves;
    audit->stride *= 2;
}

static bool audit_is_full(const struct audit *audit) {
    return audit->count == 0 || audit->ranges[audit->count - 1].record_count == audit->stride;
}

/* The range that the next record belongs to, whose id begins it when it is new; NULL without
 * memory. */
static struct audit_range *audit_place(struct audit *audit, struct slice id) {
    if (audit_is_full(audit) && audit->count == audit->want.parts_max)
        audit_double(audit);
    if (audit_is_full(audit)) {
        struct audit_range range = {0};
        if (!arena_copy(audit->arena, id, &range.first))
            return NULL;
        audit->ranges[audit->count++] = range;
    }
    return &audit->ranges[audit->count - 1];
}

/* Lets the audit end before this record. */
static void audit_cut(struct audit *audit, struct slice id) {
    if (!arena_copy(audit->arena, id, &audit->want.to))
        audit->status = SYNC_ERR_NO_MEMORY;
}

bool audit_add(struct audit *audit, const struct record *record) {
    struct slice id = record->key.id;
    assert(slice_compare(id, audit->want.from) >= 0);
    if (audit->want.to.size > 0 && slice_compare(id, audit->want.to) >= 0)
        return false;
    bool is_too_much = audit->records == audit->want.records_max ||
                       audit->bytes + record->data.size > audit->want.bytes_max;
    if (is_too_much && audit->records > 0) {
        audit_cut(audit, id);
        return false;
    }
    audit->records++;
    audit->bytes += record->data.size;
    if (record->deleted)
        return true;
    struct audit_range *range = audit_place(audit, id);
    if (!range) {
        audit->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    range->record_count++;
    range->data_bytes += record->data.size;
    range->checksum = checksum_add(range->checksum, record->element);
    return true;
}

enum sync_status audit_end(struct audit *audit) {
    if (audit->status != SYNC_OK)
        return audit->status;
    if (audit->count == 0)
        audit->ranges[audit->count++] = (struct audit_range){0};
    for (size_t i = 0; i < audit->count; i++) {
        struct audit_range *range = &audit->ranges[i];
        range->from = i == 0 ? audit->want.from : range->first;
        range->to = i + 1 < audit->count ? audit->ranges[i + 1].first : audit->want.to;
    }
    return SYNC_OK;
}
