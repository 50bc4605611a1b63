/* The token in mid-stream. */
#include "tests/service/core/session_talk.h"

enum { SECOND = 1000000 };

/* Live at 9, with a token that expires 100 s after the start. */
static void begin(void) {
    talk_open(&talk, NULL, 100);
    talk_begin_complete(&talk, true, 9);
}

/* Renews: good for so many seconds from now. */
static void renew(int64_t seconds) {
    talk_token(&talk, "fresh");
    assert_true(slice_equal(talk.asked[SESSION_TOKEN]->token, SLICE("fresh")));
    assert_false(talk.wants_message);
    talk_answer(&talk,
                &(struct session_answer){.kind = SESSION_TOKEN,
                                         .token_expires_us = talk.now.wall_us + seconds * SECOND});
    assert_true(talk.wants_message);
}

static void a_token_that_expires_soon_is_noticed_once(void **state) {
    (void)state;
    begin();
    assert_int_equal(talk.wake_us, talk.now.monotonic_us + 40 * SECOND);
    talk_pass(&talk, 40 * SECOND - 1);
    talk_expect_silence(&talk);
    talk_pass(&talk, 1);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(TOKEN_EXPIRING));
    talk_pass(&talk, 30 * SECOND);
    talk_expect_silence(&talk);
}

static void a_renewed_token_lets_the_session_go_on(void **state) {
    (void)state;
    begin();
    talk_pass(&talk, 50 * SECOND);
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    renew(200);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(TOKEN_RENEWED));
    talk_pass(&talk, 139 * SECOND);
    talk_expect_silence(&talk);
    talk_pass(&talk, SECOND);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(TOKEN_EXPIRING));
    talk_commit(&talk, 10);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
}

static void a_token_for_ever_is_never_noticed(void **state) {
    (void)state;
    begin();
    talk_pass(&talk, 50 * SECOND);
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    talk_token(&talk, "fresh");
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_TOKEN});
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    talk_pass(&talk, UINT64_C(100000) * SECOND);
    talk_expect_silence(&talk);
    assert_false(talk.has_ended);
    assert_true(talk.wake_us == UINT64_MAX);
}

static void after_expiry_all_waits_for_a_new_token(void **state) {
    (void)state;
    begin();
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    talk_pass(&talk, 101 * SECOND);
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    talk_applied(&talk, 9, 10, true);
    talk_commit(&talk, 11);
    talk_expect_silence(&talk);
    assert_null(talk.asked[SESSION_APPLY]);
    assert_null(talk.asked[SESSION_PAGE]);
    talk_tell(&talk, &(struct session_event){.kind = SESSION_QUOTA_NEAR, .text = SLICE("soon")});
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    renew(100);
    /* Nothing was lost: the outcomes with their cursor, then the second batch and the records. */
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor,
                        talk_cursor(10));
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(NOTICE))->notice->kind,
                     TALK_NOTICE(TOKEN_RENEWED));
    assert_int_equal(talk.asked[SESSION_APPLY]->apply.batch->batch_id, 2);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 10);
}

static void a_token_is_read_behind_all_batches_in_flight(void **state) {
    (void)state;
    begin();
    talk_pass(&talk, 101 * SECOND);
    for (int i = 1; i <= 4; i++)
        talk_batch(&talk, i, 1);
    renew(100);
    assert_non_null(talk.asked[SESSION_APPLY]);
}

/* Conflicts wait behind a slow rate; the token must be read all the same. */
static void a_token_is_read_though_conflicts_pile_up(void **state) {
    (void)state;
    enum { CONFLICTS = 100 };
    PB(ChangeResult) result, *results[CONFLICTS];
    PB(Conflict) conflict;
    begin();
    talk_batch(&talk, 1, CONFLICTS);
    travelsense__sync__v1__change_result__init(&result);
    travelsense__sync__v1__conflict__init(&conflict);
    result.conflict_id = (char *)"k";
    for (int i = 0; i < CONFLICTS; i++)
        results[i] = &result;
    talk.holds = true;
    talk_answer(&talk,
                &(struct session_answer){
                    .kind = SESSION_APPLY,
                    .apply = {.results = results, .count = CONFLICTS, .before = 9, .after = 9}});
    while (talk.asked[SESSION_CONFLICT])
        talk_answer(&talk,
                    &(struct session_answer){.kind = SESSION_CONFLICT, .conflict = &conflict});
    talk_pass(&talk, 101 * SECOND);
    renew(100);
    assert_false(talk.has_ended);
}

