/* The session's flow: events in, actions out. What each message means is in the files session_*.c;
 * here is only the order in which things come. */
#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "service/core/session_private.h"

/* ---- Requests */

struct session_request *session_ask(struct session *session, enum session_request_kind kind,
                                    size_t extra) {
    assert(!session_is_asking(session, kind));
    struct session_request *request = memory_zalloc(1, sizeof *request + extra);
    if (!request) {
        session_end_no_memory(session);
        return NULL;
    }
    request->kind = kind;
    session->requests[kind] = request;
    return request;
}

/* Hello is the first request; what it says lives until the answer. */
static struct session_request *ask_open(struct session *session) {
    if (session->phase != SESSION_OPENING || session_is_asking(session, SESSION_OPEN))
        return NULL;
    assert(session->hello);
    struct session_request *request = session_ask(session, SESSION_OPEN, 0);
    if (request)
        request->hello = session->hello->message->hello;
    return request;
}

/* The next request, if there is one. A page comes before a batch: a lap that is due would else wait
 * for as long as the device uploads. */
static struct session_request *ask_next(struct session *session) {
    static struct session_request *(*const ASK[])(struct session *) = {
        ask_open,          session_ask_token,    session_ask_acknowledge, session_ask_page,
        session_ask_apply, session_ask_conflict, session_ask_report,
    };
    struct session_request *request = NULL;
    for (size_t i = 0; i < sizeof ASK / sizeof *ASK && !request && !session->is_ending; i++)
        request = ASK[i](session);
    return request;
}

static void answer_meant(struct session *session, const struct session_request *request,
                         const struct session_answer *answer) {
    switch (answer->kind) {
    case SESSION_OPEN:
        session_open_answered(session, answer);
        break;
    case SESSION_APPLY:
        session_apply_answered(session, answer);
        break;
    case SESSION_PAGE:
        session_page_answered(session, request, answer);
        break;
    case SESSION_CONFLICT:
        session_conflict_answered(session, answer);
        break;
    case SESSION_TOKEN:
        session_token_answered(session, answer);
        break;
    case SESSION_ACKNOWLEDGE:
        if (answer->error.status != SYNC_OK)
            session_end_with(session, &answer->error);
        break;
    case SESSION_REPORT:
        if (answer->error.status == SYNC_ERR_CANCELLED)
            session_end_with(session, &answer->error);
        break;
    case SESSION_REQUEST_KINDS:
        assert(false);
    }
}

/* Releases what an answered request held. */
static void request_done(struct session *session, enum session_request_kind kind) {
    struct session_received *batch = session->batches;
    if (kind == SESSION_OPEN)
        session->hello = session_received_close(session->hello);
    if (kind == SESSION_TOKEN)
        session->token = session_received_close(session->token);
    if (kind == SESSION_APPLY) {
        assert(batch && session->batch_count > 0);
        session->batches = batch->next;
        session->batch_count--;
        session_received_close(batch);
    }
}

static void take_answer(struct session *session, const struct session_answer *answer) {
    assert(answer && answer->kind < SESSION_REQUEST_KINDS);
    struct session_request *request = session->requests[answer->kind];
    assert(request);
    session->requests[answer->kind] = NULL;
    if (!session->is_ending)
        answer_meant(session, request, answer);
    else if (answer->kind == SESSION_OPEN)
        session->is_opened = answer->error.status == SYNC_OK; /* there is an operation to end */
    request_done(session, answer->kind);
    memory_free(request);
}

/* ---- Events */

/* The service stops: what is under way is finished, the rest is left to the next session. */
static void take_drain(struct session *session, uint64_t retry_after_us) {
    if (session->is_ending)
        return;
    session->retry_after_us = retry_after_us;
    if (session->phase < SESSION_CATCHING_UP) {
        session_end(session, SYNC_ERR_UNAVAILABLE, "DRAIN", NULL, "the service is stopping");
        return;
    }
    session_drop_records(session);
    session->phase = SESSION_CLOSING;
    session->is_draining = true;
    session_notify_drain(session);
}

static void take_quota(struct session *session, struct slice text) {
    char message[SYNC_ERROR_MESSAGE_MAX];
    if (session->phase < SESSION_CATCHING_UP || session_is_leaving(session) ||
        session->out_count >= OUT_COUNT_EASY)
        return;
    struct slice cut = slice_cut_utf8(text, sizeof message - 1);
    snprintf(message, sizeof message, "%.*s", (int)cut.size, (const char *)cut.data);
    session_notify(session,
                   &(struct session_notice){
                       .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_QUOTA_NEAR,
                       .message = message});
}

static void take_half_close(struct session *session) {
    session->is_receiving = false;
    session->is_half_closed = true;
    session->is_paused = false; /* nobody can resume it any more */
    if (session->phase == SESSION_EXPECTS_HELLO)
        session_end(session, SYNC_ERR_INVALID, "HELLO_FIRST", "hello",
                    "the first message must be hello");
}

/* What others committed. Without live it counts only while the device catches up. */
static void take_commit(struct session *session, uint64_t head) {
    if (!session->is_live && session->is_complete)
        return;
    if (head > session->head)
        session->head = head;
}

