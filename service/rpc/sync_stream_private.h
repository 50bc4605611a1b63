/* Sync streams, inside: what the files sync_stream_*.c share. */
#ifndef SERVICE_RPC_SYNC_STREAM_PRIVATE_H
#define SERVICE_RPC_SYNC_STREAM_PRIVATE_H

#include <stdatomic.h>

#include "service/core/session.h"
#include "service/rpc/call.h"
#include "service/rpc/lap.h"
#include "service/rpc/messages.h"
#include "service/rpc/storage.h"
#include "service/rpc/stream_registry.h"
#include "service/rpc/sync_stream.h"
#include "service/rpc/wake.h"

/* Causes of a wake. */
enum {
    STREAM_RECEIVED = WAKE_CAUSE_FIRST,   /* a message has come */
    STREAM_CLOSED = STREAM_RECEIVED << 1, /* none comes any more */
    STREAM_WRITTEN = STREAM_RECEIVED << 2,
    STREAM_LOST = STREAM_RECEIVED << 3, /* a write failed */
    STREAM_LEFT = STREAM_RECEIVED << 4, /* the client */
    STREAM_DRAIN = STREAM_RECEIVED << 5,
    STREAM_RANG = STREAM_RECEIVED << 6,      /* the timer */
    STREAM_COMMITTED = STREAM_RECEIVED << 7, /* the user's data moved */
    STREAM_DEVICE = STREAM_RECEIVED << 8,    /* a device of the user's was written */
    STREAM_OUSTED = STREAM_RECEIVED << 9,    /* superseded */
    STREAM_BARRED = STREAM_RECEIVED << 10,   /* revoked */
    STREAM_BOUND = STREAM_RECEIVED << 11,    /* the device is bound */
    STREAM_OPENED = STREAM_RECEIVED << 12,
    STREAM_APPLIED = STREAM_RECEIVED << 13,
    STREAM_NOTED = STREAM_RECEIVED << 14, /* the acknowledgement */
    STREAM_REPORTED = STREAM_RECEIVED << 15,
    STREAM_RENEWED = STREAM_RECEIVED << 16, /* the operation */
    STREAM_CONFLICTS = STREAM_RECEIVED << 17,
};

enum {
    STREAM_ARENA_MAX = 64 << 20,     /* of a page, or of what is small */
    BATCH_ARENA_MAX = 256 << 20,     /* of what applying a batch takes */
    LAP_INDEX_BYTES = 4 << 20,       /* a stream's keys … */
    LAP_INDEX_BYTES_FEW = 256 << 10, /* … when all streams together have many */
    LAP_INDEX_BYTES_ALL = 128 << 20,
};

static const uint64_t STREAM_LAP_KEPT_US = 1000000;  /* without use */
static const uint64_t STREAM_NOTE_STEP_US = 1000000; /* between acknowledgements stored */
static const uint64_t STREAM_MEMORY_RETRY_US = 10000000;
static const uint64_t STREAM_CONFLICTS_UNKNOWN = UINT64_MAX;

/* What all streams share. */
struct sync_streams {
    struct service *service;
    struct admission *admission;
    struct stream_registry *registry;
    uint64_t send_timeout_us;
    size_t memory_max;
    atomic_size_t held_bytes;  /* of all sessions, see sync_stream_memory.c */
    atomic_size_t index_bytes; /* of all laps */
    atomic_uint drained;       /* slots given out */
    struct metric *open, *held, *refused, *live_seconds, *received, *sent;
};

/* What a request works with, each in memory of its own until it is answered. */
struct open_work;
struct apply_work;
struct note_work;

/* One stream. All but what is marked is the wake's own: one thread at a time. Freed when the stream
 * has ended and the last read is answered. */
struct sync_stream {
    struct wake wake; /* first: found from it */
    struct sync_streams *streams;
    struct service *service;
    struct rpc_call *call;
    struct session *session;
    atomic_uint references; /* any thread: the stream's life and the read under way */

    /* what wakes it */
    struct timer timer;
    uint64_t timer_due_us; /* UINT64_MAX: not started */
    struct store_watch watch;
    struct stream_entry entry;
    _Atomic uint64_t head;         /* any thread: the user's sequence as last told */
    _Atomic uint64_t committed_us; /* any thread: monotonic, of the first commit not yet sent; 0 */
    _Atomic uint64_t conflicts;    /* any thread: stream_conflicts_mark as last told */
    uint64_t heard;                /* `head`, as the session was told */
    bool is_watching, is_registered;

