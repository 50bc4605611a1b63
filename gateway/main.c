/* sync_gateway: HTTP in, gRPC out. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/memory.h"
#include "gateway/file_mark.h"
#include "gateway/gateway_config.h"
#include "gateway/listener.h"
#include "gateway/offload.h"
#include "gateway/worker.h"

enum { THREADS_MAX = 64, TRIM_SECONDS = 10, DESCRIPTORS_OWN = 200 };

/* What tells that a file is another than before. */
/* The running parts. */
struct program {
    struct gateway_setup setup;
    struct worker *workers[THREADS_MAX];
    unsigned worker_count;
    struct file_mark set_mark; /* of the descriptor set, as it was last read */
    struct file_mark set_seen; /* as it was a second ago */
};

static void fail(const struct sync_error *error) {
    fprintf(stderr, "sync_gateway: %s\n", error->message);
}

static int check(struct gateway_setup *setup) {
    struct buffer routes;
    buffer_init(&routes, 1 << 20);
    config_print(setup->config, stdout);
    route_table_print(setup->gateway.api->routes, &routes);
    printf("\n# routes\n%.*s", (int)routes.size, (const char *)routes.data);
    buffer_done(&routes);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Every connection is a descriptor: take as many as the system gives. */
static void raise_descriptors(struct gateway *gateway) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    /* Some are kept for the way to the service: a client that is refused can be told so. */
    rlim_t spare = limit.rlim_cur > 2 * DESCRIPTORS_OWN ? DESCRIPTORS_OWN : limit.rlim_cur / 2;
    unsigned *connections_max = &gateway->limits.connections_max;
    if (*connections_max <= limit.rlim_cur - spare)
        return;
    *connections_max = (unsigned)(limit.rlim_cur - spare);
    log_line(gateway->log, LOG_WARN, "fewer connections than asked for: descriptors are limited",
             LOG_INT("connections_max", *connections_max),
             LOG_INT("descriptors", (int64_t)limit.rlim_cur));
}

/* Half as many threads for long work as there are loops: these come first. */
static enum sync_status open_pool(struct program *program, struct sync_error *error) {
    struct gateway_setup *setup = &program->setup;
    enum sync_status status =
        work_pool_open("transcode", (setup->threads + 1) / 2,
                       (size_t)OFFLOAD_RUNNING_MAX * setup->threads, &setup->gateway.pool);
    return status == SYNC_OK ? status
                             : sync_error_set(error, status, "START", NULL,
                                              "cannot start a thread: %s", strerror(errno));
}

static enum sync_status open_workers(struct program *program, struct sync_error *error) {
    struct gateway_setup *setup = &program->setup;
    int http[THREADS_MAX], grpc[THREADS_MAX], https[THREADS_MAX];
    for (unsigned i = 0; i < THREADS_MAX; i++)
        http[i] = grpc[i] = https[i] = -1;
    enum sync_status status = SYNC_OK;
    if (setup->has_http)
        status = listener_bind(&setup->http, http, setup->threads, error);
    if (status == SYNC_OK && setup->has_grpc)
        status = listener_bind(&setup->grpc, grpc, setup->threads, error);
    if (status == SYNC_OK && setup->has_https)
        status = listener_bind(&setup->https, https, setup->threads, error);
    for (unsigned i = 0; i < setup->threads; i++) {
        if (status == SYNC_OK) {
            status = worker_open(&setup->gateway, http[i], grpc[i], https[i], &program->workers[i]);
            program->worker_count += status == SYNC_OK;
            if (status != SYNC_OK)
                sync_error_set(error, status, "START", NULL, "cannot start: %s",
                               sync_status_text(status));
        } else {
            if (http[i] >= 0)
                close(http[i]);
            if (grpc[i] >= 0)
                close(grpc[i]);
            if (https[i] >= 0)
                close(https[i]);
        }
    }
    return status;
}

static enum sync_status start_workers(struct program *program, struct sync_error *error) {
    for (unsigned i = 0; i < program->worker_count; i++) {
        if (worker_start(program->workers[i]) != SYNC_OK)
            return sync_error_set(error, SYNC_ERR_IO, "START", NULL, "cannot start a thread: %s",
                                  strerror(errno));
    }
    return SYNC_OK;
}

