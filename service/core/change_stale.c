/* Changes from before what is remembered: a change that was applied then, and whose answer was
 * lost, cannot be told from one that is new. */
#include <assert.h>

#include "service/core/change_work.h"
#include "service/core/delta_read.h"
#include "service/core/document.h"
#include "service/core/hybrid_clock.h"

bool change_is_stale(const struct change_work *work, const struct change_record *record,
                     const struct change *change) {
    const struct record_view *view = record->view;
    return work->view->head.log_floor > 0 &&
           change_time(work, change) < work->context->forgotten_us && view->found &&
           view->record.version > change->base_version;
}

/* Whether a stale change is the last word. */
enum stale_word {
    STALE_PAST = 0,       /* somebody changed the record after it, or may have */
    STALE_LAST_OF_FIELDS, /* nobody changed what it overwrites */
    STALE_LAST,           /* nobody changed the record */
};

/* The fields of the record that are others in a document. */
static enum sync_status stale_fields(struct change_work *work, const struct change_record *record,
                                     struct slice document, struct delta_item **ret_items,
                                     size_t *ret_count) {
    struct slice ours =
        record_state_lives(&record->state) ? record->state.record.data : SLICE_EMPTY;
    struct slice undo;
    struct delta_item *items;
    size_t count, room, kept = 0;
    enum sync_status status = delta_between(document, ours, work->arena, &undo);
    if (!status)
        status = delta_items(undo, work->arena, &items, &count, &room);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        if (!items[i].removed)
            items[kept++] = items[i];
    *ret_items = items;
    *ret_count = kept;
    return SYNC_OK;
}

/* Whether all fields that the document would overwrite were last changed within what was loaded of
 * the log. */
static enum sync_status stale_is_seen(struct change_work *work, const struct change_record *record,
                                      struct slice document, bool *ret_is_seen) {
    const struct record_view *view = record->view;
    struct delta_item *items;
    size_t count;
    bool is_seen = true, is_born = false; /* born: all of it was made within that */
    enum sync_status status = stale_fields(work, record, document, &items, &count);
    bool *marks = status ? NULL : arena_zalloc(work->arena, count, sizeof *marks);
    if (status || !marks)
        return status ? status : SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < view->history_count; i++) {
        is_born = is_born || view->history[i].previous_deleted;
        delta_items_mark(items, count, view->history[i].undo, marks);
    }
    for (size_t own = record->own_last; own > 0; own = work->own_before[own - 1])
        delta_items_mark(items, count, work->build.log[own - 1].undo, marks);
    for (size_t i = 0; i < count; i++)
        is_seen = is_seen && (is_born || marks[i]);
    *ret_is_seen = is_seen;
    return SYNC_OK;
}

/* Whether nobody else changed the record after the change was made, which makes `document` of it;
 * or, where the log has lost who did what, none of the fields that it overwrites. What the device
 * sent itself since comes behind the change in its queue, and was judged in its turn; where that is
 * all that was loaded, a change from before it has been sent before. */
static enum sync_status stale_counts(struct change_work *work, const struct change_record *record,
                                     const struct change *change, struct slice document,
                                     enum stale_word *ret_word) {
    const struct record_view *view = record->view;
    bool is_seen;
    int64_t made_us = change_time(work, change), now_us = work->context->now_us;
    bool is_last = made_us > hybrid_clock_believe(view->record.updated_us, now_us);
    bool is_past = record->others_entry && made_us <= record->others_us;
    bool is_known = is_last || is_past || view->history_count == 0;
    if (!is_known) {
        const struct log_entry *oldest = &view->history[view->history_count - 1];
        bool is_own = oldest->as_sent && change_is_own(work, oldest);
        is_past = is_own && made_us < hybrid_clock_believe(oldest->corrected_us, now_us);
        is_last = !is_past;
        is_known = is_own || oldest->previous_version <= change->base_version;
    }
    if (is_known) {
        *ret_word = is_last && !is_past ? STALE_LAST : STALE_PAST;
        return SYNC_OK;
    }
    enum sync_status status = stale_is_seen(work, record, document, &is_seen);
    if (!status)
        *ret_word = is_seen ? STALE_LAST_OF_FIELDS : STALE_PAST;
    return status;
}

static enum sync_status stale_stays(struct change_record *record, struct change_result *result,
                                    enum change_outcome outcome) {
    result->outcome = outcome;
    result->version = record->state.record.version;
    return SYNC_OK;
}

/* Does what the client wanted. A device that has acknowledged the record as it was has it just so
 * then, as its next changes, which may be as old, must be known to come behind this one; but they
 * come behind nothing where only its fields are known to. */
