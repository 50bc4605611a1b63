#include "service/rpc/change_operations.h"

#include <assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "service/core/document_read.h"
#include "service/core/patch_operation.h"

enum { OPERATIONS_ARENA_MAX = 64 * CHANGE_DATA_MAX, FIELD_TEXT_MAX = 48 };

/* An operation must not make the record another's. */
static enum sync_status check_id(const PB(Change) *message, const struct patch_operation *operation,
                                 struct sync_error *error) {
    struct value id;
    if (!slice_equal(operation->path, SLICE("/id")))
        return SYNC_OK;
    if (operation->step == PATCH_MOVE)
        return sync_error_set(error, SYNC_ERR_INVALID, "INVALID_VALUE", "path",
                              "must not be the record's id");
    if (operation->step == PATCH_SET && value_read(operation->value, &id) &&
        id.kind == VALUE_STRING && !slice_equal(id.text, slice_text(message->data_id)))
        return sync_error_set(error, SYNC_ERR_INVALID, "MISMATCH", "set", "differs from dataId");
    return SYNC_OK;
}

/* Reads the operations in an arena of their own, since short ones can take many times their size,
 * and packs them. */
static enum sync_status operations_pack(const PB(Change) *message, size_t index,
                                        struct violations *violations, struct arena *scratch,
                                        struct slice *ret_packed) {
    size_t count = message->n_operations, before = violations->count + violations->omitted;
    struct patch_operation *operations = arena_alloc(scratch, count * sizeof *operations);
    if (!operations)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const ProtobufCBinaryData *bytes = &message->operations[i];
        struct sync_error error = {0};
        enum sync_status status = patch_operation_read(slice_of(bytes->data, bytes->len), scratch,
                                                       &error, &operations[i]);
        if (!status)
            status = check_id(message, &operations[i], &error);
        if (status == SYNC_ERR_NO_MEMORY)
            return status;
        if (status) {
            const char *reason = arena_copy_text(violations->arena, slice_text(error.reason));
            if (!reason)
                return SYNC_ERR_NO_MEMORY;
            sync_error_prefix(&error, "changes[%zu].operations[%zu]", index, i);
            violations_add_error(violations, &error, reason);
        }
    }
    if (violations->count + violations->omitted > before)
        return SYNC_OK;
    return patch_operations_pack(operations, count, violations->arena, ret_packed);
}

void change_operations_check(const PB(Change) *message, size_t index, struct violations *violations,
                             struct slice *ret_packed) {
    assert(message && violations && ret_packed);
    struct arena scratch;
    char field[FIELD_TEXT_MAX];
    size_t size = 0;
    snprintf(field, sizeof field, "changes[%zu].operations", index);
    for (size_t i = 0; i < message->n_operations; i++)
        size += message->operations[i].len;
    if (message->n_operations > CHANGE_OPERATIONS_MAX) {
        violations_add(violations, field, "TOO_MANY", "must hold at most %d, holds %zu",
                       CHANGE_OPERATIONS_MAX, message->n_operations);
        return;
    }
    if (size > CHANGE_DATA_MAX) {
        violations_add(violations, field, "TOO_LARGE", "must have at most %d bytes, have %zu",
                       CHANGE_DATA_MAX, size);
        return;
    }
    arena_init(&scratch, OPERATIONS_ARENA_MAX);
    if (operations_pack(message, index, violations, &scratch, ret_packed) == SYNC_ERR_NO_MEMORY)
        violations->no_memory = true;
    arena_done(&scratch);
}
