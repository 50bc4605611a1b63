/* Changes from before what is remembered: a change that was applied then, and whose answer was
 * lost, cannot be told from one that is new. */
#include <assert.h>

#include "service/core/change_work.h"
#include "service/core/document.h"
#include "service/core/hybrid_clock.h"

bool change_is_stale(const struct change_work *work, const struct change_record *record,
                     const struct change *change) {
    const struct record_view *view = record->view;
    return work->view->head.log_floor > 0 &&
           change_time(work, change) < work->context->forgotten_us && view->found &&
           view->record.version > change->base_version;
}

/* Whether nobody else is known to have changed the record after the change was made. What the
 * device sent itself since comes behind the change in its queue, and was judged in its turn; where
 * that is all that was loaded, a change from before it has been sent before. */
static bool stale_counts(const struct change_work *work, const struct change_record *record,
                         const struct change *change) {
    const struct record_view *view = record->view;
    int64_t others_us = view->record.updated_us, now_us = work->context->now_us;
    if (record->others_entry) {
        others_us = record->others_entry->corrected_us;
    } else if (view->history_count > 0) {
        const struct log_entry *oldest = &view->history[view->history_count - 1];
        return !oldest->as_sent ||
               change_time(work, change) >= hybrid_clock_believe(oldest->corrected_us, now_us);
    }
    return change_time(work, change) > hybrid_clock_believe(others_us, now_us);
}

static enum sync_status stale_stays(struct change_record *record, struct change_result *result,
                                    enum change_outcome outcome) {
    result->outcome = outcome;
    result->version = record->state.record.version;
    return SYNC_OK;
}

/* Leaves the record as it is, and keeps what the client wanted. */
static enum sync_status stale_keep(struct change_work *work, struct change_record *record,
                                   const struct change *change, struct conflict_draft *draft,
                                   struct change_result *result) {
    static const struct conflict_decision server = {.reason = SLICE("older than the log"),
                                                    .taken = RESOLUTION_SERVER};
    struct conflict decided;
    if (work->context->strategy == STRATEGY_MANUAL)
        return change_conflict(work, record, change, draft, result);
    draft->decisions = arena_alloc(work->arena, sizeof *draft->decisions);
    if (!draft->decisions)
        return SYNC_ERR_NO_MEMORY;
    draft->decisions[0] = server;
    draft->decision_count = 1;
    enum sync_status status = change_decide_begin(work, record, change, draft, &decided);
    if (status)
        return status;
    (void)stale_stays(record, result, OUTCOME_MERGED);
    return change_decide_end(work, record, &decided, result);
}

/* A deletion of a record that lives. */
static enum sync_status stale_delete(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct change_result *result) {
    const struct base_image unknown = {.deleted = true};
    struct conflict_draft draft = {
        .type = CONFLICT_DELETE_UPDATE, .base = &unknown, .suggested = record->state.record.data};
    enum sync_status status;
    if (stale_counts(work, record, change)) {
        status = change_write(work, record, change, &(struct change_target){.deleted = true});
        return status ? status : stale_stays(record, result, OUTCOME_MERGED);
    }
    status = change_differing_fields(work, SLICE_EMPTY, record->state.record.data, &draft);
    return status ? status : stale_keep(work, record, change, &draft, result);
}

/* A create or an update. */
static enum sync_status stale_put(struct change_work *work, struct change_record *record,
                                  const struct change *change, struct change_result *result) {
    const struct base_image unknown = {.deleted = true};
    bool lives = record_state_lives(&record->state);
    struct slice ours = lives ? record->state.record.data : SLICE_EMPTY, client;
    enum sync_status status = document_merge_patch(ours, change->data, work->arena, &client);
    if (status)
        return status;
    if (lives && slice_equal(client, ours))
        return stale_stays(record, result, OUTCOME_APPLIED);
    /* What was deleted begins anew by a create alone. */
    if (stale_counts(work, record, change) && (lives || change->kind == CHANGE_CREATE))
        return change_put_document(work, record, change, client, OUTCOME_MERGED, result);
    struct conflict_draft draft = {
        .type = lives ? CONFLICT_UPDATE_UPDATE : CONFLICT_UPDATE_DELETE,
        .base = &unknown,
        .has_client = true,
        .client = client,
        .suggested = lives ? ours : client,
    };
    status = change_differing_fields(work, ours, client, &draft);
    return status ? status : stale_keep(work, record, change, &draft, result);
}

enum sync_status change_stale_apply(struct change_work *work, struct change_record *record,
                                    const struct change *change, struct change_result *result) {
    assert(record->view->found);
    if (change->kind != CHANGE_DELETE)
        return stale_put(work, record, change, result);
    if (!record_state_lives(&record->state))
        return stale_stays(record, result, OUTCOME_APPLIED);
    return stale_delete(work, record, change, result);
}
