/* Store: what the service needs of a database. A user is the unit of consistency.
 *
 * rocks_store.c keeps this contract with the embedded RocksDB; tests/service/store/store_contract.c
 * states it as tests that any store must pass. All functions are thread-safe. */
#ifndef SERVICE_STORE_STORE_H
#define SERVICE_STORE_STORE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "service/core/model.h"

struct store;
struct store_reader;

/* What to scan. The order is ascending; `after` resumes behind an item seen before. */
struct scan {
    enum { SCAN_LOG, SCAN_CHANGED, SCAN_RECORDS, SCAN_ROWS, SCAN_USERS } kind;
    struct slice user;       /* SCAN_LOG, SCAN_CHANGED, SCAN_RECORDS */
    uint64_t after;          /* SCAN_LOG: entries with a greater sequence;
                                SCAN_CHANGED: records with a greater version */
    enum data_type type;     /* SCAN_RECORDS */
    struct slice after_id;   /* SCAN_RECORDS: ids greater than this; empty: from the first */
    enum table table;        /* SCAN_ROWS */
    struct slice prefix;     /* SCAN_ROWS: keys that begin so */
    struct slice after_key;  /* SCAN_ROWS: keys greater than this; empty: from the first */
    bool with_damaged;       /* SCAN_ROWS: a damaged row is visited, with `found` false and no
                                value, and counted; else it ends the scan */
    struct slice after_user; /* SCAN_USERS: users greater than this; empty: from the first */
};

/* One item of a scan; which member counts follows from the kind, the others are NULL. Slices live
 * until the visit returns. Tombstones are visited too. Entries of the log at or below the head's
 * log_floor may still be visited: who needs to know whether the log reaches back far enough loads
 * the head with the same reader. */
struct scan_item {
    const struct log_entry *entry;
    const struct record_version *changed;
    const struct record *record;
    const struct row *row;
    const struct user_head *head; /* SCAN_USERS */
    struct slice user;            /* SCAN_USERS: whose head */
};

/* Called per item; false ends the scan, which then still answers SYNC_OK. */
typedef bool scan_visit(void *context, const struct scan_item *item);

/* Called once when a commit is durable or has failed, on a thread of the store: do not block there
 * long. `head` is the user's head after it (zero for a set that writes no head, and on failure); it
 * lives until the call returns. SYNC_ERR_HEAD_MOVED: nothing was written, load and apply again. */
typedef void store_committed(void *context, enum sync_status status, const struct user_head *head);

/* What retention removes of one user. A commit whose time is after `ahead_us` was made while the
 * clock ran ahead: how old it is, the commits behind it say. It goes with the first of them that is
 * old enough, and holds none of them up. */
struct store_trim {
    struct slice user;
    int64_t log_before_us;     /* log entries of commits whose head.time_us is before this */
    int64_t settled_before_us; /* settled changes of such commits */
    int64_t ahead_us;          /* 0: no time is too late */
};

/* What a watcher hears of a commit. Lives until the call returns. */
struct store_event {
    const struct user_head *head; /* as it is now; NULL when the commit wrote none */
    uint32_t tables;              /* in which it wrote rows: bit n for enum table n */
};

/* A wish to hear of a user's commits, in the caller's memory. */
struct store_watch {
    struct slice user; /* lives until the removal; not empty */
    /* Called after each commit that names the user, rows-only ones (any_revision) included, once it
     * is durable and visible. On a thread of the store and under its lock: it does not block, adds
     * and removes no watch, and takes no lock that is held where one is added or removed. */
    void (*changed)(struct store_watch *watch, const struct store_event *event);
    /* ---- the store's own */
    struct store_watch *next, **link;
    uint64_t hash;
};

/* Estimates, for metrics and operators. */
struct store_stats {
    uint64_t users, records, rows;
    uint64_t disk_bytes;
    uint64_t memory_bytes;
    uint64_t damaged_reads; /* exact: answered SYNC_ERR_CORRUPT since the opening */
};

/* The calls of one kind of store; a store begins with a pointer to its table. */
struct store_calls {
    struct store *(*close)(struct store *store);
    uint64_t (*epoch)(const struct store *store);
    enum sync_status (*reader_open)(struct store *store, struct store_reader **ret_reader);
    void (*reader_close)(struct store *store, struct store_reader *reader);
    enum sync_status (*load)(struct store *store, struct store_reader *reader,
                             const struct touched *want, struct arena *arena,
                             struct user_view *ret_view);
    enum sync_status (*scan)(struct store *store, struct store_reader *reader,
                             const struct scan *what, scan_visit *visit, void *context);
    enum sync_status (*sequence_before)(struct store *store, struct store_reader *reader,
                                        struct slice user, int64_t time_us, uint64_t *ret_sequence);
    void (*commit)(struct store *store, const struct write_set *set, store_committed *done,
                   void *context);
    enum sync_status (*trim)(struct store *store, const struct store_trim *what);
    void (*watch_add)(struct store *store, struct store_watch *watch);
    void (*watch_remove)(struct store *store, struct store_watch *watch);
    enum sync_status (*stats)(struct store *store, struct store_stats *ret_stats);
    enum sync_status (*health)(struct store *store);
};

