/* Hello, what is at fault in it, and welcome. */
#include "tests/service/core/session_talk.h"

static PB(SyncHello) sound_hello(void) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    return hello;
}

static void anything_before_hello_ends_the_session(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_pause(&talk);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "HELLO_FIRST");
    assert_null(talk.asked[SESSION_REPORT]);
}

static void a_batch_before_hello_ends_the_session(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_batch(&talk, 1, 1);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "HELLO_FIRST");
}

static void closing_before_hello_ends_the_session(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_event(&talk, SESSION_HALF_CLOSED);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "HELLO_FIRST");
}

static void a_second_hello_ends_the_session(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 3);
    talk_hello(&talk, &hello);
    assert_true(talk.asked[SESSION_REPORT]->report.is_last);
    assert_int_equal(talk.asked[SESSION_REPORT]->report.status, 4);
    assert_string_equal(talk.asked[SESSION_REPORT]->report.error, "hello was said already");
    talk_expect_end(&talk, SYNC_ERR_INVALID, "HELLO_TWICE");
    talk_noted(&talk);
}

static void without_hello_in_time_the_session_ends(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_pass(&talk, session_settings_default.hello_timeout_us - 1);
    assert_false(talk.has_ended);
    assert_int_equal(talk.wake_us, talk.now.monotonic_us + 1);
    talk_pass(&talk, 1);
    talk_expect_end(&talk, SYNC_ERR_DEADLINE, "HELLO_MISSING");
}

/* Says hello, and expects its field to be named. */
static void expect_fault(const PB(SyncHello) *hello, const char *field) {
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, hello);
    assert_true(talk.has_ended);
    assert_int_equal(talk.error.status, SYNC_ERR_INVALID);
    assert_string_equal(talk.error.field, field);
    assert_null(talk.asked[SESSION_OPEN]);
    talk_close(&talk);
}

static void each_field_at_fault_is_named(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    PB(DataType) types[] = {TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP, (PB(DataType))5};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    hello.device_id = (char *)"no spaces";
    expect_fault(&hello, "hello.deviceId");
    hello = sound_hello();
    hello.cursor = (char *)"42";
    expect_fault(&hello, "hello.cursor");
    hello = sound_hello();
    hello.data_types = types;
    hello.n_data_types = 2;
    expect_fault(&hello, "hello.dataTypes[1]");
    hello = sound_hello();
    hello.sync_type = TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_UPLOAD;
    expect_fault(&hello, "hello.syncType");
    hello.sync_type = (PB(SyncType))-1;
    expect_fault(&hello, "hello.syncType");
    hello = sound_hello();
    hello.batches_in_flight_max = -1;
    expect_fault(&hello, "hello.batchesInFlightMax");
    hello = sound_hello();
    hello.unacknowledged_bytes_max = -1;
    expect_fault(&hello, "hello.unacknowledgedBytesMax");
    hello = sound_hello();
    hello.changes_pending = -1;
    expect_fault(&hello, "hello.changesPending");
    hello = sound_hello();
    hello.sent_at = &time;
    time.nanos = -1;
    expect_fault(&hello, "hello.sentAt");
    time = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = -1;
    expect_fault(&hello, "hello.sentAt");
}

