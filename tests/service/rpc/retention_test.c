// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/memory.h"
#include "service/queue/job_row.h"
#include "service/rpc/bundle_params.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/retention.h"
#include "service/rpc/sync_job.h"
#include "tests/base/memory_walk.h"
#include "tests/service/rpc/retention_rows.h"

/* Makes an operation that begins now; its id lives in the fixture's arena. */
static PB(SyncOperation) *make_operation(struct service_fixture *fixture,
                                         struct operation_draft draft) {
    draft.sync_id = make_id(fixture);
    draft.user = ANNA;
    draft.device = SLICE("d1");
    draft.types = DATA_TYPES_ALL;
    draft.created_us = (int64_t)fixture->now_us;
    PB(SyncOperation) *operation = operation_make(&draft, &fixture->arena);
    assert_non_null(operation);
    return operation;
}

/* Stores an operation and returns its id. */
static const char *put_operation(struct service_fixture *fixture, enum sync_type type,
                                 enum operation_status status) {
    PB(SyncOperation) *operation = make_operation(
        fixture, (struct operation_draft){
                     .sync_type = type, .status = OPERATION_PENDING, .phase = "queued"});
    if (status > OPERATION_PROCESSING)
        assert_int_equal(
            operation_end(operation, status, NULL, (int64_t)fixture->now_us, &fixture->arena),
            SYNC_OK);
    struct row_write rows[OPERATION_ROWS_MAX];
    size_t count = 0;
    assert_int_equal(operation_put(operation, true, &fixture->arena, rows, &count), SYNC_OK);
    commit_rows(fixture, rows, count);
    return operation->sync_id;
}

static PB(SyncOperation) *get_operation(struct service_fixture *fixture, const char *id) {
    PB(SyncOperation) *operation = NULL;
    assert_int_equal(operation_load(fixture->service.store, slice_text(id), ANNA, &fixture->arena,
                                    NULL, &operation),
                     SYNC_OK);
    return operation;
}

static size_t count_open(struct service_fixture *fixture) {
    size_t count;
    assert_int_equal(operation_count_open(fixture->service.store, ANNA, (int64_t)fixture->now_us,
                                          50, &fixture->arena, &count),
                     SYNC_OK);
    return count;
}

/* Stores the operation of a stream, renewed now. */
static const char *put_stream(struct service_fixture *fixture) {
    PB(SyncOperation) *operation =
        make_operation(fixture, (struct operation_draft){.sync_type = SYNC_FULL,
                                                         .status = OPERATION_PROCESSING,
                                                         .phase = "downloading"});
    struct row_write rows[OPERATION_ROWS_MAX];
    size_t count = 0;
    assert_int_equal(operation_put_stream(operation, true, (int64_t)fixture->now_us,
                                          &fixture->arena, rows, &count),
                     SYNC_OK);
    commit_rows(fixture, rows, count);
    return operation->sync_id;
}

static enum sync_status run_job(struct service_fixture *fixture, const char *id) {
    struct job job = {.kind = SLICE(SYNC_JOB_KIND), .user = ANNA, .payload = slice_text(id)};
    struct sync_error error;
    return sync_job_run(&fixture->service, &job, &error);
}

static void a_request_becomes_a_bundle(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    const char *id = put_operation(fixture, SYNC_FULL, OPERATION_PENDING);
    assert_int_equal(count_open(fixture), 1);
    assert_int_equal(run_job(fixture, id), SYNC_OK);
    const PB(SyncOperation) *done = get_operation(fixture, id);
    assert_int_equal(done->status, OPERATION_COMPLETED);
    assert_int_equal(done->progress, 100);
    assert_int_equal(done->changes_processed, 1);
    assert_int_equal(done->sync_attempts, 1);
    assert_string_equal(done->phase, "done");
    struct bundle bundle;
    assert_int_equal(bundle_load(&fixture->service, slice_text(done->bundle_id), ANNA,
                                 &fixture->arena, NULL, &bundle),
                     SYNC_OK);
    assert_true(bundle.is_built);
    assert_int_equal(bundle.size, done->bytes_total);
    assert_int_equal(count_open(fixture), 0);
}

static void a_job_that_runs_again_changes_nothing(void **state) {
    struct service_fixture *fixture = *state;
    const char *id = put_operation(fixture, SYNC_DELTA, OPERATION_PENDING);
    assert_int_equal(run_job(fixture, id), SYNC_OK);
    fixture->now_us += 5;
    assert_int_equal(run_job(fixture, id), SYNC_OK);
    const PB(SyncOperation) *done = get_operation(fixture, id);
    assert_int_equal(done->sync_attempts, 1);
    assert_int_equal(done->status, OPERATION_COMPLETED);
}

