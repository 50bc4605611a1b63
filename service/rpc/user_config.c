#include "service/rpc/user_config.h"

#include <assert.h>

enum { SYNC_INTERVAL_DEFAULT = 15 };

/* Settings that a user can change; the names are the mask's paths. */
enum setting {
    SETTING_AUTO_SYNC,
    SETTING_SYNC_INTERVAL,
    SETTING_DATA_TYPES,
    SETTING_BANDWIDTH_LIMIT,
    SETTING_COMPRESS_DATA,
    SETTING_CONFLICT_RESOLUTION,
    SETTINGS,
};

static const char *const SETTING_NAMES[SETTINGS] = {
    "auto_sync",       "sync_interval", "data_types",
    "bandwidth_limit", "compress_data", "conflict_resolution",
};

/* Shown, never taken (AIP-203): a client may send back what it was given. */
static const char *const SHOWN_NAMES[] = {"user_id", "created_at", "updated_at"};

PB(SyncConfig) *user_config_read(const struct row *row, struct slice user, struct arena *arena) {
    if (row->found)
        return (PB(SyncConfig) *)message_unpack(PB_DESCRIPTOR(sync_config), row->value, arena);
    PB(SyncConfig) *config = arena_alloc(arena, sizeof *config);
    if (!config)
        return NULL;
    travelsense__sync__v1__sync_config__init(config);
    config->user_id = arena_copy_text(arena, user);
    config->auto_sync = true;
    config->sync_interval = SYNC_INTERVAL_DEFAULT;
    config->compress_data = true;
    config->conflict_resolution = (PB(ConflictStrategy))STRATEGY_MERGE;
    bool has_types =
        message_types(arena, DATA_TYPES_ALL, &config->data_types, &config->n_data_types);
    return config->user_id && has_types ? config : NULL;
}

enum conflict_strategy user_config_strategy(const struct row *row, struct arena *arena) {
    if (!row->found)
        return STRATEGY_MERGE;
    const PB(SyncConfig) *config =
        (PB(SyncConfig) *)message_unpack(PB_DESCRIPTOR(sync_config), row->value, arena);
    bool known = config && (int)config->conflict_resolution >= STRATEGY_SERVER &&
                 (int)config->conflict_resolution <= STRATEGY_MANUAL;
    return known ? (enum conflict_strategy)config->conflict_resolution : STRATEGY_MERGE;
}

static void take_types(PB(SyncConfig) *config, const PB(SyncConfig) *wanted,
                       struct violations *violations) {
    if (wanted->n_data_types == 0)
        violations_add(violations, "config.dataTypes", "REQUIRED",
                       "must name at least one kind of data");
    if (wanted->n_data_types > DATA_TYPES_NAMED_MAX)
        violations_add(violations, "config.dataTypes", "OUT_OF_RANGE", "must name at most %d",
                       DATA_TYPES_NAMED_MAX);
    for (size_t i = 0; i < wanted->n_data_types; i++)
        if ((int)wanted->data_types[i] < DATA_TYPE_FIRST ||
            (int)wanted->data_types[i] > DATA_TYPE_LAST) {
            violations_add(violations, "config.dataTypes", "INVALID_VALUE",
                           "must be trips, bookings, profiles or preferences");
            return;
        }
    data_type_set types = message_type_set(wanted->data_types, wanted->n_data_types);
    if (!message_types(violations->arena, types, &config->data_types, &config->n_data_types))
        violations->no_memory = true;
}

