#include "service/store/fault_store.h"

#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/memory.h"

struct fault_store {
    struct store store;
    struct store *inner;
    char *path;
};

static struct fault_store *fault_store_of(struct store *store) {
    return (struct fault_store *)store;
}

enum { ORDER_MAX = 320 };

/* What the file orders; empty: nothing. */
static struct slice fault_order(const struct fault_store *store, char text[ORDER_MAX]) {
    int fd = open(store->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SLICE_EMPTY;
    ssize_t size = read(fd, text, ORDER_MAX);
    close(fd);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == ' '))
        size--;
    return slice_of(text, size > 0 ? (size_t)size : 0);
}

/* Whether the file orders `fault`, or all. */
static bool fault_ordered(const struct fault_store *store, struct slice fault) {
    char text[ORDER_MAX];
    struct slice order = fault_order(store, text);
    return slice_equal(order, fault) || slice_equal(order, SLICE("all"));
}

/* What the file orders for a load of these records. */
static enum sync_status fault_of_records(const struct fault_store *store,
                                         const struct touched *want) {
    static const struct slice unread = SLICE("record "), damaged = SLICE("damage ");
    char text[ORDER_MAX];
    struct slice order = fault_order(store, text);
    bool is_damaged = slice_starts_with(order, damaged);
    if (!is_damaged && !slice_starts_with(order, unread))
        return SYNC_OK;
    struct slice id = slice_after(order, unread.size);
    for (size_t i = 0; i < want->record_count; i++)
        if (slice_equal(want->records[i].key.id, id))
            return is_damaged ? SYNC_ERR_CORRUPT : SYNC_ERR_IO;
    return SYNC_OK;
}

static struct store *fault_close(struct store *base) {
    struct fault_store *store = fault_store_of(base);
    store_close(store->inner);
    memory_free(store->path);
    memory_free(store);
    return NULL;
}

static uint64_t fault_epoch(const struct store *base) {
    return store_epoch(((const struct fault_store *)base)->inner);
}

static enum sync_status fault_reader_open(struct store *base, struct store_reader **ret_reader) {
    struct fault_store *store = fault_store_of(base);
    if (fault_ordered(store, SLICE("load")) || fault_ordered(store, SLICE("snapshot")))
        return SYNC_ERR_IO;
    return store_reader_open(store->inner, ret_reader);
}

/* A reader belongs to the inner store, which alone knows what it is. */
static void fault_reader_close(struct store *base, struct store_reader *reader) {
    store_reader_close(fault_store_of(base)->inner, reader);
}

static enum sync_status fault_load(struct store *base, struct store_reader *reader,
                                   const struct touched *want, struct arena *arena,
                                   struct user_view *ret_view) {
    struct fault_store *store = fault_store_of(base);
    if (fault_ordered(store, SLICE("load")))
        return SYNC_ERR_IO;
    enum sync_status status = fault_of_records(store, want);
    return status == SYNC_OK ? store_load(store->inner, reader, want, arena, ret_view) : status;
}

static enum sync_status fault_scan(struct store *base, struct store_reader *reader,
                                   const struct scan *what, scan_visit *visit, void *context) {
    struct fault_store *store = fault_store_of(base);
    if (fault_ordered(store, SLICE("load")))
        return SYNC_ERR_IO;
    return store_scan(store->inner, reader, what, visit, context);
}

static enum sync_status fault_sequence_before(struct store *base, struct store_reader *reader,
                                              struct slice user, int64_t time_us,
                                              uint64_t *ret_sequence) {
    struct fault_store *store = fault_store_of(base);
    if (fault_ordered(store, SLICE("load")))
        return SYNC_ERR_IO;
    return store_sequence_before(store->inner, reader, user, time_us, ret_sequence);
}

static void fault_commit(struct store *base, const struct write_set *set, store_committed *done,
                         void *context) {
    struct fault_store *store = fault_store_of(base);
    if (fault_ordered(store, SLICE("commit")))
        done(context, SYNC_ERR_IO, &(struct user_head){0});
    else
        store_commit(store->inner, set, done, context);
}

static enum sync_status fault_trim(struct store *base, const struct store_trim *what) {
    struct fault_store *store = fault_store_of(base);
    return fault_ordered(store, SLICE("commit")) ? SYNC_ERR_IO : store_trim(store->inner, what);
}

static void fault_watch_add(struct store *base, struct store_watch *watch) {
    store_watch_add(fault_store_of(base)->inner, watch);
}

static void fault_watch_remove(struct store *base, struct store_watch *watch) {
    store_watch_remove(fault_store_of(base)->inner, watch);
}

static enum sync_status fault_stats(struct store *base, struct store_stats *ret_stats) {
    return store_stats(fault_store_of(base)->inner, ret_stats);
}

static enum sync_status fault_health(struct store *base) {
    struct fault_store *store = fault_store_of(base);
    return fault_ordered(store, SLICE("all")) ? SYNC_ERR_IO : store_health(store->inner);
}

static const struct store_calls fault_store_calls = {
    .close = fault_close,
    .epoch = fault_epoch,
    .reader_open = fault_reader_open,
    .reader_close = fault_reader_close,
    .load = fault_load,
    .scan = fault_scan,
    .sequence_before = fault_sequence_before,
    .commit = fault_commit,
    .trim = fault_trim,
    .watch_add = fault_watch_add,
    .watch_remove = fault_watch_remove,
    .stats = fault_stats,
    .health = fault_health,
};

enum sync_status fault_store_open(struct store *inner, const char *path, struct store **ret_store) {
    assert(inner);
    assert(path);
    struct fault_store *store = memory_zalloc(1, sizeof *store);
    if (!store)
        return SYNC_ERR_NO_MEMORY;
    store->path = memory_copy_text(path, strlen(path));
    if (!store->path) {
        memory_free(store);
        return SYNC_ERR_NO_MEMORY;
    }
    store->store.calls = &fault_store_calls;
    store->inner = inner;
    *ret_store = &store->store;
    return SYNC_OK;
}
