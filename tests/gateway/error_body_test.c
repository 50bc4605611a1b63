#include "gateway/error_body.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/wire.h"
#include "gateway/grpc_status.h"
#include "sync_descriptor.h"

static struct schema *schema;

static int open_schema(void **state) {
    (void)state;
    struct sync_error error;
    return schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema);
}

static int close_schema(void **state) {
    (void)state;
    schema = schema_close(schema);
    return 0;
}

/* Appends an Any of a type as a detail of a google.rpc.Status. */
static void append_detail(struct buffer *status, const char *type_url, struct slice value) {
    size_t any = wire_begin(status, 3);
    wire_write_bytes(status, 1, slice_text(type_url));
    wire_write_bytes(status, 2, value);
    wire_end(status, any);
}

static void expect_body(struct slice message, struct slice details, struct error_hints *hints,
                        const char *expected) {
    struct buffer out;
    buffer_init(&out, 1 << 20);
    error_body_write(&out, schema, NULL, 400, grpc_code_name(GRPC_INVALID_ARGUMENT), message,
                     details, hints);
    buffer_append_byte(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    buffer_done(&out);
}

static void an_error_has_code_status_and_message(void **state) {
    (void)state;
    struct error_hints hints;
    expect_body(SLICE("a \"b\"\n"), SLICE_EMPTY, &hints,
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":"
                "\"a \\\"b\\\"\\n\",\"details\":[]}}");
    assert_int_equal(hints.retry_after_s, 0);
}

static void a_message_cut_in_a_character_loses_only_that(void **state) {
    (void)state;
    struct error_hints hints;
    expect_body(SLICE("ab\xe2\x82"), SLICE_EMPTY, &hints,
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":\"ab\","
                "\"details\":[]}}");
}

static void details_are_shown_by_the_schema_and_others_dropped(void **state) {
    (void)state;
    struct buffer status;
    struct error_hints hints;
    buffer_init(&status, 4096);
    append_detail(&status, "type.googleapis.com/no.such.Type", SLICE("\x0a\x01x"));
    append_detail(&status, "type.googleapis.com/google.rpc.ErrorInfo", SLICE("\x0a\x01R"));
    append_detail(&status, "type.googleapis.com/google.rpc.ErrorInfo", SLICE("\x0a\x7fR"));
    append_detail(&status, "type.googleapis.com/google.rpc.BadRequest", SLICE_EMPTY);
    expect_body(SLICE("m"), buffer_slice(&status), &hints,
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":\"m\","
                "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                "\"reason\":\"R\"},{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\"}]}}");
    buffer_done(&status);
}

static void a_retry_delay_is_rounded_up(void **state) {
    (void)state;
    static const struct {
        struct slice info;
        int seconds;
    } cases[] = {
        {{(const uint8_t *)"\x0a\x02\x08\x02", 4}, 2},
        {{(const uint8_t *)"\x0a\x04\x08\x02\x10\x01", 6}, 3},
        {{(const uint8_t *)"\x0a\x02\x10\x01", 4}, 1},
        {{(const uint8_t *)"\x0a\x00", 2}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer status, out;
        struct error_hints hints;
        buffer_init(&status, 4096);
        buffer_init(&out, 4096);
        append_detail(&status, "type.googleapis.com/google.rpc.RetryInfo", cases[i].info);
        error_body_write(&out, schema, NULL, 429, SLICE("RESOURCE_EXHAUSTED"), SLICE("m"),
                         buffer_slice(&status), &hints);
        assert_int_equal(hints.retry_after_s, cases[i].seconds);
        buffer_done(&status);
        buffer_done(&out);
    }
}

static void append_header(struct buffer *head, struct slice name, struct slice value) {
    size_t header = wire_begin(head, 2);
    wire_write_bytes(head, 1, name);
    wire_write_bytes(head, 2, value);
    wire_end(head, header);
}

static void a_response_head_is_no_detail_but_headers(void **state) {
    (void)state;
    struct buffer status, head;
    struct error_hints hints;
    buffer_init(&status, 4096);
    buffer_init(&head, 4096);
    append_header(&head, SLICE("ratelimit"), SLICE("limit=10"));
    append_header(&head, SLICE("connection"), SLICE("close"));
    append_header(&head, SLICE("x-split"), SLICE("a\r\nb: c"));
    append_header(&head, SLICE("X-Upper"), SLICE("v"));
    wire_write_uint(&head, 1, 416);
    append_detail(&status, "type.googleapis.com/travelsense.http.v1.ResponseHead",
                  buffer_slice(&head));
    expect_body(SLICE("m"), buffer_slice(&status), &hints,
                "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":\"m\","
                "\"details\":[]}}");
    assert_int_equal(hints.head.status, 416);
    assert_int_equal(hints.head.header_count, 1);
    assert_true(slice_equal(hints.head.headers[0].name, SLICE("ratelimit")));
    assert_true(slice_equal(hints.head.headers[0].value, SLICE("limit=10")));
    buffer_done(&status);
    buffer_done(&head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_code_status_and_message),
        cmocka_unit_test(a_message_cut_in_a_character_loses_only_that),
        cmocka_unit_test(details_are_shown_by_the_schema_and_others_dropped),
        cmocka_unit_test(a_retry_delay_is_rounded_up),
        cmocka_unit_test(a_response_head_is_no_detail_but_headers),
    };
    return cmocka_run_group_tests(tests, open_schema, close_schema);
}
