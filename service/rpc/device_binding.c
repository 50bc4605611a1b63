#include "service/rpc/device_binding.h"

#include <assert.h>

#include "service/rpc/lane_write.h"
#include "service/rpc/messages.h"

/* One binding that has to register or rename; lives in the call's arena. */
struct device_binding {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct device_claim claim;
    struct device device;
    device_bound *next;
    void *context;
    struct work_task task;
    struct sync_error error;
};

struct slice device_check(struct rpc_call *call, struct violations *violations,
                          const char *device_id, bool is_required) {
    struct slice id = slice_text(device_id);
    if (id.size == 0 && is_required)
        violations_add(violations, "deviceId", "REQUIRED", "is required: the device's identifier");
    else if (id.size > 0 && !device_id_is_valid(id))
        violations_add(violations, "deviceId", "INVALID_FORMAT",
                       "must be 1 to %d of letters, digits and ._:-", DEVICE_ID_MAX);
    else if (id.size > 0)
        rpc_call_set_device(call, id);
    return id.size > 0 ? id : slice_text(rpc_call_identity(call)->device);
}

static enum sync_status fail_of_another(struct sync_error *error) {
    return sync_error_set(error, SYNC_ERR_DENIED, "DEVICE_OF_ANOTHER_USER", NULL,
                          "this device id belongs to another user; a device keeps the user who "
                          "registered it first");
}

static enum sync_status fail_revoked(struct sync_error *error) {
    return sync_error_set(error, SYNC_ERR_DENIED, "DEVICE_REVOKED", NULL,
                          "this device has been revoked and may no longer synchronize");
}

static struct slice caller_of(struct rpc_call *call) {
    return slice_text(rpc_call_identity(call)->user);
}

/* Loads the device's row, and whose the id is. */
static enum sync_status binding_load(struct rpc_call *call, struct slice id,
                                     struct row **ret_rows) {
    struct arena *arena = rpc_call_arena(call);
    struct row wanted[2] = {{.table = TABLE_DEVICE}, {.table = TABLE_DEVICE_OWNER, .key = id}};
    if (!key_of_user(arena, caller_of(call), id, &wanted[0].key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = caller_of(call), .rows = wanted, .row_count = 2};
    struct user_view view;
    enum sync_status status = store_load(rpc_call_service(call)->store, NULL, &want, arena, &view);
    if (status == SYNC_OK)
        *ret_rows = view.rows;
    return status;
}

static bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    size_t *count = context;
    return ++*count < USER_DEVICES_MAX;
}

/* Refuses one device too many. */
static enum sync_status binding_check_count(struct device_binding *binding) {
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_DEVICE};
    if (!key_of_user(rpc_call_arena(binding->call), caller_of(binding->call), SLICE_EMPTY,
                     &scan.prefix))
        return SYNC_ERR_NO_MEMORY;
    size_t count = 0;
    enum sync_status status =
        store_scan(binding->write.service->store, NULL, &scan, count_visit, &count);
    if (status != SYNC_OK || count < USER_DEVICES_MAX)
        return status;
    return sync_error_set(&binding->error, SYNC_ERR_EXHAUSTED, "TOO_MANY_DEVICES", NULL,
                          "a user has at most %d devices", USER_DEVICES_MAX);
}

/* Puts the device's row and its owner's into the set. */
static enum sync_status binding_fill(struct device_binding *binding, struct write_set *set) {
    struct arena *arena = rpc_call_arena(binding->call);
    struct slice user = caller_of(binding->call), id = binding->claim.id;
    struct row_write *rows = arena_zalloc(arena, 2, sizeof *rows);
    if (!rows || !key_of_user(arena, user, id, &rows[0].key) ||
        !device_pack(&binding->device, arena, &rows[0].value))
        return SYNC_ERR_NO_MEMORY;
    rows[0].table = TABLE_DEVICE;
    rows[1] = (struct row_write){.table = TABLE_DEVICE_OWNER, .key = id, .value = user};
    set->rows = rows;
    set->row_count = 2;
    return SYNC_OK;
}

static enum sync_status binding_apply(struct lane_write *write, struct write_set *ret_set) {
    struct device_binding *binding = (struct device_binding *)write;
    struct device *device = &binding->device;
    struct row *rows;
    enum sync_status status = binding_load(binding->call, binding->claim.id, &rows);
    if (status != SYNC_OK)
        return status;
    int64_t now_us = rpc_call_received_us(binding->call);
    if (rows[0].found) {
        status = device_unpack(rows[0].value, device);
        if (status != SYNC_OK)
            return status;
        if (device->revoked)
            return fail_revoked(&binding->error);
    } else {
        if (rows[1].found && !slice_equal(rows[1].value, caller_of(binding->call)))
            return fail_of_another(&binding->error);
        status = binding_check_count(binding);
        if (status != SYNC_OK)
            return status;
        *device = (struct device){.registered_us = now_us};
    }
    device->id = binding->claim.id;
    device->last_seen_us = now_us;
    if (binding->claim.rename) {
        device->name = binding->claim.name;
        device->platform = binding->claim.platform;
    }
    return binding_fill(binding, ret_set);
}

