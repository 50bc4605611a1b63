// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "base/memory.h"
#include "service/store/change_index.h"

enum { NEWEST = 5000 };

static struct change_index_user *pin(struct change_index *index, struct slice user, size_t room) {
    struct change_index_user *part = change_index_pin(index, user, room);
    assert_non_null(part);
    return part;
}

static void added_fingerprints_are_found_and_others_are_not(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    struct change_index_user *part = pin(index, SLICE("ann"), 1000);
    uint64_t revisions[4];
    for (uint64_t i = 0; i < 1000; i++)
        change_index_add(index, part, (i * 2 + 2) << 32, i + 1);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(change_index_find(index, part, (i * 2 + 2) << 32, NEWEST, revisions, 4),
                         1);
        assert_int_equal(revisions[0], i + 1);
        assert_int_equal(change_index_find(index, part, (i * 2 + 3) << 32, NEWEST, revisions, 4),
                         0);
    }
    change_index_unpin(index, part, 0);
    assert_null(change_index_close(index));
}

static void shared_fingerprint_gives_every_revision_once(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    struct change_index_user *part = pin(index, SLICE("ann"), 3);
    uint64_t revisions[4];
    change_index_add(index, part, (uint64_t)5 << 32, 1);
    change_index_add(index, part, (uint64_t)5 << 32, 2);
    change_index_add(index, part, (uint64_t)5 << 32, 2);
    assert_true(change_index_add_stored(index, part, (uint64_t)5 << 32, 1));
    assert_int_equal(change_index_find(index, part, (uint64_t)5 << 32, NEWEST, revisions, 4), 2);
    assert_int_equal(change_index_find(index, part, (uint64_t)5 << 32, NEWEST, revisions, 1), 1);
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void revisions_beyond_32_bits_are_widened_by_the_newest(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    struct change_index_user *part = pin(index, SLICE("ann"), 2);
    const uint64_t before = UINT32_MAX - (uint64_t)1, after = UINT32_MAX + (uint64_t)9;
    uint64_t revisions[2];
    change_index_add(index, part, (uint64_t)1 << 32, before);
    change_index_add(index, part, (uint64_t)2 << 32, after);
    change_index_find(index, part, (uint64_t)1 << 32, after, revisions, 2);
    assert_true(revisions[0] == before);
    change_index_find(index, part, (uint64_t)2 << 32, after, revisions, 2);
    assert_true(revisions[0] == after);
    change_index_trim(index, part, before);
    assert_int_equal(change_index_find(index, part, (uint64_t)1 << 32, after, revisions, 2), 0);
    assert_int_equal(change_index_find(index, part, (uint64_t)2 << 32, after, revisions, 2), 1);
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void device_and_change_do_not_run_together(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    assert_true(change_index_fingerprint(index, SLICE("ab"), SLICE("c")) !=
                change_index_fingerprint(index, SLICE("a"), SLICE("bc")));
    change_index_close(index);
}

static void long_unused_user_is_dropped_and_pinned_ones_stay(void **state) {
    (void)state;
    struct change_index *index = change_index_open(8 << 10, 7);
    struct change_index_user *held = pin(index, SLICE("held"), 100);
    size_t bytes, users;
    change_index_set_complete(index, held);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "user%d", i);
        struct change_index_user *part = pin(index, slice_text(name), 100);
        assert_false(change_index_is_complete(index, part));
        change_index_set_complete(index, part);
        change_index_unpin(index, part, 100);
    }
    change_index_stats(index, &bytes, &users);
    assert_true(bytes <= 8 << 10);
    assert_int_equal(users, 3);
    assert_ptr_equal(pin(index, SLICE("held"), 0), held);
    struct change_index_user *newest = pin(index, SLICE("user19"), 0);
    assert_true(change_index_is_complete(index, newest));
    struct change_index_user *oldest = pin(index, SLICE("user0"), 0);
    assert_false(change_index_is_complete(index, oldest));
    change_index_unpin(index, oldest, 0);
    change_index_unpin(index, newest, 0);
    change_index_unpin(index, held, 0);
    change_index_unpin(index, held, 100);
    change_index_close(index);
}

