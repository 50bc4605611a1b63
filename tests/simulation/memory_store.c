#include "tests/simulation/memory_store.h"

#include <pthread.h>

#include "base/limits.h"
#include "base/memory.h"
#include "service/store/watch_table.h"
#include "tests/simulation/memory_state.h"

enum { KEY_BYTES_MAX = 1024 };

struct store_reader {
    struct memory_state *state;
};

struct memory_store {
    struct store store;
    uint64_t epoch;
    pthread_mutex_t lock;
    struct memory_state *state;
    struct arena arena;
    struct watch_table *watches;
};

static struct memory_store *memory_store_of(struct store *store) {
    return (struct memory_store *)store;
}

static struct store *memory_close(struct store *base) {
    struct memory_store *store = memory_store_of(base);
    memory_state_release(store->state);
    arena_done(&store->arena);
    watch_table_close(store->watches);
    pthread_mutex_destroy(&store->lock);
    memory_free(store);
    return NULL;
}

static uint64_t memory_epoch(const struct store *base) {
    return ((const struct memory_store *)base)->epoch;
}

static struct memory_state *state_take(struct memory_store *store) {
    pthread_mutex_lock(&store->lock);
    struct memory_state *state = store->state;
    state->holders++;
    pthread_mutex_unlock(&store->lock);
    return state;
}

static void state_give(struct memory_store *store, struct memory_state *state) {
    pthread_mutex_lock(&store->lock);
    memory_state_release(state);
    pthread_mutex_unlock(&store->lock);
}

static enum sync_status memory_reader_open(struct store *base, struct store_reader **ret_reader) {
    struct store_reader *reader = memory_alloc(sizeof *reader);
    if (!reader)
        return SYNC_ERR_NO_MEMORY;
    reader->state = state_take(memory_store_of(base));
    *ret_reader = reader;
    return SYNC_OK;
}

static void memory_reader_close(struct store *base, struct store_reader *reader) {
    state_give(memory_store_of(base), reader->state);
    memory_free(reader);
}

static bool user_is_valid(struct slice user) {
    return user.size <= USER_ID_MAX && (user.size == 0 || !memchr(user.data, 0, user.size));
}

static enum sync_status memory_load(struct store *base, struct store_reader *reader,
                                    const struct touched *want, struct arena *arena,
                                    struct user_view *ret_view) {
    if (!user_is_valid(want->user))
        return SYNC_ERR_INVALID;
    if (reader)
        return memory_state_load(reader->state, want, arena, ret_view);
    struct memory_state *state = state_take(memory_store_of(base));
    enum sync_status status = memory_state_load(state, want, arena, ret_view);
    state_give(memory_store_of(base), state);
    return status;
}

static enum sync_status memory_scan(struct store *base, struct store_reader *reader,
                                    const struct scan *what, scan_visit *visit, void *context) {
    if (!user_is_valid(what->user))
        return SYNC_ERR_INVALID;
    struct memory_state *state = reader ? reader->state : state_take(memory_store_of(base));
    enum sync_status status = memory_state_scan(state, what, visit, context);
    if (!reader)
        state_give(memory_store_of(base), state);
    return status;
}

static enum sync_status memory_sequence_before(struct store *base, struct store_reader *reader,
                                               struct slice user, int64_t time_us,
                                               uint64_t *ret_sequence) {
    if (!user_is_valid(user))
        return SYNC_ERR_INVALID;
    struct memory_state *state = reader ? reader->state : state_take(memory_store_of(base));
    *ret_sequence = memory_state_sequence_before(state, user, time_us);
    if (!reader)
        state_give(memory_store_of(base), state);
    return SYNC_OK;
}

/* The state to change: its own, when others look at it. Under the lock. */
static bool state_own(struct memory_store *store) {
    if (store->state->holders == 1)
        return true;
    struct memory_state *own = memory_state_copy(store->state);
    if (!own)
        return false;
    memory_state_release(store->state);
    store->state = own;
    return true;
}

