/* Conflicts that a batch finds, on their way into the inbox. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/change_work.h"
#include "service/core/delta.h"

enum sync_status change_differing_fields(struct change_work *work, struct slice before,
                                         struct slice after, struct conflict_draft *draft) {
    struct slice delta;
    struct delta_field field;
    size_t position = 0, count = 0;
    enum sync_status status = delta_between(before, after, work->arena, &delta);
    if (status)
        return status;
    while (count < CONFLICT_FIELDS_MAX && delta_next(delta, &position, &field))
        count++;
    draft->fields = arena_alloc(work->arena, count * sizeof *draft->fields);
    if (!draft->fields)
        return SYNC_ERR_NO_MEMORY;
    position = 0;
    while (draft->field_count < count && delta_next(delta, &position, &field)) {
        struct slice path = delta_path_text(&field, work->arena);
        if (!path.data)
            return SYNC_ERR_NO_MEMORY;
        draft->fields[draft->field_count++] = path;
    }
    return SYNC_OK;
}

/* The rows of an open conflict: itself, and its place among the user's. */
static enum sync_status conflict_rows(struct change_work *work, const struct conflict *conflict) {
    struct row_write row = {.table = TABLE_CONFLICT, .key = conflict->id};
    struct row_write index = {.table = TABLE_CONFLICT_BY_USER};
    enum sync_status status = conflict_pack(conflict, work->arena, &row.value);
    if (!status)
        status = conflict_index_key(conflict->user, false, conflict->id, work->arena, &index.key);
    if (!status)
        status = write_build_row(&work->build, row);
    if (!status)
        status = write_build_row(&work->build, index);
    return status;
}

enum sync_status change_conflict(struct change_work *work, struct change_record *record,
                                 const struct change *change, const struct conflict_draft *draft,
                                 struct change_result *result) {
    const struct record_state *state = &record->state;
    const struct batch_context *context = work->context;
    if (work->build.head.conflicts_open >= USER_CONFLICTS_OPEN_MAX) {
        change_reject(result, REASON_CONFLICTS_EXHAUSTED, SLICE_EMPTY,
                      SLICE("10000 conflicts wait already; resolve some, then send this again."));
        return SYNC_OK;
    }
    char *id = arena_alloc(work->arena, UUID_TEXT_SIZE + 1);
    if (!id)
        return SYNC_ERR_NO_MEMORY;
    uuid_v7((uint64_t)context->now_us, context->random, id);
    struct conflict conflict = {
        .id = slice_of(id, UUID_TEXT_SIZE),
        .user = work->batch->user,
        .device = work->batch->device,
        .change_id = change->id,
        .key = state->record.key,
        .type = draft->type,
        .has_base = draft->base->is_known && !draft->base->deleted,
        .base = draft->base->document,
        .has_client = draft->has_client,
        .client = draft->client,
        .has_server = !state->record.deleted,
        .server = state->record.data,
        .suggested = draft->suggested,
        .fields = draft->fields,
        .field_count = draft->field_count,
        .server_version = state->record.version,
        .detected_us = context->now_us,
    };
    enum sync_status status = conflict_rows(work, &conflict);
    if (status)
        return status;
    work->build.head.conflicts_open++;
    result->outcome = OUTCOME_CONFLICT;
    result->version = state->record.version;
    result->conflict_id = conflict.id;
    return SYNC_OK;
}
