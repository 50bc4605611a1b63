#include "gateway/http2_server.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "gateway/http2_types.h"
#include "gateway/http_text.h"

enum {
    HTTP2_STREAMS_MAX = 128,
    HTTP2_STREAMS_SPARED = 4, /* of a connection, where requests hold as much as they may */
    HTTP2_STREAM_WINDOW = 1 << 20,
    HTTP2_CONNECTION_WINDOW = 4 << 20,
    HTTP2_PARTING_US = 1000000,       /* for a client to hear that no more is taken */
    HTTP2_STALL_US = 60000000,        /* a client that opens no window for so long is gone */
    HTTP2_STALL_PRESSED_US = 2000000, /* the same while answers fill the gateway's memory */
};

static struct http2_server *server_of(const struct connection *connection) {
    return connection->state;
}

void http2_stream_attach(struct http2_stream *stream) {
    struct http2_server *server = stream->server;
    stream->next = server->stream_list;
    stream->link = &server->stream_list;
    if (stream->next)
        stream->next->link = &stream->next;
    server->stream_list = stream;
    server->streams++;
}

void http2_stream_detach(struct http2_stream *stream) {
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    stream->server->streams--;
}

/* Ends the request, and with it the stream's memory. */
static void stream_close(struct http2_stream *stream) {
    http2_doubt_note(stream);
    http2_stream_detach(stream);
    if (stream->relay)
        http2_grpc_close(stream);
    else
        exchange_close(stream->exchange);
}

/* Takes a stream off whose answer may be yet to be written from where it lies. */
static void stream_spend(struct http2_stream *stream) {
    struct http2_server *server = stream->server;
    http2_doubt_note(stream);
    http2_stream_detach(stream);
    stream->next = server->spent;
    server->spent = stream;
}

