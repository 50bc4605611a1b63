#include "gateway/gateway_config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error_descriptor.h"
#include "gateway/http_text.h"
#include "sync_descriptor.h"

enum {
    THREADS_DEFAULT_MAX = 2,
    CORES_PER_THREAD = 2,       /* the service has its share as well, in a flood above all */
    SILENCE_GRACE_US = 5000000, /* calls end by their own deadline first */
    WINDOW_US = 10000000,
    WINDOW_CALLS_MIN = 20,
    EJECTION_FACTOR_MAX = 30,
};

/* How the API that is embedded calls itself. */
#define SYNC_TITLE "TravelSense Sync"
#define SYNC_DOMAIN "gateway.travelsense"
#define SYNC_REALM "travelsense"

static const struct config_option OPTIONS[] = {
    {"http", CONFIG_TEXT, "127.0.0.1:8080", "HOST:PORT", "Where to serve in clear; empty: nowhere.",
     0, 0},
    {"grpc", CONFIG_TEXT, NULL, "HOST:PORT",
     "Where to serve in clear as well, for clients that have a port for gRPC alone.", 0, 0},
    {"https", CONFIG_TEXT, NULL, "HOST:PORT", "Where to serve by TLS.", 0, 0},
    {"cert", CONFIG_TEXT, NULL, "FILE", "The certificate chain for https, PEM.", 0, 0},
    {"key", CONFIG_TEXT, NULL, "FILE", "The certificate's private key, PEM.", 0, 0},
    {"client-ca", CONFIG_TEXT, NULL, "FILE",
     "Authorities whose certificates clients of https show, PEM.", 0, 0},
    {"client-auth", CONFIG_TEXT, "required", "WHEN",
     "With --client-ca: whether a certificate is required or optional.", 0, 0},
    {"ticket-lifetime-s", CONFIG_INT, "43200", "S", "For a TLS session to be resumed in.", 1,
     604800},
    {"allow-cleartext", CONFIG_FLAG, "false", NULL,
     "Serve in clear on an address that others can reach.", 0, 0},
    {"upstream", CONFIG_TEXT, "unix:/run/travelsense/sync.sock", "ADDRESSES",
     "The gRPC service's backends: unix:PATH or HOST:PORT, separated by commas.", 0, 0},
    {"upstream-tls", CONFIG_FLAG, "false", NULL, "Speak TLS to backends that are not Unix sockets.",
     0, 0},
    {"upstream-ca", CONFIG_TEXT, NULL, "FILE",
     "Who may vouch for backends, PEM; by default whom the system trusts.", 0, 0},
    {"upstream-cert", CONFIG_TEXT, NULL, "FILE", "The certificate chain shown to backends, PEM.", 0,
     0},
    {"upstream-key", CONFIG_TEXT, NULL, "FILE", "Its private key, PEM.", 0, 0},
    {"upstream-cleartext", CONFIG_FLAG, "false", NULL,
     "Speak in clear to backends on other machines.", 0, 0},
    {"upstream-sessions", CONFIG_INT, "2", "N",
     "Connections kept to each backend per thread; more, up to 64, are made for streams.", 1,
     UPSTREAM_SESSIONS_MAX},
    {"upstream-connect-timeout-ms", CONFIG_INT, "1000", "MS",
     "For a backend to accept a connection and greet.", 10, 60000},
    {"upstream-health-interval-ms", CONFIG_INT, "1000", "MS",
     "Between health checks of each connection; 0: no checks.", 0, 3600000},
    {"upstream-health-timeout-ms", CONFIG_INT, "1000", "MS", "For a health check's answer.", 10,
     60000},
    {"upstream-keepalive-ms", CONFIG_INT, "330000", "MS",
     "Silence of a connection with calls until the backend is asked by PING; 0: never.", 0,
     86400000},
    {"upstream-health-fall", CONFIG_INT, "2", "N",
     "Failed checks in a row that take a backend out.", 1, 100},
    {"upstream-health-rise", CONFIG_INT, "2", "N", "Passed checks in a row that bring it back.", 1,
     100},
    {"upstream-failures-max", CONFIG_INT, "10", "N",
     "Calls failed in a row for which a backend is left alone for a while; 0: never.", 0, 1000000},
    {"upstream-failure-percent", CONFIG_INT, "50", "PERCENT",
     "The same, of the calls of the last 10 s where these are 20 or more.", 1, 100},
    {"upstream-ejection-ms", CONFIG_INT, "2000", "MS",
     "How long it is left alone at first; doubles each time, at most 30-fold.", 10, 3600000},
    {"upstream-slow-start-ms", CONFIG_INT, "0", "MS",
     "How long a backend that is back gets fewer calls than the others.", 0, 3600000},
    {"descriptor-set", CONFIG_TEXT, NULL, "FILE",
     "The FileDescriptorSet of the service; by default that of TravelSense Sync.", 0, 0},
    {"title", CONFIG_TEXT, NULL, "TEXT",
     "The title of /openapi.json; by default the name of the first service.", 0, 0},
    {"unknown-query", CONFIG_TEXT, "refuse", "WHAT",
     "refuse or ignore query parameters that no field has.", 0, 0},
    {"path-unescape", CONFIG_TEXT, "except-slash", "WHAT",
     "Decoded in variables of several segments: except-slash, except-reserved, all.", 0, 0},
    {"cors-origin", CONFIG_TEXT, NULL, "ORIGINS",
     "Origins whose pages may call, separated by commas, or *.", 0, 0},
    {"threads", CONFIG_INT, "0", "N", "Event loops; 0: one for two cores, at most 2.", 0, 64},
    {"max-connections", CONFIG_INT, "10000", "N", "Client connections at one time.", 1, 1000000},
    {"buffer-bytes-max", CONFIG_BYTES, "512m", "BYTES",
     "Bytes of request bodies and answers held at one time.", 1 << 20, INT64_C(1) << 40},
    {"max-handshakes", CONFIG_INT, "1000", "N",
     "TLS handshakes at one time; beyond it the oldest ends.", 1, 1000000},
    {"handshake-timeout-ms", CONFIG_INT, "10000", "MS", "For TLS to be agreed on.", 100, 3600000},
    {"header-timeout-ms", CONFIG_INT, "10000", "MS", "For a request's head to come.", 100, 3600000},
    {"idle-timeout-ms", CONFIG_INT, "60000", "MS", "For the next request to come.", 100, 86400000},
    {"keepalive-ms", CONFIG_INT, "60000", "MS",
     "Silence of a client with requests, or of a backend, until it is asked; 0: never.", 0,
     86400000},
    {"keepalive-timeout-ms", CONFIG_INT, "20000", "MS", "For its answer.", 100, 3600000},
    {"call-timeout-ms", CONFIG_INT, "30000", "MS", "For the service to answer.", 10, 3600000},
    {"stream-timeout-ms", CONFIG_INT, "3600000", "MS", "For a streamed answer to end.", 10,
     86400000},
    {"stream-heartbeat-ms", CONFIG_INT, "15000", "MS",
     "Between signs of life in server-sent events.", 10, 3600000},
    {"drain-timeout-ms", CONFIG_INT, "10000", "MS",
     "For requests in flight when the program is told to end.", 0, 3600000},
    {"ready-file", CONFIG_TEXT, NULL, "FILE",
     "Written once listening: a line per address, such as \"http 127.0.0.1:8080\".", 0, 0},
    {"log-level", CONFIG_TEXT, "info", "LEVEL", "debug, info, warn or error.", 0, 0},
    {"access-log", CONFIG_FLAG, "false", NULL, "Log every request.", 0, 0},
    {"access-log-file", CONFIG_TEXT, NULL, "FILE", "Log every request there; SIGHUP opens it anew.",
     0, 0},
    {"trusted-proxies", CONFIG_TEXT, NULL, "NETWORKS",
     "Whose X-Forwarded-For and Forwarded count, such as 10.0.0.0/8,2001:db8::/32.", 0, 0},
    {"proxy-protocol", CONFIG_FLAG, "false", NULL,
     "Trusted proxies begin with a header of the PROXY protocol.", 0, 0},
    {"penalty-ms", CONFIG_INT, "1000", "MS",
     "New connections of an address wait for so long where 5 of it were cut in 10 s; 0: not.", 0,
     60000},
    {"client-connections-max", CONFIG_INT, "0", "N",
     "Connections of one client address; 0: no bound.", 0, 1000000},
    {"client-streams-max", CONFIG_INT, "0", "N",
     "Requests of one client address at one time; 0: no bound.", 0, 1000000},
    {"client-requests-per-s", CONFIG_INT, "0", "N",
     "Requests of one client address a second; 0: no bound.", 0, 1000000},
};

