/* Model: what a user's data are, as every part of the service sees them. Types only.
 *
 * Nothing here owns memory: slices borrow from an arena or a message, as the function that hands
 * them out says. */
#ifndef SERVICE_CORE_MODEL_H
#define SERVICE_CORE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* The kinds of records; the numbers are those of travelsense.sync.v1.DataType and are stored. */
enum data_type {
    DATA_TYPE_TRIP = 1,
    DATA_TYPE_PROFILE = 2,
    DATA_TYPE_PREFERENCE = 3,
    DATA_TYPE_BOOKING = 4,
};

enum {
    DATA_TYPE_FIRST = DATA_TYPE_TRIP,
    DATA_TYPE_LAST = DATA_TYPE_BOOKING,
    DATA_TYPES_ALL = 0x1e
};

/* A set of data types: bit n stands for type n. */
typedef uint32_t data_type_set;

/* Tells whether a set holds a type. */
static inline bool data_type_in(data_type_set set, enum data_type type) {
    return (set >> type) & 1;
}

/* An order of data types: the n-th four bits are the n-th type's number, 0 behind the last. 0 is
 * all types in the service's own order. */
typedef uint16_t data_type_order;

enum {
    DATA_TYPE_ORDER_OWN = DATA_TYPE_BOOKING | DATA_TYPE_TRIP << 4 | DATA_TYPE_PROFILE << 8 |
                          DATA_TYPE_PREFERENCE << 12
};

/* Names a record of a user. */
struct record_key {
    enum data_type type;
    struct slice id; /* 1–DATA_ID_MAX bytes */
};

enum { CHECKSUM_SIZE = 16 };

/* A 128-bit number modulo 2^128, big-endian when written out. */
struct checksum {
    uint64_t high, low;
};

/* A record at one version. A tombstone has `deleted`, empty data and a zero element. */
struct record {
    struct record_key key;
    uint64_t version;   /* the user's sequence when it last changed; ≥ 1 */
    int64_t updated_us; /* corrected time of that change */
    bool deleted;
    struct slice data;       /* canonical document (core/document.h) */
    struct slice stamps;     /* when its fields changed (core/field_stamps.h); may be empty */
    struct checksum element; /* what it adds to the state checksum */
};

/* In which form a device takes what changed in a record; but for NONE, the numbers of
 * travelsense.sync.v1.PatchFormat. */
enum patch_form {
    PATCH_FORM_NONE,       /* only whole records */
    PATCH_FORM_MERGE,      /* a merge patch (RFC 7396), a canonical document */
    PATCH_FORM_OPERATIONS, /* packed operations (core/patch_operation.h), or a merge patch */
};

/* Names a record at a version. */
struct record_version {
    struct record_key key;
    uint64_t version;
};

/* Where a user's data stand. A user who never wrote has the zero head. */
struct user_head {
    uint64_t sequence;        /* grows by one per applied change, without gaps */
    uint64_t revision;        /* grows by one per commit; what a commit is guarded by */
    uint64_t log_floor;       /* entries with a sequence ≤ this are trimmed */
    int64_t time_us;          /* hybrid clock: the latest corrected time given out */
    struct checksum checksum; /* sum of the elements of all live records */
    uint64_t data_bytes;      /* of live records' canonical documents */
    uint32_t record_count;    /* live */
    uint32_t conflicts_open;
    uint64_t held_bytes; /* of changes that wait behind them */
};

/* What a change does; numbers of travelsense.sync.v1.ChangeType. */
enum change_kind { CHANGE_CREATE = 1, CHANGE_UPDATE = 2, CHANGE_DELETE = 3 };

/* One applied change. `undo` is the delta (core/delta.h) from the record after it to the record
 * before it; it is empty where previous_deleted says that there was none. */
struct log_entry {
    uint64_t sequence;
    enum change_kind kind;
    struct record_key key;
    uint64_t previous_version; /* of the record; 0: there was none */
    bool previous_deleted;     /* the record was a tombstone, or absent */
    bool as_sent;              /* nobody came between what the device had and this */
    struct slice undo;
    struct slice device; /* empty: a service */
    struct slice change_id;
    int64_t device_us;    /* when the device says it was made */
    int64_t corrected_us; /* by the hybrid clock */
};

