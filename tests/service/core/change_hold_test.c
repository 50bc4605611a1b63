/* Changes behind a conflict of their device: what waits, and how it goes on. */
#include "service/core/change_result.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/batch_sending.h"
#include "tests/service/core/conflict_deciding.h"
#include "tests/service/core/patch_steps.h"

/* Resolves the conflict, or takes its resolution back, and commits. */
static struct conflict decide(struct slice conflict_id, enum resolution resolution, bool is_undo) {
    struct conflict conflict, after;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    struct resolution_request request = {.resolution = resolution};
    struct batch_context context = deciding_at(NOW + 5);
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    context.random = &RANDOM;
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    if (resolution == RESOLUTION_MERGE)
        request.merged = doc("{\"a\":8}");
    deciding_load(&user, &conflict, &view);
    enum sync_status status =
        is_undo ? conflict_undo(&view, &conflict, NOW + 9, &arena, &error, &set, &after, &record)
                : conflict_resolve(&view, &conflict, &request, &context, &arena, &error, &set,
                                   &after, &record);
    assert_int_equal(status, SYNC_OK);
    memory_user_commit(&user, &set);
    return after;
}

/* The outcome that a decided conflict tells of a change that was held. */
static struct change_result released(const struct conflict *conflict, size_t at, const char *id) {
    struct change_result result;
    assert_true(at < conflict->held_count);
    assert_true(slice_equal(conflict->held[at].change_id, slice_text(id)));
    assert_int_equal(change_result_unpack(conflict->held[at].outcome, &arena, &result), SYNC_OK);
    return result;
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

static void what_comes_behind_a_conflict_is_held_and_goes_on_when_it_is_resolved(void **state) {
    (void)state;
    static const struct {
        enum resolution how;
        const char *after;
    } CASES[] = {{RESOLUTION_CLIENT, "{\"a\":3,\"b\":2}"},
                 {RESOLUTION_SERVER, "{\"a\":2,\"b\":2}"},
                 {RESOLUTION_MERGE, "{\"a\":8,\"b\":2}"}};
    for (size_t i = 0; i < 3; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct slice conflict_id = conflict_about_a();
        struct change later = change_of("2", CHANGE_UPDATE, "{\"b\":2}");
        for (int time = 0; time < 2; time++) {
            struct change_result *result = send_one(LAPTOP, later, OUTCOME_HELD);
            assert_int_equal(result->duplicate, time == 1);
            assert_true(slice_equal(result->conflict_id, conflict_id));
            assert_null(result->reason);
        }
        assert_true(user.head.held_bytes > 0);
        struct conflict after = decide(conflict_id, CASES[i].how, false);
        assert_int_equal(count_holds(), 0);
        assert_int_equal(user.head.held_bytes, 0);
        struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
        assert_document(record->data, CASES[i].after);
        assert_int_equal(after.held_count, 1);
        struct change_result told = released(&after, 0, "2");
        assert_true(told.outcome == OUTCOME_APPLIED || told.outcome == OUTCOME_MERGED);
        assert_int_equal(told.version, record->version);
        const struct log_entry *entry = &user.log[user.log_count - 1];
        assert_true(slice_equal(entry->device, SLICE("laptop")));
        assert_true(slice_equal(entry->change_id, SLICE("2")));
        /* Sent again it has its final outcome, and changes nothing. */
        uint64_t sequence = user.head.sequence;
        assert_true(send_one(LAPTOP, later, told.outcome)->duplicate);
        assert_int_equal(user.head.sequence, sequence);
    }
}

static void a_change_that_waits_is_known_when_its_outcome_is_forgotten(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct change first = change_of("1", CHANGE_UPDATE, "{\"a\":3}");
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    user.settled_count = 0;
    uint64_t bytes = user.head.held_bytes;
    struct change_result *result = send_one(LAPTOP, first, OUTCOME_CONFLICT);
    assert_true(result->duplicate);
    assert_true(slice_equal(result->conflict_id, conflict_id));
    assert_int_equal(user.head.held_bytes, bytes);
    assert_int_equal(user.head.conflicts_open, 1);
    result = send_one(LAPTOP, change_of("1", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "CHANGE_ID_REUSED");
    decide(conflict_id, RESOLUTION_SERVER, false);
    expect_trip("{\"a\":2,\"b\":2}", 3);
}

static void a_change_is_known_when_its_resolution_was_taken_back(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    decide(conflict_id, RESOLUTION_CLIENT, false);
    decide(conflict_id, (enum resolution)0, true);
    user.settled_count = 0;
    struct change_result *result =
        send_one(LAPTOP, change_of("1", CHANGE_UPDATE, "{\"a\":3}"), OUTCOME_CONFLICT);
    assert_true(result->duplicate && slice_equal(result->conflict_id, conflict_id));
    decide(conflict_id, RESOLUTION_SERVER, false);
    expect_trip("{\"a\":2}", 4);
}

static void a_held_change_is_told_apart_from_another_of_its_id(void **state) {
    (void)state;
    conflict_about_a();
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    struct change_result *result =
        send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":3}"), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "CHANGE_ID_REUSED");
    struct change ahead = change_of("3", CHANGE_UPDATE, "{\"b\":3}");
    ahead.base_version = 1000;
    assert_string_equal(send_one(LAPTOP, ahead, OUTCOME_REJECTED)->reason, "BASE_VERSION_AHEAD");
}

