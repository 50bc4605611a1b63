/* Retention: removes the oldest rows of a user's log and settled changes, some at a time, and with
 * the log its digests. */
#include "service/store/rocks_digest.h"
#include "service/store/rocks_private.h"
#include "service/store/store_waiter.h"

enum {
    TRIM_ROWS_MAX = 1000,
    TRIM_ATTEMPTS_MAX = 16,
    TRIM_AHEAD_MAX = 100000, /* rows of a clock that ran ahead, looked behind at once */
};

/* Rows of a family that may go. */
struct trim_part {
    enum rocks_family family;
    int64_t before_us, ahead_us;
    uint64_t last; /* number of the newest that goes; 0: none does */
};

/* Opens a cursor at the user's first row of a family. */
static void trim_cursor_open(struct rocks_cursor *cursor, struct rocks_store *store,
                             struct slice user, enum rocks_family family) {
    struct rocks_key key;
    rocks_key_numbered(&key, user, UINT64_MAX);
    rocks_cursor_open(cursor, store, NULL, family, &key);
    rocks_key_numbered(&key, user, 0);
    rocks_cursor_seek(cursor, rocks_key_slice(&key));
}

/* Finds the newest row that goes, among the first TRIM_ROWS_MAX and those ahead of the clock. */
static enum sync_status trim_find(struct rocks_store *store, struct slice user,
                                  struct trim_part *part) {
    struct rocks_cursor cursor;
    enum sync_status status = SYNC_OK;
    size_t rows = 0, ahead = 0;
    trim_cursor_open(&cursor, store, user, part->family);
    for (; rows < TRIM_ROWS_MAX && ahead < TRIM_AHEAD_MAX && rocks_cursor_valid(&cursor);
         rocks_cursor_next(&cursor)) {
        struct slice stored = rocks_cursor_key(&cursor);
        int64_t time_us;
        status = rocks_block_time(stored, rocks_cursor_value(&cursor), &time_us);
        if (status != SYNC_OK)
            break;
        if (time_us >= part->before_us) {
            if (part->ahead_us == 0 || time_us <= part->ahead_us)
                break;
            ahead++;
            continue;
        }
        rows++;
        if (!rocks_key_read_number(stored, &part->last)) {
            status = SYNC_ERR_CORRUPT;
            break;
        }
    }
    if (status == SYNC_OK)
        status = rocks_cursor_status(&cursor);
    rocks_cursor_close(&cursor);
    return status;
}

/* Puts removals of the part's rows into the commit, at most TRIM_ROWS_MAX; its `last` becomes the
 * number of the newest removed. */
static enum sync_status trim_family(struct rocks_store *store, struct rocks_commit *commit,
                                    struct trim_part *part) {
    struct rocks_cursor cursor;
    enum sync_status status = trim_find(store, commit->user, part);
    uint64_t last = part->last, number;
    part->last = 0;
    if (status != SYNC_OK || last == 0)
        return status;
    trim_cursor_open(&cursor, store, commit->user, part->family);
    for (size_t rows = 0; rows < TRIM_ROWS_MAX && rocks_cursor_valid(&cursor);
         rocks_cursor_next(&cursor), rows++) {
        struct slice stored = rocks_cursor_key(&cursor);
        if (!rocks_key_read_number(stored, &number)) {
            status = SYNC_ERR_CORRUPT;
            break;
        }
        if (number > last)
            break;
        part->last = number;
        rocks_commit_remove(commit, part->family, stored);
    }
    if (status == SYNC_OK)
        status = rocks_cursor_status(&cursor);
    rocks_cursor_close(&cursor);
    return status;
}

