#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/limits.h"

static void fill_with_ones(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    memset(bytes, 0xff, size);
}

static void fill_with_zeros(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    memset(bytes, 0, size);
}

static void version_7_holds_time_version_and_variant(void **state) {
    (void)state;
    const struct random_source ones = {fill_with_ones, NULL}, zeros = {fill_with_zeros, NULL};
    char text[UUID_TEXT_SIZE + 1];
    /* The example time of RFC 9562, appendix A.6: 017F22E2-79B0-7... */
    uuid_v7(UINT64_C(1645557742000000), &ones, text);
    assert_string_equal(text, "017f22e2-79b0-7000-bfff-ffffffffffff");
    uuid_v7(UINT64_C(1645557742000500), &zeros, text);
    assert_string_equal(text, "017f22e2-79b0-7800-8000-000000000000");
    uuid_v7(UINT64_C(1645557742000999), &zeros, text);
    assert_string_equal(text, "017f22e2-79b0-7ffb-8000-000000000000");
}

static void later_microseconds_sort_later(void **state) {
    (void)state;
    char before[UUID_TEXT_SIZE + 1] = "", text[UUID_TEXT_SIZE + 1];
    for (uint64_t time_us = 1645557742000000; time_us < 1645557742003000; time_us++) {
        uuid_v7(time_us, random_system(), text);
        assert_true(uuid_is_valid(slice_text(text)));
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof text);
    }
}

static void the_system_gives_different_ids_for_one_time(void **state) {
    (void)state;
    char first[UUID_TEXT_SIZE + 1], second[UUID_TEXT_SIZE + 1];
    uuid_v7(1, random_system(), first);
    uuid_v7(1, random_system(), second);
    assert_string_not_equal(first, second);
    assert_memory_equal(first, second, 18);
}

static void uuids_are_told_from_other_text(void **state) {
    (void)state;
    assert_true(uuid_is_valid(SLICE("017f22e2-79b0-7000-bfff-ffffffffffff")));
    assert_true(uuid_is_valid(SLICE("017F22E2-79B0-4000-BFFF-FFFFFFFFFFFF")));
    static const char *const OTHERS[] = {
        "",
        "017f22e2-79b0-7000-bfff-fffffffffff",
        "017f22e2-79b0-7000-bfff-fffffffffffff",
        "017f22e2079b0-7000-bfff-ffffffffffff",
        "017f22e2-79b0-7000-bfff-fffffffffffg",
        "017f22e2-79b0-7000-bfff_ffffffffffff",
        "-17f22e2-79b0-7000-bfff-ffffffffffff",
        "{17f22e2-79b0-7000-bfff-fffffffffff}",
    };
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        assert_false(uuid_is_valid(slice_text(OTHERS[i])));
}

static void device_ids_take_exactly_their_alphabet(void **state) {
    (void)state;
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text[2] = {'a', (uint8_t)byte};
        bool allowed = byte != 0 && strchr(ALPHABET, byte);
        assert_int_equal(device_id_is_valid(slice_of(text, 2)), allowed);
    }
}

static void ids_have_bounds(void **state) {
    (void)state;
    char text[DATA_ID_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_false(device_id_is_valid(SLICE_EMPTY));
    assert_true(device_id_is_valid(slice_of(text, 1)));
    assert_true(device_id_is_valid(slice_of(text, DEVICE_ID_MAX)));
    assert_false(device_id_is_valid(slice_of(text, DEVICE_ID_MAX + 1)));
    assert_false(data_id_is_valid(SLICE_EMPTY));
    assert_true(data_id_is_valid(slice_of(text, DATA_ID_MAX)));
    assert_false(data_id_is_valid(slice_of(text, DATA_ID_MAX + 1)));
    assert_false(change_id_is_valid(SLICE_EMPTY));
    assert_true(change_id_is_valid(slice_of(text, CHANGE_ID_MAX)));
    assert_false(change_id_is_valid(slice_of(text, CHANGE_ID_MAX + 1)));
}

static void data_ids_are_utf8_without_controls(void **state) {
    (void)state;
    assert_true(data_id_is_valid(SLICE("trip 1/\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80")));
    assert_true(data_id_is_valid(SLICE("\xc2\xa0")));
    static const char *const OTHERS[] = {"a\nb",     "\x1f", "\x7f", "\xc2\x80",
                                         "\xc2\x9f", "\xff", "a\xc3"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        assert_false(data_id_is_valid(slice_text(OTHERS[i])));
        assert_false(change_id_is_valid(slice_text(OTHERS[i])));
    }
    assert_false(data_id_is_valid(SLICE("a\0b")));
}

static void the_time_of_version_7_is_read_back(void **state) {
    (void)state;
    char text[UUID_TEXT_SIZE + 1];
    uuid_v7(UINT64_C(1645557742000999), random_system(), text);
    assert_int_equal(uuid_time_us(slice_of(text, UUID_TEXT_SIZE)), 1645557742000000);
    assert_int_equal(uuid_time_us(SLICE("0192f3c0-")), 0);
    assert_int_equal(uuid_time_us(SLICE("0192f3c0-00z0-7000")), 0);
    assert_int_equal(uuid_time_us(SLICE_EMPTY), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_7_holds_time_version_and_variant),
        cmocka_unit_test(the_time_of_version_7_is_read_back),
        cmocka_unit_test(later_microseconds_sort_later),
        cmocka_unit_test(the_system_gives_different_ids_for_one_time),
        cmocka_unit_test(uuids_are_told_from_other_text),
        cmocka_unit_test(device_ids_take_exactly_their_alphabet),
        cmocka_unit_test(ids_have_bounds),
        cmocka_unit_test(data_ids_are_utf8_without_controls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
