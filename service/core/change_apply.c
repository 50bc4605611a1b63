/* One change applied: what each kind does to a record as it stands. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/change_work.h"
#include "service/core/delta.h"
#include "service/core/document.h"
#include "service/core/hybrid_clock.h"
#include "service/core/merge.h"

enum { OURS_LOG_MAX = 100 /* changes by others looked at for the times of fields */ };

static void result_take(struct change_result *result, enum change_outcome outcome,
                        const struct change_record *record) {
    result->outcome = outcome;
    result->version = record->state.record.version;
}

static enum sync_status reject_absent(struct change_result *result) {
    change_reject(result, "NOT_FOUND", SLICE("dataId"), SLICE("There is no such record."));
    return SYNC_OK;
}

enum sync_status change_put_document(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct slice document,
                                     enum change_outcome outcome, struct change_result *result) {
    const struct record_state *state = &record->state;
    if (document.size > CHANGE_DATA_MAX) {
        change_reject_too_large(result, SLICE("data"));
        return SYNC_OK;
    }
    if (!record_state_lives(state) || !slice_equal(document, state->record.data)) {
        bool met = change_others_since(record, change_base_sequence(work, record, change));
        const struct change_target target = {
            .as_sent = outcome == OUTCOME_APPLIED && !met,
            .document = document,
        };
        enum sync_status status = change_write(work, record, change, &target);
        if (status)
            return status;
    }
    result_take(result, outcome, record);
    return SYNC_OK;
}

/* The paths that wait for the user. */
static enum sync_status undecided_fields(struct change_work *work,
                                         const struct merge_result *merged,
                                         struct conflict_draft *draft) {
    draft->fields = arena_alloc(work->arena, merged->decision_count * sizeof *draft->fields);
    if (!draft->fields)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < merged->decision_count; i++)
        if (merged->decisions[i].undecided)
            draft->fields[draft->field_count++] = merged->decisions[i].path;
    return SYNC_OK;
}

static const char *strategy_name(enum conflict_strategy strategy) {
    switch (strategy) {
    case STRATEGY_SERVER:
        return "strategy server";
    case STRATEGY_CLIENT:
        return "strategy client";
    case STRATEGY_MERGE:
        return "strategy merge";
    case STRATEGY_MANUAL:
        break;
    }
    return "strategy manual";
}

/* The fields of a merge that nobody was asked about, and why they are so. */
static enum sync_status decided_fields(struct change_work *work, const struct merge_result *merged,
                                       struct conflict_draft *draft) {
    size_t count = merged->decision_count;
    draft->fields = arena_alloc(work->arena, count * sizeof *draft->fields);
    draft->decisions = arena_alloc(work->arena, count * sizeof *draft->decisions);
    if (!draft->fields || !draft->decisions)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct merge_decision *decision = &merged->decisions[i];
        bool is_joined =
            decision->policy == FIELD_POLICY_UNION || decision->policy == FIELD_POLICY_TEXT;
        const char *reason =
            decision->policy == FIELD_POLICY_NONE
                ? strategy_name(work->context->strategy)
                : arena_format(work->arena, "policy %s", field_policy_name(decision->policy));
        if (!reason)
            return SYNC_ERR_NO_MEMORY;
        draft->fields[i] = decision->path;
        draft->decisions[i] = (struct conflict_decision){
            .field = decision->path,
            .reason = slice_text(reason),
            .taken = is_joined               ? RESOLUTION_MERGE
                     : decision->took_theirs ? RESOLUTION_CLIENT
                                             : RESOLUTION_SERVER,
        };
    }
    draft->field_count = draft->decision_count = count;
    return SYNC_OK;
}

/* Writes a merge that was decided without the user, and keeps the decisions. */
static enum sync_status merge_decided(struct change_work *work, struct change_record *record,
                                      const struct change *change,
                                      const struct merge_result *merged,
                                      struct conflict_draft *draft, struct change_result *result) {
    struct conflict decided;
    enum sync_status status = decided_fields(work, merged, draft);
    if (!status)
        status = change_decide_begin(work, record, change, draft, &decided);
    if (!status)
        status =
            change_put_document(work, record, change, merged->document, OUTCOME_MERGED, result);
    return status ? status : change_decide_end(work, record, &decided, result);
}

/* Changes by others after the base, newest first: for the times of the server's fields. A field
 * that none of those looked at touches was changed before them all. */
