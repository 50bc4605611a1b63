/* Settings: what the service is told by flags, environment and file, checked and in its own types.
 */
#ifndef SERVICE_SETTINGS_H
#define SERVICE_SETTINGS_H

#include "base/config.h"
#include "base/log.h"
#include "service/limit/limiter.h"
#include "service/rpc/service.h"
#include "service/rpc/sync_stream.h"

enum { SETTINGS_PATH_MAX = 1024 };

/* Texts live as long as the config they come from. End it with settings_done. */
struct settings {
    char data[SETTINGS_PATH_MAX];
    char store_path[SETTINGS_PATH_MAX];
    char unix_path[SETTINGS_PATH_MAX];
    char jwks_path[SETTINGS_PATH_MAX];
    const char *grpc_address;    /* NULL: none */
    const char *metrics_address; /* NULL: none */
    const char *issuer, *audience;
    const char *ready_file;       /* NULL: none */
    const char *store_fault_file; /* NULL: none */
    bool allow_remote;
    unsigned threads, workers;
    const struct policy_set *policies;
    struct arena arena; /* of the policies */
    enum log_level log_level;
    struct limiter_options limits;
    struct sync_stream_options streams;
    struct service_retention retention;
    size_t block_cache_bytes, write_buffer_bytes, change_index_bytes, token_cache_max;
    size_t messages_bytes_max;
    uint64_t request_timeout_ms;
};

/* The program, for config_open and config_print_help. Static. */
const struct config_program *settings_program(void);

/* Reads the settings out of a config; `error` names what cannot be. */
enum sync_status settings_read(const struct config *config, struct sync_error *error,
                               struct settings *ret_settings);

/* Gives back what was read; zeroed settings are allowed. */
void settings_done(struct settings *settings);

#endif
