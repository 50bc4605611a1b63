/* Conflicts that a batch has made, and the user has to decide: fetched and sent one by one. Of what
 * becomes of them, and of those of other devices, a live device is only told that it came to pass.
 */
#include <assert.h>

#include "service/core/session_private.h"

void session_note_conflicts(struct session *session, PB(ChangeResult) *const *results,
                            size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct slice id = slice_text(results[i]->conflict_id);
        if (id.size == 0 || results[i]->held) /* which names what it waits behind */
            continue;
        buffer_append(&session->conflicts, id);
        buffer_append_byte(&session->conflicts, '\0');
        session->conflicts_waiting++;
        session->conflicts_made += !results[i]->duplicate;
    }
    if (buffer_status(&session->conflicts) != SYNC_OK)
        session_end_no_memory(session);
}

struct session_request *session_ask_conflict(struct session *session) {
    if (session->conflicts_waiting == 0 || session_is_asking(session, SESSION_CONFLICT) ||
        session_is_leaving(session) || session_is_expired(session) ||
        session->out_bytes >= OUT_BYTES_MAX || session->out_count >= OUT_COUNT_EASY)
        return NULL;
    assert(session->conflicts_at < session->conflicts.size);
    struct slice id = slice_text((const char *)session->conflicts.data + session->conflicts_at);
    struct session_request *request = session_ask(session, SESSION_CONFLICT, id.size);
    if (!request)
        return NULL;
    uint8_t *copy = (uint8_t *)(request + 1);
    memcpy(copy, id.data, id.size);
    request->conflict_id = slice_of(copy, id.size);
    session->conflicts_at += id.size + 1;
    session->conflicts_waiting--;
    if (session->conflicts_waiting == 0) {
        assert(session->conflicts_at == session->conflicts.size);
        buffer_done(&session->conflicts);
        session->conflicts_at = 0;
    }
    return request;
}

void session_conflict_answered(struct session *session, const struct session_answer *answer) {
    bool is_gone = answer->error.status == SYNC_ERR_NOT_FOUND;
    if (answer->error.status != SYNC_OK && !is_gone) {
        session_end_with(session, &answer->error);
        return;
    }
    if (is_gone || !answer->conflict || session_is_leaving(session))
        return;
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_CONFLICT;
    response.conflict = (PB(Conflict) *)answer->conflict;
    session_queue(session, &response, NULL);
}

void session_conflicts_changed(struct session *session, uint32_t open) {
    session->conflicts_open = open;
    session->has_conflicts_changed = true;
}

void session_tell_conflicts(struct session *session) {
    /* Complete tells a device that catches up. */
    if (!session->has_conflicts_changed || session->phase != SESSION_LIVE ||
        session->out_count >= OUT_COUNT_EASY)
        return;
    session->has_conflicts_changed = false;
    session_notify(
        session,
        &(struct session_notice){
            .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_CONFLICTS_CHANGED,
            .message = "the conflicts that wait have changed: list them again",
            .conflicts_open = session->conflicts_open});
}
