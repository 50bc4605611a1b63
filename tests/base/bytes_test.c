#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

static void slices_order_by_bytes_and_the_prefix_comes_first(void **state) {
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("b"), SLICE("abc")) > 0);
    assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
    assert_true(slice_compare(SLICE("abc"), SLICE("ab")) > 0);
    assert_true(slice_compare(SLICE("\xff"), SLICE("\x01")) > 0);
    assert_int_equal(slice_compare(SLICE("same"), SLICE("same")), 0);
    assert_int_equal(slice_compare(SLICE_EMPTY, SLICE("")), 0);
    assert_true(slice_compare(SLICE_EMPTY, SLICE("a")) < 0);
}

static void empty_slices_are_equal_whatever_they_point_to(void **state) {
    (void)state;
    assert_true(slice_equal(SLICE_EMPTY, SLICE("")));
    assert_true(slice_starts_with(SLICE("abc"), SLICE_EMPTY));
    assert_false(slice_starts_with(SLICE("ab"), SLICE("abc")));
    assert_int_equal(slice_text(NULL).size, 0);
}

static void hash_is_the_same_for_the_same_bytes_and_differs_otherwise(void **state) {
    (void)state;
    uint8_t bytes[80] = {0};
    uint64_t seen[81];
    for (size_t size = 0; size <= sizeof bytes; size++) {
        seen[size] = slice_hash(slice_of(bytes, size), 7);
        assert_true(seen[size] == slice_hash(slice_of(bytes, size), 7));
        assert_true(seen[size] != slice_hash(slice_of(bytes, size), 8));
        for (size_t shorter = 0; shorter < size; shorter++)
            assert_true(seen[shorter] != seen[size]);
    }
}

static void hash_depends_on_every_byte(void **state) {
    (void)state;
    for (size_t size = 1; size <= 70; size++) {
        uint8_t bytes[70] = {0};
        uint64_t before = slice_hash(slice_of(bytes, size), 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = 0x80;
            assert_true(slice_hash(slice_of(bytes, size), 1) != before);
            bytes[i] = 0;
        }
    }
}

static void hash_spreads_counted_keys_over_a_table(void **state) {
    (void)state;
    enum { KEYS = 1 << 14, CHAINS = 1 << 10 };
    static unsigned chains[CHAINS];
    for (uint32_t key = 0; key < KEYS; key++)
        chains[slice_hash(slice_of(&key, sizeof key), 0) % CHAINS]++;
    for (size_t i = 0; i < CHAINS; i++) {
        assert_true(chains[i] > 0); /* 16 on average */
        assert_true(chains[i] < 48);
    }
}

static void utf8_is_told_from_other_bytes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } CASES[] = {
        {"", true},
        {"plain ASCII, longer than eight bytes", true},
        {"caf\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x98\x80", true},
        {"\xed\x9f\xbf", true},      /* U+D7FF, the last before the surrogates */
        {"\xee\x80\x80", true},      /* U+E000, the first after them */
        {"\xf4\x8f\xbf\xbf", true},  /* U+10FFFF */
        {"\xc2\x80", true},          /* the shortest of two bytes */
        {"\xe0\xa0\x80", true},      /* of three */
        {"\xf0\x90\x80\x80", true},  /* of four */
        {"\x80", false},             /* lone continuation */
        {"\xc0\xaf", false},         /* overlong */
        {"\xc1\xbf", false},         /* overlong */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xed\xbf\xbf", false},     /* surrogate */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", false}, /* no such lead */
        {"\xff", false},             /* no such lead */
        {"\xc3", false},             /* cut */
        {"\xe2\x82", false},         /* cut */
        {"\xf0\x9f\x98", false},     /* cut */
        {"\xc3(", false},            /* no continuation */
        {"\xe2\x82(", false},        /* no continuation */
        {"\xf0\x9f\x98(", false},    /* no continuation */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        /* At every place relative to the runs of eight. */
        for (size_t before = 0; before < 17; before++) {
            char text[96];
            snprintf(text, sizeof text, "%.*s%s", (int)before, "aaaaaaaaaaaaaaaaa", CASES[i].text);
            assert_int_equal(slice_is_utf8(slice_text(text)), CASES[i].valid);
            snprintf(text + strlen(text), 16, "zzzzzzzzz");
            assert_int_equal(slice_is_utf8(slice_text(text)), CASES[i].valid);
        }
    }
}

static void a_cut_splits_no_utf8_sequence(void **state) {
    (void)state;
    struct slice text = SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    static const size_t KEPT[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t size_max = 0; size_max < 12; size_max++)
        assert_int_equal(slice_cut_utf8(text, size_max).size, KEPT[size_max]);
    assert_int_equal(slice_cut_utf8(SLICE("\x80\x80\x80\x80\x80\x80"), 5).size, 2);
}