const struct config_program *gateway_program(void) {
    static const struct config_program program = {
        .name = "sync_gateway",
        .summary = "Serves a gRPC service as REST over HTTP/1.1 and HTTP/2.",
        .version = "0.1.0",
        .environment_prefix = "SYNC_GATEWAY",
        .options = OPTIONS,
        .options_count = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    };
    return &program;
}

static bool is_set(const char *text) {
    return text && text[0] != '\0';
}

static enum sync_status bad_option(struct sync_error *error, const char *name, const char *why) {
    return sync_error_set(error, SYNC_ERR_INVALID, "CONFIG", NULL, "--%s: %s", name, why);
}

static int access_log_open_file(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static enum sync_status setup_access_log(struct gateway_setup *setup, enum log_level level,
                                         struct sync_error *error) {
    struct gateway *gateway = &setup->gateway;
    const char *path = config_text(setup->config, "access-log-file");
    if (!is_set(path)) {
        gateway->access_log = config_flag(setup->config, "access-log") ? gateway->log : NULL;
        return SYNC_OK;
    }
    setup->access_fd = access_log_open_file(path);
    if (setup->access_fd < 0)
        return sync_error_set(error, SYNC_ERR_INVALID, "FILE", NULL, "cannot open %s: %s", path,
                              strerror(errno));
    gateway->access_log = log_open(setup->access_fd, level, "access", gateway->clock);
    return gateway->access_log
               ? SYNC_OK
               : sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for the log");
}

/* The new file takes the old one's descriptor, so that no thread writes to one that is closed. */
void gateway_setup_reopen_log(struct gateway_setup *setup) {
    if (setup->access_fd < 0)
        return;
    const char *path = config_text(setup->config, "access-log-file");
    int fd = access_log_open_file(path);
    if (fd < 0 || dup3(fd, setup->access_fd, O_CLOEXEC) < 0)
        log_line(setup->gateway.log, LOG_ERROR, "the access log stays where it was",
                 LOG_TEXT("file", path), LOG_TEXT("reason", strerror(errno)));
    if (fd >= 0)
        close(fd);
}

static enum sync_status setup_clients(struct gateway_setup *setup, struct sync_error *error) {
    struct gateway *gateway = &setup->gateway;
    const struct config *config = setup->config;
    const struct client_limits limits = {
        .connections_max = (unsigned)config_int(config, "client-connections-max"),
        .requests_max = (unsigned)config_int(config, "client-streams-max"),
        .requests_per_s = (unsigned)config_int(config, "client-requests-per-s"),
    };
    gateway->proxy_protocol = config_flag(config, "proxy-protocol");
    struct sync_error inner;
    if (networks_parse(config_text(config, "trusted-proxies"), &inner, &gateway->trusted_proxies) !=
        SYNC_OK)
        return bad_option(error, "trusted-proxies", inner.message);
    if (gateway->proxy_protocol && gateway->trusted_proxies.count == 0)
        return bad_option(error, "proxy-protocol", "it needs --trusted-proxies");
    bool bound = limits.connections_max + limits.requests_max + limits.requests_per_s > 0;
    bool penalizes = gateway->limits.penalty_us > 0;
    gateway->clients = bound ? client_table_open(&limits, gateway->clock) : NULL;
    gateway->penalties = penalizes ? penalty_table_open(gateway->clock) : NULL;
    if (bound == !gateway->clients || penalizes == !gateway->penalties)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for clients");
    return SYNC_OK;
}

static enum sync_status setup_log(struct gateway_setup *setup, struct sync_error *error) {
    enum log_level level;
    const char *text = config_text(setup->config, "log-level");
    if (!log_level_parse(slice_text(text), &level))
        return bad_option(error, "log-level", "expected debug, info, warn or error");
    setup->gateway.log = log_open(STDERR_FILENO, level, "gateway", setup->gateway.clock);
    if (!setup->gateway.log)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for the log");
    return setup_access_log(setup, level, error);
}

static uint64_t config_us(const struct config *config, const char *name) {
    return (uint64_t)config_int(config, name) * 1000;
}

static struct keepalive setup_keepalive(const struct config *config) {
    return (struct keepalive){.after_us = config_us(config, "keepalive-ms"),
                              .timeout_us = config_us(config, "keepalive-timeout-ms")};
}

static void setup_limits(struct gateway_setup *setup) {
    const struct config *config = setup->config;
    setup->gateway.limits = (struct gateway_limits){
        .handshake_timeout_us = config_us(config, "handshake-timeout-ms"),
        .header_timeout_us = config_us(config, "header-timeout-ms"),
        .idle_timeout_us = config_us(config, "idle-timeout-ms"),
        .call_timeout_us = config_us(config, "call-timeout-ms"),
        .stream_timeout_us = config_us(config, "stream-timeout-ms"),
        .stream_heartbeat_us = config_us(config, "stream-heartbeat-ms"),
        .drain_timeout_us = config_us(config, "drain-timeout-ms"),
        .keepalive = setup_keepalive(config),
        .penalty_us = config_us(config, "penalty-ms"),
        .connections_max = (unsigned)config_int(config, "max-connections"),
        .buffered_bytes_max = (uint64_t)config_int(config, "buffer-bytes-max"),
    };
    setup->threads = (unsigned)config_int(config, "threads");
    if (setup->threads == 0) {
        long threads = sysconf(_SC_NPROCESSORS_ONLN) / CORES_PER_THREAD;
        setup->threads = threads < 1                     ? 1
                         : threads > THREADS_DEFAULT_MAX ? THREADS_DEFAULT_MAX
                                                         : (unsigned)threads;
    }
    unsigned handshakes_max = (unsigned)config_int(config, "max-handshakes");
    setup->gateway.limits.handshakes_max = (handshakes_max + setup->threads - 1) / setup->threads;
    const char *ready_file = config_text(config, "ready-file");
    setup->ready_file = is_set(ready_file) ? ready_file : NULL;
}

static enum sync_status setup_origins(struct gateway_setup *setup, struct sync_error *error) {
    const char *text = config_text(setup->config, "cors-origin");
    while (is_set(text)) {
        size_t size = strcspn(text, ",");
        if (size > 0 && setup->gateway.cors_origin_count == GATEWAY_CORS_ORIGINS_MAX)
            return bad_option(error, "cors-origin", "too many origins");
        if (size > 0 && !http_text_is_origin(slice_of(text, size)))
            return sync_error_set(error, SYNC_ERR_INVALID, "CONFIG", NULL,
                                  "--cors-origin: \"%.*s\" is no origin: expected "
                                  "SCHEME://HOST[:PORT] in lower case, null or *",
                                  (int)size, text);
        if (size > 0)
            setup->gateway.cors_origins[setup->gateway.cors_origin_count++] = slice_of(text, size);
        text += size + (text[size] == ',');
    }
    return SYNC_OK;
}

/* An option that says nothing without another is a mistake. */
static enum sync_status setup_needs(const struct gateway_setup *setup, struct sync_error *error) {
    static const char *const edge[] = {"cert", "key", "client-ca"};
    static const char *const upstream[] = {"upstream-ca", "upstream-cert", "upstream-key"};
    bool secure = config_flag(setup->config, "upstream-tls");
    for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
        if (is_set(config_text(setup->config, edge[i])) && !setup->has_https)
            return bad_option(error, edge[i], "it needs --https");
        if (is_set(config_text(setup->config, upstream[i])) && !secure)
            return bad_option(error, upstream[i], "it needs --upstream-tls");
    }
    return SYNC_OK;
}

