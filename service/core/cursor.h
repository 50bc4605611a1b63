/* Cursors and page tokens: opaque text for clients, positions for us. Pure. */
#ifndef SERVICE_CORE_CURSOR_H
#define SERVICE_CORE_CURSOR_H

#include "base/bytes.h"
#include "base/limits.h"

/* A position in a user's sequence, in one store's epoch. */
struct cursor {
    uint64_t epoch;
    uint64_t sequence;
};

/* Writes base64url text, NUL-terminated; returns its length. Format version, epoch, sequence,
 * CRC-32C. */
size_t cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX]);

/* Reads a cursor. SYNC_ERR_INVALID when it is not one of ours. */
enum sync_status cursor_parse(struct slice text, struct cursor *ret_cursor);

#endif
