#include "service/rpc/bundle_source.h"

#include <assert.h>

#include "service/core/hybrid_clock.h"
#include "service/rpc/changed_keys.h"

enum { ITEMS_FIRST = 64 };

/* Finds where to begin for a time. The log's own times are the devices' and are not asked. */
static enum sync_status source_find_since(struct bundle_source *source) {
    struct bundle_want *want = &source->want;
    want->has_from = true;
    /* Given out while our clock ran wrong, and it has been set right: all counts as changed. */
    if (want->since_us > source->head.time_us &&
        !hybrid_clock_believe(want->since_us, want->now_us) &&
        hybrid_clock_believe(source->head.time_us, want->now_us)) {
        want->from = 0;
        return SYNC_OK;
    }
    return store_sequence_before(source->store, source->reader, want->user, want->since_us,
                                 &want->from);
}

static enum sync_status source_begin(struct bundle_source *source, struct sync_error *error) {
    struct touched want = {.user = source->want.user};
    struct user_view view;
    enum sync_status status =
        store_load(source->store, source->reader, &want, &source->arena, &view);
    if (status != SYNC_OK)
        return status;
    source->head = view.head;
    if (source->want.has_since)
        return source_find_since(source);
    if (source->want.has_from && source->want.from > source->head.sequence)
        return sync_error_set(error, SYNC_ERR_INVALID, "INVALID_CURSOR", "cursor",
                              "lies ahead of the user's data");
    if (source->want.must_reach && source->want.from < source->head.log_floor)
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL,
                              "the log no longer reaches back to the cursor: get a full bundle "
                              "(without since and cursor) and keep the unsent changes");
    return SYNC_OK;
}

enum sync_status bundle_source_init(struct bundle_source *source, struct store *store,
                                    const struct bundle_want *want, struct sync_error *error) {
    assert(want->user.size > 0);
    *source = (struct bundle_source){.store = store, .want = *want};
    enum sync_status status = store_reader_open(store, &source->reader);
    if (status != SYNC_OK)
        return status;
    arena_init(&source->arena, SOURCE_ARENA_MAX);
    status = source_begin(source, error);
    if (status != SYNC_OK)
        bundle_source_done(source);
    return status;
}

void bundle_source_release(struct bundle_source *source) {
    store_reader_close(source->store, source->reader);
    source->reader = NULL;
}

void bundle_source_done(struct bundle_source *source) {
    bundle_source_release(source);
    arena_done(&source->arena);
}

/* One more item, zeroed, or NULL. */
static struct pulled *source_push(struct bundle_source *source) {
    if (source->count == source->capacity) {
        size_t capacity = source->capacity ? 2 * source->capacity : ITEMS_FIRST;
        struct pulled *items = arena_zalloc(&source->arena, capacity, sizeof *items);
        if (!items)
            return NULL;
        if (source->count > 0)
            memcpy(items, source->items, source->count * sizeof *items);
        source->items = items;
        source->capacity = capacity;
    }
    return &source->items[source->count++];
}

/* Copies `bytes` while there is room for data; else leaves only their size. */
static bool source_keep(struct bundle_source *source, struct slice *bytes) {
    if (source->data_bytes + bytes->size > SOURCE_DATA_MAX) {
        bytes->data = NULL;
        return true;
    }
    source->data_bytes += bytes->size;
    return arena_copy(&source->arena, *bytes, bytes);
}

