/* What is decided without the user: kept, with its reason. */
#include "tests/service/core/batch_sending.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(what_is_decided_without_the_user_is_kept_with_its_reason),
        USER_TEST(a_deletion_decided_without_the_user_is_kept_too),
        USER_TEST(a_decision_about_a_small_part_of_a_large_record_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
