/* Session, inside: what the files session_*.c share. Each group of functions lives in the file that
 * is named above it. */
#ifndef SERVICE_CORE_SESSION_PRIVATE_H
#define SERVICE_CORE_SESSION_PRIVATE_H

#include "service/core/session.h"
#include "service/core/session_progress.h"

/* struct, initializer and descriptor of travelsense.sync.v1.Name. */
#define PB(Name) Travelsense__Sync__V1__##Name
#define PB_INIT(NAME) TRAVELSENSE__SYNC__V1__##NAME##__INIT
#define PB_DESCRIPTOR(name) (&travelsense__sync__v1__##name##__descriptor)

/* Bounds of the session's own. */
enum {
    CONTROL_BYTES_MAX = 16 << 10, /* of a message that is no batch */
    CONTROL_ARENA_MAX = 64 << 10, /* once unpacked */
    BATCH_ARENA_EXTRA = 1 << 20,  /* what a batch may take unpacked, beyond its own bytes */
    OUT_BYTES_MAX = 1 << 20,      /* queued, from which on no batch is applied … */
    OUT_COUNT_MAX = 16,           /* … and nothing is received */
    OUT_COUNT_EASY = 8,           /* … and what can wait is not queued, so that a token is read */
    CONFLICTS_WAITING_MAX = BATCH_CHANGES_MAX, /* unsent, from which on no batch is applied */
    SENT_COUNT_MAX = 256,                      /* messages remembered for the credit */
    FRAME_BYTES = 5,                           /* before each message of a gRPC stream */
};

_Static_assert((int)CONTROL_BYTES_MAX > (int)TOKEN_MAX, "a token passes");

/* A message of the device that is kept while it is worked on. */
struct session_received {
    struct session_received *next;
    struct arena arena;
    PB(SyncRequest) *message; /* NULL: refused unread */
    size_t bytes;
    int64_t batch_id;
    const char *refusal; /* NULL, or the stable cause why the batch is refused */
    int64_t received_wall_us;
    int64_t clock_offset_us;
    uint64_t acknowledged;
};

/* Where a message for the device leads. */
struct session_mark {
    bool has_sequence;
    uint64_t sequence;      /* a plain cursor */
    const char *lap_cursor; /* NULL, or a lap cursor */
    bool is_resync;         /* the device forgets what it holds: RESYNC_REQUIRED */
};

/* A message for the device, packed. */
struct session_message {
    struct session_message *next;
    PB(SyncResponse__MessageCase) kind;
    bool has_sequence, is_resync;
    uint64_t sequence;
    char *lap_cursor;
    size_t size;
    uint8_t bytes[];
};

/* A message of records that was sent and is not acknowledged. */
struct session_sent {
    uint64_t bytes;
    uint64_t sequence; /* of its plain cursor, or the hash of its lap cursor */
    bool is_lap;
};

struct session {
    struct session_settings settings;
    enum session_phase phase;
    struct session_time now; /* of the last call */
    uint64_t started_us;
    int64_t token_expires_us;

    /* what the device asked for */
    data_type_set types;
    data_type_order order; /* of them */
    bool is_live;
    enum patch_form patches; /* wanted */
    uint32_t batches_max;
    uint64_t credit_max;
    int64_t clock_offset_us;

    /* the stream */
    bool is_receiving; /* RECEIVE was taken and not answered */
    bool is_half_closed;
    bool is_paused;
    bool is_draining;
    bool is_token_noticed;
    uint64_t retry_after_us;
    uint64_t bandwidth_limit, bandwidth_free_us; /* when the next message may be sent */
    struct session_message *out_first, *sending;
    uint64_t sending_since_us;
    size_t out_bytes;
    uint32_t out_count, out_records; /* messages queued, and those of records among them */

    /* what is worked on */
    struct session_request *requests[SESSION_REQUEST_KINDS]; /* under way */
    struct session_received *hello, *token, *batches;
    uint32_t batch_count;
    bool has_batch_id;
    int64_t batch_id;        /* of the last batch */
    struct buffer conflicts; /* ids to send, each with a NUL */
    size_t conflicts_at;     /* where the first one begins */
    uint32_t conflicts_waiting, conflicts_open;
    bool has_conflicts_changed; /* since the device was told how many wait */

