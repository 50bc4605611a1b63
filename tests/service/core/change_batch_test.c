/* What becomes of changes, one after the other. Replays, merges and conflicts have files of their
 * own. */
#include "tests/base/memory_walk.h"
#include "tests/service/core/batch_sending.h"
#include "tests/service/core/patch_steps.h"

static void a_record_is_made_changed_and_deleted(void **state) {
    (void)state;
    struct change changes[] = {change_of("1", CHANGE_CREATE, "{\"a\":1,\"b\":{\"c\":1}}"),
                               change_of("2", CHANGE_UPDATE, "{\"b\":{\"c\":null,\"d\":2}}"),
                               change_of("3", CHANGE_DELETE, NULL)};
    struct change_result *results = send(PHONE, changes, 1, NULL);
    assert_int_equal(results[0].outcome, OUTCOME_APPLIED);
    assert_int_equal(results[0].version, 1);
    expect_trip("{\"a\":1,\"b\":{\"c\":1}}", 1);
    results = send(PHONE, changes + 1, 1, NULL);
    assert_int_equal(results[0].version, 2);
    expect_trip("{\"a\":1,\"b\":{\"d\":2}}", 2);
    results = send(PHONE, changes + 2, 1, NULL);
    assert_int_equal(results[0].version, 3);
    expect_trip(NULL, 3);
    assert_int_equal(user.head.record_count, 0);
    assert_int_equal(user.head.data_bytes, 0);
}

static void changes_of_one_record_in_a_batch_follow_each_other(void **state) {
    (void)state;
    struct change changes[] = {
        change_of("1", CHANGE_CREATE, "{\"a\":1}"),
        change_of("2", CHANGE_UPDATE, "{\"a\":2,\"b\":1}"), change_of("3", CHANGE_DELETE, NULL),
        change_of("4", CHANGE_CREATE, "{\"c\":3}"), change_of("5", CHANGE_UPDATE, "{\"d\":4}")};
    struct write_set set;
    struct change_result *results = send(PHONE, changes, 5, &set);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(results[i].outcome, OUTCOME_APPLIED);
        assert_int_equal(results[i].version, i + 1);
    }
    expect_trip("{\"c\":3,\"d\":4}", 5);
    assert_int_equal(set.record_count, 1);
    assert_int_equal(set.log_count, 5);
    assert_int_equal(set.settled_count, 5);
    assert_int_equal(set.log[1].previous_version, 1);
    assert_true(set.log[3].previous_deleted);
}

static void what_never_existed_cannot_be_changed(void **state) {
    (void)state;
    struct change_result *result =
        send_one(PHONE, change_of("1", CHANGE_UPDATE, "{\"a\":1}"), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "NOT_FOUND");
    assert_true(slice_equal(result->field, SLICE("dataId")));
    result = send_one(PHONE, change_of("2", CHANGE_DELETE, NULL), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "NOT_FOUND");
    assert_int_equal(user.head.sequence, 0);
    assert_int_equal(user.settled_count, 2);
}

static void a_deleted_record_can_begin_a_new_life(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one(PHONE, change_of("2", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_CREATE, "{\"b\":1}"), OUTCOME_APPLIED);
    expect_trip("{\"b\":1}", 3);
}

