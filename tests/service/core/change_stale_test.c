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

/* What was kept of a change that was decided, with its sides. */
static struct conflict kept(struct slice decision_id) {
    struct conflict decided;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, decision_id);
    struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &decided), SYNC_OK);
    assert_int_equal(conflict_expand(&decided, record->data, &arena), SYNC_OK);
    return decided;
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
    /* The device need not have all of the record: it is told to take it. */
    struct change_result *result =
        send_one(back(), *replayed(CHANGE_UPDATE, "{\"a\":1}"), OUTCOME_MERGED);
    expect_trip("{\"a\":1}", 2);
    assert_int_equal(result->decision_id.size, 0);
    user.settled_count = 0;
    send_one(back(), *replayed(CHANGE_CREATE, "{\"a\":1}"), OUTCOME_APPLIED);
    expect_trip("{\"a\":1}", 2);
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
    struct slice id = send_one(back(), deletion, OUTCOME_MERGED)->decision_id;
    expect_trip(NULL, 2);
    assert_document(kept(id).server, "{\"a\":0}");
}

static void what_the_last_word_overwrites_is_kept(void **state) {
    (void)state;
    start("{\"a\":0}");
    forget();
    struct change change = change_of("1", CHANGE_UPDATE, "{\"b\":1}");
    change.device_us = NOW + DAY;
    assert_int_equal(send_one(back(), change, OUTCOME_MERGED)->decision_id.size, 0);
    change = change_of("2", CHANGE_UPDATE, "{\"a\":1,\"c\":1}");
    change.device_us = NOW + DAY + 1;
    struct slice id = send_one(back(), change, OUTCOME_MERGED)->decision_id;
    expect_trip("{\"a\":1,\"b\":1,\"c\":1}", 3);
    struct conflict decided = kept(id);
    assert_int_equal(decided.resolution, RESOLUTION_CLIENT);
    assert_document(decided.server, "{\"a\":0,\"b\":1}");
    assert_document(decided.client, "{\"a\":1,\"b\":1,\"c\":1}");
    assert_int_equal(decided.decision_count, 1);
    assert_true(slice_equal(decided.decisions[0].reason, SLICE("older than the log")));
    assert_int_equal(decided.decisions[0].taken, RESOLUTION_CLIENT);
}

/* The device's change of what the tablet has changed, which reaches the service as the last. */
static void merge_from_phone(int64_t at_us, const char *json) {
    struct change change = change_of("m", CHANGE_UPDATE, json);
    change.device_us = at_us;
    send_one((struct sending){.device = "phone", .acknowledged = 1, .now_us = NOW + 3 * DAY},
             change, OUTCOME_MERGED);
}

static void the_last_of_others_is_not_the_last_that_came(void **state) {
    (void)state;
    start("{\"a\":0}");
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"a\":2}"), NOW + 2 * DAY);
    merge_from_phone(NOW + HOUR, "{\"b\":1}");
    memory_user_trim(&user, 1);
    struct change change = change_of("1", CHANGE_UPDATE, "{\"a\":1}");
    change.device_us = NOW + DAY;
    struct sending watch = back();
    watch.device = "watch";
    watch.acknowledged = 1;
    send_one(watch, change, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":1}", 3);
}

static void what_the_log_has_lost_may_be_newer(void **state) {
    (void)state;
    start("{\"a\":0}");
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"a\":2}"), NOW + 2 * DAY);
    merge_from_phone(NOW + HOUR, "{\"b\":1}");
    memory_user_trim(&user, 2);
    struct sending phone = back();
    phone.acknowledged = 0;
    struct change change = change_of("1", CHANGE_UPDATE, "{\"a\":1}");
    change.device_us = NOW + DAY;
    send_one(phone, change, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":1}", 3);
    change = change_of("2", CHANGE_DELETE, NULL);
    change.device_us = NOW + DAY + 1;
    send_one(phone, change, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":1}", 3);
    /* Of what it changed itself the log still has all. */
    change = change_of("3", CHANGE_UPDATE, "{\"b\":2,\"c\":2}");
    change.device_us = NOW + DAY + 2;
    phone.acknowledged = 3;
    send_one(phone, change, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":2,\"c\":2}", 4);
    /* That says nothing of what it did not touch. */
    change = change_of("4", CHANGE_UPDATE, "{\"a\":4}");
    change.device_us = NOW + DAY + 3;
    phone.acknowledged = 4;
    send_one(phone, change, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":2,\"c\":2}", 4);
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
    send_one(back(), third, OUTCOME_MERGED); /* it has acknowledged the first two meanwhile */
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

static void refused_memory_is_told(void **state) {
    (void)state;
    start("{\"a\":0}");
    by_tablet(change_of("t", CHANGE_UPDATE, "{\"b\":2}"), NOW + HOUR);
    merge_from_phone(NOW + 2 * HOUR, "{\"c\":1}");
    memory_user_trim(&user, 2);
    struct change change = change_of("1", CHANGE_UPDATE, "{\"c\":2}");
    change.device_us = NOW + DAY;
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = SLICE("phone"),
                                 .changes = &change,
                                 .count = 1,
                                 .forgotten_device_us = BACK - 30 * DAY};
    struct batch_context context = {.now_us = BACK,
                                    .forgotten_us = BACK - 30 * DAY,
                                    .random = &RANDOM,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_CLIENT};
    struct touched want;
    struct user_view view;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    for (size_t size = 0; status != SYNC_OK; size += 64) {
        struct arena small;
        struct write_set set;
        struct change_result *results;
        arena_init(&small, size);
        status = change_batch_apply(&view, &batch, &context, &small, &set, &results);
        assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
        if (!status)
            assert_int_equal(results->outcome, OUTCOME_MERGED);
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(a_replayed_create_of_what_was_deleted_brings_nothing_back),
        USER_TEST(a_replayed_update_does_not_undo_what_came_after_it),
        USER_TEST(a_replayed_deletion_does_not_delete_a_new_life),
        USER_TEST(a_replay_of_what_still_stands_changes_nothing),
        USER_TEST(a_deletion_that_is_the_last_word_counts),
        USER_TEST(what_the_last_word_overwrites_is_kept),
        USER_TEST(the_last_of_others_is_not_the_last_that_came),
        USER_TEST(what_the_log_has_lost_may_be_newer),
        USER_TEST(refused_memory_is_told),
        USER_TEST(unsent_changes_of_a_device_that_was_away_count_in_their_order),
        USER_TEST(a_device_that_has_seen_the_record_as_it_is_is_taken_at_its_word),
        USER_TEST(who_wants_to_be_asked_is_asked),
        USER_TEST(while_all_is_remembered_nothing_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
