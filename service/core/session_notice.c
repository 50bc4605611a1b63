/* Notices and progress, and the times in messages. */
#include <assert.h>

#include "service/core/session_private.h"

enum { SECOND_US = 1000000 };

Google__Protobuf__Timestamp session_timestamp(int64_t time_us) {
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    int64_t rest_us = time_us % SECOND_US;
    time.seconds = time_us / SECOND_US - (rest_us < 0);
    time.nanos = (int32_t)((rest_us < 0 ? rest_us + SECOND_US : rest_us) * 1000);
    return time;
}

Google__Protobuf__Duration session_duration(int64_t time_us) {
    Google__Protobuf__Duration time = GOOGLE__PROTOBUF__DURATION__INIT;
    time.seconds = time_us / SECOND_US;
    time.nanos = (int32_t)(time_us % SECOND_US * 1000);
    return time;
}

void session_notify(struct session *session, const struct session_notice *notice) {
    Google__Protobuf__Duration retry_after = session_duration((int64_t)notice->retry_after_us);
    PB(SyncNotice) message = PB_INIT(SYNC_NOTICE);
    message.kind = notice->kind;
    message.message = (char *)(notice->message ? notice->message : "");
    message.resume_cursor = (char *)(notice->resume_cursor ? notice->resume_cursor : "");
    message.conflicts_open = (int32_t)notice->conflicts_open;
    message.retry_after = notice->retry_after_us > 0 ? &retry_after : NULL;
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_NOTICE;
    response.notice = &message;
    bool is_resync =
        message.kind == TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_RESYNC_REQUIRED;
    session_queue(session, &response, &(struct session_mark){.is_resync = is_resync});
}

void session_notify_drain(struct session *session) {
    char plain[CURSOR_TEXT_MAX] = "";
    const char *cursor = plain;
    if (session->sent_lap_cursor && !session->is_resume_void)
        cursor = session->sent_lap_cursor;
    else if (session->has_sent && !session->is_resume_void)
        session_cursor_text(session, session->sent_sequence, plain);
    /* What waits goes out before the notice, unless the token holds it back. */
    for (const struct session_message *at = session->out_first; at && !session_is_expired(session);
         at = at->next) {
        if (at->is_resync || at->has_sequence)
            cursor = plain;
        if (at->is_resync)
            plain[0] = 0;
        else if (at->has_sequence)
            session_cursor_text(session, at->sequence, plain);
    }
    session_notify(session,
                   &(struct session_notice){
                       .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_DRAIN,
                       .message = "the service is stopping: come back later",
                       .resume_cursor = cursor,
                       .retry_after_us = session->retry_after_us});
}

void session_send_progress(struct session *session, const char *phase) {
    struct session_progress_view view;
    session_progress_look(&session->progress, &view);
    assert(view.bytes_done <= view.bytes_total && view.items_done <= view.items_total);
    Google__Protobuf__Duration left = session_duration((int64_t)view.time_left_us);
    PB(SyncProgress) message = PB_INIT(SYNC_PROGRESS);
    message.phase = (char *)phase;
    message.items_done = (int64_t)view.items_done;
    message.items_total = (int64_t)view.items_total;
    message.bytes_done = (int64_t)view.bytes_done;
    message.bytes_total = (int64_t)view.bytes_total;
    message.percent = view.percent;
    message.time_left = view.has_time_left ? &left : NULL;
    message.confidence = view.confidence;
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_PROGRESS;
    response.progress = &message;
    session->progress_phase = phase;
    session->progress_us = session->now.monotonic_us;
    session->is_progress_dirty = false;
    session_queue(session, &response, NULL);
}

void session_tell_progress(struct session *session) {
    bool is_due = session->is_progress_dirty && !session->progress.is_finished &&
                  session->phase == SESSION_CATCHING_UP && session->out_count < OUT_COUNT_EASY;
    if (!is_due)
        return;
    bool is_down = session->is_in_lap || !session->has_begun || session->head > session->position;
    const char *phase = is_down || !session->batches ? "downloading" : "uploading";
    uint64_t since_us = session->now.monotonic_us - session->progress_us;
    if (phase == session->progress_phase && since_us < session->settings.progress_step_us)
        return;
    session_send_progress(session, phase);
}
