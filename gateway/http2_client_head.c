/* Heads and trailers of answers, as a client's end reads them. */
#include "gateway/http1_head.h"
#include "gateway/http2_client_types.h"
#include "gateway/http_text.h"

enum {
    HTTP2_FIELDS_BYTES_MAX = 1 << 20, /* of a head, decoded */
    HTTP2_FIELD_OVERHEAD = 32,
};

/* Belongs to HTTP/1 alone; RFC 9113 section 8.2.2 has such a message malformed. */
static bool is_of_connection(struct slice name) {
    switch (name.size) {
    case 7:
        return slice_equal(name, SLICE("upgrade"));
    case 10:
        return slice_equal(name, SLICE("connection")) || slice_equal(name, SLICE("keep-alive"));
    case 16:
        return slice_equal(name, SLICE("proxy-connection"));
    case 17:
        return slice_equal(name, SLICE("transfer-encoding"));
    default:
        return false;
    }
}

static bool is_name(struct slice name) {
    for (size_t i = 0; i < name.size; i++) {
        if (!http1_is_token(name.data[i]) || (name.data[i] >= 'A' && name.data[i] <= 'Z'))
            return false;
    }
    return name.size > 0;
}

/* Reads the digits of a length; false when they are none. */
static bool length_read(struct slice text, uint64_t *ret_length) {
    uint64_t length = 0;
    if (text.size == 0 || text.size > 18)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_length = length;
    return true;
}

static void note_status(struct http2_client_stream *stream, struct slice name, struct slice value) {
    bool fits = slice_equal(name, SLICE(":status")) && value.size == 3 && value.data[0] >= '1' &&
                value.data[0] <= '9' && value.data[1] >= '0' && value.data[1] <= '9' &&
                value.data[2] >= '0' && value.data[2] <= '9';
    if (!fits || stream->has_status || stream->has_head)
        stream->is_bad = true;
    stream->has_status = true;
    stream->is_interim = fits && value.data[0] == '1';
}

/* Looks at a field of the current stream, and tells it. */
static void field_take(struct http2_client *client, struct slice name, struct slice value) {
    struct http2_client_stream *stream = client->current;
    if (name.size > 0 && name.data[0] == ':') {
        note_status(stream, name, value);
    } else if (!is_name(name) || !http_text_is_value(value)) {
        return; /* nobody needs it enough to fail for it */
    } else {
        bool is_length = slice_equal(name, SLICE("content-length"));
        if (!stream->has_status && !stream->has_head)
            stream->is_bad = true; /* :status comes first */
        if (is_of_connection(name) ||
            (is_length && (stream->has_length || !length_read(value, &stream->length_left))))
            stream->is_bad = true;
        stream->has_length |= is_length;
    }
    if (!stream->is_bad)
        client->events->field(stream, name, value);
}

/* Decodes a block, of whomever it is: the table must not miss any. */
static bool block_decode(struct http2_client *client, struct slice block) {
    struct http2_client_input *input = &client->input;
    input->fields_bytes = 0;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used =
            nghttp2_hd_inflate_hd2(client->inflater, &nv, &flags, block.data, block.size, 1);
        if (used < 0)
            return http2_client_fail(client, NGHTTP2_COMPRESSION_ERROR);
        block = slice_after(block, (size_t)used);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            input->fields_bytes += nv.namelen + nv.valuelen + HTTP2_FIELD_OVERHEAD;
            if (input->fields_bytes > HTTP2_FIELDS_BYTES_MAX)
                return http2_client_fail(client, NGHTTP2_ENHANCE_YOUR_CALM);
            if (client->current)
                field_take(client, slice_of(nv.name, nv.namelen), slice_of(nv.value, nv.valuelen));
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        if (used == 0 && !(flags & NGHTTP2_HD_INFLATE_EMIT))
            return http2_client_fail(client, NGHTTP2_COMPRESSION_ERROR);
    }
    nghttp2_hd_inflate_end_headers(client->inflater);
    return true;
}

bool http2_client_head(struct http2_client *client, int32_t id, bool is_last, struct slice block) {
    struct http2_client_stream *stream = http2_client_find(client, id);
    client->current = stream;
    bool is_trailers = stream && stream->has_head;
    if (stream) {
        stream->has_status = stream->is_interim = stream->is_bad = false;
        client->events->fields_begin(stream);
    }
    if (!block_decode(client, block))
        return false;
    stream = client->current;
    if (!stream)
        return true;
    bool is_whole = is_trailers ? is_last : stream->has_status;
    if (stream->is_bad || !is_whole || (stream->is_interim && is_last)) {
        http2_client_fail_stream(stream, NGHTTP2_PROTOCOL_ERROR);
        return true;
    }
    if (stream->is_interim)
        return true;
    stream->has_head = true;
    client->events->fields_end(stream, is_trailers, is_last);
    if (is_last && client->current)
        http2_client_finish_stream(client->current);
    return true;
}
