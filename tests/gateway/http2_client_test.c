/* The client's end of HTTP/2, frame by frame. */
#include "tests/gateway/http2_client_fixture.h"

#include <stdio.h>

#include "base/memory.h"

#define STATUS_200 "\x88"
#define FIELD(name_size, name, value_size, value) "\x00" name_size name value_size value

static void an_answer_is_told_however_it_is_cut(void **state) {
    (void)state;
    for (size_t piece = 1; piece < 60; piece++) {
        struct call *call;
        uint64_t sum = 0;
        greet();
        call = call_first();
        put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY,
            1,
            SLICE("\x02"
                  "\0\0\0\0\1" STATUS_200 FIELD("\x01", "a", "\x01", "b") "\0\0"));
        put(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
            SLICE("\x03"
                  "hello"
                  "\0\0\0"));
        put(NGHTTP2_PING, 0, 0, SLICE("12345678"));
        put(NGHTTP2_DATA, 0, 1, SLICE_EMPTY);
        put(NGHTTP2_DATA, 0, 1, SLICE(" you"));
        put(0x77, 0xff, 1, SLICE("of an extension"));
        put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, SLICE(FIELD("\x01", "c", "\x01", "d")));
        put(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
            SLICE(FIELD("\x01", "e", "\x00", "")));
        assert_true(feed(piece));
        assert_told(call, "[:status=200 a=b ]head [c=d e= ]trailers!closed 0");
        for (const char *at = "hello you"; *at; at++)
            sum = sum * 31 + (uint8_t)*at;
        assert_true(call->sum == sum);
        struct slice payload;
        uint8_t id;
        assert_true(sent(NGHTTP2_PING, &payload, &id));
        assert_true(slice_equal(payload, SLICE("12345678")));
        start_anew();
    }
}

static void a_request_waits_until_it_is_allowed(void **state) {
    (void)state;
    struct slice payload;
    uint8_t id;
    call_first();
    assert_int_equal(call_start(&fixture.calls[1]), SYNC_OK);
    assert_int_equal(call_start(&fixture.calls[2]), SYNC_OK);
    assert_true(http2_client_fill(fixture.client, FILL));
    assert_int_equal(http2_client_streams_max(fixture.client), 0);
    assert_false(sent(NGHTTP2_HEADERS, &payload, &id));
    put(NGHTTP2_SETTINGS, 0, 0, SLICE("\x00\x03\x00\x00\x00\x01"));
    assert_true(feed(ALL));
    assert_int_equal(fixture.settings, 1);
    assert_int_equal(http2_client_streams_max(fixture.client), 1);
    assert_true(http2_client_fill(fixture.client, FILL));
    assert_true(sent(NGHTTP2_HEADERS, &payload, &id) && id == 1);
    /* One that is reset while it waits leaves no trace. */
    http2_stream_reset(&fixture.calls[1].stream, NGHTTP2_CANCEL);
    assert_false(sent(NGHTTP2_RST_STREAM, &payload, &id));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, SLICE(STATUS_200));
    assert_true(feed(ALL));
    assert_told(&fixture.calls[0], "[:status=200 ]head!closed 0");
    assert_true(http2_client_fill(fixture.client, FILL));
    assert_true(sent(NGHTTP2_HEADERS, &payload, &id) && id == 3);
    assert_told(&fixture.calls[1], "");
    http2_stream_reset(&fixture.calls[2].stream, NGHTTP2_CANCEL);
    assert_reset(3, NGHTTP2_CANCEL);
}

static void data_waits_for_windows(void **state) {
    (void)state;
    static uint8_t body[200000];
    struct call *call = &fixture.calls[0];
    call->request = slice_of(body, sizeof body);
    put(NGHTTP2_SETTINGS, 0, 0, SLICE("\x00\x04\x00\x00\x00\x0a"));
    assert_true(feed(ALL));
    call_first();
    assert_int_equal(call->sent, 10);
    put(NGHTTP2_WINDOW_UPDATE, 0, 1, SLICE("\0\0\0\x05"));
    assert_true(feed(ALL) && http2_client_fill(fixture.client, FILL));
    assert_int_equal(call->sent, 15);
    /* A smaller window for all takes away what was granted; then there is none until it is more. */
    put(NGHTTP2_SETTINGS, 0, 0, SLICE("\x00\x04\x00\x00\x00\x00"));
    put(NGHTTP2_WINDOW_UPDATE, 0, 1, SLICE("\0\0\0\x0a"));
    assert_true(feed(ALL) && http2_client_fill(fixture.client, FILL));
    assert_int_equal(call->sent, 15);
    put(NGHTTP2_SETTINGS, 0, 0, SLICE("\x00\x04\x00\x0f\x00\x00"));
    assert_true(feed(ALL) && http2_client_fill(fixture.client, FILL));
    assert_int_equal(call->sent, 65535); /* the connection's */
    put(NGHTTP2_WINDOW_UPDATE, 0, 0, SLICE("\0\x0f\0\0"));
    assert_true(feed(ALL) && http2_client_fill(fixture.client, FILL));
    assert_int_equal(call->sent, sizeof body);
}

