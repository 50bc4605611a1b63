/* Taking resolutions back. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_work.h"

static enum sync_status undo_check(const struct user_view *view, const struct record_state *state,
                                   const struct conflict *conflict, struct sync_error *error) {
    if (state->record.version != conflict->resolved_version)
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "VERSION_MISMATCH", "conflictId",
                              "The record has changed since the resolution, which made version "
                              "%llu: it is at version %llu.",
                              (unsigned long long)conflict->resolved_version,
                              (unsigned long long)state->record.version);
    if (view->head.conflicts_open >= USER_CONFLICTS_OPEN_MAX)
        return sync_error_set(error, SYNC_ERR_EXHAUSTED, "CONFLICTS_EXHAUSTED", NULL,
                              "%d conflicts wait already; resolve some first.",
                              USER_CONFLICTS_OPEN_MAX);
    return SYNC_OK;
}

/* Opens the conflict again, on the record as it is then. */
static enum sync_status undo_do(struct conflict_work *work, const void *request,
                                struct conflict *conflict) {
    (void)request;
    enum sync_status status = conflict_expand(conflict, work->state.record.data, work->build.arena);
    struct hold_cause cause = {.change_id = conflict->change_id};
    struct conflict_target before = {.deleted = !conflict->has_server,
                                     .document = conflict->server};
    memcpy(cause.payload_hash, conflict->payload_hash, PAYLOAD_HASH_SIZE);
    if (!status)
        status = conflict_write(work, conflict, &before);
    conflict->resolved_us = 0;
    conflict->resolution = (enum resolution)0;
    conflict->merged = SLICE_EMPTY;
    conflict->resolved_version = 0;
    conflict->resolve_by_us = 0;
    conflict->deadline_action = DEADLINE_KEEP;
    conflict->decision_count = 0; /* so the documents are stored */
    conflict->server_version = work->state.record.version;
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
    bool is_resolved = conflict->resolved_us != 0;
    enum sync_status status = is_resolved ? undo_check(view, &state, conflict, error) : SYNC_OK;
    return status ? status
                  : conflict_run(view, conflict, &context, arena, is_resolved ? undo_do : NULL,
                                 NULL, ret_set, ret_conflict, ret_record);
}
