/* Conflicts whose deadline comes. */
#include "service/core/expiry_key.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/batch_sending.h"
#include "tests/service/core/conflict_deciding.h"

static const int64_t HOUR_US = INT64_C(3600000000);

static struct policy_set deadline_of(enum deadline_action action, int64_t span_us,
                                     int64_t before_us) {
    struct policy_set policies = {.count = 0};
    policies.deadlines[DATA_TYPE_TRIP] = (struct deadline_policy){action, span_us, before_us};
    return policies;
}

/* The trip is changed by the tablet, then by the laptop, who both saw version 1; without a patch
 * they delete it. */
static struct conflict conflict_between(const char *tablet, const char *laptop,
                                        const struct policy_set *policies) {
    struct sending by = {.device = "tablet", .acknowledged = 1, .policies = policies};
    start("{\"a\":1,\"b\":1,\"c\":1}");
    send_one(by, change_of("t1", tablet ? CHANGE_UPDATE : CHANGE_DELETE, tablet), OUTCOME_APPLIED);
    by.device = "laptop";
    return the_conflict(send_one(
        by, change_of("l1", laptop ? CHANGE_UPDATE : CHANGE_DELETE, laptop), OUTCOME_CONFLICT));
}

struct settling {
    struct write_set set;
    struct conflict conflict;
    struct record record;
};

/* Settles and commits. */
static struct settling settle_at(const struct conflict *conflict, int64_t now_us) {
    struct user_view view;
    struct settling settling;
    struct batch_context context = deciding_at(now_us);
    deciding_load(&user, conflict, &view);
    assert_int_equal(conflict_settle(&view, conflict, &context, &arena, &settling.set,
                                     &settling.conflict, &settling.record),
                     SYNC_OK);
    if (settling.set.row_count > 0)
        memory_user_commit(&user, &settling.set);
    return settling;
}

/* A user who takes the client's side of a record that moved on is shown it as it is now. */
static struct conflict look_again(const struct conflict *conflict) {
    struct resolution_request request = {.resolution = RESOLUTION_CLIENT};
    struct conflict shown = deciding_resolve(&user, conflict, request, NOW);
    assert_int_equal(shown.resolved_us, 0);
    return shown;
}

/* Whether the rows of when it is due are there. */
static bool is_listed_due(const struct conflict *conflict, int64_t resolve_by_us) {
    struct slice due, place;
    assert_true(expiry_key_make(&arena, resolve_by_us, TABLE_CONFLICT, conflict->id, &due));
    assert_int_equal(conflict_deadline_key(SLICE("u"), resolve_by_us, conflict->id, &arena, &place),
                     SYNC_OK);
    bool is_due = memory_user_row(&user, TABLE_EXPIRY, due) != NULL;
    assert_int_equal(is_due, memory_user_row(&user, TABLE_CONFLICT_BY_USER, place) != NULL);
    return is_due;
}