static void no_more_is_written_than_asked_for(void **state) {
    (void)state;
    static uint8_t body[60000];
    greet();
    for (int i = 0; i < STREAMS; i++) {
        fixture.calls[i].request = slice_of(body, sizeof body);
        assert_int_equal(call_start(&fixture.calls[i]), SYNC_OK);
    }
    assert_true(http2_client_fill(fixture.client, 1));
    size_t size = fixture.out.size;
    assert_true(http2_client_fill(fixture.client, size));
    assert_int_equal(fixture.out.size, size);
    assert_true(http2_client_fill(fixture.client, 20000));
    assert_in_range(fixture.out.size, 20000, 20000 + 17000);
}

static void room_is_granted_as_it_is_consumed(void **state) {
    (void)state;
    static const uint8_t bytes[16384];
    struct slice payload;
    uint8_t id = 0;
    greet();
    struct call *call = call_first();
    call->consumes = false;
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, SLICE(STATUS_200));
    for (int i = 0; i < 64; i++)
        put(NGHTTP2_DATA, 0, 1, slice_of(bytes, sizeof bytes));
    assert_true(feed(ALL));
    assert_int_equal(call->received, HTTP2_CLIENT_STREAM_WINDOW);
    /* The connection's window is the only one that ever grew. */
    assert_true(sent(NGHTTP2_WINDOW_UPDATE, &payload, &id) && id == 0);
    http2_stream_consume(&call->stream, HTTP2_CLIENT_STREAM_WINDOW / 2 - 1);
    assert_true(sent(NGHTTP2_WINDOW_UPDATE, &payload, &id) && id == 0);
    http2_stream_consume(&call->stream, 1);
    assert_true(sent(NGHTTP2_WINDOW_UPDATE, &payload, &id) && id == 1);
    assert_true(slice_equal(payload, SLICE("\0\x08\0\0")));
    /* Who takes more than that is closed, and nobody else is. */
    for (int i = 0; i < 33; i++)
        put(NGHTTP2_DATA, 0, 1, slice_of(bytes, sizeof bytes));
    assert_true(feed(ALL));
    assert_told(call, "[:status=200 ]head closed 3");
    assert_reset(1, NGHTTP2_FLOW_CONTROL_ERROR);
}

static void an_early_answer_ends_the_request(void **state) {
    (void)state;
    greet();
    fixture.calls[0].streamed = true;
    struct call *call = call_first();
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, SLICE(STATUS_200));
    assert_true(feed(ALL));
    assert_told(call, "[:status=200 ]head!closed 0");
    assert_reset(1, NGHTTP2_CANCEL);
    /* What still comes for it is for nobody; nor does it hold the connection's window. */
    put(NGHTTP2_DATA, 0, 1, SLICE("late"));
    put(NGHTTP2_WINDOW_UPDATE, 0, 1, SLICE("\0\0\0\1"));
    put(NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\1"));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, SLICE(FIELD("\x01", "a", "\x01", "b")));
    assert_true(feed(ALL));
    assert_told(call, "[:status=200 ]head!closed 0");
}

