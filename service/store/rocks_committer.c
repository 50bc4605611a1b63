/* The committer: one thread takes all commits that wait, checks each against the user's head as the
 * group so far leaves it, and writes them as one batch with one sync. */
#include <assert.h>

#include "base/memory.h"
#include "service/store/rocks_private.h"

enum {
    GROUP_SLOTS = 2048,         /* of the table of users in a group; a power of two */
    BATCH_KEEP_BYTES = 4 << 20, /* a batch that grew beyond this is not kept */
};

_Static_assert(GROUP_SLOTS >= 2 * ROCKS_GROUP_SETS, "the table of users is half empty at least");

/* The group being written; one per committer. */
struct rocks_group {
    struct rocks_store *store;
    rocksdb_writebatch_t *batch;
    struct rocks_commit *first; /* in order of arrival */
    size_t count, accepted;
    struct rocks_commit *users[GROUP_SLOTS]; /* the last accepted commit of each user */
};

void rocks_commit_submit(struct rocks_store *store, struct rocks_commit *commit) {
    struct rocks_committer *committer = &store->committer;
    commit->next = NULL;
    pthread_mutex_lock(&committer->lock);
    assert(!committer->closing);
    bool idle = !committer->first;
    *committer->last = commit;
    committer->last = &commit->next;
    if (idle)
        pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
}

/* Waits for commits and takes a group of them; false when closing and none is left. */
static bool group_take(struct rocks_group *group) {
    struct rocks_committer *committer = &group->store->committer;
    size_t bytes = 0;
    pthread_mutex_lock(&committer->lock);
    while (!committer->first && !committer->closing)
        pthread_cond_wait(&committer->wake, &committer->lock);
    group->first = committer->first;
    struct rocks_commit **end = &committer->first;
    for (group->count = 0; *end && group->count < ROCKS_GROUP_SETS; group->count++) {
        bytes += (*end)->bytes.size;
        if (group->count > 0 && bytes > ROCKS_GROUP_BYTES)
            break;
        end = &(*end)->next;
    }
    struct rocks_commit *rest = *end;
    *end = NULL;
    if (!rest)
        committer->last = &committer->first;
    committer->first = rest;
    pthread_mutex_unlock(&committer->lock);
    return group->count > 0;
}

/* Where the group's table has the user, or the free slot for him. */
static struct rocks_commit **group_user(struct rocks_group *group, struct slice user) {
    size_t i = slice_hash(user, 0) & (GROUP_SLOTS - 1);
    while (group->users[i] && !slice_equal(group->users[i]->user, user))
        i = (i + 1) & (GROUP_SLOTS - 1);
    return &group->users[i];
}

/* Whether the commit still finds the head that its caller read. */
static enum sync_status group_check(struct rocks_group *group, struct rocks_commit *commit,
                                    const rocksdb_readoptions_t *options) {
    if (commit->user.size == 0)
        return SYNC_OK;
    struct rocks_commit **before = group_user(group, commit->user);
    struct user_head head;
    enum sync_status status = SYNC_OK;
    if (*before)
        head = (*before)->head;
    else
        status = rocks_get_head(group->store, options, commit->user, &head);
    if (status != SYNC_OK)
        return rocks_damage_tell(group->store, status, commit->user);
    if (head.revision != commit->expected_revision)
        return SYNC_ERR_HEAD_MOVED;
    *before = commit;
    return SYNC_OK;
}

/* Appends a commit to the batch and makes its settled changes known, before they can be seen. */
static void group_append(struct rocks_group *group, const struct rocks_commit *commit) {
    struct rocks_store *store = group->store;
    const char *bytes = (const char *)commit->bytes.data;
    for (size_t i = 0; i < commit->op_count; i++) {
        const struct rocks_op *op = &commit->ops[i];
        if (op->remove)
            rocksdb_writebatch_delete_cf(group->batch, store->families[op->family],
                                         bytes + op->key_offset, op->key_size);
        else
            rocksdb_writebatch_put_cf(group->batch, store->families[op->family],
                                      bytes + op->key_offset, op->key_size,
                                      bytes + op->value_offset, op->value_size);
    }
    for (size_t i = 0; i < commit->fingerprint_count; i++)
        change_index_add(store->index, commit->pin, commit->fingerprints[i], commit->head.revision);
    group->accepted++;
}

