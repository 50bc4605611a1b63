/* What a change was made on, and what its base makes of it. */
#include "tests/service/core/batch_sending.h"

static void the_devices_own_queue_does_not_conflict_with_itself(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    /* The phone never acknowledged anything, and goes on in its own queue. */
    send_one(PHONE, change_of("2", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending tablet = {.device = "tablet", .acknowledged = 2};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    struct change_result *result =
        send_one(PHONE, change_of("3", CHANGE_UPDATE, "{\"a\":3}"), OUTCOME_MERGED);
    assert_int_equal(result->version, 4);
    expect_trip("{\"a\":3,\"b\":2}", 4);
    /* b is 1 for the phone: its own changes were kept in the base, the tablet's undone. */
    struct change_result *disputed =
        send_one(PHONE, change_of("4", CHANGE_UPDATE, "{\"a\":4,\"b\":4}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(disputed);
    assert_document(conflict.base, "{\"a\":3,\"b\":1}");
    assert_int_equal(conflict.field_count, 1);
    assert_true(slice_equal(conflict.fields[0], SLICE("b")));
}

static void a_new_life_of_the_devices_own_begins_from_nothing(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("1", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    struct sending phone = {.device = "phone", .acknowledged = 1};
    send_one(phone, change_of("2", CHANGE_CREATE, "{}"), OUTCOME_APPLIED);
    send_one(phone, change_of("3", CHANGE_UPDATE, "{\"b\":1}"), OUTCOME_APPLIED);
    tablet.acknowledged = 4;
    send_one(tablet, change_of("4", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    struct change_result *result =
        send_one(phone, change_of("5", CHANGE_UPDATE, "{\"b\":3}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_document(conflict.base, "{\"b\":1}");
    assert_document(conflict.client, "{\"b\":3}");
    assert_document(conflict.server, "{\"b\":2}");
}

static void a_base_version_counts_before_the_acknowledgement(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending laptop = {.device = "laptop"};
    struct change knowing = change_of("l", CHANGE_UPDATE, "{\"a\":3}");
    knowing.base_version = 2;
    send_one(laptop, knowing, OUTCOME_APPLIED);
    struct sending desk = {.device = "desk", .acknowledged = 3};
    struct change late = change_of("d", CHANGE_UPDATE, "{\"a\":4}");
    late.base_version = 2;
    send_one(desk, late, OUTCOME_CONFLICT);
}

static void a_base_version_that_was_never_given_out_is_rejected(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    static const enum change_kind KINDS[] = {CHANGE_CREATE, CHANGE_UPDATE, CHANGE_DELETE};
    static const char *const IDS[] = {"1", "2", "3"};
    for (size_t i = 0; i < 3; i++) {
        struct change ahead =
            change_of(IDS[i], KINDS[i], KINDS[i] == CHANGE_DELETE ? NULL : "{\"a\":3}");
        ahead.base_version = 3;
        struct change_result *results = send(PHONE, &ahead, 1, NULL);
        assert_int_equal(results[0].outcome, OUTCOME_REJECTED);
        assert_string_equal(results[0].reason, "BASE_VERSION_AHEAD");
        assert_true(slice_equal(results[0].field, SLICE("baseVersion")));
    }
    expect_trip("{\"a\":2}", 2);
}

static void without_any_base_what_differs_conflicts(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet"};
    struct change_result *result =
        send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_false(conflict.has_base);
    assert_document(conflict.client, "{\"a\":2,\"b\":1}");
    struct change_result *added =
        send_one((struct sending){.device = "watch"}, change_of("t2", CHANGE_UPDATE, "{\"c\":2}"),
                 OUTCOME_MERGED);
    assert_int_equal(added->version, 2);
    expect_trip("{\"a\":1,\"b\":1,\"c\":2}", 2);
}

static void behind_the_trimmed_log_the_base_is_unknown(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("1", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    send_one(tablet, change_of("2", CHANGE_UPDATE, "{\"b\":3}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change_result *result =
        send_one(laptop, change_of("l", CHANGE_UPDATE, "{\"a\":9}"), OUTCOME_CONFLICT);
    assert_false(the_conflict(result).has_base);
    memory_user_trim(&user, 3);
    struct sending watch = {.device = "watch", .acknowledged = 1};
    result = send_one(watch, change_of("m", CHANGE_UPDATE, "{\"a\":8}"), OUTCOME_CONFLICT);
    assert_false(the_conflict(result).has_base);
    struct sending fresh = {.device = "fresh", .acknowledged = 3};
    send_one(fresh, change_of("n", CHANGE_UPDATE, "{\"a\":7}"), OUTCOME_APPLIED);
}

static void behind_the_trimmed_log_the_clients_side_keeps_what_it_does_not_speak_of(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1,\"o\":{\"x\":1,\"y\":1}}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("1", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change_result *result = send_one(
        laptop, change_of("l", CHANGE_UPDATE, "{\"a\":9,\"o\":{\"x\":null}}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_document(conflict.client, "{\"a\":9,\"b\":2,\"o\":{\"y\":1}}");
    assert_int_equal(conflict.field_count, 2);
}

/* What the laptop removes, far behind the log, and what the service has of it. */
static void remove_behind_the_log(enum conflict_strategy strategy, struct conflict *ret_decided) {
    start("{\"a\":1,\"b\":1,\"o\":{\"x\":1,\"y\":1}}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("1", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    struct sending laptop = {.device = "laptop", .acknowledged = 1, .strategy = strategy};
    const char *patch = "{\"a\":null,\"n\":null,\"o\":{\"m\":null,\"x\":null}}";
    struct change_result *result =
        send_one(laptop, change_of("l", CHANGE_UPDATE, patch), OUTCOME_MERGED);
    *ret_decided = the_decision(result);
}

static void a_removal_behind_the_trimmed_log_is_in_dispute(void **state) {
    (void)state;
    struct conflict decided;
    remove_behind_the_log(STRATEGY_SERVER, &decided);
    expect_trip("{\"a\":1,\"b\":2,\"o\":{\"x\":1,\"y\":1}}", 2);
    assert_int_equal(decided.field_count, 2);
    assert_true(slice_equal(decided.fields[0], SLICE("a")));
    assert_true(slice_equal(decided.fields[1], SLICE("o.x")));
    assert_false(decided.has_base);
}

static void a_removal_behind_the_trimmed_log_can_win(void **state) {
    (void)state;
    struct conflict decided;
    remove_behind_the_log(STRATEGY_CLIENT, &decided);
    expect_trip("{\"b\":2,\"o\":{\"y\":1}}", 3);
    assert_int_equal(decided.field_count, 2);
}

static void a_removal_by_a_device_that_acknowledged_nothing_is_in_dispute(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct change_result *result =
        send_one((struct sending){.device = "tablet", .strategy = STRATEGY_SERVER},
                 change_of("t", CHANGE_UPDATE, "{\"a\":null}"), OUTCOME_MERGED);
    assert_int_equal(the_decision(result).field_count, 1);
    expect_trip("{\"a\":1,\"b\":1}", 1);
}

static void a_change_whose_base_is_known_keeps_it_beside_one_behind_the_trimmed_log(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("1", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
    send_one(tablet, change_of("2", CHANGE_UPDATE, "{\"b\":3}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    struct sending laptop = {.device = "laptop", .acknowledged = 1, .strategy = STRATEGY_SERVER};
    struct change changes[] = {change_of("l", CHANGE_UPDATE, "{\"c\":1}"),
                               change_of("m", CHANGE_UPDATE, "{\"a\":9}")};
    changes[1].base_version = 2;
    struct change_result *results = send(laptop, changes, 2, NULL);
    assert_int_equal(results[1].outcome, OUTCOME_MERGED);
    expect_trip("{\"a\":9,\"b\":3,\"c\":1}", 5);
}

static void a_field_that_was_changed_long_ago_yields_to_a_later_change(void **state) {
    (void)state;
    enum { CHANGES = 150, STEP_US = 1000 };
    const int64_t BEGIN = NOW - 1000000;
    start("{\"a\":1,\"b\":0}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    for (int i = 1; i <= CHANGES; i++) {
        struct change change = change_of(arena_format(&arena, "t%d", i), CHANGE_UPDATE,
                                         arena_format(&arena, "{\"b\":%d}", i));
        change.device_us = BEGIN + i * STEP_US;
        send_one(tablet, change, OUTCOME_APPLIED);
    }
    struct sending laptop = {.device = "laptop", .acknowledged = 1, .strategy = STRATEGY_MERGE};
    struct change later = change_of("l", CHANGE_UPDATE, "{\"a\":3,\"b\":-1}");
    later.device_us = BEGIN + (CHANGES - 1) * STEP_US;
    send_one(laptop, later, OUTCOME_MERGED);
    char *json = arena_format(&arena, "{\"a\":3,\"b\":%d}", CHANGES);
    expect_trip(json, CHANGES + 3);
}

/* The tablet changes an array, a set and a text, and so does the laptop, twice, on what it had. */
static void edit_twice_beside_others(bool in_one_batch) {
    start(
        "{\"legs\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"x\"}],\"notes\":\"one two three four\","
        "\"tags\":[\"p\",\"q\"]}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE,
                       "{\"legs\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}],"
                       "\"notes\":\"one two three four five\",\"tags\":[\"q\",\"r\"]}"),
             OUTCOME_APPLIED);
    const struct change changes[] = {
        change_of("1", CHANGE_UPDATE,
                  "{\"legs\":[{\"id\":\"a\",\"seat\":1},{\"id\":\"b\"},{\"id\":\"x\"}],"
                  "\"notes\":\"zero one two three four\",\"tags\":[\"p\",\"q\",\"s\"]}"),
        change_of("2", CHANGE_UPDATE,
                  "{\"legs\":[{\"id\":\"a\",\"seat\":2},{\"id\":\"b\"},{\"id\":\"x\"}],"
                  "\"notes\":\"zero one three four\",\"tags\":[\"p\",\"q\",\"s\",\"t\"]}"),
    };
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    for (size_t i = 0; i < 2; i += in_one_batch ? 2 : 1) {
        struct change_result *results = send(laptop, &changes[i], in_one_batch ? 2 : 1, NULL);
        assert_int_equal(results[0].outcome, OUTCOME_MERGED);
    }
    expect_trip("{\"legs\":[{\"id\":\"a\",\"seat\":2},{\"id\":\"b\"},{\"id\":\"c\"}],"
                "\"notes\":\"zero one three four five\",\"tags\":[\"q\",\"r\",\"s\",\"t\"]}",
                4);
}

static void two_edits_beside_others_take_only_their_own_part(void **state) {
    edit_twice_beside_others(false);
    tear_down(state);
    set_up(state);
    edit_twice_beside_others(true);
}

static void an_edit_of_what_two_made_takes_only_its_own_part(void **state) {
    (void)state;
    start("{\"legs\":[{\"id\":\"a\",\"seat\":1},{\"id\":\"b\"}],\"tags\":[\"p\"]}");
    struct sending laptop = {.device = "laptop", .strategy = STRATEGY_CLIENT};
    send_one(laptop,
             change_of("1", CHANGE_CREATE,
                       "{\"legs\":[{\"id\":\"a\",\"seat\":2},{\"id\":\"c\"}],\"tags\":[\"q\"]}"),
             OUTCOME_MERGED);
    send_one(
        laptop,
        change_of("2", CHANGE_UPDATE,
                  "{\"legs\":[{\"id\":\"a\",\"seat\":3},{\"id\":\"c\"}],\"tags\":[\"q\",\"r\"]}"),
        OUTCOME_MERGED);
    expect_trip("{\"legs\":[{\"id\":\"a\",\"seat\":3},{\"id\":\"b\"},{\"id\":\"c\"}],"
                "\"tags\":[\"p\",\"q\",\"r\"]}",
                3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(the_devices_own_queue_does_not_conflict_with_itself),
        USER_TEST(a_new_life_of_the_devices_own_begins_from_nothing),
        USER_TEST(a_base_version_counts_before_the_acknowledgement),
        USER_TEST(a_base_version_that_was_never_given_out_is_rejected),
        USER_TEST(without_any_base_what_differs_conflicts),
        USER_TEST(behind_the_trimmed_log_the_base_is_unknown),
        USER_TEST(behind_the_trimmed_log_the_clients_side_keeps_what_it_does_not_speak_of),
        USER_TEST(a_removal_behind_the_trimmed_log_is_in_dispute),
        USER_TEST(a_removal_behind_the_trimmed_log_can_win),
        USER_TEST(a_removal_by_a_device_that_acknowledged_nothing_is_in_dispute),
        USER_TEST(a_change_whose_base_is_known_keeps_it_beside_one_behind_the_trimmed_log),
        USER_TEST(a_field_that_was_changed_long_ago_yields_to_a_later_change),
        USER_TEST(two_edits_beside_others_take_only_their_own_part),
        USER_TEST(an_edit_of_what_two_made_takes_only_its_own_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
