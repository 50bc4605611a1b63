/* What the device holds: acknowledgements, and the credit that they give back. */
#include <assert.h>

#include "base/memory.h"
#include "service/core/session_private.h"

enum { SENT_COUNT_FIRST = 8 };

/* ---- What was sent and not acknowledged, oldest first */

/* Joins the two oldest: they are acknowledged together. */
static void sent_join(struct session *session) {
    assert(session->sent_count >= 2);
    session->sent[1].bytes += session->sent[0].bytes;
    session->sent_count--;
    memmove(session->sent, session->sent + 1, session->sent_count * sizeof *session->sent);
}

bool session_sent_reserve(struct session *session) {
    if (session->sent_count < session->sent_capacity)
        return true;
    if (session->sent_capacity >= SENT_COUNT_MAX) {
        sent_join(session);
        return true;
    }
    uint32_t capacity = session->sent_capacity > 0 ? 2 * session->sent_capacity : SENT_COUNT_FIRST;
    struct session_sent *grown = memory_realloc(session->sent, capacity * sizeof *grown);
    if (!grown) {
        session_end_no_memory(session);
        return false;
    }
    session->sent = grown;
    session->sent_capacity = capacity;
    return true;
}

void session_note_sent(struct session *session, struct session_message *message) {
    if (message->has_sequence) {
        assert(!session->has_sent || session->has_resynced ||
               message->sequence >= session->sent_sequence);
        session->has_sent = true;
        session->sent_sequence = message->sequence;
    }
    if (message->is_resync) {
        session->is_resume_void = true;
        session->is_resync_queued = false;
    }
    if (message->has_sequence || message->lap_cursor) {
        memory_free(session->sent_lap_cursor);
        session->sent_lap_cursor = message->lap_cursor;
        message->lap_cursor = NULL;
        session->is_resume_void = false;
    }
    if (message->kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE)
        session->was_complete = session->is_report_due = true;
    if (message->kind != TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS)
        return;
    assert(session->sent_count < session->sent_capacity);
    const char *lap = session->sent_lap_cursor;
    session->sent[session->sent_count++] =
        (struct session_sent){.bytes = message->size,
                              .is_lap = lap != NULL,
                              .sequence = lap ? slice_hash(slice_text(lap), 0) : message->sequence};
    session->unacknowledged_bytes += message->size;
}

/* Gives back the credit of the first `count` messages. */
static void sent_release(struct session *session, uint32_t count) {
    assert(count <= session->sent_count);
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        session->unacknowledged_bytes -= session->sent[i].bytes;
    session->sent_count -= count;
    memmove(session->sent, session->sent + count, session->sent_count * sizeof *session->sent);
    bool is_needed = session->sent_count > 0 || session->out_records > 0;
    if (is_needed)
        return;
    assert(session->unacknowledged_bytes == 0);
    memory_free(session->sent);
    session->sent = NULL;
    session->sent_capacity = 0;
}

/* ---- Acknowledgements */

void session_raise_acknowledged(struct session *session, uint64_t sequence) {
    if (sequence <= session->acknowledged)
        return;
    session->acknowledged = sequence;
    session->is_acknowledged_dirty = true;
}

static void take_plain(struct session *session, uint64_t sequence) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < session->sent_count; i++)
        if (!session->sent[i].is_lap && session->sent[i].sequence <= sequence)
            count = i + 1;
    sent_release(session, count);
    session_raise_acknowledged(session, sequence);
}

static void take_lap(struct session *session, struct slice text) {
    uint64_t hash = slice_hash(text, 0);
    uint32_t count = 0;
    for (uint32_t i = 0; i < session->sent_count; i++)
        if (session->sent[i].is_lap && session->sent[i].sequence == hash)
            count = i + 1;
    sent_release(session, count);
}

/* Orders places in one lap. */
static int place_compare(const struct lap_cursor *a, const struct lap_cursor *b) {
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return slice_compare(slice_of(a->id, a->id_size), slice_of(b->id, b->id_size));
}

/* Whether the device can have the lap cursor from this session: of a lap that is over, or one not
 * behind the last that was sent. */
static bool lap_was_sent(const struct session *session, const struct lap_cursor *lap) {
    struct session_cursor sent;
    bool is_over = session->has_position && lap->target <= session->position;
    if (is_over || (session->has_sent && lap->target <= session->sent_sequence))
        return true;
    if (session->has_resynced)
        return lap->target <= session->head; /* it may be of the lap that was given up */
    if (!session->sent_lap_cursor ||
        session_cursor_parse(slice_text(session->sent_lap_cursor), &sent) != SYNC_OK)
        return false;
    assert(sent.is_lap);
    return lap->has_from == sent.lap.has_from && lap->from == sent.lap.from &&
           lap->target == sent.lap.target && lap->rank_us == sent.lap.rank_us &&
           place_compare(lap, &sent.lap) <= 0;
}

void session_acknowledge(struct session *session, const PB(SyncAcknowledgement) *message) {
    struct session_cursor cursor;
    struct slice text = slice_text(message->cursor);
    bool is_ours = session_cursor_parse(text, &cursor) == SYNC_OK && cursor.epoch == session->epoch;
    bool was_sent =
        is_ours && (cursor.is_lap ? lap_was_sent(session, &cursor.lap)
                                  : session->has_sent && cursor.sequence <= session->sent_sequence);
    if (!was_sent)
        session_end(session, SYNC_ERR_INVALID, "CURSOR_NOT_SENT", "acknowledgement.cursor",
                    "the cursor was not sent in this session");
    else if (cursor.is_lap)
        take_lap(session, text);
    else
        take_plain(session, cursor.sequence);
}

struct session_request *session_ask_acknowledge(struct session *session) {
    if (!session->is_acknowledged_dirty || session_is_asking(session, SESSION_ACKNOWLEDGE) ||
        session_is_expired(session) || !session->is_opened)
        return NULL;
    struct session_request *request = session_ask(session, SESSION_ACKNOWLEDGE, 0);
    if (request) {
        request->acknowledged = session->acknowledged;
        session->is_acknowledged_dirty = false;
    }
    return request;
}
