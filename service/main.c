/* sync_service: starts the parts, waits for a signal, ends them in order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "service/parts.h"

enum { EXIT_USAGE = 2, HEALTH_EVERY_MS = 500 };

/* Blocks, in all threads to come, the signals that main waits for. */
static void signals_block(sigset_t *ret_waited) {
    sigemptyset(ret_waited);
    sigaddset(ret_waited, SIGTERM);
    sigaddset(ret_waited, SIGINT);
    sigaddset(ret_waited, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_waited, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Says where the service is, in a file that appears whole. */
static bool ready_write(const struct parts *parts) {
    const struct settings *settings = parts->settings;
    char fresh[SETTINGS_PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", settings->ready_file) >= (int)sizeof fresh)
        return false;
    FILE *file = fopen(fresh, "we");
    if (!file)
        return false;
    fprintf(file, "pid=%ld\nunix=%s\n", (long)getpid(), settings->unix_path);
    if (settings->grpc_address)
        fprintf(file, "grpc_port=%d\n", rpc_server_port(parts->server));
    if (parts->metrics_page)
        fprintf(file, "metrics_port=%d\n", metrics_page_port(parts->metrics_page));
    return fclose(file) == 0 && rename(fresh, settings->ready_file) == 0;
}

static void keys_reload(struct parts *parts) {
    struct sync_error error;
    if (token_verifier_reload(parts->service.tokens, &error) == SYNC_OK)
        log_line(parts->service.log, LOG_INFO, "keys read again",
                 LOG_TEXT("file", parts->settings->jwks_path));
    else
        log_line(parts->service.log, LOG_ERROR, "keys not read, the old ones stay",
                 LOG_TEXT("error", error.message));
}

/* Waits until the service has to end; false when that is for a fault. */
static bool serve(struct parts *parts, const sigset_t *waited) {
    const struct timespec every = {.tv_nsec = HEALTH_EVERY_MS * 1000000L};
    for (;;) {
        int signal_number = sigtimedwait(waited, NULL, &every);
        if (signal_number == SIGHUP)
            keys_reload(parts);
        else if (signal_number > 0)
            return true;
        enum sync_status health = store_health(parts->service.store);
        if (sync_status_is_fatal(health)) {
            log_line(parts->service.log, LOG_ERROR, "the store is broken, the service ends",
                     LOG_TEXT("status", sync_status_name(health)));
            return false;
        }
    }
}

/* Serves until the end; the exit status. */
static int run(const struct settings *settings, const sigset_t *waited) {
    static struct parts parts;
    struct sync_error error;
    if (parts_open(&parts, settings, &error) != SYNC_OK) {
        fprintf(stderr, "sync_service: %s\n", error.message);
        return EXIT_FAILURE;
    }
    log_line(parts.service.log, LOG_INFO, "ready", LOG_TEXT("unix", settings->unix_path),
             LOG_INT("grpc_port", rpc_server_port(parts.server)),
             LOG_INT("threads", settings->threads), LOG_INT("workers", settings->workers));
    bool is_well = !settings->ready_file || ready_write(&parts);
    if (!is_well)
        log_line(parts.service.log, LOG_ERROR, "cannot write the ready file",
                 LOG_TEXT("file", settings->ready_file), LOG_TEXT("error", strerror(errno)));
    is_well = is_well && serve(&parts, waited);
    log_line(parts.service.log, LOG_INFO, "draining", LOG_TEXT("unix", settings->unix_path));
    if (settings->ready_file)
        unlink(settings->ready_file);
    if (!parts_drain(&parts)) {
        log_line(parts.service.log, LOG_ERROR, "calls did not end in time",
                 LOG_TEXT("unix", settings->unix_path));
        _exit(EXIT_FAILURE); /* what was acknowledged is on the disk */
    }
    log_line(parts.service.log, LOG_INFO, "stopped", LOG_TEXT("unix", settings->unix_path));
    parts_close(&parts);
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    sigset_t waited;
    struct sync_error error;
    struct config *config = NULL;
    const struct config_program *program = settings_program();
    signals_block(&waited);
    hash_key_draw(random_system());
    if (config_open(program, argc, argv, environ, &error, &config) != SYNC_OK) {
        fprintf(stderr, "%s: %s\n", program->name, error.message);
        return EXIT_USAGE;
    }
    static struct settings settings;
    int result = EXIT_SUCCESS;
    if (config_wants_help(config)) {
        config_print_help(program, stdout);
    } else if (config_wants_version(config)) {
        printf("%s %s\n", program->name, program->version);
    } else if (settings_read(config, &error, &settings) != SYNC_OK) {
        fprintf(stderr, "%s: %s\n", program->name, error.message);
        result = EXIT_USAGE;
    } else if (config_wants_check(config)) {
        config_print(config, stdout);
    } else {
        result = run(&settings, &waited);
    }
    settings_done(&settings);
    config_close(config);
    return result;
}
