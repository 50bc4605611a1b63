/* One consistent read: head, records with their history, settled changes, rows. */
#include "service/store/rocks_private.h"

/* What the pieces of one load share. */
struct load {
    struct rocks_store *store;
    const struct store_reader *reader;
    const struct touched *want;
    struct arena *arena;
    struct user_view view;
};

/* The arrays of RocksDB's get of several keys at once. */
struct load_keys {
    const char **keys;
    size_t *sizes;
    rocksdb_pinnableslice_t **pins;
    char **errors;
};

static bool load_keys_make(const struct load *load, struct load_keys *keys) {
    size_t count = load->want->record_count;
    keys->keys = arena_zalloc(load->arena, count, sizeof *keys->keys);
    keys->sizes = arena_zalloc(load->arena, count, sizeof *keys->sizes);
    keys->pins = arena_zalloc(load->arena, count, sizeof(rocksdb_pinnableslice_t *));
    keys->errors = arena_zalloc(load->arena, count, sizeof *keys->errors);
    return keys->keys && keys->sizes && keys->pins && keys->errors;
}

static enum sync_status load_keys_fill(const struct load *load, struct load_keys *keys) {
    struct rocks_key key;
    struct slice copy;
    for (size_t i = 0; i < load->want->record_count; i++) {
        const struct record_key *record = &load->want->records[i].key;
        rocks_key_record(&key, load->want->user, record->type, record->id);
        if (key.failed)
            return SYNC_ERR_INVALID;
        if (!arena_copy(load->arena, rocks_key_slice(&key), &copy))
            return SYNC_ERR_NO_MEMORY;
        keys->keys[i] = (const char *)copy.data;
        keys->sizes[i] = copy.size;
    }
    return SYNC_OK;
}

/* Decodes one answer, which it releases, and its error. */
static enum sync_status load_record(struct load *load, const struct load_keys *keys, size_t i) {
    enum sync_status status = rocks_take_error(load->store, keys->errors[i]);
    rocksdb_pinnableslice_t *pin = keys->pins[i];
    if (status == SYNC_OK && pin) {
        size_t size;
        const char *value = rocksdb_pinnableslice_value(pin, &size);
        status = rocks_record_decode(slice_of(keys->keys[i], keys->sizes[i]), slice_of(value, size),
                                     load->arena, &load->view.records[i].record);
        load->view.records[i].found = status == SYNC_OK;
    }
    if (pin)
        rocksdb_pinnableslice_destroy(pin);
    return status;
}

static enum sync_status load_records(struct load *load) {
    size_t count = load->want->record_count;
    struct load_keys keys;
    load->view.records = arena_zalloc(load->arena, count, sizeof *load->view.records);
    if (!load->view.records || !load_keys_make(load, &keys))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = load_keys_fill(load, &keys);
    if (status != SYNC_OK)
        return status;
    rocksdb_batched_multi_get_cf(load->store->db, load->reader->options,
                                 load->store->families[ROCKS_RECORDS], count, keys.keys, keys.sizes,
                                 keys.pins, keys.errors, false);
    for (size_t i = 0; i < count; i++) {
        enum sync_status one = load_record(load, &keys, i);
        status = status == SYNC_OK ? one : status;
    }
    return status;
}

static enum sync_status load_row(struct load *load, const struct row *want, struct row *ret_row) {
    struct rocks_key key;
    rocksdb_pinnableslice_t *pin;
    struct slice value;
    struct row row = {.table = want->table, .key = want->key};
    if (want->if_conflicts && load->view.head.conflicts_open == 0) {
        *ret_row = row;
        return SYNC_OK;
    }
    rocks_key_row(&key, want->table, want->key);
    if (key.failed)
        return SYNC_ERR_INVALID;
    enum sync_status status = rocks_get(load->store, load->reader->options, ROCKS_ROWS,
                                        rocks_key_slice(&key), &pin, &value);
    if (status == SYNC_OK && pin) {
        status = rocks_row_decode(rocks_key_slice(&key), value, &row.value);
        row.found = status == SYNC_OK;
        if (row.found && !arena_copy(load->arena, row.value, &row.value))
            status = SYNC_ERR_NO_MEMORY;
        rocksdb_pinnableslice_destroy(pin);
    }
    if (status == SYNC_OK)
        *ret_row = row;
    return status;
}

static enum sync_status load_rows(struct load *load) {
    size_t count = load->want->row_count;
    enum sync_status status = SYNC_OK;
    load->view.rows = arena_zalloc(load->arena, count, sizeof *load->view.rows);
    if (!load->view.rows)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count && status == SYNC_OK; i++)
        status = load_row(load, &load->want->rows[i], &load->view.rows[i]);
    return status;
}

static enum sync_status load_changes(struct load *load) {
    load->view.changes =
        arena_zalloc(load->arena, load->want->change_count, sizeof *load->view.changes);
    if (!load->view.changes)
        return SYNC_ERR_NO_MEMORY;
    return rocks_find_settled(load->store, load->reader, load->want, load->view.head.revision,
                              load->arena, load->view.changes);
}

static enum sync_status load_all(struct load *load) {
    const struct touched *want = load->want;
    enum sync_status status = SYNC_OK;
    if (want->user.size > 0)
        status = rocks_get_head(load->store, load->reader->options, want->user, &load->view.head);
    else if (want->record_count > 0 || want->change_count > 0)
        status = SYNC_ERR_INVALID;
    if (status == SYNC_OK && want->record_count > 0)
        status = load_records(load);
    if (status == SYNC_OK && want->record_count > 0)
        status = rocks_load_histories(load->store, load->reader, want, load->arena, &load->view);
    if (status == SYNC_OK && want->change_count > 0)
        status = load_changes(load);
    if (status == SYNC_OK && want->row_count > 0)
        status = load_rows(load);
    return status;
}

enum sync_status rocks_load(struct store *base, struct store_reader *reader,
                            const struct touched *want, struct arena *arena,
                            struct user_view *ret_view) {
    struct rocks_store *store = rocks_store_of(base);
    struct store_reader now;
    enum sync_status status = rocks_health(store);
    if (status != SYNC_OK)
        return status;
    metric_add(store->metrics.loads, 1);
    if (!reader)
        rocks_reader_init(&now, store);
    struct load load = {
        .store = store, .reader = reader ? reader : &now, .want = want, .arena = arena};
    status = load_all(&load);
    if (!reader)
        rocks_reader_done(&now);
    if (status == SYNC_OK)
        *ret_view = load.view;
    return rocks_damage_tell(store, status, want->user);
}
