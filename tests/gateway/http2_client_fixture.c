#include "tests/gateway/http2_client_fixture.h"

#include <inttypes.h>
#include <stdio.h>

struct fixture fixture;

static struct call *call_of(struct http2_client_stream *stream) {
    return (struct call *)stream;
}

static struct slice on_ready(struct http2_client_stream *stream, bool *ret_last) {
    struct call *call = call_of(stream);
    *ret_last = !call->streamed;
    return slice_after(call->request, call->sent);
}

static void on_taken(struct http2_client_stream *stream, size_t size, bool last) {
    struct call *call = call_of(stream);
    call->sent += size;
    assert_true(!last || (!call->streamed && call->sent == call->request.size));
}

static void on_fields_begin(struct http2_client_stream *stream) {
    buffer_append(&call_of(stream)->told, SLICE("["));
}

static void on_field(struct http2_client_stream *stream, struct slice name, struct slice value) {
    buffer_append_format(&call_of(stream)->told, "%.*s=%.*s ", (int)name.size,
                         (const char *)name.data, (int)value.size, (const char *)value.data);
}

static void on_fields_end(struct http2_client_stream *stream, bool trailers, bool last) {
    buffer_append_format(&call_of(stream)->told, "]%s%s", trailers ? "trailers" : "head",
                         last ? "!" : " ");
}

static void on_data(struct http2_client_stream *stream, struct slice bytes) {
    struct call *call = call_of(stream);
    for (size_t i = 0; i < bytes.size; i++)
        call->sum = call->sum * 31 + bytes.data[i];
    call->received += bytes.size;
    if (call->consumes)
        http2_stream_consume(stream, bytes.size);
}

static void on_closed(struct http2_client_stream *stream, uint32_t error_code) {
    assert_null(stream->client);
    buffer_append_format(&call_of(stream)->told, "closed %" PRIu32, error_code);
}

static void on_settings(void *context) {
    ((struct fixture *)context)->settings++;
}

static void on_goaway(void *context) {
    ((struct fixture *)context)->goaways++;
}

const struct http2_client_events call_events = {
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

int setup(void **state) {
    (void)state;
    fixture = (struct fixture){.settings = 0};
    buffer_init(&fixture.out, BUFFER_MAX);
    buffer_init(&fixture.input, BUFFER_MAX);
    for (size_t i = 0; i < STREAMS; i++) {
        buffer_init(&fixture.calls[i].told, BUFFER_MAX);
        fixture.calls[i].request = SLICE("request");
        fixture.calls[i].consumes = true;
    }
    fixture.client = http2_client_open(&call_events, &fixture, &fixture.out);
    assert_non_null(fixture.client);
    return 0;
}

int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < STREAMS; i++) {
        http2_stream_reset(&fixture.calls[i].stream, NGHTTP2_CANCEL);
        buffer_done(&fixture.calls[i].told);
    }
    http2_client_close(fixture.client);
    buffer_done(&fixture.out);
    buffer_done(&fixture.input);
    return 0;
}

void start_anew(void) {
    teardown(NULL);
    setup(NULL);
}

enum sync_status call_start(struct call *call) {
    const struct http2_client_field fields[] = {
        {SLICE(":method"), SLICE("POST"), HPACK_CONSTANT},
        {SLICE(":scheme"), SLICE("http"), HPACK_CONSTANT},
        {SLICE(":path"), SLICE("/service/method"), HPACK_CONSTANT},
        {SLICE(":authority"), SLICE("localhost"), HPACK_CONSTANT},
        {SLICE("authorization"), SLICE("secret"), HPACK_SECRET},
    };
    return http2_stream_open(fixture.client, &call->stream, fields,
                             sizeof fields / sizeof fields[0]);
}

struct call *call_first(void) {
    assert_int_equal(call_start(&fixture.calls[0]), SYNC_OK);
    assert_true(http2_client_fill(fixture.client, FILL));
    return &fixture.calls[0];
}

void put(uint8_t type, uint8_t flags, uint8_t id, struct slice payload) {
    const uint8_t head[] = {(uint8_t)(payload.size >> 16),
                            (uint8_t)(payload.size >> 8),
                            (uint8_t)payload.size,
                            type,
                            flags,
                            0,
                            0,
                            0,
                            id};
    buffer_append(&fixture.input, slice_of(head, sizeof head));
    buffer_append(&fixture.input, payload);
}

bool feed(size_t piece) {
    bool well = true;
    struct slice rest = buffer_slice(&fixture.input);
    while (well && rest.size > 0) {
        size_t size = rest.size < piece ? rest.size : piece;
        well = http2_client_receive(fixture.client, slice_first(rest, size));
        rest = slice_after(rest, size);
    }
    buffer_clear(&fixture.input);
    return well;
}

void greet(void) {
    put(NGHTTP2_SETTINGS, 0, 0, SLICE_EMPTY);
    assert_true(feed(ALL));
}

bool sent(uint8_t type, struct slice *ret_payload, uint8_t *ret_id) {
    struct slice rest = slice_after(buffer_slice(&fixture.out), 24);
    bool found = false;
    while (rest.size > 0) {
        size_t size = (size_t)rest.data[0] << 16 | (size_t)rest.data[1] << 8 | rest.data[2];
        if (rest.data[3] == type) {
            found = true;
            *ret_payload = slice_of(rest.data + 9, size);
            *ret_id = rest.data[8];
        }
        rest = slice_after(rest, 9 + size);
    }
    return found;
}

void assert_reset(uint8_t id, uint8_t code) {
    struct slice payload;
    uint8_t of;
    assert_true(sent(NGHTTP2_RST_STREAM, &payload, &of));
    assert_int_equal(of, id);
    assert_int_equal(payload.data[3], code);
}

void assert_told(const struct call *call, const char *expected) {
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)call->told.size, (const char *)call->told.data);
    assert_string_equal(text, expected);
}