static enum sync_status setup_addresses(struct gateway_setup *setup, struct sync_error *error) {
    const char *http = config_text(setup->config, "http");
    const char *grpc = config_text(setup->config, "grpc");
    const char *https = config_text(setup->config, "https");
    setup->has_http = is_set(http);
    setup->has_grpc = is_set(grpc);
    setup->has_https = is_set(https);
    if (!setup->has_http && !setup->has_grpc && !setup->has_https)
        return bad_option(error, "http", "neither --http nor --https says where to serve");
    enum sync_status status = SYNC_OK;
    if (setup->has_http)
        status = address_parse(http, error, &setup->http);
    if (status == SYNC_OK && setup->has_grpc)
        status = address_parse(grpc, error, &setup->grpc);
    if (status == SYNC_OK && setup->has_https)
        status = address_parse(https, error, &setup->https);
    if (status != SYNC_OK)
        return status;
    bool http_open = setup->has_http && !address_is_loopback(&setup->http);
    bool grpc_open = setup->has_grpc && !address_is_loopback(&setup->grpc);
    if ((http_open || grpc_open) && !config_flag(setup->config, "allow-cleartext"))
        return bad_option(error, http_open ? "http" : "grpc",
                          "others can reach this address, and it would serve them in clear: use "
                          "--https, or say --allow-cleartext");
    return SYNC_OK;
}

