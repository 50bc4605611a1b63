/* From a write set to a commit for the committer: all encoding happens here, on the caller's
 * thread. */
#include <assert.h>

#include "base/memory.h"
#include "service/store/rocks_private.h"

enum { COMMIT_BYTES_FIRST = 4 << 10 };

enum sync_status rocks_commit_make(size_t ops, size_t fingerprints,
                                   struct rocks_commit **ret_commit) {
    assert(ops > 0);
    struct rocks_commit *commit = memory_alloc(sizeof *commit + ops * sizeof(struct rocks_op) +
                                               fingerprints * sizeof(uint64_t));
    if (!commit)
        return SYNC_ERR_NO_MEMORY;
    *commit = (struct rocks_commit){.op_room = ops};
    commit->ops = (struct rocks_op *)(commit + 1);
    commit->fingerprints = (uint64_t *)(commit->ops + ops);
    commit->begun_us = clock_monotonic_us(clock_system());
    buffer_init(&commit->bytes, ROCKS_VALUE_MAX);
    *ret_commit = commit;
    return SYNC_OK;
}

void rocks_commit_free(struct rocks_commit *commit) {
    buffer_done(&commit->bytes);
    memory_free(commit);
}

struct rocks_op *rocks_commit_put_begin(struct rocks_commit *commit, enum rocks_family family,
                                        struct slice key) {
    assert(commit->op_count < commit->op_room);
    struct rocks_op *op = &commit->ops[commit->op_count++];
    *op =
        (struct rocks_op){.family = family, .key_offset = commit->bytes.size, .key_size = key.size};
    buffer_append(&commit->bytes, key);
    op->value_offset = commit->bytes.size;
    return op;
}

void rocks_commit_put_end(struct rocks_commit *commit, struct rocks_op *op) {
    op->value_size = commit->bytes.size - op->value_offset;
}

void rocks_commit_remove(struct rocks_commit *commit, enum rocks_family family, struct slice key) {
    rocks_commit_put_begin(commit, family, key)->remove = true;
}

void rocks_commit_put_head(struct rocks_commit *commit, const struct rocks_key *key) {
    struct rocks_op *op = rocks_commit_put_begin(commit, ROCKS_HEAD, rocks_key_slice(key));
    rocks_head_encode(&commit->bytes, rocks_key_slice(key), &commit->head);
    rocks_commit_put_end(commit, op);
}

static enum sync_status commit_put_records(struct rocks_commit *commit,
                                           const struct write_set *set) {
    struct rocks_key key;
    for (size_t i = 0; i < set->record_count; i++) {
        const struct record *record = &set->records[i];
        rocks_key_record(&key, set->user, record->key.type, record->key.id);
        if (key.failed)
            return SYNC_ERR_INVALID;
        struct rocks_op *op = rocks_commit_put_begin(commit, ROCKS_RECORDS, rocks_key_slice(&key));
        rocks_record_encode(&commit->bytes, rocks_key_slice(&key), record);
        rocks_commit_put_end(commit, op);
    }
    return SYNC_OK;
}

/* The key of a log block is known after its value, so it is appended behind it. */
static enum sync_status commit_put_log(struct rocks_commit *commit, const struct write_set *set,
                                       struct buffer *scratch) {
    struct rocks_key key;
    for (size_t done = 0; done < set->log_count;) {
        struct rocks_op *op = rocks_commit_put_begin(commit, ROCKS_LOG, SLICE_EMPTY);
        done += rocks_log_encode(&commit->bytes, set->user, set->head.time_us, set->log + done,
                                 set->log_count - done, scratch, &key);
        rocks_commit_put_end(commit, op);
        op->key_offset = commit->bytes.size;
        op->key_size = key.size;
        buffer_append(&commit->bytes, rocks_key_slice(&key));
        if (scratch->failed)
            return buffer_status(scratch);
    }
    return SYNC_OK;
}