static void users_beyond_the_bound_do_not_all_drop_each_other(void **state) {
    (void)state;
    enum { USERS = 64, ROUNDS = 20 };
    struct change_index *index = change_index_open(1 << 20, 7);
    size_t bytes, users, kept = 0;
    change_index_unpin(index, pin(index, SLICE("user00"), 100), 100);
    change_index_stats(index, &bytes, &users);
    change_index_close(index);
    index = change_index_open(bytes * (USERS - 4), 7);
    for (int i = 0; i < USERS * (1 + ROUNDS); i++) {
        char name[16];
        snprintf(name, sizeof name, "user%02d", i % USERS);
        struct change_index_user *part = pin(index, slice_text(name), 100);
        kept += change_index_is_complete(index, part);
        change_index_set_complete(index, part);
        change_index_unpin(index, part, 100);
    }
    change_index_stats(index, &bytes, &users);
    assert_int_equal(users, USERS - 4);
    assert_true(kept > USERS * ROUNDS / 2);
    change_index_close(index);
}

static void many_users_are_told_apart(void **state) {
    (void)state;
    struct change_index *index = change_index_open(64 << 20, 7);
    uint64_t revisions[2];
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < 3000; i++) {
            char name[16];
            snprintf(name, sizeof name, "user%d", (int)i);
            struct change_index_user *part = pin(index, slice_text(name), 1);
            assert_int_equal(change_index_find(index, part, 9, NEWEST, revisions, 2), round);
            if (round == 1)
                assert_int_equal(revisions[0], i + 1);
            change_index_add(index, part, 9, i + 1);
            change_index_unpin(index, part, 0);
        }
    change_index_close(index);
}

static void trimmed_revisions_are_forgotten(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    struct change_index_user *part = pin(index, SLICE("ann"), 110);
    uint64_t revisions[2];
    for (uint64_t i = 1; i <= 100; i++)
        change_index_add(index, part, i << 32 | i, i);
    change_index_trim(index, part, 60);
    for (uint64_t i = 1; i <= 100; i++)
        assert_int_equal(change_index_find(index, part, i << 32 | i, NEWEST, revisions, 2), i > 60);
    for (uint64_t i = 101; i <= 110; i++)
        change_index_add(index, part, i << 32, i);
    assert_int_equal(change_index_find(index, part, (uint64_t)110 << 32, NEWEST, revisions, 2), 1);
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void refused_memory_refuses_the_pin_and_harms_nothing(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_after(n);
        assert_null(change_index_open(1 << 20, 7));
        memory_fail_after(0);
    }
    struct change_index *index = change_index_open(1 << 20, 7);
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_after(n);
        assert_null(change_index_pin(index, SLICE("ann"), 10));
        memory_fail_after(0);
    }
    struct change_index_user *part = pin(index, SLICE("ann"), 0);
    memory_fail_after(1);
    assert_false(change_index_add_stored(index, part, 1, 1));
    memory_fail_after(0);
    assert_true(change_index_add_stored(index, part, 1, 1));
    memory_fail_after(1);
    change_index_trim(index, part, 1);
    memory_fail_after(0);
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_fingerprints_are_found_and_others_are_not),
        cmocka_unit_test(shared_fingerprint_gives_every_revision_once),
        cmocka_unit_test(revisions_beyond_32_bits_are_widened_by_the_newest),
        cmocka_unit_test(device_and_change_do_not_run_together),
        cmocka_unit_test(long_unused_user_is_dropped_and_pinned_ones_stay),
        cmocka_unit_test(users_beyond_the_bound_do_not_all_drop_each_other),
        cmocka_unit_test(many_users_are_told_apart),
        cmocka_unit_test(trimmed_revisions_are_forgotten),
        cmocka_unit_test(refused_memory_refuses_the_pin_and_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
