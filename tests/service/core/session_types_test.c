/* The data types that a device asks for: their order, and what its cursors are good for. */
#include "tests/service/core/session_talk.h"

#define TYPE(NAME) TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_##NAME

enum {
    SOME_TYPES = 1 << DATA_TYPE_PREFERENCE | 1 << DATA_TYPE_TRIP,
    SOME_ORDER = DATA_TYPE_PREFERENCE | DATA_TYPE_TRIP << 4,
};

/* Hello with these types and a cursor ("" for none), and the welcome, which is taken; `head` 9. */
static void begin(PB(DataType) *types, size_t count, const char *cursor) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.data_types = types;
    hello.n_data_types = count;
    hello.cursor = (char *)cursor;
    hello.live = true;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
}

static void expect_resync(void) {
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(RESYNC_REQUIRED));
    assert_true(talk.asked[SESSION_PAGE]->page.begins);
    assert_false(talk.asked[SESSION_PAGE]->page.lap.has_from);
}

static const char *cursor_of(data_type_set types) {
    static char text[SESSION_CURSOR_TEXT_MAX];
    session_cursor_format(
        &(struct session_cursor){.epoch = TALK_EPOCH, .sequence = 5, .types = types}, text);
    return text;
}

static const char *lap_cursor_of(data_type_order order) {
    static char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {
        .epoch = TALK_EPOCH,
        .is_lap = true,
        .lap = {.has_from = true, .from = 4, .target = 8, .order = order}};
    session_cursor_format(&cursor, text);
    return text;
}

static void types_are_asked_for_in_the_devices_order(void **state) {
    (void)state;
    PB(DataType) types[] = {TYPE(PREFERENCE), TYPE(TRIP), TYPE(PREFERENCE)};
    begin(types, 3, "");
    assert_int_equal(talk.asked[SESSION_PAGE]->page.types, SOME_TYPES);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.order, SOME_ORDER);
}

static void without_types_or_with_all_as_usual_the_order_is_the_services(void **state) {
    (void)state;
    PB(DataType) types[] = {TYPE(BOOKING), TYPE(TRIP), TYPE(PROFILE), TYPE(PREFERENCE)};
    begin(types, 4, "");
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.order, 0);
    talk_close(&talk);
    begin(NULL, 0, "");
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.order, 0);
}

static void the_cursor_of_some_types_says_which(void **state) {
    (void)state;
    PB(DataType) types[] = {TYPE(PREFERENCE), TYPE(TRIP)};
    struct cursor cursor;
    begin(types, 2, "");
    talk_page(&talk, 2, 9, true);
    const PB(SyncResponse) *records = talk_take(&talk, TALK_MESSAGE(RECORDS));
    assert_int_equal(cursor_parse(slice_text(records->records->cursor), &cursor), SYNC_OK);
    assert_int_equal(cursor.types, SOME_TYPES);
    const PB(SyncResponse) *complete = talk_take(&talk, TALK_MESSAGE(COMPLETE));
    assert_string_equal(complete->complete->cursor, records->records->cursor);
    talk_acknowledge(&talk, complete->complete->cursor);
    assert_int_equal(talk_view(&talk).acknowledged, 9);
}

static void a_cursor_of_fewer_types_needs_a_snapshot(void **state) {
    (void)state;
    begin(NULL, 0, cursor_of(SOME_TYPES));
    expect_resync();
}

static void a_cursor_of_more_types_is_gone_on_from(void **state) {
    (void)state;
    PB(DataType) types[] = {TYPE(TRIP)};
    begin(types, 1, cursor_of(SOME_TYPES));
    assert_true(talk.asked[SESSION_PAGE]->page.lap.has_from);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 5);
    talk_close(&talk);
    begin(types, 1, cursor_of(0));
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 5);
}

static void a_place_in_a_lap_is_good_in_its_own_order_alone(void **state) {
    (void)state;
    PB(DataType) types[] = {TYPE(PREFERENCE), TYPE(TRIP)},
                 turned[] = {TYPE(TRIP), TYPE(PREFERENCE)};
    begin(types, 2, lap_cursor_of(SOME_ORDER));
    assert_false(talk.asked[SESSION_PAGE]->page.begins);
    talk_close(&talk);
    begin(turned, 2, lap_cursor_of(SOME_ORDER));
    expect_resync();
    talk_close(&talk);
    begin(NULL, 0, lap_cursor_of(SOME_ORDER));
    expect_resync();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(types_are_asked_for_in_the_devices_order),
        TALK_TEST(without_types_or_with_all_as_usual_the_order_is_the_services),
        TALK_TEST(the_cursor_of_some_types_says_which),
        TALK_TEST(a_cursor_of_fewer_types_needs_a_snapshot),
        TALK_TEST(a_cursor_of_more_types_is_gone_on_from),
        TALK_TEST(a_place_in_a_lap_is_good_in_its_own_order_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
