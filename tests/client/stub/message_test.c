#include "client/stub/message.h"

#include <grpc/grpc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"
#include "client/stub/call.h"
#include "google/protobuf/struct.pb-c.h"

#define LIST &google__protobuf__list_value__descriptor
#define VALUE &google__protobuf__value__descriptor

/* The bytes as a received message of pieces of at most `piece` bytes. */
static grpc_byte_buffer *receive(struct slice bytes, size_t piece) {
    grpc_slice pieces[64];
    size_t count = 0;
    for (size_t at = 0; at < bytes.size; at += piece) {
        size_t size = bytes.size - at < piece ? bytes.size - at : piece;
        assert_true(count < 64);
        pieces[count++] = grpc_slice_from_copied_buffer((const char *)bytes.data + at, size);
    }
    grpc_byte_buffer *received = grpc_raw_byte_buffer_create(pieces, count);
    while (count > 0)
        grpc_slice_unref(pieces[--count]);
    return received;
}

/* Unpacks and frees; the code. */
static enum stub_code unpack_code(struct slice bytes, const ProtobufCMessageDescriptor *descriptor,
                                  size_t bytes_max) {
    struct sync_error error = {.message = ""};
    ProtobufCMessage *message = NULL;
    grpc_byte_buffer *received = receive(bytes, SIZE_MAX / 2);
    enum stub_code code = message_unpack(received, descriptor, bytes_max, &error, &message);
    assert_true((code == STUB_OK) == (message != NULL));
    assert_true((code == STUB_OK) == (error.message[0] == '\0'));
    grpc_byte_buffer_destroy(received);
    stub_message_free(message);
    return code;
}

/* A list of so many numbers. */
static void write_list(struct buffer *list, int count) {
    buffer_init(list, SIZE_MAX);
    for (int i = 0; i < count; i++) {
        size_t value = wire_begin(list, 1);
        wire_write_i64(list, 2, (uint64_t)i);
        wire_end(list, value);
    }
}

static void what_is_packed_unpacks_the_same_from_any_pieces(void **state) {
    (void)state;
    struct buffer list;
    write_list(&list, 5);
    for (size_t piece = 1; piece <= list.size; piece++) {
        struct sync_error error;
        ProtobufCMessage *message = NULL;
        grpc_byte_buffer *received = receive(buffer_slice(&list), piece);
        assert_int_equal(message_unpack(received, LIST, 1000, &error, &message), STUB_OK);
        grpc_byte_buffer_destroy(received);
        grpc_slice packed;
        assert_true(message_pack(message, &packed));
        assert_int_equal(GRPC_SLICE_LENGTH(packed), list.size);
        assert_memory_equal(GRPC_SLICE_START_PTR(packed), list.data, list.size);
        grpc_slice_unref(packed);
        stub_message_free(message);
    }
    buffer_done(&list);
}

static void a_message_of_many_blocks_is_freed_whole(void **state) {
    (void)state;
    struct buffer list;
    write_list(&list, 50000); /* the leak checker counts */
    assert_int_equal(unpack_code(buffer_slice(&list), LIST, 64 << 20), STUB_OK);
    buffer_done(&list);
    stub_message_free(NULL);
}

static void a_message_that_unfolds_too_far_is_refused(void **state) {
    (void)state;
    struct buffer list;
    buffer_init(&list, SIZE_MAX);
    for (int i = 0; i < 500000; i++)
        wire_write_bytes(&list, 1, SLICE_EMPTY); /* two bytes, but a structure in memory */
    assert_int_equal(unpack_code(buffer_slice(&list), LIST, list.size), STUB_RESOURCE_EXHAUSTED);
    assert_int_equal(unpack_code(buffer_slice(&list), LIST, 64 << 20), STUB_OK);
    buffer_done(&list);
}

static void a_message_too_deep_is_refused(void **state) {
    (void)state;
    struct buffer nested[2];
    buffer_init(&nested[0], 1 << 20);
    buffer_init(&nested[1], 1 << 20);
    for (int depth = 1; depth < 300; depth += 2) { /* Value.list_value, ListValue.values, … */
        struct buffer *inner = &nested[depth / 2 % 2], *outer = &nested[!(depth / 2 % 2)];
        assert_int_equal(unpack_code(buffer_slice(inner), VALUE, 1 << 20),
                         depth <= 100 ? STUB_OK : STUB_INTERNAL);
        buffer_clear(outer);
        size_t list = wire_begin(outer, 6);
        wire_write_bytes(outer, 1, buffer_slice(inner));
        wire_end(outer, list);
    }
    buffer_done(&nested[0]);
    buffer_done(&nested[1]);
}

static void malformed_messages_are_refused(void **state) {
    (void)state;
    assert_int_equal(unpack_code(SLICE("\x0a"), LIST, 100), STUB_INTERNAL);
    assert_int_equal(unpack_code(SLICE("\x0a\x05"), LIST, 100), STUB_INTERNAL);
    assert_int_equal(unpack_code(SLICE("\x08\x01"), LIST, 100), STUB_INTERNAL);
    assert_int_equal(unpack_code(SLICE("\x1a\x02\xff\xfe"), VALUE, 100), STUB_INTERNAL);
    assert_int_equal(unpack_code(SLICE("\x1a\x03"
                                       "a\0b"),
                                 VALUE, 100),
                     STUB_INTERNAL);
    assert_int_equal(unpack_code(SLICE("\x1a\x01"
                                       "a"),
                                 VALUE, 3),
                     STUB_OK);
    assert_int_equal(unpack_code(SLICE("\x1a\x01"
                                       "a"),
                                 VALUE, 2),
                     STUB_RESOURCE_EXHAUSTED);
    assert_int_equal(unpack_code(SLICE_EMPTY, VALUE, 1), STUB_OK);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct buffer list;
    write_list(&list, 20000);
    bool is_reached = true;
    for (uint64_t n = 1; is_reached; n++) {
        struct sync_error error;
        ProtobufCMessage *message = NULL;
        grpc_byte_buffer *received = receive(buffer_slice(&list), list.size / 2);
        memory_fail_after(n);
        enum stub_code code = message_unpack(received, LIST, 64 << 20, &error, &message);
        is_reached = memory_count() >= n;
        memory_fail_after(0);
        assert_int_equal(code, is_reached ? STUB_RESOURCE_EXHAUSTED : STUB_OK);
        grpc_byte_buffer_destroy(received);
        stub_message_free(message);
    }
    buffer_done(&list);
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
        cmocka_unit_test(what_is_packed_unpacks_the_same_from_any_pieces),
        cmocka_unit_test(a_message_of_many_blocks_is_freed_whole),
        cmocka_unit_test(a_message_that_unfolds_too_far_is_refused),
        cmocka_unit_test(a_message_too_deep_is_refused),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, library_open, library_close);
}
