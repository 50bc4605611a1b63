#include "service/rpc/conflict_view.h"

/* Puts a document into a bytes field of a oneof when there is one. */
#define PUT_DOCUMENT(message, has, member, document, CASE)                                         \
    do {                                                                                           \
        if (has) {                                                                                 \
            (message)->member##_presence_case =                                                    \
                TRAVELSENSE__SYNC__V1__CONFLICT__##CASE##_PRESENCE_##CASE;                         \
            (message)->member = message_bytes(document);                                           \
        }                                                                                          \
    } while (0)

static bool put_fields(PB(Conflict) *message, const struct conflict *conflict,
                       struct arena *arena) {
    message->fields = arena_zalloc(arena, conflict->field_count, sizeof *message->fields);
    if (!message->fields)
        return false;
    for (size_t i = 0; i < conflict->field_count; i++) {
        message->fields[i] = arena_copy_text(arena, conflict->fields[i]);
        if (!message->fields[i])
            return false;
    }
    message->n_fields = conflict->field_count;
    return true;
}

static bool put_decisions(PB(Conflict) *message, const struct conflict *conflict,
                          struct arena *arena) {
    size_t count = conflict->decision_count;
    PB(ConflictDecision) *decisions = arena_alloc(arena, count * sizeof *decisions);
    message->decisions = arena_alloc(arena, count * sizeof *message->decisions);
    if (!decisions || !message->decisions)
        return false;
    for (size_t i = 0; i < count; i++) {
        travelsense__sync__v1__conflict_decision__init(&decisions[i]);
        decisions[i].field = arena_copy_text(arena, conflict->decisions[i].field);
        decisions[i].reason = arena_copy_text(arena, conflict->decisions[i].reason);
        decisions[i].taken = (PB(Resolution))conflict->decisions[i].taken;
        message->decisions[i] = &decisions[i];
        if (!decisions[i].field || !decisions[i].reason)
            return false;
    }
    message->n_decisions = count;
    return true;
}

/* Begins a held change; NULL without memory. Without data and operations it has neither. */
static PB(HeldChange) *put_held(PB(Conflict) *message, const struct conflict_held *one,
                                bool has_data, struct arena *arena) {
    PB(HeldChange) *held = arena_alloc(arena, sizeof *held);
    if (!held)
        return NULL;
    travelsense__sync__v1__held_change__init(held);
    held->change_id = arena_copy_text(arena, one->change_id);
    held->type = (PB(ChangeType))one->kind;
    if (one->operations.size > 0) {
        if (!message_operations(arena, one->operations, &held->operations, &held->n_operations))
            return NULL;
    } else if (has_data) {
        held->data_presence_case = TRAVELSENSE__SYNC__V1__HELD_CHANGE__DATA_PRESENCE_DATA;
        held->data = message_bytes(one->data);
    }
    message->held_changes[message->n_held_changes++] = held;
    return held->change_id ? held : NULL;
}

/* What became of those that went on, then those that wait. */
static bool put_held_changes(PB(Conflict) *message, const struct conflict *conflict,
                             const struct conflict_hold *hold, struct arena *arena) {
    size_t waiting = hold ? hold->change_count : 0;
    message->held_changes =
        arena_zalloc(arena, conflict->held_count + waiting, sizeof *message->held_changes);
    if (!message->held_changes)
        return false;
    for (size_t i = 0; i < conflict->held_count; i++) {
        const struct conflict_held *one = &conflict->held[i];
        PB(HeldChange) *held = put_held(message, one, one->data.size > 0, arena);
        if (!held)
            return false;
        held->result =
            (PB(ChangeResult) *)message_unpack(PB_DESCRIPTOR(change_result), one->outcome, arena);
        if (!held->result)
            return false;
        held->result->change_id = held->change_id;
    }
    for (size_t i = 0; i < waiting; i++) {
        const struct change *change = &hold->changes[i].change;
        const struct conflict_held one = {.change_id = change->id,
                                          .kind = change->kind,
                                          .data = change->data,
                                          .operations = change->operations};
        if (!put_held(message, &one, one.kind != CHANGE_DELETE, arena))
            return false;
    }
    return true;
}

