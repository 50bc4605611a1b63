#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/messages.h"
#include "service/rpc/page_token.h"
#include "service/rpc/sync_stream.h"

enum { PLATFORM_MAX = 64 };

/* A device as the API shows it; NULL when there is no room. */
static PB(Device) *device_message(struct rpc_call *call, const struct device *device) {
    struct arena *arena = rpc_call_arena(call);
    PB(Device) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__device__init(message);
    message->device_id = arena_copy_text(arena, device->id);
    message->name = arena_copy_text(arena, device->name);
    message->platform = arena_copy_text(arena, device->platform);
    message->registered_at = message_time(arena, device->registered_us);
    message->last_seen_at = message_time(arena, device->last_seen_us);
    if (device->has_acknowledged)
        message->acknowledged_cursor =
            message_cursor(rpc_call_service(call), arena, device->acknowledged);
    message->revoked = device->revoked;
    bool is_whole = message->device_id && message->name && message->platform &&
                    message->registered_at && message->last_seen_at && message->acknowledged_cursor;
    return is_whole ? message : NULL;
}

static void register_reply(struct rpc_call *call, const struct device *device, void *context) {
    (void)context;
    PB(RegisterDeviceResponse) response = PB_INIT(REGISTER_DEVICE_RESPONSE);
    response.device = device_message(call, device);
    if (response.device)
        sync_service_register_device_reply(call, &response);
    else
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
}

void device_register_handle(struct rpc_call *call) {
    const PB(RegisterDeviceRequest) *request = sync_service_register_device_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    struct device_claim claim = {
        .id = device_check(call, &violations, request->device_id, true),
        .name = slice_text(request->name),
        .platform = slice_text(request->platform),
        .rename = true,
    };
    if (claim.name.size > DEVICE_NAME_MAX)
        violations_add(&violations, "name", "TOO_LONG", "must have at most %d bytes",
                       DEVICE_NAME_MAX);
    if (claim.platform.size > PLATFORM_MAX)
        violations_add(&violations, "platform", "TOO_LONG", "must have at most %d bytes",
                       PLATFORM_MAX);
    if (!violations_end(&violations, call))
        device_bind(call, &claim, register_reply, NULL);
}

/* A page of devices being gathered. */
struct device_page {
    struct rpc_call *call;
    size_t prefix_size; /* of the user's part of the key */
    size_t size;
    PB(Device) **devices;
    size_t count;
    bool has_more;
    struct slice last;
    enum sync_status status;
};

static bool device_page_visit(void *context, const struct scan_item *item) {
    struct device_page *page = context;
    if (page->count == page->size) {
        page->has_more = true;
        return false;
    }
    struct device device;
    page->status = device_unpack(item->row->value, &device);
    if (page->status != SYNC_OK)
        return false;
    device.id = slice_after(item->row->key, page->prefix_size);
    PB(Device) *message = device_message(page->call, &device);
    if (!message) {
        page->status = SYNC_ERR_NO_MEMORY;
        return false;
    }
    page->devices[page->count++] = message;
    page->last = slice_text(message->device_id);
    return true;
}

/* Scans one page behind `after`. */
static enum sync_status device_page_read(struct device_page *page, struct slice after) {
    struct service *service = rpc_call_service(page->call);
    struct arena *arena = rpc_call_arena(page->call);
    struct slice user = slice_text(rpc_call_identity(page->call)->user);
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_DEVICE};
    page->devices = arena_zalloc(arena, page->size, sizeof *page->devices);
    if (!page->devices || !key_of_user(arena, user, SLICE_EMPTY, &scan.prefix) ||
        (after.size > 0 && !key_of_user(arena, user, after, &scan.after_key)))
        return SYNC_ERR_NO_MEMORY;
    page->prefix_size = scan.prefix.size;
    enum sync_status status = store_scan(service->store, NULL, &scan, device_page_visit, page);
    return status != SYNC_OK ? status : page->status;
}

