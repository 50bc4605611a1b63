/* Laps, pages, complete and live. */
#include "tests/service/core/session_talk.h"

static void a_first_synchronization_is_a_snapshot_in_pages(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    const struct session_page_want *want = &talk.asked[SESSION_PAGE]->page;
    assert_true(want->begins);
    assert_false(want->lap.has_from);
    assert_int_equal(want->types, DATA_TYPES_ALL);
    assert_int_equal(want->bytes_max, 256 << 10);
    talk_page(&talk, 2, 9, false);
    const PB(SyncResponse) *first = talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_int_equal(first->records->n_records, 2);
    assert_int_equal(first->records->checksum.len, 0);
    struct session_cursor cursor;
    assert_int_equal(session_cursor_parse(slice_text(first->records->cursor), &cursor), SYNC_OK);
    assert_true(cursor.is_lap);
    assert_int_equal(cursor.lap.target, 9);
    assert_int_equal(talk_view(&talk).phase, SESSION_CATCHING_UP);
    assert_false(talk.asked[SESSION_PAGE]->page.begins);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.rank, 2);
    talk_page(&talk, 1, 9, true);
    const PB(SyncResponse) *last = talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_string_equal(last->records->cursor, talk_cursor(9));
    assert_int_equal(last->records->checksum.len, CHECKSUM_SIZE);
    const PB(SyncResponse) *complete = talk_take(&talk, TALK_MESSAGE(COMPLETE));
    assert_string_equal(complete->complete->cursor, talk_cursor(9));
    assert_int_equal(complete->complete->checksum.len, CHECKSUM_SIZE);
    assert_int_equal(talk_view(&talk).phase, SESSION_LIVE);
    assert_int_equal(talk_view(&talk).percent, 100);
}

static void a_cursor_at_the_head_completes_without_records(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 9, 9);
    const struct session_page_want *want = &talk.asked[SESSION_PAGE]->page;
    assert_true(want->begins && want->lap.has_from);
    assert_int_equal(want->lap.from, 9);
    talk_page(&talk, 0, 9, true);
    const PB(SyncResponse) *complete = talk_take(&talk, TALK_MESSAGE(COMPLETE));
    assert_string_equal(complete->complete->cursor, talk_cursor(9));
    assert_int_equal(complete->complete->checksum.len, CHECKSUM_SIZE);
    talk_expect_silence(&talk);
}

/* The cursor of a lap that ended and left records out: the beginning of the next. */
static void expect_between_laps(const char *text, uint64_t sequence) {
    struct session_cursor cursor;
    assert_int_equal(session_cursor_parse(slice_text(text), &cursor), SYNC_OK);
    assert_true(cursor.is_lap && cursor.lap.has_from);
    assert_int_equal(cursor.lap.from, sequence);
    assert_int_equal(cursor.lap.target, sequence);
    assert_int_equal(cursor.lap.id_size, 0);
}

static void what_came_after_the_target_is_left_to_the_next_lap(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 5, 9);
    struct session_answer answer = {.page = {.count = 1,
                                             .lap = {.has_from = true, .from = 5, .target = 9},
                                             .ends = true,
                                             .head = 12}};
    talk_page_as(&talk, answer);
    const PB(SyncResponse) *records = talk_take(&talk, TALK_MESSAGE(RECORDS));
    expect_between_laps(records->records->cursor, 9);
    assert_int_equal(records->records->checksum.len, 0);
    talk_expect_silence(&talk);
    assert_true(talk.asked[SESSION_PAGE]->page.begins);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
    talk_page(&talk, 1, 12, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
}

static void what_was_left_out_comes_whole_and_is_not_acknowledged_before(void **state) {
    (void)state;
    char between[SESSION_CURSOR_TEXT_MAX];
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = (char *)talk_cursor(5);
    hello.live = true;
    hello.sync_type = TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_noted(&talk);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_MERGE);
    talk_page_as(&talk,
                 (struct session_answer){.page = {.count = 1,
                                                  .lap = {.has_from = true, .from = 5, .target = 9},
                                                  .ends = true,
                                                  .head = 12}});
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    talk_keep_cursor(&talk, between);
    /* What lies before 9 may be missing: no patch from there, and it is not the base of changes. */
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_NONE);
    talk_acknowledge(&talk, between);
    assert_int_equal(talk_view(&talk).unacknowledged_bytes, 0);
    assert_int_equal(talk_view(&talk).acknowledged, 5);
    talk_page(&talk, 1, 12, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->cursor, talk_cursor(12));
    talk_acknowledge(&talk, between);
    talk_acknowledge_sequence(&talk, 12);
    assert_int_equal(talk_view(&talk).acknowledged, 12);
    talk_commit(&talk, 13);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_MERGE);
}

