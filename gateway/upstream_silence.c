/* Sessions that fall silent: asked by PING while they have calls, and ended without an answer. What
 * TCP's keepalive cannot tell: a process that is stuck, or whatever stands between and acknowledges
 * for one that is gone.
 *
 * A service may take many PINGs ill (gRPC's servers allow three, five minutes apart at least, of
 * who hears nothing meanwhile, and none without a call): so there are `after_us` between them. */
#include "gateway/upstream_stream.h"

enum { UNANSWERED_US = 1000000 }; /* what was given up sooner says nothing of the service */

static void silence_ask(struct upstream_session *session) {
    if (nghttp2_submit_ping(session->http2, NGHTTP2_FLAG_NONE, NULL) != 0)
        return;
    session->is_asked = true;
    session->asked_us = loop_now_us(session->loop);
    loop_timer_set(session->loop, &session->silence, session->ping.timeout_us);
    upstream_session_wake(session);
}

/* When it may be asked next. */
static uint64_t silence_due_us(const struct upstream_session *session) {
    uint64_t last_us =
        session->heard_us > session->asked_us ? session->heard_us : session->asked_us;
    return last_us + session->ping.after_us;
}

static void silence_look(struct upstream_session *session) {
    uint64_t now_us = loop_now_us(session->loop), due_us = silence_due_us(session);
    if (now_us >= due_us && session->state != UPSTREAM_CONNECTING)
        silence_ask(session);
    else
        loop_timer_set(session->loop, &session->silence,
                       now_us < due_us ? due_us - now_us : session->ping.after_us);
}

void upstream_silence_fired(struct loop_timer *timer) {
    struct upstream_session *session =
        (struct upstream_session *)((char *)timer - offsetof(struct upstream_session, silence));
    if (session->is_asked)
        upstream_session_close(session);
    else if (session->load > 0)
        silence_look(session);
}

void upstream_silence_begin(struct upstream_session *session) {
    if (session->ping.after_us > 0 && !session->silence.link)
        silence_look(session);
}

void upstream_silence_doubt(struct upstream_session *session, const struct upstream_call *call) {
    uint64_t now_us = loop_now_us(session->loop);
    if (session->ping.after_us == 0 || session->is_asked || session->state == UPSTREAM_CONNECTING)
        return;
    if (session->asked_us > 0 && now_us - session->asked_us < session->ping.after_us)
        return;
    if (call->begun_us > 0 && call->begun_us >= session->heard_us &&
        now_us - call->begun_us >= UNANSWERED_US)
        silence_ask(session);
}