/* Ends those. */
static void close_spent(struct http2_server *server) {
    while (server->spent) {
        struct exchange *exchange = server->spent->exchange;
        server->spent = server->spent->next;
        exchange_close(exchange);
    }
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    struct http2_server *server = context;
    server->block_bytes = 0;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct connection *connection = server->connection;
    struct exchange *exchange = NULL;
    /* Where there is little room, it is for those who need little. */
    if (server->streams < HTTP2_STREAMS_SPARED || !gateway_is_full(connection->worker->gateway))
        exchange = exchange_open(connection->worker, &http2_sink, NULL, &connection->peer);
    if (!exchange) {
        /* What comes of it finds no stream. */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    struct http2_stream *stream = exchange_alloc(exchange, sizeof(*stream));
    size_t headers_size = HTTP_HEADERS_COUNT_MAX * sizeof(struct transcode_header);
    struct transcode_header *headers = exchange_alloc(exchange, headers_size);
    if (!stream || !headers) {
        exchange_close(exchange);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *stream = (struct http2_stream){.exchange = exchange,
                                    .server = server,
                                    .id = frame->hd.stream_id,
                                    .headers = headers,
                                    .content_length = UINT64_MAX};
    exchange_set_context(exchange, stream);
    http2_stream_attach(stream);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    return 0;
}

static void begin_exchange(struct http2_stream *stream, bool has_body) {
    struct exchange *exchange = stream->exchange;
    if (stream->no_room) {
        exchange_fail_buffers(exchange);
        return;
    }
    bool passed = !stream->no_memory && http2_grpc_is(stream);
    if (passed && http2_grpc_begin(stream))
        return;
    if (stream->no_memory || passed) {
        exchange_refuse(exchange, 503, "no memory");
        return;
    }
    if (stream->too_large) {
        exchange_refuse(exchange, 431, "the headers are too large");
        return;
    }
    if (stream->path.size > HTTP_REQUEST_LINE_MAX) {
        exchange_refuse(exchange, 414, "the path is too long");
        return;
    }
    if (slice_equal(stream->method, SLICE("CONNECT")) || !http_text_is_target(stream->path)) {
        exchange_refuse(exchange, slice_equal(stream->method, SLICE("CONNECT")) ? 501 : 400,
                        "the request target is not one that this gateway serves");
        return;
    }
    if (http2_doubt_refuses(stream->server)) {
        exchange_refuse(exchange, 429, HTTP2_DOUBT_MESSAGE);
        return;
    }
    const uint8_t *mark = memchr(stream->path.data, '?', stream->path.size);
    size_t size = mark ? (size_t)(mark - stream->path.data) : stream->path.size;
    const struct exchange_head head = {
        .method = stream->method,
        .path = slice_first(stream->path, size),
        .query = mark ? slice_after(stream->path, size + 1) : SLICE_EMPTY,
        .headers = stream->headers,
        .header_count = stream->header_count,
        .has_body = has_body,
        .content_length = stream->content_length,
    };
    exchange_begin(exchange, &head);
}

static void drain_streams(struct http2_server *server) {
    for (struct http2_stream *stream = server->stream_list; stream; stream = stream->next) {
        if (stream->relay)
            grpc_relay_drain(stream->relay);
        else
            exchange_drain(stream->exchange);
    }
}

/* What the client has sent by now, it has sent before it could know; no more is taken. */
static void part(struct http2_server *server) {
    if (server->parted)
        return;
    server->parted = true;
    loop_timer_clear(&server->parting);
    nghttp2_submit_goaway(server->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(server->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    drain_streams(server);
    connection_wake(server->connection);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    struct http2_server *server = context;
    /* He may say more after his goodbye, which must not reset what we have said. */
    if (frame->hd.type == NGHTTP2_GOAWAY)
        server->connection->linger = true;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) && server->draining)
        part(server);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream)
        return 0;
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        begin_exchange(stream, !ended);
        stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    }
    if (!ended)
        return 0;
    stream->ended = true;
    if (stream->relay)
        grpc_relay_body_end(stream->relay);
    else
        exchange_end(stream->exchange);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t size, void *context) {
    (void)context;
    /* The connection's window is not a stream's to hold: one slow call must not stop others. */
    nghttp2_session_consume_connection(session, size);
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, stream_id);
    if (stream && stream->relay) {
        grpc_relay_body(stream->relay, slice_of(data, size));
        return 0;
    }
    if (!stream || !exchange_streams_body(stream->exchange))
        nghttp2_session_consume_stream(session, stream_id, size);
    /* A frame that ends the request and is as long as the body was told to be came in one piece. */
    bool is_whole = stream && (flags & NGHTTP2_FLAG_END_STREAM) && size == stream->content_length;
    if (is_whole && !exchange_streams_body(stream->exchange))
        exchange_whole_body(stream->exchange, slice_of(data, size));
    else if (stream)
        exchange_body(stream->exchange, slice_of(data, size));
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                    void *context) {
    (void)error_code;
    struct http2_server *server = context;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!stream)
        return 0;
    nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    if (server->connection->out.lent_count > 0 && !stream->relay)
        stream_spend(stream);
    else
        stream_close(stream);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error_code,
                            void *context) {
    (void)session;
    (void)error_code;
    http2_guard_invalid(&((struct http2_server *)context)->guard, &frame->hd);
    return 0;
}

/* The client was cut for keeping us busy: new connections of its address are looked at for that.
 * INTERNAL_ERROR is nghttp2's word for streams that are reset too fast. */
