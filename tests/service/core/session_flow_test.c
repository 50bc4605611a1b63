/* Acknowledgements and credit, pause, the rate, and devices that do not read. */
#include "tests/service/core/session_talk.h"

/* Begins a snapshot of a device that allows so many bytes unacknowledged. */
static void begin_with_credit(int32_t bytes, uint64_t bandwidth_limit) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.live = true;
    hello.unacknowledged_bytes_max = bytes;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_OPEN,
                                                .open = {.sync_id = SLICE("sync-1"),
                                                         .epoch = TALK_EPOCH,
                                                         .head = 9,
                                                         .bandwidth_limit = bandwidth_limit}});
    talk_take(&talk, TALK_MESSAGE(WELCOME));
}

static void pages_stop_where_too_much_is_unacknowledged(void **state) {
    (void)state;
    char first[SESSION_CURSOR_TEXT_MAX];
    begin_with_credit(400, 0);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.bytes_max, 400);
    talk_page(&talk, 2, 9, false);
    talk_keep_cursor(&talk, first);
    assert_true(talk.asked[SESSION_PAGE]->page.bytes_max < 200);
    talk_page(&talk, 2, 9, false);
    const PB(SyncRecords) *second = talk_take(&talk, TALK_MESSAGE(RECORDS))->records;
    assert_null(talk.asked[SESSION_PAGE]);
    uint64_t held = talk_view(&talk).unacknowledged_bytes;
    assert_true(held >= 400);
    talk_acknowledge(&talk, first);
    assert_true(talk_view(&talk).unacknowledged_bytes < held);
    assert_non_null(talk.asked[SESSION_PAGE]);
    talk_acknowledge(&talk, first); /* twice is once */
    talk_acknowledge(&talk, second->cursor);
    assert_int_equal(talk_view(&talk).unacknowledged_bytes, 0);
    assert_int_equal(talk_view(&talk).acknowledged, 0); /* it holds no state of the service yet */
}

static void an_acknowledgement_is_noted_the_newest_last(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    for (uint64_t head = 10; head <= 12; head++) {
        talk_commit(&talk, head);
        talk_page(&talk, 1, head, true);
    }
    talk_acknowledge_sequence(&talk, 10);
    talk_acknowledge_sequence(&talk, 11);
    talk_acknowledge_sequence(&talk, 12);
    assert_int_equal(talk.asked[SESSION_ACKNOWLEDGE]->acknowledged, 10);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_ACKNOWLEDGE});
    assert_int_equal(talk.asked[SESSION_ACKNOWLEDGE]->acknowledged, 12);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_ACKNOWLEDGE});
    assert_null(talk.asked[SESSION_ACKNOWLEDGE]);
    talk_acknowledge_sequence(&talk, 11); /* an old one changes nothing */
    assert_null(talk.asked[SESSION_ACKNOWLEDGE]);
    assert_int_equal(talk_view(&talk).acknowledged, 12);
}

/* Acknowledges in a session that is live at 9, and expects its end. */
static void expect_refused(const char *cursor) {
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_acknowledge(&talk, cursor);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "CURSOR_NOT_SENT");
    assert_string_equal(talk.error.field, "acknowledgement.cursor");
    talk_noted(&talk);
    talk_close(&talk);
}

static void cursors_that_were_not_sent_end_the_session(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {.epoch = TALK_EPOCH + 1, .sequence = 9};
    expect_refused(talk_cursor(10));
    expect_refused("");
    expect_refused("nonsense");
    session_cursor_format(&cursor, text);
    expect_refused(text);
    cursor = (struct session_cursor){
        .epoch = TALK_EPOCH, .is_lap = true, .lap = {.has_from = true, .from = 9, .target = 11}};
    session_cursor_format(&cursor, text);
    expect_refused(text);
}

static void a_write_checkpoint_is_no_cursor_to_acknowledge(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, 9, 10, false);
    talk_acknowledge(&talk, talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->write_checkpoint);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "CURSOR_NOT_SENT");
    talk_noted(&talk);
}

static void a_place_beyond_the_last_of_a_lap_was_not_sent(void **state) {
    (void)state;
    struct session_cursor cursor;
    char text[SESSION_CURSOR_TEXT_MAX];
    begin_with_credit(0, 0);
    talk_page(&talk, 2, 9, false);
    const PB(SyncRecords) *records = talk_take(&talk, TALK_MESSAGE(RECORDS))->records;
    session_cursor_parse(slice_text(records->cursor), &cursor);
    cursor.lap.rank--; /* before it: taken, though it was never written so */
    session_cursor_format(&cursor, text);
    talk_acknowledge(&talk, text);
    assert_false(talk.has_ended);
    cursor.lap.rank += 2;
    session_cursor_format(&cursor, text);
    talk_acknowledge(&talk, text);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "CURSOR_NOT_SENT");
}

