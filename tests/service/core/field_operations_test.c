/* What a device gets as operations, by examples and on random histories of arrays. The seed is
 * printed; CORE_TEST_SEED sets it. */
#include "service/core/field_stamps.h"
#include "service/core/patch_operation.h"
#include "tests/service/core/story.h"

/* The operations since a version; empty when there are none. */
static struct slice packed_since(const struct story *story, uint64_t since) {
    struct slice packed = SLICE_EMPTY;
    bool is_found;
    assert_int_equal(field_stamps_operations(&story->record, since, &arena, &packed, &is_found),
                     SYNC_OK);
    return is_found ? packed : SLICE_EMPTY;
}

/* The document of that version with the operations applied. */
static struct slice applied_since(const struct story *story, uint64_t since, struct slice packed,
                                  size_t *ret_count) {
    struct patch_operation operations[2 * FIELD_STAMPS_MAX];
    struct slice message, document;
    struct sync_error error = {0};
    size_t position = 0, count = 0, failed;
    while (patch_operations_next(packed, &position, &message))
        assert_int_equal(patch_operation_read(message, &arena, &error, &operations[count++]),
                         SYNC_OK);
    enum sync_status status = patch_operations_apply(story->documents[since], operations, count,
                                                     &arena, &error, &failed, &document);
    if (status)
        fail_msg("operation %zu: %s %s", failed, error.field, error.message);
    *ret_count = count;
    return document;
}

/* Checks that operations since a version lead to the record, and counts them and their bytes. */
static size_t check_since(const struct story *story, uint64_t since, size_t *ret_bytes) {
    size_t count;
    struct slice packed = packed_since(story, since);
    assert_true(packed.size > 0);
    struct slice document = applied_since(story, since, packed, &count);
    assert_true(slice_equal(document, story->record.data));
    *ret_bytes = packed.size;
    return count;
}

#define LEG(id, seat)                                                                              \
    "{\"id\":\"" id "\",\"note\":\"by the window if there is one\",\"seat\":" seat "}"

static void an_element_is_told_by_its_id(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "{\"legs\":[" LEG("a", "1") "," LEG("b", "1") "," LEG("c", "1") "]}",
        "{\"legs\":[" LEG("a", "1") "," LEG("b", "2") "," LEG("c", "1") "]}",
        "{\"legs\":[" LEG("a", "1") "," LEG("b", "2") "," LEG("c", "1") "," LEG("d", "1") "]}",
        "{\"legs\":[" LEG("b", "2") "," LEG("c", "1") "," LEG("d", "1") "]}",
        "{\"legs\":[" LEG("b", "2") "," LEG("d", "1") "," LEG("c", "1") "]}",
        NULL};
    struct story story = story_of(TEXTS);
    size_t bytes;
    assert_int_equal(check_since(&story, 4, &bytes), 1); /* the order */
    assert_true(bytes < 32);
    assert_int_equal(check_since(&story, 3, &bytes), 2);
    assert_int_equal(check_since(&story, 2, &bytes), 3);
    assert_int_equal(check_since(&story, 1, &bytes), 4);
    assert_true(bytes < 160);
}

static void an_element_that_came_back_goes_to_its_place(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "{\"legs\":[" LEG("a", "1") "," LEG("b", "1") "]}",
        "{\"legs\":[" LEG("b", "1") "]}",
        "{\"legs\":[" LEG("b", "1") "," LEG("a", "2") "]}",
        "{\"legs\":[" LEG("b", "1") "," LEG("a", "2") "," LEG("0", "1") "]}",
        "{\"legs\":[" LEG("b", "1") "," LEG("a", "2") "," LEG("0", "1") "," LEG("00", "1") "]}",
        NULL};
    struct story story = story_of(TEXTS);
    size_t bytes;
    for (uint64_t since = 1; since < story.record.version; since++)
        check_since(&story, since, &bytes);
}

