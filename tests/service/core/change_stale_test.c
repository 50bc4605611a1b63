/* Changes from before what is remembered: replays of a device that was away for long. */
#include "tests/service/core/batch_sending.h"

static const int64_t HOUR = 3600000000, DAY = 86400000000;
static const int64_t BACK = NOW + 40 * 86400000000; /* when the device is back */

/* The device that is back holds everything that there is now, and sends what it had not sent. */
static struct sending back(void) {
    return (struct sending){.device = "phone",
                            .acknowledged = user.head.sequence,
                            .strategy = STRATEGY_CLIENT,
                            .now_us = BACK,
                            .forgotten_us = BACK - 30 * DAY};
}

/* All that was settled is forgotten, as the log is. */
static void forget(void) {
    memory_user_trim(&user, user.head.sequence);
    user.settled_count = 0;
}

static void by_tablet(struct change change, int64_t at_us) {
    change.device_us = at_us;
    send_one(
        (struct sending){.device = "tablet", .acknowledged = user.head.sequence, .now_us = at_us},
        change, OUTCOME_APPLIED);
}

static const struct change *replayed(enum change_kind kind, const char *json) {
    static struct change change;
    change = change_of("c1", kind, json);
    change.device_us = NOW - HOUR;
    return &change;
}

static void a_replayed_create_of_what_was_deleted_brings_nothing_back(void **state) {
    (void)state;
    send_one(PHONE, *replayed(CHANGE_CREATE, "{\"a\":1}"), OUTCOME_APPLIED);
    by_tablet(change_of("t", CHANGE_DELETE, NULL), NOW + DAY);
    forget();
    struct change_result *result =
        send_one(back(), *replayed(CHANGE_CREATE, "{\"a\":1}"), OUTCOME_MERGED);
    expect_trip(NULL, 2);
    assert_true(result->decision_id.size > 0);
}

static void a_replayed_update_does_not_undo_what_came_after_it(void **state) {
    (void)state;
    start("{\"a\":0,\"b\":0}");
    send_one(PHONE, *replayed(CHANGE_UPDATE, "{\"a\":1,\"b\":1}"), OUTCOME_APPLIED);
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"a\":2,\"b\":null}"), NOW + DAY);
    forget();
    send_one(back(), *replayed(CHANGE_UPDATE, "{\"a\":1,\"b\":1}"), OUTCOME_MERGED);
    expect_trip("{\"a\":2}", 3);
}

static void a_replayed_deletion_does_not_delete_a_new_life(void **state) {
    (void)state;
    start("{\"a\":0}");
    send_one(PHONE, *replayed(CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    by_tablet(change_of("t", CHANGE_CREATE, "{\"a\":9}"), NOW + DAY);
    forget();
    send_one(back(), *replayed(CHANGE_DELETE, NULL), OUTCOME_MERGED);
    expect_trip("{\"a\":9}", 3);
}

static void a_replay_of_what_still_stands_changes_nothing(void **state) {
    (void)state;
    start("{\"a\":0}");
    send_one(PHONE, *replayed(CHANGE_UPDATE, "{\"a\":1}"), OUTCOME_APPLIED);
    forget();
    struct change_result *result =
        send_one(back(), *replayed(CHANGE_UPDATE, "{\"a\":1}"), OUTCOME_APPLIED);
    expect_trip("{\"a\":1}", 2);
    assert_int_equal(result->decision_id.size, 0);
    send_one((struct sending){.device = "phone", .acknowledged = 2},
             change_of("d", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    forget();
    struct change deletion = *replayed(CHANGE_DELETE, NULL);
    deletion.id = SLICE("c2");
    send_one(back(), deletion, OUTCOME_APPLIED);
    expect_trip(NULL, 3);
}

static void a_deletion_that_is_the_last_word_counts(void **state) {
    (void)state;
    start("{\"a\":0}");
    forget();
    struct change deletion = *replayed(CHANGE_DELETE, NULL);
    deletion.device_us = NOW + DAY; /* after all that is known, and before what is forgotten */
    send_one(back(), deletion, OUTCOME_MERGED);
    expect_trip(NULL, 2);
}

/* Changes never sent before: they count where nobody came after them, one after the other. */
static void unsent_changes_of_a_device_that_was_away_count_in_their_order(void **state) {
    (void)state;
    start("{\"a\":0}");
    forget();
    struct change first = change_of("1", CHANGE_UPDATE, "{\"a\":1}");
    struct change second = change_of("2", CHANGE_UPDATE, "{\"b\":2}");
    struct change third = change_of("3", CHANGE_UPDATE, "{\"a\":3}");
    first.device_us = NOW + DAY;
    second.device_us = NOW + DAY + 1;
    third.device_us = NOW + DAY + 2;
    struct sending sending = back();
    send(sending, (struct change[]){first, second}, 2, NULL);
    expect_trip("{\"a\":1,\"b\":2}", 3);
    send_one(sending, third, OUTCOME_MERGED);
    expect_trip("{\"a\":3,\"b\":2}", 4);
}

static void a_device_that_has_seen_the_record_as_it_is_is_taken_at_its_word(void **state) {
    (void)state;
    start("{\"a\":0}");
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"a\":2}"), NOW + DAY);
    forget();
    struct change change = *replayed(CHANGE_UPDATE, "{\"a\":1}");
    change.base_version = 2;
    send_one(back(), change, OUTCOME_APPLIED);
    expect_trip("{\"a\":1}", 3);
}

static void who_wants_to_be_asked_is_asked(void **state) {
    (void)state;
    send_one(PHONE, *replayed(CHANGE_CREATE, "{\"a\":1}"), OUTCOME_APPLIED);
    by_tablet(change_of("t", CHANGE_DELETE, NULL), NOW + DAY);
    forget();
    struct sending sending = back();
    sending.strategy = STRATEGY_MANUAL;
    struct change_result *result =
        send_one(sending, *replayed(CHANGE_CREATE, "{\"a\":1}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_int_equal(conflict.type, CONFLICT_UPDATE_DELETE);
    assert_document(conflict.client, "{\"a\":1}");
    assert_false(conflict.has_base);
}

static void while_all_is_remembered_nothing_is_stale(void **state) {
    (void)state;
    start("{\"a\":0}");
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"a\":2}"), NOW + DAY);
    send_one(back(), *replayed(CHANGE_UPDATE, "{\"a\":1}"), OUTCOME_APPLIED);
    forget();
    struct sending young = back();
    young.forgotten_us = NOW - DAY;
    struct change change = *replayed(CHANGE_UPDATE, "{\"a\":5}");
    change.id = SLICE("c2");
    send_one(young, change, OUTCOME_APPLIED);
    expect_trip("{\"a\":5}", 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(a_replayed_create_of_what_was_deleted_brings_nothing_back),
        USER_TEST(a_replayed_update_does_not_undo_what_came_after_it),
        USER_TEST(a_replayed_deletion_does_not_delete_a_new_life),
        USER_TEST(a_replay_of_what_still_stands_changes_nothing),
        USER_TEST(a_deletion_that_is_the_last_word_counts),
        USER_TEST(unsent_changes_of_a_device_that_was_away_count_in_their_order),
        USER_TEST(a_device_that_has_seen_the_record_as_it_is_is_taken_at_its_word),
        USER_TEST(who_wants_to_be_asked_is_asked),
        USER_TEST(while_all_is_remembered_nothing_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
