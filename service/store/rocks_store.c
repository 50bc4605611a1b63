/* Opening and closing of the embedded store.
 *
 * The folder holds a file that says what it is, FORMAT, one that says how far it goes, MARK, and
 * RocksDB's own folder, db. */
#include "service/store/rocks_store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "service/store/rocks_private.h"

enum { ROCKS_PATH_MAX = 4096, CHANGE_INDEX_BYTES = 128 << 20 };

static const char format_name[] = "FORMAT";
static const char format_text[] = "travelsense sync store, format 1\n";

#define STORE_REASON "STORE"

static enum sync_status open_error(struct sync_error *error, enum sync_status status,
                                   const char *path, const char *text) {
    return sync_error_set(error, status, STORE_REASON, NULL, "store %s: %s", path, text);
}

static enum sync_status system_error(struct sync_error *error, const char *path, int number) {
    return open_error(error, SYNC_ERR_IO, path, strerror(number));
}

/* Whether the folder has nothing that anybody put there. */
static bool folder_is_empty(DIR *folder) {
    struct dirent *entry;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lost+found") != 0)
            return false;
    return true;
}

/* Writes the FORMAT file so that it is whole after a crash, or not there. */
static bool format_write(int folder) {
    static const char temporary[] = ".FORMAT.new";
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool well =
        write(fd, format_text, sizeof format_text - 1) == sizeof format_text - 1 && fsync(fd) == 0;
    well = close(fd) == 0 && well;
    return well && renameat(folder, temporary, folder, format_name) == 0 && fsync(folder) == 0;
}

/* Reads the FORMAT file, or makes it in an empty folder. */
static enum sync_status format_check(const char *path, DIR *folder, struct sync_error *error) {
    char text[sizeof format_text] = "";
    int fd = openat(dirfd(folder), format_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return system_error(error, path, errno);
    if (fd < 0) {
        if (!folder_is_empty(folder))
            return open_error(error, SYNC_ERR_PRECONDITION, path,
                              "the folder has files, but is not a store of this program");
        return format_write(dirfd(folder)) ? SYNC_OK : system_error(error, path, errno);
    }
    ssize_t size = read(fd, text, sizeof text);
    close(fd);
    struct slice found = slice_of(text, size > 0 ? (size_t)size : 0);
    if (slice_equal(found, slice_text(format_text)))
        return SYNC_OK;
    return open_error(error, SYNC_ERR_PRECONDITION, path,
                      slice_starts_with(found, SLICE("travelsense sync store, format "))
                          ? "written in another format version than this program's (1)"
                          : "the FORMAT file is not one of this program");
}

static enum sync_status folder_prepare(const char *path, struct sync_error *error) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return system_error(error, path, errno);
    DIR *folder = opendir(path);
    if (!folder)
        return system_error(error, path, errno);
    enum sync_status status = format_check(path, folder, error);
    closedir(folder);
    return status;
}

/* One line from RocksDB's text. */
static enum sync_status database_error(struct sync_error *error, const char *path, char *text) {
    enum sync_status status = SYNC_ERR_IO;
    if (strstr(text, "While lock file") || strstr(text, "lock hold"))
        open_error(error, status = SYNC_ERR_BUSY, path, "in use by another process");
    else if (strstr(text, "Permission denied"))
        open_error(error, status, path, strerror(EACCES));
    else if (strstr(text, "Corruption") || strstr(text, "Invalid argument"))
        sync_error_set(error, status = SYNC_ERR_CORRUPT, STORE_REASON, NULL,
                       "store %s: damaged: %s", path, text);
    else
        open_error(error, status, path, text);
    rocksdb_free(text);
    return status;
}

static enum sync_status database_open(struct rocks_store *store, const char *path,
                                      struct sync_error *error) {
    char database[ROCKS_PATH_MAX], *text = NULL;
    int length = snprintf(database, sizeof database, "%s/db", path);
    if (length < 0 || (size_t)length >= sizeof database)
        return open_error(error, SYNC_ERR_INVALID, path, "the path is too long");
    rocksdb_options_t *options = rocksdb_options_create_copy(store->settings.options[0]);
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    store->db = rocksdb_open_column_families(
        options, database, ROCKS_FAMILIES, rocks_family_names,
        (const rocksdb_options_t *const *)store->settings.options, store->families, &text);
    rocksdb_options_destroy(options);
    return text ? database_error(error, path, text) : SYNC_OK;
}

/* Reads the epoch, or makes it: in a new store, and in one without its mark, which may have lost
 * what devices have seen. */
