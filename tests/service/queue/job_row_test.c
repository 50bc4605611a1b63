// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/memory.h"
#include "service/queue/job_row.h"

static const struct job sample = {.id = {(const uint8_t *)"id-1", 4},
                                  .kind = {(const uint8_t *)"sync", 4},
                                  .user = {(const uint8_t *)"ann", 3},
                                  .payload = {(const uint8_t *)"\0\xff", 2},
                                  .attempts = 3,
                                  .due_us = 0x0102030405060708};

static void assert_sample(const struct job *job) {
    assert_true(slice_equal(job->id, sample.id));
    assert_true(slice_equal(job->kind, sample.kind));
    assert_true(slice_equal(job->user, sample.user));
    assert_true(slice_equal(job->payload, sample.payload));
    assert_int_equal(job->attempts, 3);
    assert_true(job->due_us == sample.due_us);
}

static void waiting_job_comes_back_from_its_row(void **state) {
    (void)state;
    struct arena arena;
    struct slice key, value;
    struct job job;
    arena_init(&arena, 1 << 20);
    assert_true(job_row_key(&sample, &arena, &key));
    assert_true(job_row_value(&sample, NULL, &arena, &value));
    assert_memory_equal(key.data, "\1\2\3\4\5\6\7\10id-1", 12);
    assert_int_equal(job_row_read(TABLE_JOB, key, value, &job, NULL), SYNC_OK);
    assert_sample(&job);
    arena_done(&arena);
}

static void quarantined_job_keeps_its_error(void **state) {
    (void)state;
    struct arena arena;
    struct slice value;
    struct job job;
    struct sync_error error, found;
    arena_init(&arena, 1 << 20);
    sync_error_set(&error, SYNC_ERR_NOT_FOUND, "GONE", NULL, "the bundle is %s", "gone");
    assert_true(job_row_value(&sample, &error, &arena, &value));
    assert_int_equal(job_row_read(TABLE_QUARANTINE, sample.id, value, &job, &found), SYNC_OK);
    assert_sample(&job);
    assert_int_equal(found.status, SYNC_ERR_NOT_FOUND);
    assert_string_equal(found.reason, "GONE");
    assert_string_equal(found.message, "the bundle is gone");
    arena_done(&arena);
}

static void earlier_due_times_sort_first(void **state) {
    (void)state;
    struct arena arena;
    struct slice early, late;
    struct job job = sample;
    arena_init(&arena, 1 << 20);
    job.due_us = 255;
    assert_true(job_row_key(&job, &arena, &early));
    job.due_us = 256;
    assert_true(job_row_key(&job, &arena, &late));
    assert_true(slice_compare(early, late) < 0);
    arena_done(&arena);
}

static void row_that_does_not_parse_is_corrupt(void **state) {
    (void)state;
    const struct slice values[] = {SLICE("\x0a\x05"
                                         "abc"),
                                   SLICE("\x08\x01"), SLICE("\x22\x00"), SLICE("\xff")};
    struct job job = {.attempts = 77};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(job_row_read(TABLE_QUARANTINE, sample.id, values[i], &job, NULL),
                         SYNC_ERR_CORRUPT);
    assert_int_equal(job_row_read(TABLE_JOB, SLICE("12345678"), SLICE_EMPTY, &job, NULL),
                     SYNC_ERR_CORRUPT);
    assert_int_equal(job.attempts, 77);
}

static void field_of_a_newer_version_is_passed_over(void **state) {
    (void)state;
    struct job job;
    struct slice value = SLICE("\x0a\x01k\x4a\x02zz");
    assert_int_equal(job_row_read(TABLE_QUARANTINE, sample.id, value, &job, NULL), SYNC_OK);
    assert_true(slice_equal(job.kind, SLICE("k")));
}

static void refused_memory_is_told_at_every_step(void **state) {
    (void)state;
    bool well = false;
    for (uint64_t n = 1; !well; n++) {
        struct arena arena;
        struct slice key, value;
        arena_init(&arena, 1 << 20);
        memory_fail_after(n);
        well = job_row_key(&sample, &arena, &key) && job_row_value(&sample, NULL, &arena, &value);
        memory_fail_after(0);
        assert_true(n < 20);
        arena_done(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_job_comes_back_from_its_row),
        cmocka_unit_test(quarantined_job_keeps_its_error),
        cmocka_unit_test(earlier_due_times_sort_first),
        cmocka_unit_test(row_that_does_not_parse_is_corrupt),
        cmocka_unit_test(field_of_a_newer_version_is_passed_over),
        cmocka_unit_test(refused_memory_is_told_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
