/* Feeds what a server sends to a client's end of HTTP/2, whole and in pieces: what calls are told
 * must be the same, and what is sent back must stay in proportion. */
#include <stdlib.h>

#include "gateway/http2_client.h"

enum { CALLS = 4, OUT_MAX = 64 << 20, FILL = 64 << 10, REPLIES_PER_BYTE = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct call {
    struct http2_client_stream stream;
    size_t left; /* of the request */
    uint64_t *told;
};

static struct call *call_of(struct http2_client_stream *stream) {
    return (struct call *)stream;
}

static void tell(uint64_t *told, struct slice bytes) {
    *told = slice_hash(bytes, *told);
}

static struct slice on_ready(struct http2_client_stream *stream, bool *ret_last) {
    static const uint8_t request[1000];
    *ret_last = true;
    return slice_of(request, call_of(stream)->left);
}

static void on_taken(struct http2_client_stream *stream, size_t size, bool last) {
    (void)last;
    call_of(stream)->left -= size;
}

static void on_fields_begin(struct http2_client_stream *stream) {
    tell(call_of(stream)->told, SLICE("begin"));
}

static void on_field(struct http2_client_stream *stream, struct slice name, struct slice value) {
    tell(call_of(stream)->told, name);
    tell(call_of(stream)->told, value);
}

static void on_fields_end(struct http2_client_stream *stream, bool trailers, bool last) {
    tell(call_of(stream)->told, trailers ? SLICE("trailers") : SLICE("head"));
    tell(call_of(stream)->told, last ? SLICE("last") : SLICE("more"));
}

static void on_data(struct http2_client_stream *stream, struct slice bytes) {
    http2_stream_consume(stream, bytes.size);
}

static void on_closed(struct http2_client_stream *stream, uint32_t error_code) {
    tell(call_of(stream)->told, slice_of(&error_code, sizeof error_code));
}

static void on_settings(void *context) {
    tell(context, SLICE("settings"));
}

static void on_goaway(void *context) {
    tell(context, SLICE("goaway"));
}

static uint64_t told_of(struct slice input, size_t step) {
    static const struct http2_client_events events = {
        .ready = on_ready,
        .taken = on_taken,
        .fields_begin = on_fields_begin,
        .field = on_field,
        .fields_end = on_fields_end,
        .data = on_data,
        .closed = on_closed,
        .settings = on_settings,
        .goaway = on_goaway,
    };
    static const struct http2_client_field path = {
        {(const uint8_t *)":path", 5}, {(const uint8_t *)"/", 1}, HPACK_CONSTANT};
    struct buffer out;
    struct call calls[CALLS] = {{.left = 0}};
    uint64_t told = 0;
    buffer_init(&out, OUT_MAX);
    struct http2_client *client = http2_client_open(&events, &told, &out);
    bool well = client && http2_client_receive(client, SLICE("\0\0\0\4\0\0\0\0\0"));
    for (size_t i = 0; i < CALLS && well; i++) {
        calls[i] = (struct call){.left = 300 * i, .told = &told};
        well = http2_stream_open(client, &calls[i].stream, &path, 1) == SYNC_OK &&
               http2_client_fill(client, FILL);
    }
    size_t before = out.size, size = input.size;
    while (well && input.size > 0) {
        size_t piece = step < input.size ? step : input.size;
        well = http2_client_receive(client, slice_first(input, piece));
        input = slice_after(input, piece);
    }
    if (well)
        (void)http2_client_fill(client, out.size + FILL);
    if (out.size - before > FILL + REPLIES_PER_BYTE * size)
        abort();
    for (size_t i = 0; i < CALLS; i++)
        http2_stream_reset(&calls[i].stream, NGHTTP2_CANCEL);
    http2_client_close(client);
    buffer_done(&out);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_of(data, size);
    uint64_t whole = told_of(input, SIZE_MAX);
    if (told_of(input, 1) != whole || told_of(input, 7) != whole)
        abort();
    return 0;
}