/* Tells where we listen, in the log and in the ready file, which appears whole. */
static enum sync_status announce(const struct gateway_setup *setup, struct sync_error *error) {
    char http[ADDRESS_TEXT_MAX] = "", grpc[ADDRESS_TEXT_MAX] = "", https[ADDRESS_TEXT_MAX] = "";
    if (setup->has_http)
        address_format(&setup->http, http);
    if (setup->has_grpc)
        address_format(&setup->grpc, grpc);
    if (setup->has_https)
        address_format(&setup->https, https);
    log_line(setup->gateway.log, LOG_INFO, "listening", LOG_TEXT("http", http),
             LOG_TEXT("grpc", grpc), LOG_TEXT("https", https),
             LOG_TEXT("upstream", config_text(setup->config, "upstream")),
             LOG_INT("threads", setup->threads));
    if (!setup->ready_file)
        return SYNC_OK;
    char temporary[4096];
    int size = snprintf(temporary, sizeof(temporary), "%s.new", setup->ready_file);
    FILE *file = size > 0 && (size_t)size < sizeof(temporary) ? fopen(temporary, "w") : NULL;
    bool written = file != NULL;
    if (file) {
        if (setup->has_http)
            fprintf(file, "http %s\n", http);
        if (setup->has_grpc)
            fprintf(file, "grpc %s\n", grpc);
        if (setup->has_https)
            fprintf(file, "https %s\n", https);
        written = fclose(file) == 0 && rename(temporary, setup->ready_file) == 0;
    }
    return written ? SYNC_OK
                   : sync_error_set(error, SYNC_ERR_IO, "READY_FILE", NULL, "cannot write %s: %s",
                                    setup->ready_file, strerror(errno));
}

/* Loads the certificate again; one that is bad leaves the old one in force. */
static void reload_tls(struct gateway *gateway) {
    const struct gateway_series *series = gateway_metrics_series(gateway->metrics);
    struct sync_error error = {.status = SYNC_OK};
    if (tls_reload(gateway->tls, &error) != SYNC_OK) {
        metric_add(series->certificate_failures, 1);
        log_line(gateway->log, LOG_ERROR, "the certificate stays as it was",
                 LOG_TEXT("reason", error.message));
        return;
    }
    metric_add(series->certificate_loads, 1);
    metric_set(series->certificate_end, (double)tls_not_after_s(gateway->tls));
    log_line(gateway->log, LOG_INFO, "the certificate was loaded",
             LOG_INT("not_after", tls_not_after_s(gateway->tls)));
}

/* The same of what backends are spoken to with. */
static void reload_upstream_tls(const struct gateway_setup *setup) {
    struct sync_error error = {.status = SYNC_OK};
    if (tls_client_reload(setup->gateway.upstream_tls, &error) == SYNC_OK)
        log_line(setup->gateway.log, LOG_INFO, "the certificates for upstreams were loaded",
                 LOG_TEXT("upstream", config_text(setup->config, "upstream")));
    else
        log_line(setup->gateway.log, LOG_ERROR, "the certificates for upstreams stay as they were",
                 LOG_TEXT("reason", error.message));
}

/* Reads the descriptor set again, for the requests to come. One that is bad leaves the old one in
 * force. */
static void reload_api(struct program *program) {
    struct gateway_setup *setup = &program->setup;
    struct sync_error error = {.status = SYNC_OK};
    struct api *api = NULL;
    if (!setup->descriptor_set)
        return;
    program->set_mark = file_mark_of(setup->descriptor_set);
    if (gateway_setup_api(setup, &error, &api) != SYNC_OK) {
        log_line(setup->gateway.log, LOG_ERROR, "the descriptor set stays as it was",
                 LOG_TEXT("reason", error.message));
        return;
    }
    api_release(setup->gateway.api);
    setup->gateway.api = api;
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_adopt(program->workers[i], api);
    log_line(setup->gateway.log, LOG_INFO, "the descriptor set was loaded",
             LOG_TEXT("file", setup->descriptor_set),
             LOG_INT("methods", (int64_t)schema_method_count(api->schema)));
}

/* Reads a descriptor set that is new, and was so a second ago: it may be in the midst of being
 * written. */
static void notice_api(struct program *program) {
    if (!program->setup.descriptor_set)
        return;
    struct file_mark mark = file_mark_of(program->setup.descriptor_set);
    if (mark.exists && !file_mark_equal(&mark, &program->set_mark) &&
        file_mark_equal(&mark, &program->set_seen))
        reload_api(program);
    program->set_seen = mark;
}

