#include "service/core/merge_text.h"

#include "base/memory.h"
#include "tests/service/core/test_arena.h"

static struct merged_text merge(const char *base, const char *ours, const char *theirs,
                                bool takes_theirs) {
    struct merged_text merged;
    assert_int_equal(merge_text(slice_text(base), slice_text(ours), slice_text(theirs),
                                takes_theirs, &arena, &merged),
                     SYNC_OK);
    return merged;
}

static void expect(const char *base, const char *ours, const char *theirs, const char *text,
                   bool disputed) {
    struct merged_text merged = merge(base, ours, theirs, true);
    assert_true(merged.is_merged);
    assert_string_equal(arena_copy_text(&arena, merged.text), text);
    assert_int_equal(merged.is_disputed, disputed);
}

static void words_that_one_side_changed_are_taken(void **state) {
    (void)state;
    expect("bring the old umbrella", "bring the new umbrella", "please bring the old umbrella",
           "please bring the new umbrella", false);
    expect("one two three four", "one three four", "one two three four five", "one three four five",
           false);
    expect("a b c", "a b c", "a x c", "a x c", false);
    expect("a b c", "a x c", "a x c", "a x c", false);
    expect("a b c", "", "a b c", "", false);
}

static void what_both_inserted_is_kept_ours_first(void **state) {
    (void)state;
    expect("meet", "meet Ann", "meet Bob", "meet Ann Bob", false);
    expect("", "ours", "theirs", "ours theirs", false);
    expect("", "ours\n", "theirs", "ours\ntheirs", false);
    expect("x", "ours x", "theirs x", "ours theirs x", false);
}

static void words_never_run_together(void **state) {
    (void)state;
    /* A text's first word has no blank before it, and may come behind others. */
    struct merged_text merged = merge("c b a", "d a", "a b", false);
    assert_string_equal(arena_copy_text(&arena, merged.text), "d a b");
}

static void words_that_both_changed_are_one_sides(void **state) {
    (void)state;
    expect("meet at nine", "meet at ten", "meet at eight", "meet at eight", true);
    struct merged_text merged = merge("meet at nine", "meet at ten", "please meet at eight", false);
    assert_string_equal(arena_copy_text(&arena, merged.text), "please meet at ten");
    assert_true(merged.is_disputed);
    expect("meet at nine", "meet at ten", "meet at", "meet at", true);
    /* A word ends at white space only. */
    expect("meet at nine", "meet at nine by the gate", "meet at nine, not ten",
           "meet at nine, not ten", true);
}

static void white_space_goes_with_the_side_that_changed_it(void **state) {
    (void)state;
    expect("a b\nc", "a  b\nc", "a b\nc d", "a  b\nc d", false);
    expect("a b", "a\tb", "a b ", "a\tb ", false);
    expect("\xc3\xa4 \xe2\x82\xac", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
           "\xc3\xb6 \xc3\xa4 \xe2\x82\xac", "\xc3\xb6 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
           false);
}

static char *many_words(size_t count, const char *word) {
    size_t size = strlen(word);
    char *text = arena_alloc(&arena, count * size + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, word, size);
    text[count * size] = '\0';
    return text;
}

static void texts_beyond_the_bounds_are_not_merged(void **state) {
    (void)state;
    const char *long_text = many_words(MERGE_TEXT_WORDS_MAX + 1, "w ");
    assert_false(merge("a", long_text, "b", true).is_merged);
    assert_false(merge(long_text, "a", "b", true).is_merged);
    const char *fits = many_words(MERGE_TEXT_WORDS_MAX - 3, "w ");
    char *longer = arena_format(&arena, "%s end", fits);
    assert_true(merge(fits, longer, arena_format(&arena, "begin %s", fits), true).is_merged);
    assert_false(merge(many_words(1025, "a "), many_words(1024, "b "), "c", true).is_merged);
    assert_true(merge(many_words(1024, "a "), many_words(1024, "b "), "c", true).is_merged);
}

static void refused_memory_is_an_error(void **state) {
    (void)state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (size_t size = 0; status; size += 16) {
        struct arena small;
        struct merged_text merged = {.is_disputed = true};
        arena_init(&small, size);
        status = merge_text(SLICE("a b c"), SLICE("a x c"), SLICE("a b y"), true, &small, &merged);
        assert_true(status == SYNC_OK || (status == SYNC_ERR_NO_MEMORY && merged.is_disputed));
        arena_done(&small);
        assert_true(size < 1 << 16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(words_that_one_side_changed_are_taken),
        ARENA_TEST(what_both_inserted_is_kept_ours_first),
        ARENA_TEST(words_never_run_together),
        ARENA_TEST(words_that_both_changed_are_one_sides),
        ARENA_TEST(white_space_goes_with_the_side_that_changed_it),
        ARENA_TEST(texts_beyond_the_bounds_are_not_merged),
        ARENA_TEST(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
