#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/service/store/store_contract_tests.h"

/* A watcher that keeps what it heard last. */
struct listener {
    struct store_watch watch; /* first: found from it */
    atomic_uint calls;
    atomic_uint with_head;
    _Atomic uint64_t sequence;
    _Atomic uint32_t tables;
};

static void listener_hear(struct store_watch *watch, const struct store_event *event) {
    struct listener *listener = (struct listener *)watch;
    if (event->head) {
        atomic_fetch_add(&listener->with_head, 1);
        atomic_store(&listener->sequence, event->head->sequence);
    }
    atomic_store(&listener->tables, event->tables);
    atomic_fetch_add(&listener->calls, 1);
}

static void listener_add(struct listener *listener, struct store *store, struct slice user) {
    *listener = (struct listener){.watch = {.user = user, .changed = listener_hear}};
    store_watch_add(store, &listener->watch);
}

void commit_is_told_to_watchers_of_its_user_alone(void **state) {
    struct contract *contract = *state;
    struct listener first, second, other;
    struct fixture_wish wish = {.user = SLICE("watched"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 3,
                                .data = SLICE("d")};
    listener_add(&first, contract->store, wish.user);
    listener_add(&other, contract->store, SLICE("watched2"));
    listener_add(&second, contract->store, wish.user);
    wish.head = fixture_commit_of(contract->store, &wish);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(other.calls, 0);
    assert_int_equal(first.sequence, wish.head.sequence);
    assert_int_equal(first.tables, 0);
    store_watch_remove(contract->store, &first.watch);
    wish.head = fixture_commit_of(contract->store, &wish);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 2);
    assert_int_equal(second.sequence, wish.head.sequence);
    store_watch_remove(contract->store, &second.watch);
    store_watch_remove(contract->store, &other.watch);
}

void commit_of_rows_tells_which_tables_and_no_head(void **state) {
    struct contract *contract = *state;
    struct listener listener;
    struct row_write rows[] = {
        {.table = TABLE_CONFIG, .key = SLICE("rows-told"), .value = SLICE("v")},
        {.table = TABLE_OPERATION, .key = SLICE("rows-told"), .remove = true},
    };
    struct write_set set = {
        .user = SLICE("rows-told"), .any_revision = true, .rows = rows, .row_count = 2};
    listener_add(&listener, contract->store, set.user);
    assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_OK);
    assert_int_equal(listener.calls, 1);
    assert_int_equal(listener.with_head, 0);
    assert_int_equal(listener.tables, 1U << TABLE_CONFIG | 1U << TABLE_OPERATION);
    set.user = SLICE_EMPTY; /* nobody's commit is told to nobody */
    set.any_revision = false;
    assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_OK);
    assert_int_equal(listener.calls, 1);
    store_watch_remove(contract->store, &listener.watch);
}

void commit_that_is_refused_is_told_to_nobody(void **state) {
    struct contract *contract = *state;
    struct listener listener;
    struct fixture_wish wish = {.user = SLICE("refused"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d")};
    wish.head = fixture_commit_of(contract->store, &wish);
    wish.head.revision += 5; /* as nobody has read it */
    fixture_make(contract->commit, &contract->arena, &wish);
    listener_add(&listener, contract->store, wish.user);
    assert_int_equal(store_commit_wait(contract->store, &contract->commit->set, NULL),
                     SYNC_ERR_HEAD_MOVED);
    assert_int_equal(listener.calls, 0);
    store_watch_remove(contract->store, &listener.watch);
}

/* What a watcher is told is there for a reader. */
struct visible {
    struct store_watch watch; /* first: found from it */
    struct contract *contract;
    bool was_there;
};

static void visible_hear(struct store_watch *watch, const struct store_event *event) {
    struct visible *visible = (struct visible *)watch;
    struct arena arena;
    struct user_view view;
    struct touched want = {.user = watch->user};
    arena_init(&arena, 1 << 20);
    visible->was_there =
        store_load(visible->contract->store, NULL, &want, &arena, &view) == SYNC_OK &&
        view.head.sequence == event->head->sequence;
    arena_done(&arena);
}

void watcher_is_told_once_readers_can_see_it(void **state) {
    struct contract *contract = *state;
    struct fixture_wish wish = {.user = SLICE("visible"),
                                .type = DATA_TYPE_TRIP,
                                .prefix = "t",
                                .count = 1,
                                .data = SLICE("d")};
    struct visible visible = {.watch = {.user = wish.user, .changed = visible_hear},
                              .contract = contract};
    store_watch_add(contract->store, &visible.watch);
    fixture_commit_of(contract->store, &wish);
    store_watch_remove(contract->store, &visible.watch);
    assert_true(visible.was_there);
}

enum { WATCHERS = 10000, ROUNDS = 200 };

struct racer {
    struct store *store;
    atomic_bool is_over;
};

/* Adds and removes watchers of one user as fast as it can; a call after a removal would write into
 * memory that is another watcher's by then. */
static void *racer_run(void *context) {
    struct racer *racer = context;
    while (!atomic_load(&racer->is_over)) {
        struct listener listener;
        listener_add(&listener, racer->store, SLICE("raced"));
        store_watch_remove(racer->store, &listener.watch);
        unsigned calls = listener.calls;
        sched_yield();
        assert_int_equal(listener.calls, calls);
        memset(&listener, 0xa5, sizeof listener);
    }
    return NULL;
}

void watchers_come_and_go_while_commits_are_told(void **state) {
    struct contract *contract = *state;
    struct racer racer = {.store = contract->store};
    struct listener *crowd = memory_zalloc(WATCHERS, sizeof *crowd);
    assert_non_null(crowd);
    for (size_t i = 0; i < WATCHERS; i++)
        listener_add(&crowd[i], contract->store, fixture_id(&contract->arena, "crowd", i));
    struct listener steady;
    listener_add(&steady, contract->store, SLICE("raced"));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, racer_run, &racer), 0);
    struct row_write row = {.table = TABLE_CONFIG, .key = SLICE("raced"), .value = SLICE("v")};
    struct write_set set = {
        .user = SLICE("raced"), .any_revision = true, .rows = &row, .row_count = 1};
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(store_commit_wait(contract->store, &set, NULL), SYNC_OK);
    atomic_store(&racer.is_over, true);
    pthread_join(thread, NULL);
    assert_int_equal(steady.calls, ROUNDS);
    store_watch_remove(contract->store, &steady.watch);
    for (size_t i = 0; i < WATCHERS; i++) {
        assert_int_equal(crowd[i].calls, 0);
        store_watch_remove(contract->store, &crowd[i].watch);
    }
    memory_free(crowd);
}