static void a_place_of_a_lap_that_is_over_is_taken(void **state) {
    (void)state;
    char first[SESSION_CURSOR_TEXT_MAX];
    begin_with_credit(0, 0);
    talk_page(&talk, 2, 9, false);
    talk_keep_cursor(&talk, first);
    talk_page(&talk, 2, 9, true);
    talk_acknowledge(&talk, first);
    assert_false(talk.has_ended);
    assert_true(talk_view(&talk).unacknowledged_bytes > 0);
    talk_acknowledge_sequence(&talk, 9);
    assert_int_equal(talk_view(&talk).unacknowledged_bytes, 0);
}

static void the_credit_is_kept_over_many_small_messages(void **state) {
    (void)state;
    uint64_t head = 9, most = 0;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, head);
    for (int i = 0; i < 400; i++) {
        talk_commit(&talk, ++head);
        talk_page(&talk, 1, head, true);
        most = talk_view(&talk).memory_bytes > most ? talk_view(&talk).memory_bytes : most;
    }
    assert_true(most < 12 << 10);
    talk_acknowledge_sequence(&talk, head - 10);
    assert_true(talk_view(&talk).unacknowledged_bytes > 0);
    assert_true(talk_view(&talk).unacknowledged_bytes < 10 * 400);
    talk_acknowledge_sequence(&talk, head);
    assert_int_equal(talk_view(&talk).unacknowledged_bytes, 0);
    talk_noted(&talk);
    assert_true(talk_view(&talk).memory_bytes <= 2048);
}

static void an_idle_live_session_is_small(void **state) {
    (void)state;
    talk_open(&talk, NULL, 3600);
    talk_begin_complete(&talk, true, 9);
    talk_noted(&talk);
    assert_true(talk_view(&talk).memory_bytes <= 2048);
    talk_batch(&talk, 1, 50);
    assert_true(talk_view(&talk).memory_bytes > 2048);
    talk_applied(&talk, 9, 10, true);
    talk_acknowledge_sequence(&talk, 10);
    talk_noted(&talk);
    assert_true(talk_view(&talk).memory_bytes <= 2048);
}

static void pause_stops_records_alone(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_pause(&talk);
    assert_true(talk_view(&talk).is_paused);
    talk_commit(&talk, 10);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, 10, 11, true);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    talk_tell(&talk, &(struct session_event){.kind = SESSION_QUOTA_NEAR, .text = SLICE("soon")});
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_int_equal(notice->kind, TALK_NOTICE(QUOTA_NEAR));
    assert_string_equal(notice->message, "soon");
    talk_resume(&talk);
    talk_page(&talk, 2, 11, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
}

static void conflicts_changed(uint32_t open) {
    talk_tell(&talk, &(struct session_event){.kind = SESSION_CONFLICTS, .conflicts_open = open});
}

static void a_live_device_hears_that_conflicts_have_changed(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    conflicts_changed(2); /* complete tells */
    talk_expect_silence(&talk);
    talk_page(&talk, 0, 9, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
    talk_expect_silence(&talk);
    conflicts_changed(1);
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_int_equal(notice->kind, TALK_NOTICE(CONFLICTS_CHANGED));
    assert_int_equal(notice->conflicts_open, 1);
    talk_expect_silence(&talk);
    talk_pause(&talk);
    conflicts_changed(1); /* another one, or what waits behind it */
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->conflicts_open, 1);
}

static void changes_of_conflicts_are_told_once_a_slow_reader_can_take_it(void **state) {
    (void)state;
    enum { CHANGES = 100 };
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk.holds = true;
    for (uint32_t i = 1; i <= CHANGES; i++)
        conflicts_changed(i);
    assert_true(talk_view(&talk).memory_bytes <= 4096);
    talk.holds = false;
    talk_tell(&talk, &(struct session_event){.kind = SESSION_SENT});
    uint32_t told = 1, last = 0;
    while (last < CHANGES) {
        last = (uint32_t)talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->conflicts_open;
        assert_true(told++ < CHANGES / 2);
    }
    talk_expect_silence(&talk);
}

static void a_device_that_is_not_live_hears_no_changes_of_conflicts(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, false, 9);
    conflicts_changed(1);
    talk_expect_silence(&talk);
}

