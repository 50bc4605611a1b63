/* Laps and pages: which records go to the device next, and when it has caught up. */
#include <assert.h>

#include "service/core/checksum.h"
#include "service/core/session_private.h"

bool session_wants_page(const struct session *session) {
    bool is_open = session->phase == SESSION_CATCHING_UP || session->phase == SESSION_LIVE;
    if (!is_open || session->is_paused || session_is_asking(session, SESSION_PAGE))
        return false;
    if (session->is_in_lap || !session->has_begun)
        return true;
    /* A batch under way may itself be what moved the head: its answer says. */
    return session->head > session->position && !session_is_asking(session, SESSION_APPLY);
}

/* Whether the flow allows a page: what is sent, and not acknowledged, is bounded, and the rate is
 * kept. A device that has closed its side cannot acknowledge. */
static bool may_page(const struct session *session) {
    bool has_credit =
        session->is_half_closed || session->unacknowledged_bytes < session->credit_max;
    return has_credit && session->out_records == 0 && !session_is_expired(session) &&
           session->now.monotonic_us >= session->bandwidth_free_us;
}

static uint32_t page_bytes_max(const struct session *session) {
    uint64_t bytes = session->settings.page_bytes;
    if (session->bandwidth_limit > 0 && session->bandwidth_limit < bytes)
        bytes = session->bandwidth_limit;
    if (!session->is_half_closed && session->credit_max - session->unacknowledged_bytes < bytes)
        bytes = session->credit_max - session->unacknowledged_bytes;
    assert(bytes > 0);
    return (uint32_t)bytes;
}

struct session_request *session_ask_page(struct session *session) {
    if (!session_wants_page(session) || !may_page(session))
        return NULL;
    struct session_request *request = session_ask(session, SESSION_PAGE, 0);
    if (!request)
        return NULL;
    struct session_page_want *want = &request->page;
    want->types = session->types;
    /* A patch is from what there was where the lap begins, and must meet just that. */
    if (!session->is_rough && !session->is_lap_resumed)
        want->patches = session->patches;
    want->begins = !session->is_in_lap;
    want->bytes_max = page_bytes_max(session);
    want->records_max = session->settings.page_records;
    if (session->is_in_lap) {
        want->lap = session->lap;
    } else {
        want->lap.has_from = session->has_position;
        want->lap.from = session->has_position ? session->position : 0;
        want->lap.order = session->order;
    }
    return request;
}

void session_resync(struct session *session) {
    session->has_position = session->has_begun = session->is_in_lap = false;
    session->is_lap_resumed = session->is_rough = session->has_checksum = false;
    session->has_resynced = session->is_resync_queued = true;
    session->position = 0;
    session_notify(
        session,
        &(struct session_notice){
            .kind = TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_RESYNC_REQUIRED,
            .message = "the cursor cannot be gone on from: a snapshot follows; keep the changes "
                       "that are not sent yet"});
}

/* The cursor behind a page: a plain one says that the device holds all that there was at the
 * target. A lap that ends and has left out records ends at the beginning of the next: from the
 * target to the target. */
static struct session_cursor page_cursor(const struct session *session,
                                         const struct session_answer *answer) {
    const struct lap_cursor *lap = &answer->page.lap;
    struct session_cursor cursor = {.epoch = session->epoch,
                                    .is_lap = true,
                                    .sequence = lap->target,
                                    .types = session->types,
                                    .lap = *lap};
    if (!answer->page.ends)
        return cursor;
    cursor.is_lap = session->is_rough;
    cursor.lap = (struct lap_cursor){.has_from = true,
                                     .from = lap->target,
                                     .target = lap->target,
                                     .rank_us = lap->rank_us,
                                     .order = lap->order};
    return cursor;
}

/* Queues the records of a page with the cursor behind them. */
static void send_records(struct session *session, const struct session_answer *answer) {
    char text[SESSION_CURSOR_TEXT_MAX];
    uint8_t checksum[CHECKSUM_SIZE];
    bool ends = answer->page.ends;
    struct session_cursor cursor = page_cursor(session, answer);
    struct session_mark mark = {.has_sequence = !cursor.is_lap,
                                .sequence = cursor.sequence,
                                .lap_cursor = cursor.is_lap ? text : NULL};
    session_cursor_format(&cursor, text);
    PB(SyncRecords) records = PB_INIT(SYNC_RECORDS);
    records.records = answer->page.records;
    records.n_records = answer->page.count;
    records.cursor = text;
    if (ends && session->has_checksum) {
        checksum_write(session->checksum, checksum);
        records.checksum = (ProtobufCBinaryData){CHECKSUM_SIZE, checksum};
    }
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS;
    response.records = &records;
    if (session_sent_reserve(session))
        session_queue(session, &response, &mark);
}