static enum sync_status commit_put_settled(struct rocks_store *store, struct rocks_commit *commit,
                                           const struct write_set *set, struct buffer *scratch) {
    struct rocks_key key;
    if (set->settled_count == 0)
        return SYNC_OK;
    rocks_key_numbered(&key, set->user, commit->head.revision);
    struct rocks_op *op = rocks_commit_put_begin(commit, ROCKS_SETTLED, rocks_key_slice(&key));
    rocks_settled_encode(&commit->bytes, rocks_key_slice(&key), set->head.time_us, set->settled,
                         set->settled_count, scratch);
    rocks_commit_put_end(commit, op);
    for (size_t i = 0; i < set->settled_count; i++)
        commit->fingerprints[i] = change_index_fingerprint(store->index, set->settled[i].device,
                                                           set->settled[i].change_id);
    commit->fingerprint_count = set->settled_count;
    return buffer_status(scratch);
}

static enum sync_status commit_put_rows(struct rocks_commit *commit, const struct write_set *set) {
    struct rocks_key key;
    for (size_t i = 0; i < set->row_count; i++) {
        const struct row_write *row = &set->rows[i];
        commit->tables |= UINT32_C(1) << row->table;
        rocks_key_row(&key, row->table, row->key);
        if (key.failed)
            return SYNC_ERR_INVALID;
        if (row->remove) {
            rocks_commit_remove(commit, ROCKS_ROWS, rocks_key_slice(&key));
            continue;
        }
        struct rocks_op *op = rocks_commit_put_begin(commit, ROCKS_ROWS, rocks_key_slice(&key));
        rocks_row_encode(&commit->bytes, rocks_key_slice(&key), row->value);
        rocks_commit_put_end(commit, op);
    }
    return SYNC_OK;
}

/* The parts of a set that belong to a user's head. */
static enum sync_status commit_put_user(struct rocks_store *store, struct rocks_commit *commit,
                                        const struct write_set *set) {
    struct rocks_key key;
    struct buffer scratch;
    commit->user = set->user;
    commit->expected_revision = set->expected_revision;
    commit->head = set->head;
    commit->head.revision = set->expected_revision + 1;
    rocks_key_user(&key, set->user);
    if (key.failed)
        return SYNC_ERR_INVALID;
    rocks_commit_put_head(commit, &key);
    enum sync_status status = commit_put_records(commit, set);
    buffer_init(&scratch, ROCKS_VALUE_MAX);
    if (status == SYNC_OK)
        status = commit_put_log(commit, set, &scratch);
    if (status == SYNC_OK)
        status = commit_put_settled(store, commit, set, &scratch);
    buffer_done(&scratch);
    if (status == SYNC_OK)
        rocks_commit_put_digests(store, commit, set);
    return status;
}

static enum sync_status commit_encode(struct rocks_store *store, struct rocks_commit *commit,
                                      const struct write_set *set) {
    enum sync_status status = SYNC_OK;
    buffer_reserve(&commit->bytes, COMMIT_BYTES_FIRST);
    if (set->user.size > 0 && !set->any_revision)
        status = commit_put_user(store, commit, set);
    if (status == SYNC_OK)
        status = commit_put_rows(commit, set);
    if (status == SYNC_OK)
        status = buffer_status(&commit->bytes);
    if (status != SYNC_OK || commit->fingerprint_count == 0)
        return status;
    commit->pin = change_index_pin(store->index, set->user, commit->fingerprint_count);
    return commit->pin ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

void rocks_commit(struct store *base, const struct write_set *set, store_committed *done,
                  void *context) {
    struct rocks_store *store = rocks_store_of(base);
    struct rocks_commit *commit = NULL;
    bool guarded = set->user.size > 0 && !set->any_revision;
    assert(guarded || set->record_count + set->log_count + set->settled_count == 0);
    (void)guarded;
    enum sync_status status = rocks_health(store);
    if (status == SYNC_OK)
        status = rocks_commit_make(2 + set->record_count + set->log_count +
                                       rocks_digest_count_max(set->log_count) + set->row_count,
                                   set->settled_count, &commit);
    if (status == SYNC_OK)
        status = commit_encode(store, commit, set);
    if (status != SYNC_OK) {
        if (commit)
            rocks_commit_free(commit);
        done(context, status, &(struct user_head){0});
        return;
    }
    commit->watched = set->user;
    commit->done = done;
    commit->context = context;
    rocks_commit_submit(store, commit);
}