static enum sync_status set_check(const struct memory_store *store, const struct write_set *set) {
    bool found, valid = user_is_valid(set->user);
    for (size_t i = 0; i < set->row_count; i++)
        valid = valid && set->rows[i].key.size <= KEY_BYTES_MAX;
    if (!valid)
        return SYNC_ERR_INVALID;
    if (set->user.size == 0 || set->any_revision)
        return SYNC_OK;
    size_t place = memory_user_place(store->state, set->user, &found);
    uint64_t revision = found ? store->state->users[place].head.revision : 0;
    return revision == set->expected_revision ? SYNC_OK : SYNC_ERR_HEAD_MOVED;
}

/* Tells the watchers of a set's user. */
static void set_tell(struct memory_store *store, const struct write_set *set,
                     const struct user_head *head) {
    struct store_event event = {.head = set->any_revision ? NULL : head};
    for (size_t i = 0; i < set->row_count; i++)
        event.tables |= 1U << set->rows[i].table;
    if (set->user.size > 0)
        watch_table_tell(store->watches, set->user, &event);
}

static void memory_commit(struct store *base, const struct write_set *set, store_committed *done,
                          void *context) {
    struct memory_store *store = memory_store_of(base);
    struct user_head head = {0};
    pthread_mutex_lock(&store->lock);
    enum sync_status status = set_check(store, set);
    if (status == SYNC_OK)
        status = state_own(store) ? memory_state_write(store->state, set, &store->arena)
                                  : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK && set->user.size > 0 && !set->any_revision) {
        head = set->head;
        head.revision = set->expected_revision + 1;
    }
    pthread_mutex_unlock(&store->lock);
    if (status == SYNC_OK)
        set_tell(store, set, &head);
    done(context, status, &head);
}

static enum sync_status memory_trim_user(struct store *base, const struct store_trim *what) {
    struct memory_store *store = memory_store_of(base);
    bool found;
    pthread_mutex_lock(&store->lock);
    bool is_own = state_own(store);
    size_t place = memory_user_place(store->state, what->user, &found);
    if (is_own && found)
        memory_state_trim(&store->state->users[place], what);
    pthread_mutex_unlock(&store->lock);
    return is_own ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

static void memory_watch_add(struct store *base, struct store_watch *watch) {
    watch_table_add(memory_store_of(base)->watches, watch);
}

static void memory_watch_remove(struct store *base, struct store_watch *watch) {
    watch_table_remove(memory_store_of(base)->watches, watch);
}

static enum sync_status memory_stats(struct store *base, struct store_stats *ret_stats) {
    struct memory_store *store = memory_store_of(base);
    struct memory_state *state = state_take(store);
    struct store_stats stats = {.users = state->user_count,
                                .rows = state->row_count,
                                .memory_bytes = store->arena.taken_bytes};
    for (size_t i = 0; i < state->user_count; i++)
        stats.records += state->users[i].record_count;
    state_give(store, state);
    *ret_stats = stats;
    return SYNC_OK;
}

static enum sync_status memory_health(struct store *base) {
    (void)base;
    return SYNC_OK;
}

static const struct store_calls memory_store_calls = {
    .close = memory_close,
    .epoch = memory_epoch,
    .reader_open = memory_reader_open,
    .reader_close = memory_reader_close,
    .load = memory_load,
    .scan = memory_scan,
    .sequence_before = memory_sequence_before,
    .commit = memory_commit,
    .trim = memory_trim_user,
    .watch_add = memory_watch_add,
    .watch_remove = memory_watch_remove,
    .stats = memory_stats,
    .health = memory_health,
};

enum sync_status memory_store_open(uint64_t epoch, size_t bytes_max, struct store **ret_store) {
    struct memory_store *store = memory_zalloc(1, sizeof *store);
    if (!store)
        return SYNC_ERR_NO_MEMORY;
    store->store.calls = &memory_store_calls;
    store->epoch = epoch;
    store->state = memory_zalloc(1, sizeof *store->state);
    store->watches = watch_table_open(epoch);
    arena_init(&store->arena, bytes_max);
    pthread_mutex_init(&store->lock, NULL);
    if (!store->state || !store->watches) {
        memory_free(store->state);
        store->state = NULL;
        memory_close(&store->store);
        return SYNC_ERR_NO_MEMORY;
    }
    store->state->holders = 1;
    *ret_store = &store->store;
    return SYNC_OK;
}
