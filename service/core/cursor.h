/* Cursors and page tokens: opaque text for clients, positions for us. Pure. */
#ifndef SERVICE_CORE_CURSOR_H
#define SERVICE_CORE_CURSOR_H

#include "base/bytes.h"
#include "base/limits.h"
#include "service/core/model.h"

/* A position in a user's sequence, in one store's epoch. */
struct cursor {
    uint64_t epoch;
    uint64_t sequence;
    data_type_set types; /* of which its holder has what lies before; 0: of all */
};

/* Whether who holds the cursor misses nothing of these types that lies before it. */
static inline bool cursor_covers(const struct cursor *cursor, data_type_set types) {
    return cursor->types == 0 || (types & ~cursor->types) == 0;
}

/* Writes base64url text, NUL-terminated; returns its length. Format version and types,
 * epoch, sequence, CRC-32C. */
size_t cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX]);

/* Reads a cursor. SYNC_ERR_INVALID when it is not one of ours. */
enum sync_status cursor_parse(struct slice text, struct cursor *ret_cursor);

#endif
