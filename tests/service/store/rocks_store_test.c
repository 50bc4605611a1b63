/* The contract, and what is the embedded store's own: reopening, crashes, its index. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "tests/service/store/store_contract.h"
#include "tests/service/store/store_rocks.h"

static enum sync_status open_contract(void *context, struct store **ret_store) {
    (void)context;
    *ret_store = open_at(fresh_path());
    return SYNC_OK;
}

static size_t count_of(struct store *store, const struct scan *what) {
    size_t count = 0;
    assert_int_equal(store_scan(store, NULL, what, count_visit, &count), SYNC_OK);
    return count;
}

static void reopened_store_has_everything(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct store *store = open_at(path);
    uint64_t epoch = store_epoch(store);
    struct fixture_wish wish = wish_of(SLICE("u"), (struct user_head){0}, 300);
    struct user_head head = fixture_commit_of(store, &wish);
    store_close(store);
    store = open_at(path);
    assert_true(store_epoch(store) == epoch);
    struct user_head found = fixture_head(store, wish.user);
    assert_memory_equal(&found, &head, sizeof head);
    struct scan records = {.kind = SCAN_RECORDS, .user = wish.user, .type = DATA_TYPE_TRIP};
    assert_int_equal(count_of(store, &records), 300);
    struct change_want change = {SLICE("phone"), SLICE("change300")};
    struct arena arena;
    struct user_view view;
    arena_init(&arena, 1 << 20);
    struct touched want = {.user = wish.user, .changes = &change, .change_count = 1};
    assert_int_equal(store_load(store, NULL, &want, &arena, &view), SYNC_OK);
    assert_true(view.changes[0].found);
    arena_done(&arena);
    store_close(store);
}

/* Commits for ever and tells each commit's sequence on the pipe once it is durable. */
static int crash_child(const char *path, int pipe) {
    struct store *store = open_at(path);
    struct user_head head = fixture_head(store, SLICE("crash"));
    for (;;) {
        struct fixture_wish wish = wish_of(SLICE("crash"), head, 10);
        wish.previous_version = head.sequence; /* nothing new, so that there are digests */
        head = fixture_commit_of(store, &wish);
        if (write(pipe, &head.sequence, sizeof head.sequence) != sizeof head.sequence)
            return 1;
    }
}

/* Runs this program anew as the child: a fork alone would lack RocksDB's threads. */
static void crash_exec(const char *path, int pipe) {
    char number[16];
    snprintf(number, sizeof number, "%d", pipe);
    execl("/proc/self/exe", "rocks_store_test", "--crash-child", path, number, (char *)NULL);
    _exit(1);
}

/* Runs a child for some commits, kills it, and returns the last sequence it told. */
static uint64_t crash_once(const char *path, int commits) {
    int ends[2], status;
    uint64_t told = 0, sequence;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        crash_exec(path, ends[1]);
    }
    close(ends[1]);
    while (commits-- > 0 && read(ends[0], &sequence, sizeof sequence) == sizeof sequence)
        told = sequence;
    kill(child, SIGKILL);
    while (read(ends[0], &sequence, sizeof sequence) == sizeof sequence)
        told = sequence;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return told;
}

static void killed_store_keeps_every_acknowledged_commit(void **state) {
    (void)state;
    const char *path = fresh_path();
    for (int round = 0; round < 5; round++) {
        uint64_t told = crash_once(path, 3 + 5 * round);
        struct store *store = open_at(path);
        struct user_head head = fixture_head(store, SLICE("crash"));
        assert_true(head.sequence >= told);
        assert_int_equal(head.sequence % 10, 0);
        assert_int_equal(head.revision, head.sequence / 10);
        struct scan log = {.kind = SCAN_LOG, .user = SLICE("crash")};
        struct scan records = {
            .kind = SCAN_RECORDS, .user = SLICE("crash"), .type = DATA_TYPE_TRIP};
        assert_int_equal(count_of(store, &log), head.sequence);
        assert_int_equal(count_of(store, &records), head.sequence);
        struct scan changed = {.kind = SCAN_CHANGED, .user = SLICE("crash")};
        for (; changed.after <= head.sequence; changed.after += 1 + head.sequence / 7)
            assert_int_equal(count_of(store, &changed), head.sequence - changed.after);
        store_close(store);
    }
}

static void index_of_settled_changes_is_rebuilt_after_eviction(void **state) {
    (void)state;
    struct store *store = open_at(fresh_path());
    struct arena arena;
    arena_init(&arena, 64 << 20);
    enum { USERS = 12 };
    for (size_t i = 0; i < USERS; i++) {
        struct fixture_wish wish =
            wish_of(fixture_id(&arena, "user", i), (struct user_head){0}, 1000);
        fixture_commit_of(store, &wish); /* 32 KiB of index each, 64 KiB allowed */
    }
    for (size_t i = 0; i < 2 * USERS; i++) {
        struct change_want changes[] = {{SLICE("phone"), SLICE("change7")},
                                        {SLICE("phone"), SLICE("change1001")}};
        struct touched want = {
            .user = fixture_id(&arena, "user", i % USERS), .changes = changes, .change_count = 2};
        struct user_view view;
        assert_int_equal(store_load(store, NULL, &want, &arena, &view), SYNC_OK);
        assert_true(view.changes[0].found);
        assert_false(view.changes[1].found);
    }
    arena_done(&arena);
    store_close(store);
}

