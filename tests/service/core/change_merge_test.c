/* Changes of records that others changed too: what is merged, and what waits for the user. */
#include "tests/service/core/batch_sending.h"

static void concurrent_edits_of_two_fields_keep_both(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct change_result *result =
        send_one(PHONE, change_of("p", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_MERGED);
    assert_int_equal(result->version, 3);
    expect_trip("{\"a\":2,\"b\":2}", 3);
}

static void concurrent_edits_of_one_field_follow_the_strategy(void **state) {
    (void)state;
    static const struct {
        enum conflict_strategy strategy;
        int64_t device_us;
        const char *json;
        uint64_t version;
    } CASES[] = {
        {STRATEGY_SERVER, NOW, "{\"a\":2,\"b\":1}", 2},
        {STRATEGY_CLIENT, NOW - 5000000, "{\"a\":3,\"b\":1}", 3},
        {STRATEGY_MERGE, NOW - 500000, "{\"a\":3,\"b\":1}", 3},
        {STRATEGY_MERGE, NOW - 5000000, "{\"a\":2,\"b\":1}", 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        start("{\"a\":1,\"b\":1}");
        struct sending tablet = {.device = "tablet", .acknowledged = 1};
        send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
        struct sending laptop = {
            .device = "laptop", .acknowledged = 1, .strategy = CASES[i].strategy};
        struct change change = change_of("l", CHANGE_UPDATE, "{\"a\":3}");
        change.device_us = CASES[i].device_us;
        struct change_result *result = send_one(laptop, change, OUTCOME_MERGED);
        assert_int_equal(result->version, CASES[i].version);
        expect_trip(CASES[i].json, CASES[i].version);
    }
}

static void both_setting_the_same_value_is_no_conflict(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change_result *result =
        send_one(laptop, change_of("l", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    assert_int_equal(result->version, 2);
    expect_trip("{\"a\":2}", 2);
}

static void an_undecided_field_waits_in_the_inbox(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1,\"c\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2,\"c\":2}"), OUTCOME_APPLIED);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change_result *result =
        send_one(laptop, change_of("l", CHANGE_UPDATE, "{\"a\":3,\"b\":3}"), OUTCOME_CONFLICT);
    assert_int_equal(result->version, 2);
    assert_int_equal(user.head.conflicts_open, 1);
    assert_int_equal(user.head.sequence, 2);
    expect_trip("{\"a\":2,\"b\":1,\"c\":2}", 2);
    struct conflict conflict = the_conflict(result);
    assert_int_equal(conflict.type, CONFLICT_UPDATE_UPDATE);
    assert_true(slice_equal(conflict.device, SLICE("laptop")));
    assert_true(slice_equal(conflict.change_id, SLICE("l")));
    assert_true(conflict.has_base && conflict.has_client && conflict.has_server);
    assert_document(conflict.base, "{\"a\":1,\"b\":1,\"c\":1}");
    assert_document(conflict.client, "{\"a\":3,\"b\":3,\"c\":1}");
    assert_document(conflict.server, "{\"a\":2,\"b\":1,\"c\":2}");
    assert_document(conflict.suggested, "{\"a\":2,\"b\":3,\"c\":2}");
    assert_int_equal(conflict.field_count, 1);
    assert_true(slice_equal(conflict.fields[0], SLICE("a")));
    assert_int_equal(conflict.server_version, 2);
    assert_int_equal(conflict.detected_us, NOW);
    assert_int_equal(conflict.resolved_us, 0);
}

static void changes_behind_a_services_conflict_are_not_kept_and_may_be_sent_again(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending service = {.device = "", .acknowledged = 1};
    struct change changes[] = {change_of("1", CHANGE_UPDATE, "{\"a\":3}"),
                               change_of("2", CHANGE_UPDATE, "{\"b\":3}"),
                               change_of("3", CHANGE_CREATE, "{\"x\":1}")};
    changes[2].data_id = SLICE("another");
    for (int time = 0; time < 2; time++) {
        struct change_result *results = send(service, changes, 3, NULL);
        assert_int_equal(results[0].outcome, OUTCOME_CONFLICT);
        assert_int_equal(results[1].outcome, OUTCOME_BLOCKED);
        assert_string_equal(results[1].reason, "BLOCKED_BY");
        assert_true(slice_equal(results[1].message, SLICE("It waits behind the change \"1\".")));
        assert_false(results[1].duplicate);
        assert_int_equal(results[2].outcome, OUTCOME_APPLIED);
    }
}

static void creating_what_exists_merges_as_an_update(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet", .strategy = STRATEGY_CLIENT};
    send_one(tablet, change_of("t", CHANGE_CREATE, "{\"a\":1,\"c\":1}"), OUTCOME_MERGED);
    expect_trip("{\"a\":1,\"b\":1,\"c\":1}", 2);
    tablet.strategy = STRATEGY_MANUAL;
    struct change_result *result =
        send_one(tablet, change_of("t2", CHANGE_CREATE, "{\"a\":2}"), OUTCOME_CONFLICT);
    assert_false(the_conflict(result).has_base);
    struct sending watch = {.device = "watch"};
    send_one(watch, change_of("t3", CHANGE_CREATE, "{\"a\":1,\"b\":1,\"c\":1}"), OUTCOME_APPLIED);
}

static void many_conflicting_changes_of_one_record_stay_cheap(void **state) {
    (void)state;
    start("{\"a\":0,\"b\":0}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    for (int i = 0; i < 50; i++)
        send_one(tablet,
                 change_of(arena_format(&arena, "t%d", i), CHANGE_UPDATE,
                           arena_format(&arena, "{\"a\":%d}", i + 1)),
                 OUTCOME_APPLIED);
    static struct change changes[BATCH_CHANGES_MAX];
    for (int i = 0; i < BATCH_CHANGES_MAX; i++)
        changes[i] = change_of(arena_format(&arena, "l%d", i), CHANGE_UPDATE,
                               arena_format(&arena, "{\"b\":%d}", i + 1));
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change_result *results = send(laptop, changes, BATCH_CHANGES_MAX, NULL);
    for (int i = 0; i < BATCH_CHANGES_MAX; i++)
        assert_int_equal(results[i].outcome, OUTCOME_MERGED);
    expect_trip("{\"a\":50,\"b\":1000}", 1051);
}

static void the_inbox_has_a_bound_and_the_change_may_come_again(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet"};
    user.head.conflicts_open = USER_CONFLICTS_OPEN_MAX;
    struct change change = change_of("t", CHANGE_UPDATE, "{\"a\":2}");
    struct change_result *result = send_one(tablet, change, OUTCOME_REJECTED);
    assert_string_equal(result->reason, "CONFLICTS_EXHAUSTED");
    user.head.conflicts_open = 0;
    send_one(tablet, change, OUTCOME_CONFLICT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(concurrent_edits_of_two_fields_keep_both),
        USER_TEST(concurrent_edits_of_one_field_follow_the_strategy),
        USER_TEST(both_setting_the_same_value_is_no_conflict),
        USER_TEST(an_undecided_field_waits_in_the_inbox),
        USER_TEST(changes_behind_a_services_conflict_are_not_kept_and_may_be_sent_again),
        USER_TEST(creating_what_exists_merges_as_an_update),
        USER_TEST(many_conflicting_changes_of_one_record_stay_cheap),
        USER_TEST(the_inbox_has_a_bound_and_the_change_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
