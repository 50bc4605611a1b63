/* The contract, and what is the embedded store's own: reopening, crashes, damage, errors of
 * opening. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "service/store/rocks_store.h"
#include "tests/service/store/store_contract.h"
#include "tests/service/store/store_fixture.h"

/* A new folder's path under the test's own, not made yet. Static memory of the newest four. */
static const char *fresh_path(void) {
    static char paths[4][512];
    static unsigned made;
    const char *top = getenv("TEST_TMPDIR") ? getenv("TEST_TMPDIR") : ".";
    char *path = paths[made % 4];
    snprintf(path, sizeof paths[0], "%s/rocks_%d_%u", top, (int)getpid(), made++);
    return path;
}

static struct store *open_at(const char *path) {
    struct store *store = NULL;
    struct sync_error error = {0};
    struct rocks_store_options options = {
        .path = path, .random = random_system(), .change_index_bytes = 64 << 10};
    if (rocks_store_open(&options, &error, &store) != SYNC_OK)
        fail_msg("%s", error.message);
    return store;
}

static enum sync_status open_contract(void *context, struct store **ret_store) {
    (void)context;
    *ret_store = open_at(fresh_path());
    return SYNC_OK;
}

static struct fixture_wish wish_of(struct slice user, struct user_head head, size_t count) {
    return (struct fixture_wish){.user = user,
                                 .head = head,
                                 .type = DATA_TYPE_TRIP,
                                 .prefix = "t",
                                 .first = head.sequence,
                                 .count = count,
                                 .data = SLICE("some data that is stored"),
                                 .time_us = 1000};
}

static bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    ++*(size_t *)context;
    return true;
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

/* Flips a bit before each place where `text` stands in the tables of the store; how many. */
static unsigned damage_tables(const char *path, struct slice text) {
    static uint8_t content[1 << 20];
    char name[800];
    unsigned damaged = 0;
    snprintf(name, sizeof name, "%s/db", path);
    DIR *folder = opendir(name);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strstr(entry->d_name, ".sst"))
            continue;
        snprintf(name, sizeof name, "%s/db/%s", path, entry->d_name);
        FILE *file = fopen(name, "r+");
        assert_non_null(file);
        size_t size = fread(content, 1, sizeof content, file);
        uint8_t *at = memmem(content, size, text.data, text.size);
        if (at) {
            at[0] ^= 1;
            fseek(file, at - content, SEEK_SET);
            fputc(at[0], file);
            damaged++;
        }
        fclose(file);
    }
    closedir(folder);
    return damaged;
}