static void changes_settled_before_and_after_the_index_was_thinned_are_found(void **state) {
    (void)state;
    struct store *store = open_at(fresh_path());
    struct arena arena;
    struct user_view view;
    arena_init(&arena, 64 << 20);
    struct fixture_wish ann = wish_of(SLICE("ann"), (struct user_head){0}, 1000);
    struct fixture_wish bob = wish_of(SLICE("bob"), (struct user_head){0}, 1000);
    struct fixture_wish eve = wish_of(SLICE("eve"), (struct user_head){0}, 1000);
    ann.head = fixture_commit_of(store, &ann);
    struct change_want unknown = {SLICE("phone"), SLICE("change9999")};
    struct touched want = {.user = ann.user, .changes = &unknown, .change_count = 1};
    assert_int_equal(store_load(store, NULL, &want, &arena, &view), SYNC_OK); /* completes it */
    fixture_commit_of(store, &bob);
    fixture_commit_of(store, &eve); /* more than 64 KiB: ann is thin now */
    ann.count = 2;
    fixture_commit_of(store, &ann);
    struct change_want changes[] = {{SLICE("phone"), SLICE("change1002")}, /* in the new table */
                                    {SLICE("phone"), SLICE("change7")},    /* only in the rows */
                                    unknown,
                                    {SLICE("phone"), SLICE("change1001")}};
    want = (struct touched){.user = ann.user, .changes = changes, .change_count = 4};
    assert_int_equal(store_load(store, NULL, &want, &arena, &view), SYNC_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(view.changes[i].found, i != 2);
        if (i != 2)
            assert_true(slice_equal(view.changes[i].settled.change_id, changes[i].change_id));
    }
    arena_done(&arena);
    store_close(store);
}

static void large_commit_is_split_in_the_log_and_read_back(void **state) {
    (void)state;
    struct store *store = open_at(fresh_path());
    static struct fixture_commit commit;
    static uint8_t undo[20000];
    struct arena arena;
    arena_init(&arena, 64 << 20);
    struct fixture_wish wish = wish_of(SLICE("u"), (struct user_head){0}, 500);
    fixture_make(&commit, &arena, &wish);
    for (size_t i = 0; i < wish.count; i++)
        commit.log[i].undo = slice_of(undo, sizeof undo);
    assert_int_equal(store_commit_wait(store, &commit.set, NULL), SYNC_OK);
    struct scan log = {.kind = SCAN_LOG, .user = wish.user, .after = 123};
    assert_int_equal(count_of(store, &log), 377);
    static const size_t some[] = {0, 52, 53, 250, 499};
    for (size_t i = 0; i < 5; i++) {
        struct record_want want = {.key = commit.records[some[i]].key, .history = true};
        struct touched touched = {.user = wish.user, .records = &want, .record_count = 1};
        struct user_view view;
        assert_int_equal(store_load(store, NULL, &touched, &arena, &view), SYNC_OK);
        assert_int_equal(view.records[0].history_count, 1);
        assert_int_equal(view.records[0].history[0].undo.size, sizeof undo);
    }
    arena_done(&arena);
    store_close(store);
}

static void refused_memory_fails_the_call_and_harms_nothing(void **state) {
    (void)state;
    struct store *store = open_at(fresh_path());
    static struct fixture_commit commit;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    struct fixture_wish wish = wish_of(SLICE("u"), (struct user_head){0}, 40);
    fixture_make(&commit, &arena, &wish);
    enum sync_status status;
    uint64_t n = 0;
    do {
        memory_fail_after(++n);
        status = store_commit_wait(store, &commit.set, NULL);
        memory_fail_after(0);
        assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
    } while (status != SYNC_OK);
    assert_true(n > 3);
    struct record_want record = {.key = commit.records[7].key, .history = true};
    struct change_want change = {SLICE("phone"), SLICE("change9")};
    struct touched want = {.user = wish.user,
                           .records = &record,
                           .record_count = 1,
                           .changes = &change,
                           .change_count = 1};
    struct user_view view;
    struct scan changed = {.kind = SCAN_CHANGED, .user = wish.user};
    size_t count = 0;
    n = 0;
    do {
        memory_fail_after(++n);
        status = store_scan(store, NULL, &changed, count_visit, &count);
        memory_fail_after(0);
        assert_true(status == SYNC_OK || (status == SYNC_ERR_NO_MEMORY && count == 0));
    } while (status != SYNC_OK);
    assert_true(n > 3);
    assert_int_equal(count, wish.count);
    n = 0;
    do {
        struct arena small;
        arena_init(&small, 1 << 20);
        memory_fail_after(++n);
        status = store_load(store, NULL, &want, &small, &view);
        memory_fail_after(0);
        assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
        assert_true(status != SYNC_OK ||
                    (view.changes[0].found && view.records[0].history_count == 1));
        arena_done(&small);
    } while (status != SYNC_OK);
    assert_true(n > 3);
    arena_done(&arena);
    store_close(store);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--crash-child") == 0)
        return crash_child(argv[2], (int)strtol(argv[3], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reopened_store_has_everything),
        cmocka_unit_test(killed_store_keeps_every_acknowledged_commit),
        cmocka_unit_test(index_of_settled_changes_is_rebuilt_after_eviction),
        cmocka_unit_test(changes_settled_before_and_after_the_index_was_thinned_are_found),
        cmocka_unit_test(large_commit_is_split_in_the_log_and_read_back),
        cmocka_unit_test(refused_memory_fails_the_call_and_harms_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    struct store_factory factory = {.open = open_contract};
    failed += store_contract_run("rocks_store keeps the contract", &factory);
    factory.is_tried_without_memory = true;
    return failed + store_contract_run("rocks_store keeps it short of memory", &factory);
}