static void note_cut(struct http2_server *server, uint32_t error_code) {
    const struct peer *peer = &server->connection->peer;
    bool is_cut = error_code == NGHTTP2_ENHANCE_YOUR_CALM || error_code == NGHTTP2_INTERNAL_ERROR;
    if (!is_cut || server->cut)
        return;
    server->cut = true;
    loop_note_cut(server->connection->worker->loop);
    if (peer->trusted)
        return;
    penalty_note(server->connection->worker->gateway->penalties, &peer->ip);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    struct http2_server *server = context;
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool is_end = frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (is_end && stream && stream->relay)
        http2_grpc_sent(stream);
    server->connection->proven |= frame->hd.type == NGHTTP2_HEADERS;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        note_cut(server, frame->goaway.error_code);
    bool is_reset = frame->hd.type == NGHTTP2_RST_STREAM;
    struct gateway *gateway = server->connection->worker->gateway;
    if (is_reset && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        metric_add(gateway_metrics_series(gateway->metrics)->streams_reset, 1);
    if (is_reset && stream && stream->refused)
        http2_guard_invalid(&server->guard, &frame->hd); /* the service's doing: no attack */
    else
        http2_guard_sent(&server->guard, session, frame);
    return 0;
}

/* A stream that is fully answered is still open where the request was answered before its end. A
 * reset at once, though allowed (RFC 9113 section 8.1), makes some clients drop the answer: the
 * rest of the request is read for a while. */
static uint32_t sweep_stream(struct http2_stream *stream, uint64_t now_us) {
    uint64_t still_us = now_us - stream->moved_us;
    uint64_t stall_us = gateway_is_pressed(stream->server->connection->worker->gateway)
                            ? HTTP2_STALL_PRESSED_US
                            : HTTP2_STALL_US;
    if (exchange_is_over(stream->exchange))
        return still_us >= HTTP2_SWEEP_US ? NGHTTP2_NO_ERROR : UINT32_MAX;
    bool stalled = exchange_ready(stream->exchange).size > 0 && still_us >= stall_us;
    return stalled ? NGHTTP2_CANCEL : UINT32_MAX;
}

/* Nothing is under way: what only work needs is given back. */
static void rest(struct http2_server *server) {
    struct outbox *out = &server->connection->out;
    if (!nghttp2_session_want_write(server->session))
        http2_memory_rest(&server->memory);
    if (outbox_waiting(out) == 0)
        outbox_done(out);
}

static void sweep_streams(struct loop_timer *timer) {
    struct http2_server *server =
        (struct http2_server *)((char *)timer - offsetof(struct http2_server, sweep));
    struct loop *loop = server->connection->worker->loop;
    bool again = false;
    for (struct http2_stream *stream = server->stream_list; stream; stream = stream->next) {
        if (stream->relay || !exchange_is_answered(stream->exchange))
            continue;
        again = true;
        uint32_t code = sweep_stream(stream, loop_now_us(loop));
        if (code != UINT32_MAX)
            nghttp2_submit_rst_stream(server->session, NGHTTP2_FLAG_NONE, stream->id, code);
    }
    if (again)
        loop_timer_set(loop, timer, HTTP2_SWEEP_US);
    else
        rest(server);
    connection_wake(server->connection);
}

static nghttp2_session_callbacks *callbacks_made;

static void callbacks_make(void) {
    nghttp2_session_callbacks *made = NULL;
    if (nghttp2_session_callbacks_new(&made) != 0)
        return;
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, http2_head_add);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(made, http2_data_send);
    callbacks_made = made;
}