/* Puts removals of digests that stand for nothing above the floor, some of each level. */
static enum sync_status trim_digests(struct rocks_store *store, struct rocks_commit *commit,
                                     uint64_t floor) {
    enum sync_status status = SYNC_OK;
    size_t rows = 0;
    for (unsigned level = 1; level <= ROCKS_DIGEST_LEVELS && status == SYNC_OK; level++) {
        struct rocks_key key;
        struct rocks_cursor cursor;
        rocks_key_digest(&key, commit->user, level, floor + 1);
        rocks_cursor_open(&cursor, store, NULL, ROCKS_DIGESTS, &key);
        rocks_key_digest(&key, commit->user, level, 0);
        rocks_cursor_seek(&cursor, rocks_key_slice(&key));
        for (; rows < TRIM_ROWS_MAX && rocks_cursor_valid(&cursor);
             rocks_cursor_next(&cursor), rows++)
            rocks_commit_remove(commit, ROCKS_DIGESTS, rocks_cursor_key(&cursor));
        status = rocks_cursor_status(&cursor);
        rocks_cursor_close(&cursor);
    }
    return status;
}

/* Fills the commit with the next removals and the head that goes with them. */
static enum sync_status trim_fill(struct rocks_store *store, struct rocks_commit *commit,
                                  const struct store_trim *what, uint64_t *ret_revision) {
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    struct rocks_key key;
    struct trim_part log = {ROCKS_LOG, what->log_before_us, what->ahead_us, 0},
                     settled = {ROCKS_SETTLED, what->settled_before_us, what->ahead_us, 0};
    enum sync_status status = rocks_get_head(store, options, what->user, &commit->head);
    rocksdb_readoptions_destroy(options);
    commit->user = commit->watched = what->user;
    if (status == SYNC_OK)
        status = trim_family(store, commit, &log);
    if (status == SYNC_OK)
        status = trim_family(store, commit, &settled);
    if (status == SYNC_OK && log.last > commit->head.log_floor)
        commit->head.log_floor = log.last;
    if (status == SYNC_OK)
        status = trim_digests(store, commit, commit->head.log_floor);
    if (status != SYNC_OK || commit->op_count == 0)
        return status;
    commit->expected_revision = commit->head.revision++;
    rocks_key_user(&key, what->user);
    rocks_commit_put_head(commit, &key);
    *ret_revision = settled.last;
    return buffer_status(&commit->bytes);
}

/* Drops what was removed from the index. */
static void trim_forget(struct rocks_store *store, struct slice user, uint64_t revision) {
    struct change_index_user *part = revision > 0 ? change_index_pin(store->index, user, 0) : NULL;
    if (part) {
        change_index_trim(store->index, part, revision);
        change_index_unpin(store->index, part, 0);
    }
}

/* One round; `ret_more` says that rows may be left. */
static enum sync_status trim_some(struct rocks_store *store, const struct store_trim *what,
                                  bool *ret_more) {
    struct rocks_commit *commit;
    struct store_waiter waiter;
    uint64_t revision = 0;
    enum sync_status status = rocks_commit_make(3 * TRIM_ROWS_MAX + 1, 0, &commit);
    if (status != SYNC_OK)
        return status;
    status = trim_fill(store, commit, what, &revision);
    if (status != SYNC_OK || commit->op_count == 0) {
        rocks_commit_free(commit);
        *ret_more = false;
        return status;
    }
    *ret_more = commit->op_count > TRIM_ROWS_MAX;
    store_waiter_init(&waiter);
    commit->done = store_waiter_committed;
    commit->context = &waiter;
    rocks_commit_submit(store, commit);
    status = store_waiter_wait(&waiter, NULL);
    if (status == SYNC_OK)
        trim_forget(store, what->user, revision);
    return status;
}

enum sync_status rocks_trim(struct store *base, const struct store_trim *what) {
    struct rocks_store *store = rocks_store_of(base);
    enum sync_status status = rocks_health(store);
    bool more = true;
    for (int moved = 0; more && moved < TRIM_ATTEMPTS_MAX;) {
        if (status != SYNC_OK && status != SYNC_ERR_HEAD_MOVED)
            break;
        status = trim_some(store, what, &more);
        if (status == SYNC_ERR_HEAD_MOVED) {
            more = true;
            moved++;
        }
    }
    return rocks_damage_tell(store, status, what->user);
}