static void a_renamed_array_is_not_sent_again(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "{\"a\":1,\"legs\":[" LEG("a", "1") "," LEG("b", "1") "]}",
        "{\"a\":1,\"segments\":[" LEG("a", "1") "," LEG("b", "1") "]}",
        "{\"a\":1,\"segments\":[" LEG("a", "1") "," LEG("b", "2") "]}",
        "{\"a\":1,\"parts\":[" LEG("a", "1") "," LEG("b", "2") "]}", NULL};
    struct story story = story_of(TEXTS);
    size_t bytes;
    assert_int_equal(check_since(&story, 3, &bytes), 1);
    assert_true(bytes < 24);
    assert_int_equal(check_since(&story, 2, &bytes), 2); /* changed before it moved: whole */
    assert_true(bytes > 100);
}

static void a_rename_with_a_later_change_tells_both(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"{\"legs\":[" LEG("a", "1") "," LEG("b", "1") "]}",
                                        "{\"parts\":[" LEG("a", "1") "," LEG("b", "1") "]}",
                                        "{\"parts\":[" LEG("a", "1") "," LEG("b", "2") "]}", NULL};
    struct story story = story_of(TEXTS);
    size_t bytes;
    assert_int_equal(check_since(&story, 1, &bytes), 2);
    assert_true(bytes < 60);
}

static void nulls_and_new_objects_can_be_told(void **state) {
    (void)state;
    static const char *const TEXTS[] = {"{\"a\":1,\"b\":{\"x\":1}}", "{\"a\":null,\"b\":2}",
                                        "{\"a\":null,\"b\":{\"y\":1}}", NULL};
    struct story story = story_of(TEXTS);
    size_t bytes;
    assert_int_equal(check_since(&story, 1, &bytes), 2);
    assert_int_equal(check_since(&story, 2, &bytes), 1);
}

static void without_memory_nothing_is_made(void **state) {
    (void)state;
    struct story story;
    struct slice old = doc("{\"legs\":[" LEG("a", "1") "," LEG("b", "1") "],\"x\":1}"),
                 new = doc("{\"parts\":[" LEG("a", "1") "," LEG("b", "1") "],\"legs\":[]}"),
                 newer = doc("{\"parts\":[" LEG("c", "1") "," LEG("a", "2") "],\"legs\":[]}");
    story_begin(&story, old);
    story_change(&story, new);
    struct field_change change = {.before = &story.record, .document = newer, .version = 3};
    assert_int_equal(delta_between(newer, new, &arena, &change.undo), SYNC_OK);
    struct slice stamps = SLICE("untouched"), packed = SLICE("untouched");
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    size_t walked = 0;
    for (size_t room = 0; status == SYNC_ERR_NO_MEMORY; room += 16, walked++) {
        struct arena small;
        assert_true(slice_equal(stamps, SLICE("untouched")));
        arena_init(&small, room);
        status = field_stamps_after(&change, &small, &stamps);
        arena_done(&small);
    }
    assert_int_equal(status, SYNC_OK);
    story_change(&story, newer);
    status = SYNC_ERR_NO_MEMORY;
    for (size_t room = 0; status == SYNC_ERR_NO_MEMORY; room += 16, walked++) {
        struct arena small;
        bool is_found;
        assert_true(slice_equal(packed, SLICE("untouched")));
        arena_init(&small, room);
        status = field_stamps_operations(&story.record, 1, &small, &packed, &is_found);
        arena_done(&small);
    }
    assert_int_equal(status, SYNC_OK);
    assert_true(walked > 40);
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed >> 20;
}

