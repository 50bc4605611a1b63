/* Handlers: one function per RPC, named by what it works on. Each keeps the contract of
 * service/rpc/call.h: it runs on a worker thread, may block on the store's reads, and ends its call
 * exactly once. What an RPC does is said in proto/travelsense/sync/v1. */
#ifndef SERVICE_RPC_HANDLERS_H
#define SERVICE_RPC_HANDLERS_H

#include "service/rpc/call.h"

/* SyncService: settings. */
void config_get_handle(struct rpc_call *call);
void config_update_handle(struct rpc_call *call);

/* SyncService: the bidirectional stream. */
void sync_stream_handle(struct rpc_call *call);

/* SyncService: requests for synchronization. */
void sync_request_handle(struct rpc_call *call);
void sync_operation_get_handle(struct rpc_call *call);
void sync_operation_list_handle(struct rpc_call *call);
void sync_operation_cancel_handle(struct rpc_call *call);
void sync_operation_watch_handle(struct rpc_call *call);

/* SyncService: bundles. The download is a server stream. */
void bundle_get_handle(struct rpc_call *call);
void bundle_download_handle(struct rpc_call *call);
void bundle_dictionary_handle(struct rpc_call *call);

/* SyncService: changes and conflicts. */
void changes_upload_handle(struct rpc_call *call);
void conflict_list_handle(struct rpc_call *call);
void conflict_get_handle(struct rpc_call *call);
void conflict_resolve_handle(struct rpc_call *call);
void conflict_undo_handle(struct rpc_call *call);

/* SyncService: devices. */
void device_register_handle(struct rpc_call *call);
void device_list_handle(struct rpc_call *call);
void device_revoke_handle(struct rpc_call *call);

/* SyncService: checksums of ranges. */
void audit_range_handle(struct rpc_call *call);

/* SyncService: jobs that failed by a fault of the service. */
void quarantine_list_handle(struct rpc_call *call);
void quarantine_get_handle(struct rpc_call *call);
void quarantine_retry_handle(struct rpc_call *call);
void quarantine_discard_handle(struct rpc_call *call);

/* RecordService, for callers with the role "service". */
void records_put_handle(struct rpc_call *call);
void records_get_handle(struct rpc_call *call);
void records_list_handle(struct rpc_call *call);
void records_watch_handle(struct rpc_call *call);
void changes_apply_handle(struct rpc_call *call);

#endif
