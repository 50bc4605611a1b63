#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/core/cursor.h"

static void cursors_read_back(void **state) {
    (void)state;
    static const struct cursor CURSORS[] = {
        {0, 0, 0},
        {1, 2, 1 << DATA_TYPE_TRIP},
        {UINT64_MAX, UINT64_MAX, DATA_TYPES_ALL ^ 1 << DATA_TYPE_TRIP},
        {0x0123456789abcdef, 1000000, 1 << DATA_TYPE_BOOKING}};
    for (size_t i = 0; i < sizeof CURSORS / sizeof *CURSORS; i++) {
        char text[CURSOR_TEXT_MAX];
        struct cursor cursor;
        size_t size = cursor_format(&CURSORS[i], text);
        assert_int_equal(size, strlen(text));
        assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
                         size);
        assert_int_equal(cursor_parse(slice_text(text), &cursor), SYNC_OK);
        assert_int_equal(cursor.epoch, CURSORS[i].epoch);
        assert_int_equal(cursor.sequence, CURSORS[i].sequence);
        assert_int_equal(cursor.types, CURSORS[i].types);
    }
}

static void a_cursor_of_all_types_is_one_without(void **state) {
    (void)state;
    char all[CURSOR_TEXT_MAX], none[CURSOR_TEXT_MAX];
    cursor_format(&(struct cursor){.epoch = 1, .sequence = 2, .types = DATA_TYPES_ALL}, all);
    cursor_format(&(struct cursor){.epoch = 1, .sequence = 2}, none);
    assert_string_equal(all, none);
}

static void a_cursor_covers_the_types_it_was_given_for(void **state) {
    (void)state;
    enum { TRIP = 1 << DATA_TYPE_TRIP, BOOKING = 1 << DATA_TYPE_BOOKING };
    assert_true(cursor_covers(&(struct cursor){.types = 0}, DATA_TYPES_ALL));
    assert_true(cursor_covers(&(struct cursor){.types = TRIP | BOOKING}, TRIP));
    assert_false(cursor_covers(&(struct cursor){.types = TRIP}, TRIP | BOOKING));
    assert_false(cursor_covers(&(struct cursor){.types = TRIP}, DATA_TYPES_ALL));
}

static void every_changed_character_is_refused(void **state) {
    (void)state;
    char text[CURSOR_TEXT_MAX];
    struct cursor cursor = {.epoch = 7};
    size_t size = cursor_format(&(struct cursor){.epoch = 1, .sequence = 2}, text);
    for (size_t i = 0; i < size; i++) {
        char kept = text[i];
        for (int character = 1; character < 256; character++) {
            text[i] = (char)character;
            if (text[i] != kept)
                assert_int_equal(cursor_parse(slice_of(text, size), &cursor), SYNC_ERR_INVALID);
        }
        text[i] = kept;
    }
    assert_int_equal(cursor.epoch, 7);
}

static void other_text_is_refused(void **state) {
    (void)state;
    struct cursor cursor;
    char text[CURSOR_TEXT_MAX];
    size_t size = cursor_format(&(struct cursor){.epoch = 1, .sequence = 2}, text);
    assert_int_equal(cursor_parse(SLICE_EMPTY, &cursor), SYNC_ERR_INVALID);
    assert_int_equal(cursor_parse(SLICE("42"), &cursor), SYNC_ERR_INVALID);
    assert_int_equal(cursor_parse(slice_of(text, size - 1), &cursor), SYNC_ERR_INVALID);
    assert_int_equal(cursor_parse(slice_of(text, size + 1), &cursor), SYNC_ERR_INVALID);
    assert_int_equal(cursor_parse(SLICE("////////////////////////////"), &cursor),
                     SYNC_ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_read_back),
        cmocka_unit_test(a_cursor_of_all_types_is_one_without),
        cmocka_unit_test(a_cursor_covers_the_types_it_was_given_for),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
