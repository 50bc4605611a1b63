/* Resolutions taken back after the record has moved on. */
#include "tests/base/memory_walk.h"
#include "tests/service/core/batch_sending.h"
#include "tests/service/core/conflict_deciding.h"

/* What taking back came to. */
struct undone {
    enum sync_status status;
    struct sync_error error;
    struct conflict conflict;
};

static struct conflict stored(struct slice conflict_id) {
    struct conflict conflict;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, conflict_id);
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    return conflict;
}

static struct undone undo(struct slice conflict_id) {
    struct conflict conflict = stored(conflict_id);
    struct undone undone = {.error = {.status = SYNC_OK}};
    struct user_view view;
    struct write_set set;
    struct record record;
    deciding_load(&user, &conflict, &view);
    undone.status = conflict_undo(&view, &conflict, NOW + 9, &arena, &undone.error, &set,
                                  &undone.conflict, &record);
    if (!undone.status)
        memory_user_commit(&user, &set);
    return undone;
}

/* Expects a refusal that says this, and that nothing changes. */
static void expect_refused(struct slice conflict_id, const char *reason, const char *says) {
    uint64_t revision = user.head.revision;
    struct undone undone = undo(conflict_id);
    assert_int_equal(undone.status, SYNC_ERR_PRECONDITION);
    assert_string_equal(undone.error.reason, reason);
    assert_string_equal(undone.error.field, "conflictId");
    if (!strstr(undone.error.message, says))
        fail_msg("\"%s\" does not say \"%s\"", undone.error.message, says);
    assert_int_equal(user.head.revision, revision);
    assert_true(stored(conflict_id).resolved_us != 0);
}

static void resolve(struct slice conflict_id, struct resolution_request request) {
    struct conflict conflict = stored(conflict_id);
    assert_true(deciding_resolve(&user, &conflict, request, NOW).resolved_us != 0);
}

/* A decision about what the laptop wants of a trip that the tablet has changed; the trip is at
 * version 3 then, where it changed. */
static struct slice decide(const char *json, const char *tablet, const char *laptop,
                           enum conflict_strategy strategy) {
    start(json);
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_of("t", CHANGE_UPDATE, tablet), OUTCOME_APPLIED);
    struct sending sending = {.device = "laptop", .acknowledged = 1, .strategy = strategy};
    return send_one(sending, change_of("l", CHANGE_UPDATE, laptop), OUTCOME_MERGED)->decision_id;
}

static struct slice decide_name(void) {
    struct slice id = decide("{\"n\":1,\"name\":\"Rome\"}", "{\"name\":\"Roma\"}",
                             "{\"name\":\"Rom\"}", STRATEGY_CLIENT);
    expect_trip("{\"n\":1,\"name\":\"Rom\"}", 3);
    return id;
}

/* The tablet, which has seen all, changes the trip. */
static void later(const char *id, enum change_kind kind, const char *json) {
    send_one((struct sending){.device = "tablet", .acknowledged = user.head.sequence},
             change_of(id, kind, json), OUTCOME_APPLIED);
}

static void what_changed_elsewhere_since_stays(void **state) {
    (void)state;
    struct slice id = decide_name();
    later("1", CHANGE_UPDATE, "{\"more\":7}");
    later("2", CHANGE_UPDATE, "{\"more\":8,\"n\":null}");
    struct undone undone = undo(id);
    assert_int_equal(undone.status, SYNC_OK);
    expect_trip("{\"more\":8,\"name\":\"Roma\"}", 6);
    assert_int_equal(undone.conflict.resolved_us, 0);
    assert_int_equal(undone.conflict.server_version, 6);
    assert_document(undone.conflict.server, "{\"more\":8,\"name\":\"Roma\"}");
    assert_int_equal(user.head.conflicts_open, 1);
    assert_document(stored(id).base, "{\"n\":1,\"name\":\"Rome\"}");
    /* Both sides have what is newer: so it is there whichever is taken. */
    assert_document(stored(id).client, "{\"more\":8,\"name\":\"Rom\"}");
    assert_document(stored(id).suggested, "{\"more\":8,\"name\":\"Rom\"}");
    resolve(id, (struct resolution_request){.resolution = RESOLUTION_CLIENT});
    expect_trip("{\"more\":8,\"name\":\"Rom\"}", 7);
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"more\":8,\"name\":\"Roma\"}", 8);
}

