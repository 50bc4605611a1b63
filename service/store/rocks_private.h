/* What the files of the embedded store share. Only they include it. */
#ifndef SERVICE_STORE_ROCKS_PRIVATE_H
#define SERVICE_STORE_ROCKS_PRIVATE_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "service/store/change_index.h"
#include "service/store/rocks_block.h"
#include "service/store/rocks_codec.h"
#include "service/store/rocks_mark.h"
#include "service/store/rocks_store.h"
#include "service/store/watch_table.h"

/* Column families, in the order of rocks_family_names. Digests lie in the one that RocksDB wants in
 * every database. */
enum rocks_family {
    ROCKS_DIGESTS,
    ROCKS_HEAD,
    ROCKS_RECORDS,
    ROCKS_LOG,
    ROCKS_SETTLED,
    ROCKS_ROWS,
    ROCKS_FAMILIES
};

/* The column families by number. */
extern const char *const rocks_family_names[ROCKS_FAMILIES];

/* RocksDB's options, which live as long as the database. */
struct rocks_settings {
    rocksdb_cache_t *cache;
    rocksdb_block_based_table_options_t *table;
    rocksdb_options_t *options[ROCKS_FAMILIES];
    rocksdb_writeoptions_t *write;
};

/* Makes and releases the options; made at once, RocksDB ends the process without memory. */
void rocks_settings_init(struct rocks_settings *settings, const struct rocks_store_options *wish);
void rocks_settings_done(struct rocks_settings *settings);

/* One put or removal: key and value lie in the commit's bytes. */
struct rocks_op {
    enum rocks_family family;
    bool remove;
    size_t key_offset, key_size, value_offset, value_size;
};

/* A write set, encoded by its caller's thread, on its way through the committer. */
struct rocks_commit {
    struct rocks_commit *next;
    struct slice user;    /* the caller's; empty: nobody's head is read or written */
    struct slice watched; /* whose watchers hear of it, the caller's; empty: nobody's */
    uint32_t tables;      /* bits, of struct store_event */
    uint64_t expected_revision;
    struct user_head head; /* as it will be */
    struct buffer bytes;
    size_t op_count, op_room;
    struct rocks_op *ops;          /* behind this struct, as are the fingerprints */
    struct change_index_user *pin; /* NULL: nothing to settle */
    size_t fingerprint_count;
    uint64_t *fingerprints;
    uint64_t begun_us;
    enum sync_status status;
    store_committed *done;
    void *context;
};

enum { ROCKS_GROUP_SETS = 1000, ROCKS_GROUP_BYTES = 32 << 20 };

/* The committer's thread and what waits for it. */
struct rocks_committer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct rocks_commit *first, **last; /* waiting */
    bool closing;
    bool started; /* there is a thread to stop; only who opens and closes the store looks */
};

/* What the store counts; all NULL without a registry. */
struct rocks_metrics {
    struct metric *commit_seconds, *group_sets, *commit_failures, *loads, *scans, *index_builds,
        *history_blocks, *damaged_reads;
};

/* What reads have found damaged on the disk. */
struct rocks_damage {
    pthread_mutex_t lock;
    uint64_t reads;     /* that failed over it */
    uint64_t logged_us; /* when it was last logged; 0: never */
    char text[512];     /* what RocksDB said last; empty: nothing */
};

struct rocks_store {
    struct store store; /* first */
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[ROCKS_FAMILIES];
    struct rocks_settings settings;
    struct change_index *index;
    struct watch_table *watches;
    struct rocks_committer committer;
    struct rocks_mark *mark; /* moved on by the committer */
    struct rocks_metrics metrics;
    struct rocks_damage damage;
    struct log *log;
    uint64_t epoch;
    atomic_bool broken; /* a write failed: sticky */
};

/* The store behind the contract's handle, which must be one of ours. */
static inline struct rocks_store *rocks_store_of(struct store *store) {
    return (struct rocks_store *)store;
}

/* Whether a failed write has broken the store. Any thread. */
static inline enum sync_status rocks_health(const struct rocks_store *store) {
    return atomic_load(&store->broken) ? SYNC_ERR_STORE_BROKEN : SYNC_OK;
}

/* The status of RocksDB's error text, which is released. NULL is SYNC_OK. What it says of damage is
 * kept for rocks_damage_tell. */
enum sync_status rocks_take_error(struct rocks_store *store, char *error);

/* Returns the status of a call that read; when that is SYNC_ERR_CORRUPT, counts it and logs what is
 * damaged, at most once a minute. `user` may be empty. */
enum sync_status rocks_damage_tell(struct rocks_store *store, enum sync_status status,
                                   struct slice user);

/* A snapshot and the options that read by it. */
struct store_reader {
    struct rocks_store *store;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *options;
};

/* Readers: one snapshot, in the caller's memory (init, done) or on the heap (open, close). */
void rocks_reader_init(struct store_reader *reader, struct rocks_store *store);
void rocks_reader_done(struct store_reader *reader);
enum sync_status rocks_reader_open(struct store *store, struct store_reader **ret_reader);
void rocks_reader_close(struct store *store, struct store_reader *reader);

