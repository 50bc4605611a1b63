/* Changes behind a conflict of their device: what waits, and how it goes on. */
#include "tests/service/core/batch_sending.h"

/* Resolves the conflict, or takes its resolution back, and commits. */
static void decide(struct slice conflict_id, enum resolution resolution, bool is_undo) {
    struct conflict conflict, after;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    struct resolution_request request = {.resolution = resolution, .now_us = NOW + 5};
    struct touched want;
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    assert_int_equal(conflict_touch(&conflict, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    enum sync_status status =
        is_undo
            ? conflict_undo(&view, &conflict, NOW + 9, &arena, &error, &set, &after, &record)
            : conflict_resolve(&view, &conflict, &request, &arena, &error, &set, &after, &record);
    assert_int_equal(status, SYNC_OK);
    memory_user_commit(&user, &set);
}

/* The number of rows that say what is held back. */
static size_t count_holds(void) {
    size_t count = 0;
    for (size_t i = 0; i < user.row_count; i++)
        count += user.rows[i].found && user.rows[i].table == TABLE_CONFLICT_HOLD;
    return count;
}

/* A conflict of the laptop's about the trip, which the tablet changed. */
static const struct sending LAPTOP = {.device = "laptop", .acknowledged = 1};

static struct slice conflict_about_a(void) {
    start("{\"a\":1}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    return send_one(LAPTOP, change_of("1", CHANGE_UPDATE, "{\"a\":3}"), OUTCOME_CONFLICT)
        ->conflict_id;
}

static void later_batches_wait_behind_a_conflict_and_go_on_when_it_is_resolved(void **state) {
    (void)state;
    static const enum resolution HOW[] = {RESOLUTION_CLIENT, RESOLUTION_SERVER};
    for (size_t i = 0; i < 2; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct slice conflict_id = conflict_about_a();
        struct change later = change_of("2", CHANGE_UPDATE, "{\"b\":2}");
        for (int time = 0; time < 2; time++) {
            struct change_result *result = send_one(LAPTOP, later, OUTCOME_BLOCKED);
            assert_string_equal(result->reason, "BLOCKED_BY");
            assert_false(result->duplicate);
            const char *message = arena_format(&arena, "It waits behind the conflict \"%.*s\".",
                                               (int)conflict_id.size, conflict_id.data);
            assert_true(slice_equal(result->message, slice_text(message)));
        }
        decide(conflict_id, HOW[i], false);
        assert_int_equal(count_holds(), 0);
        send_one(LAPTOP, later, OUTCOME_MERGED);
        expect_trip(i == 0 ? "{\"a\":3,\"b\":2}" : "{\"a\":2,\"b\":2}", i == 0 ? 4 : 3);
    }
}

static void a_conflict_holds_back_only_its_record_and_its_device(void **state) {
    (void)state;
    conflict_about_a();
    struct change other = change_of("2", CHANGE_CREATE, "{\"x\":1}");
    other.data_id = SLICE("another");
    send_one(LAPTOP, other, OUTCOME_APPLIED);
    other = change_of("3", CHANGE_CREATE, "{\"x\":1}");
    other.type = DATA_TYPE_BOOKING;
    send_one(LAPTOP, other, OUTCOME_APPLIED);
    send_one((struct sending){.device = "tablet", .acknowledged = 2},
             change_of("4", CHANGE_UPDATE, "{\"b\":1}"), OUTCOME_APPLIED);
    send_one((struct sending){.device = ""}, change_of("5", CHANGE_UPDATE, "{\"c\":1}"),
             OUTCOME_MERGED);
}

static void a_resolution_taken_back_holds_again(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct change later = change_of("2", CHANGE_UPDATE, "{\"b\":2}");
    decide(conflict_id, RESOLUTION_SERVER, false);
    decide(conflict_id, RESOLUTION_SERVER, true);
    assert_int_equal(count_holds(), 1);
    send_one(LAPTOP, later, OUTCOME_BLOCKED);
    decide(conflict_id, RESOLUTION_SERVER, false);
    send_one(LAPTOP, later, OUTCOME_MERGED);
}

static void of_two_conflicts_of_a_record_each_holds(void **state) {
    (void)state;
    struct slice first = conflict_about_a();
    decide(first, RESOLUTION_SERVER, false);
    struct slice second =
        send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_CONFLICT)->conflict_id;
    decide(first, RESOLUTION_SERVER, true);
    struct change later = change_of("3", CHANGE_UPDATE, "{\"b\":2}");
    decide(second, RESOLUTION_SERVER, false);
    send_one(LAPTOP, later, OUTCOME_BLOCKED);
    decide(first, RESOLUTION_SERVER, false);
    assert_int_equal(count_holds(), 0);
    send_one(LAPTOP, later, OUTCOME_MERGED);
}

static void what_was_blocked_goes_on_when_its_conflict_is_resolved(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct change changes[] = {change_of("1", CHANGE_UPDATE, "{\"a\":3}"),
                               change_of("2", CHANGE_UPDATE, "{\"b\":2}")};
    struct change_result *results;
    for (int time = 0; time < 2; time++) {
        results = send(LAPTOP, changes, 2, NULL);
        assert_int_equal(results[0].outcome, OUTCOME_CONFLICT);
        assert_int_equal(results[1].outcome, OUTCOME_BLOCKED);
    }
    user.head.conflicts_open++; /* about another record */
    decide(results[0].conflict_id, RESOLUTION_SERVER, false);
    results = send(LAPTOP, changes, 2, NULL);
    assert_int_equal(results[0].outcome, OUTCOME_CONFLICT);
    assert_true(results[0].duplicate);
    assert_int_equal(results[1].outcome, OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":2}", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(later_batches_wait_behind_a_conflict_and_go_on_when_it_is_resolved),
        USER_TEST(a_conflict_holds_back_only_its_record_and_its_device),
        USER_TEST(a_resolution_taken_back_holds_again),
        USER_TEST(of_two_conflicts_of_a_record_each_holds),
        USER_TEST(what_was_blocked_goes_on_when_its_conflict_is_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
