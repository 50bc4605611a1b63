/* Session cursor: the cursors of a Sync stream. Plain ones are core/cursor.h's; a lap cursor says
 * how far a session has come inside a lap. Pure. */
#ifndef SERVICE_CORE_SESSION_CURSOR_H
#define SERVICE_CORE_SESSION_CURSOR_H

#include "base/limits.h"
#include "service/core/cursor.h"
#include "service/core/model.h"

/* A place in a lap: records changed after `from` (or, without, all live ones) up to `target`, in
 * the order of their rank (core/pull.h) as of `rank_us`, behind the record that is named. */
struct lap_cursor {
    bool has_from;
    uint64_t from;   /* sequence */
    uint64_t target; /* sequence */
    int64_t rank_us;
    data_type_order order; /* of the types that it brings */
    uint64_t rank;         /* of the last record sent */
    enum data_type type;
    uint16_t id_size; /* 0: none sent yet */
    uint8_t id[DATA_ID_MAX];
};

enum { SESSION_CURSOR_TEXT_MAX = 512 };

/* What a device gave as its cursor. */
struct session_cursor {
    uint64_t epoch;
    bool is_lap;
    uint64_t sequence;     /* of a plain one, as the next */
    data_type_set types;   /* core/cursor.h */
    struct lap_cursor lap; /* of the other */
};

/* Writes base64url text, NUL-terminated; returns its length. A plain one is as cursor_format makes
 * it; a lap cursor has another format version, and ends in a CRC-32C as well. */
size_t session_cursor_format(const struct session_cursor *cursor,
                             char ret_text[SESSION_CURSOR_TEXT_MAX]);

/* Reads one of either kind. SYNC_ERR_INVALID when it is not one of ours. */
enum sync_status session_cursor_parse(struct slice text, struct session_cursor *ret_cursor);

#endif
