/* Reports of how far the operation is, for those who watch it. */
#include <assert.h>

#include "service/core/session_private.h"

/* Numbers of travelsense.sync.v1.SyncStatus. */
enum { STATUS_PROCESSING = 2, STATUS_COMPLETED = 3, STATUS_FAILED = 4, STATUS_CANCELLED = 5 };

static const uint64_t REPORT_STEP_US = 5 * 1000000;

static struct session_request *report(struct session *session, int status) {
    struct session_progress_view view;
    struct session_request *request = session_ask(session, SESSION_REPORT, 0);
    if (!request)
        return NULL;
    session_progress_look(&session->progress, &view);
    request->report.status = status;
    request->report.phase = session->progress_phase ? session->progress_phase : "downloading";
    request->report.percent = view.percent;
    request->report.changes = session->changes;
    request->report.conflicts = session->conflicts_made;
    request->report.bytes_done = view.bytes_done;
    request->report.bytes_total = view.bytes_total;
    session->report_us = session->now.monotonic_us;
    session->is_report_due = session->is_report_dirty = false;
    return request;
}

struct session_request *session_ask_report(struct session *session) {
    bool is_step = session->is_report_dirty && session->phase == SESSION_CATCHING_UP &&
                   session->now.monotonic_us - session->report_us >= REPORT_STEP_US;
    if (!session->is_opened || session_is_asking(session, SESSION_REPORT) ||
        !(session->is_report_due || is_step))
        return NULL;
    return report(session, session->was_complete ? STATUS_COMPLETED : STATUS_PROCESSING);
}

/* What became of the operation. A device that says bye has what it came for. */
static int last_status(const struct session *session) {
    switch (session->end_status) {
    case SYNC_OK:
        return STATUS_COMPLETED;
    case SYNC_ERR_CANCELLED:
    case SYNC_ERR_HEAD_MOVED:
    case SYNC_ERR_UNAVAILABLE:
        return session->was_complete ? STATUS_COMPLETED : STATUS_CANCELLED;
    default:
        return session->was_complete ? STATUS_COMPLETED : STATUS_FAILED;
    }
}

struct session_request *session_ask_last_report(struct session *session) {
    assert(session->is_ending && !session->is_last_reported);
    session->is_last_reported = true;
    int status = last_status(session);
    struct session_request *request = report(session, status);
    if (!request)
        return NULL;
    request->report.is_last = true;
    if (status == STATUS_FAILED && session->error)
        request->report.error =
            session->error->message[0] ? session->error->message : session->error->reason;
    return request;
}
