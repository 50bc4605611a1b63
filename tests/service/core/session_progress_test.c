/* The estimator alone, then what a session tells of it. */
#include "service/core/session_progress.h"
#include "tests/service/core/session_talk.h"

enum { SECOND = 1000000 };

static struct session_progress_view look(const struct session_progress *progress) {
    struct session_progress_view view;
    session_progress_look(progress, &view);
    return view;
}

static void percent_is_the_share_of_bytes(void **state) {
    (void)state;
    struct session_progress progress;
    session_progress_begin(&progress, 0, 0);
    session_progress_expect(&progress, 10, 1000);
    assert_int_equal(look(&progress).percent, 0);
    session_progress_expect(&progress, 5, 500);
    session_progress_downloaded(&progress, 5, 500, SECOND);
    assert_int_equal(look(&progress).percent, 50);
    assert_int_equal(look(&progress).items_done, 5);
    assert_int_equal(look(&progress).items_total, 10);
}

static void percent_holds_when_more_turns_up(void **state) {
    (void)state;
    struct session_progress progress;
    session_progress_begin(&progress, 0, 0);
    session_progress_expect(&progress, 5, 500);
    session_progress_downloaded(&progress, 5, 500, SECOND);
    int before = look(&progress).percent;
    session_progress_expect(&progress, 500, 50000);
    assert_int_equal(look(&progress).percent, before);
    assert_int_equal(look(&progress).bytes_total, 50500);
}

static void a_hundred_is_kept_for_the_end(void **state) {
    (void)state;
    struct session_progress progress;
    session_progress_begin(&progress, 2, 0);
    session_progress_expect(&progress, 0, 0);
    session_progress_uploaded(&progress, 2, 100, SECOND);
    assert_int_equal(look(&progress).percent, 99);
    session_progress_finish(&progress);
    assert_int_equal(look(&progress).percent, 100);
    session_progress_downloaded(&progress, 1, 10, 2 * SECOND); /* live */
    assert_int_equal(look(&progress).percent, 100);
    assert_int_equal(look(&progress).items_done, 3);
    assert_int_equal(look(&progress).items_total, 3);
}

static void the_time_left_follows_an_even_rate(void **state) {
    (void)state;
    struct session_progress progress;
    session_progress_begin(&progress, 0, 0);
    session_progress_expect(&progress, 100, 100000);
    assert_false(look(&progress).has_time_left);
    double last = 0;
    for (uint64_t i = 1; i <= 50; i++) {
        session_progress_expect(&progress, 100 - i, 100000 - i * 1000);
        session_progress_downloaded(&progress, 1, 1000, i * SECOND);
        assert_true(look(&progress).confidence > last);
        last = look(&progress).confidence;
    }
    assert_true(last > 0.9 && last < 1);
    assert_true(look(&progress).time_left_us > 49 * SECOND);
    assert_true(look(&progress).time_left_us < 51 * SECOND);
}

static void an_uneven_rate_is_trusted_less(void **state) {
    (void)state;
    struct session_progress even, uneven;
    session_progress_begin(&even, 0, 0);
    session_progress_begin(&uneven, 0, 0);
    session_progress_expect(&even, 100, 100000);
    session_progress_expect(&uneven, 100, 100000);
    for (uint64_t i = 1; i <= 20; i++) {
        session_progress_downloaded(&even, 1, 1000, i * SECOND);
        session_progress_downloaded(&uneven, 1, i % 2 ? 1990 : 10, i * SECOND);
    }
    assert_true(look(&uneven).confidence < look(&even).confidence / 1.3);
}

static void a_rest_does_not_count_for_the_rate(void **state) {
    (void)state;
    struct session_progress progress;
    session_progress_begin(&progress, 0, 0);
    session_progress_expect(&progress, 100, 100000);
    session_progress_downloaded(&progress, 1, 1000, SECOND);
    uint64_t left_us = look(&progress).time_left_us;
    session_progress_rest(&progress, 1000 * (uint64_t)SECOND);
    session_progress_downloaded(&progress, 1, 1000, 1001 * (uint64_t)SECOND);
    assert_true(look(&progress).time_left_us < left_us + SECOND);
}