static void the_welcome_comes_first_and_says_the_limits(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    Google__Protobuf__Timestamp sent_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    sent_at.seconds = TALK_WALL_US / 1000000 - 1;
    sent_at.nanos = 500000000;
    hello.sent_at = &sent_at;
    hello.batches_in_flight_max = 2;
    hello.unacknowledged_bytes_max = INT32_MAX;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    assert_string_equal(talk.asked[SESSION_OPEN]->hello->device_id, "phone");
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_OPEN,
                                                .open = {.sync_id = SLICE("sync-1"),
                                                         .epoch = TALK_EPOCH,
                                                         .head = 9,
                                                         .has_acknowledged = true,
                                                         .acknowledged = 4,
                                                         .bandwidth_limit = 5000}});
    const PB(SyncWelcome) *welcome = talk_take_any(&talk)->welcome;
    assert_int_equal(talk.messages[0]->message_case, TALK_MESSAGE(WELCOME));
    assert_string_equal(welcome->sync_id, "sync-1");
    assert_int_equal(welcome->server_time->seconds, TALK_WALL_US / 1000000);
    assert_int_equal(welcome->clock_offset->seconds, 0);
    assert_int_equal(welcome->clock_offset->nanos, -500000000);
    assert_int_equal(welcome->batches_in_flight_max, 2);
    assert_int_equal(welcome->batch_changes_max, BATCH_CHANGES_MAX);
    assert_int_equal(welcome->change_data_bytes_max, CHANGE_DATA_MAX);
    assert_int_equal(welcome->batch_bytes_max, SYNC_BATCH_BYTES_MAX);
    assert_int_equal(welcome->unacknowledged_bytes_max, SYNC_UNACKNOWLEDGED_MAX);
    assert_int_equal(welcome->bandwidth_limit, 5000);
    assert_string_equal(welcome->acknowledged_cursor, talk_cursor(4));
}

static void hello_without_wishes_gets_the_services_own(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 0);
    const PB(SyncWelcome) *welcome = talk_take(&talk, TALK_MESSAGE(WELCOME))->welcome;
    assert_int_equal(welcome->batches_in_flight_max, 4);
    assert_int_equal(welcome->unacknowledged_bytes_max, 4 << 20);
    assert_string_equal(welcome->acknowledged_cursor, "");
    assert_null(welcome->clock_offset);
}

static void full_leaves_the_cursor_aside(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    hello.cursor = (char *)"anything";
    hello.sync_type = TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_FULL;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    assert_false(talk.asked[SESSION_PAGE]->page.lap.has_from);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    talk_expect_silence(&talk);
}

static void the_cursor_of_hello_acknowledges(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    hello.cursor = (char *)talk_cursor(6);
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    assert_int_equal(talk.asked[SESSION_ACKNOWLEDGE]->acknowledged, 6);
    assert_int_equal(talk_view(&talk).acknowledged, 6);
}

static void a_refused_opening_ends_the_session_with_its_slot(void **state) {
    (void)state;
    PB(SyncHello) hello = sound_hello();
    struct session_answer answer = {.kind = SESSION_OPEN, .retry_after_us = 1500000};
    sync_error_set(&answer.error, SYNC_ERR_BUSY, "TOO_MANY_STREAMS", NULL, "later");
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    assert_false(talk.wants_message);
    talk_answer(&talk, &answer);
    talk_expect_end(&talk, SYNC_ERR_BUSY, "TOO_MANY_STREAMS");
    assert_int_equal(talk.retry_after_us, 1500000);
    assert_null(talk.asked[SESSION_REPORT]);
}

static void messages_that_are_none_end_the_session(void **state) {
    (void)state;
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 3);
    talk_say(&talk, &request);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "UNKNOWN_MESSAGE");
}

static void a_message_larger_than_it_may_be_ends_the_session(void **state) {
    (void)state;
    static PB(DataType) types[1 << 14];
    PB(SyncHello) hello = sound_hello();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        types[i] = TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP;
    hello.data_types = types;
    hello.n_data_types = sizeof types / sizeof *types;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_expect_end(&talk, SYNC_ERR_TOO_LARGE, "MESSAGE_TOO_LARGE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(anything_before_hello_ends_the_session),
        TALK_TEST(a_batch_before_hello_ends_the_session),
        TALK_TEST(closing_before_hello_ends_the_session),
        TALK_TEST(a_second_hello_ends_the_session),
        TALK_TEST(without_hello_in_time_the_session_ends),
        cmocka_unit_test(each_field_at_fault_is_named),
        TALK_TEST(the_welcome_comes_first_and_says_the_limits),
        TALK_TEST(hello_without_wishes_gets_the_services_own),
        TALK_TEST(full_leaves_the_cursor_aside),
        TALK_TEST(the_cursor_of_hello_acknowledges),
        TALK_TEST(a_refused_opening_ends_the_session_with_its_slot),
        TALK_TEST(messages_that_are_none_end_the_session),
        TALK_TEST(a_message_larger_than_it_may_be_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
