#include "service/core/merge.h"

#include "tests/base/memory_walk.h"
#include "tests/service/core/test_arena.h"

/* Rules of the tests' own, one of each kind. */
static const struct policy_rule RULES[] = {
    {DATA_TYPE_TRIP, "client", FIELD_POLICY_CLIENT},
    {DATA_TYPE_TRIP, "server", FIELD_POLICY_SERVER},
    {DATA_TYPE_TRIP, "latest", FIELD_POLICY_LATEST},
    {DATA_TYPE_TRIP, "max", FIELD_POLICY_MAX},
    {DATA_TYPE_TRIP, "min", FIELD_POLICY_MIN},
    {DATA_TYPE_TRIP, "union", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "manual", FIELD_POLICY_MANUAL},
    {DATA_TYPE_TRIP, "o.*.w", FIELD_POLICY_CLIENT},
    {DATA_TYPE_TRIP, "text", FIELD_POLICY_TEXT},
    {DATA_TYPE_TRIP, "keyed", FIELD_POLICY_KEYED},
};
static const struct policy_set POLICIES = {.rules = RULES, .count = sizeof RULES / sizeof *RULES};

static struct merge_result merge_by(enum conflict_strategy strategy, const char *base,
                                    const char *ours, const char *theirs) {
    struct merge_input input = {.type = DATA_TYPE_TRIP,
                                .base = doc(base),
                                .ours = doc(ours),
                                .theirs = doc(theirs),
                                .ours_us = 1000,
                                .theirs_us = 2000};
    struct merge_result result;
    assert_int_equal(conflict_merge(&input, &POLICIES, strategy, &arena, &result), SYNC_OK);
    struct slice again;
    assert_int_equal(document_normalize(result.document, &arena, NULL, &again), SYNC_OK);
    assert_ptr_equal(again.data, result.document.data);
    return result;
}

static struct merge_result merge(const char *base, const char *ours, const char *theirs) {
    return merge_by(STRATEGY_MANUAL, base, ours, theirs);
}

static void expect_path(const struct merge_result *result, size_t i, const char *path) {
    assert_true(i < result->decision_count);
    assert_true(slice_equal(result->decisions[i].path, slice_text(path)));
}

static void what_one_side_changed_is_taken(void **state) {
    (void)state;
    struct merge_result result =
        merge("{\"a\":1,\"b\":1,\"c\":1,\"d\":1}", "{\"a\":2,\"b\":1,\"d\":1,\"e\":1}",
              "{\"a\":1,\"b\":2,\"c\":1,\"f\":1}");
    assert_document(result.document, "{\"a\":2,\"b\":2,\"e\":1,\"f\":1}");
    assert_int_equal(result.decision_count, 0);
    assert_true(result.took_ours && result.took_theirs);
}

static void equal_sides_need_no_decision(void **state) {
    (void)state;
    struct merge_result result = merge("{\"a\":1,\"b\":{\"c\":1}}", "{\"b\":{\"c\":2},\"n\":[1]}",
                                       "{\"b\":{\"c\":2},\"n\":[1]}");
    assert_document(result.document, "{\"b\":{\"c\":2},\"n\":[1]}");
    assert_false(result.took_ours || result.took_theirs);
    assert_int_equal(result.decision_count, 0);
}

static void objects_merge_by_member(void **state) {
    (void)state;
    struct merge_result result = merge("{\"o\":{\"x\":1,\"y\":{\"z\":1,\"w\":1}}}",
                                       "{\"o\":{\"x\":2,\"y\":{\"z\":2,\"w\":1}}}",
                                       "{\"o\":{\"x\":1,\"y\":{\"z\":3,\"w\":3},\"n\":1}}");
    assert_document(result.document, "{\"o\":{\"n\":1,\"x\":2,\"y\":{\"w\":3,\"z\":2}}}");
    assert_int_equal(result.undecided_count, 1);
    expect_path(&result, 0, "o.y.z");
    /* Both made the object anew. */
    result = merge("{}", "{\"o\":{\"x\":1}}", "{\"o\":{\"y\":1}}");
    assert_document(result.document, "{\"o\":{\"x\":1,\"y\":1}}");
}

static void a_removal_against_a_change_is_a_dispute(void **state) {
    (void)state;
    struct merge_result result =
        merge_by(STRATEGY_CLIENT, "{\"a\":1,\"b\":1}", "{\"a\":2}", "{\"b\":2}");
    assert_document(result.document, "{\"b\":2}");
    assert_int_equal(result.decision_count, 2);
    result = merge_by(STRATEGY_SERVER, "{\"a\":1,\"b\":1}", "{\"a\":2}", "{\"b\":2}");
    assert_document(result.document, "{\"a\":2}");
}

