/* The session's life apart from its flow: opened, ended, looked at, closed. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "service/core/session_private.h"

const struct session_settings session_settings_default = {
    .hello_timeout_us = 10 * 1000000,
    .token_notice_us = 60 * 1000000,
    .token_grace_us = 30 * 1000000,
    .send_timeout_us = 120 * 1000000,
    .progress_step_us = 250 * 1000,
    .batches_in_flight_max = 4,
    .page_bytes = 256 << 10,
    .page_records = 1000,
    .unacknowledged_bytes = 4 << 20,
};

/* An idle session is little more than this. */
_Static_assert(sizeof(struct session) <= 1024, "ten thousand of them stay small");

enum sync_status session_open(const struct session_settings *settings, int64_t token_expires_us,
                              struct session_time now, struct session **ret_session) {
    assert(settings && ret_session);
    assert(settings->batches_in_flight_max > 0 && settings->page_records > 0);
    struct session *session = memory_zalloc(1, sizeof *session);
    if (!session)
        return SYNC_ERR_NO_MEMORY;
    session->settings = *settings;
    session->token_expires_us = token_expires_us;
    session->now = now;
    session->started_us = now.monotonic_us;
    session->batches_max = settings->batches_in_flight_max;
    session->credit_max = settings->unacknowledged_bytes;
    session->types = DATA_TYPES_ALL;
    buffer_init(&session->conflicts, SIZE_MAX / 2);
    *ret_session = session;
    return SYNC_OK;
}

static void messages_close(struct session *session) {
    session_message_close(session->sending);
    while (session->out_first) {
        struct session_message *next = session->out_first->next;
        session_message_close(session->out_first);
        session->out_first = next;
    }
    while (session->batches) {
        struct session_received *next = session->batches->next;
        session_received_close(session->batches);
        session->batches = next;
    }
}

struct session *session_close(struct session *session) {
    if (!session)
        return NULL;
    messages_close(session);
    for (int i = 0; i < SESSION_REQUEST_KINDS; i++)
        memory_free(session->requests[i]);
    session_received_close(session->hello);
    session_received_close(session->token);
    buffer_done(&session->conflicts);
    memory_free(session->sent_lap_cursor);
    memory_free(session->sent);
    memory_free(session->error);
    memory_free(session);
    return NULL;
}

/* ---- Ends */

void session_end_with(struct session *session, const struct sync_error *error) {
    assert(session && error);
    if (session->is_ending)
        return;
    session->is_ending = true;
    session->end_status = error->status;
    if (error->status == SYNC_OK)
        return;
    session->error = memory_alloc(sizeof *error);
    if (session->error)
        *session->error = *error;
}

void session_end_error(const struct session *session, struct sync_error *ret_error) {
    assert(session->is_ending);
    *ret_error = (struct sync_error){.status = SYNC_OK};
    if (session->error)
        *ret_error = *session->error;
    else if (session->end_status != SYNC_OK)
        sync_error_of(ret_error, session->end_status);
}

void session_end(struct session *session, enum sync_status status, const char *reason,
                 const char *field, const char *format, ...) {
    struct sync_error error = {0};
    char text[SYNC_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (status != SYNC_OK)
        sync_error_set(&error, status, reason, field, "%s", text);
    session_end_with(session, &error);
}

void session_end_no_memory(struct session *session) {
    session_end(session, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                "the service has no memory left for this: try again later");
}

bool session_is_leaving(const struct session *session) {
    return session->is_ending || session->phase >= SESSION_CLOSING;
}

/* ---- Views */

static size_t received_bytes(const struct session_received *received) {
    return received ? sizeof *received + received->arena.taken_bytes : 0;
}

static size_t memory_held(const struct session *session) {
    size_t bytes = sizeof *session + (session->error ? sizeof *session->error : 0) +
                   session->conflicts.capacity + session->sent_capacity * sizeof *session->sent +
                   received_bytes(session->hello) + received_bytes(session->token);
    for (int i = 0; i < SESSION_REQUEST_KINDS; i++)
        bytes += session->requests[i] ? sizeof *session->requests[i] : 0;
    for (const struct session_received *batch = session->batches; batch; batch = batch->next)
        bytes += received_bytes(batch);
    for (const struct session_message *at = session->out_first; at; at = at->next)
        bytes += sizeof *at + at->size + (at->lap_cursor ? SESSION_CURSOR_TEXT_MAX : 0);
    bytes += session->sending ? sizeof *session->sending + session->sending->size : 0;
    return bytes + (session->sent_lap_cursor ? SESSION_CURSOR_TEXT_MAX : 0);
}

void session_look(const struct session *session, struct session_view *ret_view) {
    assert(session && ret_view);
    *ret_view = (struct session_view){
        .phase = session->phase,
        .is_paused = session->is_paused,
        .position = session->position,
        .acknowledged = session->acknowledged,
        .unacknowledged_bytes = session->unacknowledged_bytes,
        .memory_bytes = memory_held(session),
        .percent = session->progress.percent,
    };
}