static void bytes_that_are_no_utf8_are_replaced_one_by_one(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_append_utf8(&buffer, SLICE("a\xff\xc3\xa9\xed\xa0z\xe2\x82"));
    assert_true(
        slice_equal(buffer_slice(&buffer), SLICE("a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz"
                                                 "\xef\xbf\xbd\xef\xbf\xbd")));
    buffer_done(&buffer);
}

static void buffer_grows_to_its_bound_and_no_further(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&buffer, (uint8_t)i);
    assert_int_equal(buffer_status(&buffer), SYNC_OK);
    assert_int_equal(buffer.size, 1000);
    assert_true(buffer.capacity <= 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buffer.data[i], (uint8_t)i);
    buffer_append_byte(&buffer, 1);
    assert_int_equal(buffer_status(&buffer), SYNC_ERR_TOO_LARGE);
    assert_int_equal(buffer.size, 1000);
    buffer_done(&buffer);
    assert_int_equal(buffer_status(&buffer), SYNC_OK);
}

static void failure_is_sticky_until_the_buffer_is_cleared(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 4);
    buffer_append(&buffer, SLICE("12345"));
    buffer_append(&buffer, SLICE("1"));
    buffer_append_byte(&buffer, '1');
    buffer_append_format(&buffer, "%d", 1);
    assert_null(buffer_reserve(&buffer, 0));
    assert_int_equal(buffer.size, 0);
    buffer_clear(&buffer);
    buffer_append(&buffer, SLICE("1234"));
    assert_true(slice_equal(buffer_slice(&buffer), SLICE("1234")));
    assert_int_equal(buffer_status(&buffer), SYNC_OK);
    buffer_done(&buffer);
}

static void a_refused_allocation_keeps_the_content(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append(&buffer, SLICE("kept"));
    memory_fail_after(1);
    assert_null(buffer_reserve(&buffer, 500));
    memory_fail_after(0);
    assert_int_equal(buffer_status(&buffer), SYNC_ERR_NO_MEMORY);
    assert_true(slice_equal(buffer_slice(&buffer), SLICE("kept")));
    buffer_done(&buffer);
}

static void nothing_has_a_place_in_an_empty_buffer(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 0);
    assert_non_null(buffer_reserve(&buffer, 0));
    buffer_append(&buffer, SLICE_EMPTY);
    assert_int_equal(buffer_status(&buffer), SYNC_OK);
    buffer_done(&buffer);
    buffer_done(NULL);
}

static void format_fills_the_buffer_to_the_last_byte(void **state) {
    (void)state;
    for (size_t before = 0; before < 10; before++) {
        for (size_t size_max = 0; size_max < 20; size_max++) {
            struct buffer buffer;
            buffer_init(&buffer, size_max);
            for (size_t i = 0; i < before; i++)
                buffer_append_byte(&buffer, 'b');
            buffer_append_format(&buffer, "%s-%d", "text", 42);
            bool fits = before + 7 <= size_max;
            assert_int_equal(buffer_status(&buffer), fits ? SYNC_OK : SYNC_ERR_TOO_LARGE);
            if (fits)
                assert_memory_equal(buffer.data + before, "text-42", 7);
            buffer_done(&buffer);
        }
    }
}

static void format_of_nothing_and_of_much_both_work(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5000);
    buffer_append_format(&buffer, "%s", "");
    assert_int_equal(buffer.size, 0);
    buffer_append_format(&buffer, "%04000d", 7);
    assert_int_equal(buffer.size, 4000);
    assert_int_equal(buffer.data[3999], '7');
    buffer_done(&buffer);
}

static void consume_moves_the_rest_to_the_front(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_consume(&buffer, 0);
    buffer_append(&buffer, SLICE("headtail"));
    buffer_consume(&buffer, 4);
    assert_true(slice_equal(buffer_slice(&buffer), SLICE("tail")));
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.size, 0);
    buffer_done(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_order_by_bytes_and_the_prefix_comes_first),
        cmocka_unit_test(empty_slices_are_equal_whatever_they_point_to),
        cmocka_unit_test(hash_is_the_same_for_the_same_bytes_and_differs_otherwise),
        cmocka_unit_test(hash_depends_on_every_byte),
        cmocka_unit_test(hash_spreads_counted_keys_over_a_table),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(a_cut_splits_no_utf8_sequence),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_one_by_one),
        cmocka_unit_test(buffer_grows_to_its_bound_and_no_further),
        cmocka_unit_test(failure_is_sticky_until_the_buffer_is_cleared),
        cmocka_unit_test(a_refused_allocation_keeps_the_content),
        cmocka_unit_test(nothing_has_a_place_in_an_empty_buffer),
        cmocka_unit_test(format_fills_the_buffer_to_the_last_byte),
        cmocka_unit_test(format_of_nothing_and_of_much_both_work),
        cmocka_unit_test(consume_moves_the_rest_to_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
