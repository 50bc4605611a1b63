/* How sessions end, and what is reported of them. */
#include "tests/service/core/session_talk.h"

enum { PROCESSING = 2, COMPLETED = 3, FAILED = 4, CANCELLED = 5 };

/* The last report must be asked, with this status. */
static void expect_last_report(int status) {
    const struct session_request *request = talk.asked[SESSION_REPORT];
    assert_non_null(request);
    assert_true(request->report.is_last);
    assert_int_equal(request->report.status, status);
    assert_true((request->report.error != NULL) == (status == FAILED));
    talk_noted(&talk);
}

static void bye_finishes_the_batches_that_came(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    talk_bye(&talk);
    assert_int_equal(talk_view(&talk).phase, SESSION_CLOSING);
    assert_false(talk.wants_message);
    talk_page(&talk, 3, 9, true); /* comes too late */
    talk_applied(&talk, 9, 10, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor, "");
    assert_false(talk.has_ended);
    talk_applied(&talk, 10, 11, true);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    talk_expect_silence(&talk);
    assert_int_equal(talk.asked[SESSION_REPORT]->report.changes, 2);
    expect_last_report(COMPLETED);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void a_page_that_fails_after_bye_does_not_matter(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 5, 9);
    talk_batch(&talk, 1, 1);
    talk_bye(&talk);
    talk_fail(&talk, SESSION_PAGE, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED");
    talk_expect_silence(&talk);
    talk_applied(&talk, 9, 10, true);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void after_bye_no_token_is_asked_for(void **state) {
    (void)state;
    talk_open(&talk, NULL, 100);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_bye(&talk);
    talk_pass(&talk, 50 * 1000000);
    talk_expect_silence(&talk);
    talk_applied(&talk, 9, 10, true);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void bye_while_paused_does_not_wait_for_records(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_pause(&talk);
    talk_page(&talk, 3, 9, true);
    talk_bye(&talk);
    talk_expect_silence(&talk);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void a_closed_side_is_served_to_its_end(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, false, 0, 9);
    talk_batch(&talk, 1, 1);
    talk_event(&talk, SESSION_HALF_CLOSED);
    talk_page(&talk, 3, 9, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_expect_silence(&talk);
    talk_applied(&talk, 9, 10, false);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    talk_page(&talk, 1, 10, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
    expect_last_report(COMPLETED);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void closing_after_complete_ends_at_once(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, false, 9);
    talk_event(&talk, SESSION_HALF_CLOSED);
    talk_expect_silence(&talk);
    expect_last_report(COMPLETED);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void a_closed_side_needs_no_acknowledgements(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.unacknowledged_bytes_max = 1;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_page(&talk, 1, 9, false);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_event(&talk, SESSION_HALF_CLOSED);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.bytes_max, 256 << 10);
}

static void a_closed_side_cannot_stay_paused(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, false, 0, 9);
    talk_pause(&talk);
    talk_event(&talk, SESSION_HALF_CLOSED);
    talk_page(&talk, 1, 9, true);
    expect_last_report(COMPLETED);
    talk_expect_end(&talk, SYNC_OK, NULL);
}

static void a_live_session_with_a_closed_side_stays(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_event(&talk, SESSION_HALF_CLOSED);
    assert_false(talk.has_ended);
    talk_commit(&talk, 10);
    talk_page(&talk, 1, 10, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_event(&talk, SESSION_CANCELLED);
    expect_last_report(COMPLETED);
    talk_expect_end(&talk, SYNC_ERR_CANCELLED, "CANCELLED");
}

static void a_stream_that_vanishes_cancels_the_operation(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_batch(&talk, 1, 1);
    talk_event(&talk, SESSION_CANCELLED);
    expect_last_report(CANCELLED);
    talk_expect_end(&talk, SYNC_ERR_CANCELLED, "CANCELLED");
    talk_applied(&talk, 9, 10, true);
    talk_page(&talk, 1, 9, true);
    talk_expect_silence(&talk);
}

static void what_opens_as_the_stream_vanishes_is_ended_too(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_event(&talk, SESSION_CANCELLED);
    assert_false(talk.has_ended);
    talk_opened(&talk, 9);
    expect_last_report(CANCELLED);
    talk_expect_end(&talk, SYNC_ERR_CANCELLED, "CANCELLED");
    talk_expect_silence(&talk);
}

static void a_revoked_device_is_cut_at_once(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk.holds = true;
    talk_page(&talk, 3, 9, false);
    talk_batch(&talk, 1, 1);
    talk_event(&talk, SESSION_REVOKED);
    talk_expect_end(&talk, SYNC_ERR_DENIED, "DEVICE_REVOKED");
    expect_last_report(FAILED);
}

static void a_newer_session_of_the_device_ends_the_older(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_event(&talk, SESSION_SUPERSEDED);
    talk_expect_end(&talk, SYNC_ERR_HEAD_MOVED, "SUPERSEDED");
    expect_last_report(CANCELLED);
}

static void drain(void) {
    talk_tell(&talk, &(struct session_event){.kind = SESSION_DRAINED, .retry_after_us = 2500000});
}

static void a_drain_names_the_slot_and_where_to_resume(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    drain();
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_int_equal(notice->kind, TALK_NOTICE(DRAIN));
    assert_string_equal(notice->resume_cursor, talk_cursor(9));
    assert_int_equal(notice->retry_after->seconds, 2);
    assert_int_equal(notice->retry_after->nanos, 500000000);
    assert_false(talk.has_ended);
    talk_applied(&talk, 9, 10, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor,
                        talk_cursor(10));
    assert_null(talk.asked[SESSION_APPLY]); /* the second is left to the next session */
    talk_expect_end(&talk, SYNC_ERR_UNAVAILABLE, "DRAIN");
    assert_int_equal(talk.retry_after_us, 2500000);
    expect_last_report(COMPLETED);
}

static void a_drain_inside_a_lap_resumes_behind_what_was_sent(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk.holds = true;
    talk_page(&talk, 2, 9, false); /* given to the transport */
    talk_page(&talk, 2, 9, true);  /* still here */
    const char *sent = talk_take(&talk, TALK_MESSAGE(RECORDS))->records->cursor;
    drain();
    talk.holds = false;
    talk_event(&talk, SESSION_SENT);
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_string_equal(notice->resume_cursor, sent);
    talk_expect_silence(&talk);
    talk_expect_end(&talk, SYNC_ERR_UNAVAILABLE, "DRAIN");
    expect_last_report(CANCELLED);
}

static void outcomes_give_no_cursor_behind_records_that_a_drain_dropped(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_commit(&talk, 10);
    talk_pause(&talk);
    talk_page(&talk, 1, 10, true);
    talk_batch(&talk, 1, 1);
    drain();
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->resume_cursor,
                        talk_cursor(9));
    talk_applied(&talk, 10, 11, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor, "");
    talk_expect_end(&talk, SYNC_ERR_UNAVAILABLE, "DRAIN");
}

static void a_drain_before_the_welcome_only_ends(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    drain();
    talk_expect_end(&talk, SYNC_ERR_UNAVAILABLE, "DRAIN");
    assert_int_equal(talk.retry_after_us, 2500000);
}

static void a_drain_does_not_wait_for_an_expired_token(void **state) {
    (void)state;
    talk_open(&talk, NULL, 100);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_pass(&talk, 101 * 1000000);
    talk_applied(&talk, 9, 10, true);
    drain();
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_int_equal(notice->kind, TALK_NOTICE(DRAIN));
    assert_string_equal(notice->resume_cursor, talk_cursor(9)); /* the outcomes are not sent */
    talk_expect_end(&talk, SYNC_ERR_UNAVAILABLE, "DRAIN");
}

static void reports_come_at_most_every_five_seconds(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    int reports = 0;
    for (int i = 0; i < 40; i++) {
        talk_pass(&talk, 500000);
        talk_page(&talk, 1, 9, false);
        if (talk.asked[SESSION_REPORT]) {
            reports++;
            assert_int_equal(talk.asked[SESSION_REPORT]->report.status, PROCESSING);
            assert_false(talk.asked[SESSION_REPORT]->report.is_last);
            talk_noted(&talk);
        }
    }
    assert_int_equal(reports, 4);
    talk_page(&talk, 1, 9, true);
    assert_int_equal(talk.asked[SESSION_REPORT]->report.status, COMPLETED);
    assert_int_equal(talk.asked[SESSION_REPORT]->report.percent, 100);
    assert_string_equal(talk.asked[SESSION_REPORT]->report.phase, "live");
}

static void a_report_that_fails_is_left_out(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_page(&talk, 1, 9, true);
    talk_fail(&talk, SESSION_REPORT, SYNC_ERR_IO, "IO");
    assert_false(talk.has_ended);
}

static void an_operation_that_its_user_cancels_ends(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_page(&talk, 1, 9, true);
    talk_fail(&talk, SESSION_REPORT, SYNC_ERR_CANCELLED, "OPERATION_CANCELLED");
    talk_expect_end(&talk, SYNC_ERR_CANCELLED, "OPERATION_CANCELLED");
}

static void the_end_waits_for_a_report_under_way(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_page(&talk, 1, 9, true);
    assert_non_null(talk.asked[SESSION_REPORT]);
    talk_event(&talk, SESSION_REVOKED);
    assert_false(talk.has_ended);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_REPORT});
    talk_expect_end(&talk, SYNC_ERR_DENIED, "DEVICE_REVOKED");
    expect_last_report(COMPLETED); /* it had been: what comes later does not fail it */
}

static void requests_that_fail_end_the_session(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_fail(&talk, SESSION_PAGE, SYNC_ERR_CORRUPT, "CORRUPT");
    talk_expect_end(&talk, SYNC_ERR_CORRUPT, "CORRUPT");
    expect_last_report(FAILED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(bye_finishes_the_batches_that_came),
        TALK_TEST(a_page_that_fails_after_bye_does_not_matter),
        TALK_TEST(after_bye_no_token_is_asked_for),
        TALK_TEST(bye_while_paused_does_not_wait_for_records),
        TALK_TEST(a_closed_side_is_served_to_its_end),
        TALK_TEST(closing_after_complete_ends_at_once),
        TALK_TEST(a_closed_side_needs_no_acknowledgements),
        TALK_TEST(a_closed_side_cannot_stay_paused),
        TALK_TEST(a_live_session_with_a_closed_side_stays),
        TALK_TEST(a_stream_that_vanishes_cancels_the_operation),
        TALK_TEST(what_opens_as_the_stream_vanishes_is_ended_too),
        TALK_TEST(a_revoked_device_is_cut_at_once),
        TALK_TEST(a_newer_session_of_the_device_ends_the_older),
        TALK_TEST(a_drain_names_the_slot_and_where_to_resume),
        TALK_TEST(a_drain_inside_a_lap_resumes_behind_what_was_sent),
        TALK_TEST(outcomes_give_no_cursor_behind_records_that_a_drain_dropped),
        TALK_TEST(a_drain_before_the_welcome_only_ends),
        TALK_TEST(a_drain_does_not_wait_for_an_expired_token),
        TALK_TEST(reports_come_at_most_every_five_seconds),
        TALK_TEST(a_report_that_fails_is_left_out),
        TALK_TEST(an_operation_that_its_user_cancels_ends),
        TALK_TEST(the_end_waits_for_a_report_under_way),
        TALK_TEST(requests_that_fail_end_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
