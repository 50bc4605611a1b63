#include "base/memory.h"
#include "service/core/delta.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/test_arena.h"

static struct slice between(const char *before, const char *after) {
    struct slice delta = SLICE_EMPTY;
    assert_int_equal(delta_between(doc(before), doc(after), &arena, &delta), SYNC_OK);
    return delta;
}

static void applying_the_delta_between_two_gives_the_second(void **state) {
    (void)state;
    static const char *const DOCUMENTS[] = {
        "{}",
        "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":{\"b\":{\"c\":1,\"d\":[1,{\"x\":null}]}},\"e\":\"f\"}",
        "{\"a\":{\"b\":{\"c\":2,\"d\":[1]}},\"e\":{\"f\":null}}",
        "{\"a\":{\"b\":{\"e\":2}},\"z\":true}",
        "{\"\":{\"\":{\"\":\"\"}},\"a\":[[]]}",
    };
    enum { COUNT = sizeof DOCUMENTS / sizeof *DOCUMENTS };
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < COUNT; j++) {
            struct slice delta = between(DOCUMENTS[i], DOCUMENTS[j]), result;
            assert_int_equal(delta.size == 0, i == j);
            assert_int_equal(delta_apply(doc(DOCUMENTS[i]), delta, &arena, &result), SYNC_OK);
            assert_document(result, DOCUMENTS[j]);
        }
    }
}

static void fields_are_listed_with_their_paths(void **state) {
    (void)state;
    struct slice delta = between("{\"a\":{\"b\":1,\"c\":{\"d\":1,\"e\":2}},\"f\":1}",
                                 "{\"a\":{\"b\":2,\"c\":{\"d\":1}},\"f\":1,\"g\":[1]}");
    static const char *const PATHS[] = {"a.b", "a.c.e", "g"};
    static const bool REMOVED[] = {false, true, false};
    struct delta_field field;
    size_t position = 0, count = 0;
    for (; delta_next(delta, &position, &field); count++) {
        struct slice text = delta_path_text(&field, &arena);
        assert_true(slice_equal(text, slice_text(PATHS[count])));
        assert_int_equal(field.removed, REMOVED[count]);
    }
    assert_int_equal(count, 3);
    assert_int_equal(position, delta.size);
}

static void one_field_costs_little(void **state) {
    (void)state;
    struct slice delta =
        between("{\"flight\":{\"gate\":\"A1\"}}", "{\"flight\":{\"gate\":\"B2\"}}");
    assert_true(delta.size < 24);
}

static void shared_segments_are_not_repeated(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    buffer_append(&out, SLICE("{\""));
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&out, 'n');
    buffer_append(&out, SLICE("\":{"));
    for (int i = 0; i < 100; i++)
        buffer_append_format(&out, "%s\"%d\":1", i == 0 ? "" : ",", i);
    buffer_append(&out, SLICE("}}"));
    struct slice full = doc(arena_copy_text(&arena, buffer_slice(&out)));
    buffer_done(&out);
    struct member only;
    size_t position = 0;
    assert_true(document_next(full, &position, &only));
    struct buffer empty_inside;
    buffer_init(&empty_inside, 1 << 20);
    document_append_member(&empty_inside, only.name, slice_of("\x2a\x00", 2));
    struct slice delta, result;
    assert_int_equal(delta_between(full, buffer_slice(&empty_inside), &arena, &delta), SYNC_OK);
    assert_true(delta.size < full.size);
    assert_int_equal(delta_apply(full, delta, &arena, &result), SYNC_OK);
    assert_true(slice_equal(result, buffer_slice(&empty_inside)));
    buffer_done(&empty_inside);
}

static void a_delta_of_another_document_is_applied_by_path(void **state) {
    (void)state;
    struct slice result;
    struct slice set = between("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}");
    assert_int_equal(delta_apply(doc("{\"a\":5,\"c\":1}"), set, &arena, &result), SYNC_OK);
    assert_document(result, "{\"a\":{\"b\":2},\"c\":1}");
    struct slice unset = between("{\"a\":{\"b\":1}}", "{\"a\":{}}");
    assert_int_equal(delta_apply(doc("{\"a\":5,\"c\":1}"), unset, &arena, &result), SYNC_OK);
    assert_document(result, "{\"a\":5,\"c\":1}");
    assert_int_equal(delta_apply(doc("{\"c\":1}"), unset, &arena, &result), SYNC_OK);
    assert_document(result, "{\"c\":1}");
}

