/* Taking resolutions back. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_hold.h"
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
static enum sync_status undo_do(struct write_build *build, struct record_state *state,
                                const struct row *hold, struct conflict *conflict, int64_t now_us,
                                struct write_set *ret_set) {
    struct conflict_target before = {.deleted = !conflict->has_server,
                                     .document = conflict->server};
    enum sync_status status = conflict_write(build, state, conflict, &before, now_us);
    conflict->resolved_us = 0;
    conflict->resolution = (enum resolution)0;
    conflict->merged = SLICE_EMPTY;
    conflict->resolved_version = 0;
    conflict->resolve_by_us = 0;
    conflict->deadline_action = DEADLINE_KEEP;
    conflict->decision_count = 0; /* so the documents are stored */
    conflict->server_version = state->record.version;
    if (!status)
        status = conflict_move(build, conflict);
    if (!status)
        status = conflict_hold_begin(build, hold, conflict);
    build->head.conflicts_open++;
    return status ? status : write_build_finish(build, state, 1, sizeof *state, ret_set);
}

enum sync_status conflict_undo(const struct user_view *view, const struct conflict *conflict,
                               int64_t now_us, struct arena *arena, struct sync_error *error,
                               struct write_set *ret_set, struct conflict *ret_conflict,
                               struct record *ret_record) {
    assert(view && conflict && now_us > 0);
    assert(arena && ret_set && ret_conflict && ret_record);
    struct record_state state = conflict_record(view, conflict);
    struct conflict opened = *conflict;
    struct write_set set = {.user = conflict->user, .head = view->head};
    struct write_build build;
    if (conflict->resolved_us != 0) {
        enum sync_status status = undo_check(view, &state, conflict, error);
        if (status)
            return status;
        status = conflict_expand(&opened, state.record.data, arena);
        if (status)
            return status;
        status = write_build_init(&build, conflict->user, &view->head, 1, arena);
        if (!status)
            status = undo_do(&build, &state, view->rows, &opened, now_us, &set);
        write_build_done(&build);
        if (status)
            return status;
    }
    *ret_set = set;
    *ret_conflict = opened;
    *ret_record = state.record;
    return SYNC_OK;
}
