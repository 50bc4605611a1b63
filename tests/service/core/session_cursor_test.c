#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_text.h"
#include "base/sha256.h"
#include "service/core/session_cursor.h"

static const struct session_cursor CURSORS[] = {
    {.epoch = 1, .sequence = 2},
    {.epoch = 1, .sequence = 2, .types = 1 << DATA_TYPE_PROFILE},
    {.epoch = 1, .is_lap = true},
    {.epoch = 3, .is_lap = true, .lap = {.target = 9}},
    {.epoch = UINT64_MAX, .is_lap = true, .lap = {.has_from = true, .from = 4, .target = 4}},
    {.epoch = 5,
     .is_lap = true,
     .lap = {.has_from = true,
             .from = 4,
             .target = UINT64_MAX,
             .rank_us = INT64_MIN,
             .order = DATA_TYPE_PREFERENCE | DATA_TYPE_BOOKING << 4,
             .rank = UINT64_MAX,
             .type = DATA_TYPE_BOOKING,
             .id_size = 3,
             .id = "b-1"}},
};
enum { CURSOR_COUNT = sizeof CURSORS / sizeof *CURSORS };

static void expect_same(const struct session_cursor *a, const struct session_cursor *b) {
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->is_lap, b->is_lap);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->lap.has_from, b->lap.has_from);
    assert_int_equal(a->lap.from, b->lap.from);
    assert_int_equal(a->lap.target, b->lap.target);
    assert_true(a->lap.rank_us == b->lap.rank_us);
    assert_int_equal(a->types, b->types);
    assert_int_equal(a->lap.order, b->lap.order);
    assert_int_equal(a->lap.rank, b->lap.rank);
    assert_int_equal(a->lap.type, b->lap.type);
    assert_int_equal(a->lap.id_size, b->lap.id_size);
    assert_memory_equal(a->lap.id, b->lap.id, a->lap.id_size);
}

static void cursors_of_both_kinds_read_back(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor;
    for (int i = 0; i < CURSOR_COUNT; i++) {
        size_t size = session_cursor_format(&CURSORS[i], text);
        assert_int_equal(size, strlen(text));
        assert_int_equal(session_cursor_parse(slice_of(text, size), &cursor), SYNC_OK);
        expect_same(&cursor, &CURSORS[i]);
    }
}

static void a_plain_cursor_is_as_other_calls_write_it(void **state) {
    (void)state;
    char plain[CURSOR_TEXT_MAX], text[SESSION_CURSOR_TEXT_MAX];
    cursor_format(&(struct cursor){.epoch = 1, .sequence = 2}, plain);
    session_cursor_format(&CURSORS[0], text);
    assert_string_equal(text, plain);
}

static void a_lap_cursor_is_no_plain_one(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct cursor plain;
    for (int i = 2; i < CURSOR_COUNT; i++) {
        size_t size = session_cursor_format(&CURSORS[i], text);
        assert_int_equal(cursor_parse(slice_of(text, size), &plain), SYNC_ERR_INVALID);
    }
}

static void the_longest_id_fits(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {
        .epoch = 1,
        .is_lap = true,
        .lap = {.rank = 1, .type = DATA_TYPE_TRIP, .id_size = DATA_ID_MAX}};
    struct session_cursor read;
    memset(cursor.lap.id, 'x', DATA_ID_MAX);
    size_t size = session_cursor_format(&cursor, text);
    assert_true(size < SESSION_CURSOR_TEXT_MAX);
    assert_int_equal(session_cursor_parse(slice_of(text, size), &read), SYNC_OK);
    expect_same(&read, &cursor);
}

static void every_changed_character_is_refused(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor = {.epoch = 77};
    size_t size = session_cursor_format(&CURSORS[CURSOR_COUNT - 1], text);
    for (size_t i = 0; i < size; i++) {
        char kept = text[i];
        for (int character = 1; character < 256; character++) {
            text[i] = (char)character;
            if (text[i] != kept)
                assert_int_equal(session_cursor_parse(slice_of(text, size), &cursor),
                                 SYNC_ERR_INVALID);
        }
        text[i] = kept;
    }
    assert_int_equal(cursor.epoch, 77);
}

static void every_cut_is_refused(void **state) {
    (void)state;
    char text[SESSION_CURSOR_TEXT_MAX];
    struct session_cursor cursor;
    size_t size = session_cursor_format(&CURSORS[CURSOR_COUNT - 1], text);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(session_cursor_parse(slice_of(text, i), &cursor), SYNC_ERR_INVALID);
    text[size] = 'A';
    assert_int_equal(session_cursor_parse(slice_of(text, size + 1), &cursor), SYNC_ERR_INVALID);
}

/* Writes bytes as the text of a cursor, with a right sum. */
static struct slice summed(struct buffer *text, uint8_t *bytes, size_t size) {
    uint32_t sum = crc32c(0, slice_of(bytes, size));
    for (int i = 0; i < 4; i++)
        bytes[size + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
    buffer_clear(text);
    base64url_append(text, slice_of(bytes, size + 4));
    assert_int_equal(buffer_status(text), SYNC_OK);
    return buffer_slice(text);
}

static void what_no_lap_can_say_is_refused_though_its_sum_is_right(void **state) {
    (void)state;
    enum {
        FLAGS = 9,
        FROM_END = 17,
        TARGET_END = 25,
        ORDER = 34,
        RANK_END = 43,
        TYPE = 44,
        SIZE = 45
    };
    static const struct {
        int at;
        uint8_t value;
    } WRONG[] = {{0, 2},    {FLAGS, 2}, {FLAGS, 0},     {FROM_END, 9},     {TYPE, 0},
                 {TYPE, 5}, {SIZE, 7},  {ORDER + 1, 5}, {ORDER + 1, 0x22}, {ORDER + 1, 0x10}};
    uint8_t sound[SIZE + 5] = {[0] = 3,        [FLAGS] = 1, [FROM_END] = 4, [TARGET_END] = 8,
                               [RANK_END] = 1, [TYPE] = 1,  [SIZE] = 'r'};
    struct buffer text;
    struct session_cursor cursor;
    buffer_init(&text, SESSION_CURSOR_TEXT_MAX);
    assert_int_equal(session_cursor_parse(summed(&text, sound, SIZE + 1), &cursor), SYNC_OK);
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        uint8_t bytes[sizeof sound];
        memcpy(bytes, sound, sizeof bytes);
        bytes[WRONG[i].at] = WRONG[i].value;
        assert_int_equal(session_cursor_parse(summed(&text, bytes, SIZE + 1), &cursor),
                         SYNC_ERR_INVALID);
    }
    buffer_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_of_both_kinds_read_back),
        cmocka_unit_test(a_plain_cursor_is_as_other_calls_write_it),
        cmocka_unit_test(a_lap_cursor_is_no_plain_one),
        cmocka_unit_test(the_longest_id_fits),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(what_no_lap_can_say_is_refused_though_its_sum_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