static void a_stream_that_is_not_renewed_has_failed(void **state) {
    struct service_fixture *fixture = *state;
    const char *id = put_stream(fixture);
    fixture->now_us += OPERATION_STALE_US - 1;
    PB(SyncOperation) *operation = get_operation(fixture, id);
    int64_t now_us = (int64_t)fixture->now_us;
    assert_int_equal(count_open(fixture), 1);
    assert_int_equal(operation_judge(operation, now_us, &fixture->arena), SYNC_OK);
    assert_int_equal(operation->status, OPERATION_PROCESSING);
    /* Renewed, it lives on. */
    struct row_write rows[OPERATION_ROWS_MAX];
    size_t count = 0;
    operation->updated_at = message_time(&fixture->arena, now_us);
    assert_int_equal(operation_put_stream(operation, false, now_us, &fixture->arena, rows, &count),
                     SYNC_OK);
    struct write_set set = {.rows = rows, .row_count = count};
    assert_int_equal(store_commit_wait(fixture->service.store, &set, NULL), SYNC_OK);
    fixture->now_us += 2;
    assert_int_equal(count_open(fixture), 1);
    fixture->now_us += OPERATION_STALE_US;
    assert_int_equal(count_open(fixture), 0);
    operation = get_operation(fixture, id);
    assert_int_equal(operation_judge(operation, (int64_t)fixture->now_us, &fixture->arena),
                     SYNC_OK);
    assert_int_equal(operation->status, OPERATION_FAILED);
    assert_true(slice_starts_with(slice_text(operation->error_message), SLICE("INTERRUPTED")));
    int64_t end_us;
    assert_true(message_time_us(operation->end_time, &end_us));
    assert_int_equal(end_us, now_us);
}

static void a_cut_stream_is_removed_in_time_with_its_mark(void **state) {
    struct service_fixture *fixture = *state;
    put_stream(fixture);
    struct retention_counts counts = {0};
    fixture->now_us += fixture->service.retention.operation_us;
    assert_int_equal(retention_expire_operations(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.operations, 0);
    fixture->now_us += 2 * (uint64_t)OPERATION_STALE_US;
    assert_int_equal(retention_expire_operations(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.operations, 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION, SLICE_EMPTY), 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION_BY_USER, SLICE_EMPTY), 0);
}

static void a_job_that_works_long_has_not_failed(void **state) {
    struct service_fixture *fixture = *state;
    const char *id = put_operation(fixture, SYNC_FULL, OPERATION_PENDING);
    fixture->now_us += 10 * (uint64_t)OPERATION_STALE_US;
    PB(SyncOperation) *operation = get_operation(fixture, id);
    operation->status = (PB(SyncStatus))OPERATION_PROCESSING;
    operation->sync_attempts = 1;
    assert_int_equal(operation_judge(operation, (int64_t)fixture->now_us, &fixture->arena),
                     SYNC_OK);
    assert_int_equal(operation->status, OPERATION_PROCESSING);
    assert_int_equal(count_open(fixture), 1);
}

static void what_is_cancelled_stays_cancelled(void **state) {
    struct service_fixture *fixture = *state;
    const char *id = put_operation(fixture, SYNC_FULL, OPERATION_CANCELLED);
    assert_int_equal(run_job(fixture, id), SYNC_OK);
    struct job job = {.user = ANNA, .payload = slice_text(id)};
    sync_job_given_up(&fixture->service, &job, NULL);
    assert_int_equal(get_operation(fixture, id)->status, OPERATION_CANCELLED);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE, SLICE_EMPTY), 0);
}

static void a_job_given_up_fails_its_operation(void **state) {
    struct service_fixture *fixture = *state;
    const char *id = put_operation(fixture, SYNC_FULL, OPERATION_PENDING);
    struct job job = {.user = ANNA, .payload = slice_text(id)};
    sync_job_given_up(&fixture->service, &job, NULL);
    const PB(SyncOperation) *failed = get_operation(fixture, id);
    assert_int_equal(failed->status, OPERATION_FAILED);
    assert_true(failed->error_message[0] != '\0');
    assert_int_equal(count_open(fixture), 0);
}

static void a_job_without_its_operation_is_done(void **state) {
    assert_int_equal(run_job(*state, "0195a3c4-7b1e-7c3a-9f00-2b6d1c8e4f01"), SYNC_OK);
}