static enum sync_status stale_write(struct change_work *work, struct change_record *record,
                                    const struct change *change, const struct conflict_draft *draft,
                                    enum stale_word word, struct change_result *result) {
    bool is_as_sent =
        word == STALE_LAST && work->batch->acknowledged >= record->view->record.version;
    size_t place = work->build.log_count;
    enum sync_status status = SYNC_OK;
    if (draft->has_client)
        status = change_put_document(work, record, change, draft->client, OUTCOME_MERGED, result);
    else
        status = change_write(work, record, change, &(struct change_target){.deleted = true});
    if (!status && work->build.log_count > place)
        work->build.log[place].as_sent = is_as_sent;
    return status || draft->has_client ? status : stale_stays(record, result, OUTCOME_MERGED);
}

/* Keeps what the client wanted, and what there was, as a decision for one of the two: for the
 * client's if it is the last word. */
static enum sync_status stale_decide(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct conflict_draft *draft,
                                     enum stale_word word, struct change_result *result) {
    struct conflict decided;
    draft->decisions = arena_alloc(work->arena, sizeof *draft->decisions);
    if (!draft->decisions)
        return SYNC_ERR_NO_MEMORY;
    draft->decisions[0] =
        (struct conflict_decision){.reason = SLICE("older than the log"),
                                   .taken = word ? RESOLUTION_CLIENT : RESOLUTION_SERVER};
    draft->decision_count = 1;
    enum sync_status status = change_decide_begin(work, record, change, draft, &decided);
    if (!status && word)
        status = stale_write(work, record, change, draft, word, result);
    else if (!status)
        status = stale_stays(record, result, OUTCOME_MERGED);
    return status ? status : change_decide_end(work, record, &decided, result);
}

/* Leaves the record as it is; who wants to be asked is. */
static enum sync_status stale_keep(struct change_work *work, struct change_record *record,
                                   const struct change *change, struct conflict_draft *draft,
                                   struct change_result *result) {
    return work->context->strategy == STRATEGY_MANUAL
               ? change_conflict(work, record, change, draft, result)
               : stale_decide(work, record, change, draft, STALE_PAST, result);
}

/* A deletion of a record that lives. */
static enum sync_status stale_delete(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct change_result *result) {
    const struct base_image unknown = {.deleted = true};
    struct conflict_draft draft = {
        .type = CONFLICT_DELETE_UPDATE, .base = &unknown, .suggested = record->state.record.data};
    enum stale_word word;
    enum sync_status status =
        change_differing_fields(work, SLICE_EMPTY, record->state.record.data, &draft);
    if (!status)
        status = stale_counts(work, record, change, SLICE_EMPTY, &word);
    if (status)
        return status;
    return word ? stale_decide(work, record, change, &draft, word, result)
                : stale_keep(work, record, change, &draft, result);
}

/* Takes what counts, or keeps it; what it overwrites is kept as well, if there is anything. */
static enum sync_status stale_settle(struct change_work *work, struct change_record *record,
                                     const struct change *change, struct conflict_draft *draft,
                                     struct change_result *result) {
    bool lives = record_state_lives(&record->state);
    enum stale_word word;
    struct delta_item *items;
    size_t count;
    enum sync_status status = stale_counts(work, record, change, draft->client, &word);
    if (!status)
        status = stale_fields(work, record, draft->client, &items, &count);
    if (status)
        return status;
    /* What was deleted begins anew by a create alone. */
    if (!word || (!lives && change->kind != CHANGE_CREATE))
        return stale_keep(work, record, change, draft, result);
    return lives && count == 0 ? stale_write(work, record, change, draft, word, result)
                               : stale_decide(work, record, change, draft, word, result);
}

/* A create or an update. */
static enum sync_status stale_put(struct change_work *work, struct change_record *record,
                                  const struct change *change, struct change_result *result) {
    const struct base_image unknown = {.deleted = true};
    bool lives = record_state_lives(&record->state);
    struct slice ours = lives ? record->state.record.data : SLICE_EMPTY, client;
    enum sync_status status = change_patch_apply(work, change, ours, result, &client);
    if (status)
        return status;
    if (lives && slice_equal(client, ours)) {
        /* The device need not have all of it. */
        bool is_as_sent = change->kind == CHANGE_CREATE && slice_equal(change->data, ours);
        return stale_stays(record, result, is_as_sent ? OUTCOME_APPLIED : OUTCOME_MERGED);
    }
    struct conflict_draft draft = {
        .type = lives ? CONFLICT_UPDATE_UPDATE : CONFLICT_UPDATE_DELETE,
        .base = &unknown,
        .has_client = true,
        .is_on_server = lives,
        .client = client,
        .suggested = lives ? ours : client,
    };
    status = change_differing_fields(work, ours, client, &draft);
    return status ? status : stale_settle(work, record, change, &draft, result);
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
