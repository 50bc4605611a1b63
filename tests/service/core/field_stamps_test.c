/* Field stamps, by examples and on random histories. The seed is printed; CORE_TEST_SEED sets it.
 */
#include "service/core/field_stamps.h"

#include "service/core/document.h"
#include "tests/service/core/story.h"

/* The patch since a version; empty when there is none. */
static struct slice patch_since(const struct story *story, uint64_t since) {
    struct slice patch = SLICE_EMPTY;
    bool is_found;
    assert_int_equal(field_stamps_patch(&story->record, since, &arena, &patch, &is_found), SYNC_OK);
    return is_found ? patch : SLICE_EMPTY;
}

static void a_patch_has_what_changed_since(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"{\"a\":1,\"b\":{\"c\":1,\"d\":1},\"e\":1}",
                                        "{\"a\":2,\"b\":{\"c\":1,\"d\":1},\"e\":1}",
                                        "{\"a\":2,\"b\":{\"c\":2,\"d\":1},\"e\":1}",
                                        "{\"a\":2,\"b\":{\"c\":3,\"d\":1},\"f\":1}", NULL};
    struct story story = story_of(TEXTS);
    assert_document(patch_since(&story, 1), "{\"a\":2,\"b\":{\"c\":3},\"e\":null,\"f\":1}");
    assert_document(patch_since(&story, 2), "{\"b\":{\"c\":3},\"e\":null,\"f\":1}");
    assert_document(patch_since(&story, 3), "{\"b\":{\"c\":3},\"e\":null,\"f\":1}");
    assert_int_equal(patch_since(&story, 0).size, 0);
}

static void a_field_that_changes_often_takes_one_stamp(void **state) {
    (void)state;
    struct story story;
    story_begin(&story, doc("{\"seat\":0,\"other\":1}"));
    size_t size = 0;
    for (int i = 1; i < STORY_VERSIONS_MAX; i++) {
        char *text = arena_format(&arena, "{\"seat\":%d,\"other\":1}", i);
        assert_non_null(text);
        story_change(&story, doc(text));
        size = story.record.stamps.size;
    }
    assert_true(size < 16);
    assert_document(patch_since(&story, 1), "{\"seat\":39}");
}

static void an_object_set_anew_hides_its_members(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"x\":2,\"y\":2}}", "{\"a\":5}",
        "{\"a\":{\"x\":3}}",         "{\"a\":{\"x\":4}}",         NULL};
    struct story story = story_of(TEXTS);
    /* Merged into what it was before it was a number, a patch would leave "y" there. */
    assert_int_equal(patch_since(&story, 1).size, 0);
    assert_int_equal(patch_since(&story, 2).size, 0);
    assert_document(patch_since(&story, 3), "{\"a\":{\"x\":4}}");
    assert_document(patch_since(&story, 4), "{\"a\":{\"x\":4}}");
}

static void nulls_are_sent_whole(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"{\"a\":1,\"b\":1}", "{\"a\":null,\"b\":1}",
                                        "{\"a\":null,\"b\":2}", NULL};
    struct story story = story_of(TEXTS);
    assert_int_equal(patch_since(&story, 1).size, 0);
    assert_document(patch_since(&story, 2), "{\"b\":2}");
}

static void what_is_no_longer_asked_for_is_dropped(void **state) {
    (void)state;
    struct story story;
    story_begin(&story, doc("{\"a\":1,\"b\":1,\"c\":1}"));
    story_change(&story, doc("{\"a\":2,\"b\":1,\"c\":1}"));
    size_t size = story.record.stamps.size;
    story.wanted_above = 2;
    story_change(&story, doc("{\"a\":2,\"b\":2,\"c\":1}"));
    assert_int_equal(story.record.stamps.size, size);
    assert_int_equal(patch_since(&story, 1).size, 0);
    assert_document(patch_since(&story, 2), "{\"b\":2}");
}

static void many_fields_are_bounded(void **state) {
    (void)state;
    struct story story;
    story_begin(&story, doc("{}"));
    for (int i = 1; i < STORY_VERSIONS_MAX; i++) {
        struct buffer text;
        buffer_init(&text, 1 << 16);
        for (int field = 0; field < 100; field++)
            buffer_append_format(&text, "%s\"name of the field %03d\":%d", field > 0 ? "," : "{",
                                 field, field / 3 % STORY_VERSIONS_MAX <= i ? i : 0);
        buffer_append(&text, SLICE("}"));
        char *json = arena_copy_text(&arena, buffer_slice(&text));
        assert_non_null(json);
        buffer_done(&text);
        story_change(&story, doc(json));
        size_t bytes_max = story.record.data.size / FIELD_STAMPS_SHARE;
        assert_true(story.record.stamps.size <=
                    (bytes_max > FIELD_STAMPS_BYTES_MIN ? bytes_max : FIELD_STAMPS_BYTES_MIN));
    }
}