/* Builds a bundle of anna's records. */
static struct bundle build(struct service_fixture *fixture) {
    struct bundle_params params = {.types = DATA_TYPES_ALL};
    struct bundle_want want = bundle_params_want(&params, ANNA, NULL);
    struct bundle_source source;
    assert_int_equal(bundle_source_init(&source, fixture->service.store, &want, NULL), SYNC_OK);
    struct bundle bundle = bundle_params_bundle(&params, &source, &fixture->service,
                                                (int64_t)fixture->now_us, &fixture->arena);
    bundle_source_done(&source);
    assert_int_equal(bundle_build(&fixture->service, &bundle, NULL, NULL), SYNC_OK);
    return bundle;
}

static void an_expired_bundle_goes_with_its_parts(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    struct bundle old = build(fixture);
    fixture->now_us += fixture->service.retention.bundle_us - 1;
    struct bundle fresh = build(fixture);
    struct retention_counts counts = {0};
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.bundles, 0);
    fixture->now_us++;
    assert_int_equal(retention_work_off_due(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.bundles, 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE, old.id), 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE_PART, old.id), 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE, fresh.id), 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE_PART, fresh.id), 1);
    assert_int_equal(service_fixture_count(fixture, TABLE_EXPIRY, SLICE_EMPTY), 1);
}

static void operations_go_when_their_end_is_long_ago(void **state) {
    struct service_fixture *fixture = *state;
    enum { MANY = 300 };
    const char *open = put_operation(fixture, SYNC_FULL, OPERATION_PENDING);
    for (unsigned i = 0; i < MANY; i++)
        put_operation(fixture, SYNC_UPLOAD, OPERATION_COMPLETED);
    fixture->now_us += fixture->service.retention.operation_us + 1000000;
    const char *fresh = put_operation(fixture, SYNC_UPLOAD, OPERATION_COMPLETED);
    struct retention_counts counts = {0};
    assert_int_equal(retention_expire_operations(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.operations, MANY);
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION, SLICE_EMPTY), 2);
    /* two places in the list, and the mark of the open one */
    assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION_BY_USER, SLICE_EMPTY), 3);
    get_operation(fixture, open);
    get_operation(fixture, fresh);
}

static void old_log_entries_are_trimmed(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    service_fixture_change(fixture, "bob", CHANGE_CREATE, "b1", "{\"n\":1}");
    fixture->now_us += fixture->service.retention.log_us + 1000000;
    struct retention_counts counts = {0};
    assert_int_equal(retention_trim_logs(&fixture->service, &counts), SYNC_OK);
    assert_int_equal(counts.users_trimmed, 2);
    assert_int_equal(service_fixture_head(fixture, "anna").log_floor, 1);
    assert_int_equal(service_fixture_head(fixture, "bob").log_floor, 1);
}

/* All that retention removes; the first fault ends it. */
static enum sync_status retain(struct service *service, struct retention_counts *counts) {
    enum sync_status status = retention_work_off_due(service, counts);
    if (status == SYNC_OK)
        status = retention_expire_operations(service, counts);
    if (status == SYNC_OK)
        status = retention_expire_conflicts(service, counts);
    if (status == SYNC_OK)
        status = retention_bound_conflicts(service, counts);
    return status == SYNC_OK ? retention_trim_logs(service, counts) : status;
}

/* Every allocation fails once: what is removed is removed whole, and the rest is by the next run.
 */
static void without_memory_nothing_is_removed_in_part(void **state) {
    struct service_fixture *fixture = *state;
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
        put_conflict(fixture, (int64_t)fixture->now_us);
        put_operation(fixture, SYNC_UPLOAD, OPERATION_COMPLETED);
        build(fixture);
        fixture->now_us += fixture->service.retention.log_us + 1000000;
        struct retention_counts counts = {0};
        memory_walk_begin(&walk);
        enum sync_status status = retain(&fixture->service, &counts);
        bool has_failed = memory_walk_end(&walk);
        assert_true(status == SYNC_OK || (has_failed && status == SYNC_ERR_NO_MEMORY));
        assert_int_equal(service_fixture_count(fixture, TABLE_CONFLICT, SLICE_EMPTY),
                         service_fixture_count(fixture, TABLE_CONFLICT_BY_USER, SLICE_EMPTY));
        assert_int_equal(service_fixture_count(fixture, TABLE_OPERATION, SLICE_EMPTY),
                         service_fixture_count(fixture, TABLE_OPERATION_BY_USER, SLICE_EMPTY));
        assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE, SLICE_EMPTY),
                         service_fixture_count(fixture, TABLE_BUNDLE_PART, SLICE_EMPTY));
        assert_int_equal(retain(&fixture->service, &counts), SYNC_OK);
        static const enum table tables[] = {TABLE_CONFLICT, TABLE_OPERATION, TABLE_BUNDLE,
                                            TABLE_EXPIRY};
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
            assert_int_equal(service_fixture_count(fixture, tables[i], SLICE_EMPTY), 0);
    }
}

