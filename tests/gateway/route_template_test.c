/* Path templates: which are well-formed, and what they match. */
#include <stdio.h>
#include <string.h>

#include "gateway/route_template.h"
#include "tests/gateway/transcode_fixture.h"

static enum sync_status parse(const char *text, struct arena *arena,
                              struct route_template *ret_template) {
    struct sync_error error;
    return route_template_parse(slice_text(text), arena, &error, ret_template);
}

static void templates_are_taken_apart(void **state) {
    struct arena arena;
    struct route_template made;
    (void)state;
    arena_init(&arena, 1 << 16);
    assert_int_equal(parse("/v1/{name=shelves/*/books/**}:read", &arena, &made), SYNC_OK);
    assert_int_equal(made.segment_count, 5);
    assert_int_equal(made.segments[4].kind, ROUTE_SEGMENT_REST);
    assert_int_equal(made.variable_count, 1);
    assert_int_equal(made.variables[0].begin, 1);
    assert_int_equal(made.variables[0].end, 5);
    assert_true(slice_equal(made.verb, SLICE("read")));
    arena_done(&arena);
}

static void malformed_templates_are_refused(void **state) {
    static const char *const CASES[] = {
        "",      "v1",       "/v1/",  "/v1//a",  "/{",        "/{}", "/{a",
        "/{a=}", "/{a={b}}", "/a{b}", "/**/a",   "/{a=**}/b", "/a:", "/a:b/c",
        "/{a}x", "/***",     "/a*",   "/{a=b/}", "/{a=**/b}", "/}",  "/a=b",
    };
    struct arena arena;
    struct route_template made;
    (void)state;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (parse(CASES[i], &arena, &made) != SYNC_ERR_INVALID)
            fail_msg("%s is taken", CASES[i]);
    arena_done(&arena);
}

static void templates_match_whole_paths(void **state) {
    static const struct {
        const char *made, *path;
        bool matches;
    } CASES[] = {
        {"/a", "/a", true},     {"/a", "/a/", false},      {"/a/*", "/a/b", true},
        {"/a/*", "/a", false},  {"/a/**", "/a", true},     {"/a/**", "/a/b/c", true},
        {"/**", "/", true},     {"/*:v", "/x:v", true},    {"/*:v", "/x", false},
        {"/*:v", "/:v", false}, {"/**:v", "/a/b:v", true}, {"/a:v", "/a:w", false},
        {"/", "/", true},       {"/", "/a", false},        {"/a/*/b", "/a/x/b", true},
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct route_template made;
        struct route_path path;
        assert_int_equal(parse(CASES[i].made, &arena, &made), SYNC_OK);
        assert_int_equal(route_path_parse(slice_text(CASES[i].path), &arena, NULL, &path), SYNC_OK);
        if (route_template_matches(&made, &path) != CASES[i].matches)
            fail_msg("%s and %s", CASES[i].made, CASES[i].path);
    }
    arena_done(&arena);
}

static void the_more_special_template_comes_first(void **state) {
    static const char *const RISING[] = {"/a/b:v", "/a/b",  "/a/*:v", "/a/*/c", "/a/*",
                                         "/a",     "/a/**", "/*/b",   "/**"};
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i + 1 < sizeof RISING / sizeof *RISING; i++) {
        struct route_template first, second;
        assert_int_equal(parse(RISING[i], &arena, &first), SYNC_OK);
        assert_int_equal(parse(RISING[i + 1], &arena, &second), SYNC_OK);
        int order = route_template_compare(&first, &second);
        int back = route_template_compare(&second, &first);
        if ((order < 0) != (back > 0) || order == 0)
            fail_msg("%s and %s have no order", RISING[i], RISING[i + 1]);
    }
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_taken_apart),
        cmocka_unit_test(malformed_templates_are_refused),
        cmocka_unit_test(templates_match_whole_paths),
        cmocka_unit_test(the_more_special_template_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
