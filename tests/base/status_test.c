#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static const enum sync_status STATUSES[] = {
    SYNC_OK,
    SYNC_ERR_INVALID,
    SYNC_ERR_NOT_FOUND,
    SYNC_ERR_DENIED,
    SYNC_ERR_UNAUTHENTICATED,
    SYNC_ERR_EXHAUSTED,
    SYNC_ERR_TOO_LARGE,
    SYNC_ERR_PRECONDITION,
    SYNC_ERR_EXISTS,
    SYNC_ERR_UNIMPLEMENTED,
    SYNC_ERR_CANCELLED,
    SYNC_ERR_DEADLINE,
    SYNC_ERR_HEAD_MOVED,
    SYNC_ERR_BUSY,
    SYNC_ERR_UNAVAILABLE,
    SYNC_ERR_NO_MEMORY,
    SYNC_ERR_CORRUPT,
    SYNC_ERR_IO,
    SYNC_ERR_INTERNAL,
    SYNC_ERR_STORE_BROKEN,
};

enum { STATUSES_COUNT = sizeof STATUSES / sizeof STATUSES[0] };

static void every_status_has_a_name_and_a_text_of_its_own(void **state) {
    (void)state;
    for (size_t i = 0; i < STATUSES_COUNT; i++) {
        assert_string_not_equal(sync_status_name(STATUSES[i]), "UNKNOWN");
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(sync_status_name(STATUSES[i]), sync_status_name(STATUSES[j]));
            assert_string_not_equal(sync_status_text(STATUSES[i]), sync_status_text(STATUSES[j]));
        }
    }
    assert_string_equal(sync_status_name(SYNC_ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(sync_status_text(SYNC_ERR_NOT_FOUND), "no such thing");
    assert_string_equal(sync_status_name((enum sync_status) - 77), "UNKNOWN");
}

static void only_the_fatal_band_is_fatal(void **state) {
    (void)state;
    for (size_t i = 0; i < STATUSES_COUNT; i++)
        assert_int_equal(sync_status_is_fatal(STATUSES[i]), STATUSES[i] == SYNC_ERR_STORE_BROKEN);
}

static void an_error_is_filled_and_its_status_returned(void **state) {
    (void)state;
    struct sync_error error;
    assert_int_equal(
        sync_error_set(&error, SYNC_ERR_INVALID, "BAD_TIME", "timestamp", "not a time: %d", 5),
        SYNC_ERR_INVALID);
    assert_int_equal(error.status, SYNC_ERR_INVALID);
    assert_string_equal(error.reason, "BAD_TIME");
    assert_string_equal(error.field, "timestamp");
    assert_string_equal(error.message, "not a time: 5");
    assert_int_equal(sync_error_set(NULL, SYNC_ERR_BUSY, "R", NULL, "m"), SYNC_ERR_BUSY);
    sync_error_set(&error, SYNC_ERR_BUSY, "R", NULL, "m");
    assert_string_equal(error.field, "");
}

static void an_error_that_says_no_more_has_its_statuss_name_and_text(void **state) {
    (void)state;
    struct sync_error error = {.field = "left over"};
    assert_int_equal(sync_error_of(&error, SYNC_ERR_NOT_FOUND), SYNC_ERR_NOT_FOUND);
    assert_int_equal(error.status, SYNC_ERR_NOT_FOUND);
    assert_string_equal(error.reason, sync_status_name(SYNC_ERR_NOT_FOUND));
    assert_string_equal(error.message, sync_status_text(SYNC_ERR_NOT_FOUND));
    assert_string_equal(error.field, "");
    assert_int_equal(sync_error_of(NULL, SYNC_ERR_IO), SYNC_ERR_IO);
}

static void an_error_may_be_filled_from_its_own_texts(void **state) {
    (void)state;
    struct sync_error error;
    sync_error_set(&error, SYNC_ERR_INVALID, "REASON", "field", "inner");
    sync_error_set(&error, SYNC_ERR_INVALID, error.reason, error.field, "outer: %s", error.message);
    assert_string_equal(error.reason, "REASON");
    assert_string_equal(error.field, "field");
    assert_string_equal(error.message, "outer: inner");
}

static void long_texts_are_cut_before_a_split_character(void **state) {
    (void)state;
    char text[1000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t at = shift; at + 4 < sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 5);
        struct sync_error error;
        sync_error_set(&error, SYNC_ERR_INVALID, "R", text, "%s", text);
        assert_true(slice_is_utf8(slice_text(error.field)));
        assert_true(slice_is_utf8(slice_text(error.message)));
        assert_in_range(strlen(error.field), SYNC_ERROR_FIELD_MAX - 4, SYNC_ERROR_FIELD_MAX - 1);
        assert_in_range(strlen(error.message), SYNC_ERROR_MESSAGE_MAX - 4,
                        SYNC_ERROR_MESSAGE_MAX - 1);
    }
}

static void a_character_that_just_fits_stays(void **state) {
    (void)state;
    char text[SYNC_ERROR_MESSAGE_MAX];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 3, "\xc3\xa9", 3);
    struct sync_error error;
    sync_error_set(&error, SYNC_ERR_INVALID, "R", NULL, "%s", text);
    assert_string_equal(error.message, text);
    sync_error_set(&error, SYNC_ERR_INVALID, "R", NULL, "%s more", text);
    assert_string_equal(error.message, text);
}

static void prefixes_join_with_a_dot_where_one_belongs(void **state) {
    (void)state;
    static const struct {
        const char *field, *prefix, *path;
    } CASES[] = {
        {"timestamp", "changes[3]", "changes[3].timestamp"},
        {"[3].timestamp", "changes", "changes[3].timestamp"},
        {"", "changes", "changes"},
        {"timestamp", "", "timestamp"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct sync_error error;
        sync_error_set(&error, SYNC_ERR_INVALID, "R", CASES[i].field, "m");
        sync_error_prefix(&error, "%s", CASES[i].prefix);
        assert_string_equal(error.field, CASES[i].path);
    }
    sync_error_prefix(NULL, "nothing");
}

static void a_path_that_grows_too_long_is_cut(void **state) {
    (void)state;
    struct sync_error error;
    sync_error_set(&error, SYNC_ERR_INVALID, "R", "x", "m");
    for (int i = 0; i < 100; i++)
        sync_error_prefix(&error, "level%d", i);
    assert_int_equal(strlen(error.field), SYNC_ERROR_FIELD_MAX - 1);
    assert_memory_equal(error.field, "level99.level98.", 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_and_a_text_of_its_own),
        cmocka_unit_test(only_the_fatal_band_is_fatal),
        cmocka_unit_test(an_error_is_filled_and_its_status_returned),
        cmocka_unit_test(an_error_that_says_no_more_has_its_statuss_name_and_text),
        cmocka_unit_test(an_error_may_be_filled_from_its_own_texts),
        cmocka_unit_test(long_texts_are_cut_before_a_split_character),
        cmocka_unit_test(a_character_that_just_fits_stays),
        cmocka_unit_test(prefixes_join_with_a_dot_where_one_belongs),
        cmocka_unit_test(a_path_that_grows_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
