/* Digests that a commit brings: of each stretch of the log that its changes bring to an end.
 * Whatever keeps one from being made leaves it out; the commit goes on. */
#include <assert.h>
#include <stdlib.h>

#include "service/store/rocks_digest.h"
#include "service/store/rocks_private.h"

enum {
    DIGEST_BYTES_MAX = 8 << 20, /* of one; a longer one is left out */
    DIGEST_IDS_MAX = ROCKS_DIGEST_SPAN * 2 * DATA_ID_MAX,
};

/* The making of a commit's digests. */
struct digest_build {
    struct rocks_store *store;
    struct rocks_commit *commit;
    const struct write_set *set;
    uint64_t before;    /* the sequence before the set's first */
    struct buffer made; /* a digest, until it is whole */
    struct arena ids;   /* of records that the log on the disk names */
    struct record_version records[ROCKS_DIGEST_SPAN];
    size_t count, new_count; /* of which so many were created, and had never been before */
};

static int records_compare(const void *left, const void *right) {
    const struct record_version *a = left, *b = right;
    int order = rocks_digest_order(&a->key, &b->key);
    return order != 0 ? order : a->version < b->version ? -1 : a->version > b->version;
}

/* Adds the entries of a block after a sequence, up to the set's first. */
static enum sync_status build_add_block(struct digest_build *build, struct slice body,
                                        uint64_t after) {
    struct wire_reader reader = wire_reader_of(body);
    struct log_entry entry;
    uint64_t sequence = 0;
    while (!wire_at_end(&reader)) {
        if (!rocks_log_next(&reader, &sequence, &entry))
            return SYNC_ERR_CORRUPT;
        if (sequence <= after || sequence > build->before)
            continue;
        if (build->count == ROCKS_DIGEST_SPAN)
            return SYNC_ERR_CORRUPT; /* more than there are sequences */
        build->new_count += entry.previous_version == 0;
        struct record_version *record = &build->records[build->count++];
        *record = (struct record_version){.key = entry.key, .version = sequence};
        if (!arena_copy(&build->ids, entry.key.id, &record->key.id))
            return SYNC_ERR_NO_MEMORY;
    }
    return SYNC_OK;
}

/* Adds what the log on the disk names after a sequence. */
static enum sync_status build_read_log(struct digest_build *build, uint64_t after) {
    struct rocks_key key;
    struct rocks_cursor cursor;
    struct buffer body;
    int64_t time_us;
    enum sync_status status = SYNC_OK;
    buffer_init(&body, ROCKS_VALUE_MAX);
    rocks_key_numbered(&key, build->commit->user, UINT64_MAX);
    rocks_cursor_open(&cursor, build->store, NULL, ROCKS_LOG, &key);
    rocks_key_numbered(&key, build->commit->user, after + 1);
    rocks_cursor_seek(&cursor, rocks_key_slice(&key));
    for (; status == SYNC_OK && rocks_cursor_valid(&cursor) && build->count < ROCKS_DIGEST_SPAN;
         rocks_cursor_next(&cursor)) {
        status = rocks_block_open(rocks_cursor_key(&cursor), rocks_cursor_value(&cursor), &body,
                                  &time_us);
        if (status == SYNC_OK)
            status = build_add_block(build, buffer_slice(&body), after);
    }
    if (status == SYNC_OK)
        status = rocks_cursor_status(&cursor);
    rocks_cursor_close(&cursor);
    buffer_done(&body);
    return status;
}

/* Puts the digest that was made into the commit, sealed. */
static void build_put(struct digest_build *build, struct rocks_digest_writer *writer,
                      unsigned level) {
    struct rocks_key key;
    rocks_key_digest(&key, build->commit->user, level, writer->last);
    rocks_digest_end(writer, rocks_key_slice(&key));
    if (build->made.failed)
        return;
    struct rocks_op *op =
        rocks_commit_put_begin(build->commit, ROCKS_DIGESTS, rocks_key_slice(&key));
    buffer_append(&build->commit->bytes, buffer_slice(&build->made));
    rocks_commit_put_end(build->commit, op);
}