static const char *config_path(const struct config *config, const char *name) {
    const char *path = config_text(config, name);
    return is_set(path) ? path : NULL;
}

static enum sync_status setup_upstream_tls(struct gateway_setup *setup, struct sync_error *error) {
    const struct tls_client_options options = {
        .ca_path = config_path(setup->config, "upstream-ca"),
        .cert_path = config_path(setup->config, "upstream-cert"),
        .key_path = config_path(setup->config, "upstream-key"),
    };
    if (!options.cert_path != !options.key_path)
        return bad_option(error, "upstream-cert", "it and --upstream-key go together");
    return tls_client_open(&options, error, &setup->gateway.upstream_tls);
}

static enum sync_status setup_upstream(struct gateway_setup *setup, struct sync_error *error) {
    const struct config *config = setup->config;
    uint64_t ejection_us = config_us(config, "upstream-ejection-ms");
    setup->gateway.upstream_policy = (struct upstream_policy){
        .sessions = (unsigned)config_int(config, "upstream-sessions"),
        .connect_timeout_us = config_us(config, "upstream-connect-timeout-ms"),
        .health_interval_us = config_us(config, "upstream-health-interval-ms"),
        .health_timeout_us = config_us(config, "upstream-health-timeout-ms"),
        .health_fall = (unsigned)config_int(config, "upstream-health-fall"),
        .health_rise = (unsigned)config_int(config, "upstream-health-rise"),
        .slow_start_us = config_us(config, "upstream-slow-start-ms"),
        .keepalive = setup_keepalive(config),
        .ping = {.after_us = config_us(config, "upstream-keepalive-ms"),
                 .timeout_us = config_us(config, "keepalive-timeout-ms")},
        .silence_max_us = config_us(config, "call-timeout-ms") + SILENCE_GRACE_US,
        .breaker =
            {
                .failures_max = (unsigned)config_int(config, "upstream-failures-max"),
                .failures_percent = (unsigned)config_int(config, "upstream-failure-percent"),
                .window_calls_min = WINDOW_CALLS_MIN,
                .window_us = WINDOW_US,
                .open_us = ejection_us,
                .open_max_us = ejection_us * EJECTION_FACTOR_MAX,
            },
    };
    bool secure = config_flag(config, "upstream-tls");
    enum sync_status status = secure ? setup_upstream_tls(setup, error) : SYNC_OK;
    if (status != SYNC_OK)
        return status;
    const struct resolver_options options = {
        .targets = config_text(config, "upstream"),
        .only_local = !secure && !config_flag(config, "upstream-cleartext"),
        .log = setup->gateway.log,
    };
    return resolver_open(&options, error, &setup->gateway.resolver);
}