    /* where it is */
    bool has_left, is_opening; /* in the admission's counts */
    bool is_reading, is_writing, is_gone, is_near;
    bool is_over; /* the session has ended */
    bool is_cut, is_failed;
    bool is_suspect; /* the device may have been revoked: to be looked at */
    uint64_t over_us, retry_after_us;
    struct sync_error *error;  /* with which it ends; NULL: well */
    size_t held_bytes;         /* counted in streams->held_bytes */
    uint64_t moved_us;         /* monotonic; when a message was given to the transport last */
    uint64_t sending_since_us; /* when what is being sent was committed; 0: not live */

    /* requests */
    struct open_work *opening;
    struct apply_work *applying;
    struct note_work *noting, *reporting, *renewing;
    bool has_note;     /* an acknowledgement is to be stored */
    uint64_t note;     /* sequence */
    uint64_t noted_us; /* when one was */
    struct lap lap;
    uint64_t lap_used_us;
    size_t lap_bytes;  /* counted in streams->index_bytes */
    uint64_t renew_us; /* when the operation is to be renewed; UINT64_MAX: it has ended */
    char sync_id[UUID_TEXT_SIZE + 1];
    char device[DEVICE_ID_MAX + 1]; /* once hello said it */
};

/* The user whose stream it is; lives as long as the call. */
static inline struct slice stream_user(const struct sync_stream *stream) {
    return slice_text(rpc_call_identity(stream->call)->user);
}

/* The time, as the session wants it. */
static inline struct session_time stream_now(const struct sync_stream *stream) {
    const struct clock *clock = stream->service->clock;
    return (struct session_time){.wall_us = (int64_t)clock_now_us(clock),
                                 .monotonic_us = clock_monotonic_us(clock)};
}

/* What tells which conflicts wait, and which changes behind them: how many, above 32 bits the bytes
 * held. */
static inline uint64_t stream_conflicts_mark(const struct user_head *head) {
    return head->held_bytes << 32 | head->conflicts_open;
}

/* Tells the session an answer. */
void stream_answer(struct sync_stream *stream, const struct session_answer *answer);

/* Fills in an error that has no text of its own yet. */
void stream_error(struct sync_error *error, enum sync_status status);

/* Ends over what is no matter of the session's: it hears only that it is over. */
void stream_refuse(struct sync_stream *stream, const struct sync_error *error);

/* ---- sync_stream_memory.c */

/* Counts what the session holds now. */
void stream_account(struct sync_stream *stream, size_t session_bytes);
/* Whether so many bytes more are too many for all streams together; then the error says so, with
 * which the stream is to end. */
bool stream_is_refused(struct sync_stream *stream, size_t size, struct sync_error *error);
/* Says when to look again; false when the stream has been ended, since others need what it has held
 * for long. */
bool stream_hold(struct sync_stream *stream, uint64_t now_us, uint64_t *ret_due_us);

/* ---- sync_stream_open.c */

/* Begins to open; the answer comes after STREAM_BOUND and STREAM_OPENED, or at once. */
void stream_open_ask(struct sync_stream *stream, const struct session_request *request);
void stream_open_bound(struct sync_stream *stream);
void stream_open_done(struct sync_stream *stream);

/* ---- sync_stream_apply.c: after STREAM_APPLIED, or at once */
void stream_apply_ask(struct sync_stream *stream, const struct session_request *request);
void stream_apply_done(struct sync_stream *stream);

/* ---- sync_stream_read.c: answered at once */
void stream_page_ask(struct sync_stream *stream, const struct session_request *request);
void stream_conflict_ask(struct sync_stream *stream, const struct session_request *request);
void stream_token_ask(struct sync_stream *stream, const struct session_request *request);
/* Whether the device may still synchronize, as the store has it now. */
enum sync_status stream_device_check(struct sync_stream *stream);
/* Lets go of the lap's keys. */
void stream_lap_release(struct sync_stream *stream);

/* ---- sync_stream_note.c: after STREAM_NOTED, STREAM_REPORTED, STREAM_RENEWED */
/* Remembers what the device holds, and answers at once: a live device says so after each change,
 * and what is lost of it the next hello says again. */
void stream_acknowledge_ask(struct sync_stream *stream, const struct session_request *request);
/* Writes what is remembered. */
void stream_acknowledge(struct sync_stream *stream);
void stream_report_ask(struct sync_stream *stream, const struct session_request *request);
/* Writes the operation again, so that it counts as alive. */
void stream_renew(struct sync_stream *stream);
/* Ends the operation of a stream that was gone before it was open. */
void stream_abandon(struct sync_stream *stream);
void stream_noted(struct sync_stream *stream, unsigned cause);

#endif
