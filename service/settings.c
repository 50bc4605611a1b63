#include "service/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "service/core/policy.h"
#include "service/rpc/listen.h"

#define VERSION "0.1.0"

enum { THREADS_MAX = 256, RATE_MAX = 1000000000, STREAMS_LIMIT = 10000000 };
enum { POLICIES_BYTES_MAX = 1 << 20 }; /* of memory */

_Static_assert(STREAMS_MAX == 50000, "the default of --streams-max says so");
_Static_assert(STREAMS_MEMORY_MAX == 256 << 20, "the default of --streams-memory says so");
_Static_assert(USER_DECISIONS_MAX == 10000, "the default of --decisions-max says so");
_Static_assert(MESSAGES_BYTES_MAX == 256 << 20, "the default of --message-buffer says so");

static const uint64_t SECOND_US = 1000000;

#define TEXT(name_, fallback_, value_, help_)                                                      \
    {                                                                                              \
        .name = (name_), .kind = CONFIG_TEXT, .fallback = (fallback_), .value_name = (value_),     \
        .help = (help_)                                                                            \
    }
#define FLAG(name_, help_)                                                                         \
    { .name = (name_), .kind = CONFIG_FLAG, .fallback = "false", .help = (help_) }
#define INT(name_, fallback_, min_, max_, help_)                                                   \
    {                                                                                              \
        .name = (name_), .kind = CONFIG_INT, .fallback = (fallback_), .value_name = "N",           \
        .min = (min_), .max = (max_), .help = (help_)                                              \
    }
#define BYTES(name_, fallback_, help_)                                                             \
    {                                                                                              \
        .name = (name_), .kind = CONFIG_BYTES, .fallback = (fallback_), .value_name = "BYTES",     \
        .min = 1 << 20, .max = 1LL << 40, .help = (help_)                                          \
    }
#define SECONDS(name_, fallback_, help_)                                                           \
    {                                                                                              \
        .name = (name_), .kind = CONFIG_INT, .fallback = (fallback_), .value_name = "SECONDS",     \
        .min = 1, .max = 100LL * 366 * 86400, .help = (help_)                                      \
    }

static const struct config_option options[] = {
    TEXT("data", NULL, "DIR",
         "Where everything is kept; by default $XDG_STATE_HOME/travelsense-sync."),
    TEXT("unix", NULL, "PATH", "The socket to serve; by default DATA/run/service.sock."),
    TEXT("grpc", NULL, "HOST:PORT", "An address to serve as well; loopback only."),
    FLAG("allow-remote", "Let --grpc and --metrics be other than loopback addresses."),
    TEXT("metrics", NULL, "HOST:PORT", "Where to show the metrics as Prometheus reads them."),
    TEXT("jwks", NULL, "FILE",
         "The keys that tokens are signed with; by default "
         "DATA/keys/jwks.json. SIGHUP reads it again."),
    TEXT("issuer", NULL, "TEXT", "The issuer that a token must name; by default any."),
    TEXT("audience", "travelsense-sync", "TEXT",
         "The audience that a token must name; empty is any."),
    INT("threads", "0", 0, THREADS_MAX, "Threads for the network; 0 is one a core."),
    INT("workers", "16", 1, THREADS_MAX, "Threads for calls, which wait for the store."),
    FLAG("no-limits", "Lift rate limits and quotas."),
    INT("calls-per-second", "100", 1, RATE_MAX, "Calls that a user may make a second."),
    INT("calls-burst", "200", 1, RATE_MAX, "Calls that a user may make at once."),
    INT("changes-per-second", "5000", 1, RATE_MAX, "Changes that a user may upload a second."),
    INT("changes-burst", "20000", 1, RATE_MAX, "Changes that a user may upload at once."),
    INT("changes-per-day", "1000000", 0, INT64_MAX,
        "Changes that a user may upload in a UTC day; "
        "0 is no quota."),
    INT("syncs-per-second", "2", 1, RATE_MAX, "Synchronizations that a user may request a second."),
    INT("syncs-burst", "60", 1, RATE_MAX, "Synchronizations that a user may request at once."),
    INT("syncs-per-day", "0", 0, INT64_MAX,
        "Synchronizations that a user may request in a UTC "
        "day; 0 is no quota."),
    INT("bundles-per-second", "10", 1, RATE_MAX, "Bundles that a user may get a second."),
    INT("bundles-burst", "100", 1, RATE_MAX, "Bundles that a user may get at once."),
    INT("bundles-per-day", "0", 0, INT64_MAX,
        "Bundles that a user may get in a UTC day; 0 is no "
        "quota."),
    INT("streams-max", "50000", 1, STREAMS_LIMIT, "Sync streams that may be open at once."),
    INT("streams-opening-max", "2000", 1, STREAMS_LIMIT,
        "Sync streams that may be catching up at once."),
    INT("stream-opens-per-second", "1000", 1, RATE_MAX,
        "Sync streams that may open a second; others are told when to come back."),
    SECONDS("stream-send-timeout", "120",
            "How long a device may leave a message of its Sync stream untaken."),
    BYTES("streams-memory", "256m", "Memory for messages that Sync streams hold, all together."),
    SECONDS("bundle-retention", "86400", "How long a bundle is kept."),
    SECONDS("operation-retention", "604800", "How long an operation is kept after its end."),
    SECONDS("log-retention", "2592000", "How long changes are kept for devices to catch up."),
    INT("decisions-max", "10000", 1, INT64_MAX,
        "Resolved conflicts that are kept of a user, the newest; those decided without him too."),
    BYTES("block-cache", "64m", "Memory for the store's blocks."),
    BYTES("write-buffer", "64m", "Memory for the store's writes."),
    BYTES("change-index", "128m", "Memory for the index of settled changes."),
    SECONDS("request-timeout", "60", "How long the message of a request may take to come."),
    BYTES("message-buffer", "256m",
          "Memory for messages that clients are sending, or that are being worked on."),
    INT("token-cache", "65536", 4, 1 << 24, "Verified tokens that are remembered."),
    TEXT("policies", NULL, "FILE",
         "Who wins a field that two sides changed; replaces the rules that are built in."),
    TEXT("log-level", "info", "LEVEL", "What is logged: debug, info, warn or error."),
    TEXT("ready-file", NULL, "FILE", "A file to write when the service is ready: what it serves."),
    TEXT("store-fault-file", NULL, "FILE", "For tests: a file that makes the store fail."),
};

