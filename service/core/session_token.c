/* The token in mid-stream: notice, renewal, expiry, grace. */
#include <assert.h>

#include "service/core/session_private.h"

bool session_is_expired(const struct session *session) {
    return session->token_expires_us != 0 && session->now.wall_us >= session->token_expires_us;
}

/* How long it is yet until a time by the wall clock, by the monotonic one. */
static uint64_t monotonic_at(const struct session *session, int64_t wall_us) {
    int64_t left_us = wall_us - session->now.wall_us;
    return session->now.monotonic_us + (left_us > 0 ? (uint64_t)left_us : 0);
}

/* A moment so many microseconds before (negative) or after the expiry. */
static int64_t around_expiry(const struct session *session, int64_t distance_us) {
    int64_t at_us;
    if (__builtin_add_overflow(session->token_expires_us, distance_us, &at_us))
        return distance_us < 0 ? INT64_MIN : INT64_MAX;
    return at_us;
}

static void notify_expiring(struct session *session, const char *text) {
    session->is_token_noticed = true;
    session_notify(
        session,
        &(struct session_notice){
            .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_TOKEN_EXPIRING,
            .message = text});
}

void session_token(struct session *session, struct session_received *received) {
    assert(!session->token);
    size_t size = slice_text(received->message->token->token).size;
    if (size == 0 || size > TOKEN_MAX)
        session_end(session, SYNC_ERR_INVALID, size == 0 ? "REQUIRED" : "TOO_LARGE", "token.token",
                    "must have 1 to %d bytes", TOKEN_MAX);
    else
        session->token = received;
}

struct session_request *session_ask_token(struct session *session) {
    if (!session->token || session_is_asking(session, SESSION_TOKEN))
        return NULL;
    struct session_request *request = session_ask(session, SESSION_TOKEN, 0);
    if (request)
        request->token = slice_text(session->token->message->token->token);
    return request;
}

void session_token_answered(struct session *session, const struct session_answer *answer) {
    const struct sync_error *error = &answer->error;
    if (error->status == SYNC_OK) {
        session->token_expires_us = answer->token_expires_us;
        session->is_token_noticed = false;
        session_notify(
            session,
            &(struct session_notice){
                .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_TOKEN_RENEWED,
                .message = "the new token is in force"});
    } else if (session_is_expired(session)) {
        session_end(session, SYNC_ERR_UNAUTHENTICATED, error->reason, "token.token", "%s",
                    error->message);
    } else {
        notify_expiring(session, error->message);
    }
}

void session_watch_token(struct session *session) {
    if (session->token_expires_us == 0 || session->is_ending)
        return;
    int64_t now_us = session->now.wall_us;
    if (now_us >= around_expiry(session, (int64_t)session->settings.token_grace_us))
        session_end(session, SYNC_ERR_UNAUTHENTICATED, "TOKEN_EXPIRED", NULL,
                    "the token has expired and no other came");
    else if (!session->is_token_noticed && session->is_opened && !session_is_leaving(session) &&
             now_us >= around_expiry(session, -(int64_t)session->settings.token_notice_us))
        notify_expiring(session, "the token expires soon: send another");
}

uint64_t session_token_wake(const struct session *session) {
    if (session->token_expires_us == 0)
        return UINT64_MAX;
    int64_t notice_us = around_expiry(session, -(int64_t)session->settings.token_notice_us);
    int64_t grace_us = around_expiry(session, (int64_t)session->settings.token_grace_us);
    if (!session->is_token_noticed && session->is_opened && !session_is_leaving(session))
        return monotonic_at(session, notice_us);
    return monotonic_at(session,
                        session_is_expired(session) ? grace_us : session->token_expires_us);
}
