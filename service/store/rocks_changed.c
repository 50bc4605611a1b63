/* Which records changed after a sequence: by digests of the log and, where there are none, by the
 * log itself; beyond the log's floor, when there are very many, and when much of the log would have
 * to be read for few records, by the records. */
#include <assert.h>
#include <stdlib.h>

#include "service/store/rocks_digest.h"
#include "service/store/rocks_private.h"

enum {
    CHANGED_FIRST = 32,      /* a power of two, as all capacities */
    CHANGED_MAX = 1 << 18,   /* records in memory at once */
    CHANGED_BYTES = 1 << 29, /* of these, and of what held fewer before */
    LOG_READ_MIN = 4096,     /* entries of the log that are always read, */
    LOG_READ_SHARE = 2,      /* and as many for each record */
};

/* Records that changed, each at the newest version seen. */
struct changed_set {
    struct arena arena;
    struct record_version *records;
    size_t count, capacity;
    uint32_t *slots; /* twice the capacity: place + 1 by the key's hash */
    uint64_t limit;  /* records with greater versions have found no room; UINT64_MAX: all have */
};

static size_t set_slot(const struct changed_set *set, const struct record_key *key) {
    size_t mask = 2 * set->capacity - 1, slot = slice_hash(key->id, key->type) & mask;
    for (; set->slots[slot]; slot = (slot + 1) & mask) {
        const struct record_key *seen = &set->records[set->slots[slot] - 1].key;
        if (seen->type == key->type && slice_equal(seen->id, key->id))
            break;
    }
    return slot;
}

static bool set_grow(struct changed_set *set) {
    size_t capacity = set->capacity ? 2 * set->capacity : CHANGED_FIRST;
    struct record_version *records = arena_alloc(&set->arena, capacity * sizeof *records);
    uint32_t *slots = arena_zalloc(&set->arena, 2 * capacity, sizeof *slots);
    if (!records || !slots)
        return false;
    if (set->count > 0)
        memcpy(records, set->records, set->count * sizeof *records);
    set->records = records;
    set->slots = slots;
    set->capacity = capacity;
    for (size_t i = 0; i < set->count; i++)
        slots[set_slot(set, &records[i].key)] = (uint32_t)i + 1;
    return true;
}

/* Notes that a record changed. SYNC_ERR_TOO_LARGE when there are too many. */
static enum sync_status set_add(struct changed_set *set, const struct record_version *record) {
    if (set->count == set->capacity && set->count < CHANGED_MAX && !set_grow(set))
        return SYNC_ERR_NO_MEMORY;
    size_t slot = set_slot(set, &record->key);
    if (set->slots[slot]) {
        struct record_version *seen = &set->records[set->slots[slot] - 1];
        seen->version = record->version > seen->version ? record->version : seen->version;
        return SYNC_OK;
    }
    if (set->count == CHANGED_MAX)
        return SYNC_ERR_TOO_LARGE;
    struct record_version copy = *record;
    if (!arena_copy(&set->arena, record->key.id, &copy.key.id))
        return SYNC_ERR_NO_MEMORY;
    set->records[set->count++] = copy;
    set->slots[slot] = (uint32_t)set->count;
    return SYNC_OK;
}

static int version_compare(const void *left, const void *right) {
    const struct record_version *a = left, *b = right;
    return a->version < b->version ? -1 : a->version > b->version;
}

static void set_sort(struct changed_set *set) {
    if (set->count > 1)
        qsort(set->records, set->count, sizeof *set->records, version_compare);
}

/* Empties the set and keeps its memory's bound. */
static void set_clear(struct changed_set *set) {
    arena_reset(&set->arena);
    set->records = NULL;
    set->slots = NULL;
    set->count = set->capacity = 0;
    set->limit = UINT64_MAX;
}

/* One search: first by the log. */
struct changed_search {
    struct rocks_store *store;
    const struct store_reader *reader;
    struct slice user;
    struct changed_set set;
    uint64_t at;   /* what the log names up to here is in the set */
    uint64_t head; /* the last sequence; 0: not read yet */
    uint64_t record_count, entries_read;
    bool is_given_up; /* the log does not reach back so far, or is long and has no digests */
    struct rocks_cursor log;
    struct buffer body; /* the block of the log that is read */
    struct wire_reader rest;
    uint64_t sequence, block_last;
};

