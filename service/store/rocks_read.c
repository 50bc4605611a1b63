/* Reading pieces: snapshots, single values, cursors. */
#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "service/store/rocks_private.h"

/* Damage hits reads by the thousand: it is one thing to tell. */
static const uint64_t damage_log_every_us = 60 * UINT64_C(1000000);

enum sync_status rocks_take_error(struct rocks_store *store, char *error) {
    if (!error)
        return SYNC_OK;
    enum sync_status status = SYNC_ERR_IO;
    if (slice_starts_with(slice_text(error), SLICE("Corruption"))) {
        status = SYNC_ERR_CORRUPT;
        pthread_mutex_lock(&store->damage.lock);
        snprintf(store->damage.text, sizeof store->damage.text, "%s", error);
        pthread_mutex_unlock(&store->damage.lock);
    }
    rocksdb_free(error);
    return status;
}

enum sync_status rocks_damage_tell(struct rocks_store *store, enum sync_status status,
                                   struct slice user) {
    struct rocks_damage *damage = &store->damage;
    if (status != SYNC_ERR_CORRUPT)
        return status;
    metric_add(store->metrics.damaged_reads, 1);
    uint64_t now_us = clock_monotonic_us(clock_system());
    pthread_mutex_lock(&damage->lock);
    damage->reads++;
    if (damage->logged_us == 0 || now_us - damage->logged_us >= damage_log_every_us) {
        damage->logged_us = now_us;
        log_line(store->log, LOG_ERROR, "the store is damaged, what lies there cannot be read",
                 LOG_TEXT("error", damage->text[0] ? damage->text : "a value fails its checksum"),
                 LOG_SLICE("user", user), LOG_INT("reads", (int64_t)damage->reads));
    }
    pthread_mutex_unlock(&damage->lock);
    return status;
}

void rocks_reader_init(struct store_reader *reader, struct rocks_store *store) {
    reader->store = store;
    reader->snapshot = rocksdb_create_snapshot(store->db);
    reader->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(reader->options, reader->snapshot);
}

void rocks_reader_done(struct store_reader *reader) {
    rocksdb_readoptions_destroy(reader->options);
    rocksdb_release_snapshot(reader->store->db, reader->snapshot);
}

enum sync_status rocks_reader_open(struct store *base, struct store_reader **ret_reader) {
    struct rocks_store *store = rocks_store_of(base);
    enum sync_status status = rocks_health(store);
    if (status != SYNC_OK)
        return status;
    struct store_reader *reader = memory_alloc(sizeof *reader);
    if (!reader)
        return SYNC_ERR_NO_MEMORY;
    rocks_reader_init(reader, store);
    *ret_reader = reader;
    return SYNC_OK;
}

void rocks_reader_close(struct store *store, struct store_reader *reader) {
    assert(reader->store == rocks_store_of(store));
    (void)store;
    rocks_reader_done(reader);
    memory_free(reader);
}

enum sync_status rocks_get(struct rocks_store *store, const rocksdb_readoptions_t *options,
                           enum rocks_family family, struct slice key,
                           rocksdb_pinnableslice_t **ret_pin, struct slice *ret_value) {
    char *error = NULL;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned_cf(
        store->db, options, store->families[family], (const char *)key.data, key.size, &error);
    enum sync_status status = rocks_take_error(store, error);
    if (status != SYNC_OK)
        return status;
    *ret_pin = pin;
    if (pin) {
        size_t size;
        const char *value = rocksdb_pinnableslice_value(pin, &size);
        *ret_value = slice_of(value, size);
    }
    return SYNC_OK;
}

enum sync_status rocks_get_head(struct rocks_store *store, const rocksdb_readoptions_t *options,
                                struct slice user, struct user_head *ret_head) {
    struct rocks_key key;
    rocksdb_pinnableslice_t *pin;
    struct slice value;
    rocks_key_user(&key, user);
    if (key.failed)
        return SYNC_ERR_INVALID;
    enum sync_status status =
        rocks_get(store, options, ROCKS_HEAD, rocks_key_slice(&key), &pin, &value);
    if (status != SYNC_OK)
        return status;
    if (!pin) {
        *ret_head = (struct user_head){0};
        return SYNC_OK;
    }
    status = rocks_head_decode(rocks_key_slice(&key), value, ret_head);
    rocksdb_pinnableslice_destroy(pin);
    return status;
}

enum sync_status rocks_walk_versions(struct rocks_store *store, const struct store_reader *reader,
                                     struct slice user, rocks_version_visit *visit, void *context) {
    struct rocks_key first, upper;
    struct rocks_cursor cursor;
    enum sync_status status = SYNC_OK;
    rocks_key_record(&first, user, 0, SLICE_EMPTY);
    rocks_key_record(&upper, user, UINT8_MAX, SLICE_EMPTY);
    rocks_cursor_open(&cursor, store, reader, ROCKS_RECORDS, &upper);
    rocks_cursor_seek(&cursor, rocks_key_slice(&first));
    for (; status == SYNC_OK && rocks_cursor_valid(&cursor); rocks_cursor_next(&cursor)) {
        struct record_version record;
        int64_t updated_us;
        status = rocks_record_decode_version(rocks_cursor_key(&cursor), rocks_cursor_value(&cursor),
                                             &record, &updated_us);
        if (status == SYNC_OK)
            status = visit(context, &record, updated_us);
    }
    if (status == SYNC_OK)
        status = rocks_cursor_status(&cursor);
    rocks_cursor_close(&cursor);
    return status;
}

void rocks_cursor_open(struct rocks_cursor *cursor, struct rocks_store *store,
                       const struct store_reader *reader, enum rocks_family family,
                       const struct rocks_key *upper) {
    cursor->store = store;
    cursor->upper = *upper;
    cursor->options = rocksdb_readoptions_create();
    if (reader)
        rocksdb_readoptions_set_snapshot(cursor->options, reader->snapshot);
    if (upper->size > 0)
        rocksdb_readoptions_set_iterate_upper_bound(
            cursor->options, (const char *)cursor->upper.bytes, cursor->upper.size);
    cursor->iterator =
        rocksdb_create_iterator_cf(store->db, cursor->options, store->families[family]);
}

void rocks_cursor_close(struct rocks_cursor *cursor) {
    rocksdb_iter_destroy(cursor->iterator);
    rocksdb_readoptions_destroy(cursor->options);
}

void rocks_cursor_seek(struct rocks_cursor *cursor, struct slice key) {
    rocksdb_iter_seek(cursor->iterator, (const char *)key.data, key.size);
}

bool rocks_cursor_valid(const struct rocks_cursor *cursor) {
    return rocksdb_iter_valid(cursor->iterator);
}

void rocks_cursor_next(struct rocks_cursor *cursor) {
    rocksdb_iter_next(cursor->iterator);
}

struct slice rocks_cursor_key(const struct rocks_cursor *cursor) {
    size_t size;
    const char *key = rocksdb_iter_key(cursor->iterator, &size);
    return slice_of(key, size);
}

struct slice rocks_cursor_value(const struct rocks_cursor *cursor) {
    size_t size;
    const char *value = rocksdb_iter_value(cursor->iterator, &size);
    return slice_of(value, size);
}

enum sync_status rocks_cursor_status(const struct rocks_cursor *cursor) {
    char *error = NULL;
    rocksdb_iter_get_error(cursor->iterator, &error);
    return rocks_take_error(cursor->store, error);
}