static void nothing_overflows_and_nothing_goes_back(void **state) {
    (void)state;
    struct session_progress progress;
    uint64_t random = 42, now_us = 0;
    struct session_progress_view last = {0};
    session_progress_begin(&progress, INT64_MAX, 0);
    for (int i = 0; i < 5000; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        uint64_t amount = random >> 40;
        now_us += random >> 44 & 0xfffff;
        if (i % 3 == 0)
            session_progress_expect(&progress, amount, amount * 1000);
        else if (i % 3 == 1)
            session_progress_uploaded(&progress, amount, amount * 100, now_us);
        else
            session_progress_downloaded(&progress, amount, amount * 100, now_us);
        struct session_progress_view view = look(&progress);
        assert_true(view.percent >= last.percent && view.percent < 100);
        assert_true(view.items_done >= last.items_done && view.bytes_done >= last.bytes_done);
        assert_true(view.items_done <= view.items_total && view.bytes_done <= view.bytes_total);
        assert_true(view.confidence >= 0 && view.confidence <= 1);
        assert_true(view.time_left_us <= UINT64_C(86400) * SECOND);
        last = view;
    }
}

/* ---- In a session */

/* The next progress message that was not taken, or NULL. */
static const PB(SyncProgress) *next_progress(void) {
    while (talk.message_at < talk.message_count) {
        const PB(SyncResponse) *message = talk_take_any(&talk);
        if (message->message_case == TALK_MESSAGE(PROGRESS))
            return message->progress;
    }
    return NULL;
}

static void progress_comes_at_most_every_step(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 0, 9);
    int messages = 0;
    for (int i = 0; i < 100; i++) {
        talk_pass(&talk, 25000);
        talk_page(&talk, 1, 9, false);
    }
    const PB(SyncProgress) *progress;
    int percent = 0;
    while ((progress = next_progress())) {
        messages++;
        assert_string_equal(progress->phase, "downloading");
        assert_true(progress->percent >= percent && progress->percent < 100);
        percent = progress->percent;
    }
    assert_in_range(messages, 9, 11);
}

static void a_new_phase_is_told_at_once(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.cursor = (char *)talk_cursor(9);
    hello.live = true;
    hello.changes_pending = 2;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    talk_page(&talk, 0, 9, true);
    talk_applied(&talk, 9, 10, true);
    talk_applied(&talk, 10, 11, true);
    static const char *const PHASES[] = {"uploading", "live"};
    const PB(SyncProgress) *progress;
    int count = 0;
    while ((progress = next_progress())) {
        assert_true(count < 2);
        assert_string_equal(progress->phase, PHASES[count % 2]);
        assert_int_equal(progress->percent == 100, count == 1);
        count++;
    }
    assert_int_equal(count, 2);
}

static void the_size_of_the_users_data_is_what_is_left(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_OPEN,
                                                .open = {.sync_id = SLICE("sync-1"),
                                                         .epoch = TALK_EPOCH,
                                                         .head = 9,
                                                         .record_count = 40,
                                                         .data_bytes = 4000}});
    talk_page_as(
        &talk,
        (struct session_answer){
            .page = {.count = 10, .lap = {.target = 9}, .records_left = 30, .bytes_left = 3000}});
    const PB(SyncProgress) *progress = next_progress();
    assert_non_null(progress);
    assert_int_equal(progress->items_total, 40);
    assert_int_equal(progress->bytes_total, 4000);
    assert_int_equal(progress->percent, 25);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_is_the_share_of_bytes),
        cmocka_unit_test(percent_holds_when_more_turns_up),
        cmocka_unit_test(a_hundred_is_kept_for_the_end),
        cmocka_unit_test(the_time_left_follows_an_even_rate),
        cmocka_unit_test(an_uneven_rate_is_trusted_less),
        cmocka_unit_test(a_rest_does_not_count_for_the_rate),
        cmocka_unit_test(nothing_overflows_and_nothing_goes_back),
        TALK_TEST(progress_comes_at_most_every_step),
        TALK_TEST(a_new_phase_is_told_at_once),
        TALK_TEST(the_size_of_the_users_data_is_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
