#include <grpc/grpc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "client/stub/message.h"
#include "google/protobuf/any.pb-c.h"
#include "tests/client/stub/stub_fixture.h"

#define ANY &google__protobuf__any__descriptor

enum { LONG_TEXT = 5000 };

/* A text worth compressing. */
static const char *long_text(void) {
    static char text[LONG_TEXT + 1];
    memset(text, 'z', LONG_TEXT);
    return text;
}

/* Sends the text and expects it back. */
static void echo_text(struct stub_channel *channel, const char *text,
                      struct stub_options *options) {
    ProtobufCMessage *response = NULL;
    assert_int_equal(stub_unary(channel, &unary, text_message(text), options, NULL, &response),
                     STUB_OK);
    assert_true(message_is(response, text));
}

static struct stub_channel *compressing_channel(struct stub_fixture *fixture) {
    struct stub_channel *channel = NULL;
    struct stub_channel_options options = {.target = echo_server_target(fixture->server),
                                           .compression = STUB_COMPRESSION_GZIP};
    assert_int_equal(stub_channel_open(&options, NULL, &channel), STUB_OK);
    return channel;
}

static void nothing_is_compressed_unasked(void **state) {
    struct stub_fixture *fixture = *state;
    echo_text(fixture->channel, long_text(), WITH(entry("x-a", "a")));
    assert_int_equal(echo_server_compressed(fixture->server), 0);
}

static void a_call_compresses_what_it_sends(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-a", "a"));
    options.compression = STUB_COMPRESSION_GZIP;
    echo_text(fixture->channel, long_text(), &options);
    assert_int_equal(echo_server_compressed(fixture->server), 1);
    echo_text(fixture->channel, "short", &options); /* would become larger */
    assert_int_equal(echo_server_compressed(fixture->server), 1);
    echo_text(fixture->channel, long_text(), NULL); /* the next call does not */
    assert_int_equal(echo_server_compressed(fixture->server), 1);
    assert_string_equal(echo_server_seen(fixture->server, "x-a"), "a");
    assert_string_equal(echo_server_seen(fixture->server, "grpc-internal-encoding-request"), "");
}

static void a_channel_compresses_for_calls_that_do_not_refuse(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_channel *channel = compressing_channel(fixture);
    echo_text(channel, long_text(), NULL);
    assert_int_equal(echo_server_compressed(fixture->server), 1);
    struct stub_options plain = {.compression = STUB_COMPRESSION_NONE};
    echo_text(channel, long_text(), &plain);
    assert_int_equal(echo_server_compressed(fixture->server), 1);
    stub_channel_close(channel);
}

static void a_retry_compresses_again(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-code", "14"), entry("x-fail-times", "2"));
    options.compression = STUB_COMPRESSION_GZIP;
    options.may_retry = true;
    echo_text(fixture->channel, long_text(), &options);
    assert_int_equal(echo_server_calls(fixture->server), 3);
    assert_int_equal(echo_server_compressed(fixture->server), 1); /* only the last reads it */
    assert_string_equal(echo_server_seen(fixture->server, "grpc-previous-rpc-attempts"), "2");
}

static void a_stream_compresses_each_message(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = *WITH(entry("x-compress", "gzip"));
    options.compression = STUB_COMPRESSION_GZIP;
    struct stub_call *call = NULL;
    assert_int_equal(stub_stream_open(fixture->channel, &exchange, NULL, &options, NULL, &call),
                     STUB_OK);
    for (unsigned i = 1; i <= 3; i++) {
        ProtobufCMessage *message = NULL;
        assert_true(stub_stream_send(call, text_message(long_text())));
        assert_true(stub_stream_receive(call, &message));
        assert_true(message_is(message, long_text()));
        assert_int_equal(echo_server_compressed(fixture->server), i);
    }
    stub_stream_send_done(call);
    assert_int_equal(stub_call_finish(call, NULL), STUB_OK);
    stub_call_close(call);
}

static void compressed_answers_are_read_within_the_bound(void **state) {
    struct stub_fixture *fixture = *state;
    static const char *const codings[] = {"gzip", "deflate"};
    for (size_t i = 0; i < sizeof codings / sizeof codings[0]; i++) {
        echo_text(fixture->channel, long_text(), WITH(entry("x-compress", codings[i])));
        struct stub_options options = *WITH(entry("x-compress", codings[i]),
                                            entry("x-answers", "1"), entry("x-size", "50000000"));
        options.message_bytes_max = 1 << 20; /* a fiftieth; compressed it is a twentieth of that */
        ProtobufCMessage *response = NULL;
        struct stub_status status = {0};
        assert_int_equal(
            stub_unary(fixture->channel, &unary, text_message("?"), &options, &status, &response),
            STUB_RESOURCE_EXHAUSTED);
        assert_string_equal(status.message,
                            "The message has more than 1048576 bytes decompressed.");
        stub_status_done(&status);
    }
}