/* Takes over an item whose slices live elsewhere. */
static enum sync_status source_add(struct bundle_source *source, const struct pulled *from) {
    struct pulled *item = source_push(source);
    if (!item)
        return SYNC_ERR_NO_MEMORY;
    *item = *from;
    item->rank = pull_rank(&from->record, source->rank_us);
    if (!arena_copy(&source->arena, from->record.key.id, &item->record.key.id))
        return SYNC_ERR_NO_MEMORY;
    if (item->form)
        item->record.data = SLICE_EMPTY;
    bool is_kept = item->form ? arena_copy(&source->arena, from->patch, &item->patch)
                              : source_keep(source, &item->record.data);
    return is_kept ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Adds a record, as a patch where that is wanted and possible. */
static enum sync_status source_add_record(struct bundle_source *source, const struct record *record,
                                          struct arena *scratch) {
    struct pulled item = {.record = *record};
    if (source->want.has_from) {
        enum sync_status status =
            pull_make_patch(&item, source->want.from, source->want.patches, scratch);
        if (status != SYNC_OK)
            return status;
    }
    return source_add(source, &item);
}

/* A look through the records. */
struct source_scan {
    struct bundle_source *source;
    struct arena scratch;
};

static bool record_visit(void *context, const struct scan_item *item) {
    struct source_scan *scan = context;
    struct bundle_source *source = scan->source;
    const struct record *record = item->record;
    bool is_wanted = source->want.has_from ? record->version > source->want.from : !record->deleted;
    if (is_wanted) {
        source->status = source_add_record(source, record, &scan->scratch);
        arena_reset(&scan->scratch);
    }
    return source->status == SYNC_OK;
}

/* Looks through all records of the types. */
static enum sync_status source_scan_records(struct bundle_source *source) {
    struct source_scan visit = {.source = source};
    enum sync_status status = SYNC_OK;
    arena_init(&visit.scratch, SOURCE_ARENA_MAX);
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST && status == SYNC_OK; type++) {
        if (!data_type_in(source->want.types, (enum data_type)type))
            continue;
        struct scan scan = {
            .kind = SCAN_RECORDS, .user = source->want.user, .type = (enum data_type)type};
        status = store_scan(source->store, source->reader, &scan, record_visit, &visit);
        if (status == SYNC_OK)
            status = source->status;
    }
    arena_done(&visit.scratch);
    return status;
}

/* Loads what changed, some at a time. */
static enum sync_status source_load_keys(struct bundle_source *source,
                                         const struct changed_keys *keys) {
    struct arena scratch;
    arena_init(&scratch, SOURCE_ARENA_MAX);
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < keys->count && status == SYNC_OK; i += CHANGED_KEYS_AT_ONCE) {
        size_t rest = keys->count - i;
        size_t count = rest < CHANGED_KEYS_AT_ONCE ? rest : CHANGED_KEYS_AT_ONCE;
        struct touched want = {
            .user = source->want.user, .records = &keys->wants[i], .record_count = count};
        struct user_view view;
        status = store_load(source->store, source->reader, &want, &scratch, &view);
        for (size_t j = 0; j < count && status == SYNC_OK; j++)
            if (view.records[j].found)
                status = source_add_record(source, &view.records[j].record, &scratch);
        arena_reset(&scratch);
    }
    arena_done(&scratch);
    return status;
}

/* Reads what changed after `from`, by keys or, where that takes less, looking through all. */
static enum sync_status source_read_changed(struct bundle_source *source) {
    struct changed_keys keys = {.types = source->want.types,
                                .after = source->want.from,
                                .target = UINT64_MAX,
                                .count_max = CHANGED_KEYS_MAX};
    enum sync_status status =
        changed_keys_read(&keys, source->store, source->reader, source->want.user, &source->arena);
    if (status != SYNC_OK)
        return status;
    return changed_keys_pay(&keys, &source->head) ? source_load_keys(source, &keys)
                                                  : source_scan_records(source);
}

enum sync_status bundle_source_collect(struct bundle_source *source, int64_t rank_us) {
    assert(source->reader && source->count == 0);
    source->rank_us = rank_us;
    enum sync_status status =
        source->want.has_from ? source_read_changed(source) : source_scan_records(source);
    if (status == SYNC_OK && source->count > 1)
        pull_sort(source->items, source->count);
    return status;
}

enum sync_status bundle_source_fill(struct bundle_source *source, struct pulled *item,
                                    struct arena *arena) {
    if (item->form || item->record.deleted || item->record.data.data || item->record.data.size == 0)
        return SYNC_OK;
    struct record_want wanted = {.key = item->record.key};
    struct touched want = {.user = source->want.user, .records = &wanted, .record_count = 1};
    struct user_view view;
    enum sync_status status = store_load(source->store, source->reader, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    if (!view.records[0].found || view.records[0].record.deleted)
        return SYNC_ERR_CORRUPT;
    item->record.data = view.records[0].record.data;
    return SYNC_OK;
}
