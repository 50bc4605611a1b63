/* Change work: a batch while it is applied. For the files of core/change_ only. Pure. */
#ifndef SERVICE_CORE_CHANGE_WORK_H
#define SERVICE_CORE_CHANGE_WORK_H

#include "service/core/change_batch.h"
#include "service/core/conflict_hold.h"
#include "service/core/slice_index.h"
#include "service/core/write_build.h"

/* A record as a device knew it. */
struct base_image {
    bool is_known; /* false: the log is trimmed, nobody knows; counts as empty */
    bool deleted;
    struct slice document;
};

/* A record that the batch touches. */
struct change_record {
    struct record_state state;            /* first: the build reads these as an array */
    const struct record_view *view;       /* as loaded, with the history */
    uint64_t others_last;                 /* the latest stored change by others; 0: none is known */
    const struct log_entry *others_entry; /* that change */
    int64_t others_us;  /* when the last of those known was made, as far as can be believed */
    uint64_t own_known; /* the device's latest stored change that is as_sent; 0: none */
    size_t own_last;    /* 1 + the log index of this batch's latest change; 0: none */
    struct conflict_hold hold; /* of the device's; a service has none */
    struct slice blocked_by;   /* the change that later ones wait behind; empty: none */
    bool is_unmade;            /* that one was to make the record, and never will */
    bool has_base;             /* `base` is right for base_sequence */
    uint64_t base_sequence;
    struct base_image base;
};

/* The batch on the way. */
struct change_work {
    const struct change_batch *batch;
    const struct batch_context *context;
    const struct user_view *view;
    struct arena *arena;
    struct write_build build;
    struct change_record *records;
    size_t record_count;
    size_t *record_of;       /* parallel to the changes */
    int64_t *times;          /* parallel: when it was made, corrected */
    size_t *own_before;      /* parallel to the build's log: own_last before the entry */
    bool is_release;         /* of what was held: what the device has by now nobody knows */
    struct slice_index seen; /* change ids met so far, with their place in the batch */
    struct change_result *results;
};

/* When a change of the batch was made: corrected, not in the future, and not before what the batch
 * has before it. */
static inline int64_t change_time(const struct change_work *work, const struct change *change) {
    return work->times[change - work->batch->changes];
}

/* The sequence that a change was made on: where it does not say, the device has what it sent
 * itself, too. A creation is made on nothing that was sent before. */
static inline uint64_t change_base_sequence(const struct change_work *work,
                                            const struct change_record *record,
                                            const struct change *change) {
    uint64_t base = work->batch->acknowledged;
    if (change->base_version > 0)
        return change->base_version;
    return change->kind != CHANGE_CREATE && record->own_known > base ? record->own_known : base;
}

/* Tells whether a stored entry is the batch's own device's. */
static inline bool change_is_own(const struct change_work *work, const struct log_entry *entry) {
    return work->batch->device.size > 0 && slice_equal(entry->device, work->batch->device);
}

/* Numbers the distinct records of a batch in the order of their first change: `ret_record_of` is
 * parallel to the changes. */
enum sync_status change_records_number(const struct change_batch *batch, struct arena *arena,
                                       size_t **ret_record_of, size_t *ret_record_count);

/* Finds the latest change by others, and the latest that the device knows to be whole, in a
 * record's stored history. */
void change_record_scan(const struct change_work *work, struct change_record *record);

/* Tells whether the record's loaded history has all changes after the sequence: what an older
 * change of the batch asked for may be cut off, and what a newer one needs be there. */
bool change_history_reaches(const struct change_record *record, uint64_t base_sequence);

/* Tells whether others changed the record after the sequence, or may have. */
bool change_others_since(const struct change_record *record, uint64_t base_sequence);

/* The record as the device knew it when it made a change on `base_sequence`: with what others
 * changed since undone, and the device's own changes kept. Remembered in the record. */
enum sync_status change_base_find(struct change_work *work, struct change_record *record,
                                  uint64_t base_sequence, struct base_image *ret_base);

/* Puts what was done from `base` to `theirs` into `ours`: where both differ from the base, theirs
 * is taken, but what merges inside, by these policies, merges. */
enum sync_status change_merge_own(const struct policy_set *policies, enum data_type type,
                                  struct slice base, struct slice ours, struct slice theirs,
                                  struct arena *arena, struct slice *ret_document);

