#include "service/rpc/device_binding.h"

#include <assert.h>

#include "service/rpc/lane_write.h"
#include "service/rpc/messages.h"

/* A binding for a call; lives in the call's arena. */
struct call_binding {
    struct device_binding binding; /* first: found from it */
    struct rpc_call *call;
    device_bound *next;
    void *context;
    struct work_task task;
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

/* Whose device is looked for, and where. */
struct device_look {
    struct store *store;
    struct slice user, id;
    struct arena *arena;
};

/* Loads the device's row, and whose the id is. */
static enum sync_status look_load(const struct device_look *look, struct row **ret_rows) {
    struct row wanted[2] = {{.table = TABLE_DEVICE},
                            {.table = TABLE_DEVICE_OWNER, .key = look->id}};
    if (!key_of_user(look->arena, look->user, look->id, &wanted[0].key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = look->user, .rows = wanted, .row_count = 2};
    struct user_view view;
    enum sync_status status = store_load(look->store, NULL, &want, look->arena, &view);
    if (status == SYNC_OK)
        *ret_rows = view.rows;
    return status;
}

static enum sync_status binding_load(struct device_binding *binding, struct row **ret_rows) {
    struct device_look look = {.store = binding->service->store,
                               .user = binding->user,
                               .id = binding->claim.id,
                               .arena = binding->arena};
    return look_load(&look, ret_rows);
}

static bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    size_t *count = context;
    return ++*count < USER_DEVICES_MAX;
}

/* Refuses one device too many. */
static enum sync_status binding_check_count(struct device_binding *binding) {
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_DEVICE};
    if (!key_of_user(binding->arena, binding->user, SLICE_EMPTY, &scan.prefix))
        return SYNC_ERR_NO_MEMORY;
    size_t count = 0;
    enum sync_status status = store_scan(binding->service->store, NULL, &scan, count_visit, &count);
    if (status != SYNC_OK || count < USER_DEVICES_MAX)
        return status;
    return sync_error_set(&binding->error, SYNC_ERR_EXHAUSTED, "TOO_MANY_DEVICES", NULL,
                          "a user has at most %d devices", USER_DEVICES_MAX);
}

/* Puts the device's row and its owner's into the set. */
static enum sync_status binding_fill(struct device_binding *binding, struct write_set *set) {
    struct arena *arena = binding->arena;
    struct slice user = binding->user, id = binding->claim.id;
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
    enum sync_status status = binding_load(binding, &rows);
    if (status != SYNC_OK)
        return status;
    int64_t now_us = binding->now_us;
    if (rows[0].found) {
        status = device_unpack(rows[0].value, device);
        if (status != SYNC_OK)
            return status;
        if (device->revoked)
            return fail_revoked(&binding->error);
    } else {
        if (rows[1].found && !slice_equal(rows[1].value, binding->user))
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

static void binding_finish(struct lane_write *write, enum sync_status status) {
    struct device_binding *binding = (struct device_binding *)write;
    binding->is_registered = status == SYNC_OK;
    binding->done(binding, status);
}

/* Registers in the device's lane, so that two users who come with the same new id at the same time
 * cannot both get it; renames in the user's, where all else writes the row. */
static enum sync_status binding_register(struct device_binding *binding, bool is_there) {
    binding->write = (struct lane_write){
        .service = binding->service, .apply = binding_apply, .finish = binding_finish};
    binding->write.lane = binding->user;
    if (!is_there && !lane_of_device(binding->arena, binding->claim.id, &binding->write.lane))
        return SYNC_ERR_NO_MEMORY;
    lane_write_start(&binding->write);
    return SYNC_OK;
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
    if (rows[1].found && !slice_equal(rows[1].value, binding->user))
        return fail_of_another(&binding->error);
    *ret_must_register = !binding->claim.store_nothing;
    return SYNC_OK;
}

bool device_binding_start(struct device_binding *binding, enum sync_status *ret_status) {
    assert(binding->claim.id.size > 0 && binding->user.size > 0);
    assert(binding->done);
    if (binding->of_token.size > 0 && !slice_equal(binding->of_token, binding->claim.id)) {
        *ret_status = sync_error_set(&binding->error, SYNC_ERR_DENIED, "DEVICE_NOT_OF_TOKEN", NULL,
                                     "the token is bound to another device than the request names");
        return true;
    }
    struct row *rows = NULL;
    bool must_register = false;
    enum sync_status status = binding_load(binding, &rows);
    if (status == SYNC_OK)
        status = binding_decide(binding, rows, &must_register);
    if (status == SYNC_OK && must_register) {
        status = binding_register(binding, rows[0].found);
        if (status == SYNC_OK)
            return false; /* it may have ended since, and the binding be gone */
    }
    binding->is_registered = status == SYNC_OK && rows[0].found;
    *ret_status = status;
    return true;
}

/* Goes on with the call, or ends it. */
static void call_binding_end(struct call_binding *state, enum sync_status status) {
    struct device_binding *binding = &state->binding;
    if (status == SYNC_OK)
        state->next(state->call, binding->is_registered ? &binding->device : NULL, state->context);
    else if (binding->error.status == status)
        rpc_call_fail(state->call, &binding->error);
    else
        call_fail_status(state->call, status);
}

static void call_binding_go_on(struct work_task *task) {
    call_binding_end((struct call_binding *)((char *)task - offsetof(struct call_binding, task)),
                     SYNC_OK);
}

static void call_binding_done(struct device_binding *binding, enum sync_status status) {
    struct call_binding *state = (struct call_binding *)binding;
    if (status == SYNC_OK) { /* on a thread that may block */
        state->task = (struct work_task){.run = call_binding_go_on};
        status = work_pool_submit(binding->service->pool, &state->task);
        if (status == SYNC_OK)
            return;
    }
    call_binding_end(state, status);
}

void device_bind(struct rpc_call *call, const struct device_claim *claim, device_bound *next,
                 void *context) {
    struct call_binding *state = arena_zalloc(rpc_call_arena(call), 1, sizeof *state);
    if (!state) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    const struct identity *identity = rpc_call_identity(call);
    state->call = call;
    state->next = next;
    state->context = context;
    state->binding = (struct device_binding){.service = rpc_call_service(call),
                                             .arena = rpc_call_arena(call),
                                             .user = slice_text(identity->user),
                                             .of_token = slice_text(identity->device),
                                             .claim = *claim,
                                             .now_us = rpc_call_received_us(call),
                                             .done = call_binding_done};
    enum sync_status status;
    if (device_binding_start(&state->binding, &status))
        call_binding_end(state, status);
}

bool device_guard(struct rpc_call *call) {
    struct slice id = slice_text(rpc_call_identity(call)->device);
    if (id.size == 0)
        return true;
    struct row *rows;
    struct device device = {0};
    struct device_look look = {.store = rpc_call_service(call)->store,
                               .user = slice_text(rpc_call_identity(call)->user),
                               .id = id,
                               .arena = rpc_call_arena(call)};
    enum sync_status status = look_load(&look, &rows);
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