static void damaged_bytes_are_told_and_not_handed_out(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct arena arena;
    struct user_view view;
    struct store *store = open_at(path);
    struct fixture_wish wish = wish_of(SLICE("u"), (struct user_head){0}, 3);
    wish.data = SLICE("findme-document");
    fixture_commit_of(store, &wish);
    store_close(store);
    store_close(open_at(path)); /* moves the log of writes into tables */
    assert_true(damage_tables(path, SLICE("findme-document")) > 0);
    int pipe_ends[2];
    char line[4096] = "";
    struct store_stats stats;
    assert_int_equal(pipe(pipe_ends), 0);
    struct log *log = log_open(pipe_ends[1], LOG_ERROR, "test", clock_system());
    struct rocks_store_options options = {.path = path, .random = random_system(), .log = log};
    assert_int_equal(rocks_store_open(&options, &(struct sync_error){0}, &store), SYNC_OK);
    arena_init(&arena, 1 << 20);
    struct record_want record = {.key = {DATA_TYPE_TRIP, SLICE("t0")}};
    struct touched want = {.user = wish.user, .records = &record, .record_count = 1};
    assert_int_equal(store_load(store, NULL, &want, &arena, &view), SYNC_ERR_CORRUPT);
    size_t count = 0;
    struct scan records = {.kind = SCAN_RECORDS, .user = wish.user, .type = DATA_TYPE_TRIP};
    assert_int_equal(store_scan(store, NULL, &records, count_visit, &count), SYNC_ERR_CORRUPT);
    assert_int_equal(count, 0);
    assert_int_equal(store_stats(store, &stats), SYNC_OK);
    assert_int_equal(stats.damaged_reads, 2);
    /* One line for both, which names file and user. */
    assert_true(read(pipe_ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, ".sst"));
    assert_non_null(strstr(line, "\"user\":\"u\""));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    arena_done(&arena);
    store_close(store);
    log_close(log);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static enum sync_status open_fails(const char *path, struct sync_error *error) {
    struct store *store = NULL;
    struct rocks_store_options options = {.path = path, .random = random_system()};
    enum sync_status status = rocks_store_open(&options, error, &store);
    assert_int_not_equal(status, SYNC_OK);
    assert_null(store);
    assert_null(strchr(error->message, '\n'));
    return status;
}

static void second_open_says_that_it_is_in_use(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct sync_error error;
    struct store *store = open_at(path);
    assert_int_equal(open_fails(path, &error), SYNC_ERR_BUSY);
    assert_non_null(strstr(error.message, "in use"));
    store_close(store);
    store_close(open_at(path));
}

static void put_file(const char *folder, const char *name, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void folder_of_another_is_left_alone(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct sync_error error;
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(path, "letter.txt", "dear");
    assert_int_equal(open_fails(path, &error), SYNC_ERR_PRECONDITION);
    assert_non_null(strstr(error.message, "not a store"));
}

static void other_format_version_is_named(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct sync_error error;
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(path, "FORMAT", "travelsense sync store, format 9\n");
    assert_int_equal(open_fails(path, &error), SYNC_ERR_PRECONDITION);
    assert_non_null(strstr(error.message, "format version"));
}

static void folder_that_cannot_be_made_is_an_io_error(void **state) {
    (void)state;
    struct sync_error error;
    assert_int_equal(open_fails("/proc/nowhere/store", &error), SYNC_ERR_IO);
    assert_non_null(strstr(error.message, "No such file"));
}

static void damaged_store_does_not_open(void **state) {
    (void)state;
    const char *path = fresh_path();
    char database[600];
    struct sync_error error;
    store_close(open_at(path));
    snprintf(database, sizeof database, "%s/db", path);
    put_file(database, "CURRENT", "MANIFEST-none");
    assert_int_equal(open_fails(path, &error), SYNC_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "damaged"));
}

/* Cuts the newest part off the write-ahead log; what the store had written before it was closed. */
static void cut_log(const char *path) {
    char name[800] = "", found[800] = "";
    snprintf(name, sizeof name, "%s/db", path);
    DIR *folder = opendir(name);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".log"))
            snprintf(found, sizeof found, "%s/db/%s", path, entry->d_name);
    closedir(folder);
    struct stat about;
    assert_int_equal(stat(found, &about), 0);
    assert_true(about.st_size > 0);
    assert_int_equal(truncate(found, about.st_size / 2), 0);
}

static void store_that_lost_its_last_writes_does_not_open(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct sync_error error;
    struct store *store = open_at(path);
    uint64_t epoch = store_epoch(store);
    struct fixture_wish wish = wish_of(SLICE("u"), (struct user_head){0}, 3);
    for (int i = 0; i < 20; i++)
        wish = wish_of(SLICE("u"), fixture_commit_of(store, &wish), 3);
    store_close(store);
    cut_log(path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_fails(path, &error), SYNC_ERR_CORRUPT);
        assert_non_null(strstr(error.message, "writes are lost"));
    }
    char mark[600];
    snprintf(mark, sizeof mark, "%s/MARK", path);
    assert_int_equal(unlink(mark), 0);
    store = open_at(path);
    assert_int_not_equal(store_epoch(store), epoch); /* devices know what is lost */
    epoch = store_epoch(store);
    store_close(store);
    store = open_at(path);
    assert_int_equal(store_epoch(store), epoch);
    store_close(store);
}

static void damaged_mark_is_named(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct sync_error error;
    store_close(open_at(path));
    put_file(path, "MARK", "12345678");
    assert_int_equal(open_fails(path, &error), SYNC_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "MARK"));
    put_file(path, "MARK", "");
    assert_int_equal(open_fails(path, &error), SYNC_ERR_CORRUPT);
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
        cmocka_unit_test(damaged_bytes_are_told_and_not_handed_out),
        cmocka_unit_test(second_open_says_that_it_is_in_use),
        cmocka_unit_test(folder_of_another_is_left_alone),
        cmocka_unit_test(other_format_version_is_named),
        cmocka_unit_test(folder_that_cannot_be_made_is_an_io_error),
        cmocka_unit_test(damaged_store_does_not_open),
        cmocka_unit_test(store_that_lost_its_last_writes_does_not_open),
        cmocka_unit_test(damaged_mark_is_named),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    struct store_factory factory = {.open = open_contract};
    failed += store_contract_run("rocks_store keeps the contract", &factory);
    factory.is_tried_without_memory = true;
    return failed + store_contract_run("rocks_store keeps it short of memory", &factory);
}
