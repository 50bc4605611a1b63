#include "base/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"

static const uint64_t VALUES[] = {
    0,       1,          127,        128,        300,        16383,      16384,      2097151,
    2097152, UINT32_MAX, 1ull << 35, 1ull << 42, 1ull << 49, 1ull << 56, 1ull << 63, UINT64_MAX};

static void varints_read_back_and_have_their_size(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        uint8_t bytes[WIRE_VARINT_MAX];
        size_t size = wire_put_varint(bytes, VALUES[i]);
        assert_int_equal(size, wire_varint_size(VALUES[i]));
        struct wire_reader reader = wire_reader_of(slice_of(bytes, size));
        uint64_t value = 0;
        assert_true(wire_read_varint(&reader, &value));
        assert_true(value == VALUES[i]);
        assert_true(wire_at_end(&reader));
        for (size_t cut = 0; cut < size; cut++) {
            reader = wire_reader_of(slice_of(bytes, cut));
            assert_false(wire_read_varint(&reader, &value));
            assert_ptr_equal(reader.next, bytes);
        }
    }
}

static void zigzag_goes_there_and_back(void **state) {
    (void)state;
    assert_true(wire_zigzag(0) == 0 && wire_zigzag(-1) == 1 && wire_zigzag(1) == 2);
    static const int64_t NUMBERS[] = {0, 1, -1, 2, -2, INT64_MAX, INT64_MIN, INT32_MIN};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++)
        assert_true(wire_unzigzag(wire_zigzag(NUMBERS[i])) == NUMBERS[i]);
    assert_true(wire_zigzag(INT64_MIN) == UINT64_MAX);
}

static void fields_of_every_type_read_back(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    wire_write_uint(&out, 1, 300);
    wire_write_i64(&out, 2, 0x0123456789abcdef);
    wire_write_i32(&out, 3, 0x89abcdef);
    wire_write_bytes(&out, 536870911, SLICE("text"));
    wire_write_bytes(&out, 5, SLICE_EMPTY);
    struct wire_reader reader = wire_reader_of(buffer_slice(&out));
    struct wire_field field;
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 1 && field.type == WIRE_VARINT && field.bits == 300);
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 2 && field.type == WIRE_I64 && field.bits == 0x0123456789abcdef);
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 3 && field.type == WIRE_I32 && field.bits == 0x89abcdef);
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 536870911 && field.type == WIRE_LEN);
    assert_true(slice_equal(field.bytes, SLICE("text")));
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 5 && field.bytes.size == 0);
    assert_true(wire_at_end(&reader));
    buffer_done(&out);
}

static void written_bytes_are_those_of_the_encoding_guide(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 100);
    wire_write_uint(&out, 1, 150);
    wire_write_bytes(&out, 2, SLICE("testing"));
    wire_write_i32(&out, 3, 1);
    wire_write_i64(&out, 4, 2);
    assert_true(
        slice_equal(buffer_slice(&out),
                    SLICE("\x08\x96\x01\x12\x07testing\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0")));
    buffer_done(&out);
}

static void malformed_fields_are_refused_and_the_reader_stays(void **state) {
    (void)state;
    static const struct slice CASES[] = {
        SLICE("\x80"),                                             /* cut tag */
        SLICE("\x08"),                                             /* cut varint */
        SLICE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* 11 bytes */
        SLICE("\x09"
              "1234567"), /* cut I64 */
        SLICE("\x0d"
              "123"),  /* cut I32 */
        SLICE("\x0a"), /* no length */
        SLICE("\x0a\x05"
              "1234"),                                         /* cut content */
        SLICE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* length 2^64-1 */
        SLICE("\x0a\x80\x80\x80\x80\x80\x00"),                 /* a length of 6 bytes */
        SLICE("\x02\x00"),                                     /* number 0 */
        SLICE("\x80\x80\x80\x80\x10\x00"),                     /* number 2^29 */
        SLICE("\x88\x80\x80\x80\x80\x00\x01"),                 /* a tag of 6 bytes */
        SLICE("\x0e"),                                         /* type 6 */
        SLICE("\x0f"),                                         /* type 7 */
        SLICE("\x0c"),                                         /* stray end group */
        SLICE("\x0b"),                                         /* open group */
        SLICE("\x0b\x14"),                                     /* another group's end */
        SLICE("\x0b\x10\x01"),                                 /* open group with a field */
        SLICE("\x0b\x10\x0c"),                                 /* the end is a value */
        SLICE("\x0b\x13\x0c\x14"),                             /* crossed groups */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct wire_reader reader = wire_reader_of(CASES[i]);
        struct wire_field field = {.number = 77};
        if (wire_read(&reader, &field))
            fail_msg("case %zu was read", i);
        assert_ptr_equal(reader.next, CASES[i].data);
        assert_int_equal(field.number, 77);
    }
}

