#include <math.h>

#include "base/limits.h"
#include "base/wire.h"
#include "service/core/document.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/test_arena.h"

/* Normalizes, expecting it to be refused for the reason at the path. */
static void expect_refused(struct slice input, const char *reason, const char *path) {
    struct sync_error error = {.status = SYNC_OK};
    struct slice document = SLICE("untouched");
    assert_int_equal(document_normalize(input, &arena, &error, &document), SYNC_ERR_INVALID);
    assert_string_equal(error.reason, reason);
    assert_string_equal(error.field, path);
    assert_int_equal(error.status, SYNC_ERR_INVALID);
    assert_true(slice_equal(document, SLICE("untouched")));
}

static void expect_canonical_json(const char *json, const char *expected) {
    assert_string_equal(json_text(json_document(json, &arena), &arena), expected);
}

static void members_come_out_in_order_however_they_were_sent(void **state) {
    (void)state;
    expect_canonical_json("{\"b\":1,\"a\":{\"z\":[3,{\"y\":1,\"x\":2}],\"k\":null},\"\":true}",
                          "{\"\":true,\"a\":{\"k\":null,\"z\":[3,{\"x\":2,\"y\":1}]},\"b\":1}");
    expect_canonical_json("{}", "{}");
    expect_canonical_json("{\"a\":{},\"b\":[]}", "{\"a\":{},\"b\":[]}");
}

