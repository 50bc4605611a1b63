#include "service/core/audit.h"

#include "base/limits.h"
#include "base/memory.h"
#include "service/core/checksum.h"
#include "tests/service/core/test_arena.h"

enum { RECORDS = 70, TOMBSTONE_EVERY = 5 };

/* Records r00, r01, …; every fifth is a tombstone. */
static struct record records[RECORDS];

static int records_up(void **state) {
    arena_set_up(state);
    for (unsigned i = 0; i < RECORDS; i++) {
        char *id = arena_format(&arena, "r%02u", i);
        assert_non_null(id);
        bool is_deleted = i % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1;
        records[i] = (struct record){.key = {DATA_TYPE_TRIP, slice_text(id)},
                                     .version = i + 1,
                                     .deleted = is_deleted,
                                     .data = is_deleted ? SLICE_EMPTY : SLICE("12345678")};
        if (!is_deleted)
            records[i].element = (struct checksum){UINT64_MAX / (i + 2), UINT64_MAX - i};
    }
    return 0;
}

static struct audit_want want_of(size_t parts_max) {
    return (struct audit_want){
        .parts_max = parts_max, .records_max = AUDIT_RECORDS_MAX, .bytes_max = AUDIT_BYTES_MAX};
}

/* Sums the first `count` records, those before want.from left aside. */
static enum sync_status audit_run(struct audit *audit, const struct audit_want *want, size_t count,
                                  struct arena *memory) {
    enum sync_status status = audit_init(audit, want, memory);
    if (status != SYNC_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        if (slice_compare(records[i].key.id, want->from) >= 0 && !audit_add(audit, &records[i]))
            break;
    return audit_end(audit);
}

static bool range_holds(const struct audit_range *range, struct slice id) {
    return slice_compare(id, range->from) >= 0 &&
           (range->to.size == 0 || slice_compare(id, range->to) < 0);
}

/* Expects a range to say what the records between its ends add up to. */
static void range_expect(const struct audit_range *range, size_t count) {
    struct checksum sum = {0};
    size_t live = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (records[i].deleted || !range_holds(range, records[i].key.id))
            continue;
        if (live++ == 0)
            assert_true(slice_equal(range->first, records[i].key.id));
        bytes += records[i].data.size;
        sum = checksum_add(sum, records[i].element);
    }
    assert_int_equal(range->record_count, live);
    assert_int_equal(range->data_bytes, bytes);
    assert_true(range->checksum.high == sum.high && range->checksum.low == sum.low);
}

static void audit_expect(const struct audit *audit, struct slice from, struct slice to,
                         size_t count) {
    assert_true(audit->count > 0 && audit->count <= audit->want.parts_max);
    assert_true(slice_equal(audit->ranges[0].from, from));
    assert_true(slice_equal(audit->ranges[audit->count - 1].to, to));
    for (size_t i = 0; i < audit->count; i++) {
        if (i > 0)
            assert_true(slice_equal(audit->ranges[i].from, audit->ranges[i - 1].to));
        range_expect(&audit->ranges[i], count);
    }
}

static void ranges_lie_side_by_side_and_sum_what_they_hold(void **state) {
    (void)state;
    for (size_t count = 0; count <= RECORDS; count++)
        for (size_t parts = 1; parts <= 20; parts++) {
            struct audit audit;
            struct audit_want want = want_of(parts);
            assert_int_equal(audit_run(&audit, &want, count, &arena), SYNC_OK);
            audit_expect(&audit, SLICE_EMPTY, SLICE_EMPTY, count);
            size_t live = count - count / TOMBSTONE_EVERY;
            if (live > 0)
                assert_true(2 * audit.count >= (live < parts ? live : parts));
            if (live <= parts && live > 0)
                assert_int_equal(audit.count, live);
        }
}

static void only_what_lies_between_the_ends_counts(void **state) {
    (void)state;
    struct audit audit;
    struct audit_want want = want_of(4);
    want.from = SLICE("r10");
    want.to = SLICE("r31");
    assert_int_equal(audit_run(&audit, &want, RECORDS, &arena), SYNC_OK);
    audit_expect(&audit, want.from, want.to, RECORDS);
    assert_int_equal(audit.records, 21);
    want.from = SLICE("r101"); /* ends that are no records, and nothing between them */
    want.to = SLICE("r102");
    assert_int_equal(audit_run(&audit, &want, RECORDS, &arena), SYNC_OK);
    audit_expect(&audit, want.from, want.to, RECORDS);
    assert_int_equal(audit.count, 1);
    assert_int_equal(audit.ranges[0].record_count, 0);
}

/* Goes over everything by audits that are cut; returns how many it took. */
static unsigned audit_by_cuts(struct audit_want want) {
    unsigned calls = 0;
    size_t live = 0;
    do {
        struct audit audit;
        assert_int_equal(audit_run(&audit, &want, RECORDS, &arena), SYNC_OK);
        audit_expect(&audit, want.from, audit.want.to, RECORDS);
        for (size_t i = 0; i < audit.count; i++)
            live += audit.ranges[i].record_count;
        want.from = audit.want.to;
        calls++;
    } while (want.from.size > 0);
    assert_int_equal(live, RECORDS - RECORDS / TOMBSTONE_EVERY);
    return calls;
}

static void what_is_too_much_for_one_audit_is_gone_through_by_several(void **state) {
    (void)state;
    struct audit_want want = want_of(3);
    want.records_max = 10;
    assert_int_equal(audit_by_cuts(want), RECORDS / 10);
    want = want_of(3);
    want.bytes_max = 7 * 8;
    assert_int_equal(audit_by_cuts(want), 8);
    want.bytes_max = 1; /* less than any record: one at a time */
    assert_int_equal(audit_by_cuts(want), RECORDS);
}

static void memory_that_runs_out_is_told(void **state) {
    (void)state;
    struct audit_want want = want_of(AUDIT_PARTS_MAX);
    want.records_max = 60;
    struct audit audit;
    struct arena memory;
    arena_init(&memory, 1 << 20);
    assert_int_equal(audit_run(&audit, &want, RECORDS, &memory), SYNC_OK);
    size_t taken = memory.taken_bytes;
    arena_done(&memory);
    for (size_t size = 0; size < taken; size += ARENA_ALIGN) {
        arena_init(&memory, size);
        assert_int_equal(audit_run(&audit, &want, RECORDS, &memory), SYNC_ERR_NO_MEMORY);
        arena_done(&memory);
    }
    memory_fail_after(1);
    arena_init(&memory, 1 << 20);
    assert_int_equal(audit_run(&audit, &want, RECORDS, &memory), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    arena_done(&memory);
}

#define AUDIT_TEST(test) cmocka_unit_test_setup_teardown(test, records_up, arena_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(ranges_lie_side_by_side_and_sum_what_they_hold),
        AUDIT_TEST(only_what_lies_between_the_ends_counts),
        AUDIT_TEST(what_is_too_much_for_one_audit_is_gone_through_by_several),
        AUDIT_TEST(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
