/* The client's end of HTTP/2 against a server of nghttp2. */
#include "tests/gateway/http2_client_fixture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

/* A server of nghttp2 that sums up what it gets and answers with as much as it was asked for. */
struct server {
    nghttp2_session *session;
    struct {
        uint64_t sum;
        size_t received, to_send;
    } streams[2 * STREAMS + 1];
    size_t header_bytes;
    int requests;
};

static ssize_t server_source(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)session, (void)source;
    struct server *server = context;
    size_t left = server->streams[id].to_send, given = left < size ? left : size;
    memset(out, 'y', given);
    server->streams[id].to_send -= given;
    if (given < left)
        return (ssize_t)given;
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const nghttp2_nv trailer = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, 0};
    nghttp2_submit_trailer(session, id, &trailer, 1);
    return (ssize_t)given;
}

static int server_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                            const uint8_t *name, size_t name_size, const uint8_t *value,
                            size_t size, uint8_t flags, void *context) {
    (void)session, (void)frame, (void)name, (void)value, (void)flags;
    ((struct server *)context)->header_bytes += name_size + size;
    return 0;
}

static int server_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                          size_t size, void *context) {
    (void)session, (void)flags;
    struct server *server = context;
    for (size_t i = 0; i < size; i++)
        server->streams[id].sum = server->streams[id].sum * 31 + data[i];
    server->streams[id].received += size;
    return 0;
}

static int server_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    struct server *server = context;
    assert_int_not_equal(frame->hd.type, NGHTTP2_GOAWAY);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || frame->hd.type > NGHTTP2_HEADERS)
        return 0;
    const nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0};
    const nghttp2_data_provider provider = {.read_callback = server_source};
    server->streams[frame->hd.stream_id].to_send = server->streams[frame->hd.stream_id].received;
    nghttp2_submit_response(session, frame->hd.stream_id, &status, 1, &provider);
    server->requests++;
    return 0;
}

static void server_open(struct server *server, uint32_t window) {
    *server = (struct server){.requests = 0};
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, server_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, server_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, server_on_frame);
    assert_int_equal(nghttp2_session_server_new(&server->session, callbacks, server), 0);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 7},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 256},
    };
    nghttp2_submit_settings(server->session, NGHTTP2_FLAG_NONE, settings, 3);
}

/* SplitMix64: the whole sequence follows from the seed. */
static uint64_t random_next(uint64_t *seed) {
    uint64_t bits = *seed += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/* Moves some of what each side has for the other; false when neither has anything. */
static bool exchange(struct server *server, uint64_t *seed) {
    assert_true(http2_client_fill(fixture.client, fixture.out_read + 1 + random_next(seed) % FILL));
    struct slice there = slice_after(buffer_slice(&fixture.out), fixture.out_read);
    size_t size = there.size ? 1 + random_next(seed) % there.size : 0;
    if (size > 0)
        assert_int_equal(nghttp2_session_mem_recv(server->session, there.data, size), size);
    fixture.out_read += size;
    const uint8_t *back;
    ssize_t got = nghttp2_session_mem_send(server->session, &back);
    assert_true(got >= 0);
    buffer_append(&fixture.input, slice_of(back, (size_t)got));
    assert_true(feed(1 + random_next(seed) % 20000));
    return size > 0 || got > 0;
}

static void many_calls_go_there_and_back(void **state) {
    (void)state;
    static uint8_t body[400000];
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)random_next(&seed);
    for (int round = 0; round < 10; round++) {
        struct server server;
        server_open(&server, (uint32_t)(1 + random_next(&seed) % 100000));
        for (int i = 0; i < STREAMS; i++) {
            size_t size = random_next(&seed) % 3 ? random_next(&seed) % 1000
                                                 : random_next(&seed) % sizeof body;
            fixture.calls[i].request = slice_of(body, size);
            assert_int_equal(call_start(&fixture.calls[i]), SYNC_OK);
        }
        while (exchange(&server, &seed)) {
        }
        assert_int_equal(server.requests, STREAMS);
        for (int i = 0; i < STREAMS; i++) {
            const struct call *call = &fixture.calls[i];
            assert_told(call, "[:status=200 ]head [grpc-status=0 ]trailers!closed 0");
            assert_int_equal(call->received, call->request.size);
        }
        uint64_t sum = 0;
        for (size_t i = 0; i < fixture.calls[0].request.size; i++)
            sum = sum * 31 + body[i];
        assert_true(server.streams[1].sum == sum);
        nghttp2_session_del(server.session);
        start_anew();
    }
}

static void a_head_larger_than_a_frame_goes_in_several(void **state) {
    (void)state;
    static uint8_t text[50000];
    struct server server;
    uint64_t seed = 1;
    memset(text, 'x', sizeof text);
    server_open(&server, 65535);
    const struct http2_client_field fields[] = {
        {SLICE(":method"), SLICE("POST"), HPACK_CONSTANT},
        {SLICE(":scheme"), SLICE("http"), HPACK_CONSTANT},
        {SLICE(":path"), SLICE("/"), HPACK_CONSTANT},
        {SLICE(":authority"), SLICE("localhost"), HPACK_CONSTANT},
        {SLICE("long"), slice_of(text, sizeof text), HPACK_VARYING},
    };
    assert_int_equal(http2_stream_open(fixture.client, &fixture.calls[0].stream, fields, 5),
                     SYNC_OK);
    while (exchange(&server, &seed)) {
    }
    assert_int_equal(server.requests, 1);
    assert_in_range(server.header_bytes, sizeof text, sizeof text + 100);
    nghttp2_session_del(server.session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(many_calls_go_there_and_back),
        TEST(a_head_larger_than_a_frame_goes_in_several),
    };
    return cmocka_run_group_tests_name("http2_client_server", tests, NULL, NULL);
}
