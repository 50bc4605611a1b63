#include "service/rpc/conflict_view.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/page_token.h"
#include "service/rpc/violations.h"

void conflict_get_handle(struct rpc_call *call) {
    const PB(GetConflictRequest) *request = sync_service_get_conflict_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    violations_check_uuid(&violations, "conflictId", request->conflict_id);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    struct sync_error error = {0};
    PB(GetConflictResponse) response = PB_INIT(GET_CONFLICT_RESPONSE);
    enum sync_status status =
        conflict_show(call, slice_text(request->conflict_id), &error, &response.conflict);
    if (status == SYNC_OK)
        sync_service_get_conflict_reply(call, &response);
    else if (error.status == status)
        rpc_call_fail(call, &error);
    else
        call_fail_status(call, status);
}

/* Conflict ids in order, from one part of the index. */
struct conflict_ids {
    struct arena *arena;
    size_t prefix_size, size;
    struct slice *list;
    size_t count;
    bool no_memory;
};

static bool ids_visit(void *context, const struct scan_item *item) {
    struct conflict_ids *ids = context;
    struct slice id = slice_after(item->row->key, ids->prefix_size);
    ids->no_memory = !arena_copy(ids->arena, id, &ids->list[ids->count]);
    return !ids->no_memory && ++ids->count < ids->size;
}

/* Reads up to `ids->size` ids behind `after`. */
static enum sync_status ids_read(struct conflict_ids *ids, struct rpc_call *call, bool resolved,
                                 struct slice after) {
    struct slice user = slice_text(rpc_call_identity(call)->user);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_CONFLICT_BY_USER};
    ids->arena = rpc_call_arena(call);
    ids->list = arena_zalloc(ids->arena, ids->size, sizeof *ids->list);
    enum sync_status status =
        ids->list ? conflict_index_key(user, resolved, SLICE_EMPTY, ids->arena, &scan.prefix)
                  : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK && after.size > 0)
        status = conflict_index_key(user, resolved, after, ids->arena, &scan.after_key);
    if (status != SYNC_OK)
        return status;
    ids->prefix_size = scan.prefix.size;
    status = store_scan(rpc_call_service(call)->store, NULL, &scan, ids_visit, ids);
    return status == SYNC_OK && ids->no_memory ? SYNC_ERR_NO_MEMORY : status;
}

/* Takes the smaller of the two next ids: they are UUIDv7, so that the smaller is the older. */
static bool ids_take(const struct conflict_ids lists[2], size_t at[2], struct slice *ret_id) {
    int from = -1;
    for (int i = 0; i < 2; i++)
        if (at[i] < lists[i].count &&
            (from < 0 || slice_compare(lists[i].list[at[i]], lists[from].list[at[from]]) < 0))
            from = i;
    if (from < 0)
        return false;
    *ret_id = lists[from].list[at[from]++];
    return true;
}

/* Fills the answer with conflicts behind `after`, oldest first. */
static enum sync_status list_fill(struct rpc_call *call, const struct page_binding *binding,
                                  size_t size, bool include_resolved, struct slice after,
                                  PB(ListConflictsResponse) *response) {
    struct arena *arena = rpc_call_arena(call);
    struct conflict_ids lists[2] = {{.size = size + 1}, {.size = size + 1}};
    enum sync_status status = ids_read(&lists[0], call, false, after);
    if (status == SYNC_OK && include_resolved)
        status = ids_read(&lists[1], call, true, after);
    response->conflicts = arena_zalloc(arena, size, sizeof *response->conflicts);
    if (status == SYNC_OK && !response->conflicts)
        status = SYNC_ERR_NO_MEMORY;
    size_t at[2] = {0};
    struct slice id, last = SLICE_EMPTY;
    while (status == SYNC_OK && response->n_conflicts < size && ids_take(lists, at, &id)) {
        last = id;
        status = conflict_show(call, id, NULL, &response->conflicts[response->n_conflicts]);
        if (status == SYNC_ERR_NOT_FOUND) { /* cleaned up between the two reads */
            status = SYNC_OK;
            continue;
        }
        if (status != SYNC_OK)
            break;
        response->n_conflicts++;
    }
    if (status == SYNC_OK && ids_take(lists, at, &id)) {
        response->next_page_token = page_token_format(arena, binding, last);
        status = response->next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    return status;
}

void conflict_list_handle(struct rpc_call *call) {
    const PB(ListConflictsRequest) *request = sync_service_list_conflicts_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    size_t size = violations_check_page_size(&violations, request->page_size, PAGE_SIZE_DEFAULT,
                                             PAGE_SIZE_MAX);
    struct page_binding binding = {
        .list = "conflicts",
        .user = slice_text(rpc_call_identity(call)->user),
        .parameters = request->include_resolved ? SLICE("all") : SLICE("open"),
    };
    struct slice after = SLICE_EMPTY;
    if (request->page_token[0] && page_token_parse(slice_text(request->page_token), &binding,
                                                   rpc_call_arena(call), &after) != SYNC_OK)
        violations_add(&violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    PB(ListConflictsResponse) response = PB_INIT(LIST_CONFLICTS_RESPONSE);
    enum sync_status status =
        list_fill(call, &binding, size, request->include_resolved, after, &response);
    if (status == SYNC_OK)
        sync_service_list_conflicts_reply(call, &response);
    else
        call_fail_status(call, status);
}