static void take_event(struct session *session, const struct session_event *event) {
    switch (event->kind) {
    case SESSION_RECEIVED:
        assert(session->is_receiving);
        session->is_receiving = false;
        if (!session_is_leaving(session))
            session_receive(session, event->bytes);
        break;
    case SESSION_HALF_CLOSED:
        take_half_close(session);
        break;
    case SESSION_SENT:
        session_message_sent(session);
        break;
    case SESSION_ANSWERED:
        take_answer(session, event->answer);
        break;
    case SESSION_COMMITTED:
        take_commit(session, event->head);
        break;
    case SESSION_CONFLICTS:
        session_conflicts_changed(session, event->conflicts_open);
        break;
    case SESSION_CANCELLED:
        session_end(session, SYNC_ERR_CANCELLED, "CANCELLED", NULL, "the device went away");
        break;
    case SESSION_REVOKED:
        session_end(session, SYNC_ERR_DENIED, "DEVICE_REVOKED", NULL,
                    "the device may no longer synchronize");
        break;
    case SESSION_SUPERSEDED: /* the status that the wire knows as ABORTED */
        session_end(session, SYNC_ERR_HEAD_MOVED, "SUPERSEDED", NULL,
                    "the device has opened another session");
        break;
    case SESSION_DRAINED:
        take_drain(session, event->retry_after_us);
        break;
    case SESSION_QUOTA_NEAR:
        take_quota(session, event->text);
        break;
    case SESSION_TIME:
        break;
    }
}

/* ---- What follows from where the session is */

static void watch_timeouts(struct session *session) {
    uint64_t now_us = session->now.monotonic_us;
    if (session->phase == SESSION_EXPECTS_HELLO &&
        now_us - session->started_us >= session->settings.hello_timeout_us)
        session_end(session, SYNC_ERR_DEADLINE, "HELLO_MISSING", NULL, "no hello came in time");
    if (session->sending && now_us - session->sending_since_us >= session->settings.send_timeout_us)
        session_end(session, SYNC_ERR_DEADLINE, "SLOW_READER", NULL,
                    "the device did not take a message in time");
    session_watch_token(session);
}

/* Ends a session that has nothing left to do. One that the service's stop ends leaves the batches
 * that wait, and what an expired token holds back, to the next. */
static void watch_end(struct session *session) {
    if (session->phase != SESSION_CLOSING || session_is_asking(session, SESSION_APPLY) ||
        session->sending || session_can_send(session))
        return;
    if (session->is_draining)
        session_end(session, SYNC_ERR_UNAVAILABLE, "DRAIN", NULL, "the service is stopping");
    else if (!session->out_first && !session->batches)
        session_end(session, SYNC_OK, NULL, NULL, "%s", "");
}

static void settle(struct session *session) {
    if (session->is_ending)
        return;
    watch_timeouts(session);
    session_refuse_batches(session);
    session_catch_up(session);
    session_tell_progress(session);
    session_tell_conflicts(session);
    watch_end(session);
}

static void set_time(struct session *session, struct session_time now) {
    session->now.wall_us = now.wall_us;
    if (now.monotonic_us > session->now.monotonic_us)
        session->now.monotonic_us = now.monotonic_us;
}

void session_tell(struct session *session, const struct session_event *event,
                  struct session_time now) {
    assert(session && event);
    set_time(session, now);
    take_event(session, event);
    settle(session);
}

/* ---- Actions */

/* The last actions: the last report, when there is an operation, and the end. What is under way
 * that has to come before it is waited for. */
static void next_of_end(struct session *session, struct session_action *ret_action) {
    if (session->phase == SESSION_ENDED || session_is_asking(session, SESSION_OPEN))
        return;
    if (session->is_opened && !session->is_last_reported) {
        if (session_is_asking(session, SESSION_REPORT))
            return;
        ret_action->request = session_ask_last_report(session);
        ret_action->kind = ret_action->request ? SESSION_ASK : SESSION_WAIT;
        if (ret_action->request)
            return;
    }
    session->phase = SESSION_ENDED;
    ret_action->kind = SESSION_END;
    session_end_error(session, &ret_action->error);
    ret_action->retry_after_us = session->retry_after_us;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t wake(const struct session *session) {
    uint64_t at = session_token_wake(session);
    if (session->phase == SESSION_EXPECTS_HELLO)
        at = earlier(at, session->started_us + session->settings.hello_timeout_us);
    if (session->sending)
        at = earlier(at, session->sending_since_us + session->settings.send_timeout_us);
    return earlier(at, session_send_wake(session));
}

void session_next(struct session *session, struct session_time now,
                  struct session_action *ret_action) {
    assert(session && ret_action);
    memset(ret_action, 0, sizeof *ret_action);
    ret_action->wake_us = UINT64_MAX;
    set_time(session, now);
    settle(session);
    struct session_message *message = session_send(session);
    if (message) {
        ret_action->kind = SESSION_SEND;
        ret_action->bytes = slice_of(message->bytes, message->size);
        return;
    }
    ret_action->request = ask_next(session);
    if (ret_action->request) {
        ret_action->kind = SESSION_ASK;
    } else if (session->is_ending) {
        next_of_end(session, ret_action);
    } else if (session_may_receive(session)) {
        session->is_receiving = true;
        ret_action->kind = SESSION_RECEIVE;
    } else {
        ret_action->wake_us = wake(session);
    }
}
