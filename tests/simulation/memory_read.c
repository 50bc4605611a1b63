/* Reading a memory state. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "tests/simulation/memory_state.h"

/* The record's log after a sequence, newest first: each entry names the one before it. */
static bool load_history(const struct memory_user_data *data, const struct record_want *want,
                         struct arena *arena, struct record_view *view) {
    uint64_t oldest = view->record.version, floor = data->head.log_floor;
    bool is_known = false;
    size_t count = 0;
    for (uint64_t at = oldest; !is_known && at > want->history_after && at > floor; count++) {
        const struct log_entry *entry = &data->log[at - floor - 1].entry;
        is_known = entry->as_sent && want->history_of.size > 0 &&
                   slice_equal(entry->device, want->history_of);
        at = entry->previous_version;
    }
    view->history = arena_alloc(arena, count * sizeof *view->history);
    if (!view->history)
        return false;
    for (; view->history_count < count; view->history_count++) {
        view->history[view->history_count] = data->log[oldest - floor - 1].entry;
        oldest = view->history[view->history_count].previous_version;
    }
    view->history_trimmed =
        !is_known && want->history_after < floor && oldest > want->history_after;
    return true;
}

static bool load_record(const struct memory_user_data *data, const struct record_want *want,
                        struct arena *arena, struct record_view *view) {
    bool found = false;
    size_t place = data ? memory_record_place(data, &want->key, &found) : 0;
    if (!found)
        return true;
    view->found = true;
    view->record = data->records[place];
    return !want->history || load_history(data, want, arena, view);
}

static void load_change(const struct memory_user_data *data, const struct change_want *want,
                        struct settled_view *view) {
    for (size_t i = data ? data->settled_count : 0; i-- > 0 && !view->found;) {
        const struct settled *settled = &data->settled[i].settled;
        if (slice_equal(settled->change_id, want->change_id) &&
            slice_equal(settled->device, want->device))
            *view = (struct settled_view){true, *settled};
    }
}

static bool is_valid(const struct touched *want) {
    bool valid = want->user.size > 0 || want->record_count + want->change_count == 0;
    for (size_t i = 0; i < want->record_count; i++)
        valid = valid && want->records[i].key.id.size <= DATA_ID_MAX;
    return valid;
}

enum sync_status memory_state_load(const struct memory_state *state, const struct touched *want,
                                   struct arena *arena, struct user_view *ret_view) {
    struct user_view view = {
        .records = arena_zalloc(arena, want->record_count, sizeof *view.records),
        .changes = arena_zalloc(arena, want->change_count, sizeof *view.changes),
        .rows = arena_zalloc(arena, want->row_count, sizeof *view.rows),
    };
    bool found;
    size_t place = memory_user_place(state, want->user, &found);
    const struct memory_user_data *data = found ? &state->users[place] : NULL;
    if (!is_valid(want))
        return SYNC_ERR_INVALID;
    if (!view.records || !view.changes || !view.rows)
        return SYNC_ERR_NO_MEMORY;
    if (data)
        view.head = data->head;
    for (size_t i = 0; i < want->record_count; i++)
        if (!load_record(data, &want->records[i], arena, &view.records[i]))
            return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < want->change_count; i++)
        load_change(data, &want->changes[i], &view.changes[i]);
    for (size_t i = 0; i < want->row_count; i++) {
        place = memory_row_place(state, want->rows[i].table, want->rows[i].key, &found);
        view.rows[i] = found ? state->rows[place]
                             : (struct row){.table = want->rows[i].table, .key = want->rows[i].key};
    }
    *ret_view = view;
    return SYNC_OK;
}

/* ---- Scans */

static void scan_log(const struct memory_user_data *data, const struct scan *what,
                     scan_visit *visit, void *context) {
    bool more = true;
    for (size_t i = 0; more && i < data->log_count; i++)
        if (data->log[i].entry.sequence > what->after)
            more = visit(context, &(struct scan_item){.entry = &data->log[i].entry});
}

static int version_compare(const void *left, const void *right) {
    const struct record_version *a = left, *b = right;
    return a->version < b->version ? -1 : a->version > b->version;
}

/* All records are looked at: what stores with an index must answer too. */
static enum sync_status scan_changed(const struct memory_user_data *data, const struct scan *what,
                                     scan_visit *visit, void *context) {
    size_t count = 0;
    struct record_version *changed = memory_zalloc(data->record_count, sizeof *changed);
    if (!changed)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < data->record_count; i++)
        if (data->records[i].version > what->after)
            changed[count++] =
                (struct record_version){data->records[i].key, data->records[i].version};
    qsort(changed, count, sizeof *changed, version_compare);
    bool more = true;
    for (size_t i = 0; more && i < count; i++)
        more = visit(context, &(struct scan_item){.changed = &changed[i]});
    memory_free(changed);
    return SYNC_OK;
}

uint64_t memory_state_sequence_before(const struct memory_state *state, struct slice user,
                                      int64_t time_us) {
    bool found;
    size_t place = memory_user_place(state, user, &found);
    if (!found)
        return 0;
    const struct memory_user_data *data = &state->users[place];
    uint64_t sequence = data->head.sequence;
    for (size_t i = 0; i < data->record_count; i++)
        if (data->records[i].updated_us >= time_us && data->records[i].version <= sequence)
            sequence = data->records[i].version - 1;
    return sequence;
}

static void scan_records(const struct memory_user_data *data, const struct scan *what,
                         scan_visit *visit, void *context) {
    bool found, more = true;
    size_t place =
        memory_record_place(data, &(struct record_key){what->type, what->after_id}, &found);
    for (place += found;
         more && place < data->record_count && data->records[place].key.type == what->type; place++)
        more = visit(context, &(struct scan_item){.record = &data->records[place]});
}

static void scan_rows(const struct memory_state *state, const struct scan *what, scan_visit *visit,
                      void *context) {
    bool found, more = true;
    bool resumes = slice_compare(what->after_key, what->prefix) > 0;
    size_t place =
        memory_row_place(state, what->table, resumes ? what->after_key : what->prefix, &found);
    for (place += found && resumes; more && place < state->row_count; place++) {
        const struct row *row = &state->rows[place];
        if (row->table != what->table || !slice_starts_with(row->key, what->prefix))
            return;
        more = visit(context, &(struct scan_item){.row = row});
    }
}

static void scan_users(const struct memory_state *state, const struct scan *what, scan_visit *visit,
                       void *context) {
    bool found, more = true;
    size_t place = memory_user_place(state, what->after_user, &found);
    for (place += found; more && place < state->user_count; place++) {
        const struct memory_user_data *data = &state->users[place];
        more = visit(context, &(struct scan_item){.head = &data->head, .user = data->user});
    }
}

enum sync_status memory_state_scan(const struct memory_state *state, const struct scan *what,
                                   scan_visit *visit, void *context) {
    bool found;
    size_t place = memory_user_place(state, what->user, &found);
    if (what->kind == SCAN_USERS)
        scan_users(state, what, visit, context);
    else if (what->kind == SCAN_ROWS)
        scan_rows(state, what, visit, context);
    else if (found && what->kind == SCAN_LOG)
        scan_log(&state->users[place], what, visit, context);
    else if (found && what->kind == SCAN_CHANGED)
        return scan_changed(&state->users[place], what, visit, context);
    else if (found)
        scan_records(&state->users[place], what, visit, context);
    return SYNC_OK;
}
