#include "service/rpc/conflict_bound.h"

#include <assert.h>

#include "service/core/conflict.h"
#include "service/rpc/lane_write.h"

enum { USERS_AT_ONCE = 64, CONFLICTS_AT_ONCE = 256, ARENA_MAX = 8 << 20, PLACE_RESOLVED = '1' };

/* A pass over the users' resolved conflicts, which lie together. */
struct bound_pass {
    struct arena *arena;
    uint64_t max;
    uint8_t user[USER_ID_MAX]; /* the one who is counted */
    size_t user_size;
    uint64_t count;
    struct slice users[USERS_AT_ONCE]; /* who have too many */
    uint64_t excess[USERS_AT_ONCE];
    size_t user_count;
    bool no_memory;
};

/* Ends the count of a user. */
static void pass_close_user(struct bound_pass *pass) {
    if (pass->count > pass->max) {
        pass->no_memory = !arena_copy(pass->arena, slice_of(pass->user, pass->user_size),
                                      &pass->users[pass->user_count]);
        pass->excess[pass->user_count++] = pass->count - pass->max;
    }
    pass->count = 0;
}

/* Counts a place; false ends the pass, between two users. */
static bool pass_visit(void *context, const struct scan_item *item) {
    struct bound_pass *pass = context;
    struct slice key = item->row->key;
    const uint8_t *nul = memchr(key.data, 0, key.size);
    struct slice user = slice_first(key, nul ? (size_t)(nul - key.data) : 0);
    if (!slice_equal(user, slice_of(pass->user, pass->user_size))) {
        pass_close_user(pass);
        if (pass->user_count == USERS_AT_ONCE || pass->no_memory || user.size > USER_ID_MAX)
            return false;
        memcpy(pass->user, user.data, user.size);
        pass->user_size = user.size;
    }
    pass->count += key.size > user.size + 1 && key.data[user.size + 1] == PLACE_RESOLVED;
    return true;
}

/* Some of a user's oldest on their way out. */
struct bound_write {
    struct lane_write write; /* first: found from it */
    struct arena *arena;
    struct slice user;
    size_t wanted;
    struct row_write *rows; /* two for each */
    size_t prefix_size, count;
    bool no_memory;
};

static bool oldest_visit(void *context, const struct scan_item *item) {
    struct bound_write *bound = context;
    struct row_write *rows = &bound->rows[2 * bound->count];
    rows[0] = (struct row_write){.table = TABLE_CONFLICT_BY_USER, .remove = true};
    rows[1] = (struct row_write){.table = TABLE_CONFLICT, .remove = true};
    bound->no_memory = !arena_copy(bound->arena, item->row->key, &rows[0].key);
    if (bound->no_memory)
        return false;
    rows[1].key = slice_after(rows[0].key, bound->prefix_size);
    return ++bound->count < bound->wanted;
}

/* The head is read first, so that what is taken back meanwhile, elsewhere, has it moved. */
static enum sync_status oldest_apply(struct lane_write *write, struct write_set *ret_set) {
    struct bound_write *bound = (struct bound_write *)write;
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_CONFLICT_BY_USER, .with_damaged = true};
    struct touched want = {.user = bound->user};
    struct user_view view;
    bound->count = 0;
    bound->rows = arena_alloc(bound->arena, 2 * bound->wanted * sizeof *bound->rows);
    enum sync_status status =
        bound->rows ? store_load(write->service->store, NULL, &want, bound->arena, &view)
                    : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK)
        status = conflict_index_key(bound->user, true, SLICE_EMPTY, bound->arena, &scan.prefix);
    if (status != SYNC_OK)
        return status;
    bound->prefix_size = scan.prefix.size;
    status = store_scan(write->service->store, NULL, &scan, oldest_visit, bound);
    if (status != SYNC_OK || bound->no_memory)
        return status != SYNC_OK ? status : SYNC_ERR_NO_MEMORY;
    *ret_set = (struct write_set){.user = bound->user,
                                  .expected_revision = view.head.revision,
                                  .head = view.head,
                                  .rows = bound->rows,
                                  .row_count = 2 * bound->count};
    return SYNC_OK;
}

/* Removes so many of the user's oldest. */
static enum sync_status user_shorten(struct service *service, struct slice user, uint64_t excess,
                                     uint64_t *count) {
    enum sync_status status = SYNC_OK;
    while (status == SYNC_OK && excess > 0) {
        struct arena arena;
        arena_init(&arena, ARENA_MAX);
        struct bound_write bound = {
            .write = {.service = service, .lane = user, .apply = oldest_apply},
            .arena = &arena,
            .user = user,
            .wanted = excess < CONFLICTS_AT_ONCE ? (size_t)excess : CONFLICTS_AT_ONCE};
        status = lane_write_wait(&bound.write);
        if (status == SYNC_OK)
            *count += bound.count;
        excess = bound.count == bound.wanted ? excess - bound.count : 0;
        arena_done(&arena);
    }
    return status;
}

/* One pass, behind a key. */
static enum sync_status pass_run(struct service *service, struct slice after, struct arena *arena,
                                 struct bound_pass *pass) {
    struct scan scan = {.kind = SCAN_ROWS,
                        .table = TABLE_CONFLICT_BY_USER,
                        .after_key = after,
                        .with_damaged = true};
    *pass = (struct bound_pass){.arena = arena, .max = service->retention.decisions_max};
    enum sync_status status = store_scan(service->store, NULL, &scan, pass_visit, pass);
    if (status == SYNC_OK && pass->user_count < USERS_AT_ONCE)
        pass_close_user(pass);
    return status == SYNC_OK && pass->no_memory ? SYNC_ERR_NO_MEMORY : status;
}

enum sync_status conflict_bound_keep(struct service *service, uint64_t *count) {
    assert(service && count);
    enum sync_status status = SYNC_OK;
    char after[USER_ID_MAX + 1];
    struct slice after_key = SLICE_EMPTY;
    bool has_more = service->retention.decisions_max > 0;
    while (status == SYNC_OK && has_more) {
        struct arena arena;
        struct bound_pass pass;
        arena_init(&arena, ARENA_MAX);
        status = pass_run(service, after_key, &arena, &pass);
        has_more = status == SYNC_OK && pass.user_count == USERS_AT_ONCE;
        for (size_t i = 0; status == SYNC_OK && i < pass.user_count; i++)
            status = user_shorten(service, pass.users[i], pass.excess[i], count);
        if (has_more) { /* behind all of the last one's */
            struct slice last = pass.users[USERS_AT_ONCE - 1];
            assert(last.size < sizeof after);
            memcpy(after, last.data, last.size);
            after[last.size] = '\x01';
            after_key = slice_of(after, last.size + 1);
        }
        arena_done(&arena);
    }
    return status;
}
