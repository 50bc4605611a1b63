/* Deletions against changes of others. */
#include "tests/service/core/batch_sending.h"

static void updating_what_others_deleted_follows_the_strategy(void **state) {
    (void)state;
    static const struct {
        enum conflict_strategy strategy;
        enum change_outcome outcome;
        const char *json;
        uint64_t version;
    } CASES[] = {
        {STRATEGY_SERVER, OUTCOME_MERGED, NULL, 2},
        {STRATEGY_CLIENT, OUTCOME_MERGED, "{\"a\":1,\"b\":2}", 3},
        {STRATEGY_MERGE, OUTCOME_MERGED, "{\"a\":1,\"b\":2}", 3},
        {STRATEGY_MANUAL, OUTCOME_CONFLICT, NULL, 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        start("{\"a\":1,\"b\":1}");
        send_one(PHONE, change_of("2", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
        struct sending tablet = {
            .device = "tablet", .acknowledged = 1, .strategy = CASES[i].strategy};
        struct change_result *result =
            send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"b\":2}"), CASES[i].outcome);
        expect_trip(CASES[i].json, CASES[i].version);
        if (CASES[i].outcome != OUTCOME_CONFLICT)
            continue;
        struct conflict conflict = the_conflict(result);
        assert_int_equal(conflict.type, CONFLICT_UPDATE_DELETE);
        assert_true(conflict.has_base && conflict.has_client && !conflict.has_server);
        assert_document(conflict.base, "{\"a\":1,\"b\":1}");
        assert_document(conflict.client, "{\"a\":1,\"b\":2}");
        assert_int_equal(conflict.field_count, 1);
        assert_true(slice_equal(conflict.fields[0], SLICE("b")));
    }
}

static void deleting_what_others_changed_follows_the_strategy(void **state) {
    (void)state;
    static const struct {
        enum conflict_strategy strategy;
        enum change_outcome outcome;
        const char *json;
        uint64_t version;
    } CASES[] = {
        {STRATEGY_SERVER, OUTCOME_MERGED, "{\"a\":1,\"b\":2}", 2},
        {STRATEGY_CLIENT, OUTCOME_MERGED, NULL, 3},
        {STRATEGY_MERGE, OUTCOME_MERGED, "{\"a\":1,\"b\":2}", 2},
        {STRATEGY_MANUAL, OUTCOME_CONFLICT, "{\"a\":1,\"b\":2}", 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        start("{\"a\":1,\"b\":1}");
        send_one(PHONE, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_APPLIED);
        struct sending tablet = {
            .device = "tablet", .acknowledged = 1, .strategy = CASES[i].strategy};
        struct change_result *result =
            send_one(tablet, change_of("t", CHANGE_DELETE, NULL), CASES[i].outcome);
        expect_trip(CASES[i].json, CASES[i].version);
        if (CASES[i].outcome != OUTCOME_CONFLICT)
            continue;
        struct conflict conflict = the_conflict(result);
        assert_int_equal(conflict.type, CONFLICT_DELETE_UPDATE);
        assert_true(conflict.has_base && !conflict.has_client && conflict.has_server);
        assert_document(conflict.server, "{\"a\":1,\"b\":2}");
        assert_true(slice_equal(conflict.fields[0], SLICE("b")));
    }
}

/* What becomes of the trip when the tablet updates it, or deletes it, against the other of the
 * phone (or of a service, with `device` empty), under a policy of deletions. */
static void expect_deletion(enum delete_policy policy, const char *device, bool tablet_deletes,
                            bool is_tablet_later, enum change_outcome outcome, bool lives) {
    struct policy_set policies = {.deletes = {[DATA_TYPE_TRIP] = policy}};
    memory_user_done(&user);
    memory_user_init(&user);
    start("{\"a\":1,\"b\":1}");
    struct change deletion = change_of("d", CHANGE_DELETE, NULL);
    struct change update = change_of("u", CHANGE_UPDATE, "{\"b\":2}");
    struct change *first = tablet_deletes ? &update : &deletion;
    struct change *second = tablet_deletes ? &deletion : &update;
    (is_tablet_later ? first : second)->device_us -= 1000;
    send_one((struct sending){.device = device, .acknowledged = 1}, *first, OUTCOME_APPLIED);
    send_one((struct sending){.device = "tablet",
                              .acknowledged = 1,
                              .strategy = STRATEGY_MANUAL,
                              .policies = &policies},
             *second, outcome);
    assert_int_equal(!memory_user_find(&user, DATA_TYPE_TRIP, "t")->deleted, lives);
}

static void a_policy_of_deletions_goes_before_the_strategy(void **state) {
    (void)state;
    const enum change_outcome merged = OUTCOME_MERGED, waits = OUTCOME_CONFLICT;
    for (int later = 0; later < 2; later++) {
        expect_deletion(DELETE_POLICY_CLIENT, "phone", true, later, merged, false);
        expect_deletion(DELETE_POLICY_CLIENT, "phone", false, later, merged, true);
        expect_deletion(DELETE_POLICY_SERVER, "phone", true, later, merged, true);
        expect_deletion(DELETE_POLICY_SERVER, "phone", false, later, merged, false);
        expect_deletion(DELETE_POLICY_KEEP, "phone", true, later, merged, true);
        expect_deletion(DELETE_POLICY_KEEP, "phone", false, later, merged, true);
        expect_deletion(DELETE_POLICY_DELETE, "phone", true, later, merged, false);
        expect_deletion(DELETE_POLICY_DELETE, "phone", false, later, merged, false);
        expect_deletion(DELETE_POLICY_LATEST, "phone", true, later, merged, !later);
        expect_deletion(DELETE_POLICY_LATEST, "phone", false, later, merged, later);
        expect_deletion(DELETE_POLICY_SERVICE, "", true, later, merged, true);
        expect_deletion(DELETE_POLICY_SERVICE, "", false, later, merged, false);
        expect_deletion(DELETE_POLICY_SERVICE, "phone", true, later, waits, true);
        expect_deletion(DELETE_POLICY_SERVICE, "phone", false, later, waits, false);
        expect_deletion(DELETE_POLICY_MANUAL, "phone", true, later, waits, true);
        expect_deletion(DELETE_POLICY_MANUAL, "phone", false, later, waits, false);
        expect_deletion(DELETE_POLICY_NONE, "phone", false, later, waits, false);
    }
}

/* The phone makes the trip, the tablet deletes it, and retention forgets both. */
static void start_and_delete_long_ago(void) {
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
}

static void a_creation_behind_the_trimmed_log_is_in_dispute_with_the_deletion(void **state) {
    (void)state;
    static const struct {
        enum conflict_strategy strategy;
        enum change_outcome outcome;
        const char *json;
        uint64_t version;
    } CASES[] = {
        {STRATEGY_SERVER, OUTCOME_MERGED, NULL, 2},
        {STRATEGY_CLIENT, OUTCOME_MERGED, "{\"a\":1}", 3},
        {STRATEGY_MERGE, OUTCOME_MERGED, "{\"a\":1}", 3},
        {STRATEGY_MANUAL, OUTCOME_CONFLICT, NULL, 2},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        start_and_delete_long_ago();
        /* The phone never heard of its first sending, nor of the deletion. */
        struct sending phone = {.device = "phone", .strategy = CASES[i].strategy};
        struct change_result *result =
            send_one(phone, change_of("again", CHANGE_CREATE, "{\"a\":1}"), CASES[i].outcome);
        expect_trip(CASES[i].json, CASES[i].version);
        if (CASES[i].outcome == OUTCOME_CONFLICT)
            assert_int_equal(the_conflict(result).type, CONFLICT_UPDATE_DELETE);
        else
            assert_int_equal(the_decision(result).type, CONFLICT_UPDATE_DELETE);
    }
}

static void who_knows_of_a_deletion_makes_the_record_anew(void **state) {
    (void)state;
    start_and_delete_long_ago();
    struct sending laptop = {.device = "laptop", .acknowledged = 2, .strategy = STRATEGY_SERVER};
    send_one(laptop, change_of("l", CHANGE_CREATE, "{\"b\":1}"), OUTCOME_APPLIED);
    expect_trip("{\"b\":1}", 3);
}

static void a_device_makes_anew_what_it_deleted_itself(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet"};
    tablet.acknowledged = 1;
    send_one(tablet, change_of("1", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    send_one(tablet, change_of("2", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    tablet.strategy = STRATEGY_SERVER;
    send_one(tablet, change_of("3", CHANGE_CREATE, "{\"b\":1}"), OUTCOME_APPLIED);
    expect_trip("{\"b\":1}", 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(updating_what_others_deleted_follows_the_strategy),
        USER_TEST(deleting_what_others_changed_follows_the_strategy),
        USER_TEST(a_policy_of_deletions_goes_before_the_strategy),
        USER_TEST(a_creation_behind_the_trimmed_log_is_in_dispute_with_the_deletion),
        USER_TEST(who_knows_of_a_deletion_makes_the_record_anew),
        USER_TEST(a_device_makes_anew_what_it_deleted_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
