/* What an upload is answered with. */
#include "service/rpc/upload_private.h"

static PB(ChangeResult) *result_message(const struct change_result *result, struct arena *arena) {
    PB(ChangeResult) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__change_result__init(message);
    message->change_id = arena_copy_text(arena, result->change_id);
    message->held = result->outcome == OUTCOME_HELD;
    message->outcome = (PB(ChangeOutcome))(message->held ? OUTCOME_BLOCKED : result->outcome);
    message->duplicate = result->duplicate;
    message->data_type = (PB(DataType))result->type;
    message->data_id = arena_copy_text(arena, result->data_id);
    message->version = (int64_t)result->version;
    message->conflict_id = arena_copy_text(arena, result->conflict_id);
    message->decision_id = arena_copy_text(arena, result->decision_id);
    if (!message->change_id || !message->data_id || !message->conflict_id || !message->decision_id)
        return NULL;
    if (!result->reason)
        return message;
    PB(ChangeError) *error = arena_alloc(arena, sizeof *error);
    if (!error)
        return NULL;
    travelsense__sync__v1__change_error__init(error);
    error->reason = (char *)result->reason;
    error->field = arena_copy_text(arena, result->field);
    error->message = arena_copy_text(arena, result->message);
    message->error = error;
    return error->field && error->message ? message : NULL;
}

/* Puts the path of the change before a field of its own: changes[3].dataId. */
static bool result_prefix_field(struct change_result *result, size_t index, struct arena *arena) {
    if (!result->reason || slice_starts_with(result->field, SLICE("changes[")))
        return true;
    const char *path = result->field.size > 0
                           ? arena_format(arena, "changes[%zu].%.*s", index,
                                          (int)result->field.size, (const char *)result->field.data)
                           : arena_format(arena, "changes[%zu]", index);
    result->field = slice_text(path);
    return path != NULL;
}

/* What only a dry run tells: the record, but no ids, since nothing is stored under them. */
static void result_show(const struct change_result *result, PB(ChangeResult) *message) {
    static char none[] = "";
    message->decision_id = none;
    if (!result->duplicate)
        message->conflict_id = none;
    if (!result->has_document)
        return;
    message->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE_RESULT__DATA_PRESENCE_DATA;
    message->data = message_bytes(result->document);
}

enum sync_status upload_answer(struct upload *upload) {
    struct arena *arena = upload->arena;
    size_t count = upload->content.count;
    upload->messages = arena_zalloc(arena, count, sizeof *upload->messages);
    if (!upload->messages)
        return SYNC_ERR_NO_MEMORY;
    upload->as_sent = true;
    for (size_t i = 0; i < count; i++) {
        struct change_result *result = &upload->results[i];
        if (!result_prefix_field(result, i, arena))
            return SYNC_ERR_NO_MEMORY;
        upload->messages[i] = result_message(result, arena);
        if (!upload->messages[i])
            return SYNC_ERR_NO_MEMORY;
        if (upload->store_nothing)
            result_show(result, upload->messages[i]);
        upload->as_sent =
            upload->as_sent && result->outcome == OUTCOME_APPLIED && !result->duplicate;
    }
    return upload->prepare ? upload->prepare(upload) : SYNC_OK;
}