static void each_action_does_what_it_says(void **state) {
    (void)state;
    static const struct {
        enum deadline_action action;
        const char *tablet, *laptop;
        const char *after, *reason;
        enum resolution taken;
    } CASES[] = {
        {DEADLINE_SERVER, "{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", "{\"a\":2,\"b\":2,\"c\":1}",
         "deadline server", RESOLUTION_SERVER},
        {DEADLINE_SUGGESTED, "{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", "{\"a\":2,\"b\":2,\"c\":3}",
         "deadline suggested", RESOLUTION_SERVER},
        {DEADLINE_CLIENT, "{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", "{\"a\":3,\"b\":2,\"c\":3}",
         "deadline client", RESOLUTION_CLIENT},
        {DEADLINE_SERVER, NULL, "{\"a\":3}", NULL, "deadline server", RESOLUTION_SERVER},
        {DEADLINE_SUGGESTED, NULL, "{\"a\":3}", "{\"a\":3,\"b\":1,\"c\":1}", "deadline suggested",
         RESOLUTION_CLIENT},
        {DEADLINE_CLIENT, NULL, "{\"a\":3}", "{\"a\":3,\"b\":1,\"c\":1}", "deadline client",
         RESOLUTION_CLIENT},
        {DEADLINE_SERVER, "{\"a\":2}", NULL, "{\"a\":2,\"b\":1,\"c\":1}", "deadline server",
         RESOLUTION_SERVER},
        {DEADLINE_SUGGESTED, "{\"a\":2}", NULL, "{\"a\":2,\"b\":1,\"c\":1}", "deadline suggested",
         RESOLUTION_SERVER},
        {DEADLINE_CLIENT, "{\"a\":2}", NULL, NULL, "deadline client", RESOLUTION_CLIENT},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct policy_set policies = deadline_of(CASES[i].action, HOUR_US, 0);
        struct conflict open = conflict_between(CASES[i].tablet, CASES[i].laptop, &policies);
        assert_int_equal(open.resolve_by_us, NOW + HOUR_US);
        assert_int_equal(open.deadline_action, CASES[i].action);
        assert_true(is_listed_due(&open, NOW + HOUR_US));
        struct settling early = settle_at(&open, NOW + HOUR_US - 1);
        assert_int_equal(early.set.row_count + early.set.log_count, 0);
        assert_int_equal(early.conflict.resolved_us, 0);
        struct settling done = settle_at(&open, NOW + HOUR_US);
        expect_trip(CASES[i].after, done.record.version);
        assert_int_equal(done.conflict.resolved_us, NOW + HOUR_US);
        assert_false(is_listed_due(&open, NOW + HOUR_US));
        assert_int_equal(user.head.conflicts_open, 0);
        assert_int_equal(done.conflict.decision_count, 1);
        assert_true(slice_equal(done.conflict.decisions[0].reason, slice_text(CASES[i].reason)));
        assert_int_equal(done.conflict.decisions[0].taken, CASES[i].taken);
        bool is_whole = !CASES[i].tablet || !CASES[i].laptop;
        assert_true(
            slice_equal(done.conflict.decisions[0].field, is_whole ? SLICE_EMPTY : SLICE("a")));
        /* A second time changes nothing. */
        struct settling again = settle_at(&done.conflict, NOW + 2 * HOUR_US);
        assert_int_equal(again.set.row_count + again.set.log_count, 0);
    }
}

