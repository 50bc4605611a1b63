/* Who calls with tokens that the service refuses, many at once, costs it as much as those with good
 * ones. Such a connection has few calls under way for a while; the others are answered here. Who
 * brings the calls of many clients has good ones between: each weighs as much as a bad one. Trusted
 * proxies are not looked at: for these are the bounds by client. */
#include "gateway/grpc_status.h"
#include "gateway/http2_types.h"

enum {
    HTTP2_DENIED_MIN = 16, /* so many more calls whose tokens were refused than good ones, … */
    HTTP2_DENIED_US = 10000000, /* … none so long after the one before; and so long it lasts */
    HTTP2_DOUBTED_STREAMS = 4,
};

static bool is_recent(const struct http2_server *server) {
    return loop_now_us(server->connection->worker->loop) - server->denied_us < HTTP2_DENIED_US;
}

/* Whether the service did what the call asked for. */
static bool is_served(const struct http2_stream *stream) {
    if (stream->relay)
        return grpc_relay_ended(stream->relay) && stream->relay->code == GRPC_OK;
    return exchange_is_call(stream->exchange) && exchange_is_answered(stream->exchange) &&
           exchange_answer(stream->exchange)->status < 300;
}

/* Whether the answer says that the token is none. */
static bool is_denied(const struct http2_stream *stream) {
    if (stream->relay)
        return grpc_relay_ended(stream->relay) && stream->relay->code == GRPC_UNAUTHENTICATED;
    return exchange_is_answered(stream->exchange) &&
           exchange_answer(stream->exchange)->status == 401;
}

void http2_doubt_note(const struct http2_stream *stream) {
    struct http2_server *server = stream->server;
    if (server->connection->peer.trusted)
        return;
    if (!is_denied(stream)) {
        server->denied -= server->denied > 0 && is_served(stream);
        return;
    }
    if (!is_recent(server))
        server->denied = 0;
    server->denied += server->denied < HTTP2_DENIED_MIN;
    server->denied_us = loop_now_us(server->connection->worker->loop);
}

bool http2_doubt_refuses(const struct http2_server *server) {
    struct gateway *gateway = server->connection->worker->gateway;
    if (server->denied < HTTP2_DENIED_MIN || server->streams <= HTTP2_DOUBTED_STREAMS ||
        !is_recent(server))
        return false;
    metric_add(gateway_metrics_series(gateway->metrics)->client_requests_refused, 1);
    return true;
}