static void take_setting(PB(SyncConfig) *config, const PB(SyncConfig) *wanted, enum setting setting,
                         struct violations *violations) {
    switch (setting) {
    case SETTING_AUTO_SYNC:
        config->auto_sync = wanted->auto_sync;
        return;
    case SETTING_SYNC_INTERVAL:
        if (wanted->sync_interval < 1 || wanted->sync_interval > SYNC_INTERVAL_MAX)
            violations_add(violations, "config.syncInterval", "OUT_OF_RANGE",
                           "must be 1 to %d minutes", SYNC_INTERVAL_MAX);
        config->sync_interval = wanted->sync_interval;
        return;
    case SETTING_DATA_TYPES:
        take_types(config, wanted, violations);
        return;
    case SETTING_BANDWIDTH_LIMIT:
        if (wanted->bandwidth_limit < 0 || wanted->bandwidth_limit > BANDWIDTH_LIMIT_MAX)
            violations_add(violations, "config.bandwidthLimit", "OUT_OF_RANGE",
                           "must be 0 (no bound) to %d kB/s", BANDWIDTH_LIMIT_MAX);
        config->bandwidth_limit = wanted->bandwidth_limit;
        return;
    case SETTING_COMPRESS_DATA:
        config->compress_data = wanted->compress_data;
        return;
    case SETTING_CONFLICT_RESOLUTION:
        if ((int)wanted->conflict_resolution < STRATEGY_SERVER ||
            (int)wanted->conflict_resolution > STRATEGY_MANUAL)
            violations_add(violations, "config.conflictResolution", "INVALID_VALUE",
                           "must be server, client, merge or manual");
        config->conflict_resolution = wanted->conflict_resolution;
        return;
    case SETTINGS:
        break;
    }
    assert(!"a setting");
}

/* Whether a field is set, as proto3 tells it: by a value other than the default. */
static bool setting_is_set(const PB(SyncConfig) *wanted, enum setting setting) {
    switch (setting) {
    case SETTING_AUTO_SYNC:
        return wanted->auto_sync;
    case SETTING_SYNC_INTERVAL:
        return wanted->sync_interval != 0;
    case SETTING_DATA_TYPES:
        return wanted->n_data_types > 0;
    case SETTING_BANDWIDTH_LIMIT:
        return wanted->bandwidth_limit != 0;
    case SETTING_COMPRESS_DATA:
        return wanted->compress_data;
    case SETTING_CONFLICT_RESOLUTION:
        return (int)wanted->conflict_resolution != 0;
    case SETTINGS:
        break;
    }
    return false;
}

static bool name_is_shown(const char *path) {
    for (size_t i = 0; i < sizeof SHOWN_NAMES / sizeof SHOWN_NAMES[0]; i++)
        if (strcmp(path, SHOWN_NAMES[i]) == 0)
            return true;
    return false;
}

static void take_path(PB(SyncConfig) *config, const PB(SyncConfig) *wanted, const char *path,
                      struct violations *violations) {
    bool is_all = strcmp(path, "*") == 0, is_found = is_all || name_is_shown(path);
    for (int setting = 0; setting < SETTINGS; setting++)
        if (is_all || strcmp(path, SETTING_NAMES[setting]) == 0) {
            take_setting(config, wanted, (enum setting)setting, violations);
            is_found = true;
        }
    if (!is_found)
        violations_add(violations, "updateMask", "UNKNOWN_FIELD", "names no setting: \"%.64s\"",
                       path);
}

void user_config_update(PB(SyncConfig) *config, const PB(UpdateSyncConfigRequest) *request,
                        struct violations *violations) {
    PB(SyncConfig) none = PB_INIT(SYNC_CONFIG);
    const PB(SyncConfig) *wanted = request->config ? request->config : &none;
    const Google__Protobuf__FieldMask *mask = request->update_mask;
    if (mask && mask->n_paths > 0) {
        if (!request->config)
            violations_add(violations, "config", "REQUIRED", "is required: the new values");
        for (size_t i = 0; i < mask->n_paths && request->config; i++)
            take_path(config, wanted, mask->paths[i], violations);
        return;
    }
    for (int setting = 0; setting < SETTINGS; setting++)
        if (setting_is_set(wanted, (enum setting)setting))
            take_setting(config, wanted, (enum setting)setting, violations);
}