/* What an update makes of a document that it is applied to, by its merge patch or its operations.
 * SYNC_ERR_INVALID when its operations lead nowhere in the document, or make it too large or too
 * deep: `result` is then a rejection that names the operation. */
enum sync_status change_patch_apply(struct change_work *work, const struct change *change,
                                    struct slice document, struct change_result *result,
                                    struct slice *ret_document);

/* Marks in a base what an update by operations takes away by name from the record as it is, and
 * which the base does not have (document_removals): the device had it, by a change of its own that
 * was decided otherwise. */
enum sync_status change_patch_mark_base(struct change_work *work,
                                        const struct change_record *record,
                                        const struct change *change, struct slice *base);

/* What an update makes of the record as it is, where nobody knows what the device had: all that it
 * does not speak of stays. `ret_base` has what it takes away by name, so that a merge does not take
 * that for no change (document_removals). Errors as those of change_patch_apply. */
enum sync_status change_patch_without_base(struct change_work *work,
                                           const struct change_record *record,
                                           const struct change *change,
                                           struct change_result *result, struct slice *ret_base,
                                           struct slice *ret_theirs);

/* A record as a change makes it. */
struct change_target {
    bool deleted;
    bool as_sent;          /* on what the device had: it has it just so */
    struct slice document; /* unless deleted */
};

/* Writes the record and keeps the remembered base right. */
enum sync_status change_write(struct change_work *work, struct change_record *record,
                              const struct change *change, const struct change_target *target);

/* Writes a document, if it differs from the record's and is not too large. */
enum sync_status change_put_document(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct slice document,
                                     enum change_outcome outcome, struct change_result *result);

/* Tells whether the change is so old that it may have been applied before and be forgotten, and the
 * record has changed since it was made, as far as the change itself says. */
bool change_is_stale(const struct change_work *work, const struct change_record *record,
                     const struct change *change);

/* Applies a stale change: it counts where nobody changed the record after it was made. Otherwise
 * the record stays as it is, and the change is kept as a decision, or as a conflict where the user
 * wants to be asked. So what was applied already and is sent again does nothing, brings nothing
 * back and deletes nothing. */
enum sync_status change_stale_apply(struct change_work *work, struct change_record *record,
                                    const struct change *change, struct change_result *result);

/* Applies one change, which is new and not blocked, keeps its outcome, and has those behind it wait
 * if it does. */
enum sync_status change_try(struct change_work *work, struct change_record *record,
                            const struct change *change, struct change_result *result);

/* Does what the change's kind says. */
enum sync_status change_apply(struct change_work *work, struct change_record *record,
                              const struct change *change, struct change_result *result);

/* What a conflict is made of. */
struct conflict_draft {
    enum conflict_type type;
    const struct base_image *base;
    bool has_client, is_on_server; /* as a conflict's */
    struct slice client, suggested;
    struct slice *fields;
    size_t field_count;
    struct conflict_decision *decisions; /* of one that is decided without the user */
    size_t decision_count;
};

enum { CONFLICT_FIELDS_MAX = 1000 };

/* Stores a conflict and makes the result tell it. */
enum sync_status change_conflict(struct change_work *work, struct change_record *record,
                                 const struct change *change, const struct conflict_draft *draft,
                                 struct change_result *result);

/* Keeps what was decided without the user, so that it can be seen and undone: begin before the
 * record is written, with the sides as they are, and end when it is; the result then tells it. */
enum sync_status change_decide_begin(struct change_work *work, const struct change_record *record,
                                     const struct change *change,
                                     const struct conflict_draft *draft,
                                     struct conflict *ret_decided);
enum sync_status change_decide_end(struct change_work *work, const struct change_record *record,
                                   struct conflict *decided, struct change_result *result);

/* The paths in which two documents differ, at most CONFLICT_FIELDS_MAX. */
enum sync_status change_differing_fields(struct change_work *work, struct slice before,
                                         struct slice after, struct conflict_draft *draft);

/* Makes the result a rejection. */
void change_reject(struct change_result *result, const char *reason, struct slice field,
                   struct slice message);

/* Makes the result a rejection, for a record that would be too large. */
void change_reject_too_large(struct change_result *result, struct slice field);

/* Reasons of rejection that are passing: the change is not settled, and may be sent again. */
#define REASON_ID_REUSED "CHANGE_ID_REUSED"
#define REASON_CONFLICTS_EXHAUSTED "CONFLICTS_EXHAUSTED"

#endif