static void deleting_what_is_deleted_has_no_effect(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one(PHONE, change_of("2", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    struct change_result *result =
        send_one(tablet, change_of("t", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    assert_int_equal(result->version, 2);
    assert_int_equal(user.head.sequence, 2);
}

static void an_update_that_changes_nothing_takes_no_sequence(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct change_result *result =
        send_one(PHONE, change_of("2", CHANGE_UPDATE, "{\"a\":1,\"x\":null}"), OUTCOME_APPLIED);
    assert_int_equal(result->version, 1);
    assert_int_equal(user.head.sequence, 1);
    assert_true(send(PHONE,
                     (struct change[]){change_of("2", CHANGE_UPDATE, "{\"a\":1,\"x\":null}")}, 1,
                     NULL)
                    ->duplicate);
}

static void updating_what_the_device_knows_deleted_is_rejected(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct change changes[] = {change_of("2", CHANGE_DELETE, NULL),
                               change_of("3", CHANGE_UPDATE, "{\"a\":2}")};
    struct change_result *results = send(PHONE, changes, 2, NULL);
    assert_int_equal(results[1].outcome, OUTCOME_REJECTED);
    assert_string_equal(results[1].reason, "GONE");
    results = send_one(PHONE, change_of("4", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_REJECTED);
    assert_string_equal(results->reason, "GONE");
    struct sending tablet = {.device = "tablet", .acknowledged = 2};
    results = send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_REJECTED);
    assert_string_equal(results->reason, "GONE");
}

/* {"name": text of `size` bytes} */
static struct slice large_document(const char *name, size_t size) {
    struct buffer out;
    buffer_init(&out, 1 << 20);
    buffer_append_format(&out, "{\"%s\":\"", name);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&out, 'x');
    buffer_append(&out, SLICE("\"}"));
    struct slice document = doc(arena_copy_text(&arena, buffer_slice(&out)));
    buffer_done(&out);
    return document;
}

static void a_record_cannot_grow_beyond_its_bound(void **state) {
    (void)state;
    struct change changes[] = {change_of("1", CHANGE_CREATE, "{}"),
                               change_of("2", CHANGE_UPDATE, "{}"),
                               change_of("3", CHANGE_UPDATE, "{\"b\":1}")};
    changes[0].data = large_document("a", CHANGE_DATA_MAX - 100);
    changes[1].data = large_document("b", 200);
    struct change_result *results = send(PHONE, changes, 3, NULL);
    assert_int_equal(results[0].outcome, OUTCOME_APPLIED);
    assert_int_equal(results[1].outcome, OUTCOME_REJECTED);
    assert_string_equal(results[1].reason, "TOO_LARGE");
    assert_int_equal(results[2].outcome, OUTCOME_APPLIED);
}

static void a_rejected_create_rejects_what_depends_on_it(void **state) {
    (void)state;
    struct change changes[] = {
        change_of("1", CHANGE_CREATE, "{}"), change_of("2", CHANGE_UPDATE, "{\"b\":1}"),
        change_of("3", CHANGE_CREATE, "{\"b\":1}"), change_of("4", CHANGE_DELETE, NULL)};
    changes[0].data = large_document("a", CHANGE_DATA_MAX + 1);
    changes[2].data_id = SLICE("another");
    struct change_result *results = NULL;
    for (int time = 0; time < 2; time++) { /* sent again the answer is the same */
        results = send(PHONE, changes, 4, NULL);
        assert_int_equal(results[0].outcome, OUTCOME_REJECTED);
        assert_string_equal(results[0].reason, "TOO_LARGE");
        assert_int_equal(results[1].outcome, OUTCOME_REJECTED);
        assert_string_equal(results[1].reason, "CREATE_REJECTED");
        assert_true(memmem(results[1].message.data, results[1].message.size, "\"1\"", 3));
        assert_int_equal(results[2].outcome, OUTCOME_APPLIED);
        assert_string_equal(results[3].reason, "CREATE_REJECTED");
        assert_int_equal(user.settled_count, 4);
    }
}

static void history_is_asked_for_once_a_record_from_the_lowest_base(void **state) {
    (void)state;
    struct change changes[] = {
        change_of("1", CHANGE_UPDATE, "{}"), change_of("2", CHANGE_UPDATE, "{}"),
        change_of("3", CHANGE_UPDATE, "{}"), change_of("4", CHANGE_DELETE, NULL)};
    changes[0].base_version = 9;
    changes[1].data_id = SLICE("other");
    changes[2].base_version = 4;
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = SLICE("d"),
                                 .changes = changes,
                                 .count = 4,
                                 .acknowledged = 7};
    struct touched want;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    assert_true(want.records[0].history && want.records[1].history);
    assert_false(want.records[2].history || want.records[3].history);
    assert_int_equal(want.records[0].history_after, 4);
    assert_int_equal(want.records[1].history_after, 7);
    assert_true(slice_equal(want.changes[3].change_id, SLICE("4")));
    assert_true(slice_equal(want.changes[3].device, SLICE("d")));
    assert_int_equal(want.row_count, 2); /* one for each record, whatever changes it has */
    assert_true(want.rows[0].if_conflicts && want.rows[1].if_conflicts);
    assert_false(slice_equal(want.rows[0].key, want.rows[1].key));
}

static void one_bad_change_in_a_thousand_settles_the_rest(void **state) {
    (void)state;
    static struct change changes[BATCH_CHANGES_MAX];
    for (int i = 0; i < BATCH_CHANGES_MAX; i++) {
        changes[i] = change_of(arena_format(&arena, "c%d", i),
                               i == 500 ? CHANGE_UPDATE : CHANGE_CREATE, "{\"a\":1}");
        changes[i].data_id = slice_text(arena_format(&arena, "r%d", i));
    }
    struct change_result *results = send(PHONE, changes, BATCH_CHANGES_MAX, NULL);
    for (int i = 0; i < BATCH_CHANGES_MAX; i++)
        assert_int_equal(results[i].outcome, i == 500 ? OUTCOME_REJECTED : OUTCOME_APPLIED);
    assert_int_equal(user.head.sequence, 999);
    assert_int_equal(user.settled_count, 1000);
}

static void damaged_history_fails_the_batch(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    user.log[1].undo = SLICE("\x01\x09");
    struct change change = change_of("l", CHANGE_UPDATE, "{\"a\":3}");
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = SLICE("laptop"),
                                 .changes = &change,
                                 .count = 1,
                                 .acknowledged = 1};
    struct batch_context context = {.now_us = NOW,
                                    .random = &RANDOM,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MERGE};
    struct touched want;
    struct user_view view;
    struct write_set set = {.log_count = 77};
    struct change_result *results = NULL;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    assert_int_equal(change_batch_apply(&view, &batch, &context, &arena, &set, &results),
                     SYNC_ERR_CORRUPT);
    assert_int_equal(set.log_count, 77);
    assert_null(results);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":{\"c\":1}}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2,\"b\":{\"d\":1}}"), OUTCOME_APPLIED);
    struct change changes[] = {change_of("1", CHANGE_UPDATE, "{\"b\":{\"e\":1}}"),
                               change_of("2", CHANGE_UPDATE, "{\"a\":3}"),
                               change_of("3", CHANGE_UPDATE, "{\"z\":3}"),
                               STEPS("4", set("/b/c", "4"), gone("/y"))};
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = SLICE("laptop"),
                                 .changes = changes,
                                 .count = 4,
                                 .acknowledged = 1};
    struct batch_context context = {.now_us = NOW,
                                    .random = &RANDOM,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MANUAL};
    struct touched want;
    struct user_view view;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct write_set set;
        struct change_result *results;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            change_batch_apply(&view, &batch, &context, &small, &set, &results);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(a_record_is_made_changed_and_deleted),
        USER_TEST(changes_of_one_record_in_a_batch_follow_each_other),
        USER_TEST(what_never_existed_cannot_be_changed),
        USER_TEST(a_deleted_record_can_begin_a_new_life),
        USER_TEST(deleting_what_is_deleted_has_no_effect),
        USER_TEST(an_update_that_changes_nothing_takes_no_sequence),
        USER_TEST(updating_what_the_device_knows_deleted_is_rejected),
        USER_TEST(a_record_cannot_grow_beyond_its_bound),
        USER_TEST(a_rejected_create_rejects_what_depends_on_it),
        USER_TEST(history_is_asked_for_once_a_record_from_the_lowest_base),
        USER_TEST(one_bad_change_in_a_thousand_settles_the_rest),
        USER_TEST(damaged_history_fails_the_batch),
        USER_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
