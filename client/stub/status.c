#include "client/stub/status.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "client/stub/call_private.h"
#include "client/stub/details.h"

enum { STATUS_BYTES_MAX = 1 << 20 }; /* far above what received metadata can need */

const char *stub_code_name(enum stub_code code) {
    static const char *const names[] = {
        [STUB_OK] = "OK",
        [STUB_CANCELLED] = "CANCELLED",
        [STUB_UNKNOWN] = "UNKNOWN",
        [STUB_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [STUB_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [STUB_NOT_FOUND] = "NOT_FOUND",
        [STUB_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [STUB_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [STUB_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [STUB_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [STUB_ABORTED] = "ABORTED",
        [STUB_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [STUB_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [STUB_INTERNAL] = "INTERNAL",
        [STUB_UNAVAILABLE] = "UNAVAILABLE",
        [STUB_DATA_LOSS] = "DATA_LOSS",
        [STUB_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return (size_t)code < sizeof names / sizeof names[0] ? names[code] : "UNKNOWN";
}

const struct stub_metadata *stub_status_metadata(const struct stub_status *status,
                                                 const char *key) {
    for (size_t i = 0; i < status->trailing_count; i++)
        if (strcmp(status->trailing[i].key, key) == 0)
            return &status->trailing[i];
    for (size_t i = 0; i < status->initial_count; i++)
        if (strcmp(status->initial[i].key, key) == 0)
            return &status->initial[i];
    return NULL;
}

void stub_status_done(struct stub_status *status) {
    if (status->memory) {
        arena_done(status->memory);
        memory_free(status->memory);
    }
    *status = (struct stub_status){0};
}

enum stub_code status_plain(struct stub_status *status, enum stub_code code, const char *message) {
    if (status)
        *status = (struct stub_status){.code = code, .message = message};
    return code;
}

static struct slice slice_of_grpc(const grpc_slice *slice) {
    return slice_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

/* Copies received metadata; false without memory. */
static bool metadata_copy(const grpc_metadata_array *array, struct arena *arena,
                          const struct stub_metadata **ret_entries, size_t *ret_count) {
    struct stub_metadata *entries = arena_zalloc(arena, array->count, sizeof *entries);
    if (!entries)
        return false;
    for (size_t i = 0; i < array->count; i++) {
        struct slice value = slice_of_grpc(&array->metadata[i].value);
        entries[i].key = arena_copy_text(arena, slice_of_grpc(&array->metadata[i].key));
        entries[i].value = arena_copy_text(arena, value);
        entries[i].size = value.size;
        if (!entries[i].key || !entries[i].value)
            return false;
    }
    *ret_entries = entries;
    *ret_count = array->count;
    return true;
}

/* Copies all but the code; false without memory. */
static bool status_copy(struct stub_call *call, struct slice message, struct arena *arena,
                        struct stub_status *status) {
    if (message.size > 0) {
        status->message = details_text(arena, message);
        if (!status->message)
            return false;
    }
    if (!metadata_copy(&call->initial, arena, &status->initial, &status->initial_count) ||
        !metadata_copy(&call->trailing, arena, &status->trailing, &status->trailing_count))
        return false;
    const struct stub_metadata *details = stub_status_metadata(status, DETAILS_KEY);
    return !details || call_has_fault(call) ||
           details_decode(slice_of(details->value, details->size), arena, status);
}

enum stub_code status_code_of_call(struct stub_call *call) {
    pthread_mutex_lock(&call->lock);
    enum stub_code code = call->has_fault ? call->fault : (enum stub_code)call->code;
    pthread_mutex_unlock(&call->lock);
    return (size_t)code <= STUB_UNAUTHENTICATED ? code : STUB_UNKNOWN;
}

void status_of_call(struct stub_call *call, struct stub_status *ret_status) {
    *ret_status = (struct stub_status){.code = status_code_of_call(call), .message = ""};
    struct slice message = SLICE_EMPTY;
    if (call_has_fault(call)) /* it does not change any more */
        message = slice_text(call->fault_text);
    else if (call->has_text)
        message = slice_of_grpc(&call->text);
    if (message.size == 0 && call->initial.count == 0 && call->trailing.count == 0)
        return;
    struct arena *arena = memory_alloc(sizeof *arena);
    if (!arena)
        return;
    arena_init(arena, STATUS_BYTES_MAX);
    struct stub_status status = *ret_status;
    status.memory = arena;
    if (status_copy(call, message, arena, &status)) {
        *ret_status = status;
    } else {
        arena_done(arena);
        memory_free(arena);
    }
}
