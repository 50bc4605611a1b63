/* Taking resolutions back. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_work.h"
#include "service/core/delta_read.h"
#include "service/core/document_read.h"

enum { FIELD_TOLD_MAX = 80 /* bytes of a path in a message */ };

/* A resolution that is taken back, from what the record is now to what it shall be. */
struct undo {
    const struct user_view *view;
    const struct record_state *state;
    struct conflict_image made;
    struct conflict conflict; /* with its documents, in the end as it waits */
    struct conflict_target target;
    struct arena *arena;
    struct sync_error *error;
};

/* ---- Refusals */

static enum sync_status undo_refuse(const struct undo *undo, const char *why) {
    return sync_error_set(undo->error, SYNC_ERR_PRECONDITION, "VERSION_MISMATCH", "conflictId",
                          "The resolution made version %llu of the record, %s: it is at version "
                          "%llu.",
                          (unsigned long long)undo->conflict.resolved_version, why,
                          (unsigned long long)undo->state->record.version);
}

/* Nothing is left; `field`: one that was changed since, empty where all is as it was before. */
static enum sync_status undo_refuse_spent(const struct undo *undo, struct slice field) {
    field = slice_cut_utf8(field, FIELD_TOLD_MAX);
    const char *why =
        field.size > 0
            ? arena_format(undo->arena, "and all of it was changed since, such as \"%.*s\"",
                           (int)field.size, (const char *)field.data)
            : "and nothing of it is left";
    return why ? undo_refuse(undo, why) : SYNC_ERR_NO_MEMORY;
}

/* What no field can tell. */
static enum sync_status undo_check(const struct undo *undo) {
    const struct conflict *conflict = &undo->conflict;
    if (undo->view->head.conflicts_open >= USER_CONFLICTS_OPEN_MAX)
        return sync_error_set(undo->error, SYNC_ERR_EXHAUSTED, "CONFLICTS_EXHAUSTED", NULL,
                              "%d conflicts wait already; resolve some first.",
                              USER_CONFLICTS_OPEN_MAX);
    if (undo->state->record.version == conflict->resolved_version)
        return SYNC_OK;
    if (!undo->made.is_known)
        return sync_error_set(undo->error, SYNC_ERR_PRECONDITION, "RESOLVED_LONG_AGO", "conflictId",
                              "The log does not reach back to the resolution any more.");
    if (!record_state_lives(undo->state))
        return undo_refuse(undo, "which was deleted since");
    if (undo->made.has_ended)
        return undo_refuse(undo, "which was deleted and made anew since");
    if (!conflict->has_server)
        return undo_refuse(undo, "which it brought back and which was changed since");
    return SYNC_OK;
}

/* ---- What is left */

/* Lists are merged by their elements, whatever else was changed in them. */
static bool field_is_list(const struct delta_item *item) {
    struct value value;
    return !item->removed && value_read(item->value, &value) && value.kind == VALUE_LIST;
}

/* What nobody touched since of the way from the record as it was made to another document, done.
 * `field` becomes one that somebody did. */
static enum sync_status undo_pick(const struct undo *undo, struct slice *document,
                                  struct slice *field) {
    const struct record_view *record = &undo->view->records[0];
    struct slice delta, made = undo->made.document;
    struct delta_item *items;
    size_t count, room, kept = 0;
    enum sync_status status = delta_between(made, *document, undo->arena, &delta);
    if (!status)
        status = delta_items(delta, undo->arena, &items, &count, &room);
    if (status)
        return status;
    bool *marks = arena_zalloc(undo->arena, count, sizeof *marks);
    if (!marks)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < record->history_count; i++)
        if (record->history[i].sequence > undo->conflict.resolved_version)
            delta_items_mark(items, count, record->history[i].undo, marks);
    for (size_t i = 0; i < count; i++) {
        if (!marks[i] || field_is_list(&items[i])) {
            items[kept++] = items[i];
            continue;
        }
        *field = delta_path_join(items[i].path, items[i].path_size, undo->arena);
        if (!field->data)
            return SYNC_ERR_NO_MEMORY;
    }
    return delta_items_apply(made, items, kept, room, undo->arena, document);
}

/* Goes from the record as it is to a document, as far as nobody has touched the way since. Refuses
 * where that leads nowhere. */
static enum sync_status undo_go(const struct undo *undo, struct slice *document) {
    struct merge_result merged;
    struct slice field = SLICE_EMPTY;
    enum sync_status status = undo_pick(undo, document, &field);
    struct merge_input sides = {
        .base = undo->made.document, .ours = undo->state->record.data, .theirs = *document};
    if (!status)
        status = conflict_combine(&undo->conflict, &sides, STRATEGY_SERVER, undo->arena, &merged);
    if (status)
        return status;
    if (merged.decision_count > 0)
        field = merged.decisions[0].path;
    if (slice_equal(merged.document, sides.ours))
        return undo_refuse_spent(undo, field);
    *document = merged.document;
    return SYNC_OK;
}