static void what_was_made_on_the_clients_side_meets_nobody_when_that_is_taken(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("3", CHANGE_UPDATE, "{\"a\":5}"), OUTCOME_HELD);
    struct conflict after = decide(conflict_id, RESOLUTION_CLIENT, false);
    assert_int_equal(released(&after, 0, "2").outcome, OUTCOME_APPLIED);
    assert_int_equal(released(&after, 1, "3").outcome, OUTCOME_APPLIED);
    expect_trip("{\"a\":5}", 5);
}

static void a_held_change_that_gives_a_conflict_holds_the_rest(void **state) {
    (void)state;
    struct slice first = conflict_about_a();
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("3", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("4", CHANGE_UPDATE, "{\"c\":4}"), OUTCOME_HELD);
    struct conflict after = decide(first, RESOLUTION_SERVER, false);
    assert_int_equal(after.held_count, 2);
    assert_int_equal(released(&after, 0, "2").outcome, OUTCOME_MERGED);
    struct change_result fresh = released(&after, 1, "3");
    assert_int_equal(fresh.outcome, OUTCOME_CONFLICT);
    assert_int_equal(user.head.conflicts_open, 1);
    struct change_result *waiting =
        send_one(LAPTOP, change_of("4", CHANGE_UPDATE, "{\"c\":4}"), OUTCOME_HELD);
    assert_true(slice_equal(waiting->conflict_id, fresh.conflict_id));
    struct conflict second = decide(fresh.conflict_id, RESOLUTION_CLIENT, false);
    assert_int_equal(released(&second, 0, "4").outcome, OUTCOME_APPLIED);
    assert_document(memory_user_find(&user, DATA_TYPE_TRIP, "t")->data,
                    "{\"a\":4,\"b\":2,\"c\":4}");
}

static void a_held_change_that_is_rejected_keeps_its_data(void **state) {
    (void)state;
    start("{\"a\":1}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE, "{\"a\":2}"), OUTCOME_APPLIED);
    struct slice conflict_id =
        send_one(LAPTOP, change_of("1", CHANGE_DELETE, NULL), OUTCOME_CONFLICT)->conflict_id;
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("3", CHANGE_CREATE, "{\"c\":3}"), OUTCOME_HELD);
    struct conflict after = decide(conflict_id, RESOLUTION_CLIENT, false), stored;
    struct change_result rejected = released(&after, 0, "2");
    assert_int_equal(rejected.outcome, OUTCOME_REJECTED);
    assert_string_equal(rejected.reason, "GONE");
    assert_int_equal(released(&after, 1, "3").outcome, OUTCOME_APPLIED);
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    assert_int_equal(conflict_unpack(row->value, &arena, &stored), SYNC_OK);
    assert_int_equal(stored.held_count, 2);
    assert_document(stored.held[0].data, "{\"b\":2}");
    assert_int_equal(stored.held[0].kind, CHANGE_UPDATE);
    assert_int_equal(stored.held[1].data.size, 0);
}