/* What is to be done every second: a burst's memory goes back to the system, what files hold anew
 * is noticed. */
static void tend(struct program *program, unsigned seconds) {
    struct gateway *gateway = &program->setup.gateway;
    if (seconds % TRIM_SECONDS == 0)
        memory_trim();
    if (gateway->tls && tls_files_changed(gateway->tls))
        reload_tls(gateway);
    if (gateway->upstream_tls && tls_client_files_changed(gateway->upstream_tls))
        reload_upstream_tls(&program->setup);
    notice_api(program);
}

/* Waits for a signal to end; SIGHUP reads what may change. */
static void wait_for_end(const sigset_t *signals, struct program *program) {
    struct gateway *gateway = &program->setup.gateway;
    const struct timespec pause = {.tv_sec = 1};
    int signal_number;
    unsigned seconds = 0;
    while ((signal_number = sigtimedwait(signals, NULL, &pause)) < 0 || signal_number == SIGHUP) {
        if (signal_number != SIGHUP) {
            tend(program, ++seconds);
            continue;
        }
        gateway_setup_reopen_log(&program->setup);
        if (gateway->tls)
            reload_tls(gateway);
        if (gateway->upstream_tls)
            reload_upstream_tls(&program->setup);
        reload_api(program);
    }
    log_line(gateway->log, LOG_INFO, "stopping", LOG_INT("signal", signal_number));
    /* A second signal ends at once; there is nothing left to load. */
    signal(SIGHUP, SIG_IGN);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

static void stop_workers(struct program *program) {
    atomic_store(&program->setup.gateway.draining, true);
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_drain(program->workers[i]);
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_join(program->workers[i]);
    for (unsigned i = 0; i < program->worker_count; i++)
        program->workers[i] = worker_close(program->workers[i]);
    program->setup.gateway.pool = work_pool_close(program->setup.gateway.pool);
}

static int serve(struct program *program, struct sync_error *error) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(&program->setup.gateway);
    enum sync_status status = resolver_start(program->setup.gateway.resolver);
    if (status != SYNC_OK)
        sync_error_set(error, status, "START", NULL, "cannot start a thread: %s", strerror(errno));
    if (status == SYNC_OK)
        status = open_pool(program, error);
    if (status == SYNC_OK)
        status = open_workers(program, error);
    if (status == SYNC_OK)
        status = start_workers(program, error);
    const struct gateway *gateway = &program->setup.gateway;
    if (gateway->tls)
        metric_set(gateway_metrics_series(gateway->metrics)->certificate_end,
                   (double)tls_not_after_s(gateway->tls));
    if (status == SYNC_OK)
        status = announce(&program->setup, error);
    if (status == SYNC_OK)
        wait_for_end(&signals, program);
    stop_workers(program);
    if (status == SYNC_OK) {
        log_line(program->setup.gateway.log, LOG_INFO, "stopped", LOG_INT("status", 0));
        return EXIT_SUCCESS;
    }
    fail(error);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const struct config_program *options = gateway_program();
    struct sync_error error = {.status = SYNC_OK};
    struct config *config = NULL;
    hash_key_draw(random_system());
    if (config_open(options, argc, argv, environ, &error, &config) != SYNC_OK) {
        fail(&error);
        return EXIT_FAILURE;
    }
    if (config_wants_help(config) || config_wants_version(config)) {
        if (config_wants_help(config))
            config_print_help(options, stdout);
        else
            printf("%s %s\n", options->name, options->version);
        config_close(config);
        return EXIT_SUCCESS;
    }
    bool only_check = config_wants_check(config);
    struct program *program = memory_zalloc(1, sizeof(*program));
    if (!program) {
        config_close(config);
        fprintf(stderr, "sync_gateway: no memory\n");
        return EXIT_FAILURE;
    }
    int rc = EXIT_FAILURE;
    const char *set = config_text(config, "descriptor-set");
    if (set && set[0])
        program->set_mark = file_mark_of(set); /* before it is read: what comes later is seen */
    if (gateway_setup_init(&program->setup, config, &error) != SYNC_OK)
        fail(&error);
    else
        rc = only_check ? check(&program->setup) : serve(program, &error);
    gateway_setup_done(&program->setup);
    memory_free(program);
    return rc;
}
