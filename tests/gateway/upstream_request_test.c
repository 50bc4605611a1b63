/* Calls whose request is streamed and whose answer is handed on raw, against a service that is
 * scripted frame by frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/limits.h"
#include "gateway/grpc_status.h"
#include "gateway/upstream_session.h"
#include "tests/gateway/scripted_peer.h"

enum { WINDOW = 65535 }; /* of a stream, while the service has said nothing else */

static struct scripted_peer peer;
static struct address address;
static struct loop *loop;
static struct upstream_session *session;
static uint8_t scratch[64 << 10];

/* What the service has got. */
static struct {
    int32_t stream_id;
    size_t head_size; /* of the last, as it came */
    struct buffer head, body;
    bool ended, reset;
    uint32_t reset_code;
} got;

static int service_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                          void *context) {
    (void)http2, (void)flags, (void)context;
    got.stream_id = frame->hd.stream_id;
    buffer_append_format(&got.head, "%.*s=%.*s\n", (int)name_size, (const char *)name, (int)size,
                         (const char *)value);
    return 0;
}

static int service_data(nghttp2_session *http2, uint8_t flags, int32_t stream_id,
                        const uint8_t *data, size_t size, void *context) {
    (void)http2, (void)flags, (void)stream_id, (void)context;
    buffer_append(&got.body, slice_of(data, size));
    return 0;
}

static int service_frame(nghttp2_session *http2, const nghttp2_frame *frame, void *context) {
    (void)http2, (void)context;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        got.reset = true;
        got.reset_code = frame->rst_stream.error_code;
    } else if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
        if (frame->hd.type == NGHTTP2_HEADERS)
            got.head_size = frame->hd.length;
        got.ended |= frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    }
    return 0;
}

/* A raw call and what it was told. */
struct caller {
    struct upstream_call call;
    struct arena arena;
    struct buffer told; /* heads, bytes and trailers in order */
    size_t taken;
    bool done, has_trailers;
    struct upstream_result result;
};

static void tell_fields(struct caller *caller, const struct upstream_fields *fields) {
    for (size_t i = 0; i < fields->count; i++)
        buffer_append_format(&caller->told, "%.*s=%.*s ", (int)fields->list[i].name.size,
                             (const char *)fields->list[i].name.data,
                             (int)fields->list[i].value.size,
                             (const char *)fields->list[i].value.data);
}

static void caller_head(struct upstream_call *call, const struct upstream_fields *fields) {
    struct caller *caller = (struct caller *)call;
    buffer_append(&caller->told, SLICE("head: "));
    tell_fields(caller, fields);
}

static void caller_data(struct upstream_call *call, struct slice bytes) {
    struct caller *caller = (struct caller *)call;
    buffer_append(&caller->told, bytes);
}

static void caller_taken(struct upstream_call *call, size_t size) {
    ((struct caller *)call)->taken += size;
}

static void caller_done(struct upstream_call *call, const struct upstream_result *result) {
    struct caller *caller = (struct caller *)call;
    assert_false(caller->done);
    caller->done = true;
    caller->result = *result;
    caller->has_trailers = result->trailers != NULL;
    if (result->trailers) {
        buffer_append(&caller->told, SLICE("trailers: "));
        tell_fields(caller, result->trailers);
    }
}

static const struct upstream_call_events raw_events = {
    .head = caller_head, .data = caller_data, .taken = caller_taken, .done = caller_done};

static void both_turn(void) {
    for (int i = 0; i < 50; i++) {
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        scripted_peer_turn(&peer);
    }
}

/* Sends all that the service may send, more than a socket holds. */
static void service_pour(void) {
    const uint8_t *frames;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(peer.session, &frames)) > 0) {
        for (ssize_t sent = 0; sent < size;) {
            ssize_t rc = send(peer.fd, frames + sent, (size_t)(size - sent), 0);
            sent += rc > 0 ? rc : 0;
            assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        }
    }
    both_turn();
}

