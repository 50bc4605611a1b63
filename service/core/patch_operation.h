/* Patch operations: steps that turn one document into another. They can say what a merge patch (RFC
 * 7396) cannot: what became of single elements of an array, that a field got another name, and that
 * one is null. Their form is travelsense.sync.v1.PatchOperation (patch.proto says what each does).
 * Pure.
 *
 * A path is a JSON Pointer (RFC 6901) whose segment in an array is the id of an element. */
#ifndef SERVICE_CORE_PATCH_OPERATION_H
#define SERVICE_CORE_PATCH_OPERATION_H

#include "base/arena.h"
#include "base/limits.h"
#include "service/core/document.h"

/* What a step does. */
enum patch_step {
    PATCH_SET = 1,
    PATCH_REMOVE,
    PATCH_MOVE,
    PATCH_ORDER,
};

/* One operation. Borrowed. */
struct patch_operation {
    enum patch_step step;
    struct slice path;
    struct slice from;  /* of MOVE */
    struct slice value; /* of SET a google.protobuf.Value, of ORDER a ListValue of ids */
};

/* Packs operations into one slice, in the arena: each message behind its length.
 * SYNC_ERR_NO_MEMORY.
 */
enum sync_status patch_operations_pack(const struct patch_operation *operations, size_t count,
                                       struct arena *arena, struct slice *ret_packed);

/* Steps through the packed messages: start with *position = 0; false at the end. */
bool patch_operations_next(struct slice packed, size_t *position, struct slice *ret_message);

/* Reads a message from outside and checks its form: a step, and paths that are JSON Pointers; the
 * value is made canonical. It borrows, or lives in the arena. On error `error` names the field in
 * the operation. SYNC_ERR_INVALID, SYNC_ERR_NO_MEMORY. */
enum sync_status patch_operation_read(struct slice message, struct arena *arena,
                                      struct sync_error *error,
                                      struct patch_operation *ret_operation);

/* Applies operations, in order, to a canonical document (empty for none). SYNC_ERR_INVALID with the
 * operation's number in `ret_failed` and `error` set, when a path leads nowhere or an element is
 * set that has another id; SYNC_ERR_TOO_LARGE when the document becomes larger than
 * CHANGE_DATA_MAX; SYNC_ERR_NO_MEMORY. */
enum sync_status patch_operations_apply(struct slice document,
                                        const struct patch_operation *operations, size_t count,
                                        struct arena *arena, struct sync_error *error,
                                        size_t *ret_failed, struct slice *ret_document);

/* Does of the operations only what takes something from where it is, and leaves out what leads
 * nowhere: what is missing then, they take away by name. What they set may replace more; others may
 * have put that there. SYNC_ERR_INVALID and SYNC_ERR_TOO_LARGE when that is no document;
 * SYNC_ERR_NO_MEMORY, SYNC_ERR_CORRUPT. */
enum sync_status patch_operations_take(struct slice document,
                                       const struct patch_operation *operations, size_t count,
                                       struct arena *arena, struct slice *ret_document);

#endif
