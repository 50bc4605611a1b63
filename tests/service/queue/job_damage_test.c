/* A job whose row is damaged on the disk. */
#include "tests/service/queue/queue_fixture.h"
#include "tests/service/store/row_damage.h"

static bool key_visit(void *context, const struct scan_item *item) {
    struct buffer *key = context;
    buffer_append(key, item->row->key);
    return false;
}

static void damaged_job_is_put_aside_and_those_behind_it_run(void **state) {
    struct queue_fixture *fixture = *state;
    struct buffer key;
    queue_fixture_start(fixture, 1);
    queue_fixture_put(fixture, "test", 1, 1000000);
    queue_fixture_put(fixture, "test", 2, 2000000);
    fixture->queue = job_queue_close(fixture->queue);
    buffer_init(&key, 1 << 10);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_JOB};
    assert_int_equal(store_scan(fixture->store, NULL, &scan, key_visit, &key), SYNC_OK);
    store_close(fixture->store);
    row_damage(fixture->path, TABLE_JOB, buffer_slice(&key));
    queue_fixture_open_store(fixture);
    fixture->now_us += 2000000;
    queue_fixture_start(fixture, 1);
    queue_fixture_wait(fixture, &fixture->watch.runs, 1, 0);
    fixture->queue = job_queue_close(fixture->queue);
    assert_int_equal(fixture->watch.runs_of[2], 1);
    assert_int_equal(queue_fixture_count(fixture, TABLE_JOB), 0);
    struct row wanted = {.table = TABLE_QUARANTINE, .key = slice_after(buffer_slice(&key), 8)};
    struct touched want = {.rows = &wanted, .row_count = 1};
    struct user_view view;
    struct arena arena;
    struct job job;
    struct sync_error error;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_load(fixture->store, NULL, &want, &arena, &view), SYNC_OK);
    assert_true(view.rows[0].found);
    assert_int_equal(job_row_read(TABLE_QUARANTINE, wanted.key, view.rows[0].value, &job, &error),
                     SYNC_OK);
    assert_string_equal(error.reason, "CORRUPT_JOB");
    arena_done(&arena);
    buffer_done(&key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_QUEUE(damaged_job_is_put_aside_and_those_behind_it_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