/* A conflict about an update whose base the log has lost. */
static struct conflict conflict_without_base(const char *json, const struct policy_set *policies) {
    start("{\"a\":1,\"b\":1,\"c\":1}");
    struct sending by = {.device = "tablet", .acknowledged = 1, .policies = policies};
    send_one(by, change_of("t1", CHANGE_UPDATE, "{\"a\":2,\"b\":2}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
    by = (struct sending){.device = "laptop", .acknowledged = 1, .policies = policies};
    struct conflict open =
        the_conflict(send_one(by, change_of("l1", CHANGE_UPDATE, json), OUTCOME_CONFLICT));
    assert_false(open.has_base);
    return open;
}

static void what_the_client_removed_without_a_base_is_removed(void **state) {
    (void)state;
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    struct conflict open = conflict_without_base("{\"a\":null}", &policies);
    settle_at(&open, NOW + HOUR_US);
    expect_trip("{\"b\":2,\"c\":1}", 3);
    /* The same of a record that moved on: what is newer stays. */
    memory_user_done(&user);
    memory_user_init(&user);
    open = conflict_without_base("{\"a\":null,\"c\":null}", &policies);
    struct sending by = {.device = "tablet", .acknowledged = 2, .policies = &policies};
    send_one(by, change_of("t2", CHANGE_UPDATE, "{\"c\":4,\"d\":4}"), OUTCOME_APPLIED);
    struct conflict shown = look_again(&open);
    assert_document(shown.server, "{\"a\":2,\"b\":2,\"c\":4,\"d\":4}");
    assert_document(shown.client, "{\"b\":2,\"d\":4}");
    settle_at(&shown, NOW + HOUR_US);
    expect_trip("{\"b\":2,\"d\":4}", 4);
}

/* Makes both sides' changes at times of their own, and settles by the later. */
static void settle_latest(const char *tablet, const char *laptop, bool laptop_is_later,
                          const char *after) {
    memory_user_done(&user);
    memory_user_init(&user);
    struct policy_set policies = deadline_of(DEADLINE_LATEST, HOUR_US, 0);
    start("{\"a\":1,\"b\":1,\"c\":1}");
    struct sending by = {.device = "tablet", .acknowledged = 1, .policies = &policies};
    struct change theirs = change_of("t1", tablet ? CHANGE_UPDATE : CHANGE_DELETE, tablet);
    struct change ours = change_of("l1", laptop ? CHANGE_UPDATE : CHANGE_DELETE, laptop);
    ours.device_us = theirs.device_us + (laptop_is_later ? 5 : -5);
    send_one(by, theirs, OUTCOME_APPLIED);
    by.device = "laptop";
    struct conflict open = the_conflict(send_one(by, ours, OUTCOME_CONFLICT));
    assert_int_equal(open.client_is_later, laptop_is_later);
    struct settling done = settle_at(&open, NOW + HOUR_US);
    expect_trip(after, done.record.version);
}

static void the_latest_is_whose_change_was_the_later(void **state) {
    (void)state;
    settle_latest("{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", true, "{\"a\":3,\"b\":2,\"c\":3}");
    settle_latest("{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", false, "{\"a\":2,\"b\":2,\"c\":3}");
    settle_latest(NULL, "{\"a\":3}", true, "{\"a\":3,\"b\":1,\"c\":1}");
    settle_latest(NULL, "{\"a\":3}", false, NULL);
    settle_latest("{\"a\":2}", NULL, true, NULL);
    settle_latest("{\"a\":2}", NULL, false, "{\"a\":2,\"b\":1,\"c\":1}");
}

static void what_others_changed_since_is_not_overwritten(void **state) {
    (void)state;
    static const struct {
        const char *tablet, *laptop, *later, *after;
        enum resolution taken;
    } CASES[] = {
        /* what they left alone becomes the client's, what they changed stays */
        {"{\"a\":2}", "{\"a\":3,\"c\":3}", "{\"a\":9}", "{\"a\":9,\"b\":1,\"c\":3}",
         RESOLUTION_CLIENT},
        {"{\"a\":2}", "{\"a\":3,\"c\":3}", "{\"b\":9}", "{\"a\":3,\"b\":9,\"c\":3}",
         RESOLUTION_CLIENT},
        {"{\"a\":2}", "{\"a\":3}", NULL, NULL, RESOLUTION_SERVER}, /* they deleted it */
        {"{\"a\":2}", NULL, "{\"b\":9}", "{\"a\":2,\"b\":9,\"c\":1}", RESOLUTION_SERVER},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
        struct conflict open = conflict_between(CASES[i].tablet, CASES[i].laptop, &policies);
        struct sending tablet = {.device = "tablet", .acknowledged = 2, .policies = &policies};
        send_one(tablet,
                 change_of("t2", CASES[i].later ? CHANGE_UPDATE : CHANGE_DELETE, CASES[i].later),
                 OUTCOME_APPLIED);
        struct settling done = settle_at(&open, NOW + HOUR_US);
        expect_trip(CASES[i].after, done.record.version);
        assert_int_equal(done.conflict.decisions[0].taken, CASES[i].taken);
        assert_int_equal(user.head.conflicts_open, 0);
    }
}

static void a_settled_conflict_is_taken_back_and_then_waits_for_ever(void **state) {
    (void)state;
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    struct conflict open = conflict_between("{\"a\":2,\"b\":2}", "{\"a\":3,\"c\":3}", &policies);
    settle_at(&open, NOW + HOUR_US);
    struct conflict stored, back;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, open.id);
    assert_int_equal(conflict_unpack(row->value, &arena, &stored), SYNC_OK);
    assert_true(stored.is_lean);
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    deciding_load(&user, &stored, &view);
    assert_int_equal(
        conflict_undo(&view, &stored, NOW + 2 * HOUR_US, &arena, &error, &set, &back, &record),
        SYNC_OK);
    memory_user_commit(&user, &set);
    expect_trip("{\"a\":2,\"b\":2,\"c\":1}", record.version);
    assert_document(back.client, "{\"a\":3,\"b\":1,\"c\":3}");
    assert_document(back.server, "{\"a\":2,\"b\":2,\"c\":1}");
    assert_document(back.base, "{\"a\":1,\"b\":1,\"c\":1}");
    assert_int_equal(back.resolve_by_us, 0);
    assert_int_equal(user.head.conflicts_open, 1);
    struct settling again = settle_at(&back, NOW + 1000 * HOUR_US);
    assert_int_equal(again.set.row_count, 0);
}

static void a_user_who_resolves_first_takes_the_deadline_away(void **state) {
    (void)state;
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    struct conflict open = conflict_between("{\"a\":2}", "{\"a\":3}", &policies), after;
    struct resolution_request request = {.resolution = RESOLUTION_SERVER};
    struct batch_context context = deciding_at(NOW + 1);
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    deciding_load(&user, &open, &view);
    assert_int_equal(
        conflict_resolve(&view, &open, &request, &context, &arena, &error, &set, &after, &record),
        SYNC_OK);
    memory_user_commit(&user, &set);
    assert_false(is_listed_due(&open, NOW + HOUR_US));
    assert_int_equal(settle_at(&after, NOW + HOUR_US).set.row_count, 0);
    expect_trip("{\"a\":2,\"b\":1,\"c\":1}", 2);
}

/* The deadline of a conflict about a record that starts at a time, in hours from now. */
static int64_t due_hours(int64_t span_hours, int64_t before_hours, const char *server) {
    struct policy_set policies =
        deadline_of(DEADLINE_SUGGESTED, span_hours * HOUR_US, before_hours * HOUR_US);
    struct conflict conflict = {
        .key = {DATA_TYPE_TRIP, SLICE("t")}, .has_server = true, .server = doc(server)};
    conflict_set_deadline(&conflict, &policies, NOW); /* 2025-11-24T16:00:00Z */
    return (conflict.resolve_by_us - NOW) / HOUR_US;
}

static void a_deadline_lies_before_the_start_but_never_within_the_first_hour(void **state) {
    (void)state;
    static const char *const TOMORROW = "{\"startDate\":\"2025-11-25T16:00:00Z\"}";
    assert_int_equal(due_hours(72, 0, TOMORROW), 72);
    assert_int_equal(due_hours(72, 4, TOMORROW), 20);
    assert_int_equal(due_hours(10, 4, TOMORROW), 10);
    assert_int_equal(due_hours(72, 24, TOMORROW), 1);
    assert_int_equal(due_hours(72, 48, TOMORROW), 1);
    assert_int_equal(due_hours(72, 4, "{\"startDate\":\"2025-11-23T16:00:00Z\"}"), 72);
    assert_int_equal(due_hours(72, 4, "{\"startDate\":\"soon\"}"), 72);
    struct conflict kept = {.key = {DATA_TYPE_BOOKING, SLICE("b")}, .has_server = true};
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    conflict_set_deadline(&kept, &policies, NOW);
    assert_int_equal(kept.resolve_by_us, 0);
}

static void keys_of_deadlines_lie_in_their_order(void **state) {
    (void)state;
    struct slice prefix, early, late;
    const struct slice uuid = SLICE("0197a0c5-7e8e-7000-8000-000000000001");
    assert_int_equal(conflict_deadline_key(SLICE("u"), 0, SLICE_EMPTY, &arena, &prefix), SYNC_OK);
    assert_int_equal(conflict_deadline_key(SLICE("u"), 255, uuid, &arena, &early), SYNC_OK);
    assert_int_equal(conflict_deadline_key(SLICE("u"), 256, uuid, &arena, &late), SYNC_OK);
    assert_true(slice_starts_with(early, prefix) && slice_starts_with(late, prefix));
    assert_true(slice_compare(early, late) < 0);
    assert_true(slice_equal(slice_after(late, late.size - uuid.size), uuid));
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    struct conflict open = conflict_between("{\"a\":2}", "{\"a\":3}", &policies);
    send_one((struct sending){.device = "tablet", .acknowledged = 2},
             change_of("t2", CHANGE_UPDATE, "{\"b\":5}"), OUTCOME_APPLIED);
    struct user_view view;
    struct batch_context context = deciding_at(NOW + HOUR_US);
    deciding_load(&user, &open, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct settling settling;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status = conflict_settle(&view, &open, &context, &small, &settling.set,
                                                  &settling.conflict, &settling.record);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
}

/* A small arena is used up before the allocator fails: this walks every place that takes memory. */
static void a_used_up_arena_is_told(void **state) {
    (void)state;
    struct policy_set policies = deadline_of(DEADLINE_CLIENT, HOUR_US, 0);
    struct conflict open = conflict_between("{\"a\":2}", "{\"a\":3}", &policies);
    struct user_view view;
    struct batch_context context = deciding_at(NOW + HOUR_US);
    deciding_load(&user, &open, &view);
    for (struct arena_walk walk = {0}; arena_walk_next(&walk);) {
        struct settling settling;
        enum sync_status status =
            conflict_settle(&view, &open, &context, &walk.arena, &settling.set, &settling.conflict,
                            &settling.record);
        arena_walk_end(&walk, status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(each_action_does_what_it_says),
        USER_TEST(what_the_client_removed_without_a_base_is_removed),
        USER_TEST(the_latest_is_whose_change_was_the_later),
        USER_TEST(what_others_changed_since_is_not_overwritten),
        USER_TEST(a_settled_conflict_is_taken_back_and_then_waits_for_ever),
        USER_TEST(a_user_who_resolves_first_takes_the_deadline_away),
        USER_TEST(a_deadline_lies_before_the_start_but_never_within_the_first_hour),
        USER_TEST(keys_of_deadlines_lie_in_their_order),
        USER_TEST(refused_memory_is_told),
        USER_TEST(a_used_up_arena_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
