/* Change batch: what the core of the service does with an upload.
 *
 * Pure: the same view, batch and arguments give the same write set and outcomes, always. Everything
 * returned lives in the arena. */
#ifndef SERVICE_CORE_CHANGE_BATCH_H
#define SERVICE_CORE_CHANGE_BATCH_H

#include "base/arena.h"
#include "base/id.h"
#include "base/limits.h"
#include "service/core/model.h"
#include "service/core/policy.h"

/* One change, already checked for syntax. */
struct change {
    struct slice id;
    enum change_kind kind;
    enum data_type type;
    struct slice
        data_id; /* resolved from dataId or data.id; for a create without either, a new UUIDv7 */
    bool data_id_made;       /* it was made here, not sent */
    struct slice data;       /* canonical document: record (create) or merge patch (update) */
    struct slice operations; /* of an update, in place of data: packed (patch_operation.h) */
    int64_t device_us;       /* by the device's clock */
    uint64_t base_version;   /* 0: what the device has acknowledged */
    uint8_t payload_hash[PAYLOAD_HASH_SIZE];
};

struct change_batch {
    struct slice user, device; /* device empty: a service */
    const struct change *changes;
    size_t count;
    uint64_t acknowledged; /* sequence up to which the device holds the data */
    /* By the device's clock: what was made before is judged by all that the log has of its record,
     * whatever the device acknowledged since; 0: nothing is. */
    int64_t forgotten_device_us;
};

/* Time, ids and settings as arguments. */
struct batch_context {
    int64_t now_us; /* the server's clock */
    int64_t
        clock_offset_us;  /* the device's clock minus the server's, as measured; 0 when unknown */
    int64_t forgotten_us; /* changes made before this may be known no more; 0: all are */
    const struct random_source *random; /* for conflict ids */
    const struct policy_set *policies;
    enum conflict_strategy strategy;
};

enum change_outcome { /* numbers of travelsense.sync.v1.ChangeOutcome */
                      OUTCOME_APPLIED = 1,
                      OUTCOME_MERGED = 2,
                      OUTCOME_CONFLICT = 3,
                      OUTCOME_REJECTED = 4,
                      OUTCOME_BLOCKED = 5,
                      OUTCOME_PENDING = 6, /* not of the core: rpc/upload_park.h */
                      OUTCOME_HELD = 7,    /* told as BLOCKED, with ChangeResult.held */
};

/* What became of one change. */
struct change_result {
    struct slice change_id;
    enum change_outcome outcome;
    bool duplicate;
    enum data_type type;
    struct slice data_id;
    uint64_t version;
    struct slice conflict_id; /* waits for the user; of a held change, what it waits behind */
    struct slice decision_id; /* what was decided without him; empty: nothing */
    bool has_document;        /* not when deleted, not tried or a duplicate */
    struct slice document;    /* the record after it */
    const char *reason;       /* NULL, or of a rejection: stable; of a duplicate in the arena */
    struct slice field, message;
};

/* What to load before change_batch_apply: the records with their history, the changes' earlier
 * outcomes, and what open conflicts of the device hold back. Parallel to batch->changes: record i
 * and change i belong to change i. Rows of the caller's own come behind these. */
enum sync_status change_batch_touch(const struct change_batch *batch, struct arena *arena,
                                    struct touched *ret_touched);

/* Applies the batch. `ret_results` has batch->count entries in order. The write set is empty
 * (record_count, log_count, settled_count and row_count 0) when everything was a duplicate: then
 * nothing need be committed. */
enum sync_status change_batch_apply(const struct user_view *view, const struct change_batch *batch,
                                    const struct batch_context *context, struct arena *arena,
                                    struct write_set *ret_set, struct change_result **ret_results);

/* Makes the result a rejection: the device used the change's id before, for another change. */
void change_result_reuse(struct change_result *result);

/* Makes the set that settles a change as rejected, for this reason, without trying it. `view` is of
 * a load with the user alone. */
enum sync_status change_discard(const struct user_view *view, const struct change_batch *batch,
                                const char *reason, struct slice message, struct arena *arena,
                                struct write_set *ret_set);

/* The payload hash that makes an upload idempotent: over kind, type, data id as sent (empty when
 * made here), base version, device time and data. */
void change_payload_hash(const struct change *change, uint8_t ret_hash[PAYLOAD_HASH_SIZE]);

#endif