static enum sync_status setup_tls(struct gateway_setup *setup, struct sync_error *error) {
    const struct config *config = setup->config;
    const char *client_ca = config_text(config, "client-ca");
    const char *when = config_text(config, "client-auth");
    bool required = strcmp(when, "required") == 0;
    if (!required && strcmp(when, "optional") != 0)
        return bad_option(error, "client-auth", "expected required or optional");
    if (!setup->has_https)
        return SYNC_OK;
    const struct tls_options options = {
        .cert_path = config_text(config, "cert"),
        .key_path = config_text(config, "key"),
        .client_ca_path = is_set(client_ca) ? client_ca : NULL,
        .client_required = required,
        .ticket_lifetime_us = (uint64_t)config_int(config, "ticket-lifetime-s") * 1000000,
        .clock = setup->gateway.clock,
        .random = setup->gateway.random,
    };
    if (!is_set(options.cert_path) || !is_set(options.key_path))
        return bad_option(error, "https", "it needs --cert and --key");
    return tls_open(&options, error, &setup->gateway.tls);
}

/* Finds a text among those that an option takes. */
static enum sync_status choose(struct gateway_setup *setup, const char *name,
                               const char *const *texts, int *ret_index, struct sync_error *error) {
    char expected[128] = "expected";
    const char *text = config_text(setup->config, name);
    for (int i = 0; texts[i]; i++) {
        if (strcmp(text, texts[i]) == 0) {
            *ret_index = i;
            return SYNC_OK;
        }
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i > 0 ? ", " : " ", texts[i]);
    }
    return bad_option(error, name, expected);
}