const struct config_program *settings_program(void) {
    static const struct config_program program = {
        .name = "sync_service",
        .summary = "The TravelSense offline synchronization service.",
        .version = VERSION,
        .environment_prefix = "SYNC",
        .options = options,
        .options_count = sizeof options / sizeof options[0],
    };
    return &program;
}

static enum sync_status refuse(struct sync_error *error, const char *option, const char *why) {
    return sync_error_set(error, SYNC_ERR_INVALID, "SETTING", NULL, "--%s: %s", option, why);
}

/* Writes the folder that the user's state is kept in. */
static bool data_default(char out[SETTINGS_PATH_MAX]) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (state && state[0])
        length = snprintf(out, SETTINGS_PATH_MAX, "%s/travelsense-sync", state);
    else if (home && home[0])
        length = snprintf(out, SETTINGS_PATH_MAX, "%s/.local/state/travelsense-sync", home);
    return length > 0 && length < SETTINGS_PATH_MAX;
}

/* The option's path, or the one below the data folder. */
static enum sync_status path_read(const struct config *config, const char *option,
                                  const char *below, const char *data, struct sync_error *error,
                                  char out[SETTINGS_PATH_MAX]) {
    const char *given = option ? config_text(config, option) : NULL;
    int length = given ? snprintf(out, SETTINGS_PATH_MAX, "%s", given)
                       : snprintf(out, SETTINGS_PATH_MAX, "%s/%s", data, below);
    return length > 0 && length < SETTINGS_PATH_MAX
               ? SYNC_OK
               : refuse(error, option ? option : "data", "the path is empty or too long");
}

static enum sync_status paths_read(const struct config *config, struct sync_error *error,
                                   struct settings *settings) {
    const char *data = config_text(config, "data");
    if (data && (!data[0] || strlen(data) >= SETTINGS_PATH_MAX))
        return refuse(error, "data", "the path is empty or too long");
    if (data)
        snprintf(settings->data, sizeof settings->data, "%s", data);
    else if (!data_default(settings->data))
        return refuse(error, "data", "is needed where neither XDG_STATE_HOME nor HOME is set");
    enum sync_status status =
        path_read(config, NULL, "store", settings->data, error, settings->store_path);
    if (status == SYNC_OK)
        status = path_read(config, "unix", "run/service.sock", settings->data, error,
                           settings->unix_path);
    if (status == SYNC_OK)
        status =
            path_read(config, "jwks", "keys/jwks.json", settings->data, error, settings->jwks_path);
    return status;
}

/* Reads an address, which must be this machine's own unless others are allowed. */
static enum sync_status address_read(const struct config *config, const char *option,
                                     bool allow_remote, struct sync_error *error,
                                     const char **ret_address) {
    const char *text = config_text(config, option);
    if (text && !listen_address_is_valid(slice_text(text)))
        return refuse(error, option, "is no address of the form HOST:PORT");
    if (text && !allow_remote && !listen_address_is_loopback(slice_text(text)))
        return refuse(error, option,
                      "is not a loopback address; other machines come through the gateway "
                      "(--allow-remote lifts this)");
    *ret_address = text;
    return SYNC_OK;
}

static struct limit_rule rule_read(const struct config *config, const char *rate, const char *burst,
                                   const char *day) {
    return (struct limit_rule){
        .per_second = (double)config_int(config, rate),
        .burst = (double)config_int(config, burst),
        .per_day = day ? (uint64_t)config_int(config, day) : 0,
    };
}