static void a_session_goes_on_between_laps(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {
        .epoch = TALK_EPOCH, .is_lap = true, .lap = {.has_from = true, .from = 9, .target = 9}};
    session_cursor_format(&cursor, text);
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = text;
    hello.sync_type = TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 12);
    assert_int_equal(talk_view(&talk).acknowledged, 0);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_NONE);
    talk_page_as(&talk,
                 (struct session_answer){
                     .page = {.lap = cursor.lap, .ends = true, .is_exact = true, .head = 12}});
    assert_true(talk.asked[SESSION_PAGE]->page.begins);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_NONE);
}

static void a_lap_without_records_still_moves_the_cursor(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_commit(&talk, 10);
    talk_page(&talk, 0, 10, true);
    const PB(SyncResponse) *records = talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_int_equal(records->records->n_records, 0);
    assert_string_equal(records->records->cursor, talk_cursor(10));
}

static void live_brings_what_others_commit_and_says_complete_once(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_commit(&talk, 9);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_commit(&talk, 11);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
    talk_page(&talk, 2, 11, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->cursor, talk_cursor(11));
    talk_expect_silence(&talk);
    assert_int_equal(talk_view(&talk).phase, SESSION_LIVE);
    assert_null(talk.asked[SESSION_PAGE]);
}

static void a_commit_while_a_page_is_read_is_not_lost(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_commit(&talk, 10);
    talk_commit(&talk, 11);
    talk_page(&talk, 1, 10, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 10);
}

static void a_commit_while_the_session_opens_is_not_lost(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    talk_open(&talk, NULL, 0);
    hello.device_id = (char *)"phone";
    talk_hello(&talk, &hello);
    talk_commit(&talk, 12);
    talk_opened(&talk, 9);
    talk_page(&talk, 1, 9, true);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_expect_silence(&talk);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
}

static void without_live_commits_after_complete_are_left_alone(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, false, 9);
    assert_int_equal(talk_view(&talk).phase, SESSION_CATCHING_UP);
    talk_commit(&talk, 11);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_expect_silence(&talk);
}

static void without_live_complete_comes_again_after_a_batch(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, false, 9);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, 10, 11, true);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    talk_page(&talk, 2, 11, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(COMPLETE))->complete->cursor,
                        talk_cursor(11));
    talk_expect_silence(&talk);
}

static void a_lap_cursor_goes_on_inside_its_lap(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {.epoch = TALK_EPOCH,
                                    .is_lap = true,
                                    .lap = {.target = 8,
                                            .rank_us = 77,
                                            .rank = 3,
                                            .type = DATA_TYPE_TRIP,
                                            .id_size = 2,
                                            .id = "r2"}};
    session_cursor_format(&cursor, text);
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = text;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    const struct session_page_want *want = &talk.asked[SESSION_PAGE]->page;
    assert_false(want->begins);
    assert_memory_equal(&want->lap, &cursor.lap, sizeof cursor.lap);
    /* Records that the first session left out are newer, so nothing is exact yet … */
    struct session_answer answer = {
        .page = {.count = 1, .lap = cursor.lap, .ends = true, .is_exact = true, .head = 9}};
    talk_page_as(&talk, answer);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    const PB(SyncResponse) *records = talk_take(&talk, TALK_MESSAGE(RECORDS));
    expect_between_laps(records->records->cursor, 8);
    assert_int_equal(records->records->checksum.len, 0);
    /* … and the next lap brings them. */
    talk_page(&talk, 1, 9, true);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->checksum.len, CHECKSUM_SIZE);
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
}

/* Inside a lap from 5 to 9, of which a page has been sent, the log is trimmed. */
static void resync_inside_a_lap(char ret_sent[SESSION_CURSOR_TEXT_MAX]) {
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 5, 9);
    talk_page(&talk, 2, 9, false);
    talk_keep_cursor(&talk, ret_sent);
    talk_fail(&talk, SESSION_PAGE, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED");
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(RESYNC_REQUIRED));
}

static void what_was_sent_before_a_resync_may_be_acknowledged_after_it(void **state) {
    (void)state;
    char sent[SESSION_CURSOR_TEXT_MAX];
    resync_inside_a_lap(sent);
    talk_acknowledge(&talk, sent);
    assert_int_equal(talk_view(&talk).unacknowledged_bytes, 0);
    talk_page(&talk, 2, 9, false);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_acknowledge(&talk, sent);
    talk_acknowledge_sequence(&talk, 5);
    assert_false(talk.has_ended);
}

static void nothing_sent_before_a_resync_is_a_place_to_resume(void **state) {
    (void)state;
    char sent[SESSION_CURSOR_TEXT_MAX];
    resync_inside_a_lap(sent);
    talk_tell(&talk, &(struct session_event){.kind = SESSION_DRAINED, .retry_after_us = 1});
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->resume_cursor, "");
}

static void complete_says_how_many_conflicts_are_open(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_page_as(&talk, (struct session_answer){
                            .page = {.lap = {.target = 9}, .ends = true, .conflicts_open = 3}});
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(COMPLETE))->complete->conflicts_open, 3);
}

