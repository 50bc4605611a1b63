/* Resolving conflicts. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_hold.h"
#include "service/core/conflict_work.h"

enum sync_status conflict_touch(const struct conflict *conflict, struct arena *arena,
                                struct touched *ret_touched) {
    assert(conflict && arena);
    assert(ret_touched);
    struct record_want *record = arena_zalloc(arena, 1, sizeof *record);
    struct row *hold = arena_zalloc(arena, 1, sizeof *hold);
    enum sync_status status = SYNC_OK;
    if (!record || !hold)
        return SYNC_ERR_NO_MEMORY;
    record->key = conflict->key;
    hold->table = TABLE_CONFLICT_HOLD;
    if (conflict->device.size > 0)
        status =
            conflict_hold_key(conflict->user, conflict->device, &conflict->key, arena, &hold->key);
    if (!status)
        *ret_touched = (struct touched){.user = conflict->user,
                                        .records = record,
                                        .record_count = 1,
                                        .rows = hold,
                                        .row_count = conflict->device.size > 0};
    return status;
}

/* Tells whether a resolved conflict was resolved just as asked now. */
static bool resolution_is_same(const struct conflict *conflict,
                               const struct resolution_request *request) {
    return conflict->resolution == request->resolution &&
           (request->resolution != RESOLUTION_MERGE ||
            slice_equal(conflict->merged, request->merged));
}

/* The record as a request wants it. */
static struct conflict_target resolution_target(const struct conflict *conflict,
                                                const struct resolution_request *request) {
    if (request->resolution == RESOLUTION_SERVER)
        return (struct conflict_target){.is_kept = true};
    if (request->resolution == RESOLUTION_MERGE)
        return (struct conflict_target){.document = request->merged};
    return (struct conflict_target){.deleted = !conflict->has_client,
                                    .document =
                                        conflict->has_client ? conflict->client : SLICE_EMPTY};
}

/* Checks that the request may be done on the record as it is. */
static enum sync_status resolution_check(const struct record_state *state,
                                         const struct conflict *conflict,
                                         const struct resolution_request *request,
                                         struct sync_error *error) {
    if (request->expected_version > 0 && state->record.version != request->expected_version)
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "VERSION_MISMATCH", "baseVersion",
                              "The record has moved on: it is at version %llu.",
                              (unsigned long long)state->record.version);
    if (resolution_target(conflict, request).document.size > CHANGE_DATA_MAX)
        return sync_error_set(error, SYNC_ERR_TOO_LARGE, "TOO_LARGE", "mergedData",
                              "The record would be larger than %d bytes.", CHANGE_DATA_MAX);
    return SYNC_OK;
}

/* Whether the user decides on something that he has not seen. To leave the record as it is, is
 * always possible. */
static bool resolution_is_blind(const struct record_state *state, const struct conflict *conflict,
                                const struct resolution_request *request) {
    return request->expected_version == 0 && request->resolution != RESOLUTION_SERVER &&
           state->record.version != conflict->server_version;
}

/* Resolves an open conflict. */
static enum sync_status resolution_do(struct write_build *build, struct record_state *state,
                                      const struct row *hold, const struct conflict *before,
                                      const struct resolution_request *request,
                                      struct conflict *conflict, struct write_set *ret_set) {
    conflict_see(conflict, state);
    if (resolution_is_blind(state, before, request)) {
        enum sync_status status = conflict_put(build, conflict);
        return status ? status : write_build_finish(build, state, 1, sizeof *state, ret_set);
    }
    struct conflict_target target = resolution_target(conflict, request);
    enum sync_status status = conflict_write(build, state, conflict, &target, request->now_us);
    conflict->resolution = request->resolution;
    conflict->resolved_us = request->now_us;
    conflict->merged = request->resolution == RESOLUTION_MERGE ? request->merged : SLICE_EMPTY;
    conflict->resolved_version = state->record.version;
    if (!status)
        status = conflict_close(build, hold, conflict);
    return status ? status : write_build_finish(build, state, 1, sizeof *state, ret_set);
}

enum sync_status conflict_resolve(const struct user_view *view, const struct conflict *conflict,
                                  const struct resolution_request *request, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct conflict *ret_conflict, struct record *ret_record) {
    assert(view && conflict && request && request->now_us > 0);
    assert(arena && ret_set && ret_conflict && ret_record);
    struct record_state state = conflict_record(view, conflict);
    struct conflict resolved = *conflict;
    struct write_set set = {.user = conflict->user, .head = view->head};
    struct write_build build;
    enum sync_status status;
    if (conflict->resolved_us != 0) {
        if (!resolution_is_same(conflict, request))
            return sync_error_set(error, SYNC_ERR_PRECONDITION, "ALREADY_RESOLVED", "conflictId",
                                  "The conflict was resolved otherwise.");
    } else {
        status = resolution_check(&state, conflict, request, error);
        if (status)
            return status;
        status = write_build_init(&build, conflict->user, &view->head, 1, arena);
        if (!status)
            status = resolution_do(&build, &state, view->rows, conflict, request, &resolved, &set);
        write_build_done(&build);
        if (status)
            return status;
    }
    *ret_set = set;
    *ret_conflict = resolved;
    *ret_record = state.record;
    return SYNC_OK;
}