/* Writes the batch; a failure is for ever. */
static enum sync_status group_write(struct rocks_group *group) {
    struct rocks_store *store = group->store;
    char *error = NULL;
    if (group->accepted == 0)
        return SYNC_OK;
    enum sync_status status = rocks_health(store);
    if (status != SYNC_OK)
        return status;
    rocksdb_write(store->db, store->settings.write, group->batch, &error);
    if (!error) {
        rocks_mark_set(store->mark, rocksdb_get_latest_sequence_number(store->db));
        return SYNC_OK;
    }
    atomic_store(&store->broken, true);
    log_line(store->log, LOG_ERROR, "store write failed, no more writes are taken",
             LOG_TEXT("error", error));
    rocksdb_free(error);
    return SYNC_ERR_STORE_BROKEN;
}

/* Tells those who watch the commit's user. */
static void commit_tell_watchers(struct rocks_store *store, const struct rocks_commit *commit) {
    if (commit->watched.size == 0)
        return;
    struct store_event event = {.head = commit->user.size > 0 ? &commit->head : NULL,
                                .tables = commit->tables};
    watch_table_tell(store->watches, commit->watched, &event);
}

/* Tells watchers, then a commit's caller, after which his write set is gone, and frees it. */
static void commit_tell(struct rocks_store *store, struct rocks_commit *commit, bool accepted) {
    static const struct user_head none = {0};
    uint64_t took_us = clock_monotonic_us(clock_system()) - commit->begun_us;
    if (commit->pin)
        change_index_unpin(store->index, commit->pin, accepted ? 0 : commit->fingerprint_count);
    if (commit->status == SYNC_OK)
        metric_observe(store->metrics.commit_seconds, (double)took_us / 1e6);
    else
        metric_add(store->metrics.commit_failures, 1);
    if (commit->status == SYNC_OK)
        commit_tell_watchers(store, commit);
    commit->done(commit->context, commit->status,
                 commit->status == SYNC_OK ? &commit->head : &none);
    rocks_commit_free(commit);
}

static void group_run(struct rocks_group *group) {
    struct rocks_store *store = group->store;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    group->accepted = 0;
    memset(group->users, 0, sizeof group->users);
    for (struct rocks_commit *commit = group->first; commit; commit = commit->next) {
        commit->status = group_check(group, commit, options);
        if (commit->status == SYNC_OK)
            group_append(group, commit);
    }
    rocksdb_readoptions_destroy(options);
    metric_observe(store->metrics.group_sets, (double)group->count);
    enum sync_status status = group_write(group);
    for (struct rocks_commit *commit = group->first, *next; commit; commit = next) {
        next = commit->next;
        bool accepted = commit->status == SYNC_OK;
        if (accepted)
            commit->status = status;
        commit_tell(store, commit, accepted);
    }
}

/* Empties the batch for the next group; one that grew large is replaced. */
static void group_clear_batch(struct rocks_group *group) {
    size_t size;
    rocksdb_writebatch_data(group->batch, &size);
    if (size <= BATCH_KEEP_BYTES) {
        rocksdb_writebatch_clear(group->batch);
    } else {
        rocksdb_writebatch_destroy(group->batch);
        group->batch = rocksdb_writebatch_create();
    }
}

static void *committer_run(void *context) {
    struct rocks_group *group = context;
    while (group_take(group)) {
        group_run(group);
        group_clear_batch(group);
    }
    rocksdb_writebatch_destroy(group->batch);
    memory_free(group);
    return NULL;
}

enum sync_status rocks_committer_start(struct rocks_store *store) {
    struct rocks_committer *committer = &store->committer;
    struct rocks_group *group = memory_zalloc(1, sizeof *group);
    if (!group)
        return SYNC_ERR_NO_MEMORY;
    group->store = store;
    group->batch = rocksdb_writebatch_create();
    committer->last = &committer->first;
    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->wake, NULL);
    if (pthread_create(&committer->thread, NULL, committer_run, group) == 0) {
        pthread_setname_np(committer->thread, "committer");
        committer->started = true;
        return SYNC_OK;
    }
    pthread_cond_destroy(&committer->wake);
    pthread_mutex_destroy(&committer->lock);
    rocksdb_writebatch_destroy(group->batch);
    memory_free(group);
    return SYNC_ERR_NO_MEMORY;
}

void rocks_committer_stop(struct rocks_store *store) {
    struct rocks_committer *committer = &store->committer;
    pthread_mutex_lock(&committer->lock);
    committer->closing = true;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&committer->lock);
    pthread_join(committer->thread, NULL);
    pthread_cond_destroy(&committer->wake);
    pthread_mutex_destroy(&committer->lock);
}
