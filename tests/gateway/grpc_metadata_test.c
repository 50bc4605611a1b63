/* What of a request's headers is handed on to the service. */
#include "gateway/grpc_metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json_text.h"

static struct grpc_metadata metadata;

static enum grpc_metadata_fault gather(const char *name, const char *value) {
    const struct transcode_header header = {slice_text(name), slice_text(value)};
    struct slice at_fault = SLICE_EMPTY;
    metadata.count = metadata.bytes = 0;
    enum grpc_metadata_fault fault = grpc_metadata_gather(&metadata, &header, 1, &at_fault);
    assert_int_equal(at_fault.size > 0 || *name == '\0', fault != GRPC_METADATA_OK || !*name);
    return fault;
}

static void assert_handed_on(const char *name, const char *value) {
    assert_int_equal(gather(name, value), GRPC_METADATA_OK);
    assert_int_equal(metadata.count, 1);
    assert_true(slice_equal(metadata.list[0].name, slice_text(name)));
    assert_true(slice_equal(metadata.list[0].value, slice_text(value)));
    assert_int_equal(metadata.bytes, strlen(name) + strlen(value) + METADATA_ENTRY_BYTES);
}

static void headers_are_handed_on_as_they_are(void **state) {
    (void)state;
    assert_handed_on("authorization", "Bearer x");
    assert_handed_on("x_key.1-a", "");
    assert_handed_on("grpc-encoding", "gzip");
    assert_handed_on("grpc-accept-encoding", "identity,deflate,gzip");
    assert_handed_on("user-agent", "grpc-go/1.60.0");
    assert_handed_on("x-trace-bin", "AAEC");
    assert_handed_on("accept-status-details", "message");
}

static void what_is_not_metadata_is_left_out(void **state) {
    (void)state;
    static const char *const NAMES[] = {"te",
                                        "host",
                                        "connection",
                                        "transfer-encoding",
                                        "content-type",
                                        "grpc-timeout",
                                        "content-length",
                                        "x-forwarded-client-cert",
                                        "forwarded",
                                        "x-real-ip",
                                        "x-grpc-web",
                                        "origin",
                                        "sec-fetch-mode",
                                        "upgrade",
                                        "keep-alive",
                                        "proxy-connection",
                                        "accept-encoding"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        assert_int_equal(gather(NAMES[i], "\xff"), GRPC_METADATA_OK);
        assert_int_equal(metadata.count, 0);
        assert_int_equal(metadata.bytes, 0);
    }
}

static void what_the_service_would_choke_on_is_refused(void **state) {
    (void)state;
    assert_int_equal(gather("x!", "v"), GRPC_METADATA_BAD_NAME);
    assert_int_equal(gather("X", "v"), GRPC_METADATA_BAD_NAME);
    assert_int_equal(gather("x", "\x7f"), GRPC_METADATA_BAD_VALUE);
    assert_int_equal(gather("x", "a\tb"), GRPC_METADATA_BAD_VALUE);
    assert_int_equal(gather("x", "\xc3\xa9"), GRPC_METADATA_BAD_VALUE);
    assert_int_equal(gather("x-bin", "A"), GRPC_METADATA_BAD_ENCODING);
    assert_int_equal(gather("x-bin", "AAA*"), GRPC_METADATA_BAD_ENCODING);
    assert_int_equal(gather("-bin", "AAA*"), GRPC_METADATA_BAD_ENCODING);
    assert_int_equal(gather("x-bin", "AA==,A"), GRPC_METADATA_BAD_ENCODING);
}

static void joined_binary_values_are_told_apart(void **state) {
    (void)state;
    assert_int_equal(gather("x-bin", "AAEC, AQ== ,,Ag"), GRPC_METADATA_OK);
    static const char *const VALUES[] = {"AAEC", "AQ==", "", "Ag"};
    assert_int_equal(metadata.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(slice_equal(metadata.list[i].value, slice_text(VALUES[i])));
}

static void metadata_is_bounded_in_all(void **state) {
    (void)state;
    static char value[GRPC_METADATA_MAX];
    memset(value, 'v', sizeof value);
    size_t room = GRPC_METADATA_MAX - METADATA_ENTRY_BYTES - 1;
    metadata.count = metadata.bytes = 0;
    assert_int_equal(grpc_metadata_add(&metadata, SLICE("x"), slice_of(value, room)),
                     GRPC_METADATA_OK);
    metadata.count = metadata.bytes = 0;
    assert_int_equal(grpc_metadata_add(&metadata, SLICE("x"), slice_of(value, room + 1)),
                     GRPC_METADATA_TOO_LARGE);
    metadata.count = metadata.bytes = 0;
    for (size_t i = 0; i < METADATA_COUNT_MAX; i++)
        assert_int_equal(grpc_metadata_add(&metadata, SLICE("x"), SLICE("v")), GRPC_METADATA_OK);
    assert_int_equal(grpc_metadata_add(&metadata, SLICE("x"), SLICE("v")), GRPC_METADATA_TOO_LARGE);
}

static void base64_is_judged_as_the_decoder_does(void **state) {
    (void)state;
    static const char ALPHABET[] = "AQgwZz09+/=-_* ";
    struct buffer plain;
    char text[5];
    buffer_init(&plain, 64);
    for (unsigned n = 0; n < 15 * 15 * 15 * 15; n++) {
        unsigned rest = n;
        size_t size = 0;
        bool url = false;
        for (; size < 4; rest /= 15) {
            text[size++] = ALPHABET[rest % 15];
            url |= text[size - 1] == '-' || text[size - 1] == '_';
        }
        for (size_t cut = 0; cut <= 4 && !url; cut++) {
            struct slice part = slice_of(text, cut);
            buffer_clear(&plain);
            assert_int_equal(grpc_metadata_is_base64(part), base64_decode(part, &plain));
        }
    }
    buffer_done(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_handed_on_as_they_are),
        cmocka_unit_test(what_is_not_metadata_is_left_out),
        cmocka_unit_test(what_the_service_would_choke_on_is_refused),
        cmocka_unit_test(joined_binary_values_are_told_apart),
        cmocka_unit_test(metadata_is_bounded_in_all),
        cmocka_unit_test(base64_is_judged_as_the_decoder_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