static void policies_decide_before_the_strategy(void **state) {
    (void)state;
    struct merge_result result = merge("{\"client\":0,\"latest\":0,\"manual\":0,\"max\":0,\"min\":"
                                       "0,\"o\":{\"k\":{\"w\":0}},\"server\":0}",
                                       "{\"client\":1,\"latest\":1,\"manual\":1,\"max\":9,\"min\":"
                                       "9,\"o\":{\"k\":{\"w\":1}},\"server\":1}",
                                       "{\"client\":2,\"latest\":2,\"manual\":2,\"max\":8,\"min\":"
                                       "8,\"o\":{\"k\":{\"w\":2}},\"server\":2}");
    assert_document(result.document, "{\"client\":2,\"latest\":2,\"manual\":1,\"max\":9,\"min\":8,"
                                     "\"o\":{\"k\":{\"w\":2}},\"server\":1}");
    assert_int_equal(result.decision_count, 7);
    assert_int_equal(result.undecided_count, 1);
    static const char *const PATHS[] = {"client", "latest", "manual", "max",
                                        "min",    "o.k.w",  "server"};
    for (size_t i = 0; i < 7; i++) {
        expect_path(&result, i, PATHS[i]);
        assert_int_equal(result.decisions[i].undecided, i == 2);
    }
    assert_int_equal(result.decisions[4].policy, FIELD_POLICY_MIN);
    assert_true(result.decisions[4].took_theirs);
}

static void times_and_text_have_an_order_other_values_go_to_the_strategy(void **state) {
    (void)state;
    struct merge_result result =
        merge_by(STRATEGY_CLIENT, "{}", "{\"max\":\"2026-01-01\",\"min\":1}",
                 "{\"max\":\"2025-01-01\",\"min\":\"x\"}");
    assert_document(result.document, "{\"max\":\"2026-01-01\",\"min\":\"x\"}");
    assert_int_equal(result.decisions[1].policy, FIELD_POLICY_NONE);
}

static void lists_as_sets_keep_additions_and_removals(void **state) {
    (void)state;
    struct merge_result result =
        merge("{\"union\":[\"a\",\"b\",\"c\"]}", "{\"union\":[\"a\",\"c\",\"d\"]}",
              "{\"union\":[\"b\",\"c\",\"e\",\"d\",\"e\"]}");
    assert_document(result.document, "{\"union\":[\"c\",\"d\",\"e\"]}");
    assert_int_equal(result.undecided_count, 0);
    result = merge_by(STRATEGY_CLIENT, "{\"union\":[1]}", "{\"union\":[2]}", "{\"union\":3}");
    assert_document(result.document, "{\"union\":3}");
}

static void lists_of_objects_merge_by_id(void **state) {
    (void)state;
    struct merge_result result = merge(
        "{\"l\":[{\"id\":1,\"v\":1},{\"id\":\"b\",\"v\":1},{\"id\":\"c\",\"v\":1},{\"id\":\"d\","
        "\"v\":1}]}",
        "{\"l\":[{\"id\":\"n\"},{\"id\":1,\"v\":2},{\"id\":\"b\",\"v\":1},{\"id\":\"d\",\"v\":1}]}",
        "{\"l\":[{\"id\":1,\"v\":1,\"w\":1},{\"id\":\"b\",\"v\":3},{\"id\":\"c\",\"v\":1},{\"id\":"
        "\"m\"}]}");
    assert_document(result.document, "{\"l\":[{\"id\":\"n\"},{\"id\":1,\"v\":2,\"w\":1},"
                                     "{\"id\":\"b\",\"v\":3},{\"id\":\"m\"}]}");
    assert_int_equal(result.decision_count, 0);
}

static void a_dispute_inside_an_element_names_its_id(void **state) {
    (void)state;
    struct merge_result result = merge("{\"l\":[{\"id\":\"x\",\"v\":1},{\"id\":\"y\"}]}",
                                       "{\"l\":[{\"id\":\"x\",\"v\":2},{\"id\":\"y\",\"z\":1}]}",
                                       "{\"l\":[{\"id\":\"x\",\"v\":3}]}");
    assert_document(result.document, "{\"l\":[{\"id\":\"x\",\"v\":2},{\"id\":\"y\",\"z\":1}]}");
    assert_int_equal(result.undecided_count, 2);
    expect_path(&result, 0, "l.x.v");
    expect_path(&result, 1, "l.y");
}

