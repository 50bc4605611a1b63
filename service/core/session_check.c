#include "service/core/session_private.h"

/* Counts must be those of the lists that they speak of. */
static const char *lists_fault(const struct session *session) {
    size_t bytes = 0;
    uint32_t count = 0, records = 0, batches = 0;
    uint64_t sent_bytes = 0;
    for (const struct session_message *at = session->out_first; at; at = at->next) {
        bytes += at->size;
        count++;
        records += at->kind == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS;
    }
    for (const struct session_received *at = session->batches; at; at = at->next)
        batches++;
    for (uint32_t i = 0; i < session->sent_count; i++)
        sent_bytes += session->sent[i].bytes;
    if (bytes != session->out_bytes || count != session->out_count)
        return "the queue is counted wrong";
    if (records != session->out_records || records > 1)
        return "more than one page is queued";
    if (batches != session->batch_count || batches > session->batches_max + 1)
        return "too many batches are held";
    if (sent_bytes != session->unacknowledged_bytes || session->sent_count > SENT_COUNT_MAX)
        return "the credit is counted wrong";
    return NULL;
}

const char *session_fault(const struct session *session) {
    if (session->has_position && session->position > session->head)
        return "the position is ahead of the head";
    if (session->has_sent && session->has_position && !session->is_resume_void &&
        !session->is_resync_queued && session->sent_sequence > session->position)
        return "a cursor was sent that is ahead of the position";
    if (session->is_in_lap && session->lap.target > session->head)
        return "a lap goes beyond the head";
    if (session->acknowledged > session->head && session->is_opened)
        return "more is acknowledged than there is";
    if ((session->progress.percent == 100) != session->progress.is_finished)
        return "100 percent without complete";
    if ((session->is_complete || session->was_complete || session->phase == SESSION_LIVE) &&
        !session->progress.is_finished)
        return "complete before the progress ended";
    if (session->phase == SESSION_ENDED && !session->is_ending)
        return "ended without an end";
    return lists_fault(session);
}
