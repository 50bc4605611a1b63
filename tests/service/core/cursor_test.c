#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "service/core/cursor.h"
#include "service/core/cursor_text.h"

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

static void a_cursor_is_as_short_as_its_sequence(void **state) {
    (void)state;
    static const struct {
        uint64_t sequence;
        size_t size;
    } SIZES[] = {{0, 19}, {127, 19}, {128, 20}, {16383, 20}, {16384, 22}, {UINT64_MAX, 31}};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        char text[CURSOR_TEXT_MAX];
        struct cursor cursor = {.epoch = UINT64_MAX, .sequence = SIZES[i].sequence};
        assert_int_equal(cursor_format(&cursor, text), SIZES[i].size);
    }
}

static void a_cursor_given_out_earlier_is_read(void **state) {
    (void)state;
    struct cursor cursor;
    assert_int_equal(cursor_parse(SLICE("AQEjRWeJq83vAAAAAAAPQkAm2KN2"), &cursor), SYNC_OK);
    assert_int_equal(cursor.epoch, 0x0123456789abcdef);
    assert_int_equal(cursor.sequence, 1000000);
    assert_int_equal(cursor.types, 0);
    assert_int_equal(cursor_parse(SLICE("SAEjRWeJq83vAAAAAAAAAAcy9Z0l"), &cursor), SYNC_OK);
    assert_int_equal(cursor.sequence, 7);
    assert_int_equal(cursor.types, 1 << DATA_TYPE_BOOKING);
}

/* Base64url of the bytes and their CRC-32C. */
static struct slice summed(struct slice bytes, char *text) {
    uint8_t whole[64];
    memcpy(whole, bytes.data, bytes.size);
    cursor_put_number(whole + bytes.size, crc32c(0, bytes), 4);
    return slice_of(text, cursor_text_write(slice_of(whole, bytes.size + 4), text));
}

static void what_is_summed_but_not_ours_is_refused(void **state) {
    (void)state;
    static const struct slice OTHERS[] = {
        SLICE("\x02 epoch..\x81\x00"), /* longer than it has to be */
        SLICE("\x02 epoch..\x81"),     /* cut */
        SLICE("\x02 epoch..\x01\x01"), /* more behind it */
        SLICE("\x02 epoch.."),         /* none */
        SLICE("\x01 epoch..\x01"),     /* of the earlier form, as of this */
        SLICE("\x80 epoch..\x01"),     /* of no types */
        SLICE("\x8f epoch..\x01"),     /* of all */
        SLICE("\x04 epoch..\x01"),     /* of no version */
        SLICE("\x02 epoch..\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), /* too large */
    };
    char text[CURSOR_TEXT_MAX];
    struct cursor cursor;
    assert_int_equal(cursor_parse(summed(SLICE("\x02 epoch..\x01"), text), &cursor), SYNC_OK);
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        assert_int_equal(cursor_parse(summed(OTHERS[i], text), &cursor), SYNC_ERR_INVALID);
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
        cmocka_unit_test(a_cursor_is_as_short_as_its_sequence),
        cmocka_unit_test(a_cursor_given_out_earlier_is_read),
        cmocka_unit_test(what_is_summed_but_not_ours_is_refused),
        cmocka_unit_test(a_cursor_of_all_types_is_one_without),
        cmocka_unit_test(a_cursor_covers_the_types_it_was_given_for),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
