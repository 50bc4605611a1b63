#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/operation.h"
#include "service/rpc/page_token.h"
#include "service/rpc/sync_metrics.h"
#include "service/rpc/violations.h"

/* Checks the id of a request for one operation; false when the call has ended over it. */
static bool operation_check_id(struct rpc_call *call, const char *sync_id) {
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    violations_check_uuid(&violations, "syncId", sync_id);
    return !violations_end(&violations, call);
}

void sync_operation_get_handle(struct rpc_call *call) {
    const PB(GetSyncOperationRequest) *request = sync_service_get_sync_operation_unpack(call);
    if (!request || !operation_check_id(call, request->sync_id) || !device_guard(call))
        return;
    struct sync_error error;
    PB(GetSyncOperationResponse) response = PB_INIT(GET_SYNC_OPERATION_RESPONSE);
    enum sync_status status =
        operation_load(rpc_call_service(call)->store, slice_text(request->sync_id),
                       slice_text(rpc_call_identity(call)->user), rpc_call_arena(call), &error,
                       &response.operation);
    if (status != SYNC_OK) {
        rpc_call_fail(call, &error);
        return;
    }
    status =
        operation_judge(response.operation, (int64_t)clock_now_us(rpc_call_service(call)->clock),
                        rpc_call_arena(call));
    if (status != SYNC_OK)
        call_fail_status(call, status);
    else
        sync_service_get_sync_operation_reply(call, &response);
}

/* Rows looked at for one page: of a device that has few, a page may hold fewer than asked for. */
enum { PAGE_SCAN_MAX = 2 * PAGE_SIZE_MAX };

/* A page of operations being gathered. */
struct operation_page {
    struct rpc_call *call;
    struct slice user, device; /* device empty: of any */
    int64_t now_us;
    size_t size;
    PB(SyncOperation) **operations;
    size_t count, scanned;
    bool has_more;
    struct slice last; /* id looked at */
    enum sync_status status;
};

static bool operation_page_visit(void *context, const struct scan_item *item) {
    struct operation_page *page = context;
    if (page->count == page->size || page->scanned == PAGE_SCAN_MAX) {
        page->has_more = true;
        return false;
    }
    page->scanned++;
    if (!arena_copy(rpc_call_arena(page->call), item->row->value, &page->last)) {
        page->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    PB(SyncOperation) *operation;
    page->status = operation_load(rpc_call_service(page->call)->store, item->row->value, page->user,
                                  rpc_call_arena(page->call), NULL, &operation);
    if (page->status == SYNC_ERR_NOT_FOUND) { /* cleaned up between the two reads */
        page->status = SYNC_OK;
        return true;
    }
    if (page->status == SYNC_OK)
        page->status = operation_judge(operation, page->now_us, rpc_call_arena(page->call));
    if (page->status != SYNC_OK)
        return false;
    if (page->device.size == 0 || slice_equal(page->device, slice_text(operation->device_id)))
        page->operations[page->count++] = operation;
    return true;
}

/* Scans behind the id `after`, or from the newest. */
static enum sync_status operation_page_read(struct operation_page *page, struct slice after) {
    struct arena *arena = rpc_call_arena(page->call);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_OPERATION_BY_USER};
    page->operations = arena_zalloc(arena, page->size, sizeof *page->operations);
    /* The marks of open operations come first, behind a NUL: begin after them. */
    bool has_keys =
        page->operations && key_of_user(arena, page->user, SLICE_EMPTY, &scan.prefix) &&
        (after.size > 0 ? key_of_operation_index(arena, page->user, after, &scan.after_key)
                        : key_of_user(arena, page->user, SLICE("\x01"), &scan.after_key));
    if (!has_keys)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status =
        store_scan(rpc_call_service(page->call)->store, NULL, &scan, operation_page_visit, page);
    return status == SYNC_OK ? page->status : status;
}

