/* User configuration: a user's SyncConfig as stored, or the defaults. Pure. */
#ifndef SERVICE_RPC_USER_CONFIG_H
#define SERVICE_RPC_USER_CONFIG_H

#include "service/core/policy.h"
#include "service/rpc/messages.h"
#include "service/rpc/violations.h"

enum { SYNC_INTERVAL_MAX = 10080, BANDWIDTH_LIMIT_MAX = 10000000 };

/* The settings that a row of TABLE_CONFIG holds, or the defaults when it was not found. Lives in
 * the arena. NULL when there is no room or the value does not parse. */
PB(SyncConfig) *user_config_read(const struct row *row, struct slice user, struct arena *arena);

/* The strategy that such a row sets. */
enum conflict_strategy user_config_strategy(const struct row *row, struct arena *arena);

/* Takes over the fields that the mask names ("*": all; an empty mask: those that are set). Unknown
 * paths and values out of range are added to the violations; fields that are only shown are
 * ignored. */
void user_config_update(PB(SyncConfig) *config, const PB(UpdateSyncConfigRequest) *request,
                        struct violations *violations);

#endif