static void other_lists_are_one_value(void **state) {
    (void)state;
    static const char *const CASES[][3] = {
        {"{\"l\":[1]}", "{\"l\":[1,2]}", "{\"l\":[1,3]}"},
        {"{\"l\":[]}", "{\"l\":[{\"id\":1},{\"id\":1}]}", "{\"l\":[{\"id\":2}]}"},
        {"{\"l\":[]}", "{\"l\":[{\"id\":1},{\"no\":1}]}", "{\"l\":[{\"id\":2}]}"},
        {"{\"l\":[]}", "{\"l\":[{\"id\":null}]}", "{\"l\":[{\"id\":2}]}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct merge_result result = merge(CASES[i][0], CASES[i][1], CASES[i][2]);
        assert_document(result.document, CASES[i][1]);
        assert_int_equal(result.undecided_count, 1);
        expect_path(&result, 0, "l");
    }
}

static void the_time_of_a_field_is_that_of_its_own_change(void **state) {
    (void)state;
    struct log_entry newer = {.corrected_us = 3000}, older = {.corrected_us = 1000};
    assert_int_equal(delta_between(doc("{\"b\":2}"), doc("{\"b\":1}"), &arena, &newer.undo),
                     SYNC_OK);
    assert_int_equal(
        delta_between(doc("{\"a\":{\"x\":2}}"), doc("{\"a\":{\"x\":1}}"), &arena, &older.undo),
        SYNC_OK);
    const struct log_entry *log[] = {&newer, &older};
    struct merge_input input = {.type = DATA_TYPE_BOOKING,
                                .base = doc("{\"a\":{\"x\":1},\"b\":1}"),
                                .ours = doc("{\"a\":{\"x\":2},\"b\":2}"),
                                .theirs = doc("{\"a\":{\"x\":3},\"b\":3}"),
                                .ours_us = 3000,
                                .theirs_us = 2000,
                                .ours_log = log,
                                .ours_log_count = 2};
    struct merge_result result;
    assert_int_equal(conflict_merge(&input, &POLICIES, STRATEGY_MERGE, &arena, &result), SYNC_OK);
    assert_document(result.document, "{\"a\":{\"x\":3},\"b\":2}");
}

static void equal_times_leave_the_servers(void **state) {
    (void)state;
    struct merge_input input = {.type = DATA_TYPE_TRIP,
                                .ours = doc("{\"a\":1}"),
                                .theirs = doc("{\"a\":2}"),
                                .ours_us = 5,
                                .theirs_us = 5};
    struct merge_result result;
    assert_int_equal(conflict_merge(&input, &POLICIES, STRATEGY_MERGE, &arena, &result), SYNC_OK);
    assert_document(result.document, "{\"a\":1}");
}

static void damaged_documents_are_told(void **state) {
    (void)state;
    struct merge_input input = {.type = DATA_TYPE_TRIP, .base = SLICE("\x0a\x7f")};
    struct merge_result result;
    assert_int_equal(conflict_merge(&input, &POLICIES, STRATEGY_MERGE, &arena, &result),
                     SYNC_ERR_CORRUPT);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct merge_input input = {
        .type = DATA_TYPE_TRIP,
        .base = doc("{\"l\":[{\"id\":1}],\"o\":{\"a\":1},\"union\":[1]}"),
        .ours = doc("{\"l\":[{\"id\":1,\"v\":1}],\"o\":{\"a\":2},\"union\":[1,2]}"),
        .theirs = doc("{\"l\":[{\"id\":1,\"v\":2}],\"o\":{\"a\":3},\"union\":[1,3]}")};
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct merge_result result;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            conflict_merge(&input, &POLICIES, STRATEGY_MANUAL, &small, &result);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
}

static void a_text_merges_by_words(void **state) {
    (void)state;
    struct merge_result result = merge("{\"text\":\"one two\"}", "{\"text\":\"one two three\"}",
                                       "{\"text\":\"zero one two\"}");
    assert_document(result.document, "{\"text\":\"zero one two three\"}");
    assert_int_equal(result.decision_count, 1);
    assert_int_equal(result.decisions[0].policy, FIELD_POLICY_TEXT);
    assert_int_equal(result.undecided_count, 0);
    /* Both wrote it for the first time. */
    result = merge("{}", "{\"text\":\"ours\"}", "{\"text\":\"theirs\"}");
    assert_document(result.document, "{\"text\":\"ours theirs\"}");
    /* The same words: the strategy's, and with manual the user's. */
    result = merge_by(STRATEGY_MERGE, "{\"text\":\"a b\"}", "{\"text\":\"a c\"}",
                      "{\"text\":\"z a d\"}");
    assert_document(result.document, "{\"text\":\"z a d\"}");
    result = merge("{\"text\":\"a b\"}", "{\"text\":\"a c\"}", "{\"text\":\"z a d\"}");
    assert_document(result.document, "{\"text\":\"a c\"}");
    assert_int_equal(result.undecided_count, 1);
    /* No text any more. */
    result = merge_by(STRATEGY_SERVER, "{\"text\":\"a\"}", "{\"text\":1}", "{\"text\":\"b\"}");
    assert_document(result.document, "{\"text\":1}");
}

static void an_order_that_stays_is_the_servers(void **state) {
    (void)state;
    struct merge_result result =
        merge("{\"l\":[{\"id\":1},{\"id\":2}]}", "{\"l\":[{\"id\":2},{\"id\":1}]}",
              "{\"l\":[{\"id\":1,\"v\":1},{\"id\":2,\"v\":2}]}");
    assert_document(result.document, "{\"l\":[{\"id\":2,\"v\":2},{\"id\":1,\"v\":1}]}");
    assert_true(result.took_ours && result.took_theirs);
}

static void an_order_that_only_the_client_changed_is_taken(void **state) {
    (void)state;
    static const char BASE[] = "{\"l\":[{\"id\":1},{\"id\":2},{\"id\":3}]}";
    struct merge_result result =
        merge(BASE, "{\"l\":[{\"id\":1,\"v\":1},{\"id\":2},{\"id\":4},{\"id\":3}]}",
              "{\"l\":[{\"id\":3},{\"id\":5},{\"id\":1}]}");
    assert_document(result.document,
                    "{\"l\":[{\"id\":3},{\"id\":5},{\"id\":1,\"v\":1},{\"id\":4}]}");
    assert_int_equal(result.decision_count, 0);
    result = merge(BASE, "{\"l\":[{\"id\":2},{\"id\":1},{\"id\":3}]}",
                   "{\"l\":[{\"id\":3},{\"id\":2},{\"id\":1,\"v\":1}]}");
    assert_document(result.document, "{\"l\":[{\"id\":2},{\"id\":1,\"v\":1},{\"id\":3}]}");
}

static void a_union_of_objects_with_ids_and_keyed_lists_merge_inside(void **state) {
    (void)state;
    static const char *const NAMES[] = {"union", "keyed"};
    for (size_t i = 0; i < 2; i++) {
        struct merge_result result = merge(
            arena_format(&arena, "{\"%s\":[{\"id\":1,\"a\":1,\"b\":1},{\"id\":2}]}", NAMES[i]),
            arena_format(&arena, "{\"%s\":[{\"id\":1,\"a\":2,\"b\":1},{\"id\":2}]}", NAMES[i]),
            arena_format(&arena, "{\"%s\":[{\"id\":1,\"a\":1,\"b\":2},{\"id\":3}]}", NAMES[i]));
        assert_document(
            result.document,
            arena_format(&arena, "{\"%s\":[{\"a\":2,\"b\":2,\"id\":1},{\"id\":3}]}", NAMES[i]));
        assert_int_equal(result.decision_count, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_text_merges_by_words),
        ARENA_TEST(an_order_that_stays_is_the_servers),
        ARENA_TEST(an_order_that_only_the_client_changed_is_taken),
        ARENA_TEST(a_union_of_objects_with_ids_and_keyed_lists_merge_inside),
        ARENA_TEST(what_one_side_changed_is_taken),
        ARENA_TEST(equal_sides_need_no_decision),
        ARENA_TEST(objects_merge_by_member),
        ARENA_TEST(a_removal_against_a_change_is_a_dispute),
        ARENA_TEST(policies_decide_before_the_strategy),
        ARENA_TEST(times_and_text_have_an_order_other_values_go_to_the_strategy),
        ARENA_TEST(lists_as_sets_keep_additions_and_removals),
        ARENA_TEST(lists_of_objects_merge_by_id),
        ARENA_TEST(a_dispute_inside_an_element_names_its_id),
        ARENA_TEST(other_lists_are_one_value),
        ARENA_TEST(the_time_of_a_field_is_that_of_its_own_change),
        ARENA_TEST(equal_times_leave_the_servers),
        ARENA_TEST(damaged_documents_are_told),
        ARENA_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