static void caller_start_with(struct caller *caller, const struct transcode_header *metadata,
                              size_t count) {
    memset(caller, 0, sizeof *caller);
    arena_init(&caller->arena, 1 << 20);
    buffer_init(&caller->told, 8 << 20);
    caller->call = (struct upstream_call){.events = &raw_events,
                                          .arena = &caller->arena,
                                          .path = SLICE("/p.S/M"),
                                          .streamed = true,
                                          .content_type = SLICE("application/grpc+proto"),
                                          .metadata = metadata,
                                          .metadata_count = count};
    assert_int_equal(upstream_session_start(session, &caller->call), SYNC_OK);
    both_turn();
}

static void caller_start(struct caller *caller) {
    const struct transcode_header metadata[] = {{SLICE("x-key"), SLICE("v")}};
    caller_start_with(caller, metadata, 1);
}

static void caller_free(struct caller *caller) {
    upstream_call_cancel(&caller->call);
    buffer_done(&caller->told);
    arena_done(&caller->arena);
}

static void assert_told(const struct caller *caller, const char *expected) {
    assert_true(slice_equal(buffer_slice(&caller->told), slice_text(expected)));
}

static void session_changed(struct upstream_owner *owner, struct upstream_session *changed,
                            enum upstream_state state) {
    (void)owner, (void)changed;
    if (state >= UPSTREAM_DRAINING)
        session = NULL;
}

static int setup(void **state) {
    (void)state;
    static struct upstream_owner owner = {session_changed};
    static const struct scripted_events events = {
        .header = service_header, .data = service_data, .frame = service_frame};
    memset(&got, 0, sizeof got);
    buffer_init(&got.head, 1 << 20);
    buffer_init(&got.body, 8 << 20);
    scripted_peer_listen(&peer, &address);
    assert_int_equal(loop_open(clock_system(), &loop), SYNC_OK);
    const struct upstream_endpoint endpoint = {.address = &address,
                                               .authority = SLICE("localhost")};
    assert_int_equal(
        upstream_session_open(loop, &endpoint, &owner, scratch, sizeof scratch, &session), SYNC_OK);
    scripted_peer_accept(&peer, &events, NULL);
    both_turn();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (session)
        upstream_session_close(session);
    loop_turn(loop, 0);
    loop = loop_close(loop);
    scripted_peer_close(&peer);
    buffer_done(&got.head);
    buffer_done(&got.body);
    return 0;
}

static void a_request_goes_as_it_comes(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    assert_non_null(
        memmem(got.head.data, got.head.size, "content-type=application/grpc+proto\n", 36));
    assert_non_null(memmem(got.head.data, got.head.size, "x-key=v\n", 8));
    assert_null(memmem(got.head.data, got.head.size, "grpc-timeout", 12));
    assert_null(memmem(got.head.data, got.head.size, "accept-status-details", 21));
    assert_false(got.ended);
    assert_int_equal(upstream_call_send(&caller.call, SLICE("one")), SYNC_OK);
    both_turn();
    assert_true(slice_equal(buffer_slice(&got.body), SLICE("one")));
    assert_int_equal(caller.taken, 3);
    assert_false(got.ended);
    assert_int_equal(upstream_call_send(&caller.call, SLICE("two")), SYNC_OK);
    upstream_call_end_request(&caller.call);
    both_turn();
    assert_true(slice_equal(buffer_slice(&got.body), SLICE("onetwo")));
    assert_true(got.ended);
    caller_free(&caller);
}

/* The bytes of a call's head with this metadata. */
static size_t head_size_with(const struct transcode_header *metadata, size_t count) {
    struct caller caller;
    caller_start_with(&caller, metadata, count);
    caller_free(&caller);
    both_turn();
    return got.head_size;
}

/* The same of a call with an id and a trace of one letter, which no other call has. */
static size_t head_size_with_ids(char letter) {
    const struct slice value = {(const uint8_t *)&letter, 1};
    const struct transcode_header ids[] = {{SLICE("x-request-id"), value},
                                           {SLICE("traceparent"), value}};
    return head_size_with(ids, 2);
}

