/* HTTP/2 heads: the fields of a request as they come. */
#include "base/limits.h"
#include "gateway/http2_types.h"

enum {
    /* Headers beyond the bound that are read all the same, to answer that they are too large. */
    HTTP2_HEADERS_BYTES_ENDURED = 4 * (HTTP_HEADERS_BYTES_MAX + HTTP_REQUEST_LINE_MAX),
    HTTP2_HEAD_SMALL = 8 << 10, /* what each request is counted for anyway */
};

static void note_length(struct http2_stream *stream, struct slice value) {
    uint64_t length = 0;
    for (size_t i = 0; i < value.size && i < 19; i++)
        length = length * 10 + (uint64_t)(value.data[i] - '0'); /* nghttp2 has checked digits */
    stream->content_length = length;
}

static void add_header(struct http2_stream *stream, struct slice name, struct slice value) {
    if (stream->header_count == HTTP_HEADERS_COUNT_MAX) {
        stream->too_large = true;
        return;
    }
    struct transcode_header *header = &stream->headers[stream->header_count];
    if (!exchange_copy(stream->exchange, name, &header->name) ||
        !exchange_copy(stream->exchange, value, &header->value)) {
        stream->no_memory = true;
        return;
    }
    stream->header_count++;
    if (slice_equal(name, SLICE("content-length")))
        note_length(stream, value);
}

int http2_head_add(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_data,
                   size_t name_size, const uint8_t *data, size_t size, uint8_t flags,
                   void *context) {
    (void)flags;
    struct http2_server *server = context;
    server->block_bytes += name_size + size + 32;
    if (server->block_bytes > HTTP2_HEADERS_BYTES_ENDURED) {
        /* A few bytes that refer to a large entry are as good as a flood (HPACK bomb). */
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers say nothing to us */
    struct slice name = slice_of(name_data, name_size), value = slice_of(data, size);
    if (server->block_bytes > HTTP_HEADERS_BYTES_MAX + HTTP_REQUEST_LINE_MAX || stream->too_large) {
        stream->too_large = true;
        return 0;
    }
    if (stream->no_room)
        return 0;
    bool copied = true;
    if (slice_equal(name, SLICE(":method")))
        copied = exchange_copy(stream->exchange, value, &stream->method);
    else if (slice_equal(name, SLICE(":path")))
        copied = exchange_copy(stream->exchange, value, &stream->path);
    else if (name_size && name_data[0] != ':')
        add_header(stream, name, value);
    stream->no_memory |= !copied;
    if (server->block_bytes > HTTP2_HEAD_SMALL)
        stream->no_room |= !exchange_count(stream->exchange);
    return 0;
}
