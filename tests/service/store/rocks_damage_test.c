/* What the embedded store says of damage, of what is no store, and of one that is in use. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <sys/stat.h>

#include "tests/service/store/row_damage.h"
#include "tests/service/store/store_rocks.h"

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

/* What a scan over damage meets. */
struct rows_met {
    size_t whole, damaged;
};

static bool rows_visit(void *context, const struct scan_item *item) {
    struct rows_met *met = context;
    met->whole += item->row->found;
    met->damaged += !item->row->found && item->row->value.size == 0;
    return true;
}

static void damaged_row_is_passed_by_who_asks_for_it(void **state) {
    (void)state;
    const char *path = fresh_path();
    struct store *store = open_at(path);
    struct row_write rows[3] = {{.table = TABLE_JOB, .key = SLICE("1"), .value = SLICE("one")},
                                {.table = TABLE_JOB, .key = SLICE("2"), .value = SLICE("two")},
                                {.table = TABLE_JOB, .key = SLICE("3"), .value = SLICE("three")}};
    struct write_set set = {.rows = rows, .row_count = 3};
    assert_int_equal(store_commit_wait(store, &set, NULL), SYNC_OK);
    store_close(store);
    row_damage(path, TABLE_JOB, SLICE("2"));
    store = open_at(path);
    struct rows_met met = {0};
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_JOB};
    assert_int_equal(store_scan(store, NULL, &scan, rows_visit, &met), SYNC_ERR_CORRUPT);
    assert_true(met.whole == 1 && met.damaged == 0);
    met = (struct rows_met){0};
    scan.with_damaged = true;
    assert_int_equal(store_scan(store, NULL, &scan, rows_visit, &met), SYNC_OK);
    assert_true(met.whole == 2 && met.damaged == 1);
    struct store_stats stats;
    assert_int_equal(store_stats(store, &stats), SYNC_OK);
    assert_int_equal(stats.damaged_reads, 2);
    store_close(store);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_bytes_are_told_and_not_handed_out),
        cmocka_unit_test(damaged_row_is_passed_by_who_asks_for_it),
        cmocka_unit_test(second_open_says_that_it_is_in_use),
        cmocka_unit_test(folder_of_another_is_left_alone),
        cmocka_unit_test(other_format_version_is_named),
        cmocka_unit_test(folder_that_cannot_be_made_is_an_io_error),
        cmocka_unit_test(damaged_store_does_not_open),
        cmocka_unit_test(store_that_lost_its_last_writes_does_not_open),
        cmocka_unit_test(damaged_mark_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
