#include "tests/simulation/settlement.h"

#include "service/core/conflict.h"
#include "service/core/delta.h"

static const int64_t UNDO_US = 1800000000000000;

/* A decision with the record that it made, and the record as it is. */
struct settlement {
    struct conflict conflict;
    struct slice made; /* empty: deleted */
    struct record record;
};

/* Goes back from the record as it is to the one that the decision made. */
static bool made_find(struct settlement *settlement, const struct record_view *view,
                      struct arena *arena) {
    settlement->record = view->record;
    settlement->made = view->record.data;
    for (size_t i = 0; i < view->history_count; i++) {
        const struct log_entry *entry = &view->history[i];
        if (entry->previous_deleted)
            settlement->made = SLICE_EMPTY;
        else if (delta_apply(settlement->made, entry->undo, arena, &settlement->made) != SYNC_OK)
            return false;
    }
    return !view->history_trimmed;
}

/* Reads the decision and its record. */
static bool settlement_load(struct store *store, struct slice user,
                            const struct change_result *result, struct arena *arena,
                            struct settlement *settlement) {
    struct row row = {.table = TABLE_CONFLICT, .key = result->decision_id};
    struct touched want = {.user = user, .rows = &row, .row_count = 1};
    struct user_view view;
    if (store_load(store, NULL, &want, arena, &view) != SYNC_OK || !view.rows[0].found ||
        conflict_unpack(view.rows[0].value, arena, &settlement->conflict) != SYNC_OK)
        return false;
    struct record_want record = {.key = settlement->conflict.key,
                                 .history = true,
                                 .history_after = settlement->conflict.resolved_version};
    want = (struct touched){.user = user, .records = &record, .record_count = 1};
    return store_load(store, NULL, &want, arena, &view) == SYNC_OK && view.records[0].found &&
           made_find(settlement, &view.records[0], arena);
}

/* Whether the decision shows what the change wanted, and what there was. */
static bool shows_both(struct settlement *settlement, const struct change *change,
                       const struct slice *before, struct arena *arena) {
    struct conflict *conflict = &settlement->conflict;
    struct slice again;
    if (conflict_expand(conflict, settlement->made, arena) != SYNC_OK ||
        conflict->decision_count == 0 || conflict->resolved_us == 0 ||
        conflict->has_client == (change->kind == CHANGE_DELETE))
        return false;
    if (before && !slice_equal(conflict->has_server ? conflict->server : SLICE_EMPTY, *before))
        return false;
    if (change->kind == CHANGE_CREATE)
        return slice_equal(conflict->client, change->data);
    return change->kind == CHANGE_DELETE ||
           (document_merge_patch(conflict->client, change->data, arena, &again) == SYNC_OK &&
            slice_equal(again, conflict->client));
}

/* Takes the decision back, in a trial: whether the record is then as it was before. */
static bool undo_restores(struct settlement *settlement, struct store *store, struct arena *arena) {
    struct conflict *conflict = &settlement->conflict, opened;
    struct row hold; /* with nothing held: nothing is needed of it */
    bool holds;
    struct touched want;
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    if (conflict_hold_row(conflict, arena, &holds, &hold) != SYNC_OK ||
        conflict_touch(conflict, holds ? &hold : NULL, arena, &want) != SYNC_OK ||
        store_load(store, NULL, &want, arena, &view) != SYNC_OK ||
        conflict_undo(&view, conflict, UNDO_US, arena, &error, &set, &opened, &record) != SYNC_OK)
        return false;
    return opened.resolved_us == 0 && record.deleted == !conflict->has_server &&
           (record.deleted || slice_equal(record.data, conflict->server));
}

void settlement_check(struct settlement_count *count, struct store *store, struct slice user,
                      const struct change *change, const struct change_result *result,
                      const struct slice *before, struct arena *arena) {
    struct settlement settlement;
    if (!settlement_load(store, user, result, arena, &settlement) ||
        !shows_both(&settlement, change, before, arena)) {
        count->faults++;
        return;
    }
    count->seen++;
    if (settlement.record.version != settlement.conflict.resolved_version)
        count->built_on++;
    else if (undo_restores(&settlement, store, arena))
        count->undone++;
    else
        count->faults++;
}
