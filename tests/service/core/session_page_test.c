/* Laps, pages, complete and live. */
#include "tests/service/core/session_talk.h"

static struct talk talk;

static int close_talk(void **state) {
    (void)state;
    talk_close(&talk);
    return 0;
}

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_first_synchronization_is_a_snapshot_in_pages, close_talk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
