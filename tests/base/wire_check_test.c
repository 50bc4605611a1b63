#include "base/wire.h"

#include <protobuf-c/protobuf-c.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* message Node {
 *   string text = 1; repeated Node nodes = 2; repeated int32 numbers = 3; fixed64 wide = 4;
 *   bytes raw = 5; repeated float floats = 6; Node node = 7; repeated string texts = 8; } */
static const ProtobufCMessageDescriptor NODE;

static const ProtobufCFieldDescriptor FIELDS[] = {
    {.name = "text", .id = 1, .label = PROTOBUF_C_LABEL_NONE, .type = PROTOBUF_C_TYPE_STRING},
    {.name = "nodes",
     .id = 2,
     .label = PROTOBUF_C_LABEL_REPEATED,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .descriptor = &NODE},
    {.name = "numbers", .id = 3, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_INT32},
    {.name = "wide", .id = 4, .label = PROTOBUF_C_LABEL_NONE, .type = PROTOBUF_C_TYPE_FIXED64},
    {.name = "raw", .id = 5, .label = PROTOBUF_C_LABEL_NONE, .type = PROTOBUF_C_TYPE_BYTES},
    {.name = "floats", .id = 6, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_FLOAT},
    {.name = "node",
     .id = 7,
     .label = PROTOBUF_C_LABEL_NONE,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .descriptor = &NODE},
    {.name = "more_texts",
     .id = 8,
     .label = PROTOBUF_C_LABEL_REPEATED,
     .type = PROTOBUF_C_TYPE_STRING},
};

static const ProtobufCIntRange RANGES[] = {{1, 0}, {0, 8}};

static const ProtobufCMessageDescriptor NODE = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Node",
    .n_fields = 8,
    .fields = FIELDS,
    .n_field_ranges = 1,
    .field_ranges = RANGES,
};

static void well_formed_messages_pass(void **state) {
    (void)state;
    static const struct slice CASES[] = {
        SLICE_EMPTY,
        SLICE("\x0a\x03"
              "abc"),
        SLICE("\x12\x00\x12\x02\x0a\x00"),
        SLICE("\x18\x05\x1a\x03\x01\x80\x01"), /* single, then packed */
        SLICE("\x1a\x00\x32\x00"),             /* packed nothing */
        SLICE("\x21"
              "12345678"),
        SLICE("\x2a\x02\x00\xff"), /* bytes hold anything */
        SLICE("\x35"
              "1234\x32\x08"
              "12345678"),
        SLICE("\x50\x01\x5a\x01\xff"), /* unknown fields */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct sync_error error;
        if (wire_check(CASES[i], &NODE, 2, &error) != SYNC_OK)
            fail_msg("case %zu: %s: %s", i, error.field, error.message);
    }
}

static void faults_are_named_with_their_path(void **state) {
    (void)state;
    static const struct {
        struct slice message;
        const char *reason, *field;
    } CASES[] = {
        {SLICE("\x0a\x05"
               "abc"),
         "MALFORMED_MESSAGE", ""},
        {SLICE("\x0c"), "MALFORMED_MESSAGE", ""},
        {SLICE("\x0b\x0c"), "GROUP_UNSUPPORTED", ""},
        {SLICE("\x0a\x01\xff"), "INVALID_UTF8", "text"},
        {SLICE("\x0a\x03"
               "a\0b"),
         "NUL_IN_TEXT", "text"},
        {SLICE("\x08\x01"), "WRONG_WIRE_TYPE", "text"},
        {SLICE("\x38\x01"), "WRONG_WIRE_TYPE", "node"},
        {SLICE("\x22\x00"), "WRONG_WIRE_TYPE", "wide"},
        {SLICE("\x20\x00"), "WRONG_WIRE_TYPE", "wide"},
        {SLICE("\x18\x01\x1d"
               "1234"),
         "WRONG_WIRE_TYPE", "numbers[1]"},
        {SLICE("\x1a\x01\x80"), "MALFORMED_MESSAGE", "numbers[0]"},
        {SLICE("\x32\x03"
               "123"),
         "MALFORMED_MESSAGE", "floats[0]"},
        {SLICE("\x42\x01"
               "a\x0a\x00\x42\x01"
               "b\x42\x01\xff"),
         "INVALID_UTF8", "moreTexts[2]"},
        {SLICE("\x12\x00\x12\x03\x0a\x01\xff"), "INVALID_UTF8", "nodes[1].text"},
        {SLICE("\x3a\x05\x12\x03\x0a\x01\xff"), "INVALID_UTF8", "node.nodes[0].text"},
        {SLICE("\x12\x00\x12\x00\x12\x01\x0a"), "MALFORMED_MESSAGE", "nodes[2]"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct sync_error error = {.status = SYNC_OK};
        assert_int_equal(wire_check(CASES[i].message, &NODE, 10, &error), SYNC_ERR_INVALID);
        assert_int_equal(error.status, SYNC_ERR_INVALID);
        assert_string_equal(error.reason, CASES[i].reason);
        assert_string_equal(error.field, CASES[i].field);
        assert_int_equal(wire_check(CASES[i].message, &NODE, 10, NULL), SYNC_ERR_INVALID);
    }
}

static void depth_is_bounded_where_messages_nest(void **state) {
    (void)state;
    struct buffer out;
    size_t begins[50];
    buffer_init(&out, 10000);
    for (size_t i = 0; i < 50; i++)
        begins[i] = wire_begin(&out, 7);
    for (size_t i = 50; i-- > 0;)
        wire_end(&out, begins[i]);
    struct sync_error error;
    assert_int_equal(wire_check(buffer_slice(&out), &NODE, 51, &error), SYNC_OK);
    assert_int_equal(wire_check(buffer_slice(&out), &NODE, 50, &error), SYNC_ERR_TOO_LARGE);
    assert_string_equal(error.reason, "MESSAGE_TOO_DEEP");
    assert_memory_equal(error.field, "node.node.", 10);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_messages_pass),
        cmocka_unit_test(faults_are_named_with_their_path),
        cmocka_unit_test(depth_is_bounded_where_messages_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