static void a_group_is_read_up_to_its_end(void **state) {
    (void)state;
    struct slice message = SLICE("\x0b\x10\x05\x1a\x01\x0c\x23\x24\x0c\x08\x07");
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 1 && field.type == WIRE_SGROUP);
    assert_true(slice_equal(field.bytes, SLICE("\x10\x05\x1a\x01\x0c\x23\x24")));
    assert_true(wire_read(&reader, &field));
    assert_true(field.number == 1 && field.bits == 7);
    assert_true(wire_at_end(&reader));
}

static void groups_nest_to_the_bound(void **state) {
    (void)state;
    for (size_t depth = WIRE_DEPTH_MAX; depth <= WIRE_DEPTH_MAX + 1; depth++) {
        uint8_t message[2 * (WIRE_DEPTH_MAX + 1)];
        memset(message, 0x0b, depth);
        memset(message + depth, 0x0c, depth);
        struct wire_reader reader = wire_reader_of(slice_of(message, 2 * depth));
        struct wire_field field;
        assert_int_equal(wire_read(&reader, &field), depth <= WIRE_DEPTH_MAX);
    }
}

/* Nests `depth` fields around `size` bytes and reads them back. */
static void assert_nesting(size_t depth, size_t size) {
    struct buffer out;
    size_t begins[8];
    buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < depth; i++) {
        begins[i] = wire_begin(&out, (uint32_t)(i + 1));
        wire_write_uint(&out, 100, i);
    }
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&out, (uint8_t)(i * 7));
    for (size_t i = depth; i-- > 0;) {
        wire_end(&out, begins[i]);
        wire_write_uint(&out, 101, i);
    }
    assert_int_equal(buffer_status(&out), SYNC_OK);
    struct slice message = buffer_slice(&out);
    for (size_t i = 0; i < depth; i++) {
        struct wire_reader reader = wire_reader_of(message);
        struct wire_field field, after;
        assert_true(wire_read(&reader, &field));
        assert_true(field.number == i + 1 && field.type == WIRE_LEN);
        assert_true(wire_read(&reader, &after));
        assert_true(after.number == 101 && after.bits == i);
        assert_true(wire_at_end(&reader));
        reader = wire_reader_of(field.bytes);
        assert_true(wire_read(&reader, &after));
        assert_true(after.number == 100 && after.bits == i);
        message = slice_of(reader.next, (size_t)(reader.end - reader.next));
    }
    assert_int_equal(message.size, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(message.data[i], (uint8_t)(i * 7));
    buffer_done(&out);
}

static void begun_fields_nest_whatever_their_length_takes(void **state) {
    (void)state;
    static const size_t SIZES[] = {1,   100, 120, 121, 122,   123,   124,   125,
                                   126, 127, 128, 129, 16370, 16380, 16384, 70000};
    for (size_t depth = 1; depth <= 8; depth++)
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++)
            assert_nesting(depth, SIZES[i]);
}

static void an_empty_begun_field_has_length_zero(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 100);
    wire_end(&out, wire_begin(&out, 1));
    assert_true(slice_equal(buffer_slice(&out), SLICE("\x0a\x00")));
    buffer_done(&out);
}

static void a_failed_buffer_stays_failed_through_the_end(void **state) {
    (void)state;
    for (size_t size_max = 0; size_max < 203; size_max++) {
        struct buffer out;
        buffer_init(&out, size_max);
        size_t begin = wire_begin(&out, 1);
        for (int i = 0; i < 200; i++)
            buffer_append_byte(&out, 'x');
        wire_end(&out, begin);
        assert_int_equal(buffer_status(&out), SYNC_ERR_TOO_LARGE); /* 203 bytes are needed */
        buffer_done(&out);
    }
    struct buffer out;
    buffer_init(&out, 1000);
    memory_fail_after(1);
    wire_end(&out, wire_begin(&out, 1));
    memory_fail_after(0);
    assert_int_equal(buffer_status(&out), SYNC_ERR_NO_MEMORY);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_read_back_and_have_their_size),
        cmocka_unit_test(zigzag_goes_there_and_back),
        cmocka_unit_test(fields_of_every_type_read_back),
        cmocka_unit_test(written_bytes_are_those_of_the_encoding_guide),
        cmocka_unit_test(malformed_fields_are_refused_and_the_reader_stays),
        cmocka_unit_test(a_group_is_read_up_to_its_end),
        cmocka_unit_test(groups_nest_to_the_bound),
        cmocka_unit_test(begun_fields_nest_whatever_their_length_takes),
        cmocka_unit_test(an_empty_begun_field_has_length_zero),
        cmocka_unit_test(a_failed_buffer_stays_failed_through_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
