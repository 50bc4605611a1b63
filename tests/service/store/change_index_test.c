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

/* What lies in the upper half of a fingerprint counts. */
static uint64_t fingerprint(uint64_t number) {
    return (number * UINT64_C(0x9e3779b97f4a7c15) >> 32 | 1) << 32;
}

/* A user who has settled the changes 1 to `count`, complete and not in use. */
static void add_user(struct change_index *index, struct slice name, size_t count) {
    struct change_index_user *part = pin(index, name, count);
    for (uint64_t i = 1; i <= count; i++)
        change_index_add(index, part, fingerprint(i), i);
    change_index_set_complete(index, part);
    change_index_unpin(index, part, 0);
}

/* The bytes of one such user, with his table. */
static size_t user_bytes(size_t count) {
    struct change_index *index = change_index_open(1 << 20, 7);
    size_t bytes, users;
    add_user(index, SLICE("user00"), count);
    change_index_stats(index, &bytes, &users);
    change_index_close(index);
    return bytes;
}

static struct slice user_name(char name[16], int number) {
    snprintf(name, 16, "user%02d", number);
    return slice_text(name);
}

static void a_user_without_all_that_is_stored_excludes_nothing(void **state) {
    (void)state;
    struct change_index *index = change_index_open(1 << 20, 7);
    struct change_index_user *part = pin(index, SLICE("ann"), 1);
    change_index_add(index, part, fingerprint(1), 1);
    assert_false(change_index_excludes(index, part, fingerprint(2)));
    change_index_set_complete(index, part);
    assert_true(change_index_excludes(index, part, fingerprint(2)));
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void users_beyond_the_bound_become_thin_and_pinned_ones_stay(void **state) {
    (void)state;
    enum { USERS = 8, COUNT = 100 };
    struct change_index *index = change_index_open(user_bytes(COUNT) * USERS / 2, 7);
    char name[16];
    size_t bytes, users;
    uint64_t revisions[2];
    struct change_index_user *held = pin(index, SLICE("held"), COUNT);
    change_index_add(index, held, fingerprint(1), 7);
    for (int i = 0; i < USERS; i++)
        add_user(index, user_name(name, i), COUNT);
    change_index_stats(index, &bytes, &users);
    assert_true(bytes <= user_bytes(COUNT) * (USERS / 2 + 1)); /* the held one beside the bound */
    assert_int_equal(users, USERS + 1);
    assert_int_equal(change_index_find(index, held, fingerprint(1), NEWEST, revisions, 2), 1);
    struct change_index_user *newest = pin(index, user_name(name, USERS - 1), 0);
    assert_int_equal(change_index_find(index, newest, fingerprint(1), NEWEST, revisions, 2), 1);
    change_index_unpin(index, newest, 0);
    struct change_index_user *oldest = pin(index, user_name(name, 0), 0);
    assert_int_equal(change_index_find(index, oldest, fingerprint(1), NEWEST, revisions, 2), 0);
    change_index_unpin(index, oldest, 0);
    change_index_unpin(index, held, COUNT - 1);
    change_index_close(index);
}

static void a_thin_user_knows_new_changes_from_settled_ones(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct change_index *index = change_index_open(user_bytes(COUNT) + 5 * COUNT, 7);
    size_t wrong = 0;
    uint64_t revisions[2];
    add_user(index, SLICE("thin"), COUNT);
    add_user(index, SLICE("other"), COUNT);
    struct change_index_user *part = pin(index, SLICE("thin"), 1);
    for (uint64_t i = 1; i <= COUNT; i++)
        assert_false(change_index_excludes(index, part, fingerprint(i)));
    for (uint64_t i = COUNT + 1; i <= 6 * COUNT; i++)
        wrong += !change_index_excludes(index, part, fingerprint(i));
    assert_in_range(wrong, 0, 5 * COUNT / 5000);
    change_index_add(index, part, fingerprint(COUNT + 1), COUNT + 1);
    assert_false(change_index_excludes(index, part, fingerprint(COUNT + 1)));
    assert_int_equal(
        change_index_find(index, part, fingerprint(COUNT + 1), COUNT + 1, revisions, 2), 1);
    assert_int_equal(revisions[0], COUNT + 1);
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void a_thin_user_who_settles_much_more_must_be_read_again(void **state) {
    (void)state;
    enum { COUNT = 100 };
    struct change_index *index = change_index_open(user_bytes(COUNT) + 10 * COUNT, 7);
    add_user(index, SLICE("thin"), COUNT);
    add_user(index, SLICE("other"), COUNT);
    struct change_index_user *part = pin(index, SLICE("thin"), COUNT);
    assert_true(change_index_excludes(index, part, fingerprint(10 * COUNT)));
    for (uint64_t i = COUNT + 1; i <= 2 * COUNT; i++)
        change_index_add(index, part, fingerprint(i), i);
    assert_false(change_index_excludes(index, part, fingerprint(10 * COUNT)));
    for (uint64_t i = 1; i <= COUNT; i++)
        assert_true(change_index_add_stored(index, part, fingerprint(i), i));
    change_index_set_complete(index, part);
    assert_true(change_index_excludes(index, part, fingerprint(10 * COUNT)));
    change_index_unpin(index, part, 0);
    change_index_close(index);
}

static void users_beyond_the_bound_do_not_all_drop_each_other(void **state) {
    (void)state;
    enum { USERS = 64, ROUNDS = 20, COUNT = 100 };
    /* Room for the thin sets of some less than all, and for the table of the newest. */
    struct change_index *index = change_index_open(user_bytes(COUNT) * USERS / 4, 7);
    char name[16];
    size_t bytes, users, kept = 0;
    for (int i = 0; i < USERS * (1 + ROUNDS); i++) {
        struct change_index_user *part = pin(index, user_name(name, i % USERS), 0);
        kept += change_index_excludes(index, part, fingerprint(2 * COUNT));
        change_index_unpin(index, part, 0);
        if (i < USERS)
            add_user(index, slice_text(name), COUNT);
    }
    change_index_stats(index, &bytes, &users);
    assert_true(bytes <= user_bytes(COUNT) * USERS / 4);
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
    index = change_index_open(user_bytes(100), 7);
    add_user(index, SLICE("ann"), 100);
    memory_fail_after(2); /* the thin set's memory, where a user is made */
    assert_null(change_index_pin(index, SLICE("bob"), 1000));
    memory_fail_after(0);
    add_user(index, SLICE("bob"), 100);
    change_index_close(index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_fingerprints_are_found_and_others_are_not),
        cmocka_unit_test(shared_fingerprint_gives_every_revision_once),
        cmocka_unit_test(revisions_beyond_32_bits_are_widened_by_the_newest),
        cmocka_unit_test(device_and_change_do_not_run_together),
        cmocka_unit_test(a_user_without_all_that_is_stored_excludes_nothing),
        cmocka_unit_test(users_beyond_the_bound_become_thin_and_pinned_ones_stay),
        cmocka_unit_test(a_thin_user_knows_new_changes_from_settled_ones),
        cmocka_unit_test(a_thin_user_who_settles_much_more_must_be_read_again),
        cmocka_unit_test(users_beyond_the_bound_do_not_all_drop_each_other),
        cmocka_unit_test(many_users_are_told_apart),
        cmocka_unit_test(trimmed_revisions_are_forgotten),
        cmocka_unit_test(refused_memory_refuses_the_pin_and_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
