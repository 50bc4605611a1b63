#include <stdio.h>

#include "service/rpc/handlers.h"
#include "service/rpc/messages.h"
#include "service/rpc/page_token.h"
#include "service/rpc/record_check.h"

void records_get_handle(struct rpc_call *call) {
    const PB(GetRecordsRequest) *request = record_service_get_records_unpack(call);
    if (!request)
        return;
    struct service *service = rpc_call_service(call);
    struct arena *arena = rpc_call_arena(call);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    record_check_user(&violations, request->user_id);
    record_check_count(&violations, "keys", request->n_keys);
    for (size_t i = 0; i < request->n_keys && i < RECORD_KEYS_MAX; i++)
        record_check_key(&violations, "keys", i, (int)request->keys[i]->data_type,
                         request->keys[i]->data_id);
    if (violations_end(&violations, call))
        return;
    struct record_want *wants = arena_zalloc(arena, request->n_keys, sizeof *wants);
    PB(GetRecordsResponse) response = PB_INIT(GET_RECORDS_RESPONSE);
    response.records = arena_zalloc(arena, request->n_keys, sizeof *response.records);
    enum sync_status status = wants && response.records ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    struct user_view view;
    if (status == SYNC_OK) {
        for (size_t i = 0; i < request->n_keys; i++)
            wants[i].key = (struct record_key){(enum data_type)request->keys[i]->data_type,
                                               slice_text(request->keys[i]->data_id)};
        struct touched want = {.user = slice_text(request->user_id),
                               .records = wants,
                               .record_count = request->n_keys};
        status = store_load(service->store, NULL, &want, arena, &view);
    }
    for (size_t i = 0; status == SYNC_OK && i < request->n_keys; i++) {
        if (!view.records[i].found)
            continue;
        PB(Record) *message = message_record(arena, &view.records[i].record, true);
        response.records[response.n_records++] = message;
        status = message ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK) {
        response.cursor = message_cursor(service, arena, view.head.sequence);
        status = response.cursor ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        record_service_get_records_reply(call, &response);
    else
        call_fail_status(call, status);
}

/* A page of records being gathered. */
struct record_page {
    struct arena *arena;
    struct slice user;
    data_type_set types;
    bool include_deleted;
    size_t size;
    PB(Record) **records;
    size_t count, bytes;
    bool has_more;
    enum sync_status status;
};

enum { PAGE_BYTES_MAX = 32 << 20 };

static bool record_page_visit(void *context, const struct scan_item *item) {
    struct record_page *page = context;
    if (item->record->deleted && !page->include_deleted)
        return true;
    page->bytes += item->record->data.size;
    if (page->count == page->size || (page->count > 0 && page->bytes > PAGE_BYTES_MAX)) {
        page->has_more = true;
        return false;
    }
    struct record record = *item->record;
    PB(Record) *message = arena_copy(page->arena, record.data, &record.data)
                              ? message_record(page->arena, &record, true)
                              : NULL;
    if (!message) {
        page->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    page->records[page->count++] = message;
    return true;
}

/* Scans type after type, from behind (`type`, `after`) on. */
static enum sync_status record_page_read(struct record_page *page, struct store *store,
                                         struct store_reader *reader, int type,
                                         struct slice after) {
    page->records = arena_zalloc(page->arena, page->size, sizeof *page->records);
    if (!page->records)
        return SYNC_ERR_NO_MEMORY;
    for (int at = type; at <= DATA_TYPE_LAST && !page->has_more; at++) {
        if (!data_type_in(page->types, (enum data_type)at))
            continue;
        struct scan scan = {.kind = SCAN_RECORDS,
                            .user = page->user,
                            .type = (enum data_type)at,
                            .after_id = at == type ? after : SLICE_EMPTY};
        enum sync_status status = store_scan(store, reader, &scan, record_page_visit, page);
        if (status == SYNC_OK)
            status = page->status;
        if (status != SYNC_OK)
            return status;
    }
    return SYNC_OK;
}

/* The token behind the page's last record: its type's digit and its id. */
static char *record_page_token(const struct record_page *page, const struct page_binding *binding) {
    const PB(Record) *last = page->records[page->count - 1];
    const char *position = arena_format(page->arena, "%d%s", (int)last->data_type, last->data_id);
    return position ? page_token_format(page->arena, binding, slice_text(position)) : NULL;
}

/* Reads the page and the cursor from one snapshot, and answers. */
static void record_page_reply(struct rpc_call *call, struct record_page *page,
                              const struct page_binding *binding, struct slice position) {
    struct service *service = rpc_call_service(call);
    PB(ListRecordsResponse) response = PB_INIT(LIST_RECORDS_RESPONSE);
    struct store_reader *reader = NULL;
    int type = position.size > 0 ? position.data[0] - '0' : DATA_TYPE_FIRST;
    struct slice after = position.size > 0 ? slice_after(position, 1) : SLICE_EMPTY;
    enum sync_status status = store_reader_open(service->store, &reader);
    struct user_view view;
    if (status == SYNC_OK)
        status = store_load(service->store, reader, &(struct touched){.user = page->user},
                            page->arena, &view);
    if (status == SYNC_OK)
        status = record_page_read(page, service->store, reader, type, after);
    store_reader_close(service->store, reader);
    if (status == SYNC_OK) {
        response.records = page->records;
        response.n_records = page->count;
        response.cursor = message_cursor(service, page->arena, view.head.sequence);
        if (page->has_more)
            response.next_page_token = record_page_token(page, binding);
        status = response.cursor && response.next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        record_service_list_records_reply(call, &response);
    else
        call_fail_status(call, status);
}

void records_list_handle(struct rpc_call *call) {
    const PB(ListRecordsRequest) *request = record_service_list_records_unpack(call);
    if (!request)
        return;
    struct arena *arena = rpc_call_arena(call);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    record_check_user(&violations, request->user_id);
    for (size_t i = 0; i < request->n_data_types; i++)
        violations_check_type(&violations, i, (int)request->data_types[i]);
    struct record_page page = {
        .arena = arena,
        .user = slice_text(request->user_id),
        .types = request->n_data_types > 0
                     ? message_type_set(request->data_types, request->n_data_types)
                     : DATA_TYPES_ALL,
        .include_deleted = request->include_deleted,
    };
    page.size = violations_check_page_size(&violations, request->page_size, PAGE_SIZE_DEFAULT,
                                           PAGE_SIZE_MAX);
    char parameters[32];
    snprintf(parameters, sizeof parameters, "%x|%d", page.types, page.include_deleted);
    struct page_binding binding = {
        .list = "records", .user = page.user, .parameters = slice_text(parameters)};
    struct slice position = SLICE_EMPTY;
    if (request->page_token[0] &&
        page_token_parse(slice_text(request->page_token), &binding, arena, &position) != SYNC_OK)
        violations_add(&violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
    if (!violations_end(&violations, call))
        record_page_reply(call, &page, &binding, position);
}
