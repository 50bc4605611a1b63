/* HTTP/2 answers: what exchanges and relays have for their clients, as frames. */
#include <assert.h>

#include "gateway/http2_types.h"
#include "gateway/http_text.h"

enum { HTTP2_ANSWER_HEADERS_MAX = 64 };

/* The trailers of a complete answer go behind its data; what that asks of the data. */
static uint32_t submit_trailers(struct http2_stream *stream) {
    nghttp2_nv trailers[HTTP2_ANSWER_HEADERS_MAX];
    size_t count;
    const struct transcode_header *list = exchange_trailers(stream->exchange, &count);
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count && i < HTTP2_ANSWER_HEADERS_MAX; i++)
        trailers[i] = nv_of(list[i].name, list[i].value);
    int rc = nghttp2_submit_trailer(stream->server->session, stream->id, trailers, count);
    return rc == 0 ? NGHTTP2_DATA_FLAG_NO_END_STREAM : 0;
}

ssize_t http2_data_source(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)out;
    (void)source;
    (void)context;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (stream->relay)
        return http2_grpc_read(stream, size, flags);
    size_t ready = exchange_ready(stream->exchange).size;
    bool complete = exchange_is_complete(stream->exchange);
    if (ready == 0 && !complete)
        return NGHTTP2_ERR_DEFERRED;
    size_t taken = ready < size ? ready : size;
    if (complete && taken == ready)
        *flags |= NGHTTP2_DATA_FLAG_EOF | submit_trailers(stream);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)taken;
}

int http2_data_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head,
                    size_t size, nghttp2_data_source *source, void *context) {
    (void)source;
    struct http2_server *server = context;
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    assert(stream && frame->data.padlen == 0);
    struct outbox *out = &server->connection->out;
    outbox_add(out, slice_of(frame_head, 9));
    if (stream->relay) {
        outbox_add(out, slice_first(grpc_relay_ready(stream->relay), size));
        grpc_relay_take(stream->relay, size);
    } else {
        struct slice part = slice_first(exchange_ready(stream->exchange), size);
        if (exchange_is_complete(stream->exchange)) /* nothing moves it any more */
            outbox_lend(out, part);
        else
            outbox_add(out, part);
        exchange_take(stream->exchange, size);
        stream->moved_us = loop_now_us(server->connection->worker->loop);
    }
    if (outbox_has_failed(out))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    /* Otherwise nghttp2 goes on until all windows are full. */
    return connection_has_room(server->connection) ? 0 : NGHTTP2_ERR_PAUSE;
}

static void on_answered(struct exchange *exchange, void *context) {
    struct http2_stream *stream = context;
    struct http2_server *server = stream->server;
    const struct exchange_answer *answer = exchange_answer(exchange);
    char digits[HTTP_NUMBER_MAX];
    nghttp2_nv headers[HTTP2_ANSWER_HEADERS_MAX];
    size_t count = 0;
    headers[count++] = nv_of(SLICE(":status"), http_text_number((uint64_t)answer->status, digits));
    struct http2_names *due =
        http2_names_are_due(&server->names, server->session) ? &server->names : NULL;
    for (size_t i = 0; i < answer->header_count && count < HTTP2_ANSWER_HEADERS_MAX; i++)
        headers[count++] = nv_of_answer(&answer->headers[i], due);
    const nghttp2_data_provider provider = {.read_callback = http2_data_source};
    if (nghttp2_submit_response(server->session, stream->id, headers, count,
                                answer->has_body ? &provider : NULL) != 0)
        nghttp2_submit_rst_stream(server->session, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_INTERNAL_ERROR);
    struct loop *loop = server->connection->worker->loop;
    stream->moved_us = loop_now_us(loop);
    if (!server->sweep.link)
        loop_timer_set(loop, &server->sweep, HTTP2_SWEEP_US);
    connection_wake(server->connection);
}

static void on_more(struct exchange *exchange, void *context) {
    (void)exchange;
    struct http2_stream *stream = context;
    nghttp2_session_resume_data(stream->server->session, stream->id);
    connection_wake(stream->server->connection);
}

static void on_broken(struct exchange *exchange, void *context) {
    (void)exchange;
    struct http2_stream *stream = context;
    nghttp2_submit_rst_stream(stream->server->session, NGHTTP2_FLAG_NONE, stream->id,
                              NGHTTP2_INTERNAL_ERROR);
    connection_wake(stream->server->connection);
}

static void on_taken(struct exchange *exchange, void *context, size_t size) {
    (void)exchange;
    struct http2_stream *stream = context;
    nghttp2_session_consume_stream(stream->server->session, stream->id, size);
    connection_wake(stream->server->connection);
}

const struct exchange_sink http2_sink = {on_answered, on_more, on_broken, on_taken};