    /* where the device is */
    uint64_t epoch, head;
    bool has_position;
    uint64_t position;   /* where the last lap ended, or the device began */
    bool is_rough;       /* … and records that were there then were left to the next lap */
    bool has_begun;      /* the first page has come */
    bool is_in_lap;      /* a lap has begun and not ended */
    bool is_lap_resumed; /* it began in another session */
    bool has_resynced;
    bool has_checksum;
    struct checksum checksum; /* at the position */
    struct lap_cursor lap;
    bool is_complete;  /* complete was said, or is about to be, for where the device is */
    bool was_complete; /* it was sent at least once */

    /* what the device has */
    bool has_sent;
    uint64_t sent_sequence;     /* the last plain cursor sent */
    char *sent_lap_cursor;      /* NULL, or the last cursor sent was this one of a lap */
    bool is_resync_queued;      /* RESYNC_REQUIRED waits to be sent */
    bool is_resume_void;        /* … was sent: what was sent before leads nowhere */
    bool is_acknowledged_dirty; /* it was not noted yet */
    uint64_t acknowledged;
    uint64_t unacknowledged_bytes;
    struct session_sent *sent;
    uint32_t sent_count, sent_capacity;

    /* what is told of it */
    struct session_progress progress;
    const char *progress_phase; /* of the last message */
    uint64_t progress_us;
    bool is_progress_dirty;
    uint64_t changes, conflicts_made;
    bool is_report_due, is_report_dirty, is_last_reported, is_opened;
    uint64_t report_us;

    bool is_ending;
    enum sync_status end_status;
    struct sync_error *error; /* why it ends; NULL: as `end_status` says */
};

/* ---- session.c */

/* Whether requests of the kind are under way. */
static inline bool session_is_asking(const struct session *session,
                                     enum session_request_kind kind) {
    return session->requests[kind] != NULL;
}

/* A request of the kind, under way from now on, followed by `extra` bytes of room. NULL: no memory;
 * the session ends. */
struct session_request *session_ask(struct session *session, enum session_request_kind kind,
                                    size_t extra);

/* ---- session_life.c */

/* Ends, the first time that it is called. The text is for the device. */
void session_end(struct session *session, enum sync_status status, const char *reason,
                 const char *field, const char *format, ...) __attribute__((format(printf, 5, 6)));
void session_end_with(struct session *session, const struct sync_error *error);
/* Why it ends. Without memory for the reason, the status alone says it. */
void session_end_error(const struct session *session, struct sync_error *ret_error);
void session_end_no_memory(struct session *session);

/* Whether the session has said that it ends, or that it will once it is done. */
bool session_is_leaving(const struct session *session);

/* ---- session_receive.c */

/* Takes a message of the device. */
void session_receive(struct session *session, struct slice bytes);

/* Releases a message; returns NULL. NULL is allowed. */
struct session_received *session_received_close(struct session_received *received);

/* Whether a message may be asked of the transport. */
bool session_may_receive(const struct session *session);

/* ---- session_hello.c */

/* Takes hello, whose memory is now the session's. */
void session_hello(struct session *session, struct session_received *received);

/* The offset of the device's clock that a time of sending shows, those of the network left out;
 * false outside of the years 1970 to 9999. */
bool session_clock_offset(const struct session *session, const Google__Protobuf__Timestamp *sent_at,
                          int64_t *ret_offset_us);

/* Takes the answer, and welcomes the device. */
void session_open_answered(struct session *session, const struct session_answer *answer);

/* ---- session_batch.c */

/* Takes a batch, whose memory is now the session's. */
void session_batch(struct session *session, struct session_received *received);

/* Answers batches at the front that are refused unread. */
void session_refuse_batches(struct session *session);

/* Asks for the next batch to be applied, when it may be. */
struct session_request *session_ask_apply(struct session *session);
void session_apply_answered(struct session *session, const struct session_answer *answer);

/* ---- session_conflict.c */

