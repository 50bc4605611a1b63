#include "base/limits.h"
#include "base/sha256.h"
#include "service/core/checksum.h"
#include "tests/service/core/test_arena.h"

static struct checksum element_of(enum data_type type, const char *id, const char *json) {
    struct record_key key = {type, slice_text(id)};
    struct checksum element;
    struct buffer scratch;
    buffer_init(&scratch, 1 << 20);
    assert_int_equal(checksum_element(&key, doc(json), &scratch, &element), SYNC_OK);
    buffer_done(&scratch);
    return element;
}

static void the_element_is_what_the_protocol_says(void **state) {
    (void)state;
    /* Worked by hand: SHA-256 over the type byte, the id, NUL and SHA-256 of the JSON text. */
    uint8_t input[1 + 2 + 1 + SHA256_SIZE] = {4, 'b', '1', 0}, digest[SHA256_SIZE];
    sha256_of(SLICE("{\"a\":1,\"b\":\"x\"}"), input + 4);
    sha256_of(slice_of(input, sizeof input), digest);
    uint8_t got[CHECKSUM_SIZE];
    checksum_write(element_of(DATA_TYPE_BOOKING, "b1", "{\"b\":\"x\",\"a\":1.0}"), got);
    assert_memory_equal(got, digest, CHECKSUM_SIZE);
}

static void the_worked_example_holds(void **state) {
    (void)state;
    char text[2 * CHECKSUM_SIZE + 1];
    struct checksum sum = checksum_add(element_of(DATA_TYPE_TRIP, "t1", "{\"name\":\"Rome\"}"),
                                       element_of(DATA_TYPE_BOOKING, "b1", "{\"seat\":\"3C\"}"));
    checksum_format(sum, text);
    assert_string_equal(text, "e8d91eafa5d2917b1e92c3767155a51c");
}

static void what_differs_has_another_element(void **state) {
    (void)state;
    struct checksum a = element_of(DATA_TYPE_TRIP, "1", "{}");
    struct checksum others[] = {element_of(DATA_TYPE_BOOKING, "1", "{}"),
                                element_of(DATA_TYPE_TRIP, "2", "{}"),
                                element_of(DATA_TYPE_TRIP, "1", "{\"a\":null}")};
    for (size_t i = 0; i < 3; i++)
        assert_true(a.high != others[i].high || a.low != others[i].low);
}

static void sums_carry_and_wrap(void **state) {
    (void)state;
    struct checksum most = {UINT64_MAX, UINT64_MAX}, one = {0, 1}, low = {0, UINT64_MAX};
    struct checksum zero = checksum_add(most, one);
    assert_true(zero.high == 0 && zero.low == 0);
    struct checksum back = checksum_subtract(zero, one);
    assert_true(back.high == UINT64_MAX && back.low == UINT64_MAX);
    struct checksum carried = checksum_add(low, one);
    assert_true(carried.high == 1 && carried.low == 0);
    struct checksum lent = checksum_subtract(carried, one);
    assert_true(lent.high == 0 && lent.low == UINT64_MAX);
}

static void bytes_and_text_are_big_endian(void **state) {
    (void)state;
    struct checksum sum = {0x0102030405060708, 0x090a0b0c0d0e0f10};
    uint8_t bytes[CHECKSUM_SIZE];
    char text[2 * CHECKSUM_SIZE + 1];
    checksum_write(sum, bytes);
    for (int i = 0; i < CHECKSUM_SIZE; i++)
        assert_int_equal(bytes[i], i + 1);
    struct checksum read = checksum_read(bytes);
    assert_true(read.high == sum.high && read.low == sum.low);
    checksum_format(sum, text);
    assert_string_equal(text, "0102030405060708090a0b0c0d0e0f10");
}

static void a_scratch_buffer_that_cannot_grow_is_told(void **state) {
    (void)state;
    struct record_key key = {DATA_TYPE_TRIP, SLICE("t")};
    struct checksum element = {7, 7};
    struct buffer scratch;
    buffer_init(&scratch, 4);
    assert_int_equal(checksum_element(&key, doc("{\"a\":1}"), &scratch, &element),
                     SYNC_ERR_TOO_LARGE);
    assert_int_equal(element.high, 7);
    buffer_done(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(the_element_is_what_the_protocol_says),
        ARENA_TEST(the_worked_example_holds),
        ARENA_TEST(what_differs_has_another_element),
        ARENA_TEST(sums_carry_and_wrap),
        ARENA_TEST(bytes_and_text_are_big_endian),
        ARENA_TEST(a_scratch_buffer_that_cannot_grow_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
