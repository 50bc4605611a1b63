/* What an update makes of a document. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/change_work.h"
#include "service/core/document.h"
#include "service/core/merge.h"
#include "service/core/patch_operation.h"

static const struct policy_set NO_POLICIES;

enum { PATCH_ARENA_MAX = 64 * CHANGE_DATA_MAX };

/* Operations that were checked when they came. */
struct operations {
    struct patch_operation list[CHANGE_OPERATIONS_MAX];
    size_t count;
};

static enum sync_status operations_read(struct slice packed, struct arena *arena,
                                        struct operations *operations) {
    struct slice message;
    size_t position = 0;
    operations->count = 0;
    while (patch_operations_next(packed, &position, &message)) {
        if (operations->count == CHANGE_OPERATIONS_MAX)
            return SYNC_ERR_CORRUPT;
        enum sync_status status =
            patch_operation_read(message, arena, NULL, &operations->list[operations->count++]);
        if (status)
            return status == SYNC_ERR_NO_MEMORY ? status : SYNC_ERR_CORRUPT;
    }
    return position == packed.size ? SYNC_OK : SYNC_ERR_CORRUPT;
}

/* Tells why operations do not apply: one leads nowhere, or the record that they make is none. */
static enum sync_status operations_refuse(struct change_work *work, const struct sync_error *error,
                                          const size_t *failed, struct change_result *result) {
    const char *field = "operations", *message;
    const char *reason = arena_copy_text(work->arena, slice_text(error->reason));
    if (failed) {
        field = arena_format(work->arena, "operations[%zu].%s", *failed, error->field);
        message = arena_format(work->arena, "The operation's %s %s.", error->field, error->message);
    } else {
        message = arena_format(work->arena, "The record's %s %s.", error->field, error->message);
    }
    if (!reason || !field || !message)
        return SYNC_ERR_NO_MEMORY;
    change_reject(result, reason, slice_text(field), slice_text(message));
    return SYNC_ERR_INVALID;
}

static enum sync_status operations_apply(struct change_work *work, const struct change *change,
                                         struct slice document, struct arena *scratch,
                                         struct change_result *result, struct slice *ret_document) {
    struct operations operations;
    struct sync_error error = {0};
    struct slice made;
    enum sync_status status = operations_read(change->operations, scratch, &operations);
    if (status)
        return status;
    size_t failed = operations.count;
    status = patch_operations_apply(document, operations.list, operations.count, scratch, &error,
                                    &failed, &made);
    if (status == SYNC_ERR_TOO_LARGE) {
        change_reject_too_large(result, SLICE("operations"));
        return SYNC_ERR_INVALID;
    }
    if (status == SYNC_ERR_INVALID)
        return operations_refuse(work, &error, failed < operations.count ? &failed : NULL, result);
    if (!status && !arena_copy(work->arena, made, ret_document))
        status = SYNC_ERR_NO_MEMORY;
    return status;
}

enum sync_status change_patch_apply(struct change_work *work, const struct change *change,
                                    struct slice document, struct change_result *result,
                                    struct slice *ret_document) {
    assert(work && change && result && ret_document);
    struct arena scratch;
    if (change->operations.size == 0)
        return document_merge_patch(document, change->data, work->arena, ret_document);
    arena_init(&scratch, PATCH_ARENA_MAX);
    enum sync_status status =
        operations_apply(work, change, document, &scratch, result, ret_document);
    arena_done(&scratch);
    return status;
}

static bool takes_away(const struct operations *operations) {
    for (size_t i = 0; i < operations->count; i++)
        if (operations->list[i].step == PATCH_REMOVE || operations->list[i].step == PATCH_MOVE)
            return true;
    return false;
}

/* What operations take away from a document by name. */
static enum sync_status operations_removals(struct change_work *work, const struct change *change,
                                            struct slice document, struct slice *ret_removals) {
    struct operations operations;
    struct slice after, removals = SLICE_EMPTY;
    struct arena scratch;
    arena_init(&scratch, PATCH_ARENA_MAX);
    enum sync_status status = operations_read(change->operations, &scratch, &operations);
    bool takes = !status && takes_away(&operations);
    if (takes)
        status =
            patch_operations_take(document, operations.list, operations.count, &scratch, &after);
    if (takes && !status)
        status = document_removals(document, after, true, work->arena, &removals);
    /* By itself it may make a record too large or too deep, which what is set would have mended. */
    if (status == SYNC_ERR_TOO_LARGE || status == SYNC_ERR_INVALID)
        status = SYNC_OK;
    if (!status)
        *ret_removals = removals;
    arena_done(&scratch);
    return status;
}

enum sync_status change_patch_mark_base(struct change_work *work,
                                        const struct change_record *record,
                                        const struct change *change, struct slice *base) {
    assert(work && record && change && base);
    struct slice removals;
    if (change->operations.size == 0)
        return SYNC_OK;
    enum sync_status status =
        operations_removals(work, change, record->state.record.data, &removals);
    if (status || removals.size == 0)
        return status;
    /* Both count as added: what the base has stays as it is, and in its order. */
    const struct merge_input input = {.type = change->type, .ours = *base, .theirs = removals};
    struct merge_result merged;
    status = conflict_merge(&input, &NO_POLICIES, STRATEGY_SERVER, work->arena, &merged);
    if (!status)
        *base = merged.document;
    return status;
}

enum sync_status change_patch_without_base(struct change_work *work,
                                           const struct change_record *record,
                                           const struct change *change,
                                           struct change_result *result, struct slice *ret_base,
                                           struct slice *ret_theirs) {
    assert(work && record && change && ret_base && ret_theirs);
    struct slice ours = record->state.record.data, theirs;
    enum sync_status status = change_patch_apply(work, change, ours, result, &theirs);
    if (status)
        return status;
    if (change->operations.size == 0) {
        *ret_theirs = theirs;
        return document_removals(ours, theirs, false, work->arena, ret_base);
    }
    /* A step that sets an object or an array of elements replaces it: what others put there stays.
     */
    status = operations_removals(work, change, ours, ret_base);
    if (!status)
        status = change_merge_own(&NO_POLICIES, change->type, *ret_base, ours, theirs, work->arena,
                                  ret_theirs);
    return status;
}