static void limits_read(const struct config *config, struct settings *settings) {
    struct limit_rule *rules = settings->limits.rules;
    settings->limits.unlimited = config_flag(config, "no-limits");
    rules[LIMIT_CALLS] = rule_read(config, "calls-per-second", "calls-burst", NULL);
    rules[LIMIT_CHANGES] =
        rule_read(config, "changes-per-second", "changes-burst", "changes-per-day");
    rules[LIMIT_SYNCS] = rule_read(config, "syncs-per-second", "syncs-burst", "syncs-per-day");
    rules[LIMIT_BUNDLES] =
        rule_read(config, "bundles-per-second", "bundles-burst", "bundles-per-day");
}

static void streams_read(const struct config *config, struct settings *settings) {
    settings->streams = (struct sync_stream_options){
        .admission =
            {
                .streams_max = (uint32_t)config_int(config, "streams-max"),
                .opening_max = (uint32_t)config_int(config, "streams-opening-max"),
                .opens_per_second = (double)config_int(config, "stream-opens-per-second"),
            },
        .send_timeout_us = (uint64_t)config_int(config, "stream-send-timeout") * SECOND_US,
        .memory_max = (size_t)config_int(config, "streams-memory"),
    };
}

static void sizes_read(const struct config *config, struct settings *settings) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    settings->threads = (unsigned)config_int(config, "threads");
    if (settings->threads == 0)
        settings->threads = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
    settings->workers = (unsigned)config_int(config, "workers");
    settings->block_cache_bytes = (size_t)config_int(config, "block-cache");
    settings->write_buffer_bytes = (size_t)config_int(config, "write-buffer");
    settings->change_index_bytes = (size_t)config_int(config, "change-index");
    settings->request_timeout_ms = (uint64_t)config_int(config, "request-timeout") * 1000;
    settings->messages_bytes_max = (size_t)config_int(config, "message-buffer");
    settings->token_cache_max = (size_t)config_int(config, "token-cache");
    settings->retention = (struct service_retention){
        .bundle_us = (uint64_t)config_int(config, "bundle-retention") * SECOND_US,
        .operation_us = (uint64_t)config_int(config, "operation-retention") * SECOND_US,
        .log_us = (uint64_t)config_int(config, "log-retention") * SECOND_US,
        .decisions_max = (uint64_t)config_int(config, "decisions-max"),
    };
}

/* Parses the policies file, or takes the rules that are built in. */
static enum sync_status policies_read(const struct config *config, struct sync_error *error,
                                      struct settings *settings) {
    const char *path = config_text(config, "policies");
    struct policy_set *policies = NULL;
    struct sync_error fault = {0};
    struct buffer text;
    settings->policies = policy_set_default();
    if (!path)
        return SYNC_OK;
    buffer_init(&text, POLICY_FILE_MAX);
    arena_init(&settings->arena, POLICIES_BYTES_MAX);
    enum sync_status status = file_read(
        &(struct file_wish){
            .path = path, .what = "policies file", .reason = "POLICY", .size_max = POLICY_FILE_MAX},
        &text, error);
    if (status == SYNC_OK) {
        policies = arena_alloc(&settings->arena, sizeof *policies);
        status = policies
                     ? policy_set_parse(buffer_slice(&text), &settings->arena, &fault, policies)
                     : SYNC_ERR_NO_MEMORY;
        if (status != SYNC_OK)
            sync_error_set(error, status, "POLICY", NULL, "the policies file %s: %s", path,
                           status == SYNC_ERR_NO_MEMORY ? "no memory" : fault.message);
    }
    buffer_done(&text);
    settings->policies = policies;
    if (status != SYNC_OK)
        arena_done(&settings->arena);
    return status;
}

void settings_done(struct settings *settings) {
    arena_done(&settings->arena);
}

enum sync_status settings_read(const struct config *config, struct sync_error *error,
                               struct settings *ret_settings) {
    struct settings settings = {.allow_remote = config_flag(config, "allow-remote")};
    enum sync_status status = paths_read(config, error, &settings);
    if (status == SYNC_OK)
        status = address_read(config, "grpc", settings.allow_remote, error, &settings.grpc_address);
    if (status == SYNC_OK)
        status = address_read(config, "metrics", settings.allow_remote, error,
                              &settings.metrics_address);
    if (status == SYNC_OK &&
        !log_level_parse(slice_text(config_text(config, "log-level")), &settings.log_level))
        status = refuse(error, "log-level", "is none of debug, info, warn and error");
    if (status != SYNC_OK)
        return status;
    settings.issuer = config_text(config, "issuer");
    settings.audience = config_text(config, "audience");
    if (settings.audience && !settings.audience[0])
        settings.audience = NULL;
    settings.ready_file = config_text(config, "ready-file");
    settings.store_fault_file = config_text(config, "store-fault-file");
    limits_read(config, &settings);
    streams_read(config, &settings);
    sizes_read(config, &settings);
    status = policies_read(config, error, &settings); /* last, since it takes memory */
    if (status == SYNC_OK)
        *ret_settings = settings;
    return status;
}