static void merge_patches_say_what_they_can(void **state) {
    (void)state;
    static const char *const CASES[][3] = {
        {"{\"a\":1,\"b\":{\"c\":1,\"d\":2}}", "{\"b\":{\"c\":2}}",
         "{\"a\":null,\"b\":{\"c\":2,\"d\":null}}"},
        {"{}", "{\"a\":{}}", "{\"a\":{}}"},
        {"{\"a\":1}", "{\"a\":{\"b\":[null]}}", "{\"a\":{\"b\":[null]}}"},
        {"{\"a\":1}", "{\"a\":1}", "{}"},
        {"{\"a\":1}", "{\"a\":null}", NULL},
        {"{\"a\":1}", "{\"a\":{\"b\":{\"c\":null}}}", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct slice patch, result;
        bool can = delta_to_merge_patch(between(CASES[i][0], CASES[i][1]), &arena, &patch);
        assert_int_equal(can, CASES[i][2] != NULL);
        if (!can)
            continue;
        assert_document(patch, CASES[i][2]);
        assert_int_equal(document_merge_patch(doc(CASES[i][0]), patch, &arena, &result), SYNC_OK);
        assert_document(result, CASES[i][1]);
    }
}

static void damaged_deltas_are_told_and_never_overrun(void **state) {
    (void)state;
    struct slice document = doc("{\"a\":{\"b\":{\"c\":1}},\"e\":\"f\"}"), result;
    struct slice delta = between("{\"a\":{\"b\":{\"c\":1}},\"e\":\"f\"}",
                                 "{\"a\":{\"b\":{\"x\":1},\"y\":2},\"z\":[1]}");
    for (size_t size = 1; size < delta.size; size++) {
        uint8_t *exact = memory_alloc(size);
        assert_non_null(exact);
        memcpy(exact, delta.data, size);
        enum sync_status status = delta_apply(document, slice_of(exact, size), &arena, &result);
        assert_true(status == SYNC_OK || status == SYNC_ERR_CORRUPT);
        memory_free(exact);
    }
    for (size_t i = 0; i < delta.size; i++) {
        struct slice copy;
        assert_true(arena_copy(&arena, delta, &copy));
        for (int bit = 0; bit < 8; bit++) {
            ((uint8_t *)copy.data)[i] = delta.data[i] ^ (uint8_t)(1 << bit);
            enum sync_status status = delta_apply(document, copy, &arena, &result);
            assert_true(status == SYNC_OK || status == SYNC_ERR_CORRUPT);
        }
    }
    assert_int_equal(delta_apply(document,
                                 SLICE("\x07"
                                       "a"),
                                 &arena, &result),
                     SYNC_ERR_CORRUPT);
    assert_int_equal(delta_apply(document,
                                 SLICE("\x01\x00\x03\x01z\x00\x03\x01"
                                       "a"),
                                 &arena, &result),
                     SYNC_ERR_CORRUPT);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct slice before = doc("{\"a\":{\"b\":1},\"c\":2}"),
                 after = doc("{\"a\":{\"d\":1},\"e\":2}");
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct slice delta, result;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status = delta_between(before, after, &small, &delta);
        if (!status)
            status = delta_apply(before, delta, &small, &result);
        bool has_failed = memory_walk_end(&walk);
        assert_int_equal(status, has_failed ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        assert_true(has_failed || slice_equal(result, after));
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(applying_the_delta_between_two_gives_the_second),
        ARENA_TEST(fields_are_listed_with_their_paths),
        ARENA_TEST(one_field_costs_little),
        ARENA_TEST(shared_segments_are_not_repeated),
        ARENA_TEST(a_delta_of_another_document_is_applied_by_path),
        ARENA_TEST(merge_patches_say_what_they_can),
        ARENA_TEST(damaged_deltas_are_told_and_never_overrun),
        ARENA_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