/* Gets a value: `ret_pin` holds it, or is NULL when there is none; destroy it with
 * rocksdb_pinnableslice_destroy. */
enum sync_status rocks_get(struct rocks_store *store, const rocksdb_readoptions_t *options,
                           enum rocks_family family, struct slice key,
                           rocksdb_pinnableslice_t **ret_pin, struct slice *ret_value);

/* Gets a user's head, zero when there is none. SYNC_ERR_INVALID when the user is no valid id. */
enum sync_status rocks_get_head(struct rocks_store *store, const rocksdb_readoptions_t *options,
                                struct slice user, struct user_head *ret_head);

/* Walks a family from a key up to, not including, another. */
struct rocks_cursor {
    struct rocks_store *store;
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *iterator;
    struct rocks_key upper; /* lives as long as the iterator */
};

/* Opens by the reader's snapshot, or as of now with NULL. The cursor is at no item until a seek. */
void rocks_cursor_open(struct rocks_cursor *cursor, struct rocks_store *store,
                       const struct store_reader *reader, enum rocks_family family,
                       const struct rocks_key *upper);
void rocks_cursor_close(struct rocks_cursor *cursor);
void rocks_cursor_seek(struct rocks_cursor *cursor, struct slice key);
bool rocks_cursor_valid(const struct rocks_cursor *cursor);
void rocks_cursor_next(struct rocks_cursor *cursor);
struct slice rocks_cursor_key(const struct rocks_cursor *cursor);
struct slice rocks_cursor_value(const struct rocks_cursor *cursor);
enum sync_status rocks_cursor_status(const struct rocks_cursor *cursor);

/* Reads the histories that are wanted of the view's records: each newest first, to the wanted
 * sequence or the log's floor, and all of them together up to LOAD_HISTORY_MAX. They live in the
 * arena. */
enum sync_status rocks_load_histories(struct rocks_store *store, const struct store_reader *reader,
                                      const struct touched *want, struct arena *arena,
                                      struct user_view *view);

/* Answers what became of the wanted changes up to the revision `newest`; `views` are zeroed. */
enum sync_status rocks_find_settled(struct rocks_store *store, const struct store_reader *reader,
                                    const struct touched *want, uint64_t newest,
                                    struct arena *arena, struct settled_view *views);

/* Making a commit by hand: room for `ops` and `fingerprints`; puts; then submit, which gives it
 * over: `done` is called and the commit freed. */
enum sync_status rocks_commit_make(size_t ops, size_t fingerprints,
                                   struct rocks_commit **ret_commit);
void rocks_commit_free(struct rocks_commit *commit);
/* Begins a put: appends the key; the value is appended to the commit's bytes next, then the end. */
struct rocks_op *rocks_commit_put_begin(struct rocks_commit *commit, enum rocks_family family,
                                        struct slice key);
void rocks_commit_put_end(struct rocks_commit *commit, struct rocks_op *op);
void rocks_commit_put_head(struct rocks_commit *commit, const struct rocks_key *key);
void rocks_commit_remove(struct rocks_commit *commit, enum rocks_family family, struct slice key);
void rocks_commit_submit(struct rocks_store *store, struct rocks_commit *commit);

/* Puts the digests of the stretches of the log that the set brings to an end, after its other parts
 * but rows; what cannot be made is left out. At most so many puts for a log of so many entries. */
void rocks_commit_put_digests(struct rocks_store *store, struct rocks_commit *commit,
                              const struct write_set *set);
size_t rocks_digest_count_max(size_t log_count);

/* Told of a record's version and time; another status than SYNC_OK ends the walk. */
typedef enum sync_status rocks_version_visit(void *context, const struct record_version *record,
                                             int64_t updated_us);

/* Walks over all records of a user, tombstones included, without their data. */
enum sync_status rocks_walk_versions(struct rocks_store *store, const struct store_reader *reader,
                                     struct slice user, rocks_version_visit *visit, void *context);

/* SCAN_CHANGED, of a healthy store. */
enum sync_status rocks_scan_changed(struct rocks_store *store, const struct store_reader *reader,
                                    const struct scan *what, scan_visit *visit, void *context);

/* The committer. Stopping lets it finish what waits. */
enum sync_status rocks_committer_start(struct rocks_store *store);
void rocks_committer_stop(struct rocks_store *store);

/* The calls of the contract. */
enum sync_status rocks_load(struct store *store, struct store_reader *reader,
                            const struct touched *want, struct arena *arena,
                            struct user_view *ret_view);
enum sync_status rocks_scan(struct store *store, struct store_reader *reader,
                            const struct scan *what, scan_visit *visit, void *context);
enum sync_status rocks_sequence_before(struct store *store, struct store_reader *reader,
                                       struct slice user, int64_t time_us, uint64_t *ret_sequence);
void rocks_commit(struct store *store, const struct write_set *set, store_committed *done,
                  void *context);
enum sync_status rocks_trim(struct store *store, const struct store_trim *what);

#endif