static void a_compression_that_there_is_not_is_refused(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_options options = {.compression = (enum stub_compression)3};
    assert_int_equal(unary_code(fixture->channel, &options), STUB_INVALID_ARGUMENT);
    struct stub_channel *channel = NULL;
    assert_int_equal(
        stub_channel_open(
            &(struct stub_channel_options){.target = echo_server_target(fixture->server),
                                           .compression = (enum stub_compression)3},
            NULL, &channel),
        STUB_INVALID_ARGUMENT);
    assert_null(channel);
    assert_int_equal(echo_server_calls(fixture->server), 0);
}

/* ---- Without a server: what no honest one sends. */

/* The text in an Any's value, packed and compressed as gzip; its size. */
static size_t write_gzip(uint8_t *bytes, size_t size) {
    grpc_slice packed;
    assert_true(message_pack(text_message(long_text()), &packed));
    z_stream stream = {.zalloc = NULL};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = GRPC_SLICE_START_PTR(packed);
    stream.avail_in = (uInt)GRPC_SLICE_LENGTH(packed);
    stream.next_out = bytes;
    stream.avail_out = (uInt)size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    grpc_slice_unref(packed);
    return size - stream.avail_out;
}

/* Unpacks what comes as gzip in two pieces; the code. */
static enum stub_code unpack_code(const uint8_t *bytes, size_t size, size_t cut, size_t bytes_max) {
    grpc_slice pieces[] = {grpc_slice_from_copied_buffer((const char *)bytes, cut),
                           grpc_slice_from_copied_buffer((const char *)bytes + cut, size - cut)};
    grpc_byte_buffer *received =
        grpc_raw_compressed_byte_buffer_create(pieces, 2, GRPC_COMPRESS_GZIP);
    struct sync_error error = {.message = ""};
    ProtobufCMessage *message = NULL;
    enum stub_code code = message_unpack(received, ANY, bytes_max, &error, &message);
    assert_true((code == STUB_OK) == (message != NULL));
    assert_true((code == STUB_OK) == (error.message[0] == '\0'));
    assert_true(!message || message_is(message, long_text()));
    grpc_byte_buffer_destroy(received);
    grpc_slice_unref(pieces[0]);
    grpc_slice_unref(pieces[1]);
    return code;
}

enum { UNPACKED = LONG_TEXT + 3 + 6 /* the tags and sizes of the value and of "text" */ };

static void a_message_in_any_pieces_decompresses_to_the_byte(void **state) {
    (void)state;
    uint8_t bytes[512];
    size_t size = write_gzip(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= size; cut++) {
        assert_int_equal(unpack_code(bytes, size, cut, UNPACKED), STUB_OK);
        assert_int_equal(unpack_code(bytes, size, cut, UNPACKED - 1), STUB_RESOURCE_EXHAUSTED);
    }
}

static void what_is_no_whole_stream_is_internal(void **state) {
    (void)state;
    uint8_t bytes[512] = {0};
    size_t size = write_gzip(bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(unpack_code(bytes, cut, cut / 2, UNPACKED), STUB_INTERNAL);
    assert_int_equal(unpack_code(bytes, size + 1, size, UNPACKED), STUB_INTERNAL);
    assert_int_equal(unpack_code(bytes, size + 1, 5, UNPACKED), STUB_INTERNAL);
    bytes[size - 5] ^= 1; /* its checksum */
    assert_int_equal(unpack_code(bytes, size, 5, UNPACKED), STUB_INTERNAL);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    uint8_t bytes[512];
    size_t size = write_gzip(bytes, sizeof bytes);
    bool is_reached = true;
    for (uint64_t n = 1; is_reached; n++) {
        memory_fail_after(n);
        enum stub_code code = unpack_code(bytes, size, size / 2, UNPACKED);
        is_reached = memory_count() >= n;
        memory_fail_after(0);
        assert_int_equal(code, is_reached ? STUB_RESOURCE_EXHAUSTED : STUB_OK);
    }
}

static int library_open(void **state) {
    (void)state;
    grpc_init();
    return 0;
}

static int library_close(void **state) {
    (void)state;
    grpc_shutdown();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
        TEST(nothing_is_compressed_unasked),
        TEST(a_call_compresses_what_it_sends),
        TEST(a_channel_compresses_for_calls_that_do_not_refuse),
        TEST(a_retry_compresses_again),
        TEST(a_stream_compresses_each_message),
        TEST(compressed_answers_are_read_within_the_bound),
        TEST(a_compression_that_there_is_not_is_refused),
        cmocka_unit_test(a_message_in_any_pieces_decompresses_to_the_byte),
        cmocka_unit_test(what_is_no_whole_stream_is_internal),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, library_open, library_close);
}
