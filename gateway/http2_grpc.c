/* gRPC over HTTP/2: calls passed through (gRPC over HTTP2, grpc.io). */
#include <assert.h>
#include <stddef.h>
#include <strings.h>

#include "base/memory.h"
#include "gateway/forwarded.h"
#include "gateway/http2_types.h"

/* A stream and its relay. */
struct http2_grpc {
    struct http2_stream stream;
    struct grpc_relay relay;
    struct client *client; /* whom it counts for, or NULL */
};

static struct http2_stream *stream_of(struct grpc_relay *relay) {
    return &((struct http2_grpc *)((char *)relay - offsetof(struct http2_grpc, relay)))->stream;
}

static struct slice header_find(const struct http2_stream *stream, struct slice name) {
    for (size_t i = 0; i < stream->header_count; i++) {
        if (slice_equal(stream->headers[i].name, name))
            return stream->headers[i].value;
    }
    return SLICE_EMPTY;
}

/* application/grpc, alone or with the messages' form after '+' or ';', but not gRPC-Web. */
static bool type_is_grpc(struct slice type) {
    static const char name[] = "application/grpc";
    size_t size = sizeof(name) - 1;
    if (type.size < size || strncasecmp((const char *)type.data, name, size) != 0)
        return false;
    return type.size == size || type.data[size] == '+' || type.data[size] == ';';
}

bool http2_grpc_is(const struct http2_stream *stream) {
    return slice_equal(stream->method, SLICE("POST")) &&
           type_is_grpc(header_find(stream, SLICE("content-type")));
}

static void submit_fields(struct http2_stream *stream, const struct transcode_header *fields,
                          size_t count, bool has_body) {
    const nghttp2_data_provider provider = {.read_callback = http2_data_source};
    nghttp2_nv headers[1 + UPSTREAM_FIELDS_MAX];
    size_t used = 0;
    headers[used++] = nv_of(SLICE(":status"), SLICE("200"));
    for (size_t i = 0; i < count && i < UPSTREAM_FIELDS_MAX; i++)
        headers[used++] = nv_of(fields[i].name, fields[i].value);
    if (nghttp2_submit_response(stream->server->session, stream->id, headers, used,
                                has_body ? &provider : NULL) != 0)
        nghttp2_submit_rst_stream(stream->server->session, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_INTERNAL_ERROR);
    struct http2_server *server = stream->server;
    if (!server->sweep.link) /* after which the connection rests */
        loop_timer_set(server->connection->worker->loop, &server->sweep, HTTP2_SWEEP_US);
    connection_wake(server->connection);
}

static void on_head(struct grpc_relay *relay, const struct transcode_header *fields, size_t count) {
    submit_fields(stream_of(relay), fields, count, true);
}

static void on_more(struct grpc_relay *relay) {
    struct http2_stream *stream = stream_of(relay);
    const struct grpc_relay_end *end = grpc_relay_ended(relay);
    if (end && !grpc_relay_answered(relay)) {
        submit_fields(stream, end->list, end->count, false);
        return;
    }
    nghttp2_session_resume_data(stream->server->session, stream->id);
    connection_wake(stream->server->connection);
}

static void on_taken(struct grpc_relay *relay, size_t size) {
    struct http2_stream *stream = stream_of(relay);
    nghttp2_session_consume_stream(stream->server->session, stream->id, size);
    connection_wake(stream->server->connection);
}

static void on_settled(struct grpc_relay *relay) {
    struct http2_stream *stream = stream_of(relay);
    exchange_discard(stream->exchange);
    stream->exchange = NULL;
    stream->method = stream->path = SLICE_EMPTY;
    stream->headers = NULL;
    stream->header_count = 0;
}

static void on_broken(struct grpc_relay *relay, bool refused) {
    struct http2_stream *stream = stream_of(relay);
    stream->refused = refused;
    nghttp2_submit_rst_stream(stream->server->session, NGHTTP2_FLAG_NONE, stream->id,
                              refused ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR);
    connection_wake(stream->server->connection);
}

/* Why the call may not begin, or NULL. */
static const char *admit(struct http2_grpc *grpc, const struct ip *client_ip) {
    const struct http2_stream *stream = &grpc->stream;
    struct gateway *gateway = stream->server->connection->worker->gateway;
    const struct gateway_series *series = gateway_metrics_series(gateway->metrics);
    if (stream->too_large)
        return "the metadata is larger than the gateway takes";
    if (http2_doubt_refuses(stream->server))
        return HTTP2_DOUBT_MESSAGE;
    switch (client_request(gateway->clients, client_ip, &grpc->client)) {
    case CLIENT_TOO_MANY:
        metric_add(series->client_requests_refused, 1);
        return "this client has as many requests under way as it may";
    case CLIENT_TOO_FAST:
        metric_add(series->client_rate_refused, 1);
        return "this client sends requests faster than it may";
    default:
        return NULL;
    }
}

bool http2_grpc_begin(struct http2_stream *stream) {
    static const struct grpc_relay_sink sink = {on_head, on_more, on_taken, on_settled, on_broken};
    struct http2_server *server = stream->server;
    struct http2_grpc *grpc = memory_alloc(sizeof(*grpc));
    if (!grpc)
        return false;
    http2_stream_detach(stream);
    grpc->stream = *stream;
    grpc->client = NULL;
    stream = &grpc->stream;
    stream->relay = &grpc->relay;
    http2_stream_attach(stream);
    nghttp2_session_set_stream_user_data(server->session, stream->id, stream);
    const struct peer *peer = &server->connection->peer;
    struct ip client_ip = peer->ip;
    if (peer->trusted)
        client_ip = forwarded_client(&server->connection->worker->gateway->trusted_proxies,
                                     &peer->ip, stream->headers, stream->header_count);
    const struct grpc_relay_request request = {
        .path = stream->path,
        .content_type = header_find(stream, SLICE("content-type")),
        .peer = peer,
        .client_ip = &client_ip,
        .timeout = header_find(stream, SLICE("grpc-timeout")),
        .headers = stream->headers,
        .header_count = stream->header_count,
        .fault = admit(grpc, &client_ip),
    };
    grpc_relay_begin(stream->relay, server->connection->worker, &sink, &request);
    return true;
}

void http2_grpc_close(struct http2_stream *stream) {
    grpc_relay_close(stream->relay);
    if (stream->exchange)
        exchange_discard(stream->exchange);
    struct http2_grpc *grpc =
        (struct http2_grpc *)((char *)stream - offsetof(struct http2_grpc, stream));
    client_finish(stream->server->connection->worker->gateway->clients, grpc->client);
    memory_free(grpc);
}

ssize_t http2_grpc_read(struct http2_stream *stream, size_t size, uint32_t *flags) {
    const struct grpc_relay_end *end = grpc_relay_ended(stream->relay);
    size_t ready = grpc_relay_ready(stream->relay).size;
    if (ready == 0 && !end)
        return NGHTTP2_ERR_DEFERRED;
    size_t taken = ready < size ? ready : size;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!end || taken < ready)
        return (ssize_t)taken;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv trailers[UPSTREAM_FIELDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < end->count && i < UPSTREAM_FIELDS_MAX; i++)
        trailers[count++] = nv_of(end->list[i].name, end->list[i].value);
    if (nghttp2_submit_trailer(stream->server->session, stream->id, trailers, count) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return (ssize_t)taken;
}

void http2_grpc_sent(struct http2_stream *stream) {
    /* The rest of the request is for nobody, as gRPC's own servers say. */
    if (!stream->ended)
        nghttp2_submit_rst_stream(stream->server->session, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_NO_ERROR);
}
