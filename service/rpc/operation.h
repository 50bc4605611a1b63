/* Operation: a synchronization as stored, a SyncOperation of the API, and the rows around it. */
#ifndef SERVICE_RPC_OPERATION_H
#define SERVICE_RPC_OPERATION_H

#include "service/rpc/messages.h"
#include "service/rpc/storage.h"

/* What a new operation begins with. Slices are copied. */
struct operation_draft {
    const char *sync_id;
    struct slice user, device;
    data_type_set types;
    enum sync_type sync_type;
    enum operation_status status;
    const char *phase; /* lives as long as the operation */
    int64_t created_us;
    enum bundle_codec_number codec; /* of its bundle; 0: it has none */
    uint32_t dictionary_id;
};

/* Makes an operation in the arena, or NULL. */
PB(SyncOperation) *operation_make(const struct operation_draft *draft, struct arena *arena);

/* Whether it has come to an end. */
static inline bool operation_has_ended(const PB(SyncOperation) *operation) {
    return (int)operation->status > OPERATION_PROCESSING;
}

/* Reads one. SYNC_ERR_NOT_FOUND when there is none, SYNC_ERR_DENIED when it is another user's (an
 * empty user is anybody), each with the reason in `error`. */
enum sync_status operation_load(struct store *store, struct slice sync_id, struct slice user,
                                struct arena *arena, struct sync_error *error,
                                PB(SyncOperation) **ret_operation);

enum { OPERATION_ROWS_MAX = 3 };

/* The rows that store it: itself, its place in the user's list when it is new, and the mark of
 * those that have not ended, set when new and removed at the end. Appends to `rows`, which has room
 * for OPERATION_ROWS_MAX more. */
enum sync_status operation_put(const PB(SyncOperation) *operation, bool is_new, struct arena *arena,
                               struct row_write *rows, size_t *row_count);

/* Ends it: status, end time, full progress where it completed. `error_message` may be NULL; it
 * lives as long as the operation. */
enum sync_status operation_end(PB(SyncOperation) *operation, enum operation_status status,
                               char *error_message, int64_t now_us, struct arena *arena);

/* A stream's operation lives by being written again: the service may be gone, and nobody left to
 * end it. */
enum {
    OPERATION_RENEW_US = 60 * 1000000,  /* while it catches up, at the latest */
    OPERATION_STALE_US = 180 * 1000000, /* after this it counts as failed */
};

/* Reads an operation as it counts now: a stream's that was not renewed has failed, INTERRUPTED,
 * when it was last written. */
enum sync_status operation_judge(PB(SyncOperation) *operation, int64_t now_us, struct arena *arena);

/* When operation_judge is going to find another state without a write: wall clock; INT64_MAX: not
 * by time. */
int64_t operation_stale_us(const PB(SyncOperation) *operation);

/* operation_put for a stream's, whose mark says when it was written. */
enum sync_status operation_put_stream(const PB(SyncOperation) *operation, bool is_new,
                                      int64_t now_us, struct arena *arena, struct row_write *rows,
                                      size_t *row_count);

/* How many of the user's operations have not ended as of `now_us`, counted up to `count_max`. */
enum sync_status operation_count_open(struct store *store, struct slice user, int64_t now_us,
                                      size_t count_max, struct arena *arena, size_t *ret_count);

#endif