static void records_read_before_a_pause_wait_for_its_end(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_pause(&talk);
    talk_page(&talk, 2, 9, true);
    talk_expect_silence(&talk); /* nor complete, which comes after them */
    talk_resume(&talk);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
}

static void the_rate_is_kept_to_the_byte(void **state) {
    (void)state;
    enum { LIMIT = 1000 };
    begin_with_credit(0, LIMIT);
    uint64_t begun_us = talk.now.monotonic_us, largest = 0, sent = 0;
    size_t at = 0;
    for (int page = 0; page < 20; page++) {
        int passes = 0;
        while (!talk.asked[SESSION_PAGE]) {
            assert_true(talk.wake_us > talk.now.monotonic_us && ++passes < 10);
            talk_pass(&talk, talk.wake_us - talk.now.monotonic_us - 1);
            assert_null(talk.asked[SESSION_PAGE]);
            talk_pass(&talk, 1);
        }
        assert_int_equal(talk.asked[SESSION_PAGE]->page.bytes_max, LIMIT);
        talk_page(&talk, 5, 9, page == 19);
        for (; at < talk.message_count; at++) {
            uint64_t size = talk.sizes[at] + FRAME_BYTES;
            largest = size > largest ? size : largest;
            sent += size;
            uint64_t passed_us = talk.now.monotonic_us - begun_us;
            assert_true(sent <= LIMIT * passed_us / 1000000 + largest);
        }
    }
    /* And it is used: all but what two messages weigh. */
    assert_true(sent + 2 * largest >= LIMIT * (talk.now.monotonic_us - begun_us) / 1000000);
}

static void outcomes_count_for_the_rate_too(void **state) {
    (void)state;
    begin_with_credit(0, 100);
    talk_pass(&talk, 10000000);
    talk_page(&talk, 0, 9, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    for (int i = 0; i < 3; i++)
        talk_pass(&talk, 10000000);
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
    talk_batch(&talk, 1, 20);
    talk_applied(&talk, 9, 29, false);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    assert_null(talk.asked[SESSION_PAGE]); /* they are paid for first */
    assert_true(talk.wake_us >= talk.now.monotonic_us + 1000000);
    talk_pass(&talk, talk.wake_us - talk.now.monotonic_us);
    assert_non_null(talk.asked[SESSION_PAGE]);
}

static void a_device_that_does_not_take_a_message_is_left(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk.holds = true;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_page(&talk, 3, 9, false);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_pass(&talk, session_settings_default.send_timeout_us - 1);
    assert_false(talk.has_ended);
    talk_noted(&talk);
    talk_pass(&talk, 1);
    talk_expect_end(&talk, SYNC_ERR_DEADLINE, "SLOW_READER");
    assert_int_equal(talk.asked[SESSION_REPORT]->report.status, 4);
}

static void nothing_is_received_while_answers_pile_up(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk.holds = true;
    int batches = 0;
    for (; talk.wants_message && batches < 1000; batches++)
        talk_batch(&talk, batches, 0);
    assert_int_equal(batches, OUT_COUNT_MAX + 1);
    assert_true(talk_view(&talk).memory_bytes < 16 << 10);
    talk.holds = false;
    talk_event(&talk, SESSION_SENT);
    assert_true(talk.wants_message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(pages_stop_where_too_much_is_unacknowledged),
        TALK_TEST(an_acknowledgement_is_noted_the_newest_last),
        cmocka_unit_test(cursors_that_were_not_sent_end_the_session),
        TALK_TEST(a_write_checkpoint_is_no_cursor_to_acknowledge),
        TALK_TEST(a_place_beyond_the_last_of_a_lap_was_not_sent),
        TALK_TEST(a_place_of_a_lap_that_is_over_is_taken),
        TALK_TEST(the_credit_is_kept_over_many_small_messages),
        TALK_TEST(an_idle_live_session_is_small),
        TALK_TEST(pause_stops_records_alone),
        TALK_TEST(a_live_device_hears_that_conflicts_have_changed),
        TALK_TEST(changes_of_conflicts_are_told_once_a_slow_reader_can_take_it),
        TALK_TEST(a_device_that_is_not_live_hears_no_changes_of_conflicts),
        TALK_TEST(records_read_before_a_pause_wait_for_its_end),
        TALK_TEST(the_rate_is_kept_to_the_byte),
        TALK_TEST(outcomes_count_for_the_rate_too),
        TALK_TEST(a_device_that_does_not_take_a_message_is_left),
        TALK_TEST(nothing_is_received_while_answers_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