static size_t http2_receive(struct connection *connection, struct slice bytes) {
    struct http2_server *server = server_of(connection);
    if (server->failed)
        return bytes.size;
    ssize_t used = http2_guard_receive(&server->guard, server->session, bytes);
    connection->wary = http2_guard_is_wary(&server->guard);
    if (used >= 0) {
        /* Frame may follow on frame without a moment between: the last one's time counts. */
        if (connection->phase == CONNECTION_HEAD)
            connection->phase_us = server->guard.begun_us;
        return (size_t)used;
    }
    /* A GOAWAY that says why may be waiting to be sent. */
    if (used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        note_cut(server, NGHTTP2_ENHANCE_YOUR_CALM);
    server->failed = true;
    connection->over = true;
    return bytes.size;
}

static void http2_end_of_input(struct connection *connection) {
    connection_close(connection);
}

static void http2_fill(struct connection *connection) {
    struct http2_server *server = server_of(connection);
    while (connection_has_room(connection)) {
        const uint8_t *frames;
        ssize_t size = nghttp2_session_mem_send(server->session, &frames);
        if (size <= 0) {
            connection->over |= size < 0;
            break;
        }
        outbox_add(&connection->out, slice_of(frames, (size_t)size));
    }
    if (server->parted && server->streams == 0)
        connection->over = true;
    if (!nghttp2_session_want_read(server->session) && !nghttp2_session_want_write(server->session))
        connection->over = true;
}

static enum connection_phase http2_phase(const struct connection *connection) {
    const struct http2_server *server = server_of(connection);
    if (http2_guard_is_partial(&server->guard))
        return CONNECTION_HEAD;
    return server->streams ? CONNECTION_BUSY : CONNECTION_IDLE;
}

static void http2_sent(struct connection *connection, size_t size) {
    (void)size;
    close_spent(server_of(connection));
}

static void http2_ask(struct connection *connection) {
    struct http2_server *server = server_of(connection);
    nghttp2_submit_ping(server->session, NGHTTP2_FLAG_NONE, NULL);
    if (!server->sweep.link) /* after which the connection rests again */
        loop_timer_set(connection->worker->loop, &server->sweep, HTTP2_SWEEP_US);
    connection_wake(connection);
}

static void parting_fired(struct loop_timer *timer) {
    part((struct http2_server *)((char *)timer - offsetof(struct http2_server, parting)));
}

/* Says first that the end is near, and which streams are the last only once the client has heard
 * (RFC 9113 section 6.8): a request that is on its way meanwhile is not lost. */
static void http2_drain(struct connection *connection) {
    struct http2_server *server = server_of(connection);
    if (server->draining)
        return;
    server->draining = true;
    nghttp2_submit_shutdown_notice(server->session);
    nghttp2_submit_ping(server->session, NGHTTP2_FLAG_NONE, NULL);
    loop_timer_set(connection->worker->loop, &server->parting, HTTP2_PARTING_US);
    drain_streams(server);
}

static void http2_close(struct connection *connection) {
    struct http2_server *server = server_of(connection);
    while (server->stream_list)
        stream_close(server->stream_list);
    close_spent(server);
    loop_timer_clear(&server->sweep);
    loop_timer_clear(&server->parting);
    nghttp2_session_del(server->session);
    http2_memory_done(&server->memory);
    memory_free(server);
    connection->state = NULL;
}

static bool session_open(struct http2_server *server) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, callbacks_make);
    if (!callbacks_made || !http2_memory_init(&server->memory))
        return false;
    nghttp2_mem memory = http2_memory_allocator(&server->memory);
    int rc = http2_guard_open(&server->guard, server->connection->worker->loop, callbacks_made,
                              server, &memory, &server->session);
    if (rc != 0)
        return false;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEADERS_BYTES_MAX},
    };
    rc = nghttp2_submit_settings(server->session, NGHTTP2_FLAG_NONE, settings, 3);
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(server->session, NGHTTP2_FLAG_NONE, 0,
                                                   HTTP2_CONNECTION_WINDOW);
    return rc == 0;
}

bool http2_server_start(struct connection *connection) {
    static const struct connection_protocol protocol = {
        .receive = http2_receive,
        .end_of_input = http2_end_of_input,
        .fill = http2_fill,
        .phase = http2_phase,
        .ask = http2_ask,
        .drain = http2_drain,
        .close = http2_close,
        .sent = http2_sent,
    };
    struct http2_server *server = memory_zalloc(1, sizeof(*server));
    if (!server)
        return false;
    server->connection = connection;
    server->sweep.fire = sweep_streams;
    server->parting.fire = parting_fired;
    if (!session_open(server)) {
        nghttp2_session_del(server->session);
        http2_memory_done(&server->memory);
        memory_free(server);
        return false;
    }
    connection->protocol = &protocol;
    connection->peer.protocol = "HTTP/2";
    connection->peer.is_http2 = true;
    connection->state = server;
    return true;
}
