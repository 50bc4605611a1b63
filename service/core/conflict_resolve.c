/* Resolving conflicts. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_work.h"

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

/* Resolves an open conflict, or has it show the record as it is now. */
static enum sync_status resolution_do(struct conflict_work *work, const void *of,
                                      struct conflict *conflict) {
    const struct resolution_request *request = of;
    enum sync_status status = conflict_see(conflict, &work->state, work->build.arena);
    if (status)
        return status;
    if (resolution_is_blind(&work->state, work->before, request))
        return conflict_put(&work->build, conflict);
    struct conflict_target target = resolution_target(conflict, request);
    status = conflict_write(work, conflict, &target);
    conflict->resolution = request->resolution;
    conflict->resolved_us = work->context->now_us;
    conflict->merged = request->resolution == RESOLUTION_MERGE ? request->merged : SLICE_EMPTY;
    conflict->resolved_version = work->state.record.version;
    return status ? status : conflict_close(work, conflict);
}

enum sync_status conflict_resolve(const struct user_view *view, const struct conflict *conflict,
                                  const struct resolution_request *request,
                                  const struct batch_context *context, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct conflict *ret_conflict, struct record *ret_record) {
    assert(view && conflict && request && context);
    struct record_state state = conflict_record(view, conflict);
    bool is_open = conflict->resolved_us == 0;
    if (!is_open && !resolution_is_same(conflict, request))
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "ALREADY_RESOLVED", "conflictId",
                              "The conflict was resolved otherwise.");
    enum sync_status status =
        is_open ? resolution_check(&state, conflict, request, error) : SYNC_OK;
    return status ? status
                  : conflict_run(view, conflict, context, arena, is_open ? resolution_do : NULL,
                                 request, ret_set, ret_conflict, ret_record);
}
