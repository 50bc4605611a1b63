#include "tests/simulation/strike_store.h"

#include "base/memory.h"

struct strike_store {
    struct store store;
    struct store *inner;
    const struct strike_hand *hand;
};

static struct strike_store *strike_store_of(struct store *store) {
    return (struct strike_store *)store;
}

static enum strike strike_at(struct strike_store *store, enum strike_step step) {
    return store->hand->strike(store->hand->context, step);
}

static struct store *strike_close(struct store *base) {
    store_close(strike_store_of(base)->inner);
    memory_free(base);
    return NULL;
}

static uint64_t strike_epoch(const struct store *base) {
    return store_epoch(((const struct strike_store *)base)->inner);
}

static enum sync_status strike_reader_open(struct store *base, struct store_reader **ret_reader) {
    struct strike_store *store = strike_store_of(base);
    if (strike_at(store, STRIKE_READER) != STRIKE_NONE)
        return SYNC_ERR_UNAVAILABLE;
    return store_reader_open(store->inner, ret_reader);
}

static void strike_reader_close(struct store *base, struct store_reader *reader) {
    store_reader_close(strike_store_of(base)->inner, reader);
}

static enum sync_status strike_load(struct store *base, struct store_reader *reader,
                                    const struct touched *want, struct arena *arena,
                                    struct user_view *ret_view) {
    struct strike_store *store = strike_store_of(base);
    if (strike_at(store, STRIKE_LOAD) != STRIKE_NONE)
        return SYNC_ERR_UNAVAILABLE;
    return store_load(store->inner, reader, want, arena, ret_view);
}

static enum sync_status strike_scan(struct store *base, struct store_reader *reader,
                                    const struct scan *what, scan_visit *visit, void *context) {
    struct strike_store *store = strike_store_of(base);
    if (strike_at(store, STRIKE_SCAN) != STRIKE_NONE)
        return SYNC_ERR_UNAVAILABLE;
    return store_scan(store->inner, reader, what, visit, context);
}

static enum sync_status strike_sequence_before(struct store *base, struct store_reader *reader,
                                               struct slice user, int64_t time_us,
                                               uint64_t *ret_sequence) {
    struct strike_store *store = strike_store_of(base);
    if (strike_at(store, STRIKE_SCAN) != STRIKE_NONE)
        return SYNC_ERR_UNAVAILABLE;
    return store_sequence_before(store->inner, reader, user, time_us, ret_sequence);
}

static void strike_commit(struct store *base, const struct write_set *set, store_committed *done,
                          void *context) {
    struct strike_store *store = strike_store_of(base);
    enum strike strike = strike_at(store, STRIKE_COMMIT);
    struct user_head head = {0};
    enum sync_status status = strike == STRIKE_FAIL ? SYNC_ERR_UNAVAILABLE
                              : strike == STRIKE_MOVED
                                  ? SYNC_ERR_HEAD_MOVED
                                  : store_commit_wait(store->inner, set, &head);
    if (status == SYNC_OK)
        store->hand->written(store->hand->context, set, &head);
    if (status == SYNC_OK && strike == STRIKE_LOST) {
        status = SYNC_ERR_UNAVAILABLE;
        head = (struct user_head){0};
    }
    done(context, status, &head);
}

static enum sync_status strike_trim(struct store *base, const struct store_trim *what) {
    struct strike_store *store = strike_store_of(base);
    enum strike strike = strike_at(store, STRIKE_TRIM);
    if (strike == STRIKE_FAIL || strike == STRIKE_MOVED)
        return SYNC_ERR_UNAVAILABLE;
    enum sync_status status = store_trim(store->inner, what);
    return strike == STRIKE_LOST ? SYNC_ERR_UNAVAILABLE : status;
}

static void strike_watch_add(struct store *base, struct store_watch *watch) {
    store_watch_add(strike_store_of(base)->inner, watch);
}

static void strike_watch_remove(struct store *base, struct store_watch *watch) {
    store_watch_remove(strike_store_of(base)->inner, watch);
}

static enum sync_status strike_stats(struct store *base, struct store_stats *ret_stats) {
    return store_stats(strike_store_of(base)->inner, ret_stats);
}

static enum sync_status strike_health(struct store *base) {
    return store_health(strike_store_of(base)->inner);
}

static const struct store_calls strike_store_calls = {
    .close = strike_close,
    .epoch = strike_epoch,
    .reader_open = strike_reader_open,
    .reader_close = strike_reader_close,
    .load = strike_load,
    .scan = strike_scan,
    .sequence_before = strike_sequence_before,
    .commit = strike_commit,
    .trim = strike_trim,
    .watch_add = strike_watch_add,
    .watch_remove = strike_watch_remove,
    .stats = strike_stats,
    .health = strike_health,
};

enum sync_status strike_store_open(struct store *inner, const struct strike_hand *hand,
                                   struct store **ret_store) {
    struct strike_store *store = memory_zalloc(1, sizeof *store);
    if (!store)
        return SYNC_ERR_NO_MEMORY;
    *store = (struct strike_store){{&strike_store_calls}, inner, hand};
    *ret_store = &store->store;
    return SYNC_OK;
}