static enum sync_status search_read_head(struct changed_search *search) {
    struct user_head head;
    if (search->head > 0)
        return SYNC_OK;
    enum sync_status status =
        rocks_get_head(search->store, search->reader->options, search->user, &head);
    if (status != SYNC_OK)
        return status;
    search->head = head.sequence;
    search->record_count = head.record_count;
    return SYNC_OK;
}

/* Takes the digest of a level that begins where the search stands, if there is one. */
static enum sync_status search_take_digest(struct changed_search *search, unsigned level,
                                           bool *ret_taken) {
    struct rocks_key key;
    struct rocks_digest_reader digest;
    rocksdb_pinnableslice_t *pin;
    struct slice value;
    uint64_t last = search->at + rocks_digest_span(level);
    rocks_key_digest(&key, search->user, level, last);
    enum sync_status status = rocks_get(search->store, search->reader->options, ROCKS_DIGESTS,
                                        rocks_key_slice(&key), &pin, &value);
    if (status != SYNC_OK || !pin)
        return status;
    status = rocks_digest_open(&digest, rocks_key_slice(&key), value, level, last);
    while (status == SYNC_OK && rocks_digest_next(&digest))
        status = set_add(&search->set, &digest.record);
    if (status == SYNC_OK && digest.is_damaged)
        status = SYNC_ERR_CORRUPT;
    rocksdb_pinnableslice_destroy(pin);
    search->at = last;
    *ret_taken = true;
    return status;
}

/* Takes the longest stretch that begins where the search stands and has a digest. */
static enum sync_status search_by_digest(struct changed_search *search, bool *ret_taken) {
    *ret_taken = false;
    if (search->at % ROCKS_DIGEST_SPAN != 0)
        return SYNC_OK;
    enum sync_status status = search_read_head(search);
    for (unsigned level = ROCKS_DIGEST_LEVELS; level > 0 && status == SYNC_OK && !*ret_taken;
         level--) {
        uint64_t span = rocks_digest_span(level);
        if (search->at % span == 0 && search->at < search->head &&
            search->head - search->at >= span)
            status = search_take_digest(search, level, ret_taken);
    }
    return status;
}

/* Opens the block of the log with the next sequence; false in `ret_found` at the log's end. */
static enum sync_status search_next_block(struct changed_search *search, bool *ret_found) {
    struct rocks_key key;
    int64_t time_us;
    if (search->block_last > 0 && search->block_last == search->at) {
        rocks_cursor_next(&search->log);
    } else {
        rocks_key_numbered(&key, search->user, search->at + 1);
        rocks_cursor_seek(&search->log, rocks_key_slice(&key));
    }
    *ret_found = rocks_cursor_valid(&search->log);
    if (!*ret_found)
        return rocks_cursor_status(&search->log);
    struct slice stored = rocks_cursor_key(&search->log);
    enum sync_status status =
        rocks_block_open(stored, rocks_cursor_value(&search->log), &search->body, &time_us);
    if (status == SYNC_OK &&
        (!rocks_key_read_number(stored, &search->block_last) || search->block_last <= search->at))
        status = SYNC_ERR_CORRUPT;
    search->rest = wire_reader_of(buffer_slice(&search->body));
    search->sequence = 0;
    return status;
}

/* Takes the next entry of the log; false in `ret_found` when there is none. */
static enum sync_status search_next_entry(struct changed_search *search, bool *ret_found) {
    struct log_entry entry;
    enum sync_status status = SYNC_OK;
    *ret_found = true;
    if (search->block_last <= search->at)
        status = search_next_block(search, ret_found);
    if (status != SYNC_OK || !*ret_found)
        return status;
    do {
        if (!rocks_log_next(&search->rest, &search->sequence, &entry))
            return SYNC_ERR_CORRUPT;
    } while (search->sequence <= search->at);
    search->is_given_up = search->sequence != search->at + 1 || /* there are no gaps */
                          (++search->entries_read > LOG_READ_MIN &&
                           search->entries_read > LOG_READ_SHARE * search->record_count);
    search->at = search->sequence;
    return set_add(&search->set,
                   &(struct record_version){.key = entry.key, .version = entry.sequence});
}

