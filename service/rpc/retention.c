#include "service/rpc/retention.h"

#include <assert.h>

#include "service/core/conflict.h"
#include "service/core/expiry_key.h"
#include "service/core/hybrid_clock.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/conflict_bound.h"
#include "service/rpc/conflict_due.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/sync_metrics.h"

enum {
    AT_ONCE = 128,
    ARENA_MAX = 8 << 20,
    PARTS_MAX = 1024, /* of a bundle; its bytes are bounded far below */
    EXPIRY_KEY_MAX = 512,
};

/* Keys gathered by a scan, to be worked on after it. */
struct key_list {
    struct arena *arena;
    struct slice keys[AT_ONCE];
    size_t count;
    size_t damaged;         /* rows that were passed over */
    struct slice last_seen; /* also of those that were passed over */
    int64_t until_us;
    int64_t ended_before_us;
    enum sync_status status;
};

static bool list_add(struct key_list *list, struct slice key) {
    if (!arena_copy(list->arena, key, &list->keys[list->count])) {
        list->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    return ++list->count < AT_ONCE;
}

/* A row says all by its key. One that does not parse stays, and holds no other up. */
static bool due_visit(void *context, const struct scan_item *item) {
    struct key_list *list = context;
    int64_t time_us;
    enum table table;
    struct slice key;
    if (!expiry_key_parse(item->row->key, &time_us, &table, &key) ||
        item->row->key.size > EXPIRY_KEY_MAX) {
        list->damaged++;
        return true;
    }
    return time_us <= list->until_us && list_add(list, item->row->key);
}

struct part_list {
    struct arena *arena;
    struct row_write *rows;
    size_t count;
    bool no_memory;
};

static bool part_visit(void *context, const struct scan_item *item) {
    struct part_list *parts = context;
    struct row_write *row = &parts->rows[parts->count];
    *row = (struct row_write){.table = TABLE_BUNDLE_PART, .remove = true};
    parts->no_memory = !arena_copy(parts->arena, item->row->key, &row->key);
    return !parts->no_memory && ++parts->count < PARTS_MAX;
}

/* Removes a bundle, its parts and the row that said it is due. In the bundle's lane. */
static enum sync_status bundle_remove(struct service *service, struct slice bundle_id,
                                      struct slice expiry_key, struct arena *arena) {
    struct part_list parts = {.arena = arena};
    parts.rows = arena_zalloc(arena, PARTS_MAX + 2, sizeof *parts.rows);
    if (!parts.rows)
        return SYNC_ERR_NO_MEMORY;
    struct scan scan = {
        .kind = SCAN_ROWS, .table = TABLE_BUNDLE_PART, .prefix = bundle_id, .with_damaged = true};
    enum sync_status status = store_scan(service->store, NULL, &scan, part_visit, &parts);
    if (status != SYNC_OK || parts.no_memory)
        return status != SYNC_OK ? status : SYNC_ERR_NO_MEMORY;
    parts.rows[parts.count++] =
        (struct row_write){.table = TABLE_BUNDLE, .key = bundle_id, .remove = true};
    parts.rows[parts.count++] =
        (struct row_write){.table = TABLE_EXPIRY, .key = expiry_key, .remove = true};
    struct write_set set = {.rows = parts.rows, .row_count = parts.count};
    return store_commit_wait(service->store, &set, NULL);
}

static enum sync_status due_bundle(struct service *service, struct slice key,
                                   struct slice expiry_key, struct retention_counts *counts) {
    struct slice lane;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    if (lane_of_bundle(&arena, key, &lane)) {
        struct lane_hold hold;
        lane_hold_enter(&hold, service, lane);
        status = bundle_remove(service, key, expiry_key, &arena);
        lane_hold_leave(&hold);
    }
    arena_done(&arena);
    counts->bundles += status == SYNC_OK;
    return status;
}

/* Works off one row that is due. */
static enum sync_status due_work_off(struct service *service, struct slice expiry_key,
                                     struct retention_counts *counts) {
    int64_t time_us;
    enum table table;
    struct slice key;
    bool is_ours = expiry_key_parse(expiry_key, &time_us, &table, &key), settled = false;
    assert(is_ours);
    if (is_ours && table == TABLE_BUNDLE)
        return due_bundle(service, key, expiry_key, counts);
    if (!is_ours || table != TABLE_CONFLICT)
        return SYNC_ERR_CORRUPT;
    enum sync_status status = conflict_due_settle(service, key, expiry_key, &settled);
    counts->settled += settled;
    return status;
}

/* Works off what a list names. What is damaged is left, with the row that says that it is due. */
static enum sync_status due_list_work_off(struct service *service, const struct key_list *list,
                                          struct retention_counts *counts) {
    enum sync_status status = SYNC_OK;
    counts->damaged += list->damaged;
    for (size_t i = 0; i < list->count && status == SYNC_OK; i++) {
        status = due_work_off(service, list->keys[i], counts);
        if (status == SYNC_ERR_CORRUPT) {
            counts->damaged++;
            status = SYNC_OK;
        }
    }
    return status;
}

enum sync_status retention_work_off_due(struct service *service, struct retention_counts *counts) {
    uint8_t after[EXPIRY_KEY_MAX];
    struct slice after_key = SLICE_EMPTY;
    enum sync_status status = SYNC_OK;
    size_t found;
    do {
        struct arena arena;
        arena_init(&arena, ARENA_MAX);
        struct key_list list = {.arena = &arena, .until_us = (int64_t)clock_now_us(service->clock)};
        struct scan scan = {
            .kind = SCAN_ROWS, .table = TABLE_EXPIRY, .after_key = after_key, .with_damaged = true};
        status = store_scan(service->store, NULL, &scan, due_visit, &list);
        if (status == SYNC_OK)
            status = list.status;
        if (status == SYNC_OK)
            status = due_list_work_off(service, &list, counts);
        found = list.count;
        if (found > 0) {
            struct slice last = list.keys[found - 1];
            memcpy(after, last.data, last.size);
            after_key = slice_of(after, last.size);
        }
        arena_done(&arena);
    } while (status == SYNC_OK && found == AT_ONCE);
    return status;
}

/* Names a row by `user NUL id`, to find its place in the user's list as well. */
static bool list_add_owned(struct key_list *list, struct slice user, struct slice id,
                           struct arena *arena) {
    struct slice both;
    if (!key_of_user(arena, user, id, &both)) {
        list->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    return list_add(list, both);
}

/* Takes an operation that ended before the time. False: the list is full, or no memory. */
static bool operation_take(struct key_list *list, const struct row *row, struct arena *arena) {
    PB(SyncOperation) *operation =
        (PB(SyncOperation) *)message_unpack(PB_DESCRIPTOR(sync_operation), row->value, arena);
    int64_t end_us = 0;
    /* What is older than this and was cut has failed by now. */
    bool is_judged =
        operation &&
        operation_judge(operation, list->ended_before_us + OPERATION_STALE_US, arena) == SYNC_OK;
    bool is_old = is_judged && operation_has_ended(operation) && operation->end_time &&
                  message_time_us(operation->end_time, &end_us) && end_us < list->ended_before_us;
    return !is_old || list_add_owned(list, slice_text(operation->user_id), row->key, arena);
}

/* Takes a conflict that was resolved before the time. False: the list is full, or no memory. */
static bool conflict_take(struct key_list *list, const struct row *row, struct arena *arena) {
    struct conflict conflict;
    enum sync_status status = conflict_unpack(row->value, arena, &conflict);
    if (status == SYNC_ERR_CORRUPT) /* it stays, and holds no other up */
        return true;
    if (status != SYNC_OK) {
        list->status = status;
        return false;
    }
    bool is_old = conflict.resolved_us != 0 && conflict.resolved_us < list->ended_before_us;
    return !is_old || list_add_owned(list, conflict.user, row->key, arena);
}

static bool conflict_index(struct arena *arena, struct slice user, struct slice id,
                           struct slice *ret_key) {
    return conflict_index_key(user, true, id, arena, ret_key) == SYNC_OK;
}

/* A table of rows with UUIDv7 as keys, each with a place in a list of its user. */
struct aging_table {
    enum table table, by_user;
    bool (*take)(struct key_list *list, const struct row *row, struct arena *arena);
    bool (*index)(struct arena *arena, struct slice user, struct slice id, struct slice *ret_key);
    /* NULL, or another place in that list, where the row may still stand. */
    bool (*mark)(struct arena *arena, struct slice user, struct slice id, struct slice *ret_key);
};

struct aging_scan {
    struct key_list *list;
    const struct aging_table *table;
};

/* Rows lie in the order of their making: the first that is too young ends the scan. */
static bool aging_visit(void *context, const struct scan_item *item) {
    struct aging_scan *scan = context;
    struct key_list *list = scan->list;
    if (uuid_time_us(item->row->key) >= list->ended_before_us)
        return false;
    if (!arena_copy(list->arena, item->row->key, &list->last_seen)) {
        list->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    if (!item->row->found) /* damaged: it stays, and holds no other up */
        return true;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    bool goes_on = scan->table->take(list, item->row, &arena);
    arena_done(&arena);
    return goes_on;
}

/* Removes rows, named as `user NUL id`, with their places in the users' lists. */
static enum sync_status aging_remove(struct service *service, const struct aging_table *table,
                                     const struct key_list *list, struct arena *arena) {
    struct row_write *rows = arena_zalloc(arena, 3 * list->count, sizeof *rows), *row = rows;
    if (!rows)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < list->count; i++) {
        struct slice both = list->keys[i];
        const uint8_t *nul = memchr(both.data, 0, both.size);
        assert(nul);
        struct slice user = slice_first(both, (size_t)(nul - both.data));
        struct slice id = slice_after(both, user.size + 1);
        *row++ = (struct row_write){.table = table->table, .key = id, .remove = true};
        *row = (struct row_write){.table = table->by_user, .remove = true};
        if (!table->index(arena, user, id, &row++->key))
            return SYNC_ERR_NO_MEMORY;
        *row = (struct row_write){.table = table->by_user, .remove = true};
        if (table->mark && !table->mark(arena, user, id, &row++->key))
            return SYNC_ERR_NO_MEMORY;
    }
    struct write_set set = {.rows = rows, .row_count = (size_t)(row - rows)};
    return store_commit_wait(service->store, &set, NULL);
}

/* Removes the rows of a table that ended before a time, and counts them. */
static enum sync_status aging_expire(struct service *service, const struct aging_table *table,
                                     int64_t before_us, uint64_t *count) {
    char after[UUID_TEXT_SIZE];
    struct slice after_key = SLICE_EMPTY;
    enum sync_status status;
    bool has_more;
    do {
        struct arena arena;
        arena_init(&arena, ARENA_MAX);
        struct key_list list = {.arena = &arena, .ended_before_us = before_us};
        struct aging_scan aging = {.list = &list, .table = table};
        struct scan scan = {
            .kind = SCAN_ROWS, .table = table->table, .after_key = after_key, .with_damaged = true};
        status = store_scan(service->store, NULL, &scan, aging_visit, &aging);
        if (status == SYNC_OK)
            status = list.status;
        if (status == SYNC_OK && list.count > 0)
            status = aging_remove(service, table, &list, &arena);
        if (status == SYNC_OK)
            *count += list.count;
        has_more = list.count == AT_ONCE;
        if (has_more) {
            assert(list.last_seen.size <= sizeof after);
            memcpy(after, list.last_seen.data, list.last_seen.size);
            after_key = slice_of(after, list.last_seen.size);
        }
        arena_done(&arena);
    } while (status == SYNC_OK && has_more);
    return status;
}

enum sync_status retention_expire_operations(struct service *service,
                                             struct retention_counts *counts) {
    static const struct aging_table operations = {TABLE_OPERATION, TABLE_OPERATION_BY_USER,
                                                  operation_take, key_of_operation_index,
                                                  key_of_operation_open};
    int64_t before_us =
        (int64_t)clock_now_us(service->clock) - (int64_t)service->retention.operation_us;
    return aging_expire(service, &operations, before_us, &counts->operations);
}

enum sync_status retention_expire_conflicts(struct service *service,
                                            struct retention_counts *counts) {
    static const struct aging_table conflicts = {TABLE_CONFLICT, TABLE_CONFLICT_BY_USER,
                                                 conflict_take, conflict_index, NULL};
    int64_t before_us = (int64_t)clock_now_us(service->clock) - (int64_t)service->retention.log_us;
    return aging_expire(service, &conflicts, before_us, &counts->conflicts);
}

enum sync_status retention_bound_conflicts(struct service *service,
                                           struct retention_counts *counts) {
    return conflict_bound_keep(service, &counts->dropped);
}

static bool user_visit(void *context, const struct scan_item *item) {
    return list_add(context, item->user);
}

/* Trims in the user's lane, since trimming moves the user's head. */
static enum sync_status user_trim(struct service *service, struct slice user, int64_t before_us) {
    struct store_trim what = {
        .user = user,
        .log_before_us = before_us,
        .settled_before_us = before_us,
        .ahead_us = (int64_t)clock_now_us(service->clock) + HYBRID_CLOCK_AHEAD_MAX_US,
    };
    struct lane_hold hold;
    lane_hold_enter(&hold, service, user);
    enum sync_status status = store_trim(service->store, &what);
    lane_hold_leave(&hold);
    return status;
}

enum sync_status retention_trim_logs(struct service *service, struct retention_counts *counts) {
    int64_t before_us = (int64_t)clock_now_us(service->clock) - (int64_t)service->retention.log_us;
    char after[USER_ID_MAX];
    struct slice after_user = SLICE_EMPTY;
    enum sync_status status, first = SYNC_OK;
    size_t found;
    if (before_us <= 0)
        return SYNC_OK;
    do {
        struct arena arena;
        arena_init(&arena, ARENA_MAX);
        struct key_list list = {.arena = &arena};
        struct scan scan = {.kind = SCAN_USERS, .after_user = after_user};
        status = store_scan(service->store, NULL, &scan, user_visit, &list);
        if (status == SYNC_OK)
            status = list.status;
        for (size_t i = 0; i < list.count && status == SYNC_OK; i++) {
            /* What one user's rows hold must not keep those of all others. */
            enum sync_status trimmed = user_trim(service, list.keys[i], before_us);
            if (first == SYNC_OK)
                first = trimmed;
            if (sync_status_is_fatal(trimmed))
                status = trimmed;
            counts->users_trimmed++;
        }
        found = list.count;
        if (found > 0) {
            struct slice last = list.keys[found - 1];
            assert(last.size <= sizeof after);
            memcpy(after, last.data, last.size);
            after_user = slice_of(after, last.size);
        }
        arena_done(&arena);
    } while (status == SYNC_OK && found == AT_ONCE);
    return status != SYNC_OK ? status : first;
}
