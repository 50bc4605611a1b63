/* Gateway metrics: the series that the gateway keeps. All functions are thread-safe. */
#ifndef GATEWAY_GATEWAY_METRICS_H
#define GATEWAY_GATEWAY_METRICS_H

#include "base/metrics.h"
#include "gateway/schema.h"

struct gateway_metrics;

/* Registers everything, process_* included. NULL without memory. */
struct gateway_metrics *gateway_metrics_open(void);

/* Closes; returns NULL. */
struct gateway_metrics *gateway_metrics_close(struct gateway_metrics *metrics);

/* The series of a schema's methods, whose names are the values of the label "method". */
struct method_metrics;

/* Makes room for the series; each is looked up when it is first needed. Metrics and schema outlive
 * them. NULL without memory. */
struct method_metrics *method_metrics_open(struct gateway_metrics *metrics,
                                           const struct schema *schema);

/* Closes; the series go on in the metrics. NULL is allowed; returns NULL. */
struct method_metrics *method_metrics_close(struct method_metrics *methods);

/* Counts one answered request. `method`, of the schema, NULL: the gateway's own answers. */
void method_metrics_request(struct method_metrics *methods, const struct schema_method *method,
                            int http_status, uint64_t duration_us, uint64_t bytes_in,
                            uint64_t bytes_out);

/* Appends all series as text. */
void gateway_metrics_render(struct gateway_metrics *metrics, struct buffer *out);

/* Single series, for those who count for themselves. */
struct gateway_series {
    struct metric *connections;         /* gauge */
    struct metric *connections_refused; /* counter */
    struct metric *connections_delayed; /* counter: for what others of their address did */
    /* counters: refused for a bound on what one client may take */
    struct metric *client_connections_refused, *client_requests_refused, *client_rate_refused;
    struct metric *handshakes;                               /* gauge: TLS not yet agreed on */
    struct metric *handshakes_dropped;                       /* counter: for newer ones */
    struct metric *certificate_end;                          /* gauge: seconds since 1970 */
    struct metric *certificate_loads, *certificate_failures; /* counters: reloads */
    struct metric *streams_reset; /* counter: RST_STREAM that the gateway sent */
};
const struct gateway_series *gateway_metrics_series(const struct gateway_metrics *metrics);

/* The series of one backend, each NULL where nobody counts. */
struct backend_series {
    struct metric *sessions, *up, *outstanding;                             /* gauges */
    struct metric *connects, *calls, *retries, *ejections, *check_failures; /* counters */
};

/* Looks up the series of a backend by its address as text; all are then shown, from 0 on. */
void gateway_metrics_backend(struct gateway_metrics *metrics, const char *backend,
                             struct backend_series *ret_series);

#endif
