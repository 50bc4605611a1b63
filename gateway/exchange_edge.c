#include <assert.h>

#include "gateway/exchange_types.h"
#include "gateway/forwarded.h"
#include "gateway/schema_types.h"
#include "gateway/trace_context.h"

void exchange_give_trace(struct exchange *exchange) {
    struct exchange_known *known = &exchange->known;
    if (traceparent_is_valid(known->traceparent))
        return;
    /* What a vendor keeps beside a trace belongs to that trace. */
    known->tracestate = SLICE_EMPTY;
    known->traceparent = SLICE_EMPTY;
    char *text = exchange_alloc(exchange, TRACEPARENT_SIZE + 1);
    if (!text)
        return;
    traceparent_make(&exchange->worker->random.source, text);
    known->traceparent = slice_of(text, TRACEPARENT_SIZE);
}

bool exchange_admit(struct exchange *exchange, const struct exchange_head *head) {
    struct gateway *gateway = exchange->worker->gateway;
    const struct gateway_series *series = gateway_metrics_series(gateway->metrics);
    if (exchange->peer->trusted)
        exchange->client_ip = forwarded_client(&gateway->trusted_proxies, &exchange->peer->ip,
                                               head->headers, head->header_count);
    switch (client_request(gateway->clients, &exchange->client_ip, &exchange->client)) {
    case CLIENT_TOO_MANY:
        metric_add(series->client_requests_refused, 1);
        exchange_refuse_as(exchange, 429, GRPC_RESOURCE_EXHAUSTED, SLICE("CLIENT_STREAMS"),
                           "this client has as many requests under way as it may");
        return false;
    case CLIENT_TOO_FAST:
        metric_add(series->client_rate_refused, 1);
        exchange_refuse_as(exchange, 429, GRPC_RESOURCE_EXHAUSTED, SLICE("CLIENT_RATE"),
                           "this client sends requests faster than it may");
        return false;
    default:
        return true;
    }
}

void exchange_log(struct exchange *exchange, int status, uint64_t duration_us) {
    struct gateway *gateway = exchange->worker->gateway;
    enum log_level level = status >= 500 ? LOG_WARN : LOG_INFO;
    struct log *log = gateway->access_log;
    /* What fails is told in any case. */
    if (!log && level >= LOG_WARN)
        log = gateway->log;
    if (!log)
        return;
    const struct peer *peer = exchange->peer;
    const struct schema_method *method = exchange->routed ? exchange->route.method : NULL;
    struct slice trace = exchange->known.traceparent;
    char client[IP_TEXT_MAX];
    ip_format(&exchange->client_ip, client);
    log_line(
        log, level, "request", LOG_SLICE("method", exchange->method),
        LOG_SLICE("path", exchange->request.path),
        LOG_SLICE("rpc", method ? method->path : SLICE_EMPTY), LOG_INT("status", status),
        LOG_SLICE("grpc_status", exchange->code < 0 ? SLICE_EMPTY : grpc_code_name(exchange->code)),
        LOG_INT("complete", exchange_is_over(exchange)),
        LOG_INT("duration_us", (int64_t)duration_us),
        LOG_INT("bytes_in", (int64_t)exchange->body_size),
        LOG_INT("bytes_out", (int64_t)exchange->sent_bytes), LOG_TEXT("client", client),
        LOG_TEXT("protocol", peer->protocol), LOG_TEXT("tls", peer->tls_version),
        LOG_SLICE("client_certificate", peer->identity),
        LOG_SLICE("user_agent", exchange->known.user_agent),
        LOG_SLICE("request_id", exchange->request_id),
        LOG_SLICE("trace_id", trace.size ? traceparent_trace_id(trace) : SLICE_EMPTY));
}