/* Goes through what the log names, by digests where there are some. */
static enum sync_status search_by_log(struct changed_search *search) {
    uint64_t after = search->at;
    bool is_taken, is_found = true;
    enum sync_status status = SYNC_OK;
    while (status == SYNC_OK && is_found && !search->is_given_up) {
        status = search_by_digest(search, &is_taken);
        if (status == SYNC_OK && !is_taken)
            status = search_next_entry(search, &is_found);
    }
    /* With nothing found either nothing changed, or all of it was trimmed. */
    if (status == SYNC_OK && search->at == after)
        status = search_read_head(search);
    if (status == SYNC_OK && search->at == after)
        search->is_given_up = search->head > after;
    return status;
}

/* Adds a record that the look through all of them meets; when there are too many, those with the
 * lowest versions stay. */
static enum sync_status set_add_met(struct changed_set *set, const struct record_version *record) {
    if (record->version > set->limit)
        return SYNC_OK;
    if (set->count == CHANGED_MAX) {
        set_sort(set);
        set->count /= 2;
        set->limit = set->records[set->count - 1].version;
        memset(set->slots, 0, 2 * set->capacity * sizeof *set->slots);
        for (size_t i = 0; i < set->count; i++)
            set->slots[set_slot(set, &set->records[i].key)] = (uint32_t)i + 1;
    }
    return record->version > set->limit ? SYNC_OK : set_add(set, record);
}

/* A look through all records. */
struct changed_walk {
    struct changed_set *set;
    uint64_t after;
};

static enum sync_status walk_visit(void *context, const struct record_version *record,
                                   int64_t updated_us) {
    const struct changed_walk *walk = context;
    (void)updated_us;
    return record->version > walk->after ? set_add_met(walk->set, record) : SYNC_OK;
}

/* Visits what was found, by version; `ret_more` says that there may be more behind it. */
static void search_visit(struct changed_search *search, scan_visit *visit, void *context,
                         uint64_t *after, bool *ret_more) {
    struct changed_set *set = &search->set;
    *ret_more = set->limit != UINT64_MAX;
    set_sort(set);
    for (size_t i = 0; i < set->count; i++) {
        *after = set->records[i].version;
        if (!visit(context, &(struct scan_item){.changed = &set->records[i]})) {
            *ret_more = false;
            return;
        }
    }
}

static enum sync_status search_run(struct changed_search *search, uint64_t after, scan_visit *visit,
                                   void *context) {
    bool by_records, has_more = true;
    search->at = after;
    enum sync_status status = search_by_log(search);
    by_records = search->is_given_up || status == SYNC_ERR_TOO_LARGE;
    if (status == SYNC_ERR_TOO_LARGE)
        status = SYNC_OK;
    while (status == SYNC_OK && has_more) {
        if (by_records) {
            set_clear(&search->set);
            status =
                rocks_walk_versions(search->store, search->reader, search->user, walk_visit,
                                    &(struct changed_walk){.set = &search->set, .after = after});
        }
        if (status == SYNC_OK)
            search_visit(search, visit, context, &after, &has_more);
    }
    return status;
}

enum sync_status rocks_scan_changed(struct rocks_store *store, const struct store_reader *reader,
                                    const struct scan *what, scan_visit *visit, void *context) {
    struct rocks_key upper;
    struct store_reader own;
    struct changed_search search = {.store = store, .user = what->user};
    rocks_key_numbered(&upper, what->user, UINT64_MAX);
    if (upper.failed)
        return SYNC_ERR_INVALID;
    if (!reader)
        rocks_reader_init(&own, store);
    search.reader = reader ? reader : &own;
    arena_init(&search.set.arena, CHANGED_BYTES);
    set_clear(&search.set);
    buffer_init(&search.body, ROCKS_VALUE_MAX);
    rocks_cursor_open(&search.log, store, search.reader, ROCKS_LOG, &upper);
    enum sync_status status =
        what->after == UINT64_MAX ? SYNC_OK : search_run(&search, what->after, visit, context);
    rocks_cursor_close(&search.log);
    buffer_done(&search.body);
    arena_done(&search.set.arena);
    if (!reader)
        rocks_reader_done(&own);
    return status;
}