static void names_of_ids_are_known_from_the_first_call_on(void **state) {
    (void)state;
    enum { KNOWN = 2 * 4 }; /* each: the name's number, of two bytes, and the value of as many */
    head_size_with(NULL, 0);
    size_t bare = head_size_with(NULL, 0);
    assert_true(head_size_with_ids('a') > bare + KNOWN);
    for (char letter = 'b'; letter <= 'z'; letter++)
        assert_true(head_size_with_ids(letter) <= bare + KNOWN);
}

static void the_table_keeps_its_room_for_others(void **state) {
    (void)state;
    head_size_with_ids('a');
    head_size_with_ids('b');
    size_t table_size = nghttp2_session_get_hd_inflate_dynamic_table_size(peer.session);
    for (char letter = 'a'; letter <= 'z'; letter++)
        for (int i = 0; i < 4; i++)
            head_size_with_ids(letter);
    assert_int_equal(nghttp2_session_get_hd_inflate_dynamic_table_size(peer.session), table_size);
}

static void names_that_others_pushed_out_are_known_again(void **state) {
    (void)state;
    enum { KNOWN = 2 * 4, OTHERS = 40, VALUE_SIZE = 200, RENEWED = 32 };
    head_size_with_ids('a');
    for (int i = 0; i < OTHERS; i++) {
        uint8_t value[VALUE_SIZE];
        memset(value, 'A' + i, sizeof(value));
        const struct transcode_header other = {SLICE("x-key"), slice_of(value, sizeof(value))};
        head_size_with(&other, 1);
    }
    head_size_with(NULL, 0);
    size_t bare = head_size_with(NULL, 0);
    size_t worst = 0, last = 0;
    for (int i = 0; i <= RENEWED; i++) {
        last = head_size_with_ids('b');
        worst = last > worst ? last : worst;
    }
    assert_true(worst > bare + KNOWN);
    assert_true(last <= bare + KNOWN);
}

static void a_request_may_end_after_its_last_byte(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    assert_int_equal(upstream_call_send(&caller.call, SLICE("one")), SYNC_OK);
    both_turn();
    assert_false(got.ended);
    upstream_call_end_request(&caller.call);
    both_turn();
    assert_true(got.ended);
    caller_free(&caller);
}

static void bytes_are_taken_as_the_service_gives_room(void **state) {
    (void)state;
    static uint8_t bytes[WINDOW + 1000];
    struct caller caller;
    caller_start(&caller);
    assert_int_equal(upstream_call_send(&caller.call, slice_of(bytes, sizeof bytes)), SYNC_OK);
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    both_turn();
    size_t first = caller.taken;
    assert_true(first <= sizeof bytes);
    nghttp2_submit_window_update(peer.session, NGHTTP2_FLAG_NONE, got.stream_id, 1 << 20);
    both_turn();
    assert_int_equal(caller.taken, sizeof bytes);
    assert_int_equal(got.body.size, sizeof bytes);
    caller_free(&caller);
}

static void answer_head(void) {
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("x-note", "n")};
    nghttp2_submit_headers(peer.session, NGHTTP2_FLAG_NONE, got.stream_id, NULL, headers, 3, NULL);
}

static void a_raw_answer_is_told_as_it_came(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    upstream_call_end_request(&caller.call);
    both_turn();
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    peer.data = SLICE("\1\0\0\0\2xy"); /* compressed: not ours to look at */
    peer.trailers[0] = nv("grpc-status", "5");
    peer.trailers[1] = nv("x-last", "l");
    peer.trailer_count = 2;
    scripted_peer_answer(&peer, peer.session, got.stream_id, headers, 2);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_NOT_FOUND);
    static const char EXPECTED[] =
        "head: content-type=application/grpc \1\0\0\0\2xytrailers: grpc-status=5 x-last=l ";
    assert_int_equal(caller.told.size, sizeof EXPECTED - 1);
    assert_memory_equal(caller.told.data, EXPECTED, sizeof EXPECTED - 1);
    caller_free(&caller);
}

static void trailers_alone_have_no_head(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    upstream_call_end_request(&caller.call);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("grpc-status", "7")};
    nghttp2_submit_response(peer.session, got.stream_id, headers, 3, NULL);
    both_turn();
    assert_true(caller.done);
    assert_told(&caller, "trailers: content-type=application/grpc grpc-status=7 ");
    caller_free(&caller);
}