PB(Conflict) *conflict_message(const struct conflict *conflict, const struct conflict_hold *hold,
                               struct arena *arena) {
    PB(Conflict) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__conflict__init(message);
    message->conflict_id = arena_copy_text(arena, conflict->id);
    message->user_id = arena_copy_text(arena, conflict->user);
    message->device_id = arena_copy_text(arena, conflict->device);
    message->change_id = arena_copy_text(arena, conflict->change_id);
    message->data_type = (PB(DataType))conflict->key.type;
    message->data_id = arena_copy_text(arena, conflict->key.id);
    message->conflict_type = (PB(ConflictType))conflict->type;
    PUT_DOCUMENT(message, conflict->has_base, base_data, conflict->base, BASE_DATA);
    PUT_DOCUMENT(message, conflict->has_client, client_data, conflict->client, CLIENT_DATA);
    PUT_DOCUMENT(message, conflict->has_server, server_data, conflict->server, SERVER_DATA);
    PUT_DOCUMENT(message, conflict->suggested.size > 0, suggested_data, conflict->suggested,
                 SUGGESTED_DATA);
    message->server_version = (int64_t)conflict->server_version;
    message->detected_at = message_time(arena, conflict->detected_us);
    message->created_at = message->detected_at;
    message->updated_at = message->detected_at;
    message->resolved = conflict->resolved_us != 0;
    if (message->resolved) {
        message->resolution = (PB(Resolution))conflict->resolution;
        message->resolved_at = message_time(arena, conflict->resolved_us);
        message->updated_at = message->resolved_at;
    }
    if (conflict->resolve_by_us > 0) {
        message->resolve_by = message_time(arena, conflict->resolve_by_us);
        message->deadline_action = (PB(DeadlineAction))conflict->deadline_action;
    }
    bool is_whole = message->conflict_id && message->user_id && message->device_id &&
                    message->change_id && message->data_id && message->detected_at &&
                    message->updated_at && (message->resolve_by || conflict->resolve_by_us == 0) &&
                    put_fields(message, conflict, arena) &&
                    put_decisions(message, conflict, arena) &&
                    put_held_changes(message, conflict, hold, arena);
    return is_whole ? message : NULL;
}

/* The record as the resolution made it, by the log. */
static enum sync_status resolved_image(struct rpc_call *call, const struct conflict *conflict,
                                       struct conflict_image *ret_image) {
    struct arena *arena = rpc_call_arena(call);
    struct record_want wanted = {
        .key = conflict->key, .history = true, .history_after = conflict->resolved_version};
    struct touched want = {.user = conflict->user, .records = &wanted, .record_count = 1};
    struct user_view view;
    enum sync_status status = store_load(rpc_call_service(call)->store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    return conflict_image_find(conflict, &view.records[0], arena, ret_image);
}

/* Gives a lean conflict its documents, or none where the log does not reach back. */
static enum sync_status documents_find(struct rpc_call *call, struct conflict *conflict) {
    struct conflict_image image;
    enum sync_status status = resolved_image(call, conflict, &image);
    if (status == SYNC_OK && image.is_known)
        return conflict_expand(conflict, image.document, rpc_call_arena(call));
    conflict->has_base = conflict->has_client = conflict->has_server = false;
    return status;
}

enum sync_status conflict_load(struct rpc_call *call, struct slice conflict_id,
                               struct sync_error *error, struct conflict *ret_conflict) {
    struct arena *arena = rpc_call_arena(call);
    struct slice user = slice_text(rpc_call_identity(call)->user);
    struct row wanted = {.table = TABLE_CONFLICT, .key = conflict_id};
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(rpc_call_service(call)->store, NULL, &want, arena, &view);
    if (status == SYNC_OK && !view.rows[0].found)
        return sync_error_set(error, SYNC_ERR_NOT_FOUND, "CONFLICT_NOT_FOUND", NULL,
                              "there is no conflict with this id");
    if (status == SYNC_OK)
        status = conflict_unpack(view.rows[0].value, arena, ret_conflict);
    if (status != SYNC_OK)
        return sync_error_of(error, status);
    if (!slice_equal(ret_conflict->user, user))
        return sync_error_set(error, SYNC_ERR_DENIED, "CONFLICT_OF_ANOTHER_USER", NULL,
                              "this conflict belongs to another user");
    return SYNC_OK;
}

enum sync_status conflict_load_hold(struct store *store, const struct conflict *conflict,
                                    struct arena *arena, struct conflict_hold *ret_hold) {
    struct row row;
    struct user_view view;
    bool holds = false;
    enum sync_status status = SYNC_OK;
    if (conflict->resolved_us == 0)
        status = conflict_hold_row(conflict, arena, &holds, &row);
    struct touched want = {.rows = &row, .row_count = holds};
    if (status == SYNC_OK)
        status = store_load(store, NULL, &want, arena, &view);
    return status == SYNC_OK
               ? conflict_hold_open(holds ? &view.rows[0] : NULL, &conflict->key, arena, ret_hold)
               : status;
}

enum sync_status conflict_show(struct rpc_call *call, struct slice conflict_id,
                               struct sync_error *error, PB(Conflict) **ret_message) {
    struct conflict conflict = {.is_lean = false};
    enum sync_status status = conflict_load(call, conflict_id, error, &conflict);
    if (status == SYNC_OK && conflict.is_lean)
        status = documents_find(call, &conflict);
    if (status != SYNC_OK)
        return status;
    struct conflict_hold hold;
    status =
        conflict_load_hold(rpc_call_service(call)->store, &conflict, rpc_call_arena(call), &hold);
    if (status != SYNC_OK)
        return status;
    *ret_message = conflict_message(&conflict, &hold, rpc_call_arena(call));
    return *ret_message ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}