/* Finds what the record becomes. */
static enum sync_status undo_aim(struct undo *undo) {
    const struct conflict *conflict = &undo->conflict;
    undo->target =
        (struct conflict_target){.deleted = !conflict->has_server, .document = conflict->server};
    if (undo->state->record.version == conflict->resolved_version)
        return SYNC_OK;
    /* Where the resolution changed nothing, what the client wanted is what it decided. */
    if (slice_equal(undo->made.document, conflict->server)) {
        struct slice wish = conflict->client;
        undo->target = (struct conflict_target){.is_kept = true};
        return conflict->has_client ? undo_go(undo, &wish) : SYNC_OK;
    }
    enum sync_status status = undo_go(undo, &undo->target.document);
    if (!status && undo->target.document.size > CHANGE_DATA_MAX)
        status = sync_error_set(undo->error, SYNC_ERR_TOO_LARGE, "TOO_LARGE", "conflictId",
                                "The record would be larger than %d bytes.", CHANGE_DATA_MAX);
    return status;
}

/* ---- The conflict, open again */

/* Brings a side, which was made of `base`, onto another document: what it does not want otherwise
 * is as it is there. */
static enum sync_status side_follow(const struct undo *undo, struct slice base, struct slice ours,
                                    struct slice *document) {
    struct merge_result merged;
    struct merge_input sides = {.base = base, .ours = ours, .theirs = *document};
    enum sync_status status =
        conflict_combine(&undo->conflict, &sides, STRATEGY_CLIENT, undo->arena, &merged);
    if (!status)
        *document = merged.document;
    return status;
}

/* Makes the conflict as it waits again; the record's side is for the end. */
static enum sync_status undo_open(struct undo *undo) {
    struct conflict *conflict = &undo->conflict;
    enum sync_status status = SYNC_OK;
    bool has_moved = undo->state->record.version != conflict->resolved_version;
    struct slice now = undo->state->record.data;
    struct slice after = undo->target.is_kept ? now : undo->target.document;
    /* What was put together from both sides would be in the log alone. */
    if (conflict->resolution == RESOLUTION_MERGE && !undo->made.deleted)
        conflict->suggested = undo->made.document;
    if (has_moved && conflict->has_client)
        status = side_follow(undo, conflict_client_base(conflict), after, &conflict->client);
    if (has_moved && !status && conflict->suggested.size > 0)
        status = side_follow(undo, undo->made.document, now, &conflict->suggested);
    conflict->resolved_us = 0;
    conflict->resolution = (enum resolution)0;
    conflict->merged = SLICE_EMPTY;
    conflict->resolved_version = 0;
    conflict->resolve_by_us = 0;
    conflict->deadline_action = DEADLINE_KEEP;
    conflict->decision_count = 0; /* so the documents are stored */
    return status;
}

static enum sync_status undo_prepare(struct undo *undo) {
    enum sync_status status =
        conflict_image_find(&undo->conflict, &undo->view->records[0], undo->arena, &undo->made);
    if (!status)
        status = undo_check(undo);
    if (!status)
        status = conflict_expand(&undo->conflict, undo->made.document, undo->arena);
    if (!status)
        status = undo_aim(undo);
    return status ? status : undo_open(undo);
}

static enum sync_status undo_do(struct conflict_work *work, const void *of,
                                struct conflict *conflict) {
    const struct undo *undo = of;
    struct hold_cause cause = {.change_id = conflict->change_id};
    memcpy(cause.payload_hash, conflict->payload_hash, PAYLOAD_HASH_SIZE);
    *conflict = undo->conflict;
    enum sync_status status = conflict_write(work, conflict, &undo->target);
    if (!status)
        status = conflict_see(conflict, &work->state, work->build.arena);
    if (!status)
        status = conflict_move(&work->build, conflict);
    if (!status)
        status = conflict_hold_begin(&work->hold, conflict->id, &cause, work->build.arena);
    work->build.head.conflicts_open++;
    return status;
}

enum sync_status conflict_undo(const struct user_view *view, const struct conflict *conflict,
                               int64_t now_us, struct arena *arena, struct sync_error *error,
                               struct write_set *ret_set, struct conflict *ret_conflict,
                               struct record *ret_record) {
    assert(view && conflict && now_us > 0);
    struct record_state state = conflict_record(view, conflict);
    struct batch_context context = {.now_us = now_us};
    struct undo undo = {
        .view = view, .state = &state, .conflict = *conflict, .arena = arena, .error = error};
    bool is_resolved = conflict->resolved_us != 0;
    enum sync_status status = is_resolved ? undo_prepare(&undo) : SYNC_OK;
    return status ? status
                  : conflict_run(view, conflict, &context, arena, is_resolved ? undo_do : NULL,
                                 &undo, ret_set, ret_conflict, ret_record);
}