/* Adds what the set itself names, from a sequence up to the stretch's end. */
static void build_add_set(struct digest_build *build, uint64_t from, uint64_t last) {
    for (uint64_t sequence = from; sequence <= last; sequence++) {
        const struct log_entry *entry = &build->set->log[sequence - build->before - 1];
        build->new_count += entry->previous_version == 0;
        build->records[build->count++] =
            (struct record_version){.key = entry->key, .version = sequence};
    }
}

/* Whether a digest would not pay: half of the changes or more brought new records, so that reading
 * all of them costs in proportion to these. */
static bool build_is_of_new(const struct digest_build *build) {
    return 2 * build->new_count >= ROCKS_DIGEST_SPAN;
}

/* Makes the digest of the stretch of level 1 that ends with `last`, when it pays. A stretch that is
 * not whole on the disk has none: its beginning was trimmed, or a commit that it needs is still on
 * its way. */
static enum sync_status build_first_level(struct digest_build *build, uint64_t last) {
    struct rocks_digest_writer writer;
    uint64_t after = last - ROCKS_DIGEST_SPAN;
    build->count = build->new_count = 0;
    arena_reset(&build->ids);
    build_add_set(build, (after < build->before ? build->before : after) + 1, last);
    if (after < build->before && !build_is_of_new(build)) {
        enum sync_status status = build_read_log(build, after);
        if (status != SYNC_OK)
            return status;
    }
    if (build->count != ROCKS_DIGEST_SPAN || build_is_of_new(build))
        return SYNC_OK;
    qsort(build->records, build->count, sizeof *build->records, records_compare);
    buffer_clear(&build->made);
    rocks_digest_begin(&writer, &build->made, last);
    for (size_t i = 0; i < build->count; i++)
        if (i + 1 == build->count ||
            rocks_digest_order(&build->records[i].key, &build->records[i + 1].key) != 0)
            rocks_digest_put(&writer, &build->records[i]);
    build_put(build, &writer, 1);
    return SYNC_OK;
}

/* The digests that are merged into one of the next level, oldest first. */
struct digest_parts {
    struct rocks_digest_reader readers[ROCKS_DIGEST_FAN];
    struct slice values[ROCKS_DIGEST_FAN];
    rocksdb_pinnableslice_t *pins[ROCKS_DIGEST_FAN];
};

/* Finds a digest among what the commit writes already; empty when it is not there. */
static struct slice commit_find(const struct rocks_commit *commit, struct slice key) {
    const uint8_t *bytes = commit->bytes.data;
    for (size_t i = commit->bytes.failed ? 0 : commit->op_count; i-- > 0;) {
        const struct rocks_op *op = &commit->ops[i];
        if (op->family != ROCKS_DIGESTS)
            break; /* they stand together, at the end */
        if (slice_equal(slice_of(bytes + op->key_offset, op->key_size), key))
            return slice_of(bytes + op->value_offset, op->value_size);
    }
    return SLICE_EMPTY;
}

/* Opens the parts of the stretch that ends with `last`; `ret_whole` says that all are there. */
static enum sync_status parts_open(struct digest_build *build, unsigned level, uint64_t last,
                                   const rocksdb_readoptions_t *options, struct digest_parts *parts,
                                   bool *ret_whole) {
    enum sync_status status = SYNC_OK;
    uint64_t span = rocks_digest_span(level - 1);
    *ret_whole = true;
    for (size_t i = 0; i < ROCKS_DIGEST_FAN && status == SYNC_OK && *ret_whole; i++) {
        struct rocks_key key;
        uint64_t end = last - (ROCKS_DIGEST_FAN - 1 - i) * span;
        rocks_key_digest(&key, build->commit->user, level - 1, end);
        parts->values[i] = commit_find(build->commit, rocks_key_slice(&key));
        if (parts->values[i].size == 0)
            status = rocks_get(build->store, options, ROCKS_DIGESTS, rocks_key_slice(&key),
                               &parts->pins[i], &parts->values[i]);
        *ret_whole = parts->values[i].size > 0;
        if (status == SYNC_OK && *ret_whole)
            status = rocks_digest_open(&parts->readers[i], rocks_key_slice(&key), parts->values[i],
                                       level - 1, end);
        if (status == SYNC_OK && *ret_whole)
            rocks_digest_next(&parts->readers[i]);
    }
    return status;
}