/* How requests are read. */
static enum sync_status setup_reading(struct gateway_setup *setup, struct sync_error *error) {
    static const char *const UNESCAPE[] = {
        [ROUTE_UNESCAPE_EXCEPT_SLASH] = "except-slash",
        [ROUTE_UNESCAPE_EXCEPT_RESERVED] = "except-reserved",
        [ROUTE_UNESCAPE_ALL] = "all",
        [ROUTE_UNESCAPE_ALL + 1] = NULL,
    };
    static const char *const UNKNOWN[] = {"refuse", "ignore", NULL};
    int unescape = 0, ignore = 0;
    enum sync_status status = choose(setup, "path-unescape", UNESCAPE, &unescape, error);
    if (status == SYNC_OK)
        status = choose(setup, "unknown-query", UNKNOWN, &ignore, error);
    setup->unescape = (enum route_unescape)unescape;
    setup->gateway.ignore_unknown_query = ignore == 1;
    return status;
}

enum sync_status gateway_setup_api(const struct gateway_setup *setup, struct sync_error *error,
                                   struct api **ret_api) {
    const char *title = config_text(setup->config, "title");
    if (!is_set(title))
        title = setup->descriptor_set ? NULL : SYNC_TITLE;
    const struct api_options options = {
        .path = setup->descriptor_set,
        .embedded = slice_of(sync_descriptor, sync_descriptor_size),
        .errors = slice_of(error_descriptor, error_descriptor_size),
        .title = title,
        .version = gateway_program()->version,
        .domain = setup->descriptor_set ? "gateway" : SYNC_DOMAIN,
        .realm = setup->descriptor_set ? NULL : SYNC_REALM,
        .metrics = setup->gateway.metrics,
        .unescape = setup->unescape,
    };
    return api_open(&options, error, ret_api);
}

static enum sync_status setup_api(struct gateway_setup *setup, struct sync_error *error) {
    struct gateway *gateway = &setup->gateway;
    const char *path = config_text(setup->config, "descriptor-set");
    setup->descriptor_set = is_set(path) ? path : NULL;
    gateway->metrics = gateway_metrics_open();
    if (!gateway->metrics)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for metrics");
    return gateway_setup_api(setup, error, &gateway->api);
}

enum sync_status gateway_setup_init(struct gateway_setup *setup, struct config *config,
                                    struct sync_error *error) {
    assert(setup && config && error);
    memset(setup, 0, sizeof(*setup));
    setup->config = config;
    setup->access_fd = -1;
    setup->gateway.clock = clock_system();
    setup->gateway.random = random_system();
    upstream_board_init(&setup->gateway.upstream_board);
    setup_limits(setup);
    enum sync_status status = setup_log(setup, error);
    if (status == SYNC_OK)
        status = setup_origins(setup, error);
    if (status == SYNC_OK)
        status = setup_addresses(setup, error);
    if (status == SYNC_OK)
        status = setup_needs(setup, error);
    if (status == SYNC_OK)
        status = setup_clients(setup, error);
    if (status == SYNC_OK)
        status = setup_upstream(setup, error);
    if (status == SYNC_OK)
        status = setup_tls(setup, error);
    if (status == SYNC_OK)
        status = setup_reading(setup, error);
    if (status == SYNC_OK)
        status = setup_api(setup, error);
    return status;
}

void gateway_setup_done(struct gateway_setup *setup) {
    struct gateway *gateway = &setup->gateway;
    gateway->api = api_release(gateway->api);
    gateway->metrics = gateway_metrics_close(gateway->metrics);
    gateway->resolver = resolver_close(gateway->resolver);
    upstream_board_done(&gateway->upstream_board);
    gateway->upstream_tls = tls_client_close(gateway->upstream_tls);
    gateway->tls = tls_close(gateway->tls);
    gateway->clients = client_table_close(gateway->clients);
    gateway->penalties = penalty_table_close(gateway->penalties);
    if (gateway->access_log != gateway->log)
        log_close(gateway->access_log);
    if (setup->access_fd >= 0)
        close(setup->access_fd);
    gateway->log = log_close(gateway->log);
    setup->config = config_close(setup->config);
}