static void after_the_grace_the_session_ends(void **state) {
    (void)state;
    begin();
    talk_pass(&talk, 101 * SECOND);
    assert_int_equal(talk.wake_us, talk.now.monotonic_us + 29 * SECOND);
    talk_pass(&talk, 29 * SECOND - 1);
    assert_false(talk.has_ended);
    talk_pass(&talk, 1);
    talk_expect_end(&talk, SYNC_ERR_UNAUTHENTICATED, "TOKEN_EXPIRED");
}

static void a_refused_token_is_told_while_the_old_one_holds(void **state) {
    (void)state;
    begin();
    talk_token(&talk, "bad");
    talk_fail(&talk, SESSION_TOKEN, SYNC_ERR_UNAUTHENTICATED, "BAD_SIGNATURE");
    const PB(SyncNotice) *notice = talk_take(&talk, TALK_MESSAGE(NOTICE))->notice;
    assert_int_equal(notice->kind, TALK_NOTICE(TOKEN_EXPIRING));
    assert_string_equal(notice->message, "It fails because of BAD_SIGNATURE.");
    assert_false(talk.has_ended);
    renew(500);
}

static void a_refused_token_ends_the_session_when_the_old_one_is_over(void **state) {
    (void)state;
    begin();
    talk_pass(&talk, 101 * SECOND);
    talk_token(&talk, "bad");
    talk_fail(&talk, SESSION_TOKEN, SYNC_ERR_DENIED, "ANOTHER_USER");
    talk_expect_end(&talk, SYNC_ERR_UNAUTHENTICATED, "ANOTHER_USER");
}

static void an_empty_token_ends_the_session(void **state) {
    (void)state;
    begin();
    talk_token(&talk, "");
    talk_expect_end(&talk, SYNC_ERR_INVALID, "REQUIRED");
    assert_string_equal(talk.error.field, "token.token");
}

static void a_token_longer_than_it_may_be_ends_the_session(void **state) {
    (void)state;
    char text[TOKEN_MAX + 2];
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    begin();
    talk_token(&talk, text);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "TOO_LARGE");
}

static void the_welcome_comes_before_any_notice(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    talk_open(&talk, NULL, 5);
    talk_hello(&talk, &hello);
    talk_pass(&talk, 6 * SECOND);
    talk_opened(&talk, 9);
    talk_take(&talk, TALK_MESSAGE(WELCOME));
    talk_take(&talk, TALK_MESSAGE(NOTICE));
    talk_expect_silence(&talk);
    assert_null(talk.asked[SESSION_PAGE]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_token_that_expires_soon_is_noticed_once),
        TALK_TEST(a_renewed_token_lets_the_session_go_on),
        TALK_TEST(a_token_for_ever_is_never_noticed),
        TALK_TEST(after_expiry_all_waits_for_a_new_token),
        TALK_TEST(a_token_is_read_behind_all_batches_in_flight),
        TALK_TEST(a_token_is_read_though_conflicts_pile_up),
        TALK_TEST(after_the_grace_the_session_ends),
        TALK_TEST(a_refused_token_is_told_while_the_old_one_holds),
        TALK_TEST(a_refused_token_ends_the_session_when_the_old_one_is_over),
        TALK_TEST(an_empty_token_ends_the_session),
        TALK_TEST(a_token_longer_than_it_may_be_ends_the_session),
        TALK_TEST(the_welcome_comes_before_any_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
