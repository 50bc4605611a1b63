#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/storage.h"
#include "service/rpc/user_config.h"

/* Reads the caller's settings, as stored or by default. */
static enum sync_status config_load(struct rpc_call *call, struct row *ret_row,
                                    PB(SyncConfig) **ret_config) {
    struct arena *arena = rpc_call_arena(call);
    struct slice user = slice_text(rpc_call_identity(call)->user);
    struct row wanted = {.table = TABLE_CONFIG};
    if (!key_of_user(arena, user, SLICE_EMPTY, &wanted.key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(rpc_call_service(call)->store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    PB(SyncConfig) *config = user_config_read(&view.rows[0], user, arena);
    if (!config)
        return SYNC_ERR_CORRUPT;
    wanted.found = view.rows[0].found;
    *ret_row = wanted;
    *ret_config = config;
    return SYNC_OK;
}

void config_get_handle(struct rpc_call *call) {
    if (!sync_service_get_sync_config_unpack(call) || !device_guard(call))
        return;
    struct row row;
    PB(GetSyncConfigResponse) response = PB_INIT(GET_SYNC_CONFIG_RESPONSE);
    enum sync_status status = config_load(call, &row, &response.config);
    if (status != SYNC_OK)
        call_fail_status(call, status);
    else
        sync_service_get_sync_config_reply(call, &response);
}

/* An update on its way; lives in the call's arena. */
struct config_update {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    const PB(UpdateSyncConfigRequest) *request;
    struct violations violations;
    struct row_write row;
    PB(SyncConfig) *config;
};

static enum sync_status config_update_apply(struct lane_write *write, struct write_set *ret_set) {
    struct config_update *update = (struct config_update *)write;
    struct arena *arena = rpc_call_arena(update->call);
    struct row row;
    enum sync_status status = config_load(update->call, &row, &update->config);
    if (status != SYNC_OK)
        return status;
    user_config_update(update->config, update->request, &update->violations);
    if (violations_any(&update->violations))
        return SYNC_ERR_INVALID;
    int64_t now_us = rpc_call_received_us(update->call);
    if (!row.found)
        update->config->created_at = message_time(arena, now_us);
    update->config->updated_at = message_time(arena, now_us);
    update->row = (struct row_write){.table = TABLE_CONFIG, .key = row.key};
    if (!update->config->created_at || !update->config->updated_at ||
        !message_pack(&update->config->base, arena, &update->row.value))
        return SYNC_ERR_NO_MEMORY;
    ret_set->rows = &update->row;
    ret_set->row_count = 1;
    return SYNC_OK;
}

static void config_update_finish(struct lane_write *write, enum sync_status status) {
    struct config_update *update = (struct config_update *)write;
    if (status == SYNC_ERR_INVALID && violations_end(&update->violations, update->call))
        return;
    if (status != SYNC_OK) {
        call_fail_status(update->call, status);
        return;
    }
    PB(UpdateSyncConfigResponse) response = PB_INIT(UPDATE_SYNC_CONFIG_RESPONSE);
    response.config = update->config;
    sync_service_update_sync_config_reply(update->call, &response);
}

void config_update_handle(struct rpc_call *call) {
    PB(UpdateSyncConfigRequest) *request = sync_service_update_sync_config_unpack(call);
    if (!request || !device_guard(call))
        return;
    struct config_update *update = arena_zalloc(rpc_call_arena(call), 1, sizeof *update);
    if (!update) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    update->call = call;
    update->request = request;
    violations_init(&update->violations, rpc_call_arena(call), rpc_call_faults(call));
    update->write = (struct lane_write){.service = rpc_call_service(call),
                                        .lane = slice_text(rpc_call_identity(call)->user),
                                        .apply = config_update_apply,
                                        .finish = config_update_finish};
    lane_write_start(&update->write);
}
