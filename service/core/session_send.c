/* What goes to the device: packed, queued, and sent as the rate, the pause and the token allow. */
#include <assert.h>

#include "base/memory.h"
#include "service/core/session_private.h"

static const uint64_t SECOND_US = 1000000;

struct session_message *session_message_close(struct session_message *message) {
    if (message)
        memory_free(message->lap_cursor);
    memory_free(message);
    return NULL;
}

void session_cursor_text(const struct session *session, uint64_t sequence,
                         char ret_text[CURSOR_TEXT_MAX]) {
    cursor_format(
        &(struct cursor){.epoch = session->epoch, .sequence = sequence, .types = session->types},
        ret_text);
}

static bool is_records(const struct session_message *message) {
    return message->kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS;
}

/* Packs a message; NULL without memory. */
static struct session_message *message_pack(const PB(SyncResponse) *response,
                                            const struct session_mark *mark) {
    size_t size = travelsense__sync__v1__sync_response__get_packed_size(response);
    struct session_message *message = memory_alloc(sizeof *message + size);
    if (!message)
        return NULL;
    *message = (struct session_message){.kind = response->message_case, .size = size};
    if (mark) {
        message->has_sequence = mark->has_sequence;
        message->sequence = mark->sequence;
        message->is_resync = mark->is_resync;
    }
    if (mark && mark->lap_cursor) {
        message->lap_cursor = memory_copy_text(mark->lap_cursor, strlen(mark->lap_cursor));
        if (!message->lap_cursor)
            return session_message_close(message);
    }
    size_t packed = travelsense__sync__v1__sync_response__pack(response, message->bytes);
    assert(packed == size);
    (void)packed;
    return message;
}

void session_queue(struct session *session, const PB(SyncResponse) *response,
                   const struct session_mark *mark) {
    assert(session->is_opened);
    if (session->is_ending)
        return;
    struct session_message *message = message_pack(response, mark), **last = &session->out_first;
    if (!message) {
        session_end_no_memory(session);
        return;
    }
    while (*last)
        last = &(*last)->next;
    *last = message;
    session->out_bytes += message->size;
    session->out_count++;
    session->out_records += is_records(message);
}

/* Takes a message out of the queue. */
static struct session_message *queue_take(struct session *session, struct session_message **at) {
    struct session_message *message = *at;
    *at = message->next;
    message->next = NULL;
    session->out_bytes -= message->size;
    session->out_count--;
    session->out_records -= is_records(message);
    return message;
}

void session_drop_records(struct session *session) {
    struct session_message **at = &session->out_first;
    while (*at) {
        bool is_dropped = is_records(*at) ||
                          (*at)->kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE;
        /* What lies behind dropped records is no place for the device. */
        if (is_records(*at))
            session->has_position = false;
        if (is_dropped)
            session_message_close(queue_take(session, at));
        else
            at = &(*at)->next;
    }
}

/* The first message that may go out, rate aside: with an expired token only notices (and the
 * welcome before them), but none that says what the cursors of others mean; while paused no
 * records, and no complete that they come before. */
static struct session_message *queue_pick(const struct session *session) {
    bool is_expired = session_is_expired(session), is_held = false;
    for (struct session_message *at = session->out_first; at; at = at->next) {
        PB(SyncResponse__MessageCase) kind = at->kind;
        bool is_free = (kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_NOTICE ||
                        kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME) &&
                       !at->is_resync;
        if (is_expired && !is_free)
            continue;
        bool is_paused = session->is_paused && is_records(at);
        is_held = is_held || is_paused;
        if (is_paused ||
            (is_held && kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE))
            continue;
        return at;
    }
    return NULL;
}

bool session_can_send(const struct session *session) {
    return queue_pick(session) != NULL;
}

/* Debt of the rate: a message goes out when there is none, and its bytes are then the debt. So in
 * any span the bytes are at most the rate's and one message's. */
static void pay(struct session *session, size_t size) {
    uint64_t now_us = session->now.monotonic_us, limit = session->bandwidth_limit;
    if (limit == 0)
        return;
    assert(session->bandwidth_free_us <= now_us);
    session->bandwidth_free_us = now_us + (size * SECOND_US + limit - 1) / limit;
}

struct session_message *session_send(struct session *session) {
    if (session->sending || session->is_ending ||
        session->now.monotonic_us < session->bandwidth_free_us)
        return NULL;
    struct session_message *picked = queue_pick(session), **at = &session->out_first;
    if (!picked)
        return NULL;
    while (*at != picked)
        at = &(*at)->next;
    session->sending = queue_take(session, at);
    session->sending_since_us = session->now.monotonic_us;
    pay(session, session->sending->size + FRAME_BYTES);
    session_note_sent(session, session->sending);
    return session->sending;
}

void session_message_sent(struct session *session) {
    assert(session->sending);
    session->sending = session_message_close(session->sending);
}

uint64_t session_send_wake(const struct session *session) {
    bool is_waiting = session_can_send(session) || session_wants_page(session);
    bool is_bound = session->now.monotonic_us < session->bandwidth_free_us;
    return is_waiting && is_bound ? session->bandwidth_free_us : UINT64_MAX;
}