/* Takes the least record of all parts, where several have it the newest. False at the end. */
static bool parts_take(struct digest_parts *parts, struct rocks_digest_writer *writer) {
    struct rocks_digest_reader *least = NULL;
    int orders[ROCKS_DIGEST_FAN];
    for (size_t i = 0; i < ROCKS_DIGEST_FAN; i++) {
        struct rocks_digest_reader *reader = &parts->readers[i];
        orders[i] = 1;
        if (reader->is_at_end || reader->is_damaged)
            continue;
        orders[i] = least ? rocks_digest_order(&reader->record.key, &least->record.key) : -1;
        if (orders[i] <= 0)
            least = reader; /* of equals the later */
        for (size_t j = 0; j < i && orders[i] < 0; j++)
            orders[j] = 1;
    }
    if (!least)
        return false;
    rocks_digest_put(writer, &least->record);
    for (size_t i = 0; i < ROCKS_DIGEST_FAN; i++)
        if (orders[i] <= 0)
            rocks_digest_next(&parts->readers[i]);
    return true;
}

/* Makes the digest of a higher level from those of the level below, when all are there. */
static enum sync_status build_merge(struct digest_build *build, unsigned level, uint64_t last) {
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    struct digest_parts parts = {.pins = {NULL}};
    struct rocks_digest_writer writer;
    bool is_whole;
    enum sync_status status = parts_open(build, level, last, options, &parts, &is_whole);
    if (status == SYNC_OK && is_whole) {
        buffer_clear(&build->made);
        rocks_digest_begin(&writer, &build->made, last);
        while (!build->made.failed && parts_take(&parts, &writer))
            ;
        for (size_t i = 0; i < ROCKS_DIGEST_FAN; i++)
            if (parts.readers[i].is_damaged)
                status = SYNC_ERR_CORRUPT;
        if (status == SYNC_OK)
            build_put(build, &writer, level);
    }
    for (size_t i = 0; i < ROCKS_DIGEST_FAN; i++)
        if (parts.pins[i])
            rocksdb_pinnableslice_destroy(parts.pins[i]);
    rocksdb_readoptions_destroy(options);
    return status;
}

size_t rocks_digest_count_max(size_t log_count) {
    /* Stretches of level 1 that end in it, a seventh as many of all the others, and what alignment
     * adds at each level. */
    return log_count / (ROCKS_DIGEST_SPAN / 2) + ROCKS_DIGEST_LEVELS + 1;
}

/* Whether the set's sequences follow each other without gaps. */
static bool log_is_whole(const struct write_set *set) {
    return set->log[0].sequence > 0 &&
           set->log[set->log_count - 1].sequence - set->log[0].sequence == set->log_count - 1;
}

void rocks_commit_put_digests(struct rocks_store *store, struct rocks_commit *commit,
                              const struct write_set *set) {
    if (set->log_count == 0 || !log_is_whole(set))
        return;
    struct digest_build build = {
        .store = store, .commit = commit, .set = set, .before = set->log[0].sequence - 1};
    uint64_t last = build.before / ROCKS_DIGEST_SPAN * ROCKS_DIGEST_SPAN + ROCKS_DIGEST_SPAN;
    if (last > build.before + set->log_count)
        return;
    enum sync_status status = SYNC_OK;
    buffer_init(&build.made, DIGEST_BYTES_MAX);
    arena_init(&build.ids, DIGEST_IDS_MAX);
    for (; last <= build.before + set->log_count; last += ROCKS_DIGEST_SPAN) {
        status = build_first_level(&build, last);
        for (unsigned level = 2; level <= ROCKS_DIGEST_LEVELS && status == SYNC_OK &&
                                 last % rocks_digest_span(level) == 0;
             level++)
            status = build_merge(&build, level, last);
        rocks_damage_tell(store, status, commit->user);
    }
    arena_done(&build.ids);
    buffer_done(&build.made);
}
