/* What became of changes: by the index in memory, then by the rows that it names. */
#include "service/store/rocks_private.h"

/* Changes that share a fingerprint: more than two do not happen but by an attack on the hash. */
enum { SETTLED_REVISIONS_MAX = 16 };

/* One look-up of several changes; keeps the block last read. */
struct settled_search {
    struct rocks_store *store;
    const struct store_reader *reader;
    struct slice user;
    struct arena *arena;
    struct change_index_user *part;
    struct buffer body;
    uint64_t newest;   /* the head's revision in this view */
    uint64_t revision; /* of the body; 0: none */
};

/* Adds all that is stored of a user to his part of the index. */
static enum sync_status index_add_block(struct settled_search *search, uint64_t revision) {
    struct change_index *index = search->store->index;
    struct wire_reader reader = wire_reader_of(buffer_slice(&search->body));
    struct settled settled;
    while (!wire_at_end(&reader)) {
        if (!rocks_settled_next(&reader, &settled))
            return SYNC_ERR_CORRUPT;
        uint64_t fingerprint = change_index_fingerprint(index, settled.device, settled.change_id);
        if (!change_index_add_stored(index, search->part, fingerprint, revision))
            return SYNC_ERR_NO_MEMORY;
    }
    return SYNC_OK;
}

/* Reads all settled rows as of now: the part is pinned, so later ones are added by who commits. */
static enum sync_status index_build(struct settled_search *search) {
    struct rocks_key key;
    struct rocks_cursor cursor;
    enum sync_status status = SYNC_OK;
    search->revision = 0; /* the body is used for all */
    rocks_key_numbered(&key, search->user, UINT64_MAX);
    rocks_cursor_open(&cursor, search->store, NULL, ROCKS_SETTLED, &key);
    rocks_key_numbered(&key, search->user, 0);
    rocks_cursor_seek(&cursor, rocks_key_slice(&key));
    for (; status == SYNC_OK && rocks_cursor_valid(&cursor); rocks_cursor_next(&cursor)) {
        struct slice stored = rocks_cursor_key(&cursor);
        uint64_t revision;
        int64_t time_us;
        if (!rocks_key_read_number(stored, &revision) || revision == 0)
            status = SYNC_ERR_CORRUPT;
        else
            status = rocks_block_open(stored, rocks_cursor_value(&cursor), &search->body, &time_us);
        if (status == SYNC_OK)
            status = index_add_block(search, revision);
    }
    if (status == SYNC_OK)
        status = rocks_cursor_status(&cursor);
    rocks_cursor_close(&cursor);
    if (status == SYNC_OK)
        change_index_set_complete(search->store->index, search->part);
    metric_add(search->store->metrics.index_builds, 1);
    return status;
}

/* Reads the row of a revision into the body, empty when there is none in this view. */
static enum sync_status search_read(struct settled_search *search, uint64_t revision) {
    struct rocks_key key;
    rocksdb_pinnableslice_t *pin;
    struct slice value;
    int64_t time_us;
    if (search->revision == revision)
        return SYNC_OK;
    search->revision = 0;
    buffer_clear(&search->body);
    rocks_key_numbered(&key, search->user, revision);
    enum sync_status status = rocks_get(search->store, search->reader->options, ROCKS_SETTLED,
                                        rocks_key_slice(&key), &pin, &value);
    if (status == SYNC_OK && pin) {
        status = rocks_block_open(rocks_key_slice(&key), value, &search->body, &time_us);
        rocksdb_pinnableslice_destroy(pin);
    }
    if (status == SYNC_OK)
        search->revision = revision;
    return status;
}

/* Looks for the change in the body. */
static enum sync_status search_body(struct settled_search *search, const struct change_want *want,
                                    struct settled_view *view) {
    struct wire_reader reader = wire_reader_of(buffer_slice(&search->body));
    while (!wire_at_end(&reader)) {
        struct settled settled;
        if (!rocks_settled_next(&reader, &settled))
            return SYNC_ERR_CORRUPT;
        if (!slice_equal(settled.device, want->device) ||
            !slice_equal(settled.change_id, want->change_id))
            continue;
        if (!arena_copy(search->arena, settled.device, &settled.device) ||
            !arena_copy(search->arena, settled.change_id, &settled.change_id) ||
            !arena_copy(search->arena, settled.outcome, &settled.outcome))
            return SYNC_ERR_NO_MEMORY;
        *view = (struct settled_view){.found = true, .settled = settled};
        return SYNC_OK;
    }
    return SYNC_OK;
}

/* Reads the rows that the index names for the change, until one has it. */
static enum sync_status search_rows(struct settled_search *search, const struct change_want *want,
                                    uint64_t fingerprint, struct settled_view *view) {
    uint64_t revisions[SETTLED_REVISIONS_MAX];
    size_t count = change_index_find(search->store->index, search->part, fingerprint,
                                     search->newest, revisions, SETTLED_REVISIONS_MAX);
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < count && status == SYNC_OK && !view->found; i++) {
        status = search_read(search, revisions[i]);
        if (status == SYNC_OK)
            status = search_body(search, want, view);
    }
    return status;
}

static enum sync_status search_one(struct settled_search *search, const struct change_want *want,
                                   struct settled_view *view) {
    struct change_index *index = search->store->index;
    uint64_t fingerprint = change_index_fingerprint(index, want->device, want->change_id);
    enum sync_status status = search_rows(search, want, fingerprint, view);
    if (status != SYNC_OK || view->found || change_index_excludes(index, search->part, fingerprint))
        return status;
    status = index_build(search);
    return status == SYNC_OK ? search_rows(search, want, fingerprint, view) : status;
}

enum sync_status rocks_find_settled(struct rocks_store *store, const struct store_reader *reader,
                                    const struct touched *want, uint64_t newest,
                                    struct arena *arena, struct settled_view *views) {
    struct settled_search search = {
        .store = store, .reader = reader, .user = want->user, .newest = newest, .arena = arena};
    enum sync_status status = SYNC_OK;
    search.part = change_index_pin(store->index, want->user, 0);
    if (!search.part)
        return SYNC_ERR_NO_MEMORY;
    buffer_init(&search.body, ROCKS_VALUE_MAX);
    for (size_t i = 0; i < want->change_count && status == SYNC_OK; i++)
        status = search_one(&search, &want->changes[i], &views[i]);
    buffer_done(&search.body);
    change_index_unpin(store->index, search.part, 0);
    return status;
}