static enum sync_status ours_log_collect(const struct change_work *work,
                                         const struct change_record *record, uint64_t base_sequence,
                                         struct merge_input *input) {
    const struct record_view *view = record->view;
    size_t max = view->history_count < OURS_LOG_MAX ? view->history_count : OURS_LOG_MAX, i = 0;
    const struct log_entry **entries = arena_alloc(work->arena, max * sizeof *entries);
    struct log_entry *believed = arena_alloc(work->arena, max * sizeof *believed);
    if (!entries || !believed)
        return SYNC_ERR_NO_MEMORY;
    for (; i < view->history_count && input->ours_log_count < max; i++) {
        const struct log_entry *entry = &view->history[i];
        if (entry->sequence <= base_sequence || change_is_own(work, entry))
            continue;
        struct log_entry *copy = &believed[input->ours_log_count];
        *copy = *entry;
        copy->corrected_us = hybrid_clock_believe(entry->corrected_us, work->context->now_us);
        entries[input->ours_log_count++] = copy;
    }
    input->ours_log = entries;
    bool is_cut = i < view->history_count || !change_history_reaches(record, base_sequence);
    if (is_cut && input->ours_log_count > 0)
        input->ours_us = entries[input->ours_log_count - 1]->corrected_us;
    return SYNC_OK;
}

/* When the server's side was last changed by others, as far as it can be believed. */
static int64_t ours_time(const struct change_work *work, const struct change_record *record) {
    const struct log_entry *others = record->others_entry;
    return hybrid_clock_believe(others ? others->corrected_us : record->state.record.updated_us,
                                work->context->now_us);
}

/* Merges the client's document into a record that others changed. */
static enum sync_status merge_document(struct change_work *work, struct change_record *record,
                                       const struct change *change, const struct base_image *base,
                                       struct slice theirs, struct change_result *result) {
    const struct batch_context *context = work->context;
    struct merge_input input = {
        .type = change->type,
        .base = base->document,
        .ours = record->state.record.data,
        .theirs = theirs,
        .ours_us = ours_time(work, record),
        .theirs_us = change_time(work, change),
    };
    struct merge_result merged;
    enum sync_status status =
        ours_log_collect(work, record, change_base_sequence(work, record, change), &input);
    if (!status)
        status = conflict_merge(&input, context->policies, context->strategy, work->arena, &merged);
    if (status)
        return status;
    /* Whether the record is now as the device has it: not where nobody knows what that was. */
    bool has_base = base->is_known && !base->deleted;
    bool is_as_sent = !merged.took_ours && (change->kind == CHANGE_CREATE || has_base);
    if (merged.decision_count == 0)
        return change_put_document(work, record, change, merged.document,
                                   is_as_sent ? OUTCOME_APPLIED : OUTCOME_MERGED, result);
    struct conflict_draft draft = {
        .type = CONFLICT_UPDATE_UPDATE,
        .base = base,
        .has_client = true,
        .is_on_server = change->kind == CHANGE_UPDATE && !has_base,
        .client = theirs,
        .suggested = merged.document,
    };
    if (merged.undecided_count == 0)
        return merge_decided(work, record, change, &merged, &draft, result);
    status = undecided_fields(work, &merged, &draft);
    return status ? status : change_conflict(work, record, change, &draft, result);
}

/* Tells whether the device knows that the record is deleted: it did it, or saw it. */
static bool deletion_is_known(const struct change_work *work, const struct change_record *record,
                              uint64_t base_sequence) {
    const struct record_view *view = record->view;
    if (record->state.dirty || view->record.version <= base_sequence)
        return true;
    return view->history_count > 0 && change_is_own(work, &view->history[0]);
}

/* The record just before it was deleted, where the log still knows. */
static enum sync_status last_image(struct change_work *work, const struct change_record *record,
                                   struct slice *ret_document) {
    const struct record_view *view = record->view;
    if (view->history_count == 0 || view->history[0].previous_deleted) {
        *ret_document = SLICE_EMPTY;
        return SYNC_OK;
    }
    return delta_apply(SLICE_EMPTY, view->history[0].undo, work->arena, ret_document);
}

/* Which side a dispute goes to. */
enum side { SIDE_NONE, SIDE_CLIENT, SIDE_SERVER };

/* What the user's strategy says where one side deleted. The merge keeps the record: a deletion is
 * soon done again, a change is not. */
static enum side delete_side_by_strategy(const struct change_work *work, bool client_deletes) {
    switch (work->context->strategy) {
    case STRATEGY_SERVER:
        return SIDE_SERVER;
    case STRATEGY_CLIENT:
        return SIDE_CLIENT;
    case STRATEGY_MERGE:
        return client_deletes ? SIDE_SERVER : SIDE_CLIENT;
    case STRATEGY_MANUAL:
        break;
    }
    return SIDE_NONE;
}

