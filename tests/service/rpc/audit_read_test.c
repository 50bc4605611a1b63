// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "base/memory.h"
#include "service/core/checksum.h"
#include "service/rpc/audit_read.h"
#include "tests/service/rpc/service_fixture.h"

#define USER "anna"

enum { RECORDS = 40, ALLOCATIONS_MAX = 1000 };

static void put_many(struct service_fixture *fixture, int count) {
    for (int i = 0; i < count; i++) {
        char id[16], json[64];
        snprintf(id, sizeof id, "b-%02d", i);
        snprintf(json, sizeof json, "{\"number\":%d}", i);
        service_fixture_change(fixture, USER, CHANGE_CREATE, id, json);
    }
}

static struct audit_question question_of(size_t parts_max) {
    return (struct audit_question){.user = SLICE(USER),
                                   .first = DATA_TYPE_TRIP,
                                   .last = DATA_TYPE_BOOKING,
                                   .parts_max = parts_max,
                                   .include_records = true};
}

/* Expects the answer to add up to the user's state. */
static void answer_expect(struct service_fixture *fixture, const PB(AuditRangeResponse) *answer) {
    struct user_head head = service_fixture_head(fixture, USER);
    uint32_t count = 0;
    for (size_t i = 0; i < answer->n_ranges; i++) {
        const PB(AuditedRange) *range = answer->ranges[i];
        count += (uint32_t)range->record_count;
        if (answer->n_ranges == DATA_TYPE_LAST && (int)range->data_type == DATA_TYPE_BOOKING) {
            char text[2 * CHECKSUM_SIZE + 1];
            checksum_format(head.checksum, text);
            assert_string_equal(range->checksum, text);
        }
        assert_int_equal(range->record != NULL, range->record_count == 1);
        if (range->record)
            assert_true(
                range->from_data_id[0] == 0 ||
                slice_equal(slice_text(range->from_data_id), slice_text(range->record->data_id)));
    }
    assert_int_equal(count, head.record_count);
    assert_string_equal(answer->cursor,
                        message_cursor(&fixture->service, &fixture->arena, head.sequence));
}

static void an_answer_adds_up_to_the_state(void **state) {
    struct service_fixture *fixture = *state;
    PB(AuditRangeResponse) answer;
    for (int count = 0; count <= 1; count++) {
        put_many(fixture, count * RECORDS);
        for (size_t parts = 1; parts <= 64; parts *= 2) {
            struct audit_question question = question_of(parts);
            assert_int_equal(audit_read(&fixture->service, &question, &fixture->arena, &answer),
                             SYNC_OK);
            answer_expect(fixture, &answer);
        }
    }
}

static void what_is_deleted_counts_no_more(void **state) {
    struct service_fixture *fixture = *state;
    PB(AuditRangeResponse) answer;
    put_many(fixture, 3);
    service_fixture_change(fixture, USER, CHANGE_DELETE, "b-01", NULL);
    struct audit_question question = question_of(64);
    question.first = question.last = DATA_TYPE_BOOKING;
    question.from = SLICE("b-01"); /* begins at a tombstone */
    assert_int_equal(audit_read(&fixture->service, &question, &fixture->arena, &answer), SYNC_OK);
    assert_int_equal(answer.n_ranges, 1);
    assert_string_equal(answer.ranges[0]->from_data_id, "b-01");
    assert_string_equal(answer.ranges[0]->record->data_id, "b-02");
}

static void no_allocation_that_fails_is_overlooked(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, RECORDS);
    struct audit_question question = question_of(64);
    uint64_t n = 1;
    for (bool is_through = false; !is_through && n < ALLOCATIONS_MAX; n++) {
        PB(AuditRangeResponse) answer;
        struct arena arena;
        arena_init(&arena, 1 << 20);
        memory_fail_after(n);
        enum sync_status status = audit_read(&fixture->service, &question, &arena, &answer);
        is_through = memory_count() < n;
        memory_fail_after(0);
        if (status == SYNC_OK)
            answer_expect(fixture, &answer);
        else
            assert_false(is_through);
        arena_done(&arena);
    }
    assert_true(n > 5 && n < ALLOCATIONS_MAX);
}

static void an_arena_that_is_full_is_told(void **state) {
    struct service_fixture *fixture = *state;
    put_many(fixture, RECORDS);
    struct audit_question question = question_of(64);
    PB(AuditRangeResponse) answer;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    size_t size = 0;
    for (; status == SYNC_ERR_NO_MEMORY; size += 8 * ARENA_ALIGN) {
        struct arena arena;
        arena_init(&arena, size);
        status = audit_read(&fixture->service, &question, &arena, &answer);
        if (status == SYNC_OK)
            answer_expect(fixture, &answer);
        arena_done(&arena);
    }
    assert_int_equal(status, SYNC_OK);
    assert_true(size > RECORDS * sizeof(PB(AuditedRange)));
}

#define SERVICE_TEST(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, service_fixture_setup, service_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(an_answer_adds_up_to_the_state),
        SERVICE_TEST(what_is_deleted_counts_no_more),
        SERVICE_TEST(no_allocation_that_fails_is_overlooked),
        SERVICE_TEST(an_arena_that_is_full_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
