#include "service/parts.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "reflected_descriptor.h"
#include "service/limit/user_slots.h"
#include "service/rpc/methods.h"
#include "service/rpc/reflection_index.h"
#include "service/rpc/sync_stream.h"
#include "service/store/fault_store.h"
#include "service/store/rocks_store.h"
#include "sync_descriptor.h"

enum { GRACE_MS = 10000, CALLS_WAITING_MAX = 8192, TOKEN_LEEWAY_US = 5000000 };
_Static_assert((int)STREAM_END_PATIENCE_MS < GRACE_MS, "streams end before they are cancelled");

/* Makes a folder for us alone, and those above it. */
static enum sync_status folder_make(const char *path, struct sync_error *error) {
    char part[SETTINGS_PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, 0700); /* the last one tells */
        *slash = '/';
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return sync_error_set(error, SYNC_ERR_IO, "FOLDER", NULL, "cannot make the folder %s: %s",
                              path, strerror(errno));
    return SYNC_OK;
}

/* Makes the data folder and the one of the socket. */
static enum sync_status folders_make(const struct settings *settings, struct sync_error *error) {
    char socket[SETTINGS_PATH_MAX];
    snprintf(socket, sizeof socket, "%s", settings->unix_path);
    enum sync_status status = folder_make(settings->data, error);
    return status == SYNC_OK ? folder_make(dirname(socket), error) : status;
}

static enum sync_status out_of_memory(struct sync_error *error, const char *what) {
    return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory for %s", what);
}

static enum sync_status logs_open(struct parts *parts, struct sync_error *error) {
    struct service *service = &parts->service;
    service->log = log_open(STDERR_FILENO, parts->settings->log_level, "service", service->clock);
    parts->audit_log = log_open(STDERR_FILENO, LOG_INFO, "audit", service->clock);
    service->metrics = metrics_open();
    if (!service->log || !parts->audit_log || !service->metrics)
        return out_of_memory(error, "logs and metrics");
    metrics_add_process(service->metrics);
    return SYNC_OK;
}

static enum sync_status gates_open(struct parts *parts, struct sync_error *error) {
    const struct settings *settings = parts->settings;
    struct service *service = &parts->service;
    if (limiter_open(&settings->limits, &service->limiter) != SYNC_OK)
        return out_of_memory(error, "the limits");
    return token_verifier_open(
        &(struct token_verifier_options){
            .jwks_path = settings->jwks_path,
            .issuer = settings->issuer,
            .audience = settings->audience,
            .leeway_us = TOKEN_LEEWAY_US,
            .clock = service->clock,
            .cache_max = settings->token_cache_max,
        },
        error, &service->tokens);
}

static enum sync_status reflection_open(struct parts *parts, struct sync_error *error) {
    const struct slice sets[] = {slice_of(sync_descriptor, sync_descriptor_size),
                                 slice_of(reflected_descriptor, reflected_descriptor_size)};
    enum sync_status status = reflection_index_open(sets, 2, &parts->service.reflection);
    return status == SYNC_OK ? SYNC_OK : out_of_memory(error, "reflection");
}

static enum sync_status store_open(struct parts *parts, struct sync_error *error) {
    const struct settings *settings = parts->settings;
    struct service *service = &parts->service;
    enum sync_status status = rocks_store_open(
        &(struct rocks_store_options){
            .path = settings->store_path,
            .block_cache_bytes = settings->block_cache_bytes,
            .write_buffer_bytes = settings->write_buffer_bytes,
            .change_index_bytes = settings->change_index_bytes,
            .random = service->random,
            .metrics = service->metrics,
            .log = service->log,
        },
        error, &service->store);
    if (status != SYNC_OK || !settings->store_fault_file)
        return status;
    struct store *faulty = NULL;
    if (fault_store_open(service->store, settings->store_fault_file, &faulty) != SYNC_OK)
        return out_of_memory(error, "the store's faults");
    service->store = faulty;
    return SYNC_OK;
}

