/* Live stream: a server stream that follows something a user's commits change.
 *
 * It sleeps until a commit of the user, and then takes a turn: the method's own function, which
 * looks and says what to do. At most one message is under way, and nothing else is held between
 * turns, so that a client that reads slowly costs no more than one that reads at once. The stream
 * ends by itself when the client leaves, when the service drains (UNAVAILABLE), and when the
 * caller's token expires (UNAUTHENTICATED). */
#ifndef SERVICE_RPC_LIVE_STREAM_H
#define SERVICE_RPC_LIVE_STREAM_H

#include "service/limit/user_slots.h"
#include "service/rpc/call.h"
#include "service/rpc/wake.h"

struct live_stream;

/* What a turn has come to. */
struct live_step {
    enum {
        LIVE_WAIT, /* until the next commit */
        LIVE_SEND, /* `message`, then wait; or, with `has_more`, take a turn again */
        LIVE_END,  /* well */
        LIVE_FAIL, /* with `error` */
    } kind;
    bool has_more;
    uint64_t wake_us; /* monotonic; take a turn then at the latest; 0: not by time */
    struct slice message;
    struct sync_error error;
};

/* Takes a turn, on a thread of the pool; it may block on the store. `arena` is empty and lives
 * until the message is copied. `ret_step` is LIVE_WAIT before. */
typedef void live_turn(struct live_stream *live, struct arena *arena, struct live_step *ret_step);

/* Embedded in what the method keeps, in the call's arena; the members above the line are the
 * caller's to set. */
struct live_stream {
    struct rpc_call *call;
    struct slice user; /* whose commits wake it; lives as long as the call */
    uint32_t tables;   /* the rows that count: bit n for enum table n; 0: what changes the head */
    live_turn *turn;
    /* ---- the stream's own */
    struct store_watch watch;
    struct user_slot slot;
    struct timer timer;  /* the expiry, or the turn that is due; later the patience with a write */
    uint64_t expires_us; /* monotonic; the token */
    struct wake wake;
    unsigned pending; /* causes not yet dealt with; the wake's own, as is the rest */
    bool is_begun, is_writing, is_stopping;
};

/* Begins, with a turn at once. The call is the stream's from here on. A user who has
 * USER_WATCHES_MAX such streams gets RESOURCE_EXHAUSTED; services are trusted with their own. */
void live_stream_start(struct live_stream *live);

/* Makes LIVE_FAIL with the status's own name and text. */
void live_step_fail(struct live_step *step, enum sync_status status);

#endif
