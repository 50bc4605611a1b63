/* What retention does with conflicts: settles those that are due, removes old and excess ones. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/memory.h"
#include "service/core/expiry_key.h"
#include "service/core/write_build.h"
#include "service/rpc/retention.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/json_document.h"
#include "tests/service/rpc/retention_rows.h"

static void conflicts_go_when_their_resolution_is_long_ago(void **state) {
    struct service_fixture *fixture = *state;
    enum { MANY = 300 };
    int64_t begin_us = (int64_t)fixture->now_us;
    struct slice open = put_conflict(fixture, 0);
    for (int i = 0; i < MANY; i++)
        put_conflict(fixture, begin_us + 1);
    struct slice late = put_conflict(fixture, begin_us + 2);
    fixture->now_us = (uint64_t)begin_us + 2 + fixture->service.retention.log_us;
    struct slice fresh = put_conflict(fixture, (int64_t)fixture->now_us);
    struct retention_counts counts = {0};
    assert_int_equal(retention_expire_conflicts(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.conflicts, MANY);
    const struct slice kept[] = {open, late, fresh};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, kept[i]), 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, SLICE_EMPTY), 3);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT_BY_USER, SLICE_EMPTY), 3);
    fixture->now_us++;
    assert_int_equal(retention_expire_conflicts(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, late), 0);
    assert_int_equal(counts.conflicts, MANY + 1);
}

/* Stores an open conflict about anna's booking b1, which both sides made of {"n":1}. It is due at a
 * time, and the record becomes the client's then. */
static struct slice put_due_conflict(struct service_fixture *fixture, int64_t due_us) {
    struct arena *arena = &fixture->arena;
    struct conflict conflict = {.user = ANNA,
                                .key = {DATA_TYPE_BOOKING, SLICE("b1")},
                                .type = CONFLICT_UPDATE_UPDATE,
                                .has_client = true,
                                .has_server = true,
                                .server_version = 1,
                                .detected_us = (int64_t)fixture->now_us,
                                .resolve_by_us = due_us,
                                .deadline_action = DEADLINE_CLIENT};
    struct user_head head = {0};
    struct write_build build;
    conflict.id = slice_text(make_id(fixture));
    conflict.client = json_document("{\"n\":3}", arena);
    conflict.server = json_document("{\"n\":1}", arena);
    assert_int_equal(write_build_init(&build, ANNA, &head, 1, arena), SYNC_OK);
    assert_int_equal(conflict_put(&build, &conflict), SYNC_OK);
    commit_rows(fixture, build.rows, build.row_count);
    write_build_done(&build);
    return conflict.id;
}

static struct conflict get_conflict(struct service_fixture *fixture, struct slice id) {
    struct row wanted = {.table = TABLE_CONFLICT, .key = id};
    struct touched want = {.user = ANNA, .rows = &wanted, .row_count = 1};
    struct user_view view;
    struct conflict conflict;
    assert_int_equal(store_load(fixture->service.store, NULL, &want, &fixture->arena, &view),
                     SYNC_OK);
    assert_true(view.rows[0].found);
    assert_int_equal(conflict_unpack(view.rows[0].value, &fixture->arena, &conflict), SYNC_OK);
    return conflict;
}

static void a_conflict_is_settled_when_its_deadline_comes(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    int64_t due_us = (int64_t)fixture->now_us + 5000000;
    struct slice id = put_due_conflict(fixture, due_us);
    struct retention_counts counts = {0};
    fixture->now_us = (uint64_t)due_us - 1;
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.settled, 0);
    assert_int_equal(get_conflict(fixture, id).resolved_us, 0);
    fixture->now_us++;
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.settled, 1);
    struct conflict settled = get_conflict(fixture, id);
    assert_int_equal(settled.resolved_us, due_us);
    assert_int_equal(settled.resolution, RESOLUTION_CLIENT);
    assert_true(slice_equal(settled.decisions[0].reason, SLICE("deadline client")));
    assert_int_equal(service_fixture_head(fixture, "anna").sequence, 2);
    assert_int_equal(service_fixture_count(fixture, TABLE_EXPIRY, SLICE_EMPTY), 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT_BY_USER, SLICE_EMPTY), 1);
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.settled, 1);
}

static void a_deadline_of_a_conflict_that_is_gone_goes_too(void **state) {
    struct service_fixture *fixture = *state;
    struct retention_counts counts = {0};
    struct slice id = put_due_conflict(fixture, (int64_t)fixture->now_us);
    struct row_write gone = {.table = TABLE_CONFLICT, .key = id, .remove = true};
    commit_rows(fixture, &gone, 1);
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.settled, 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_EXPIRY, SLICE_EMPTY), 0);
}