/* Whose deletion, or change against one, counts by the type's policy. */
static enum side delete_side_by_policy(const struct change_work *work,
                                       const struct change_record *record,
                                       const struct change *change, bool *ret_is_open) {
    const struct batch_context *context = work->context;
    const struct log_entry *others = record->others_entry;
    bool client_deletes = change->kind == CHANGE_DELETE;
    switch (context->policies->deletes[change->type]) {
    case DELETE_POLICY_CLIENT:
        return SIDE_CLIENT;
    case DELETE_POLICY_SERVER:
        return SIDE_SERVER;
    case DELETE_POLICY_SERVICE:
        if (others && others->device.size == 0)
            return SIDE_SERVER;
        break;
    case DELETE_POLICY_LATEST:
        return change_time(work, change) > ours_time(work, record) ? SIDE_CLIENT : SIDE_SERVER;
    case DELETE_POLICY_KEEP:
        return client_deletes ? SIDE_SERVER : SIDE_CLIENT;
    case DELETE_POLICY_DELETE:
        return client_deletes ? SIDE_CLIENT : SIDE_SERVER;
    case DELETE_POLICY_MANUAL:
        return SIDE_NONE;
    case DELETE_POLICY_NONE:
        break;
    }
    *ret_is_open = true;
    return SIDE_NONE;
}

/* Why the change of a deleted record, or the deletion of a changed one, was decided so. */
static enum sync_status deletion_reason(struct change_work *work, const struct change *change,
                                        enum side side, bool by_strategy,
                                        struct conflict_draft *draft) {
    enum delete_policy policy = work->context->policies->deletes[change->type];
    const char *reason = by_strategy
                             ? strategy_name(work->context->strategy)
                             : arena_format(work->arena, "policy %s", delete_policy_name(policy));
    draft->decisions = arena_alloc(work->arena, sizeof *draft->decisions);
    if (!reason || !draft->decisions)
        return SYNC_ERR_NO_MEMORY;
    draft->decisions[0] = (struct conflict_decision){
        .reason = slice_text(reason),
        .taken = side == SIDE_CLIENT ? RESOLUTION_CLIENT : RESOLUTION_SERVER,
    };
    draft->decision_count = 1;
    return SYNC_OK;
}

/* Does what the side wants, the client's as in the draft. */
static enum sync_status deletion_write(struct change_work *work, struct change_record *record,
                                       const struct change *change,
                                       const struct conflict_draft *draft, enum side side,
                                       struct change_result *result) {
    enum sync_status status = SYNC_OK;
    if (side == SIDE_CLIENT && draft->has_client)
        return change_put_document(work, record, change, draft->client, OUTCOME_MERGED, result);
    if (side == SIDE_CLIENT)
        status = change_write(work, record, change, &(struct change_target){.deleted = true});
    if (!status)
        result_take(result, OUTCOME_MERGED, record);
    return status;
}

/* Decides a change against a deletion, or leaves it to the user; keeps either. */
static enum sync_status deletion_settle(struct change_work *work, struct change_record *record,
                                        const struct change *change, struct conflict_draft *draft,
                                        struct change_result *result) {
    bool is_open = false;
    struct conflict decided;
    enum side side = delete_side_by_policy(work, record, change, &is_open);
    if (is_open)
        side = delete_side_by_strategy(work, change->kind == CHANGE_DELETE);
    if (side == SIDE_NONE)
        return change_conflict(work, record, change, draft, result);
    enum sync_status status = deletion_reason(work, change, side, is_open, draft);
    if (!status)
        status = change_decide_begin(work, record, change, draft, &decided);
    if (!status)
        status = deletion_write(work, record, change, draft, side, result);
    return status ? status : change_decide_end(work, record, &decided, result);
}

/* An update of what others deleted. */
static enum sync_status update_deleted(struct change_work *work, struct change_record *record,
                                       const struct change *change, struct change_result *result) {
    uint64_t base_sequence = change_base_sequence(work, record, change);
    if (deletion_is_known(work, record, base_sequence)) {
        change_reject(result, "GONE", SLICE("dataId"), SLICE("The record is deleted."));
        return SYNC_OK;
    }
    struct base_image base;
    struct slice client, image;
    enum sync_status status = change_base_find(work, record, base_sequence, &base);
    image = base.document;
    if (!status && !base.is_known)
        status = last_image(work, record, &image);
    if (!status)
        status = change_patch_apply(work, change, image, result, &client);
    if (status)
        return status;
    struct conflict_draft draft = {
        .type = CONFLICT_UPDATE_DELETE,
        .base = &base,
        .has_client = true,
        .client = client,
        .suggested = client,
    };
    status = change_differing_fields(work, image, client, &draft);
    return status ? status : deletion_settle(work, record, change, &draft, result);
}

/* Tells whether a creation may be older than the deletion, and sent once before: neither its
 * outcome nor what became of the record is known any more. */
static bool creation_is_late(const struct change_work *work, const struct change_record *record,
                             uint64_t base_sequence) {
    return record->state.found && !deletion_is_known(work, record, base_sequence) &&
           !change_history_reaches(record, base_sequence);
}

/* A creation of what others deleted, by a device that was away longer than the log reaches: it must
 * not bring the record back unseen. */