static void what_has_no_room_stays_with_the_device_and_so_does_all_behind_it(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct change changes[HELD_CHANGES_MAX + 2];
    for (int i = 0; i < HELD_CHANGES_MAX + 2; i++)
        changes[i] = change_of(arena_format(&arena, "h%d", i), CHANGE_UPDATE,
                               arena_format(&arena, "{\"b\":%d}", i));
    struct change_result *results = send(LAPTOP, changes, HELD_CHANGES_MAX + 1, NULL);
    for (int i = 0; i < HELD_CHANGES_MAX; i++)
        assert_int_equal(results[i].outcome, OUTCOME_HELD);
    assert_int_equal(results[HELD_CHANGES_MAX].outcome, OUTCOME_BLOCKED);
    assert_string_equal(results[HELD_CHANGES_MAX].reason, "HELD_EXHAUSTED");
    results = send_one(LAPTOP, changes[HELD_CHANGES_MAX + 1], OUTCOME_BLOCKED);
    assert_string_equal(results->reason, "HELD_EXHAUSTED");
    struct conflict after = decide(conflict_id, RESOLUTION_SERVER, false);
    assert_int_equal(after.held_count, HELD_CHANGES_MAX);
    results = send(LAPTOP, &changes[HELD_CHANGES_MAX], 2, NULL);
    assert_int_equal(results[1].outcome, OUTCOME_MERGED);
    assert_document(memory_user_find(&user, DATA_TYPE_TRIP, "t")->data,
                    arena_format(&arena, "{\"a\":2,\"b\":%d}", HELD_CHANGES_MAX + 1));
}

static void a_deadline_lets_what_waits_go_on(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct batch_context context = deciding_at(NOW + INT64_C(3650) * 86400000000);
    struct conflict conflict, after;
    struct user_view view;
    struct write_set set;
    struct record record;
    context.random = &RANDOM;
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    deciding_load(&user, &conflict, &view);
    assert_int_equal(conflict_settle(&view, &conflict, &context, &arena, &set, &after, &record),
                     SYNC_OK);
    memory_user_commit(&user, &set);
    assert_int_equal(released(&after, 0, "2").outcome, OUTCOME_MERGED);
    assert_document(record.data, "{\"a\":2,\"b\":2}");
}

