/* Session: the service's side of one SyncService.Sync stream, as a state machine.
 *
 * It knows no thread, socket, clock or store. The driver tells it events (messages and times in)
 * and takes actions from it (messages and requests out); the same events give the same actions,
 * always. The service drives it from a gRPC stream (service/rpc/sync_stream.h), the simulation from
 * a queue.
 *
 *     session_tell(session, &event, now);
 *     while (session_next(session, now, &action), action.kind != SESSION_WAIT)
 *         … do it …
 *
 * Order of life: hello → welcome → laps of records until the device has caught up → complete →
 * live. A lap brings what changed between the device's cursor and a target sequence (or a snapshot
 * as of it), in order of priority, page by page. Pages hold records as they are when they are read;
 * one that is newer than the target is left to the next lap. A page inside a lap ends at a lap
 * cursor (session_cursor.h), from which another session can go on; the lap's last page ends at the
 * plain cursor of the target.
 *
 * Memory: the messages being worked on, bounded by (batches_in_flight_max + 1) ×
 * SYNC_BATCH_BYTES_MAX and one page; between messages nothing but the struct. One thread at a time.
 */
#ifndef SERVICE_CORE_SESSION_H
#define SERVICE_CORE_SESSION_H

#include "base/arena.h"
#include "base/limits.h"
#include "service/core/change_batch.h"
#include "service/core/session_cursor.h"
#include "travelsense/sync/v1/sync_stream.pb-c.h"

struct session;

/* The time of an event: the service's wall clock, for what devices are told, and a monotonic one,
 * for timers and rates. Microseconds; neither is read by the session itself. */
struct session_time {
    int64_t wall_us;
    uint64_t monotonic_us;
};

/* Times and bounds, so that tests and the simulation can choose others. */
struct session_settings {
    uint64_t hello_timeout_us;      /* from the start; default 10 s */
    uint64_t token_notice_us;       /* before the expiry; 60 s */
    uint64_t token_grace_us;        /* after it; 30 s */
    uint64_t send_timeout_us;       /* a message that the device does not take; 120 s */
    uint64_t progress_step_us;      /* between two progress messages of a phase; 250 ms */
    uint32_t batches_in_flight_max; /* 4 */
    uint32_t page_bytes;            /* of records in a message; 256 KiB */
    uint32_t page_records;          /* 1000 */
    uint32_t unacknowledged_bytes;  /* when the device does not say; 4 MiB */
};

/* The defaults above. */
extern const struct session_settings session_settings_default;

/* ---- Requests: what the session needs of the service. At most one of each kind is under way. */

enum session_request_kind {
    SESSION_OPEN,        /* bind the device, admit, make the operation */
    SESSION_APPLY,       /* apply a batch */
    SESSION_PAGE,        /* read records */
    SESSION_CONFLICT,    /* read a conflict of this device that the user has to decide */
    SESSION_TOKEN,       /* check a new token */
    SESSION_ACKNOWLEDGE, /* note what the device holds */
    SESSION_REPORT,      /* note how far the operation is */
    SESSION_REQUEST_KINDS
};

/* Slices and messages live until the request is answered. */
struct session_request {
    enum session_request_kind kind;
    union {
        const Travelsense__Sync__V1__SyncHello *hello; /* SESSION_OPEN */
        struct {
            const Travelsense__Sync__V1__SyncBatch *batch;
            size_t bytes;            /* of the message */
            int64_t clock_offset_us; /* device minus service, as measured last; 0: about none */
            uint64_t acknowledged;   /* sequence that the device held when it sent the batch */
        } apply;
        struct session_page_want {
            data_type_set types;
            enum patch_form patches; /* with SYNC_TYPE_DELTA */
            bool begins; /* a lap: `lap` has only has_from and from; the answer says the rest */
            struct lap_cursor lap;
            uint32_t bytes_max, records_max; /* at least one record comes, however large */
        } page;
        struct slice conflict_id;
        struct slice token;
        uint64_t acknowledged; /* sequence */
        struct session_report {
            /* Number of travelsense.sync.v1.SyncStatus. Completed from the first complete on, to
             * the session's end; so what ends a session that has been live does not fail it. */
            int status;
            bool is_last;
            const char *phase;
            int percent;
            uint64_t changes, conflicts, bytes_done, bytes_total;
            const char *error; /* NULL: none */
        } report;
    };
};

/* An answer. `error.status` is SYNC_OK, or why it failed: then only the error counts, and unless
 * said otherwise the session ends with it. Everything lives until session_tell returns.
 * SESSION_CONFLICT with NOT_FOUND: it is gone. SESSION_TOKEN: a refusal ends the session only when
 * the old token has expired. SESSION_REPORT: only CANCELLED, by the user, ends the session; another
 * error leaves a report out. */