/* Notes the conflicts of results, to be fetched and sent. */
void session_note_conflicts(struct session *session, PB(ChangeResult) *const *results,
                            size_t count);
struct session_request *session_ask_conflict(struct session *session);
void session_conflict_answered(struct session *session, const struct session_answer *answer);
/* The user's conflicts changed: `open` wait. */
void session_conflicts_changed(struct session *session, uint32_t open);
/* Says so to a live device, when there is room. */
void session_tell_conflicts(struct session *session);

/* ---- session_page.c */

/* Whether records are to be had, if the flow allows. */
bool session_wants_page(const struct session *session);
struct session_request *session_ask_page(struct session *session);
void session_page_answered(struct session *session, const struct session_request *request,
                           const struct session_answer *answer);

/* Tells the device that its cursor leads nowhere; a snapshot is next. */
void session_resync(struct session *session);

/* Says complete where the device has caught up, and goes on to what comes then. */
void session_catch_up(struct session *session);

/* ---- session_acknowledge.c */

/* Takes what the device says it holds. */
void session_acknowledge(struct session *session, const PB(SyncAcknowledgement) *message);
/* Raises what the device holds. */
void session_raise_acknowledged(struct session *session, uint64_t sequence);
struct session_request *session_ask_acknowledge(struct session *session);
/* Makes room for one more message to remember; false: no memory, the session ends. */
bool session_sent_reserve(struct session *session);
/* Notes that a message went out. */
void session_note_sent(struct session *session, struct session_message *message);

/* ---- session_token.c */

/* Whether the token is of the past: then nothing is applied, and only notices are sent. */
bool session_is_expired(const struct session *session);
/* Takes a new token, whose memory is now the session's. */
void session_token(struct session *session, struct session_received *received);
struct session_request *session_ask_token(struct session *session);
void session_token_answered(struct session *session, const struct session_answer *answer);
/* Notices and ends that the time brings. */
void session_watch_token(struct session *session);
/* When the token next matters (monotonic), or UINT64_MAX. */
uint64_t session_token_wake(const struct session *session);

/* ---- session_send.c */

/* Packs and queues a message. Without memory the session ends. */
void session_queue(struct session *session, const PB(SyncResponse) *response,
                   const struct session_mark *mark);
/* Takes the next message that may be sent now; NULL: none. */
struct session_message *session_send(struct session *session);
/* Whether a message is queued that may go out, now or once the rate allows. */
bool session_can_send(const struct session *session);
/* The transport has taken the message. */
void session_message_sent(struct session *session);
/* Drops records and completes that are queued: the session ends before them. */
void session_drop_records(struct session *session);
/* When a message may be sent that may not yet (monotonic), or UINT64_MAX. */
uint64_t session_send_wake(const struct session *session);
/* Releases a message; returns NULL. NULL is allowed. */
struct session_message *session_message_close(struct session_message *message);
/* The text of a plain cursor in the session's epoch. */
void session_cursor_text(const struct session *session, uint64_t sequence,
                         char ret_text[CURSOR_TEXT_MAX]);

/* ---- session_notice.c */

/* What a notice says; texts may be NULL. */
struct session_notice {
    PB(SyncNoticeKind) kind;
    const char *message, *resume_cursor;
    uint64_t retry_after_us; /* 0: not said */
    uint32_t conflicts_open;
};
void session_notify(struct session *session, const struct session_notice *notice);
/* The notice that the service stops, with where the device can resume. */
void session_notify_drain(struct session *session);
/* Sends progress when it is time. */
void session_tell_progress(struct session *session);
/* Sends it now, with this phase. */
void session_send_progress(struct session *session, const char *phase);
Google__Protobuf__Timestamp session_timestamp(int64_t time_us);
Google__Protobuf__Duration session_duration(int64_t time_us);

/* ---- session_report.c */

/* Asks for a report when one is due. */
struct session_request *session_ask_report(struct session *session);
/* Asks for the last report: NULL when there is none to make or it is under way. */
struct session_request *session_ask_last_report(struct session *session);

/* ---- session_check.c */

/* For tests: the first invariant that does not hold, or NULL. */
const char *session_fault(const struct session *session);

#endif