/* Begins every store's own struct. */
struct store {
    const struct store_calls *calls;
};

/* Closes after finishing the commits that wait; returns NULL. NULL is allowed. */
static inline struct store *store_close(struct store *store) {
    return store ? store->calls->close(store) : NULL;
}

/* The store's epoch: made at random when the store is created; a cursor of another epoch means
 * nothing here. */
static inline uint64_t store_epoch(const struct store *store) {
    return store->calls->epoch(store);
}

/* Opens a reader: a consistent snapshot of everything, for several reads. Close it soon, it holds
 * resources. */
static inline enum sync_status store_reader_open(struct store *store,
                                                 struct store_reader **ret_reader) {
    return store->calls->reader_open(store, ret_reader);
}
static inline void store_reader_close(struct store *store, struct store_reader *reader) {
    if (reader) {
        store->calls->reader_close(store, reader);
    }
}

/* One consistent read of what is wanted, by the reader's snapshot or, with NULL, as of now. The
 * view lives in the arena. A user, record, change or row that is not there is not an error.
 * SYNC_ERR_CORRUPT when stored bytes do not parse or a checksum differs. May block on the disk. */
static inline enum sync_status store_load(struct store *store, struct store_reader *reader,
                                          const struct touched *want, struct arena *arena,
                                          struct user_view *ret_view) {
    return store->calls->load(store, reader, want, arena, ret_view);
}

/* Visits items in order, by the reader's snapshot or as of now. May block on the disk.
 *
 * SCAN_CHANGED visits all records of a user whose version is greater than `after`, tombstones
 * included, by version: exactly these, each once, however often they changed and wherever the log's
 * floor is. What it costs grows with their number: neither with the number of the user's records
 * nor with that of the changes, as long as the log reaches back to `after`. */
static inline enum sync_status store_scan(struct store *store, struct store_reader *reader,
                                          const struct scan *what, scan_visit *visit,
                                          void *context) {
    return store->calls->scan(store, reader, what, visit, context);
}

/* Finds where the changes since a time begin: every record that was changed at `time_us` (its
 * updated_us) or later has a greater version than the sequence answered; of the others at most
 * those committed together with such. Where times have fallen as sequences grew, since a clock that
 * ran ahead was set right, those that were given out before it was may count as earlier. Costs a
 * few reads as long as the log reaches back to the time, else a look at all records. */
static inline enum sync_status store_sequence_before(struct store *store,
                                                     struct store_reader *reader, struct slice user,
                                                     int64_t time_us, uint64_t *ret_sequence) {
    return store->calls->sequence_before(store, reader, user, time_us, ret_sequence);
}

/* Commits: all or nothing, durable before `done` hears SYNC_OK. Returns at once; `done` is called
 * exactly once, possibly before the return. The set's arrays and slices must live until then.
 * Commits that wait together share one sync. */
static inline void store_commit(struct store *store, const struct write_set *set,
                                store_committed *done, void *context) {
    store->calls->commit(store, set, done, context);
}

/* Commits and waits. Not on a thread of the store. `ret_head` may be NULL. */
enum sync_status store_commit_wait(struct store *store, const struct write_set *set,
                                   struct user_head *ret_head);

/* Removes what retention no longer wants, oldest first, and raises the head's log_floor; the head's
 * revision then grows, so a writer of the same user may have to load again: call it in the user's
 * lane. Blocks until it is durable; not on a thread of the store. A user who is not there is
 * SYNC_OK. */
static inline enum sync_status store_trim(struct store *store, const struct store_trim *what) {
    return store->calls->trim(store, what);
}

/* Begins to call `watch->changed`. What was committed before may be told or not: read after adding.
 * Watchers of other users cost a commit nothing. Any number may watch one user. */
static inline void store_watch_add(struct store *store, struct store_watch *watch) {
    store->calls->watch_add(store, watch);
}

/* Ends it: after the return no call is under way and none comes. Not from within `changed`. All
 * watches are removed before the store closes. */
static inline void store_watch_remove(struct store *store, struct store_watch *watch) {
    store->calls->watch_remove(store, watch);
}

/* Fills in estimates. */
static inline enum sync_status store_stats(struct store *store, struct store_stats *ret_stats) {
    return store->calls->stats(store, ret_stats);
}

/* SYNC_OK, or why the store cannot be relied on (SYNC_ERR_STORE_BROKEN after a failed write). */
static inline enum sync_status store_health(struct store *store) {
    return store->calls->health(store);
}

#endif