/* An array of few elements in any order, now and then without ids, or with one twice. */
static void append_list(struct buffer *text, uint64_t *seed, unsigned depth) {
    static const char *const IDS[] = {"\"a\"", "\"b\"", "\"c~/\"", "\"d\"", "\"e\"", "\"f\""};
    static const char *const NUMBERS[] = {"1", "-2", "30", "4", "5", "6"};
    unsigned order[] = {0, 1, 2, 3, 4, 5}, count = (unsigned)(next_random(seed) % 6);
    bool has_numbers = depth == 1, is_bad = next_random(seed) % 16 == 0;
    for (unsigned i = 0; i < count && next_random(seed) % 3 == 0; i++) {
        unsigned other = (unsigned)(next_random(seed) % 6), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    buffer_append(text, SLICE("["));
    for (unsigned i = 0; i < count; i++) {
        const char *id = is_bad ? IDS[0] : has_numbers ? NUMBERS[order[i]] : IDS[order[i]];
        buffer_append_format(text, "%s{\"id\":%s,\"n\":%d", i > 0 ? "," : "", id,
                             (int)(next_random(seed) % 2));
        if (next_random(seed) % 4 == 0)
            buffer_append(text, SLICE(",\"o\":{\"p\":1}"));
        if (depth == 0 && next_random(seed) % 2) {
            buffer_append(text, SLICE(",\"in\":"));
            append_list(text, seed, 1);
        }
        buffer_append(text, SLICE("}"));
    }
    buffer_append(text, SLICE("]"));
}

/* A document whose arrays wander between few names. */
static struct slice random_document(uint64_t *seed) {
    static const char LONG[] = "\"a text that is long enough to be worth moving and not setting\"";
    struct buffer text;
    buffer_init(&text, 1 << 16);
    buffer_append(&text, SLICE("{"));
    bool is_first = true;
    for (char name = 'a'; name < 'f'; name++) {
        uint64_t choice = next_random(seed) % 8;
        if (choice < 3)
            continue;
        buffer_append_format(&text, "%s\"%c\":", is_first ? "" : ",", name);
        is_first = false;
        if (choice < 6)
            append_list(&text, seed, 0);
        else
            buffer_append_format(&text, "%s", choice == 6 ? LONG : "{\"q\":null}");
    }
    buffer_append(&text, SLICE("}"));
    char *json = arena_copy_text(&arena, buffer_slice(&text));
    assert_non_null(json);
    buffer_done(&text);
    return doc(json);
}

/* Changes one member of a document: sets it, renames it, or takes another document's. */
static struct slice random_change(struct slice document, uint64_t *seed) {
    struct slice other = random_document(seed), changed;
    struct patch_operation operation = {.step = PATCH_SET};
    struct member member;
    size_t position = 0, failed;
    static const struct slice PATHS[] = {SLICE("/a"), SLICE("/b"), SLICE("/c"), SLICE("/d"),
                                         SLICE("/e")};
    struct slice path = PATHS[next_random(seed) % 5];
    if (next_random(seed) % 3 == 0 && document_next(document, &position, &member)) {
        char *from =
            arena_format(&arena, "/%.*s", (int)member.name.size, (const char *)member.name.data);
        assert_non_null(from);
        operation = (struct patch_operation){.step = PATCH_MOVE, .from = slice_text(from)};
    } else if (document_next(other, &position, &member)) {
        operation.value = member.value.bytes;
    } else {
        return other;
    }
    operation.path = path;
    if (slice_equal(operation.from, path))
        return document;
    assert_int_equal(
        patch_operations_apply(document, &operation, 1, &arena, NULL, &failed, &changed), SYNC_OK);
    return changed;
}

static void operations_lead_to_what_there_is(void **state) {
    (void)state;
    uint64_t seed = story_seed();
    size_t found = 0;
    for (int round = 0; round < 200; round++) {
        struct story story;
        arena_reset(&arena);
        story_begin(&story, random_document(&seed));
        while (story.record.version < STORY_VERSIONS_MAX) {
            struct slice document = random_change(story.record.data, &seed);
            if (slice_equal(document, story.record.data))
                continue;
            story_change(&story, document);
            for (uint64_t since = 1; since < story.record.version; since++) {
                struct slice packed = packed_since(&story, since);
                size_t count;
                if (packed.size == 0)
                    continue;
                found++;
                assert_true(
                    slice_equal(applied_since(&story, since, packed, &count), story.record.data));
            }
        }
    }
    assert_true(found > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(an_element_is_told_by_its_id),
        ARENA_TEST(an_element_that_came_back_goes_to_its_place),
        ARENA_TEST(a_renamed_array_is_not_sent_again),
        ARENA_TEST(a_rename_with_a_later_change_tells_both),
        ARENA_TEST(nulls_and_new_objects_can_be_told),
        ARENA_TEST(without_memory_nothing_is_made),
        ARENA_TEST(operations_lead_to_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