static void malformed_answers_close_their_stream_alone(void **state) {
    (void)state;
    static const struct {
        const char *what;
        struct slice head;
        uint8_t flags;
    } heads[] = {
#define HEAD(what, text, flags) {what, {(const uint8_t *)text, sizeof(text) - 1}, flags}
        HEAD("no status", FIELD("\x01", "a", "\x01", "b"), 0),
        HEAD("nothing", "", 0),
        HEAD("two statuses", STATUS_200 STATUS_200, 0),
        HEAD("a status behind another field", FIELD("\x01", "a", "\x01", "b") STATUS_200, 0),
        HEAD("a status that is none", FIELD("\x07", ":status", "\x03", "abc"), 0),
        HEAD("a long status", FIELD("\x07", ":status", "\x04", "2000"), 0),
        HEAD("another pseudo-header", STATUS_200 FIELD("\x05", ":path", "\x01", "/"), 0),
        HEAD("a field of HTTP/1", STATUS_200 FIELD("\x0a", "connection", "\x05", "close"), 0),
        HEAD("a length that is none", STATUS_200 FIELD("\x0e", "content-length", "\x02", "1a"), 0),
        HEAD("two lengths",
             STATUS_200 FIELD("\x0e", "content-length", "\x01", "1")
                 FIELD("\x0e", "content-length", "\x01", "1"),
             0),
        HEAD("a length that does not come", STATUS_200 FIELD("\x0e", "content-length", "\x01", "1"),
             NGHTTP2_FLAG_END_STREAM),
        HEAD("an end that is none", FIELD("\x07", ":status", "\x03", "100"),
             NGHTTP2_FLAG_END_STREAM),
#undef HEAD
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        greet();
        struct call *call = call_first();
        put(NGHTTP2_HEADERS, (uint8_t)(NGHTTP2_FLAG_END_HEADERS | heads[i].flags), 1,
            heads[i].head);
        assert_true(feed(ALL));
        assert_reset(1, NGHTTP2_PROTOCOL_ERROR);
        struct slice told = buffer_slice(&call->told);
        if (told.size < 8 || memcmp(slice_end(told) - 8, "closed 1", 8) != 0)
            fail_msg("%s: %.*s", heads[i].what, (int)told.size, (const char *)told.data);
        start_anew();
    }
}

static void a_malformed_body_closes_its_stream_alone(void **state) {
    (void)state;
    greet();
    for (int i = 0; i < 4; i++)
        assert_int_equal(call_start(&fixture.calls[i]), SYNC_OK);
    assert_true(http2_client_fill(fixture.client, FILL));
    put(NGHTTP2_DATA, 0, 1, SLICE("before its head"));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3,
        SLICE(STATUS_200 FIELD("\x0e", "content-length", "\x01", "3")));
    put(NGHTTP2_DATA, 0, 3, SLICE("more than told"));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 5, SLICE(STATUS_200));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 5, SLICE(FIELD("\x01", "a", "\x01", "b")));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 7,
        SLICE(FIELD("\x07", ":status", "\x03", "103") FIELD("\x01", "a", "\x01", "b")));
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 7,
        SLICE(STATUS_200 FIELD("\x0e", "content-length", "\x01", "3")
                  FIELD("\x01", "A", "\x01", "b") FIELD("\x01", "z", "\x02", "\r\n")));
    put(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 7, SLICE("123"));
    assert_true(feed(ALL));
    assert_told(&fixture.calls[0], "closed 1");
    assert_told(&fixture.calls[1], "[:status=200 content-length=3 ]head closed 1");
    assert_told(&fixture.calls[2], "[:status=200 ]head [a=b closed 1");
    /* Interim heads are not the answer's; fields that nobody may hand on are dropped. */
    assert_told(&fixture.calls[3], "[:status=103 a=b [:status=200 content-length=3 ]head closed 0");
}