static void binding_go_on(struct work_task *task) {
    struct device_binding *binding =
        (struct device_binding *)((char *)task - offsetof(struct device_binding, task));
    binding->next(binding->call, &binding->device, binding->context);
}

static void binding_finish(struct lane_write *write, enum sync_status status) {
    struct device_binding *binding = (struct device_binding *)write;
    if (status == SYNC_OK) {
        binding->task = (struct work_task){.run = binding_go_on};
        status = work_pool_submit(write->service->pool, &binding->task);
        if (status == SYNC_OK)
            return;
    }
    if (binding->error.status == status)
        rpc_call_fail(binding->call, &binding->error);
    else
        call_fail_status(binding->call, status);
}

/* Registers in the device's lane, so that two users who come with the same new id at the same time
 * cannot both get it; renames in the user's, where all else writes the row. */
static void binding_register(struct device_binding *binding, bool is_there) {
    binding->write = (struct lane_write){.service = rpc_call_service(binding->call),
                                         .apply = binding_apply,
                                         .finish = binding_finish};
    binding->write.lane = caller_of(binding->call);
    if (!is_there &&
        !lane_of_device(rpc_call_arena(binding->call), binding->claim.id, &binding->write.lane)) {
        call_fail_status(binding->call, SYNC_ERR_NO_MEMORY);
        return;
    }
    lane_write_start(&binding->write);
}

/* Decides by what is stored: go on, refuse, or register. */
static enum sync_status binding_decide(struct device_binding *binding, const struct row *rows,
                                       bool *ret_must_register) {
    *ret_must_register = false;
    if (rows[0].found) {
        enum sync_status status = device_unpack(rows[0].value, &binding->device);
        if (status != SYNC_OK)
            return status;
        binding->device.id = binding->claim.id;
        *ret_must_register = binding->claim.rename;
        return binding->device.revoked ? fail_revoked(&binding->error) : SYNC_OK;
    }
    if (rows[1].found && !slice_equal(rows[1].value, caller_of(binding->call)))
        return fail_of_another(&binding->error);
    *ret_must_register = !binding->claim.store_nothing;
    return SYNC_OK;
}

void device_bind(struct rpc_call *call, const struct device_claim *claim, device_bound *next,
                 void *context) {
    assert(claim->id.size > 0);
    struct slice of_token = slice_text(rpc_call_identity(call)->device);
    if (of_token.size > 0 && !slice_equal(of_token, claim->id)) {
        rpc_call_fail_with(call, SYNC_ERR_DENIED, "DEVICE_NOT_OF_TOKEN",
                           "the token is bound to another device than the request names");
        return;
    }
    struct device_binding *binding = arena_zalloc(rpc_call_arena(call), 1, sizeof *binding);
    struct row *rows;
    enum sync_status status = binding ? binding_load(call, claim->id, &rows) : SYNC_ERR_NO_MEMORY;
    if (status != SYNC_OK) {
        call_fail_status(call, status);
        return;
    }
    binding->call = call;
    binding->claim = *claim;
    binding->next = next;
    binding->context = context;
    bool must_register;
    status = binding_decide(binding, rows, &must_register);
    if (status != SYNC_OK && binding->error.status == status)
        rpc_call_fail(call, &binding->error);
    else if (status != SYNC_OK)
        call_fail_status(call, status);
    else if (must_register)
        binding_register(binding, rows[0].found);
    else
        next(call, rows[0].found ? &binding->device : NULL, context);
}

bool device_guard(struct rpc_call *call) {
    struct slice id = slice_text(rpc_call_identity(call)->device);
    if (id.size == 0)
        return true;
    struct row *rows;
    struct device device = {0};
    enum sync_status status = binding_load(call, id, &rows);
    if (status == SYNC_OK && rows[0].found)
        status = device_unpack(rows[0].value, &device);
    if (status != SYNC_OK) {
        call_fail_status(call, status);
        return false;
    }
    struct sync_error error;
    if (!rows[0].found && rows[1].found)
        fail_of_another(&error);
    else if (device.revoked)
        fail_revoked(&error);
    else
        return true;
    rpc_call_fail(call, &error);
    return false;
}
