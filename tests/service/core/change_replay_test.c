/* Changes that are sent again, and what tells one from another. */
#include "tests/service/core/batch_sending.h"

static void the_same_batch_again_changes_nothing_and_answers_the_same(void **state) {
    (void)state;
    start("{\"a\":1,\"b\":1}");
    struct sending tablet = {.device = "tablet", .acknowledged = 1};
    send_one(tablet, change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct sending laptop = {.device = "laptop", .acknowledged = 1};
    struct change changes[] = {
        change_of("1", CHANGE_UPDATE, "{\"b\":2}"), change_of("2", CHANGE_UPDATE, "{\"a\":3}"),
        change_of("3", CHANGE_UPDATE, "{\"z\":3}"), change_of("4", CHANGE_UPDATE, "{\"x\":1}")};
    changes[3].data_id = SLICE("absent");
    struct change_result *first = send(laptop, changes, 4, NULL);
    static const enum change_outcome OUTCOMES[] = {OUTCOME_MERGED, OUTCOME_CONFLICT, OUTCOME_HELD,
                                                   OUTCOME_REJECTED};
    struct user_head head = user.head;
    struct write_set set;
    struct change_result *again = send(laptop, changes, 4, &set);
    assert_int_equal(set.record_count + set.log_count + set.settled_count + set.row_count, 0);
    assert_memory_equal(&head, &user.head, sizeof head);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(first[i].outcome, OUTCOMES[i]);
        assert_false(first[i].duplicate);
        assert_int_equal(again[i].outcome, OUTCOMES[i]);
        assert_true(again[i].duplicate);
        assert_int_equal(again[i].version, first[i].version);
        assert_true(slice_equal(again[i].data_id, first[i].data_id));
        assert_true(slice_equal(again[i].conflict_id, first[i].conflict_id));
        assert_true(slice_equal(again[i].message, first[i].message));
        assert_true(slice_equal(again[i].field, first[i].field));
        assert_true(slice_equal(slice_text(again[i].reason), slice_text(first[i].reason)));
    }
}

static void an_id_with_other_content_is_an_error_of_that_change_alone(void **state) {
    (void)state;
    start("{\"a\":1}");
    struct change changes[] = {
        change_of("start", CHANGE_UPDATE, "{\"a\":9}"), change_of("2", CHANGE_UPDATE, "{\"b\":2}"),
        change_of("2", CHANGE_UPDATE, "{\"b\":2}"), change_of("2", CHANGE_UPDATE, "{\"b\":3}")};
    struct write_set set;
    struct change_result *results = send(PHONE, changes, 4, &set);
    assert_int_equal(results[0].outcome, OUTCOME_REJECTED);
    assert_string_equal(results[0].reason, "CHANGE_ID_REUSED");
    assert_int_equal(results[1].outcome, OUTCOME_APPLIED);
    assert_int_equal(results[2].outcome, OUTCOME_APPLIED);
    assert_true(results[2].duplicate);
    assert_string_equal(results[3].reason, "CHANGE_ID_REUSED");
    assert_int_equal(set.settled_count, 1);
    expect_trip("{\"a\":1,\"b\":2}", 2);
    /* Another device may use the same id. */
    struct sending tablet = {.device = "tablet", .acknowledged = 2};
    send_one(tablet, change_of("start", CHANGE_UPDATE, "{\"a\":5}"), OUTCOME_APPLIED);
}

static void the_payload_hash_covers_all_that_was_sent(void **state) {
    (void)state;
    struct change change = change_of("1", CHANGE_CREATE, "{\"a\":1}");
    struct change others[6];
    for (size_t i = 0; i < 6; i++)
        others[i] = change;
    others[0].kind = CHANGE_UPDATE;
    others[1].type = DATA_TYPE_BOOKING;
    others[2].data_id = SLICE("u");
    others[3].base_version = 1;
    others[4].device_us++;
    others[5].data = doc("{\"a\":2}");
    for (size_t i = 0; i < 6; i++) {
        change_payload_hash(&others[i], others[i].payload_hash);
        assert_memory_not_equal(others[i].payload_hash, change.payload_hash, PAYLOAD_HASH_SIZE);
    }
    struct change made = change, made_again = change;
    made.data_id_made = made_again.data_id_made = true;
    made_again.data_id = SLICE("another made one");
    change_payload_hash(&made, made.payload_hash);
    change_payload_hash(&made_again, made_again.payload_hash);
    assert_memory_equal(made.payload_hash, made_again.payload_hash, PAYLOAD_HASH_SIZE);
}

static void a_made_id_is_answered_again(void **state) {
    (void)state;
    struct change change = change_of("1", CHANGE_CREATE, "{\"a\":1}");
    change.data_id_made = true;
    change_payload_hash(&change, change.payload_hash);
    send_one(PHONE, change, OUTCOME_APPLIED);
    change.data_id = SLICE("made anew");
    struct change_result *again = send(PHONE, &change, 1, NULL);
    assert_true(again->duplicate);
    assert_true(slice_equal(again->data_id, SLICE("t")));
    assert_int_equal(user.record_count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(the_same_batch_again_changes_nothing_and_answers_the_same),
        USER_TEST(an_id_with_other_content_is_an_error_of_that_change_alone),
        USER_TEST(the_payload_hash_covers_all_that_was_sent),
        USER_TEST(a_made_id_is_answered_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
