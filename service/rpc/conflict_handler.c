#include "service/rpc/conflict_view.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/page_token.h"
#include "service/rpc/violations.h"

/* How conflicts are listed; the numbers are those of travelsense.sync.v1.ConflictOrder. */
enum { CONFLICT_ORDER_DEADLINE = 2 };

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

/* What is asked for: which conflicts, behind which place of their order. */
struct conflict_list {
    struct page_binding binding;
    size_t size;
    bool by_deadline, include_resolved;
    struct slice after;
};

/* Places of conflicts in order, from one part of the index: what is behind the prefix of the keys.
 * They end with the conflict's id. */
struct conflict_places {
    struct arena *arena;
    size_t prefix_size, size;
    struct slice *list;
    size_t count;
    bool no_memory;
};

static bool places_visit(void *context, const struct scan_item *item) {
    struct conflict_places *places = context;
    struct slice place = slice_after(item->row->key, places->prefix_size);
    places->no_memory = !arena_copy(places->arena, place, &places->list[places->count]);
    return !places->no_memory && ++places->count < places->size;
}

/* Reads up to `places->size` places under the prefix, behind `after`. */
static enum sync_status places_read(struct conflict_places *places, struct rpc_call *call,
                                    struct slice prefix, struct slice after) {
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_CONFLICT_BY_USER, .prefix = prefix};
    places->arena = rpc_call_arena(call);
    places->prefix_size = prefix.size;
    places->list = arena_zalloc(places->arena, places->size, sizeof *places->list);
    if (!places->list)
        return SYNC_ERR_NO_MEMORY;
    if (after.size > 0) {
        uint8_t *key = arena_alloc(places->arena, prefix.size + after.size);
        if (!key)
            return SYNC_ERR_NO_MEMORY;
        memcpy(key, prefix.data, prefix.size);
        memcpy(key + prefix.size, after.data, after.size);
        scan.after_key = slice_of(key, prefix.size + after.size);
    }
    enum sync_status status =
        store_scan(rpc_call_service(call)->store, NULL, &scan, places_visit, places);
    return status == SYNC_OK && places->no_memory ? SYNC_ERR_NO_MEMORY : status;
}

/* Reads the places that are asked for: of those that wait, and perhaps of those that are resolved.
 */
static enum sync_status list_read(const struct conflict_list *list, struct rpc_call *call,
                                  struct conflict_places places[2]) {
    struct slice prefix;
    struct arena *arena = rpc_call_arena(call);
    enum sync_status status =
        list->by_deadline
            ? conflict_deadline_key(list->binding.user, 0, SLICE_EMPTY, arena, &prefix)
            : conflict_index_key(list->binding.user, false, SLICE_EMPTY, arena, &prefix);
    if (status == SYNC_OK)
        status = places_read(&places[0], call, prefix, list->after);
    if (status == SYNC_OK && list->include_resolved)
        status = conflict_index_key(list->binding.user, true, SLICE_EMPTY, arena, &prefix);
    if (status == SYNC_OK && list->include_resolved)
        status = places_read(&places[1], call, prefix, list->after);
    return status;
}

/* Takes the smaller of the two next places; of two ids, which are UUIDv7, it is the older. */
static bool places_take(const struct conflict_places lists[2], size_t at[2],
                        struct slice *ret_place) {
    int from = -1;
    for (int i = 0; i < 2; i++)
        if (at[i] < lists[i].count &&
            (from < 0 || slice_compare(lists[i].list[at[i]], lists[from].list[at[from]]) < 0))
            from = i;
    if (from < 0)
        return false;
    *ret_place = lists[from].list[at[from]++];
    return true;
}

/* Fills the answer with conflicts behind `after`, in order. */
static enum sync_status list_fill(struct rpc_call *call, const struct conflict_list *list,
                                  PB(ListConflictsResponse) *response) {
    struct arena *arena = rpc_call_arena(call);
    struct conflict_places places[2] = {{.size = list->size + 1}, {.size = list->size + 1}};
    enum sync_status status = list_read(list, call, places);
    response->conflicts = arena_zalloc(arena, list->size, sizeof *response->conflicts);
    if (status == SYNC_OK && !response->conflicts)
        status = SYNC_ERR_NO_MEMORY;
    size_t at[2] = {0};
    struct slice place, last = SLICE_EMPTY;
    while (status == SYNC_OK && response->n_conflicts < list->size &&
           places_take(places, at, &place)) {
        last = place;
        if (place.size < UUID_TEXT_SIZE)
            return SYNC_ERR_CORRUPT;
        status = conflict_show(call, slice_after(place, place.size - UUID_TEXT_SIZE), NULL,
                               &response->conflicts[response->n_conflicts]);
        /* Cleaned up between the two reads; or damaged, which the store has told: it hides itself
         * alone. */
        if (status == SYNC_ERR_NOT_FOUND || status == SYNC_ERR_CORRUPT) {
            status = SYNC_OK;
            continue;
        }
        if (status != SYNC_OK)
            break;
        response->n_conflicts++;
    }
    if (status == SYNC_OK && places_take(places, at, &place)) {
        response->next_page_token = page_token_format(arena, &list->binding, last);
        status = response->next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    return status;
}

/* Reads what is asked for, and adds what is wrong with it. */
static void list_check(struct rpc_call *call, const PB(ListConflictsRequest) *request,
                       struct violations *violations, struct conflict_list *list) {
    list->size = violations_check_page_size(violations, request->page_size, PAGE_SIZE_DEFAULT,
                                            PAGE_SIZE_MAX);
    list->by_deadline = (int)request->order == CONFLICT_ORDER_DEADLINE;
    /* What is resolved has no deadline. */
    list->include_resolved = request->include_resolved && !list->by_deadline;
    list->binding = (struct page_binding){
        .list = "conflicts",
        .user = slice_text(rpc_call_identity(call)->user),
        .parameters = list->by_deadline        ? SLICE("deadline")
                      : list->include_resolved ? SLICE("all")
                                               : SLICE("open"),
    };
    if ((int)request->order < 0 || (int)request->order > CONFLICT_ORDER_DEADLINE)
        violations_add(violations, "order", "INVALID_VALUE", "must be age or deadline");
    if (request->page_token[0] && page_token_parse(slice_text(request->page_token), &list->binding,
                                                   rpc_call_arena(call), &list->after) != SYNC_OK)
        violations_add(violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
}

void conflict_list_handle(struct rpc_call *call) {
    const PB(ListConflictsRequest) *request = sync_service_list_conflicts_unpack(call);
    if (!request)
        return;
    struct violations violations;
    struct conflict_list list = {.size = 0};
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    list_check(call, request, &violations, &list);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    PB(ListConflictsResponse) response = PB_INIT(LIST_CONFLICTS_RESPONSE);
    response.server_time =
        message_time(rpc_call_arena(call), (int64_t)clock_now_us(rpc_call_service(call)->clock));
    enum sync_status status =
        response.server_time ? list_fill(call, &list, &response) : SYNC_ERR_NO_MEMORY;
    if (status == SYNC_OK)
        sync_service_list_conflicts_reply(call, &response);
    else
        call_fail_status(call, status);
}
