/* Status: one enumeration of everything that a function of ours can answer, and the error a user is
 * told.
 *
 * Each edge has one map: sync_status_to_grpc in service/rpc, http_status_of_grpc in gateway. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 is well, errors are negative. From SYNC_ERR_FATAL_BAND down, the process must stop accepting
 * work. */
enum sync_status {
    SYNC_OK = 0,
    /* the caller's fault; stable, not worth a retry */
    SYNC_ERR_INVALID = -1,         /* malformed input; a sync_error names the field */
    SYNC_ERR_NOT_FOUND = -2,       /* no such thing */
    SYNC_ERR_DENIED = -3,          /* exists, but is another's */
    SYNC_ERR_UNAUTHENTICATED = -4, /* no token, or not a valid one */
    SYNC_ERR_EXHAUSTED = -5,       /* a rate, quota or concurrency limit */
    SYNC_ERR_TOO_LARGE = -6,       /* a bound of base/limits.h was passed */
    SYNC_ERR_PRECONDITION =
        -7,               /* the state forbids it (resync required, already resolved otherwise) */
    SYNC_ERR_EXISTS = -8, /* there already */
    SYNC_ERR_UNIMPLEMENTED = -9, /* not offered */
    SYNC_ERR_CANCELLED = -10,    /* the caller went away */
    SYNC_ERR_DEADLINE = -11,     /* no time left */
    /* ours, passing; worth a retry */
    SYNC_ERR_HEAD_MOVED =
        -20, /* the user's head is no longer the one that was read: load and apply again */
    SYNC_ERR_BUSY = -21,        /* no room now: try again later */
    SYNC_ERR_UNAVAILABLE = -22, /* a part is away or stopping */
    /* ours, lasting */
    SYNC_ERR_NO_MEMORY = -40,
    SYNC_ERR_CORRUPT = -41, /* stored data do not parse, or a checksum differs */
    SYNC_ERR_IO = -42,      /* the system refused a file or socket operation */
    SYNC_ERR_INTERNAL = -43,
    SYNC_ERR_FATAL_BAND = -100,
    SYNC_ERR_STORE_BROKEN = -101, /* the store can no longer promise durability: stop, reopen */
};

/* The enumerator's stable short name, such as "NOT_FOUND"; "UNKNOWN" for others. Static memory. */
const char *sync_status_name(enum sync_status status);

/* An English sentence fragment for the status, such as "no such thing". Static memory. */
const char *sync_status_text(enum sync_status status);

/* Tells whether the process must stop accepting work. */
static inline bool sync_status_is_fatal(enum sync_status status) {
    return status <= SYNC_ERR_FATAL_BAND;
}

enum { SYNC_ERROR_REASON_MAX = 48, SYNC_ERROR_FIELD_MAX = 192, SYNC_ERROR_MESSAGE_MAX = 256 };

/* What a caller must tell a user. Lives in the caller's memory and borrows nothing.
 * `reason` is UPPER_SNAKE_CASE and stable (google.rpc.ErrorInfo.reason), `field` a path such as
 * "changes[3].timestamp" or empty, `message` a sentence that helps. Texts are cut, never overrun,
 * and cut at a UTF-8 boundary. */
struct sync_error {
    enum sync_status status;
    char reason[SYNC_ERROR_REASON_MAX];
    char field[SYNC_ERROR_FIELD_MAX];
    char message[SYNC_ERROR_MESSAGE_MAX];
};

/* Fills `error` (NULL is allowed) with the status's own name and text, for what says no more, and
 * returns `status`. */
enum sync_status sync_error_of(struct sync_error *error, enum sync_status status);

/* Fills `error` (NULL is allowed) and returns `status`, so that `return sync_error_set(…)` reads
 * well. `field` may be NULL. */
enum sync_status sync_error_set(struct sync_error *error, enum sync_status status,
                                const char *reason, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Puts `prefix` before the error's field path, with a dot between them unless the path begins with
 * '[' or either is empty. */
void sync_error_prefix(struct sync_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
