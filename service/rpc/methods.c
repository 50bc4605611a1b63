#include "service/rpc/methods.h"

#include "service/rpc/handlers.h"
#include "service/rpc/health.h"
#include "service/rpc/reflection.h"

#define SYNC "/travelsense.sync.v1.SyncService/"
#define RECORDS "/travelsense.sync.v1.RecordService/"

/* Changes are counted one by one by their handler; here only the call. */
static const struct rpc_policy reads = {.limit = LIMIT_CALLS};
static const struct rpc_policy writes = {.limit = LIMIT_CALLS, .is_audited = true};
static const struct rpc_policy watches = {.limit = LIMIT_CALLS, .is_long_lived = true};
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

static const struct rpc_method methods[] = {
    {SYNC "GetSyncConfig", RPC_UNARY, config_get_handle, &reads},
    {SYNC "UpdateSyncConfig", RPC_UNARY, config_update_handle, &writes},
    {SYNC "RequestSync", RPC_UNARY, sync_request_handle, &syncs},
    {SYNC "GetSyncOperation", RPC_UNARY, sync_operation_get_handle, &reads},
    {SYNC "ListSyncOperations", RPC_UNARY, sync_operation_list_handle, &reads},
    {SYNC "CancelSyncOperation", RPC_UNARY, sync_operation_cancel_handle, &writes},
    {SYNC "WatchSyncOperation", RPC_SERVER_STREAM, sync_operation_watch_handle, &watches},
    {SYNC "GetBundle", RPC_UNARY, bundle_get_handle, &bundles},
    {SYNC "DownloadBundle", RPC_SERVER_STREAM, bundle_download_handle, &bundles},
    {SYNC "UploadChanges", RPC_UNARY, changes_upload_handle, &writes},
    {SYNC "Sync", RPC_BIDIRECTIONAL, NULL, &writes},
    {SYNC "ListConflicts", RPC_UNARY, conflict_list_handle, &reads},
    {SYNC "GetConflict", RPC_UNARY, conflict_get_handle, &reads},
    {SYNC "ResolveConflict", RPC_UNARY, conflict_resolve_handle, &writes},
    {SYNC "UndoResolution", RPC_UNARY, NULL, &writes},
    {SYNC "RegisterDevice", RPC_UNARY, device_register_handle, &writes},
    {SYNC "ListDevices", RPC_UNARY, device_list_handle, &reads},
    {SYNC "RevokeDevice", RPC_UNARY, device_revoke_handle, &writes},
    {SYNC "AuditRange", RPC_UNARY, NULL, &reads},
    {RECORDS "PutRecords", RPC_UNARY, records_put_handle, &service_writes},
    {RECORDS "GetRecords", RPC_UNARY, records_get_handle, &service_reads},
    {RECORDS "ListRecords", RPC_UNARY, records_list_handle, &service_reads},
    {RECORDS "WatchRecords", RPC_SERVER_STREAM, records_watch_handle, &service_watches},
    {RECORDS "ApplyChanges", RPC_BIDIRECTIONAL, changes_apply_handle, &service_streams},
    {RECORDS "EraseUser", RPC_UNARY, NULL, &service_writes},
    {RECORDS "ExportUser", RPC_SERVER_STREAM, NULL, &service_reads},
    {"/grpc.health.v1.Health/Check", RPC_UNARY, health_check_handle, &anyone},
    {"/grpc.health.v1.Health/Watch", RPC_SERVER_STREAM, NULL, &anyone},
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", RPC_BIDIRECTIONAL,
     reflection_info_handle, &anyone},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", RPC_BIDIRECTIONAL,
     reflection_info_handle, &anyone},
};

const struct rpc_method *service_methods(size_t *ret_count) {
    *ret_count = sizeof methods / sizeof methods[0];
    return methods;
}
