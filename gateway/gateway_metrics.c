#include "gateway/gateway_metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "base/memory.h"

enum { STATUS_FIRST = 100, STATUS_COUNT = 500, BACKEND_FAMILY_COUNT = 8 };

/* The series of one method, looked up when first needed. */
struct method_series {
    char *label;
    _Atomic(struct metric *) seconds;
    _Atomic(struct metric *) requests[STATUS_COUNT];
};

struct gateway_metrics {
    struct metrics *registry;
    struct metric_family *requests, *seconds;
    struct metric_family *backends[BACKEND_FAMILY_COUNT];
    struct metric *bytes_in, *bytes_out;
    struct gateway_series series;
};

struct method_metrics {
    struct gateway_metrics *metrics;
    const struct schema_method *first; /* methods lie in one array */
    size_t count;
    struct method_series *series; /* one more than methods: the gateway's own */
};

static struct metric_family *family(struct gateway_metrics *metrics, enum metric_kind kind,
                                    const char *name, const char *help, const char *const *labels) {
    static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                    0.1,    0.25,  0.5,    1,     2.5,  5,     10};
    struct metric_options options = {
        .kind = kind, .name = name, .help = help, .labels = labels, .bounds = bounds};
    if (kind == METRIC_HISTOGRAM)
        options.bounds_count = sizeof(bounds) / sizeof(bounds[0]);
    return metric_family_add(metrics->registry, &options);
}

static struct metric *single(struct gateway_metrics *metrics, enum metric_kind kind,
                             const char *name, const char *help) {
    static const char *const none[] = {NULL};
    return metric_series(family(metrics, kind, name, help, none), none);
}

/* Refusals for what one client may take. */
static void register_clients(struct gateway_metrics *metrics) {
    static const char *const labels[] = {"limit", NULL};
    struct metric_family *refusals =
        family(metrics, METRIC_COUNTER, "gateway_client_refusals_total",
               "Connections and requests refused because their client takes too much.", labels);
    struct gateway_series *series = &metrics->series;
    series->client_connections_refused =
        metric_series(refusals, (const char *const[]){"connections", NULL});
    series->client_requests_refused =
        metric_series(refusals, (const char *const[]){"streams", NULL});
    series->client_rate_refused = metric_series(refusals, (const char *const[]){"rate", NULL});
}

/* What is known of each backend. */
static const struct {
    enum metric_kind kind;
    const char *name, *help;
    size_t place; /* in struct backend_series */
} BACKEND_FAMILIES[] = {
    {METRIC_GAUGE, "gateway_upstream_sessions", "Connections to the backend that are up.",
     offsetof(struct backend_series, sessions)},
    {METRIC_GAUGE, "gateway_upstream_up", "Threads that find the backend fit for calls.",
     offsetof(struct backend_series, up)},
    {METRIC_GAUGE, "gateway_upstream_outstanding", "Calls that the backend has to answer.",
     offsetof(struct backend_series, outstanding)},
    {METRIC_COUNTER, "gateway_upstream_connects_total", "Attempts to connect to the backend.",
     offsetof(struct backend_series, connects)},
    {METRIC_COUNTER, "gateway_upstream_calls_total", "Calls given to the backend.",
     offsetof(struct backend_series, calls)},
    {METRIC_COUNTER, "gateway_upstream_retries_total",
     "Calls that never reached the backend and were started again.",
     offsetof(struct backend_series, retries)},
    {METRIC_COUNTER, "gateway_upstream_ejections_total",
     "Times the backend was left alone because too many of its calls failed.",
     offsetof(struct backend_series, ejections)},
    {METRIC_COUNTER, "gateway_upstream_check_failures_total",
     "Health checks that the backend failed or did not answer.",
     offsetof(struct backend_series, check_failures)},
};

_Static_assert(sizeof(BACKEND_FAMILIES) / sizeof(BACKEND_FAMILIES[0]) == BACKEND_FAMILY_COUNT,
               "each family has its place");

static void register_backend_families(struct gateway_metrics *metrics) {
    static const char *const labels[] = {"backend", NULL};
    for (size_t i = 0; i < BACKEND_FAMILY_COUNT; i++)
        metrics->backends[i] = family(metrics, BACKEND_FAMILIES[i].kind, BACKEND_FAMILIES[i].name,
                                      BACKEND_FAMILIES[i].help, labels);
}

void gateway_metrics_backend(struct gateway_metrics *metrics, const char *backend,
                             struct backend_series *ret_series) {
    for (size_t i = 0; i < BACKEND_FAMILY_COUNT; i++) {
        struct metric **place = (struct metric **)((char *)ret_series + BACKEND_FAMILIES[i].place);
        *place = metric_series(metrics->backends[i], (const char *const[]){backend, NULL});
    }
}