static enum sync_status epoch_read(struct rocks_store *store,
                                   const struct rocks_store_options *options, bool is_unmarked,
                                   struct sync_error *error) {
    const struct random_source *random = options->random;
    struct row row = {.table = TABLE_META, .key = SLICE("epoch")};
    struct touched want = {.rows = &row, .row_count = 1};
    struct arena arena;
    struct user_view view;
    uint8_t epoch[8];
    arena_init(&arena, 4096);
    enum sync_status status = rocks_load(&store->store, NULL, &want, &arena, &view);
    if (status == SYNC_OK && view.rows[0].found && !is_unmarked) {
        if (view.rows[0].value.size == sizeof epoch)
            store->epoch = rocks_get_be64(view.rows[0].value.data);
        else
            status = SYNC_ERR_CORRUPT;
    } else if (status == SYNC_OK) {
        random->fill(random->context, epoch, sizeof epoch);
        store->epoch = rocks_get_be64(epoch);
        struct row_write write = {
            .table = TABLE_META, .key = row.key, .value = slice_of(epoch, sizeof epoch)};
        status = store_commit_wait(&store->store,
                                   &(struct write_set){.rows = &write, .row_count = 1}, NULL);
    }
    arena_done(&arena);
    return status == SYNC_OK ? SYNC_OK
                             : open_error(error, status, options->path, sync_status_text(status));
}

static void metrics_add_store(struct rocks_metrics *ours, struct metrics *metrics) {
    static const double seconds[] = {.0005, .001, .002, .005, .01, .025, .05, .1, .25, 1};
    static const double sets[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000};
    if (!metrics)
        return;
#define STORE_METRIC(kind_, name_, help_, bounds_, count_)                                         \
    metric_series(metric_family_add(metrics, &(struct metric_options){.kind = (kind_),             \
                                                                      .name = (name_),             \
                                                                      .help = (help_),             \
                                                                      .bounds = (bounds_),         \
                                                                      .bounds_count = (count_)}),  \
                  NULL)
    ours->commit_seconds = STORE_METRIC(METRIC_HISTOGRAM, "sync_store_commit_seconds",
                                        "Time from a commit's call until it is durable.", seconds,
                                        sizeof seconds / sizeof *seconds);
    ours->group_sets =
        STORE_METRIC(METRIC_HISTOGRAM, "sync_store_group_sets", "Write sets that shared one sync.",
                     sets, sizeof sets / sizeof *sets);
    ours->commit_failures = STORE_METRIC(METRIC_COUNTER, "sync_store_commit_failures_total",
                                         "Commits refused or failed.", NULL, 0);
    ours->loads = STORE_METRIC(METRIC_COUNTER, "sync_store_loads_total", "Loads.", NULL, 0);
    ours->scans = STORE_METRIC(METRIC_COUNTER, "sync_store_scans_total", "Scans.", NULL, 0);
    ours->index_builds =
        STORE_METRIC(METRIC_COUNTER, "sync_store_index_builds_total",
                     "Times the settled changes of a user were read into memory.", NULL, 0);
    ours->history_blocks =
        STORE_METRIC(METRIC_COUNTER, "sync_store_history_blocks_total",
                     "Blocks of users' logs read for the histories of records.", NULL, 0);
    ours->damaged_reads =
        STORE_METRIC(METRIC_COUNTER, "sync_store_damaged_reads_total",
                     "Reads that failed because what they read is damaged on the disk.", NULL, 0);
#undef STORE_METRIC
}

static struct store *rocks_close(struct store *base) {
    struct rocks_store *store = rocks_store_of(base);
    if (store->committer.started)
        rocks_committer_stop(store);
    for (int i = 0; store->db && i < ROCKS_FAMILIES; i++)
        rocksdb_column_family_handle_destroy(store->families[i]);
    if (store->db)
        rocksdb_close(store->db);
    rocks_mark_close(store->mark);
    rocks_settings_done(&store->settings);
    change_index_close(store->index);
    watch_table_close(store->watches);
    pthread_mutex_destroy(&store->damage.lock);
    memory_free(store);
    return NULL;
}

static uint64_t rocks_epoch(const struct store *base) {
    return ((const struct rocks_store *)base)->epoch;
}

/* RocksDB's own failed flushes and compactions count as failed writes: the next one would fail. */
static enum sync_status rocks_store_health(struct store *base) {
    struct rocks_store *store = rocks_store_of(base);
    uint64_t errors = 0;
    if (rocksdb_property_int(store->db, "rocksdb.background-errors", &errors) == 0 && errors > 0)
        atomic_store(&store->broken, true);
    return rocks_health(store);
}