static void an_answer_before_the_end_of_the_request_ends_both(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    answer_head();
    const nghttp2_nv trailers[] = {nv("grpc-status", "0")};
    both_turn();
    nghttp2_submit_headers(peer.session, NGHTTP2_FLAG_END_STREAM, got.stream_id, NULL, trailers, 1,
                           NULL);
    both_turn();
    assert_true(caller.done);
    assert_false(upstream_call_is_active(&caller.call));
    assert_int_equal(caller.result.code, GRPC_OK);
    assert_true(got.reset);
    caller_free(&caller);
}

static void an_answer_that_is_no_grpc_is_a_status(void **state) {
    (void)state;
    struct caller caller;
    caller_start(&caller);
    upstream_call_end_request(&caller.call);
    const nghttp2_nv headers[] = {nv(":status", "503"), nv("content-type", "text/html")};
    peer.data = SLICE("<html>");
    peer.trailer_count = 0;
    scripted_peer_answer(&peer, peer.session, got.stream_id, headers, 2);
    both_turn();
    assert_true(caller.done);
    assert_false(caller.has_trailers);
    assert_int_equal(caller.result.code, GRPC_UNAVAILABLE);
    assert_told(&caller, "");
    caller_free(&caller);
}

static void metadata_beyond_the_bound_ends_the_call(void **state) {
    (void)state;
    static char value[UPSTREAM_FIELDS_BYTES_MAX + 1];
    struct caller caller;
    caller_start(&caller);
    memset(value, 'v', sizeof value - 1);
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("x-large", value)};
    nghttp2_submit_headers(peer.session, NGHTTP2_FLAG_NONE, got.stream_id, NULL, headers, 3, NULL);
    both_turn();
    assert_true(caller.done);
    assert_int_equal(caller.result.code, GRPC_RESOURCE_EXHAUSTED);
    assert_true(got.reset);
    caller_free(&caller);
}

static void a_refused_call_keeps_a_request_that_is_whole(void **state) {
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        struct caller caller;
        caller_start(&caller);
        if (sent)
            assert_int_equal(upstream_call_send(&caller.call, SLICE("gone")), SYNC_OK);
        both_turn();
        if (!sent) /* still in the queue as the refusal comes */
            assert_int_equal(upstream_call_send(&caller.call, SLICE("kept")), SYNC_OK);
        nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, got.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        scripted_peer_turn(&peer);
        both_turn();
        assert_true(caller.done);
        assert_true(caller.result.refused);
        assert_int_equal(caller.result.unprocessed, !sent);
        caller_free(&caller);
    }
}

static void the_service_gets_room_as_bytes_are_consumed(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    static uint8_t bytes[SIZE + 1000];
    struct caller caller;
    caller_start(&caller);
    upstream_call_end_request(&caller.call);
    both_turn();
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    peer.data = slice_of(bytes, sizeof bytes);
    peer.trailers[0] = nv("grpc-status", "0");
    peer.trailer_count = 1;
    scripted_peer_answer(&peer, peer.session, got.stream_id, headers, 2);
    service_pour();
    static const size_t head = sizeof "head: content-type=application/grpc " - 1;
    assert_false(caller.done);
    assert_int_equal(caller.told.size, head + SIZE);
    upstream_call_consume(&caller.call, SIZE);
    both_turn();
    assert_true(caller.done);
    caller_free(&caller);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_as_it_comes),
        TEST(names_of_ids_are_known_from_the_first_call_on),
        TEST(the_table_keeps_its_room_for_others),
        TEST(names_that_others_pushed_out_are_known_again),
        TEST(a_request_may_end_after_its_last_byte),
        TEST(bytes_are_taken_as_the_service_gives_room),
        TEST(a_raw_answer_is_told_as_it_came),
        TEST(trailers_alone_have_no_head),
        TEST(an_answer_before_the_end_of_the_request_ends_both),
        TEST(an_answer_that_is_no_grpc_is_a_status),
        TEST(metadata_beyond_the_bound_ends_the_call),
        TEST(a_refused_call_keeps_a_request_that_is_whole),
        TEST(the_service_gets_room_as_bytes_are_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