enum { PAYLOAD_HASH_SIZE = 16 };

/* What became of a change that was sent: kept so that the same change, sent again, gets the same
 * answer. */
struct settled {
    struct slice device, change_id;
    uint8_t payload_hash[PAYLOAD_HASH_SIZE];
    struct slice
        outcome; /* a packed travelsense.sync.v1.ChangeResult without change_id and duplicate */
};

/* Rows of other kinds, whose values are packed messages. Each says its key; user ids hold no NUL,
 * so `user NUL` begins a user's rows. */
enum table {
    TABLE_CONFIG = 1,            /* user NUL → SyncConfig */
    TABLE_DEVICE = 2,            /* user NUL device → storage Device */
    TABLE_DEVICE_OWNER = 3,      /* device → user */
    TABLE_OPERATION = 4,         /* sync id → SyncOperation */
    TABLE_OPERATION_BY_USER = 5, /* user NUL inverted sync id bytes (newest first) → sync id;
                                    user NUL NUL sync id → empty, of one that has not ended */
    TABLE_CONFLICT = 6,          /* conflict id → storage Conflict */
    TABLE_CONFLICT_BY_USER = 7,  /* user NUL '0' (open) or '1' (resolved) conflict id → empty */
    TABLE_BUNDLE = 8,            /* bundle id → storage Bundle */
    TABLE_BUNDLE_PART = 9,       /* bundle id, 4-byte big-endian part → bytes of the container */
    TABLE_JOB = 10,              /* 8-byte big-endian due µs, job id → storage Job */
    TABLE_QUARANTINE = 11,       /* job id → storage Job */
    TABLE_EXPIRY =
        12, /* 8-byte big-endian time µs, table byte, key → empty: what clean-up removes then */
    TABLE_META = 13,          /* of the store itself: epoch, format; retention's clock */
    TABLE_CONFLICT_HOLD = 14, /* user NUL device NUL type byte, record's id → the ids of the open
                                 conflicts, oldest first, and the device's changes that wait behind
                                 them */
    TABLE_PARKED = 15, /* user NUL → the changes of his that the service could not apply yet */
    TABLE_LAST = TABLE_PARKED,
};

/* A row to read, or as read. */
struct row {
    enum table table;
    struct slice key;
    struct slice value;
    bool found;
    bool if_conflicts; /* wanted only if the head counts open conflicts; else it may go unread */
};

struct record_want {
    struct record_key key;
    bool history;           /* whether log entries of the record are wanted */
    uint64_t history_after; /* those with a sequence above this, */
    struct slice
        history_of; /* and none before one of this device's that is as_sent; may be empty */
};

/* Names a change whose earlier outcome is asked for. */
struct change_want {
    struct slice device, change_id;
};

/* A consistent view to ask for: all arrays may be empty. */
struct touched {
    struct slice user;
    const struct record_want *records;
    size_t record_count;
    const struct change_want *changes;
    size_t change_count;
    const struct row *rows; /* table, key and if_conflicts */
    size_t row_count;
};

struct record_view {
    bool found;
    struct record record;
    struct log_entry *history; /* newest first */
    size_t history_count;
    bool history_trimmed; /* entries wanted are behind the log's floor, or too many for a load */
};

/* An earlier outcome, if there is one. */
struct settled_view {
    bool found;
    struct settled settled;
};

/* The answer: arrays parallel to what was asked. Lives in the arena given. */
struct user_view {
    struct user_head head;
    struct record_view *records;
    struct settled_view *changes;
    struct row *rows;
};

/* A row to write. */
struct row_write {
    enum table table;
    struct slice key;
    struct slice value;
    bool remove;
};

/* What a commit writes, all or nothing. Arrays live until `done` is called. */
struct write_set {
    struct slice user;          /* empty: rows only, no head is read or written */
    uint64_t expected_revision; /* the view's head.revision */
    bool any_revision;     /* rows only, though under a user: do not guard, do not write the head */
    struct user_head head; /* the new head; its revision is set by the store */
    struct record *records; /* puts, tombstones included */
    size_t record_count;
    struct log_entry *log; /* ascending sequence */
    size_t log_count;
    struct settled *settled;
    size_t settled_count;
    struct row_write *rows;
    size_t row_count;
};

#endif