static enum sync_status create_deleted(struct change_work *work, struct change_record *record,
                                       const struct change *change, struct change_result *result) {
    const struct base_image unknown = {.deleted = true};
    struct slice image;
    struct conflict_draft draft = {
        .type = CONFLICT_UPDATE_DELETE,
        .base = &unknown,
        .has_client = true,
        .client = change->data,
        .suggested = change->data,
    };
    enum sync_status status = last_image(work, record, &image);
    if (!status)
        status = change_differing_fields(work, image, change->data, &draft);
    return status ? status : deletion_settle(work, record, change, &draft, result);
}

static enum sync_status apply_create(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct change_result *result) {
    const struct base_image empty = {.deleted = true};
    if (!record_state_lives(&record->state) &&
        creation_is_late(work, record, change_base_sequence(work, record, change)))
        return create_deleted(work, record, change, result);
    if (!record_state_lives(&record->state))
        return change_put_document(work, record, change, change->data, OUTCOME_APPLIED, result);
    return merge_document(work, record, change, &empty, change->data, result);
}

/* What an update makes of what the device had. Operations that lead nowhere there may do so in the
 * record as it is: what the device had by its own earlier changes was then decided otherwise. */
static enum sync_status update_from_base(struct change_work *work, struct change_record *record,
                                         const struct change *change, struct change_result *result,
                                         struct base_image *base, struct slice *ret_theirs) {
    struct slice removals;
    if (!base->is_known || base->deleted)
        return change_patch_without_base(work, record, change, result, &base->document, ret_theirs);
    enum sync_status status = change_patch_apply(work, change, base->document, result, ret_theirs);
    if (status == SYNC_ERR_INVALID) {
        base->is_known = false;
        status = change_patch_without_base(work, record, change, result, &removals, ret_theirs);
    }
    return status ? status : change_patch_mark_base(work, record, change, &base->document);
}

static enum sync_status apply_update(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct change_result *result) {
    uint64_t base_sequence = change_base_sequence(work, record, change);
    struct base_image base;
    struct slice theirs;
    if (!record->state.found)
        return reject_absent(result);
    if (record->state.record.deleted)
        return update_deleted(work, record, change, result);
    if (!change_others_since(record, base_sequence)) {
        enum sync_status status =
            change_patch_apply(work, change, record->state.record.data, result, &theirs);
        if (status)
            return status;
        return change_put_document(work, record, change, theirs, OUTCOME_APPLIED, result);
    }
    enum sync_status status = change_base_find(work, record, base_sequence, &base);
    if (!status)
        status = update_from_base(work, record, change, result, &base, &theirs);
    if (status)
        return status;
    return merge_document(work, record, change, &base, theirs, result);
}

/* A deletion of what others changed. */
static enum sync_status delete_changed(struct change_work *work, struct change_record *record,
                                       const struct change *change, struct change_result *result) {
    struct base_image base;
    enum sync_status status =
        change_base_find(work, record, change_base_sequence(work, record, change), &base);
    if (status)
        return status;
    struct conflict_draft draft = {
        .type = CONFLICT_DELETE_UPDATE,
        .base = &base,
        .suggested = record->state.record.data,
    };
    status = change_differing_fields(work, base.document, record->state.record.data, &draft);
    return status ? status : deletion_settle(work, record, change, &draft, result);
}

static enum sync_status apply_delete(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct change_result *result) {
    enum sync_status status = SYNC_OK;
    if (!record->state.found)
        return reject_absent(result);
    if (!record->state.record.deleted) {
        if (change_others_since(record, change_base_sequence(work, record, change)))
            return delete_changed(work, record, change, result);
        status = change_write(work, record, change,
                              &(struct change_target){.deleted = true, .as_sent = true});
    }
    if (!status)
        result_take(result, OUTCOME_APPLIED, record);
    return status;
}

static enum sync_status apply_kind(struct change_work *work, struct change_record *record,
                                   const struct change *change, struct change_result *result) {
    if (change_is_stale(work, record, change))
        return change_stale_apply(work, record, change, result);
    switch (change->kind) {
    case CHANGE_CREATE:
        return apply_create(work, record, change, result);
    case CHANGE_UPDATE:
        return apply_update(work, record, change, result);
    case CHANGE_DELETE:
        break;
    }
    return apply_delete(work, record, change, result);
}

enum sync_status change_apply(struct change_work *work, struct change_record *record,
                              const struct change *change, struct change_result *result) {
    assert(work && record && change);
    assert(record->blocked_by.size == 0);
    enum sync_status status = apply_kind(work, record, change, result);
    /* Of change_patch_apply: nothing is written by then. */
    return status == SYNC_ERR_INVALID && result->outcome == OUTCOME_REJECTED ? SYNC_OK : status;
}