static void of_what_was_decided_only_what_changed_since_stays(void **state) {
    (void)state;
    struct slice id = decide("{\"a\":1,\"b\":1,\"o\":{\"x\":1,\"y\":1}}",
                             "{\"a\":2,\"b\":2,\"o\":{\"x\":2,\"y\":2}}",
                             "{\"a\":3,\"b\":3,\"o\":{\"x\":3,\"y\":3}}", STRATEGY_CLIENT);
    later("1", CHANGE_UPDATE, "{\"a\":4,\"o\":{\"y\":4}}");
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"a\":4,\"b\":2,\"o\":{\"x\":2,\"y\":4}}", 5);
    assert_document(stored(id).client, "{\"a\":3,\"b\":3,\"o\":{\"x\":3,\"y\":3}}");
}

static void when_all_that_was_decided_changed_since_it_is_refused_by_name(void **state) {
    (void)state;
    struct slice id = decide_name();
    later("1", CHANGE_UPDATE, "{\"n\":2,\"name\":\"Roma aeterna\"}");
    expect_refused(id, "VERSION_MISMATCH", "such as \"name\": it is at version 4.");
    later("2", CHANGE_UPDATE, "{\"name\":\"Roma\"}");
    expect_refused(id, "VERSION_MISMATCH", "such as \"name\"");
    expect_trip("{\"n\":2,\"name\":\"Roma\"}", 5);
}

static void what_was_changed_and_changed_back_stays(void **state) {
    (void)state;
    struct slice id =
        decide("{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":2}", "{\"a\":3,\"b\":3}", STRATEGY_CLIENT);
    later("1", CHANGE_UPDATE, "{\"b\":4}");
    later("2", CHANGE_UPDATE, "{\"b\":3}");
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"a\":2,\"b\":3}", 6);
    memory_user_done(&user);
    memory_user_init(&user);
    id = decide_name();
    later("1", CHANGE_UPDATE, "{\"name\":\"Roma aeterna\"}");
    later("2", CHANGE_UPDATE, "{\"name\":\"Rom\"}");
    expect_refused(id, "VERSION_MISMATCH", "such as \"name\"");
}

static void lists_go_back_element_by_element(void **state) {
    (void)state;
    struct slice id = decide("{\"l\":[{\"id\":1,\"v\":1},{\"id\":2,\"v\":1}]}",
                             "{\"l\":[{\"id\":1,\"v\":2},{\"id\":2,\"v\":1}]}",
                             "{\"l\":[{\"id\":1,\"v\":3},{\"id\":2,\"v\":1}]}", STRATEGY_CLIENT);
    expect_trip("{\"l\":[{\"id\":1,\"v\":3},{\"id\":2,\"v\":1}]}", 3);
    later("1", CHANGE_UPDATE, "{\"l\":[{\"id\":1,\"v\":3},{\"id\":2,\"v\":9},{\"id\":3}]}");
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"l\":[{\"id\":1,\"v\":2},{\"id\":2,\"v\":9},{\"id\":3}]}", 5);
}

static void a_decision_that_changed_nothing_waits_while_its_wish_is_left(void **state) {
    (void)state;
    struct slice id =
        decide("{\"name\":\"Rome\"}", "{\"name\":\"Roma\"}", "{\"name\":\"Rom\"}", STRATEGY_SERVER);
    later("1", CHANGE_UPDATE, "{\"more\":7}");
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"more\":7,\"name\":\"Roma\"}", 3);
    resolve(id, (struct resolution_request){.resolution = RESOLUTION_SERVER});
    later("2", CHANGE_UPDATE, "{\"name\":\"Roma aeterna\"}");
    expect_refused(id, "VERSION_MISMATCH", "such as \"name\"");
}

static void nothing_is_taken_back_over_a_death_or_a_new_life(void **state) {
    (void)state;
    struct slice id = decide_name();
    later("1", CHANGE_UPDATE, "{\"more\":7}");
    later("2", CHANGE_DELETE, NULL);
    expect_refused(id, "VERSION_MISMATCH", "which was deleted since: it is at version 5.");
    later("3", CHANGE_CREATE, "{\"n\":1,\"name\":\"Rom\"}");
    expect_refused(id, "VERSION_MISMATCH", "which was deleted and made anew since");
    expect_trip("{\"n\":1,\"name\":\"Rom\"}", 6);
}