/* A write whose head has moved the first time. */
struct racing_write {
    struct lane_write write; /* first: found from it */
    struct service_fixture *fixture;
    unsigned runs;
};

static enum sync_status racing_apply(struct lane_write *write, struct write_set *ret_set) {
    struct racing_write *racing = (struct racing_write *)write;
    struct user_head head = service_fixture_head(racing->fixture, "anna");
    ret_set->user = ANNA;
    ret_set->expected_revision = head.revision;
    ret_set->head = head;
    ret_set->settled = arena_zalloc(&racing->fixture->arena, 1, sizeof *ret_set->settled);
    ret_set->settled_count = 1;
    ret_set->settled[0] = (struct settled){.device = SLICE("d1"), .change_id = SLICE("x")};
    if (racing->runs++ == 0) /* someone who does not keep to the lane */
        service_fixture_change(racing->fixture, "anna", CHANGE_CREATE, "b9", "{}");
    return SYNC_OK;
}

static void a_write_whose_head_moved_loads_again(void **state) {
    struct service_fixture *fixture = *state;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{}");
    struct racing_write racing = {
        .write = {.service = &fixture->service, .lane = ANNA, .apply = racing_apply},
        .fixture = fixture};
    assert_int_equal(lane_write_wait(&racing.write), SYNC_OK);
    assert_int_equal(racing.runs, 2);
    assert_int_equal(service_fixture_head(fixture, "anna").sequence, 2);
}

/* Stores a synchronization that was given up when it was due at `due_us`. */
static void put_given_up(struct service_fixture *fixture, const char *id, uint64_t due_us) {
    struct job job = {.id = slice_text(id),
                      .kind = SLICE(SYNC_JOB_KIND),
                      .user = ANNA,
                      .payload = SLICE("x"),
                      .due_us = due_us};
    struct sync_error error;
    struct row_write row = {.table = TABLE_QUARANTINE, .key = job.id};
    sync_error_set(&error, SYNC_ERR_IO, "TESTED", NULL, "as the test wants");
    assert_true(job_row_value(&job, &error, &fixture->arena, &row.value));
    commit_rows(fixture, &row, 1);
}

/* Every allocation fails once: the old ones go together or stay for the next run. */
static void without_memory_the_quarantine_is_tended_later(void **state) {
    struct service_fixture *fixture = *state;
    enum { OLD = 3 };
    static const char *const ids[OLD] = {"old-1", "old-2", "old-3"};
    uint64_t old_us = fixture->now_us - fixture->service.retention.operation_us - 1;
    unsigned failures = 0;
    put_given_up(fixture, "new", fixture->now_us);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct retention_counts counts = {0};
        for (size_t i = 0; i < OLD; i++)
            put_given_up(fixture, ids[i], old_us);
        memory_walk_begin(&walk);
        enum sync_status status = retention_tend_quarantine(&fixture->service, &counts);
        bool has_failed = memory_walk_end(&walk);
        failures += status != SYNC_OK;
        assert_true(status == SYNC_OK || (has_failed && status == SYNC_ERR_NO_MEMORY));
        assert_int_equal(counts.jobs, status == SYNC_OK ? OLD : 0);
        assert_int_equal(service_fixture_count(fixture, TABLE_QUARANTINE, SLICE_EMPTY),
                         1 + OLD - counts.jobs);
        assert_int_equal(retention_tend_quarantine(&fixture->service, &counts), SYNC_OK);
        assert_int_equal(counts.jobs, OLD);
    }
    assert_true(failures > 0);
    assert_int_equal(service_fixture_count(fixture, TABLE_QUARANTINE, SLICE_EMPTY), 1);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_becomes_a_bundle),
        TEST(a_job_that_runs_again_changes_nothing),
        TEST(a_stream_that_is_not_renewed_has_failed),
        TEST(a_cut_stream_is_removed_in_time_with_its_mark),
        TEST(a_job_that_works_long_has_not_failed),
        TEST(what_is_cancelled_stays_cancelled),
        TEST(a_job_given_up_fails_its_operation),
        TEST(a_job_without_its_operation_is_done),
        TEST(an_expired_bundle_goes_with_its_parts),
        TEST(operations_go_when_their_end_is_long_ago),
        TEST(old_log_entries_are_trimmed),
        TEST(without_memory_nothing_is_removed_in_part),
        TEST(without_memory_the_quarantine_is_tended_later),
        TEST(a_write_whose_head_moved_loads_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