static void register_families(struct gateway_metrics *metrics) {
    static const char *const request_labels[] = {"method", "code", NULL};
    static const char *const second_labels[] = {"method", NULL};
    metrics->requests =
        family(metrics, METRIC_COUNTER, "gateway_http_requests_total",
               "Requests answered, by gRPC method and HTTP status.", request_labels);
    metrics->seconds = family(metrics, METRIC_HISTOGRAM, "gateway_http_request_seconds",
                              "Time from a request's head to its answer's end.", second_labels);
    metrics->bytes_in = single(metrics, METRIC_COUNTER, "gateway_received_bytes_total",
                               "Bytes of request bodies received.");
    metrics->bytes_out =
        single(metrics, METRIC_COUNTER, "gateway_sent_bytes_total", "Bytes of answer bodies sent.");
    struct gateway_series *series = &metrics->series;
    series->connections =
        single(metrics, METRIC_GAUGE, "gateway_connections", "Open client connections.");
    series->connections_refused =
        single(metrics, METRIC_COUNTER, "gateway_connections_refused_total",
               "Client connections refused at the bound.");
    series->connections_delayed =
        single(metrics, METRIC_COUNTER, "gateway_connections_delayed_total",
               "Client connections made to wait, as others of their address were cut.");
    series->handshakes =
        single(metrics, METRIC_GAUGE, "gateway_tls_handshakes", "TLS handshakes under way.");
    series->handshakes_dropped =
        single(metrics, METRIC_COUNTER, "gateway_tls_handshakes_dropped_total",
               "TLS handshakes ended at the bound, in favour of newer ones.");
    series->certificate_end =
        single(metrics, METRIC_GAUGE, "gateway_tls_certificate_not_after_seconds",
               "When the certificate ends, in seconds since 1970.");
    series->certificate_loads = single(metrics, METRIC_COUNTER, "gateway_tls_reloads_total",
                                       "Certificates loaded while running.");
    series->certificate_failures =
        single(metrics, METRIC_COUNTER, "gateway_tls_reload_failures_total",
               "Certificates that could not be loaded while running.");
    series->streams_reset = single(metrics, METRIC_COUNTER, "gateway_streams_reset_total",
                                   "HTTP/2 streams that the gateway reset.");
    register_clients(metrics);
    register_backend_families(metrics);
    metrics_add_process(metrics->registry);
}

struct gateway_metrics *gateway_metrics_open(void) {
    struct gateway_metrics *metrics = memory_zalloc(1, sizeof(*metrics));
    if (!metrics)
        return NULL;
    metrics->registry = metrics_open();
    if (!metrics->registry)
        return gateway_metrics_close(metrics);
    register_families(metrics);
    return metrics;
}

struct gateway_metrics *gateway_metrics_close(struct gateway_metrics *metrics) {
    if (!metrics)
        return NULL;
    metrics_close(metrics->registry);
    memory_free(metrics);
    return NULL;
}

static bool name_methods(struct method_metrics *methods, const struct schema *schema) {
    for (size_t i = 0; i <= methods->count; i++) {
        struct slice label = SLICE("gateway");
        if (i < methods->count)
            label = slice_after(schema_method_at(schema, i)->path, 1);
        methods->series[i].label = memory_copy_text(label.data, label.size);
        if (!methods->series[i].label)
            return false;
    }
    return true;
}

struct method_metrics *method_metrics_open(struct gateway_metrics *metrics,
                                           const struct schema *schema) {
    struct method_metrics *methods = memory_zalloc(1, sizeof(*methods));
    if (!methods)
        return NULL;
    methods->metrics = metrics;
    methods->count = schema_method_count(schema);
    if (methods->count > 0)
        methods->first = schema_method_at(schema, 0);
    methods->series = memory_zalloc(methods->count + 1, sizeof(*methods->series));
    if (!methods->series || !name_methods(methods, schema))
        return method_metrics_close(methods);
    return methods;
}

struct method_metrics *method_metrics_close(struct method_metrics *methods) {
    if (!methods)
        return NULL;
    for (size_t i = 0; methods->series && i <= methods->count; i++)
        memory_free(methods->series[i].label);
    memory_free(methods->series);
    memory_free(methods);
    return NULL;
}

static struct metric *requests_of(struct gateway_metrics *metrics, struct method_series *method,
                                  int http_status) {
    /* A descriptor set may name a status that is none. */
    if (http_status < STATUS_FIRST || http_status >= STATUS_FIRST + STATUS_COUNT)
        http_status = 500;
    _Atomic(struct metric *) *place = &method->requests[http_status - STATUS_FIRST];
    struct metric *metric = atomic_load_explicit(place, memory_order_acquire);
    if (!metric) {
        char code[16];
        snprintf(code, sizeof(code), "%d", http_status);
        metric = metric_series(metrics->requests, (const char *const[]){method->label, code, NULL});
        atomic_store_explicit(place, metric, memory_order_release);
    }
    return metric;
}

static struct metric *seconds_of(struct gateway_metrics *metrics, struct method_series *method) {
    struct metric *metric = atomic_load_explicit(&method->seconds, memory_order_acquire);
    if (!metric) {
        metric = metric_series(metrics->seconds, (const char *const[]){method->label, NULL});
        atomic_store_explicit(&method->seconds, metric, memory_order_release);
    }
    return metric;
}

void method_metrics_request(struct method_metrics *methods, const struct schema_method *method,
                            int http_status, uint64_t duration_us, uint64_t bytes_in,
                            uint64_t bytes_out) {
    struct gateway_metrics *metrics = methods->metrics;
    size_t index = method ? (size_t)(method - methods->first) : methods->count;
    assert(index <= methods->count);
    struct method_series *series = &methods->series[index];
    metric_add(requests_of(metrics, series, http_status), 1);
    metric_observe(seconds_of(metrics, series), (double)duration_us / 1e6);
    metric_add(metrics->bytes_in, (double)bytes_in);
    metric_add(metrics->bytes_out, (double)bytes_out);
}

void gateway_metrics_render(struct gateway_metrics *metrics, struct buffer *out) {
    metrics_render(metrics->registry, out);
}

const struct gateway_series *gateway_metrics_series(const struct gateway_metrics *metrics) {
    return &metrics->series;
}