struct session_answer {
    enum session_request_kind kind;
    struct sync_error error;
    uint64_t retry_after_us; /* with an error: when to come back; 0: not said */
    union {
        struct {
            struct slice sync_id;
            uint64_t epoch;
            uint64_t head; /* the user's sequence */
            bool has_acknowledged;
            uint64_t acknowledged;
            uint64_t bandwidth_limit; /* bytes a second; 0: none */
            uint32_t conflicts_open;
            uint64_t data_bytes, record_count; /* of the user, for the progress */
        } open;
        struct { /* with an error INVALID, EXHAUSTED or BUSY: the batch is refused, the session goes
                  * on
                  */
            Travelsense__Sync__V1__ChangeResult **results;
            size_t count;
            uint64_t before, after;   /* the user's sequence */
            struct checksum checksum; /* after it */
            bool as_sent; /* every change was applied as it was sent, none a duplicate */
            const Travelsense__Sync__V1__SyncBatchError *refusal; /* of an error */
        } apply;
        struct { /* with PRECONDITION, the log does not reach back: the session starts a snapshot */
            Travelsense__Sync__V1__Record **records;
            size_t count;
            uint64_t bytes;        /* of the records */
            struct lap_cursor lap; /* behind these records */
            bool ends;             /* the lap is done: its target is reached */
            bool is_exact; /* no record was left to the next lap since the lap (this session's
                              part of it) began */
            uint64_t records_left; /* of the lap, about */
            uint64_t bytes_left;
            uint64_t head; /* the user's sequence when the page was read; at least the target */
            struct checksum checksum; /* at the target */
            uint32_t conflicts_open;
        } page;
        const Travelsense__Sync__V1__Conflict *conflict; /* NULL: it is gone */
        int64_t token_expires_us;                        /* 0: never */
    };
};

/* ---- Events */

enum session_event_kind {
    SESSION_RECEIVED,    /* `bytes`: a SyncRequest in wire form, checked by wire_check */
    SESSION_HALF_CLOSED, /* the device has sent all it will */
    SESSION_SENT,        /* the transport has taken the last message */
    SESSION_ANSWERED,    /* `answer` */
    SESSION_COMMITTED,   /* the user's data moved, to `head` */
    SESSION_CONFLICTS,   /* the user's conflicts changed: `conflicts_open` wait */
    SESSION_CANCELLED,   /* the stream is gone: nothing more can be sent or received */
    SESSION_REVOKED,     /* the device may no longer synchronize */
    SESSION_SUPERSEDED,  /* the device has opened another session */
    SESSION_DRAINED,     /* the service stops: `retry_after_us` is this device's slot */
    SESSION_QUOTA_NEAR,  /* `text` is the sentence for the user */
    SESSION_TIME,        /* only the time has passed */
};

/* An event; only the fields that its kind names count. */
struct session_event {
    enum session_event_kind kind;
    struct slice bytes, text;
    const struct session_answer *answer;
    uint64_t head;
    uint32_t conflicts_open;
    uint64_t retry_after_us;
};

/* ---- Actions */

enum session_action_kind {
    SESSION_WAIT,    /* nothing to do before the next event, or `wake_us` (monotonic) */
    SESSION_RECEIVE, /* ask the transport for one message; tell RECEIVED or HALF_CLOSED */
    SESSION_SEND,    /* send `bytes` (they live until SENT is told); tell SENT */
    SESSION_ASK,     /* answer `request`; tell ANSWERED, at once or later */
    /* End the stream with `error` (SYNC_OK: well). No action comes after it; requests that are
     * under way (the last report is) are still answered, and only then is the session closed. */
    SESSION_END,
};

struct session_action {
    enum session_action_kind kind;
    struct slice bytes;
    const struct session_request *request;
    uint64_t wake_us; /* UINT64_MAX: not by time */
    struct sync_error error;
    uint64_t retry_after_us; /* of an end: when to come back; 0: not said */
};

/* Opens a session that waits for hello. `token_expires_us`: wall clock, 0 never. The settings are
 * copied. SYNC_ERR_NO_MEMORY. */
enum sync_status session_open(const struct session_settings *settings, int64_t token_expires_us,
                              struct session_time now, struct session **ret_session);

/* Tells an event. It never fails: what goes wrong shows as an action. */
void session_tell(struct session *session, const struct session_event *event,
                  struct session_time now);

/* Takes the next action. After SESSION_END: SESSION_WAIT for ever. */
void session_next(struct session *session, struct session_time now,
                  struct session_action *ret_action);

/* What can be told of it, for metrics and tests. */
struct session_view {
    enum session_phase {
        SESSION_EXPECTS_HELLO, /* next: opening, ended */
        SESSION_OPENING,       /* next: catching up, ended */
        SESSION_CATCHING_UP,   /* next: live, closing, ended */
        SESSION_LIVE,          /* next: closing, ended */
        SESSION_CLOSING, /* bye, drain or the end of a session that is not live; next: ended */
        SESSION_ENDED,
    } phase;
    bool is_paused;
    uint64_t position; /* sequence of the last plain cursor sent or held */
    uint64_t acknowledged;
    uint64_t unacknowledged_bytes;
    size_t memory_bytes; /* held now */
    int percent;
};
void session_look(const struct session *session, struct session_view *ret_view);

/* Closes; returns NULL. NULL is allowed. */
struct session *session_close(struct session *session);

#endif