void device_list_handle(struct rpc_call *call) {
    const PB(ListDevicesRequest) *request = sync_service_list_devices_unpack(call);
    if (!request)
        return;
    struct arena *arena = rpc_call_arena(call);
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    struct page_binding binding = {.list = "devices",
                                   .user = slice_text(rpc_call_identity(call)->user)};
    struct device_page page = {.call = call};
    page.size = violations_check_page_size(&violations, request->page_size, PAGE_SIZE_DEFAULT,
                                           PAGE_SIZE_MAX);
    struct slice after = SLICE_EMPTY;
    if (request->page_token[0] &&
        page_token_parse(slice_text(request->page_token), &binding, arena, &after) != SYNC_OK)
        violations_add(&violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    enum sync_status status = device_page_read(&page, after);
    PB(ListDevicesResponse) response = PB_INIT(LIST_DEVICES_RESPONSE);
    response.n_devices = page.count;
    response.devices = page.devices;
    if (status == SYNC_OK && page.has_more) {
        response.next_page_token = page_token_format(arena, &binding, page.last);
        status = response.next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        sync_service_list_devices_reply(call, &response);
    else
        call_fail_status(call, status);
}

/* A revocation on its way; lives in the call's arena. */
struct device_revocation {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct device device;
    struct row_write row;
};

static enum sync_status revocation_apply(struct lane_write *write, struct write_set *ret_set) {
    struct device_revocation *revocation = (struct device_revocation *)write;
    struct arena *arena = rpc_call_arena(revocation->call);
    struct slice user = slice_text(rpc_call_identity(revocation->call)->user);
    struct slice id = revocation->device.id;
    struct row wanted[2] = {{.table = TABLE_DEVICE}, {.table = TABLE_DEVICE_OWNER, .key = id}};
    if (!key_of_user(arena, user, id, &wanted[0].key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = user, .rows = wanted, .row_count = 2};
    struct user_view view;
    enum sync_status status = store_load(write->service->store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    if (!view.rows[0].found)
        return view.rows[1].found ? SYNC_ERR_DENIED : SYNC_ERR_NOT_FOUND;
    status = device_unpack(view.rows[0].value, &revocation->device);
    revocation->device.id = id;
    if (status != SYNC_OK || revocation->device.revoked)
        return status;
    revocation->device.revoked = true;
    revocation->row = (struct row_write){.table = TABLE_DEVICE, .key = wanted[0].key};
    if (!device_pack(&revocation->device, arena, &revocation->row.value))
        return SYNC_ERR_NO_MEMORY;
    *ret_set = (struct write_set){.user = user, /* whose streams hear of it */
                                  .any_revision = true,
                                  .rows = &revocation->row,
                                  .row_count = 1};
    return SYNC_OK;
}

static void revocation_finish(struct lane_write *write, enum sync_status status) {
    struct device_revocation *revocation = (struct device_revocation *)write;
    struct rpc_call *call = revocation->call;
    if (status == SYNC_ERR_NOT_FOUND) {
        rpc_call_fail_with(call, status, "DEVICE_NOT_FOUND", "there is no such device");
        return;
    }
    if (status == SYNC_ERR_DENIED) {
        rpc_call_fail_with(call, status, "DEVICE_OF_ANOTHER_USER",
                           "this device belongs to another user");
        return;
    }
    PB(RevokeDeviceResponse) response = PB_INIT(REVOKE_DEVICE_RESPONSE);
    if (status == SYNC_OK) {
        sync_streams_revoke(write->service->streams, write->lane, revocation->device.id);
        response.device = device_message(call, &revocation->device);
        status = response.device ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        sync_service_revoke_device_reply(call, &response);
    else
        call_fail_status(call, status);
}

void device_revoke_handle(struct rpc_call *call) {
    const PB(RevokeDeviceRequest) *request = sync_service_revoke_device_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    struct slice id = device_check(call, &violations, request->device_id, true);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    struct device_revocation *revocation =
        arena_zalloc(rpc_call_arena(call), 1, sizeof *revocation);
    if (!revocation) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    revocation->call = call;
    revocation->device.id = id;
    revocation->write = (struct lane_write){.service = rpc_call_service(call),
                                            .lane = slice_text(rpc_call_identity(call)->user),
                                            .apply = revocation_apply,
                                            .finish = revocation_finish};
    lane_write_start(&revocation->write);
}