static void a_resumed_lap_to_the_head_is_exact(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {
        .epoch = TALK_EPOCH, .is_lap = true, .lap = {.has_from = true, .from = 4, .target = 9}};
    session_cursor_format(&cursor, text);
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = text;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_acknowledge_sequence(&talk, 4);
    talk_page(&talk, 1, 9, true);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->checksum.len, CHECKSUM_SIZE);
    /* What it went on from counts as held. */
    assert_int_equal(talk_view(&talk).acknowledged, 4);
}

/* Hello with a cursor of another place; the session must ask for a snapshot. */
static void expect_resync(const struct session_cursor *cursor) {
    char text[SESSION_CURSOR_TEXT_MAX];
    session_cursor_format(cursor, text);
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = text;
    hello.live = true;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(RESYNC_REQUIRED));
    assert_true(talk.asked[SESSION_PAGE]->page.begins);
    assert_false(talk.asked[SESSION_PAGE]->page.lap.has_from);
}

static void a_cursor_of_another_epoch_needs_a_snapshot(void **state) {
    (void)state;
    expect_resync(&(struct session_cursor){.epoch = TALK_EPOCH + 1, .sequence = 3});
}

static void a_cursor_ahead_of_the_head_needs_a_snapshot(void **state) {
    (void)state;
    expect_resync(&(struct session_cursor){.epoch = TALK_EPOCH, .sequence = 10});
}

static void a_lap_ahead_of_the_head_needs_a_snapshot(void **state) {
    (void)state;
    expect_resync(&(struct session_cursor){
        .epoch = TALK_EPOCH, .is_lap = true, .lap = {.has_from = true, .from = 1, .target = 10}});
}

static void a_log_that_does_not_reach_back_needs_a_snapshot(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 5, 9);
    talk_fail(&talk, SESSION_PAGE, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED");
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(RESYNC_REQUIRED));
    assert_false(talk.asked[SESSION_PAGE]->page.lap.has_from);
    talk_page(&talk, 3, 9, true);
    talk_take(&talk, TALK_MESSAGE(RECORDS));
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
}

static void a_snapshot_that_cannot_begin_ends_the_session(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk_fail(&talk, SESSION_PAGE, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED");
    talk_expect_end(&talk, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED");
}

static void the_next_page_waits_until_the_last_has_gone(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    talk.holds = true;
    talk_page(&talk, 2, 9, false); /* goes to the transport */
    talk_page(&talk, 2, 9, false); /* waits behind it, and so does what would come next */
    assert_null(talk.asked[SESSION_PAGE]);
    talk.holds = false;
    talk_event(&talk, SESSION_SENT);
    assert_non_null(talk.asked[SESSION_PAGE]);
}

static void a_device_of_some_types_gets_no_checksum(void **state) {
    (void)state;
    PB(DataType) types[] = {TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP};
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.data_types = types;
    hello.n_data_types = 1;
    hello.sync_type = TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.types, 1 << DATA_TYPE_TRIP);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.patches, PATCH_FORM_MERGE);
    talk_page(&talk, 2, 9, true);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->checksum.len, 0);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(COMPLETE))->complete->checksum.len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_first_synchronization_is_a_snapshot_in_pages),
        TALK_TEST(a_cursor_at_the_head_completes_without_records),
        TALK_TEST(what_came_after_the_target_is_left_to_the_next_lap),
        TALK_TEST(what_was_left_out_comes_whole_and_is_not_acknowledged_before),
        TALK_TEST(a_session_goes_on_between_laps),
        TALK_TEST(a_lap_without_records_still_moves_the_cursor),
        TALK_TEST(live_brings_what_others_commit_and_says_complete_once),
        TALK_TEST(a_commit_while_a_page_is_read_is_not_lost),
        TALK_TEST(a_commit_while_the_session_opens_is_not_lost),
        TALK_TEST(without_live_commits_after_complete_are_left_alone),
        TALK_TEST(without_live_complete_comes_again_after_a_batch),
        TALK_TEST(a_lap_cursor_goes_on_inside_its_lap),
        TALK_TEST(what_was_sent_before_a_resync_may_be_acknowledged_after_it),
        TALK_TEST(nothing_sent_before_a_resync_is_a_place_to_resume),
        TALK_TEST(complete_says_how_many_conflicts_are_open),
        TALK_TEST(a_resumed_lap_to_the_head_is_exact),
        TALK_TEST(a_cursor_of_another_epoch_needs_a_snapshot),
        TALK_TEST(a_cursor_ahead_of_the_head_needs_a_snapshot),
        TALK_TEST(a_lap_ahead_of_the_head_needs_a_snapshot),
        TALK_TEST(a_log_that_does_not_reach_back_needs_a_snapshot),
        TALK_TEST(a_snapshot_that_cannot_begin_ends_the_session),
        TALK_TEST(the_next_page_waits_until_the_last_has_gone),
        TALK_TEST(a_device_of_some_types_gets_no_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