/* Answers with the page. */
static void operation_page_reply(struct operation_page *page, const struct page_binding *binding,
                                 struct slice after) {
    enum sync_status status = operation_page_read(page, after);
    PB(ListSyncOperationsResponse) response = PB_INIT(LIST_SYNC_OPERATIONS_RESPONSE);
    response.operations = page->operations;
    response.n_operations = page->count;
    if (status == SYNC_OK && page->has_more) {
        response.next_page_token =
            page_token_format(rpc_call_arena(page->call), binding, page->last);
        status = response.next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        sync_service_list_sync_operations_reply(page->call, &response);
    else
        call_fail_status(page->call, status);
}

void sync_operation_list_handle(struct rpc_call *call) {
    const PB(ListSyncOperationsRequest) *request = sync_service_list_sync_operations_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    struct operation_page page = {.call = call,
                                  .user = slice_text(rpc_call_identity(call)->user),
                                  .now_us = (int64_t)clock_now_us(rpc_call_service(call)->clock),
                                  .device = slice_text(request->device_id)};
    page.size = violations_check_page_size(&violations, request->page_size, PAGE_SIZE_DEFAULT,
                                           PAGE_SIZE_MAX);
    if (page.device.size > 0 && !device_id_is_valid(page.device))
        violations_add(&violations, "deviceId", "INVALID_FORMAT",
                       "must be 1 to %d of letters, digits and ._:-", DEVICE_ID_MAX);
    struct page_binding binding = {
        .list = "operations", .user = page.user, .parameters = page.device};
    struct slice after = SLICE_EMPTY;
    if (request->page_token[0] && page_token_parse(slice_text(request->page_token), &binding,
                                                   rpc_call_arena(call), &after) != SYNC_OK)
        violations_add(&violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
    if (!violations_end(&violations, call) && device_guard(call))
        operation_page_reply(&page, &binding, after);
}

/* A cancellation on its way; lives in the call's arena. */
struct cancellation {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct slice sync_id;
    PB(SyncOperation) *operation;
    struct row_write rows[OPERATION_ROWS_MAX];
    struct sync_error error;
};

static enum sync_status cancellation_apply(struct lane_write *write, struct write_set *ret_set) {
    struct cancellation *cancel = (struct cancellation *)write;
    struct arena *arena = rpc_call_arena(cancel->call);
    enum sync_status status = operation_load(write->service->store, cancel->sync_id,
                                             slice_text(rpc_call_identity(cancel->call)->user),
                                             arena, &cancel->error, &cancel->operation);
    if (status != SYNC_OK || operation_has_ended(cancel->operation))
        return status;
    status = operation_end(cancel->operation, OPERATION_CANCELLED, NULL,
                           (int64_t)clock_now_us(write->service->clock), arena);
    size_t count = 0;
    if (status == SYNC_OK)
        status = operation_put(cancel->operation, false, arena, cancel->rows, &count);
    *ret_set = (struct write_set){.user = write->lane, /* whose watchers hear of it */
                                  .any_revision = true,
                                  .rows = cancel->rows,
                                  .row_count = count};
    return status;
}

static void cancellation_finish(struct lane_write *write, enum sync_status status) {
    struct cancellation *cancel = (struct cancellation *)write;
    if (status == SYNC_OK) {
        const struct sync_metrics *metrics = write->service->sync_metrics;
        if (metrics && write->set.row_count > 0)
            metric_add(metrics->operations[OPERATION_CANCELLED], 1);
        PB(CancelSyncOperationResponse) response = PB_INIT(CANCEL_SYNC_OPERATION_RESPONSE);
        response.operation = cancel->operation;
        sync_service_cancel_sync_operation_reply(cancel->call, &response);
    } else if (cancel->error.status == status) {
        rpc_call_fail(cancel->call, &cancel->error);
    } else {
        call_fail_status(cancel->call, status);
    }
}

void sync_operation_cancel_handle(struct rpc_call *call) {
    const PB(CancelSyncOperationRequest) *request = sync_service_cancel_sync_operation_unpack(call);
    if (!request || !operation_check_id(call, request->sync_id) || !device_guard(call))
        return;
    struct cancellation *cancel = arena_zalloc(rpc_call_arena(call), 1, sizeof *cancel);
    if (!cancel) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    cancel->call = call;
    cancel->sync_id = slice_text(request->sync_id);
    cancel->write = (struct lane_write){.service = rpc_call_service(call),
                                        .lane = slice_text(rpc_call_identity(call)->user),
                                        .apply = cancellation_apply,
                                        .finish = cancellation_finish};
    lane_write_start(&cancel->write);
}