static enum sync_status work_open(struct parts *parts, struct sync_error *error) {
    struct service *service = &parts->service;
    if (work_pool_open("worker", parts->settings->workers, CALLS_WAITING_MAX, &service->pool) !=
        SYNC_OK)
        return sync_error_set(error, SYNC_ERR_UNAVAILABLE, "THREADS", NULL,
                              "cannot start %u worker threads", parts->settings->workers);
    if (timers_open(service->clock, &service->timers) != SYNC_OK)
        return sync_error_set(error, SYNC_ERR_UNAVAILABLE, "THREADS", NULL,
                              "cannot start the timers' thread");
    if (user_lanes_open(service->pool, &service->lanes) != SYNC_OK)
        return out_of_memory(error, "the users' lanes");
    uint64_t seed;
    service->random->fill(service->random->context, (uint8_t *)&seed, sizeof seed);
    service->watches = user_slots_open(USER_WATCHES_MAX, seed);
    if (!service->watches)
        return out_of_memory(error, "the watches");
    if (sync_streams_open(service, &parts->settings->streams, &service->streams) != SYNC_OK)
        return out_of_memory(error, "the streams");
    enum sync_status status = workers_open(service, &parts->workers);
    return status == SYNC_OK
               ? SYNC_OK
               : sync_error_set(error, status, "WORKERS", NULL, "cannot start the job workers: %s",
                                sync_status_text(status));
}

static enum sync_status server_open(struct parts *parts, struct sync_error *error) {
    const struct settings *settings = parts->settings;
    size_t method_count;
    const struct rpc_method *methods = service_methods(&method_count);
    enum sync_status status = rpc_server_open(
        &(struct rpc_server_options){
            .service = &parts->service,
            .methods = methods,
            .method_count = method_count,
            .threads = settings->threads,
            .unix_path = settings->unix_path,
            .address = settings->grpc_address,
            .allow_remote = settings->allow_remote,
            .request_timeout_ms = settings->request_timeout_ms,
            .messages_bytes_max = settings->messages_bytes_max,
            .audit_log = parts->audit_log,
        },
        error, &parts->server);
    if (status == SYNC_OK && settings->metrics_address)
        status = metrics_page_open(settings->metrics_address, parts->service.metrics, error,
                                   &parts->metrics_page);
    return status;
}

enum sync_status parts_open(struct parts *parts, const struct settings *settings,
                            struct sync_error *error) {
    *parts = (struct parts){.settings = settings};
    struct service *service = &parts->service;
    service->clock = clock_system();
    service->random = random_system();
    service->policies = settings->policies;
    service->retention = settings->retention;
    service->operations_max = USER_SYNC_OPERATIONS_MAX;
    service->health = &parts->health;
    /* What is cheap and likely to be wrong comes first; calls are answered last. */
    static enum sync_status (*const steps[])(struct parts *, struct sync_error *) = {
        logs_open, gates_open, reflection_open, store_open, work_open, server_open,
    };
    enum sync_status status = folders_make(settings, error);
    for (size_t i = 0; status == SYNC_OK && i < sizeof steps / sizeof steps[0]; i++)
        status = steps[i](parts, error);
    if (status != SYNC_OK) {
        if (parts->server)
            parts_drain(parts);
        parts_close(parts);
    }
    return status;
}

bool parts_drain(struct parts *parts) {
    atomic_store(&parts->health.is_draining, true);
    return rpc_server_drain(parts->server, GRACE_MS);
}

void parts_close(struct parts *parts) {
    struct service *service = &parts->service;
    parts->metrics_page = metrics_page_close(parts->metrics_page);
    parts->server = rpc_server_close(parts->server);
    service->streams = sync_streams_close(service->streams);
    service->watches = user_slots_close(service->watches);
    parts->workers = workers_close(parts->workers);
    user_lanes_drain(service->lanes); /* acknowledgements, which no call waits for */
    service->pool = work_pool_close(service->pool);
    service->timers = timers_close(service->timers);
    service->lanes = user_lanes_close(service->lanes);
    service->store = store_close(service->store);
    service->reflection = reflection_index_close(service->reflection);
    service->tokens = token_verifier_close(service->tokens);
    service->limiter = limiter_close(service->limiter);
    service->metrics = metrics_close(service->metrics);
    parts->audit_log = log_close(parts->audit_log);
    service->log = log_close(service->log);
}