static void damage_that_is_due_holds_nothing_up(void **state) {
    struct service_fixture *fixture = *state;
    enum { MANY = 200 };
    struct arena *arena = &fixture->arena;
    struct retention_counts counts = {0};
    int64_t due_us = (int64_t)fixture->now_us;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    for (int i = 0; i < MANY; i++) {
        struct slice damaged = put_due_conflict(fixture, due_us);
        struct row_write spoilt = {
            .table = TABLE_CONFLICT, .key = damaged, .value = SLICE("\xff\xff")};
        commit_rows(fixture, &spoilt, 1);
    }
    struct row_write lost[2] = {{.table = TABLE_EXPIRY, .key = SLICE("short")},
                                {.table = TABLE_EXPIRY}};
    assert_true(expiry_key_make(arena, due_us, TABLE_META, SLICE("no such"), &lost[1].key));
    commit_rows(fixture, lost, 2);
    struct slice whole = put_due_conflict(fixture, due_us + 1);
    fixture->now_us++;
    for (int i = 0; i < 2; i++) {
        counts.damaged = 0;
        assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
        assert_int_equal(counts.damaged, MANY + 2);
        assert_int_equal(counts.settled, 1);
    }
    assert_true(get_conflict(fixture, whole).resolved_us != 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_EXPIRY, SLICE_EMPTY), MANY + 2);
}

/* Every allocation fails once: the conflict is settled whole or waits for the next run. */
static void without_memory_a_conflict_is_settled_later(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct retention_counts counts = {0};
        struct slice id = put_due_conflict(fixture, (int64_t)fixture->now_us);
        memory_walk_begin(&walk);
        enum sync_status status = retention_work_off_due(&fixture->service, &counts);
        bool has_failed = memory_walk_end(&walk);
        assert_true(status == SYNC_OK || (has_failed && status == SYNC_ERR_NO_MEMORY));
        assert_int_equal(get_conflict(fixture, id).resolved_us != 0, counts.settled);
        assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
        assert_int_equal(counts.settled, 1);
    }
}

/* Stores a resolved conflict of a user's. */
static struct slice put_decision(struct service_fixture *fixture, struct slice of) {
    struct arena *arena = &fixture->arena;
    fixture->now_us += 1000;
    struct row_write rows[] = {{.table = TABLE_CONFLICT, .key = slice_text(make_id(fixture))},
                               {.table = TABLE_CONFLICT_BY_USER}};
    assert_int_equal(conflict_index_key(of, true, rows[0].key, arena, &rows[1].key), SYNC_OK);
    commit_rows(fixture, rows, 2);
    return rows[0].key;
}

static void only_the_newest_decisions_of_a_user_are_kept(void **state) {
    struct service_fixture *fixture = *state;
    enum { MANY = 600, USERS = 150, MAX = 3 };
    struct retention_counts counts = {0};
    struct slice open = put_conflict(fixture, 0), newest = SLICE_EMPTY;
    for (int i = 0; i < MANY; i++)
        newest = put_decision(fixture, ANNA);
    for (int i = 0; i < USERS; i++)
        for (int j = 0; j <= MAX; j++)
            put_decision(fixture, slice_text(arena_format(&fixture->arena, "u%d", i)));
    assert_int_equal(retention_bound_conflicts(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.dropped, 0); /* no bound is set */
    fixture->service.retention.decisions_max = MAX;
    assert_int_equal(retention_bound_conflicts(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.dropped, MANY - MAX + USERS);
    size_t kept = MAX + USERS * MAX + 1;
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, SLICE_EMPTY), kept);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT_BY_USER, SLICE_EMPTY), kept);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, newest), 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, open), 1);
    assert_int_equal(retention_bound_conflicts(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.dropped, MANY - MAX + USERS);
}

static void without_memory_the_bound_is_kept_later(void **state) {
    struct service_fixture *fixture = *state;
    fixture->service.retention.decisions_max = 1;
    put_decision(fixture, ANNA);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct retention_counts counts = {0};
        put_decision(fixture, ANNA);
        memory_walk_begin(&walk);
        enum sync_status status = retention_bound_conflicts(&fixture->service, &counts);
        bool has_failed = memory_walk_end(&walk);
        assert_true(status == SYNC_OK || (has_failed && status == SYNC_ERR_NO_MEMORY));
        assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, SLICE_EMPTY),
                         2 - counts.dropped);
        assert_int_equal(retention_bound_conflicts(&fixture->service, &counts), SYNC_OK);
        assert_int_equal(counts.dropped, 1);
    }
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(conflicts_go_when_their_resolution_is_long_ago),
        TEST(a_conflict_is_settled_when_its_deadline_comes),
        TEST(a_deadline_of_a_conflict_that_is_gone_goes_too),
        TEST(damage_that_is_due_holds_nothing_up),
        TEST(without_memory_a_conflict_is_settled_later),
        TEST(only_the_newest_decisions_of_a_user_are_kept),
        TEST(without_memory_the_bound_is_kept_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