static void damaged_stamps_are_told(void **state) {
    (void)state;
    static const struct slice DAMAGED[] = {
        SLICE("\2"),                 /* no floor */
        SLICE("\2\5"),               /* a floor above the record's version */
        SLICE("\2\1\0"),             /* a field cut off */
        SLICE("\2\1\0\0\1"),         /* without a path */
        SLICE("\2\1\1\4\1a\1"),      /* nothing to share */
        SLICE("\2\1\0\4\5a\1"),      /* a name longer than the rest */
        SLICE("\2\1\0\4\1a\5"),      /* changed after the record */
        SLICE("\2\1\0\5\1a\2\2"),    /* changed before and not before */
        SLICE("\2\1\0\x84\2\1a\1"),  /* too deep */
        SLICE("\2\1\0\6\1a\1"),      /* moved, but from where? */
        SLICE("\2\1\0\6\1a\1\0"),    /* from nowhere */
        SLICE("\2\1\0\6\1a\1\1\5b"), /* from a name longer than the rest */
    };
    struct record record = {.version = 3, .data = doc("{\"a\":1}")};
    struct slice patch;
    bool is_found;
    for (size_t i = 0; i < sizeof DAMAGED / sizeof *DAMAGED; i++) {
        record.stamps = DAMAGED[i];
        assert_int_equal(field_stamps_patch(&record, 1, &arena, &patch, &is_found),
                         SYNC_ERR_CORRUPT);
        assert_int_equal(field_stamps_operations(&record, 1, &arena, &patch, &is_found),
                         SYNC_ERR_CORRUPT);
    }
    record.stamps = SLICE("\2\1\0\5\1a\2\1");
    assert_int_equal(field_stamps_patch(&record, 1, &arena, &patch, &is_found), SYNC_OK);
    assert_true(is_found);
    struct field_change change = {
        .before = &record, .document = record.data, .undo = SLICE("\x09"), .version = 4};
    assert_int_equal(field_stamps_after(&change, &arena, &patch), SYNC_ERR_CORRUPT);
}

static void stamps_of_another_version_tell_nothing(void **state) {
    (void)state;
    struct record record = {
        .version = 3, .data = doc("{\"a\":1}"), .stamps = SLICE("\1\1\0\3\1a\2\1")};
    struct slice patch;
    bool is_found;
    assert_int_equal(field_stamps_patch(&record, 1, &arena, &patch, &is_found), SYNC_OK);
    assert_false(is_found);
    assert_int_equal(field_stamps_patch(&record, 3, &arena, &patch, &is_found), SYNC_OK);
    assert_true(is_found);
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Appends a random value: few names and values, so that they meet again. */
static void append_value(struct buffer *text, uint64_t *seed, unsigned depth) {
    static const char *const PLAIN[] = {"1", "2", "\"x\"", "[1,2]", "[{\"id\":1}]", "true", "null"};
    uint64_t choice = (next_random(seed) >> 20) % (depth < 3 ? 12 : 7);
    if (choice < 7) {
        buffer_append(text, slice_text(PLAIN[choice < 6 || depth == 0 ? choice : choice - 6]));
        return;
    }
    bool is_first = true;
    buffer_append(text, SLICE("{"));
    for (char name = 'a'; name < 'e'; name++) {
        if ((next_random(seed) >> 20) % 2)
            continue;
        buffer_append_format(text, "%s\"%c\":", is_first ? "" : ",", name);
        append_value(text, seed, depth + 1);
        is_first = false;
    }
    buffer_append(text, SLICE("}"));
}

static struct slice random_document(uint64_t *seed) {
    struct buffer text;
    buffer_init(&text, 1 << 16);
    buffer_append(&text, SLICE("{"));
    for (char name = 'a'; name < 'e'; name++) {
        buffer_append_format(&text, "%s\"%c\":", name == 'a' ? "" : ",", name);
        append_value(&text, seed, 1);
    }
    buffer_append(&text, SLICE("}"));
    char *json = arena_copy_text(&arena, buffer_slice(&text));
    assert_non_null(json);
    buffer_done(&text);
    return doc(json);
}

static void every_patch_leads_to_what_there_is(void **state) {
    (void)state;
    uint64_t seed = story_seed();
    size_t found = 0;
    for (int round = 0; round < 300; round++) {
        struct story story;
        arena_reset(&arena);
        story_begin(&story, random_document(&seed));
        while (story.record.version < STORY_VERSIONS_MAX) {
            /* A merge patch changes some of it, or it is set anew. */
            struct slice change = random_document(&seed), document = change;
            if ((next_random(&seed) >> 20) % 8)
                assert_int_equal(document_merge_patch(story.record.data, change, &arena, &document),
                                 SYNC_OK);
            story_change(&story, document);
            for (uint64_t since = 1; since < story.record.version; since++) {
                struct slice patch = patch_since(&story, since), after;
                if (patch.size == 0)
                    continue;
                found++;
                assert_int_equal(
                    document_merge_patch(story.documents[since], patch, &arena, &after), SYNC_OK);
                assert_true(slice_equal(after, story.record.data));
            }
        }
    }
    assert_true(found > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_patch_has_what_changed_since),
        ARENA_TEST(a_field_that_changes_often_takes_one_stamp),
        ARENA_TEST(an_object_set_anew_hides_its_members),
        ARENA_TEST(nulls_are_sent_whole),
        ARENA_TEST(what_is_no_longer_asked_for_is_dropped),
        ARENA_TEST(many_fields_are_bounded),
        ARENA_TEST(damaged_stamps_are_told),
        ARENA_TEST(stamps_of_another_version_tell_nothing),
        ARENA_TEST(every_patch_leads_to_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
