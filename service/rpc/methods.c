#include "service/rpc/methods.h"

#include "grpc/health/v1/health.grpc-server.h"
#include "grpc/reflection/v1/reflection.grpc-server.h"
#include "grpc/reflection/v1alpha/reflection.grpc-server.h"
#include "service/rpc/handlers.h"
#include "service/rpc/health.h"
#include "service/rpc/reflection.h"
#include "travelsense/sync/v1/record_service.grpc-server.h"
#include "travelsense/sync/v1/sync_service.grpc-server.h"

/* Changes are counted one by one by their handler; here only the call. */
static const struct rpc_policy reads = {.limit = LIMIT_CALLS};
static const struct rpc_policy writes = {.limit = LIMIT_CALLS, .is_audited = true};
static const struct rpc_policy watches = {.limit = LIMIT_CALLS, .is_long_lived = true};
static const struct rpc_policy streams = {
    .limit = LIMIT_CALLS, .is_audited = true, .is_long_lived = true};
static const struct rpc_policy syncs = {.limit = LIMIT_SYNCS, .is_audited = true};
static const struct rpc_policy bundles = {.limit = LIMIT_BUNDLES, .is_audited = true};
static const struct rpc_policy service_reads = {.limit = LIMIT_CALLS, .service_only = true};
static const struct rpc_policy service_watches = {
    .limit = LIMIT_CALLS, .service_only = true, .is_long_lived = true};
static const struct rpc_policy service_streams = {
    .limit = LIMIT_CALLS, .service_only = true, .is_audited = true, .is_long_lived = true};
static const struct rpc_policy service_writes = {
    .limit = LIMIT_CALLS, .service_only = true, .is_audited = true};
static const struct rpc_policy anyone = {.is_public = true, .is_inline = true};
static const struct rpc_policy anyone_stays = {
    .is_public = true, .is_inline = true, .is_long_lived = true};

static const struct sync_service_server sync_rows = {
    .get_sync_config = {config_get_handle, &reads},
    .update_sync_config = {config_update_handle, &writes},
    .request_sync = {sync_request_handle, &syncs},
    .get_sync_operation = {sync_operation_get_handle, &reads},
    .list_sync_operations = {sync_operation_list_handle, &reads},
    .cancel_sync_operation = {sync_operation_cancel_handle, &writes},
    .watch_sync_operation = {sync_operation_watch_handle, &watches},
    .get_bundle = {bundle_get_handle, &bundles},
    .download_bundle = {bundle_download_handle, &bundles},
    .get_bundle_dictionary = {bundle_dictionary_handle, &reads},
    .upload_changes = {changes_upload_handle, &writes},
    .sync = {sync_stream_handle, &streams},
    .list_conflicts = {conflict_list_handle, &reads},
    .get_conflict = {conflict_get_handle, &reads},
    .resolve_conflict = {conflict_resolve_handle, &writes},
    .undo_resolution = {conflict_undo_handle, &writes},
    .register_device = {device_register_handle, &writes},
    .list_devices = {device_list_handle, &reads},
    .revoke_device = {device_revoke_handle, &writes},
    .audit_range = {audit_range_handle, &reads},
    .list_quarantined_jobs = {quarantine_list_handle, &reads},
    .get_quarantined_job = {quarantine_get_handle, &reads},
    .retry_quarantined_job = {quarantine_retry_handle, &writes},
    .discard_quarantined_job = {quarantine_discard_handle, &writes},
};

static const struct record_service_server record_rows = {
    .put_records = {records_put_handle, &service_writes},
    .get_records = {records_get_handle, &service_reads},
    .list_records = {records_list_handle, &service_reads},
    .watch_records = {records_watch_handle, &service_watches},
    .apply_changes = {changes_apply_handle, &service_streams},
    .erase_user = {NULL, &service_writes},
    .export_user = {NULL, &service_reads},
};

static const struct health_server health_rows = {
    .check = {health_check_handle, &anyone},
    .watch = {health_watch_handle, &anyone_stays},
};

static const struct server_reflection_server reflection_rows = {
    .server_reflection_info = {reflection_info_handle, &anyone},
};

static const struct alpha_server_reflection_server alpha_reflection_rows = {
    .server_reflection_info = {reflection_info_handle, &anyone},
};

/* Where each service's methods begin in the table. */
enum {
    RECORDS = SYNC_SERVICE_METHOD_COUNT,
    HEALTH = RECORDS + RECORD_SERVICE_METHOD_COUNT,
    REFLECTION = HEALTH + HEALTH_METHOD_COUNT,
    ALPHA_REFLECTION = REFLECTION + SERVER_REFLECTION_METHOD_COUNT,
    METHODS = ALPHA_REFLECTION + ALPHA_SERVER_REFLECTION_METHOD_COUNT,
};

static struct rpc_method methods[METHODS];

const struct rpc_method *service_methods(size_t *ret_count) {
    sync_service_methods(&sync_rows, methods);
    record_service_methods(&record_rows, methods + RECORDS);
    health_methods(&health_rows, methods + HEALTH);
    server_reflection_methods(&reflection_rows, methods + REFLECTION);
    alpha_server_reflection_methods(&alpha_reflection_rows, methods + ALPHA_REFLECTION);
    *ret_count = METHODS;
    return methods;
}