static void what_breaks_the_connection_is_said(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t type, flags, id;
        struct slice payload;
        uint8_t code;
    } frames[] = {
#define BAD(what, type, flags, id, text, code)                                                     \
    {what, type, flags, id, {(const uint8_t *)text, sizeof(text) - 1}, code}
        BAD("data of the connection", NGHTTP2_DATA, 0, 0, "a", NGHTTP2_PROTOCOL_ERROR),
        BAD("data of an idle stream", NGHTTP2_DATA, 0, 9, "a", NGHTTP2_PROTOCOL_ERROR),
        BAD("data of a stream of the server's", NGHTTP2_DATA, 0, 2, "a", NGHTTP2_PROTOCOL_ERROR),
        BAD("padding without its size", NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "",
            NGHTTP2_PROTOCOL_ERROR),
        BAD("padding beyond the frame", NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
            "\x05"
            "abc",
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a head of an idle stream", NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 9, STATUS_200,
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a head's padding beyond the frame", NGHTTP2_HEADERS,
            NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PADDED, 1, "\x02" STATUS_200,
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a head without room for its priority", NGHTTP2_HEADERS,
            NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PRIORITY, 1, STATUS_200,
            NGHTTP2_PROTOCOL_ERROR),
        BAD("an index that is none", NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xff\x30",
            NGHTTP2_COMPRESSION_ERROR),
        BAD("half a field", NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
            "\x00\x05"
            "ab",
            NGHTTP2_COMPRESSION_ERROR),
        BAD("a rest of no head", NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, STATUS_200,
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a push", NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, "\0\0\0\2" STATUS_200,
            NGHTTP2_PROTOCOL_ERROR),
        BAD("settings of a stream", NGHTTP2_SETTINGS, 0, 1, "", NGHTTP2_PROTOCOL_ERROR),
        BAD("half a setting", NGHTTP2_SETTINGS, 0, 0, "\0\1\0\0\0", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("an acknowledgement that says more", NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0,
            "\0\1\0\0\0\0", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("pushes by a server", NGHTTP2_SETTINGS, 0, 0, "\0\2\0\0\0\1", NGHTTP2_PROTOCOL_ERROR),
        BAD("a window beyond all", NGHTTP2_SETTINGS, 0, 0, "\0\4\x80\0\0\0",
            NGHTTP2_FLOW_CONTROL_ERROR),
        BAD("a small frame size", NGHTTP2_SETTINGS, 0, 0, "\0\5\0\0\x3f\xff",
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a large frame size", NGHTTP2_SETTINGS, 0, 0, "\0\5\1\0\0\0", NGHTTP2_PROTOCOL_ERROR),
        BAD("a short ping", NGHTTP2_PING, 0, 0, "1234567", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("a stream's ping", NGHTTP2_PING, 0, 1, "12345678", NGHTTP2_PROTOCOL_ERROR),
        BAD("a short goodbye", NGHTTP2_GOAWAY, 0, 0, "\0\0\0\1\0\0\0", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("a stream's goodbye", NGHTTP2_GOAWAY, 0, 1, "\0\0\0\1\0\0\0\0", NGHTTP2_PROTOCOL_ERROR),
        BAD("a short reset", NGHTTP2_RST_STREAM, 0, 1, "\0\0\0", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("an idle stream's reset", NGHTTP2_RST_STREAM, 0, 9, "\0\0\0\1", NGHTTP2_PROTOCOL_ERROR),
        BAD("a short window", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\1", NGHTTP2_FRAME_SIZE_ERROR),
        BAD("no window", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", NGHTTP2_PROTOCOL_ERROR),
        BAD("an idle stream's window", NGHTTP2_WINDOW_UPDATE, 0, 9, "\0\0\0\1",
            NGHTTP2_PROTOCOL_ERROR),
        BAD("a connection's window beyond all", NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff",
            NGHTTP2_FLOW_CONTROL_ERROR),
#undef BAD
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct slice payload;
        uint8_t id;
        greet();
        call_first();
        put(frames[i].type, frames[i].flags, frames[i].id, frames[i].payload);
        if (feed(ALL) || !sent(NGHTTP2_GOAWAY, &payload, &id) || payload.data[7] != frames[i].code)
            fail_msg("%s", frames[i].what);
        /* Broken for good. */
        assert_false(http2_client_receive(fixture.client, SLICE("more")));
        assert_false(http2_client_fill(fixture.client, FILL));
        assert_int_equal(call_start(&fixture.calls[1]), SYNC_ERR_UNAVAILABLE);
        start_anew();
    }
}

static void a_server_greets_first(void **state) {
    (void)state;
    put(NGHTTP2_PING, 0, 0, SLICE("12345678"));
    assert_false(feed(ALL));
}

static void a_head_is_not_interrupted(void **state) {
    (void)state;
    static const uint8_t types[] = {NGHTTP2_DATA, NGHTTP2_PING, NGHTTP2_HEADERS, 0x77};
    for (size_t i = 0; i < sizeof types; i++) {
        greet();
        call_first();
        put(NGHTTP2_HEADERS, 0, 1, SLICE(STATUS_200));
        put(types[i], 0, types[i] == NGHTTP2_PING ? 0 : 1, SLICE("12345678"));
        assert_false(feed(ALL));
        start_anew();
    }
}

static void heads_are_bounded(void **state) {
    (void)state;
    static uint8_t text[300 << 10];
    struct slice payload;
    uint8_t id;
    greet();
    call_first();
    put(NGHTTP2_HEADERS, 0, 1, SLICE(STATUS_200));
    for (int i = 0; i < 20; i++)
        put(NGHTTP2_CONTINUATION, 0, 1, slice_of(text, 16384));
    assert_false(feed(ALL));
    assert_true(sent(NGHTTP2_GOAWAY, &payload, &id));
    assert_int_equal(payload.data[7], NGHTTP2_ENHANCE_YOUR_CALM);
    start_anew();
    /* A few bytes that refer to a large field, over and over. */
    greet();
    call_first();
    static uint8_t bomb[10000] = {0x88, 0x40, 0x01, 'a', 0x7f, 0x81, 0x1d};
    size_t large = 7 + 127 + 0x81 - 0x80 + 0x1d * 128;
    memset(bomb + 7, 'x', large - 7);
    memset(bomb + large, 0xbe, sizeof bomb - large);
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, slice_of(bomb, sizeof bomb));
    assert_false(feed(ALL));
    start_anew();
    /* A frame that is larger than we said we take. */
    greet();
    assert_false(http2_client_receive(fixture.client, SLICE("\x10\x00\x01\x00\0\0\0\0\1")));
}

static void a_goodbye_refuses_what_is_not_processed(void **state) {
    (void)state;
    put(NGHTTP2_SETTINGS, 0, 0, SLICE("\x00\x03\x00\x00\x00\x03"));
    assert_true(feed(ALL));
    for (int i = 0; i < 5; i++)
        assert_int_equal(call_start(&fixture.calls[i]), SYNC_OK);
    assert_true(http2_client_fill(fixture.client, FILL));
    put(NGHTTP2_GOAWAY, 0, 0, SLICE("\0\0\0\3\0\0\0\0"));
    put(NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\x0b"));
    assert_true(feed(ALL));
    assert_int_equal(fixture.goaways, 1);
    assert_told(&fixture.calls[0], "closed 11");
    assert_told(&fixture.calls[1], "");
    for (int i = 2; i < 5; i++)
        assert_told(&fixture.calls[i], "closed 7");
    assert_int_equal(call_start(&fixture.calls[6]), SYNC_ERR_UNAVAILABLE);
    put(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, SLICE(STATUS_200));
    assert_true(feed(ALL));
    assert_told(&fixture.calls[1], "[:status=200 ]head!closed 0");
}

/* Opens, calls and is answered while the n-th allocation fails; 0: none. How many there were. */
static uint64_t live_through(uint64_t n) {
    struct buffer out;
    struct call *call = &fixture.calls[0];
    static const uint8_t bytes[20000];
    buffer_init(&out, BUFFER_MAX);
    memory_fail_after(n);
    struct http2_client *client = http2_client_open(&call_events, &fixture, &out);
    if (client) {
        struct http2_client *before = fixture.client;
        fixture.client = client;
        bool well = http2_client_receive(client, SLICE("\0\0\0\4\0\0\0\0\0")) &&
                    call_start(call) == SYNC_OK && http2_client_fill(client, FILL);
        const uint8_t head[] = {0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88, 0, 0x4e, 0x20, 9, 4, 0, 0, 0, 1};
        if (well && http2_client_receive(client, slice_of(head, sizeof head)))
            (void)http2_client_receive(client, slice_of(bytes, sizeof bytes));
        http2_stream_reset(&call->stream, NGHTTP2_CANCEL);
        fixture.client = before;
    }
    uint64_t count = memory_count();
    memory_fail_after(0);
    http2_client_close(client);
    buffer_done(&out);
    return count;
}

static void it_lives_through_every_failed_allocation(void **state) {
    (void)state;
    uint64_t count = live_through(0);
    assert_in_range(count, 4, 50);
    for (uint64_t n = 1; n <= count; n++)
        live_through(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_told_however_it_is_cut),
        TEST(a_request_waits_until_it_is_allowed),
        TEST(data_waits_for_windows),
        TEST(no_more_is_written_than_asked_for),
        TEST(room_is_granted_as_it_is_consumed),
        TEST(an_early_answer_ends_the_request),
        TEST(malformed_answers_close_their_stream_alone),
        TEST(a_malformed_body_closes_its_stream_alone),
        TEST(what_breaks_the_connection_is_said),
        TEST(a_server_greets_first),
        TEST(a_head_is_not_interrupted),
        TEST(heads_are_bounded),
        TEST(a_goodbye_refuses_what_is_not_processed),
        TEST(it_lives_through_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("http2_client", tests, NULL, NULL);
}
