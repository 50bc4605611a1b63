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

static void changes_behind_a_conflict_wait_and_may_be_sent_again(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change changes[] = {change_of("1", CHANGE_UPDATE, "{\"a\":3}"),
                               change_of("2", CHANGE_UPDATE, "{\"b\":3}"),
                               change_of("3", CHANGE_CREATE, "{\"x\":1}")};
    changes[2].data_id = SLICE("another");
    struct change_result *results = send(laptop, changes, 3, NULL);
    assert_int_equal(results[0].outcome, OUTCOME_CONFLICT);
    assert_int_equal(results[1].outcome, OUTCOME_BLOCKED);
    assert_string_equal(results[1].reason, "BLOCKED_BY");
    assert_true(slice_equal(results[1].message, SLICE("It waits behind the change \"1\".")));
    assert_int_equal(results[2].outcome, OUTCOME_APPLIED);
    struct change_result *alone = send_one(laptop, changes[1], OUTCOME_BLOCKED);
    assert_false(alone->duplicate);
}

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

static void without_any_base_what_differs_conflicts(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet"};
    struct change_result *result =
        send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_false(conflict.has_base);
    assert_document(conflict.client, "{\"a\":2}");
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

/* What was decided without the user; it must be there, and as resolved. */
static struct conflict the_decision(const struct change_result *result) {
    struct conflict decided;
    struct slice key;
    assert_int_equal(result->outcome, OUTCOME_MERGED);
    assert_int_equal(result->conflict_id.size, 0);
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, result->decision_id);
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &decided), SYNC_OK);
    assert_int_equal(conflict_index_key(SLICE("u"), true, result->decision_id, &arena, &key),
                     SYNC_OK);
    assert_non_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, key));
    assert_true(decided.resolved_us == NOW && decided.decision_count > 0);
    assert_int_equal(decided.server.size + decided.client.size + decided.base.size, 0);
    struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
    assert_int_equal(conflict_expand(&decided, record->data, &arena), SYNC_OK);
    assert_int_equal(decided.resolved_version, result->version);
    assert_int_equal(user.head.conflicts_open, 0);
    return decided;
}

static void expect_decision(const struct conflict *decided, size_t i, const char *field,
                            const char *reason, enum resolution taken) {
    assert_true(i < decided->decision_count);
    assert_true(slice_equal(decided->decisions[i].field, slice_text(field)));
    assert_true(slice_equal(decided->decisions[i].reason, slice_text(reason)));
    assert_int_equal(decided->decisions[i].taken, taken);
}

static void what_is_decided_without_the_user_is_kept_with_its_reason(void **state) {
    (void)state;
    static const struct policy_rule RULES[] = {{DATA_TYPE_TRIP, "s", FIELD_POLICY_SERVER},
                                               {DATA_TYPE_TRIP, "t", FIELD_POLICY_UNION}};
    const struct policy_set policies = {.rules = RULES, .count = 2};
    start("{\"m\":1,\"o\":1,\"s\":1,\"t\":[]}");
    send_one(PHONE, change_of("2", CHANGE_UPDATE, "{\"m\":2,\"s\":2,\"t\":[1]}"), OUTCOME_APPLIED);
    struct sending tablet = {
        .device = "tablet", .acknowledged = 1, .strategy = STRATEGY_CLIENT, .policies = &policies};
    struct change change = change_of("t", CHANGE_UPDATE, "{\"m\":3,\"o\":3,\"s\":3,\"t\":[2]}");
    struct change_result *result = send_one(tablet, change, OUTCOME_MERGED);
    struct conflict decided = the_decision(result);
    assert_int_equal(decided.decision_count, 3);
    expect_decision(&decided, 0, "m", "strategy client", RESOLUTION_CLIENT);
    expect_decision(&decided, 1, "s", "policy server", RESOLUTION_SERVER);
    expect_decision(&decided, 2, "t", "policy union", RESOLUTION_MERGE);
    assert_int_equal(decided.resolution, RESOLUTION_MERGE);
    assert_document(decided.server, "{\"m\":2,\"o\":1,\"s\":2,\"t\":[1]}");
    assert_document(decided.client, "{\"m\":3,\"o\":3,\"s\":3,\"t\":[2]}");
    assert_document(decided.merged, "{\"m\":3,\"o\":3,\"s\":2,\"t\":[1,2]}");
    /* Sent again it is told again; fields of one side alone are no decision. */
    result = send(tablet, &change, 1, NULL);
    assert_true(result->duplicate && slice_equal(result->decision_id, decided.id));
    result = send_one(PHONE, change_of("3", CHANGE_UPDATE, "{\"new\":1}"), OUTCOME_MERGED);
    assert_int_equal(result->decision_id.size, 0);
}

static void a_deletion_decided_without_the_user_is_kept_too(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one(PHONE, change_of("2", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    struct sending tablet = {.device = "tablet", .acknowledged = 1, .strategy = STRATEGY_SERVER};
    struct conflict decided =
        the_decision(send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_MERGED));
    expect_decision(&decided, 0, "", "strategy server", RESOLUTION_SERVER);
    assert_int_equal(decided.type, CONFLICT_UPDATE_DELETE);
    assert_int_equal(decided.resolution, RESOLUTION_SERVER);
    assert_document(decided.client, "{\"a\":2}");
    assert_false(decided.has_server);
}

static void a_decision_about_a_small_part_of_a_large_record_is_small(void **state) {
    (void)state;
    char *text = arena_alloc(&arena, 100001);
    assert_non_null(text);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    start(arena_format(&arena, "{\"a\":1,\"large\":\"%s\"}", text));
    send_one(PHONE, change_of("2", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending tablet = {.device = "tablet", .acknowledged = 1, .strategy = STRATEGY_CLIENT};
    struct change_result *result =
        send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":3}"), OUTCOME_MERGED);
    assert_true(memory_user_row(&user, TABLE_CONFLICT, result->decision_id)->value.size < 400);
    the_decision(result);
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
        USER_TEST(changes_behind_a_conflict_wait_and_may_be_sent_again),
        USER_TEST(the_devices_own_queue_does_not_conflict_with_itself),
        USER_TEST(a_new_life_of_the_devices_own_begins_from_nothing),
        USER_TEST(a_base_version_counts_before_the_acknowledgement),
        USER_TEST(a_base_version_that_was_never_given_out_is_rejected),
        USER_TEST(without_any_base_what_differs_conflicts),
        USER_TEST(behind_the_trimmed_log_the_base_is_unknown),
        USER_TEST(a_change_whose_base_is_known_keeps_it_beside_one_behind_the_trimmed_log),
        USER_TEST(creating_what_exists_merges_as_an_update),
        USER_TEST(updating_what_others_deleted_follows_the_strategy),
        USER_TEST(deleting_what_others_changed_follows_the_strategy),
        USER_TEST(a_policy_of_deletions_goes_before_the_strategy),
        USER_TEST(what_is_decided_without_the_user_is_kept_with_its_reason),
        USER_TEST(a_deletion_decided_without_the_user_is_kept_too),
        USER_TEST(a_decision_about_a_small_part_of_a_large_record_is_small),
        USER_TEST(many_conflicting_changes_of_one_record_stay_cheap),
        USER_TEST(a_field_that_was_changed_long_ago_yields_to_a_later_change),
        USER_TEST(the_inbox_has_a_bound_and_the_change_may_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