static void a_deletion_is_taken_back_unless_the_record_was_made_anew(void **state) {
    (void)state;
    start("{\"name\":\"Rome\"}");
    later("t", CHANGE_UPDATE, "{\"name\":\"Roma\"}");
    struct sending laptop = {.device = "laptop", .acknowledged = 1, .strategy = STRATEGY_CLIENT};
    struct slice id =
        send_one(laptop, change_of("l", CHANGE_DELETE, NULL), OUTCOME_MERGED)->decision_id;
    expect_trip(NULL, 3);
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"name\":\"Roma\"}", 4);
    resolve(id, (struct resolution_request){.resolution = RESOLUTION_CLIENT});
    later("1", CHANGE_CREATE, "{\"n\":2}");
    expect_refused(id, "VERSION_MISMATCH", "which was deleted and made anew since");
    expect_trip("{\"n\":2}", 6);
}

static void what_was_brought_back_goes_unless_it_was_changed_since(void **state) {
    (void)state;
    start("{\"name\":\"Rome\"}");
    later("t", CHANGE_DELETE, NULL);
    struct sending laptop = {.device = "laptop", .acknowledged = 1, .strategy = STRATEGY_CLIENT};
    struct slice id =
        send_one(laptop, change_of("l", CHANGE_UPDATE, "{\"n\":1}"), OUTCOME_MERGED)->decision_id;
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip(NULL, 4);
    resolve(id, (struct resolution_request){.resolution = RESOLUTION_CLIENT});
    later("1", CHANGE_UPDATE, "{\"n\":2}");
    expect_refused(id, "VERSION_MISMATCH", "which it brought back and which was changed since");
    expect_trip("{\"n\":2,\"name\":\"Rome\"}", 6);
}

static void what_the_log_has_lost_is_not_taken_back(void **state) {
    (void)state;
    struct slice id = decide_name();
    memory_user_trim(&user, user.head.sequence);
    later("1", CHANGE_UPDATE, "{\"more\":7}");
    later("2", CHANGE_UPDATE, "{\"more\":8}");
    memory_user_trim(&user, 4);
    expect_refused(id, "RESOLVED_LONG_AGO", "The log does not reach back");
}

static void a_merge_of_the_users_is_suggested_when_it_is_taken_back(void **state) {
    (void)state;
    struct slice id = decide_name();
    assert_int_equal(undo(id).status, SYNC_OK);
    resolve(id, (struct resolution_request){.resolution = RESOLUTION_MERGE,
                                            .merged = doc("{\"n\":1,\"name\":\"Rome!\"}")});
    later("1", CHANGE_UPDATE, "{\"n\":2}");
    assert_int_equal(undo(id).status, SYNC_OK);
    expect_trip("{\"n\":2,\"name\":\"Roma\"}", 7);
    assert_document(stored(id).suggested, "{\"n\":2,\"name\":\"Rome!\"}");
    assert_document(stored(id).client, "{\"n\":2,\"name\":\"Rom\"}");
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct slice id = decide_name();
    struct user_view view;
    later("1", CHANGE_UPDATE, "{\"more\":7}");
    struct conflict conflict = stored(id), opened;
    deciding_load(&user, &conflict, &view);
    for (struct memory_walk walk = {0};
         memory_walk_next(&walk);) { /* each block, those of the pass too */
        struct arena small;
        struct sync_error error;
        struct write_set set;
        struct record record;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            conflict_undo(&view, &conflict, NOW, &small, &error, &set, &opened, &record);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
    for (struct arena_walk walk = {0};
         arena_walk_next(&walk);) { /* each place that asks the arena */
        struct sync_error error;
        struct write_set set;
        struct record record;
        enum sync_status status =
            conflict_undo(&view, &conflict, NOW, &walk.arena, &error, &set, &opened, &record);
        arena_walk_end(&walk, status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(what_changed_elsewhere_since_stays),
        USER_TEST(of_what_was_decided_only_what_changed_since_stays),
        USER_TEST(when_all_that_was_decided_changed_since_it_is_refused_by_name),
        USER_TEST(what_was_changed_and_changed_back_stays),
        USER_TEST(lists_go_back_element_by_element),
        USER_TEST(a_decision_that_changed_nothing_waits_while_its_wish_is_left),
        USER_TEST(nothing_is_taken_back_over_a_death_or_a_new_life),
        USER_TEST(a_deletion_is_taken_back_unless_the_record_was_made_anew),
        USER_TEST(what_was_brought_back_goes_unless_it_was_changed_since),
        USER_TEST(what_the_log_has_lost_is_not_taken_back),
        USER_TEST(a_merge_of_the_users_is_suggested_when_it_is_taken_back),
        USER_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
