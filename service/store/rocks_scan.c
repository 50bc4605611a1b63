/* Scans: an ordered walk over one family, decoding item by item. */
#include <assert.h>

#include "service/store/rocks_private.h"

/* What one scan works with; items are decoded into the arena or the body and last one visit. */
struct scan_walk {
    struct rocks_store *store;
    const struct scan *what;
    scan_visit *visit;
    void *context;
    struct arena arena;
    struct buffer body;
    bool ended;
};

/* Visits the entries of one block that come after what was seen. */
static enum sync_status walk_log(struct scan_walk *walk, struct slice key, struct slice value) {
    int64_t time_us;
    uint64_t sequence = 0;
    struct log_entry entry;
    enum sync_status status = rocks_block_open(key, value, &walk->body, &time_us);
    if (status != SYNC_OK)
        return status;
    struct wire_reader reader = wire_reader_of(buffer_slice(&walk->body));
    while (!walk->ended && !wire_at_end(&reader)) {
        if (!rocks_log_next(&reader, &sequence, &entry))
            return SYNC_ERR_CORRUPT;
        if (entry.sequence > walk->what->after)
            walk->ended = !walk->visit(walk->context, &(struct scan_item){.entry = &entry});
    }
    return SYNC_OK;
}

static enum sync_status walk_record(struct scan_walk *walk, struct slice key, struct slice value) {
    struct record record;
    arena_reset(&walk->arena);
    enum sync_status status = rocks_record_decode(key, value, &walk->arena, &record);
    if (status == SYNC_OK)
        walk->ended = !walk->visit(walk->context, &(struct scan_item){.record = &record});
    return status;
}

static enum sync_status walk_row(struct scan_walk *walk, struct slice key, struct slice value) {
    struct row row = {.table = walk->what->table, .key = slice_after(key, 1), .found = true};
    enum sync_status status = rocks_row_decode(key, value, &row.value);
    if (status == SYNC_ERR_CORRUPT && walk->what->with_damaged) {
        (void)rocks_damage_tell(walk->store, status, SLICE_EMPTY);
        row.found = false;
        status = SYNC_OK;
    }
    if (status == SYNC_OK)
        walk->ended = !walk->visit(walk->context, &(struct scan_item){.row = &row});
    return status;
}

static enum sync_status walk_user(struct scan_walk *walk, struct slice key, struct slice value) {
    struct user_head head;
    enum sync_status status = rocks_head_decode(key, value, &head);
    if (status == SYNC_OK)
        walk->ended = !walk->visit(walk->context, &(struct scan_item){.head = &head, .user = key});
    return status;
}

typedef enum sync_status walk_item(struct scan_walk *walk, struct slice key, struct slice value);

/* Which keys a scan goes over: from `first` (not itself, when `behind` it) to before `upper`. */
struct scan_range {
    enum rocks_family family;
    walk_item *item;
    struct rocks_key first, upper;
    bool behind;
};

static void range_of_log(const struct scan *what, struct scan_range *range) {
    range->family = ROCKS_LOG;
    range->item = walk_log;
    uint64_t from = what->after < UINT64_MAX ? what->after + 1 : what->after;
    rocks_key_numbered(&range->first, what->user, from);
    rocks_key_numbered(&range->upper, what->user, UINT64_MAX);
}

static void range_of_records(const struct scan *what, struct scan_range *range) {
    range->family = ROCKS_RECORDS;
    range->item = walk_record;
    rocks_key_record(&range->first, what->user, what->type, what->after_id);
    rocks_key_record(&range->upper, what->user, what->type, SLICE_EMPTY);
    if (!range->upper.failed)
        rocks_key_successor(&range->upper);
    range->behind = what->after_id.size > 0;
}

static void range_of_rows(const struct scan *what, struct scan_range *range) {
    range->family = ROCKS_ROWS;
    range->item = walk_row;
    range->behind = slice_compare(what->after_key, what->prefix) >= 0 && what->after_key.size > 0;
    rocks_key_row(&range->first, what->table, range->behind ? what->after_key : what->prefix);
    rocks_key_row(&range->upper, what->table, what->prefix);
    if (!range->upper.failed)
        rocks_key_successor(&range->upper);
}

static void range_of_users(const struct scan *what, struct scan_range *range) {
    range->family = ROCKS_HEAD;
    range->item = walk_user;
    range->behind = what->after_user.size > 0;
    range->first.failed = range->upper.failed = false;
    range->first.size = range->upper.size = 0;
    if (range->behind)
        rocks_key_user(&range->first, what->after_user);
}

static void range_of(const struct scan *what, struct scan_range *range) {
    range->behind = false;
    switch (what->kind) {
    case SCAN_LOG:
        range_of_log(what, range);
        break;
    case SCAN_CHANGED: /* goes over no range */
        break;
    case SCAN_RECORDS:
        range_of_records(what, range);
        break;
    case SCAN_ROWS:
        range_of_rows(what, range);
        break;
    case SCAN_USERS:
        range_of_users(what, range);
        break;
    }
}

static enum sync_status walk_range(struct scan_walk *walk, const struct scan_range *range,
                                   struct rocks_cursor *cursor) {
    struct slice first = rocks_key_slice(&range->first);
    enum sync_status status = SYNC_OK;
    rocks_cursor_seek(cursor, first);
    if (range->behind && rocks_cursor_valid(cursor) && slice_equal(rocks_cursor_key(cursor), first))
        rocks_cursor_next(cursor);
    for (; status == SYNC_OK && !walk->ended && rocks_cursor_valid(cursor);
         rocks_cursor_next(cursor))
        status = range->item(walk, rocks_cursor_key(cursor), rocks_cursor_value(cursor));
    return status == SYNC_OK ? rocks_cursor_status(cursor) : status;
}

enum sync_status rocks_scan(struct store *base, struct store_reader *reader,
                            const struct scan *what, scan_visit *visit, void *context) {
    struct rocks_store *store = rocks_store_of(base);
    struct scan_range range;
    struct rocks_cursor cursor;
    struct scan_walk walk = {.store = store, .what = what, .visit = visit, .context = context};
    enum sync_status status = rocks_health(store);
    assert(visit);
    if (status != SYNC_OK)
        return status;
    if (what->kind == SCAN_CHANGED) {
        metric_add(store->metrics.scans, 1);
        status = rocks_scan_changed(store, reader, what, visit, context);
        return rocks_damage_tell(store, status, what->user);
    }
    range_of(what, &range);
    if (range.first.failed || range.upper.failed)
        return SYNC_ERR_INVALID;
    metric_add(store->metrics.scans, 1);
    arena_init(&walk.arena, ROCKS_VALUE_MAX);
    buffer_init(&walk.body, ROCKS_VALUE_MAX);
    rocks_cursor_open(&cursor, store, reader, range.family, &range.upper);
    status = walk_range(&walk, &range, &cursor);
    rocks_cursor_close(&cursor);
    buffer_done(&walk.body);
    arena_done(&walk.arena);
    return rocks_damage_tell(store, status, what->user);
}