static uint64_t stats_number(struct rocks_store *store, enum rocks_family family,
                             const char *property) {
    uint64_t number = 0;
    if (rocksdb_property_int_cf(store->db, store->families[family], property, &number) != 0)
        return 0;
    return number;
}

static enum sync_status rocks_stats(struct store *base, struct store_stats *ret_stats) {
    struct rocks_store *store = rocks_store_of(base);
    struct store_stats stats = {0};
    size_t index_bytes, index_users;
    stats.users = stats_number(store, ROCKS_HEAD, "rocksdb.estimate-num-keys");
    stats.records = stats_number(store, ROCKS_RECORDS, "rocksdb.estimate-num-keys");
    stats.rows = stats_number(store, ROCKS_ROWS, "rocksdb.estimate-num-keys");
    for (int i = 0; i < ROCKS_FAMILIES; i++) {
        stats.disk_bytes +=
            stats_number(store, (enum rocks_family)i, "rocksdb.total-sst-files-size");
        stats.memory_bytes +=
            stats_number(store, (enum rocks_family)i, "rocksdb.size-all-mem-tables");
    }
    pthread_mutex_lock(&store->damage.lock);
    stats.damaged_reads = store->damage.reads;
    pthread_mutex_unlock(&store->damage.lock);
    change_index_stats(store->index, &index_bytes, &index_users);
    stats.memory_bytes += index_bytes + rocksdb_cache_get_usage(store->settings.cache);
    *ret_stats = stats;
    return rocks_health(store);
}

static void rocks_watch_add(struct store *base, struct store_watch *watch) {
    watch_table_add(rocks_store_of(base)->watches, watch);
}

static void rocks_watch_remove(struct store *base, struct store_watch *watch) {
    watch_table_remove(rocks_store_of(base)->watches, watch);
}

static const struct store_calls rocks_store_calls = {
    .close = rocks_close,
    .epoch = rocks_epoch,
    .reader_open = rocks_reader_open,
    .reader_close = rocks_reader_close,
    .load = rocks_load,
    .scan = rocks_scan,
    .sequence_before = rocks_sequence_before,
    .commit = rocks_commit,
    .trim = rocks_trim,
    .watch_add = rocks_watch_add,
    .watch_remove = rocks_watch_remove,
    .stats = rocks_stats,
    .health = rocks_store_health,
};

/* Makes the struct and what does not touch the disk. */
static struct rocks_store *store_make(const struct rocks_store_options *options) {
    uint64_t seed;
    struct rocks_store *store = memory_zalloc(1, sizeof *store);
    if (!store)
        return NULL;
    options->random->fill(options->random->context, (uint8_t *)&seed, sizeof seed);
    store->store.calls = &rocks_store_calls;
    store->log = options->log;
    store->index = change_index_open(
        options->change_index_bytes ? options->change_index_bytes : CHANGE_INDEX_BYTES, seed);
    store->watches = watch_table_open(seed);
    if (!store->index || !store->watches) {
        change_index_close(store->index);
        watch_table_close(store->watches);
        memory_free(store);
        return NULL;
    }
    pthread_mutex_init(&store->damage.lock, NULL);
    rocks_settings_init(&store->settings, options);
    metrics_add_store(&store->metrics, options->metrics);
    return store;
}

enum sync_status rocks_store_open(const struct rocks_store_options *options,
                                  struct sync_error *error, struct store **ret_store) {
    assert(options->path);
    assert(options->random);
    enum sync_status status = folder_prepare(options->path, error);
    if (status != SYNC_OK)
        return status;
    struct rocks_store *store = store_make(options);
    if (!store)
        return open_error(error, SYNC_ERR_NO_MEMORY, options->path, "no memory");
    bool is_unmarked = false;
    status = database_open(store, options->path, error);
    if (status == SYNC_OK)
        status = rocks_mark_open(options->path, rocksdb_get_latest_sequence_number(store->db),
                                 error, &store->mark, &is_unmarked);
    if (status == SYNC_OK && (status = rocks_committer_start(store)) != SYNC_OK)
        open_error(error, status, options->path, "no memory for the committer");
    if (status == SYNC_OK)
        status = epoch_read(store, options, is_unmarked, error);
    if (status != SYNC_OK) {
        rocks_close(&store->store);
        return status;
    }
    *ret_store = &store->store;
    return SYNC_OK;
}