static void refused_memory_lets_nothing_go(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct batch_context context = deciding_at(NOW + 5);
    struct resolution_request request = {.resolution = RESOLUTION_SERVER};
    struct conflict conflict, after;
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    context.random = &RANDOM;
    send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"b\":2}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("3", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_HELD);
    send_one(LAPTOP, change_of("4", CHANGE_UPDATE, "{\"c\":4}"), OUTCOME_HELD);
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    deciding_load(&user, &conflict, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status = conflict_resolve(&view, &conflict, &request, &context, &small,
                                                   &error, &set, &after, &record);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
    /* Every place that takes memory of an arena. */
    for (struct arena_walk walk = {0}; arena_walk_next(&walk);) {
        enum sync_status status = conflict_resolve(&view, &conflict, &request, &context,
                                                   &walk.arena, &error, &set, &after, &record);
        arena_walk_end(&walk, status);
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
    send_one(LAPTOP, later, OUTCOME_HELD);
    struct conflict after = decide(conflict_id, RESOLUTION_SERVER, false);
    assert_int_equal(released(&after, 0, "2").outcome, OUTCOME_MERGED);
}

static void of_two_conflicts_of_a_record_each_holds(void **state) {
    (void)state;
    struct slice first = conflict_about_a();
    decide(first, RESOLUTION_SERVER, false);
    struct slice second =
        send_one(LAPTOP, change_of("2", CHANGE_UPDATE, "{\"a\":4}"), OUTCOME_CONFLICT)->conflict_id;
    decide(first, RESOLUTION_SERVER, true);
    struct change later = change_of("3", CHANGE_UPDATE, "{\"b\":2}");
    send_one(LAPTOP, later, OUTCOME_HELD);
    assert_int_equal(decide(second, RESOLUTION_SERVER, false).held_count, 0);
    send_one(LAPTOP, later, OUTCOME_HELD);
    assert_int_equal(decide(first, RESOLUTION_SERVER, false).held_count, 1);
    assert_int_equal(count_holds(), 0);
    send_one(LAPTOP, later, OUTCOME_MERGED);
}

static void what_comes_in_the_same_batch_is_held_too(void **state) {
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
        assert_int_equal(results[1].outcome, OUTCOME_HELD);
        assert_int_equal(results[1].duplicate, time == 1);
        assert_true(slice_equal(results[1].conflict_id, results[0].conflict_id));
    }
    user.head.conflicts_open++; /* about another record */
    decide(results[0].conflict_id, RESOLUTION_SERVER, false);
    results = send(LAPTOP, changes, 2, NULL);
    assert_int_equal(results[0].outcome, OUTCOME_CONFLICT);
    assert_true(results[0].duplicate);
    assert_int_equal(results[1].outcome, OUTCOME_MERGED);
    assert_true(results[1].duplicate);
    expect_trip("{\"a\":2,\"b\":2}", 3);
}

static void operations_behind_a_conflict_are_held_and_go_on(void **state) {
    (void)state;
    struct slice conflict_id = conflict_about_a();
    struct change change = STEPS("2", set("/legs", "[{\"id\":\"x\"}]"), set("/legs/x/n", "1"));
    send_one(LAPTOP, change, OUTCOME_HELD);
    assert_true(send_one(LAPTOP, change, OUTCOME_HELD)->duplicate);
    send_one(LAPTOP, STEPS("3", set("/legs/z/seat", "\"1A\"")), OUTCOME_HELD);
    struct conflict resolved = decide(conflict_id, RESOLUTION_CLIENT, false);
    expect_trip("{\"a\":3,\"legs\":[{\"id\":\"x\",\"n\":1}]}", 4);
    /* What cannot be done is kept with the conflict. */
    assert_int_equal(resolved.held_count, 2);
    assert_int_equal(resolved.held[0].operations.size + resolved.held[0].data.size, 0);
    assert_int_equal(resolved.held[1].data.size, 0);
    struct slice message;
    size_t position = 0;
    struct patch_operation lost;
    assert_true(patch_operations_next(resolved.held[1].operations, &position, &message));
    assert_int_equal(patch_operation_read(message, &arena, NULL, &lost), SYNC_OK);
    assert_true(slice_equal(lost.path, SLICE("/legs/z/seat")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(what_comes_behind_a_conflict_is_held_and_goes_on_when_it_is_resolved),
        USER_TEST(a_change_that_waits_is_known_when_its_outcome_is_forgotten),
        USER_TEST(a_change_is_known_when_its_resolution_was_taken_back),
        USER_TEST(a_held_change_is_told_apart_from_another_of_its_id),
        USER_TEST(what_was_made_on_the_clients_side_meets_nobody_when_that_is_taken),
        USER_TEST(a_held_change_that_gives_a_conflict_holds_the_rest),
        USER_TEST(a_held_change_that_is_rejected_keeps_its_data),
        USER_TEST(what_has_no_room_stays_with_the_device_and_so_does_all_behind_it),
        USER_TEST(a_deadline_lets_what_waits_go_on),
        USER_TEST(refused_memory_lets_nothing_go),
        USER_TEST(a_conflict_holds_back_only_its_record_and_its_device),
        USER_TEST(a_resolution_taken_back_holds_again),
        USER_TEST(of_two_conflicts_of_a_record_each_holds),
        USER_TEST(what_comes_in_the_same_batch_is_held_too),
        USER_TEST(operations_behind_a_conflict_are_held_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