static void names_sort_as_rfc_8785_section_3_2_3_shows(void **state) {
    (void)state;
    expect_canonical_json(
        "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
        "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
        "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
        "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
        "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\","
        "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
        "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
}

static void values_are_written_as_rfc_8785_section_3_2_2_shows(void **state) {
    (void)state;
    expect_canonical_json(
        "{\"numbers\":[333333333.33333329,4.50,2e-3,0.000000000000000000000000001],"
        "\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\","
        "\"literals\":[null,true,false]}",
        "{\"literals\":[null,true,false],"
        "\"numbers\":[333333333.3333333,4.5,0.002,1e-27],"
        "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

static void canonical_input_is_returned_as_it_is(void **state) {
    (void)state;
    struct slice first = json_document("{\"a\":1.5,\"b\":{\"c\":[true,\"x\"]},\"d\":null}", &arena);
    struct slice again;
    size_t taken = arena.taken_bytes;
    assert_int_equal(document_normalize(first, &arena, NULL, &again), SYNC_OK);
    assert_ptr_equal(again.data, first.data);
    assert_int_equal(again.size, first.size);
    assert_int_equal(arena.taken_bytes, taken);
}

static void equal_json_has_equal_bytes_whatever_the_encoding(void **state) {
    (void)state;
    struct slice want = json_document("{\"\":0,\"a\":true}", &arena), got;
    /* lengths with needless bytes, the value before the name, a name left out, true as 7, -0 */
    static const uint8_t input[] = {0x0a, 0x8a, 0x80, 0x00, 0x12, 0x83, 0x00, 0x20, 0x87,
                                    0x00, 0x0a, 0x81, 0x00, 'a',  0x0a, 0x0b, 0x12, 0x09,
                                    0x11, 0,    0,    0,    0,    0,    0,    0,    0x80};
    assert_int_equal(document_normalize(slice_of(input, sizeof input), &arena, NULL, &got),
                     SYNC_OK);
    assert_true(slice_equal(got, want));
}

static void duplicate_names_are_refused_by_path(void **state) {
    (void)state;
    expect_refused(json_struct("{\"a\":{\"b\":1,\"c\":2,\"b\":1}}", &arena), "NAME_DUPLICATE",
                   "a.b");
    expect_refused(json_struct("{\"a\":1,\"a\":1}", &arena), "NAME_DUPLICATE", "a");
}

static void numbers_that_json_cannot_hold_exactly_are_refused(void **state) {
    (void)state;
    expect_refused(json_struct("{\"n\":[1,9007199254740993]}", &arena), "NUMBER_OUT_OF_RANGE",
                   "n[1]");
    expect_refused(json_struct("{\"n\":{\"m\":-9007199254740992}}", &arena), "NUMBER_OUT_OF_RANGE",
                   "n.m");
    expect_canonical_json("{\"a\":9007199254740991,\"b\":-9007199254740991}",
                          "{\"a\":9007199254740991,\"b\":-9007199254740991}");
}

/* A document {"n": number}. */
static struct slice number_document(double number) {
    uint8_t *bytes = arena_alloc(&arena, 16);
    const uint8_t head[] = {0x0a, 14, 0x0a, 1, 'n', 0x12, 9, 0x11};
    assert_non_null(bytes);
    memcpy(bytes, head, sizeof head);
    memcpy(bytes + 8, &number, 8);
    return slice_of(bytes, 16);
}

static void numbers_that_are_not_finite_are_refused(void **state) {
    (void)state;
    expect_refused(number_document(NAN), "NUMBER_NOT_FINITE", "n");
    expect_refused(number_document(INFINITY), "NUMBER_NOT_FINITE", "n");
    expect_refused(number_document(-INFINITY), "NUMBER_NOT_FINITE", "n");
}

static void text_that_is_not_utf8_is_refused(void **state) {
    (void)state;
    const uint8_t value[] = {0x0a, 8, 0x0a, 1, 'a', 0x12, 3, 0x1a, 1, 0xff};
    const uint8_t name[] = {0x0a, 7, 0x0a, 1, 0xc0, 0x12, 2, 0x20, 1};
    const uint8_t surrogate[] = {0x0a, 10, 0x0a, 1, 'a', 0x12, 5, 0x1a, 3, 0xed, 0xa0, 0x80};
    expect_refused(slice_of(value, sizeof value), "TEXT_NOT_UTF8", "a");
    expect_refused(slice_of(name, sizeof name), "TEXT_NOT_UTF8", "");
    expect_refused(slice_of(surrogate, sizeof surrogate), "TEXT_NOT_UTF8", "a");
}

static void bytes_that_are_no_struct_are_refused(void **state) {
    (void)state;
    const uint8_t truncated[] = {0x0a, 9, 0x0a};
    const uint8_t unknown[] = {0x12, 0};
    const uint8_t two_kinds[] = {0x0a, 9, 0x0a, 1, 'a', 0x12, 4, 0x20, 1, 0x08, 0};
    const uint8_t unset[] = {0x0a, 5, 0x0a, 1, 'a', 0x12, 0};
    const uint8_t valueless[] = {0x0a, 3, 0x0a, 1, 'a'};
    const uint8_t null_of_one[] = {0x0a, 7, 0x0a, 1, 'a', 0x12, 2, 0x08, 1};
    expect_refused(slice_of(truncated, sizeof truncated), "DOCUMENT_MALFORMED", "");
    expect_refused(slice_of(unknown, sizeof unknown), "DOCUMENT_MALFORMED", "");
    expect_refused(slice_of(two_kinds, sizeof two_kinds), "DOCUMENT_MALFORMED", "a");
    expect_refused(slice_of(unset, sizeof unset), "VALUE_UNSET", "a");
    expect_refused(slice_of(valueless, sizeof valueless), "VALUE_UNSET", "a");
    expect_refused(slice_of(null_of_one, sizeof null_of_one), "DOCUMENT_MALFORMED", "a");
}

/* {"a":{"a":…{}…}} or {"a":[[…]]}, `depth` objects and lists deep. */
static const char *nested_json(int depth, bool lists) {
    struct buffer out;
    buffer_init(&out, 1 << 20);
    buffer_append(&out, SLICE("{\"a\":"));
    for (int i = 1; i < depth - 1; i++)
        buffer_append(&out, lists ? SLICE("[") : SLICE("{\"a\":"));
    buffer_append(&out, lists ? SLICE("[]") : SLICE("{}"));
    for (int i = 1; i < depth; i++)
        buffer_append(&out, lists && i < depth - 1 ? SLICE("]") : SLICE("}"));
    const char *text = arena_copy_text(&arena, buffer_slice(&out));
    assert_non_null(text);
    buffer_done(&out);
    return text;
}

static void nesting_has_a_bound(void **state) {
    (void)state;
    for (int lists = 0; lists < 2; lists++) {
        const char *deepest = nested_json(DOCUMENT_DEPTH_MAX, lists);
        expect_canonical_json(deepest, deepest);
        struct sync_error error;
        struct slice document;
        struct slice deeper = json_struct(nested_json(DOCUMENT_DEPTH_MAX + 1, lists), &arena);
        assert_int_equal(document_normalize(deeper, &arena, &error, &document), SYNC_ERR_INVALID);
        assert_string_equal(error.reason, "DOCUMENT_TOO_DEEP");
    }
}

static void many_members_are_sorted(void **state) {
    (void)state;
    enum { COUNT = 500 };
    struct buffer out;
    buffer_init(&out, 1 << 20);
    for (int i = 0; i < COUNT; i++)
        buffer_append_format(&out, "%c\"%03d\":%d", i == 0 ? '{' : ',', i * 37 % COUNT, i);
    buffer_append_byte(&out, '}');
    struct slice document = json_document(arena_copy_text(&arena, buffer_slice(&out)), &arena);
    buffer_done(&out);
    struct member member, last = {.name = SLICE_EMPTY};
    size_t position = 0, count = 0;
    for (; document_next(document, &position, &member); last = member, count++)
        assert_true(document_name_compare(last.name, member.name) < 0);
    assert_int_equal(count, COUNT);
}

static void walking_shows_every_kind(void **state) {
    (void)state;
    struct slice document = json_document(
        "{\"b\":true,\"l\":[1,\"two\"],\"n\":2.5,\"o\":{\"x\":1},\"s\":\"text\",\"z\":null}",
        &arena);
    static const enum value_kind KINDS[] = {VALUE_BOOL,   VALUE_LIST,   VALUE_NUMBER,
                                            VALUE_OBJECT, VALUE_STRING, VALUE_NULL};
    struct member member;
    struct value value;
    size_t position = 0, count = 0, at = 0;
    while (document_next(document, &position, &member))
        assert_int_equal(member.value.kind, KINDS[count++]);
    assert_int_equal(count, 6);
    assert_true(document_find(document, SLICE("n"), &value) && value.number == 2.5);
    assert_true(document_find(document, SLICE("b"), &value) && value.boolean);
    assert_true(document_find(document, SLICE("s"), &value) &&
                slice_equal(value.text, SLICE("text")));
    assert_true(document_find(document, SLICE("l"), &value));
    struct slice list = value.list;
    assert_true(document_list_next(list, &at, &value) && value.number == 1);
    assert_true(document_list_next(list, &at, &value) && slice_equal(value.text, SLICE("two")));
    assert_false(document_list_next(list, &at, &value));
    assert_false(document_find(document, SLICE("absent"), &value));
}

static void appended_members_are_canonical(void **state) {
    (void)state;
    struct slice document = json_document("{\"a\":[1],\"b\":{\"c\":\"x\"}}", &arena);
    struct buffer out;
    buffer_init(&out, 1 << 20);
    struct member member;
    for (size_t position = 0; document_next(document, &position, &member);)
        document_append_member(&out, member.name, member.value.bytes);
    assert_true(slice_equal(buffer_slice(&out), document));
    buffer_done(&out);
}

static void merge_patches_do_as_rfc_7396_appendix_a_shows(void **state) {
    (void)state;
    static const char *const CASES[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"a\":1}", "{\"a\":{\"b\":[null,{\"c\":null}],\"d\":null}}",
         "{\"a\":{\"b\":[null,{\"c\":null}]}}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct slice result;
        assert_int_equal(document_merge_patch(json_document(CASES[i][0], &arena),
                                              json_document(CASES[i][1], &arena), &arena, &result),
                         SYNC_OK);
        assert_string_equal(json_text(result, &arena), CASES[i][2]);
        assert_true(slice_equal(result, json_document(CASES[i][2], &arena)));
    }
}

static void removals_show_what_another_document_lacks(void **state) {
    (void)state;
    static const struct {
        const char *document, *after;
        bool in_lists;
        const char *removals;
    } CASES[] = {
        {"{\"a\":1,\"b\":{\"c\":1,\"d\":1},\"e\":null}", "{\"b\":{\"d\":2}}", false,
         "{\"a\":null,\"b\":{\"c\":null}}"},
        {"{\"a\":{\"b\":1},\"c\":{\"d\":1}}", "{\"a\":1,\"b\":1,\"c\":{\"d\":1}}", false, "{}"},
        {"{\"a\":[{\"id\":1},{\"id\":2}]}", "{\"a\":[{\"id\":1}]}", false, "{}"},
        {"{\"a\":[{\"b\":1,\"id\":1},{\"c\":2,\"id\":2},{\"d\":3,\"e\":3,\"id\":3}]}",
         "{\"a\":[{\"e\":3,\"id\":3},{\"b\":2,\"id\":1}]}", true,
         "{\"a\":[{\"id\":2},{\"d\":null,\"id\":3}]}"},
        {"{\"a\":[{\"b\":[{\"id\":\"x\"}],\"id\":1}],\"c\":[1,2]}",
         "{\"a\":[{\"b\":[],\"id\":1}],\"c\":[1]}", true,
         "{\"a\":[{\"b\":[{\"id\":\"x\"}],\"id\":1}]}"},
        {"{\"a\":[{\"id\":1},{\"id\":1}]}", "{\"a\":[]}", true, "{}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct slice removals;
        assert_int_equal(document_removals(doc(CASES[i].document), doc(CASES[i].after),
                                           CASES[i].in_lists, &arena, &removals),
                         SYNC_OK);
        assert_document(removals, CASES[i].removals);
        assert_true(slice_equal(removals, doc(CASES[i].removals)));
    }
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct slice input = json_struct("{\"b\":{\"d\":1,\"c\":2},\"a\":[{\"y\":1,\"x\":2}]}", &arena);
    struct slice patch = json_document("{\"b\":{\"c\":null}}", &arena);
    struct slice document, patched;
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status = document_normalize(input, &small, NULL, &document);
        if (!status)
            status = document_merge_patch(document, patch, &small, &patched);
        bool has_failed = memory_walk_end(&walk);
        assert_int_equal(status, has_failed ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        if (!has_failed)
            assert_string_equal(json_text(patched, &arena),
                                "{\"a\":[{\"x\":2,\"y\":1}],\"b\":{\"d\":1}}");
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(members_come_out_in_order_however_they_were_sent),
        ARENA_TEST(names_sort_as_rfc_8785_section_3_2_3_shows),
        ARENA_TEST(values_are_written_as_rfc_8785_section_3_2_2_shows),
        ARENA_TEST(canonical_input_is_returned_as_it_is),
        ARENA_TEST(equal_json_has_equal_bytes_whatever_the_encoding),
        ARENA_TEST(duplicate_names_are_refused_by_path),
        ARENA_TEST(numbers_that_json_cannot_hold_exactly_are_refused),
        ARENA_TEST(numbers_that_are_not_finite_are_refused),
        ARENA_TEST(text_that_is_not_utf8_is_refused),
        ARENA_TEST(bytes_that_are_no_struct_are_refused),
        ARENA_TEST(nesting_has_a_bound),
        ARENA_TEST(many_members_are_sorted),
        ARENA_TEST(walking_shows_every_kind),
        ARENA_TEST(appended_members_are_canonical),
        ARENA_TEST(merge_patches_do_as_rfc_7396_appendix_a_shows),
        ARENA_TEST(removals_show_what_another_document_lacks),
        ARENA_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
