/* Conflicts that a batch finds, on their way into the inbox. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/change_work.h"
#include "service/core/conflict_hold.h"
#include "service/core/conflict_work.h"
#include "service/core/delta.h"
#include "service/core/hybrid_clock.h"

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

/* A conflict of the change, with an id of its own and open. */
static enum sync_status conflict_begin(struct change_work *work, const struct change_record *record,
                                       const struct change *change,
                                       const struct conflict_draft *draft,
                                       struct conflict *ret_conflict) {
    const struct record_state *state = &record->state;
    const struct batch_context *context = work->context;
    char *id = arena_alloc(work->arena, UUID_TEXT_SIZE + 1);
    if (!id)
        return SYNC_ERR_NO_MEMORY;
    const struct log_entry *others = record->others_entry;
    int64_t client_us =
        hybrid_clock_correct(change->device_us, context->clock_offset_us, context->now_us);
    uuid_v7((uint64_t)context->now_us, context->random, id);
    *ret_conflict = (struct conflict){
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
        .is_on_server = draft->is_on_server,
        .has_server = record_state_lives(state),
        .server = state->record.data,
        .suggested = draft->suggested,
        .fields = draft->fields,
        .field_count = draft->field_count,
        .server_version = state->record.version,
        .detected_us = context->now_us,
        .client_is_later = client_us > (others ? others->corrected_us : state->record.updated_us),
    };
    memcpy(ret_conflict->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE);
    return SYNC_OK;
}

enum sync_status change_conflict(struct change_work *work, struct change_record *record,
                                 const struct change *change, const struct conflict_draft *draft,
                                 struct change_result *result) {
    struct conflict conflict;
    struct hold_cause cause = {.change_id = change->id};
    memcpy(cause.payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE);
    if (work->build.head.conflicts_open >= USER_CONFLICTS_OPEN_MAX) {
        change_reject(result, REASON_CONFLICTS_EXHAUSTED, SLICE_EMPTY,
                      SLICE("10000 conflicts wait already; resolve some, then send this again."));
        return SYNC_OK;
    }
    enum sync_status status = conflict_begin(work, record, change, draft, &conflict);
    if (status)
        return status;
    conflict_set_deadline(&conflict, work->context->policies, work->context->now_us);
    status = conflict_put(&work->build, &conflict);
    if (!status)
        status = conflict_hold_begin(&record->hold, conflict.id, &cause, work->arena);
    if (status)
        return status;
    work->build.head.conflicts_open++;
    result->outcome = OUTCOME_CONFLICT;
    result->version = record->state.record.version;
    result->conflict_id = conflict.id;
    return SYNC_OK;
}

enum sync_status change_decide_begin(struct change_work *work, const struct change_record *record,
                                     const struct change *change,
                                     const struct conflict_draft *draft,
                                     struct conflict *ret_decided) {
    enum sync_status status = conflict_begin(work, record, change, draft, ret_decided);
    if (!status) {
        ret_decided->decisions = draft->decisions;
        ret_decided->decision_count = draft->decision_count;
    }
    return status;
}

enum sync_status change_decide_end(struct change_work *work, const struct change_record *record,
                                   struct conflict *decided, struct change_result *result) {
    const struct record *after = &record->state.record;
    if (result->outcome == OUTCOME_REJECTED)
        return SYNC_OK; /* nothing came of it */
    decided->resolved_us = work->context->now_us;
    decided->resolved_version = after->version;
    decided->resolution = conflict_taken(decided, after);
    enum sync_status status = conflict_reduce(decided, after->data, work->arena);
    if (!status)
        status = conflict_put(&work->build, decided);
    if (!status)
        result->decision_id = decided->id;
    return status;
}
