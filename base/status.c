#include "base/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

/* What each status is called and says. */
static const struct {
    enum sync_status status;
    const char *name, *text;
} STATUS_TABLE[] = {
    {SYNC_OK, "OK", "well"},
    {SYNC_ERR_INVALID, "INVALID", "malformed input"},
    {SYNC_ERR_NOT_FOUND, "NOT_FOUND", "no such thing"},
    {SYNC_ERR_DENIED, "DENIED", "belongs to another"},
    {SYNC_ERR_UNAUTHENTICATED, "UNAUTHENTICATED", "no valid token"},
    {SYNC_ERR_EXHAUSTED, "EXHAUSTED", "a limit was reached"},
    {SYNC_ERR_TOO_LARGE, "TOO_LARGE", "larger than allowed"},
    {SYNC_ERR_PRECONDITION, "PRECONDITION", "the present state forbids it"},
    {SYNC_ERR_EXISTS, "EXISTS", "exists already"},
    {SYNC_ERR_UNIMPLEMENTED, "UNIMPLEMENTED", "not offered"},
    {SYNC_ERR_CANCELLED, "CANCELLED", "the caller went away"},
    {SYNC_ERR_DEADLINE, "DEADLINE", "no time left"},
    {SYNC_ERR_HEAD_MOVED, "HEAD_MOVED", "another change came first"},
    {SYNC_ERR_BUSY, "BUSY", "no room now"},
    {SYNC_ERR_UNAVAILABLE, "UNAVAILABLE", "a part is away or stopping"},
    {SYNC_ERR_NO_MEMORY, "NO_MEMORY", "out of memory"},
    {SYNC_ERR_CORRUPT, "CORRUPT", "stored data are damaged"},
    {SYNC_ERR_IO, "IO", "the system refused an operation"},
    {SYNC_ERR_INTERNAL, "INTERNAL", "an internal fault"},
    {SYNC_ERR_FATAL_BAND, "FATAL_BAND", "the process must stop"},
    {SYNC_ERR_STORE_BROKEN, "STORE_BROKEN", "the store can no longer promise durability"},
};

enum { STATUS_COUNT = sizeof STATUS_TABLE / sizeof STATUS_TABLE[0] };

const char *sync_status_name(enum sync_status status) {
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (STATUS_TABLE[i].status == status)
            return STATUS_TABLE[i].name;
    return "UNKNOWN";
}

const char *sync_status_text(enum sync_status status) {
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (STATUS_TABLE[i].status == status)
            return STATUS_TABLE[i].text;
    return "an unknown status";
}

/* Copies into `text` of `room` bytes, cut at a UTF-8 boundary; NULL counts as "". */
static void text_copy(char *text, size_t room, const char *source) {
    struct slice kept = slice_cut_utf8(slice_text(source), room - 1);
    if (kept.size > 0)
        memcpy(text, kept.data, kept.size);
    text[kept.size] = '\0';
}

/* Prints into `text` of `room` bytes, cut at a UTF-8 boundary. */
static void text_print(char *text, size_t room, const char *format, va_list arguments) {
    char longer[2 * SYNC_ERROR_MESSAGE_MAX]; /* shows whether the cut splits a sequence */
    assert(room < sizeof longer);
    int size = vsnprintf(longer, sizeof longer, format, arguments);
    text_copy(text, room, size < 0 ? "" : longer);
}

enum sync_status sync_error_set(struct sync_error *error, enum sync_status status,
                                const char *reason, const char *field, const char *format, ...) {
    assert(reason);
    assert(format);
    if (!error)
        return status;
    /* By way of another: the arguments may be texts of this very error. */
    struct sync_error filled = {.status = status};
    text_copy(filled.reason, sizeof filled.reason, reason);
    text_copy(filled.field, sizeof filled.field, field);
    va_list arguments;
    va_start(arguments, format);
    text_print(filled.message, sizeof filled.message, format, arguments);
    va_end(arguments);
    *error = filled;
    return status;
}

void sync_error_prefix(struct sync_error *error, const char *format, ...) {
    if (!error)
        return;
    char path[SYNC_ERROR_FIELD_MAX];
    va_list arguments;
    va_start(arguments, format);
    text_print(path, sizeof path, format, arguments);
    va_end(arguments);
    size_t size = strlen(path);
    bool dotted = size > 0 && error->field[0] != '\0' && error->field[0] != '[';
    if (dotted && size + 1 < sizeof path)
        path[size++] = '.';
    text_copy(path + size, sizeof path - size, error->field);
    memcpy(error->field, path, strlen(path) + 1);
}

enum sync_status sync_error_of(struct sync_error *error, enum sync_status status) {
    return sync_error_set(error, status, sync_status_name(status), NULL, "%s",
                          sync_status_text(status));
}
