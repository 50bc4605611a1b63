/* Batches: read ahead, applied one by one in order, and answered. */
#include <assert.h>

#include "service/core/checksum.h"
#include "service/core/session_private.h"

/* Queues the outcomes of the batch at the front. */
static void send_outcomes(struct session *session, PB(SyncOutcomes) *outcomes,
                          const struct session_mark *mark) {
    assert(session->batches);
    outcomes->batch_id = session->batches->batch_id;
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_OUTCOMES;
    response.outcomes = outcomes;
    session_queue(session, &response, mark);
}

static void send_refusal(struct session *session, PB(SyncBatchError) *error) {
    PB(SyncOutcomes) outcomes = PB_INIT(SYNC_OUTCOMES);
    outcomes.error = error;
    send_outcomes(session, &outcomes, NULL);
}

/* Refuses the batch at the front, with the field at fault unless that is empty. */
static void refuse(struct session *session, const char *reason, const char *field,
                   const char *message) {
    PB(SyncFieldFault) fault = PB_INIT(SYNC_FIELD_FAULT), *faults[] = {&fault};
    PB(SyncBatchError) error = PB_INIT(SYNC_BATCH_ERROR);
    error.reason = (char *)reason;
    error.message = (char *)message;
    if (field[0]) {
        fault.field = (char *)field;
        fault.reason = (char *)reason;
        fault.message = (char *)message;
        error.faults = faults;
        error.n_faults = 1;
    }
    send_refusal(session, &error);
}

static const struct {
    const char *reason, *field, *message;
} REFUSALS[] = {
    {"EMPTY_BATCH", "changes", "a batch holds at least one change"},
    {"TOO_MANY_CHANGES", "changes", "a batch holds at most 1000 changes"},
    {"BATCH_TOO_LARGE", "", "a batch has at most 8 MiB"},
    {"OUT_OF_RANGE", "sentAt", "must lie in the years 1970 to 9999"},
};

_Static_assert(BATCH_CHANGES_MAX == 1000 && SYNC_BATCH_BYTES_MAX == 8 << 20, "the texts are true");

/* Measures the clock anew; false when the batch's time of sending is none. */
static bool measure_clock(struct session *session, const PB(SyncBatch) *batch) {
    return !batch->sent_at ||
           session_clock_offset(session, batch->sent_at, &session->clock_offset_us);
}

void session_batch(struct session *session, struct session_received *received) {
    assert(received->message || received->refusal);
    bool is_next = !session->has_batch_id ||
                   (session->batch_id < INT64_MAX && received->batch_id == session->batch_id + 1);
    if (!is_next) {
        session_end(session, SYNC_ERR_INVALID, "BATCH_OUT_OF_ORDER", "batch.batchId",
                    "must be one more than the last batch's, %lld", (long long)session->batch_id);
        session_received_close(received);
        return;
    }
    session->has_batch_id = true;
    session->batch_id = received->batch_id;
    if (!received->refusal && !measure_clock(session, received->message->batch))
        received->refusal = "OUT_OF_RANGE";
    received->clock_offset_us = session->clock_offset_us;
    received->acknowledged = session->acknowledged;
    struct session_received **last = &session->batches;
    while (*last)
        last = &(*last)->next;
    *last = received;
    session->batch_count++;
    session->is_complete = false;
    assert(session->batch_count <= session->batches_max + 1);
}

void session_refuse_batches(struct session *session) {
    while (session->batches && session->batches->refusal && !session->is_ending &&
           !session->is_draining && !session_is_asking(session, SESSION_APPLY)) {
        struct session_received *batch = session->batches;
        for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++)
            if (strcmp(REFUSALS[i].reason, batch->refusal) == 0)
                refuse(session, REFUSALS[i].reason, REFUSALS[i].field, REFUSALS[i].message);
        session->batches = batch->next;
        session->batch_count--;
        session_received_close(batch);
    }
}

struct session_request *session_ask_apply(struct session *session) {
    struct session_received *batch = session->batches;
    if (!batch || session_is_asking(session, SESSION_APPLY) || session->is_draining ||
        session_is_expired(session) || session->phase < SESSION_CATCHING_UP ||
        session->out_bytes >= OUT_BYTES_MAX || session->conflicts_waiting >= CONFLICTS_WAITING_MAX)
        return NULL;
    assert(batch->message && !batch->refusal);
    struct session_request *request = session_ask(session, SESSION_APPLY, 0);
    if (request) {
        request->apply.batch = batch->message->batch;
        request->apply.bytes = batch->bytes;
        request->apply.clock_offset_us = batch->clock_offset_us;
        request->apply.acknowledged = batch->acknowledged;
    }
    return request;
}

/* Whether nothing but the batch lies between where the device is and after it, so that its records
 * need not come back. */
static bool is_without_echo(const struct session *session, const struct session_answer *answer) {
    return answer->apply.as_sent && session->has_begun && session->has_position &&
           answer->apply.before == session->position && !session->is_rough && !session->is_in_lap &&
           !session_is_asking(session, SESSION_PAGE) && session->out_records == 0;
}

static void send_results(struct session *session, const struct session_answer *answer) {
    char checkpoint[CURSOR_TEXT_MAX];
    uint8_t checksum[CHECKSUM_SIZE];
    uint64_t after = answer->apply.after;
    struct session_mark mark = {.has_sequence = is_without_echo(session, answer),
                                .sequence = after};
    PB(SyncOutcomes) outcomes = PB_INIT(SYNC_OUTCOMES);
    session_cursor_text(session, after, checkpoint);
    checksum_write(answer->apply.checksum, checksum);
    outcomes.results = answer->apply.results;
    outcomes.n_results = answer->apply.count;
    outcomes.write_checkpoint = checkpoint;
    if (mark.has_sequence) {
        /* Where the lap before left records to the next one, the device's state is none of the
         * service's: has_checksum stays false then. */
        session->position = after;
        session->checksum = answer->apply.checksum;
        outcomes.cursor = checkpoint;
        if (session->has_checksum)
            outcomes.checksum = (ProtobufCBinaryData){CHECKSUM_SIZE, checksum};
    }
    if (after > session->head)
        session->head = after;
    send_outcomes(session, &outcomes, &mark);
}

/* Whether an error refuses the batch alone. */
static bool is_refusal(enum sync_status status) {
    return status == SYNC_ERR_INVALID || status == SYNC_ERR_EXHAUSTED || status == SYNC_ERR_BUSY;
}

void session_apply_answered(struct session *session, const struct session_answer *answer) {
    const struct session_received *batch = session->batches;
    assert(batch && batch->message);
    const struct sync_error *error = &answer->error;
    if (error->status != SYNC_OK && !is_refusal(error->status)) {
        session_end_with(session, error);
        return;
    }
    if (error->status == SYNC_OK) {
        assert(answer->apply.after >= answer->apply.before);
        send_results(session, answer);
        session_note_conflicts(session, answer->apply.results, answer->apply.count);
        session->changes += answer->apply.count;
    } else if (answer->apply.refusal) {
        send_refusal(session, (PB(SyncBatchError) *)answer->apply.refusal);
    } else {
        refuse(session, error->reason, error->field, error->message);
    }
    session_progress_uploaded(&session->progress, batch->message->batch->n_changes, batch->bytes,
                              session->now.monotonic_us);
    session->is_progress_dirty = session->is_report_dirty = true;
}