/* Takes over where a page has led. */
static void take_page(struct session *session, const struct session_answer *answer) {
    const struct lap_cursor *lap = &answer->page.lap;
    bool is_at_target = session->has_position && session->position == lap->target;
    session->has_begun = true;
    session->is_in_lap = !answer->page.ends;
    session->lap = *lap;
    if (answer->page.ends) {
        /* A part of the lap in an earlier session may have left out records; those are newer. */
        bool is_exact =
            answer->page.is_exact && (!session->is_lap_resumed || answer->page.head == lap->target);
        session->is_rough = !is_exact;
        session->has_checksum = is_exact && session->types == DATA_TYPES_ALL;
        session->checksum = answer->page.checksum;
        session->is_lap_resumed = false;
        session->has_position = true;
        session->position = lap->target;
    }
    /* A lap of nothing leads nowhere new. */
    if (answer->page.count > 0 || !answer->page.ends || !is_at_target)
        send_records(session, answer);
}

/* Without a log that reaches back, a snapshot; that must begin. */
static void page_failed(struct session *session, const struct session_request *request,
                        const struct sync_error *error) {
    bool is_snapshot = request->page.begins && !request->page.lap.has_from;
    if (error->status == SYNC_ERR_PRECONDITION && !is_snapshot && !session_is_leaving(session))
        session_resync(session);
    else if (!session_is_leaving(session))
        session_end_with(session, error);
}

void session_page_answered(struct session *session, const struct session_request *request,
                           const struct session_answer *answer) {
    if (answer->error.status != SYNC_OK) {
        page_failed(session, request, &answer->error);
        return;
    }
    if (session_is_leaving(session))
        return;
    assert(answer->page.lap.target >= answer->page.lap.from);
    assert(answer->page.head >= answer->page.lap.target);
    assert(answer->page.count <= request->page.records_max);
    if (answer->page.head > session->head)
        session->head = answer->page.head;
    session->conflicts_open = answer->page.conflicts_open;
    session_progress_expect(&session->progress, answer->page.records_left, answer->page.bytes_left);
    session_progress_downloaded(&session->progress, answer->page.count, answer->page.bytes,
                                session->now.monotonic_us);
    session->is_progress_dirty = session->is_report_dirty = true;
    take_page(session, answer);
}

static void say_complete(struct session *session) {
    char cursor[CURSOR_TEXT_MAX];
    uint8_t checksum[CHECKSUM_SIZE];
    session_progress_finish(&session->progress);
    session_send_progress(session, session->is_live ? "live" : "downloading");
    session_cursor_text(session, session->position, cursor);
    checksum_write(session->checksum, checksum);
    PB(SyncComplete) complete = PB_INIT(SYNC_COMPLETE);
    complete.cursor = cursor;
    complete.conflicts_open = (int32_t)session->conflicts_open;
    session->has_conflicts_changed = false;
    if (session->has_checksum)
        complete.checksum = (ProtobufCBinaryData){CHECKSUM_SIZE, checksum};
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE;
    response.complete = &complete;
    session_queue(session, &response,
                  &(struct session_mark){.has_sequence = true, .sequence = session->position});
    session->is_complete = true;
}

/* Whether nothing is left to be brought to the device, nor of what it has sent. */
static bool has_caught_up(const struct session *session) {
    return session->has_begun && session->has_position && !session->is_in_lap &&
           !session_is_asking(session, SESSION_PAGE) && session->head <= session->position &&
           !session->batches && session->conflicts_waiting == 0 &&
           !session_is_asking(session, SESSION_CONFLICT);
}

void session_catch_up(struct session *session) {
    if (session->phase != SESSION_CATCHING_UP)
        return;
    if (!session->is_complete && has_caught_up(session))
        say_complete(session);
    if (!session->is_complete)
        return;
    if (session->is_live)
        session->phase = SESSION_LIVE;
    else if (session->is_half_closed)
        session->phase = SESSION_CLOSING;
}
