/* Rules of every kind google.api.http knows: where a request leads, and what it then says. */
#include <stdio.h>
#include <string.h>

#include "gateway/schema_types.h"
#include "sample_routes_descriptor.h"
#include "tests/gateway/transcode_fixture.h"

static struct schema *schema;
static struct route_table *table;

static int table_open_as(enum route_unescape unescape) {
    struct sync_error error;
    enum sync_status status = schema_open(
        slice_of(sample_routes_descriptor, sample_routes_descriptor_size), &error, &schema);
    if (status == SYNC_OK)
        status = route_table_open(schema, unescape, &error, &table);
    if (status)
        print_error("%s\n", error.message);
    return status;
}

static int table_open(void **state) {
    (void)state;
    return table_open_as(ROUTE_UNESCAPE_EXCEPT_SLASH);
}

static int table_close(void **state) {
    (void)state;
    table = route_table_close(table);
    schema = schema_close(schema);
    return 0;
}

/* A request, and what is expected of it. */
struct rule_case {
    const char *verb, *address, *body, *wanted;
};

static void request_read(const struct route *route, const struct transcode_request *request,
                         const struct transcode_options *options, struct buffer *ret_text) {
    struct buffer wire;
    struct sync_error error = {0};
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    enum sync_status status =
        transcode_request_to_wire(schema, route, request, options, &wire, &error);
    if (status == SYNC_OK) {
        buffer_append(ret_text, route->method->name);
        buffer_append_byte(ret_text, ' ');
        status = transcode_to_json(schema, route->method->request, buffer_slice(&wire), ret_text,
                                   &error);
    }
    if (status)
        buffer_append_format(ret_text, "%s: %s", error.field, error.message);
    buffer_done(&wire);
}

/* "Method {the request as JSON}", "field: what is wrong with it", or "STATUS allowed". */
static void request_run(const struct rule_case *one, const struct transcode_options *options,
                        struct buffer *ret_text) {
    const char *question = strchr(one->address, '?');
    size_t size = question ? (size_t)(question - one->address) : strlen(one->address);
    struct transcode_request request = {
        .verb = slice_text(one->verb),
        .path = slice_of(one->address, size),
        .query = slice_text(question ? question + 1 : NULL),
        .body = slice_text(one->body),
        .content_type = SLICE("text/x"),
    };
    struct arena arena;
    struct route route;
    struct slice allowed = SLICE_EMPTY;
    struct sync_error error = {0};
    arena_init(&arena, 1 << 20);
    enum sync_status status = route_match(table, &request, &arena, &route, &allowed, &error);
    if (status == SYNC_OK)
        request_read(&route, &request, options, ret_text);
    else
        buffer_append_format(ret_text, "%s%s%.*s", sync_status_name(status),
                             allowed.size > 0 ? " " : "", (int)allowed.size,
                             allowed.size > 0 ? (const char *)allowed.data : "");
    arena_done(&arena);
}

static void expect_case(const struct rule_case *one, const struct transcode_options *options) {
    struct buffer text;
    buffer_init(&text, FIXTURE_BYTES_MAX);
    request_run(one, options, &text);
    buffer_append_byte(&text, 0);
    if (strcmp((const char *)text.data, one->wanted) != 0)
        fail_msg("%s %s: got %s, not %s", one->verb, one->address, (const char *)text.data,
                 one->wanted);
    buffer_done(&text);
}

static void expect_cases(const struct rule_case *cases, size_t count) {
    static const struct transcode_options STRICT = {.check_required = true};
    for (size_t i = 0; i < count; i++)
        expect_case(&cases[i], &STRICT);
}

#define EXPECT_CASES(cases) expect_cases((cases), sizeof(cases) / sizeof *(cases))

static void a_verb_of_its_own_comes_before_any_verb(void **state) {
    static const struct rule_case CASES[] = {
        {"GET", "/any/x", NULL, "AnyGet {\"a\":\"x\"}"},
        {"HEAD", "/any/x", NULL, "AnyGet {\"a\":\"x\"}"},
        {"POST", "/any/x", NULL, "Any {\"a\":\"x\"}"},
        {"BREW", "/any/x", NULL, "Any {\"a\":\"x\"}"},
        {"HEAD", "/heads/x", NULL, "Head {\"a\":\"x\"}"},
        {"OPTIONS", "/heads/x", NULL, "Head {\"a\":\"x\"}"},
        {"TARGET", "/heads/x", NULL, "Head {\"a\":\"x\"}"},
        {"GET", "/heads/x", NULL, "HeadGet {\"a\":\"x\"}"},
        {"get", "/heads/x", NULL, "UNIMPLEMENTED GET, HEAD, OPTIONS, TARGET"},
        {"POST", "/rest/x", NULL, "UNIMPLEMENTED GET, HEAD, OPTIONS"},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

static void stars_take_segments(void **state) {
    static const struct rule_case CASES[] = {
        {"GET", "/rest", NULL, "Rest {}"},
        {"GET", "/rest/", NULL, "Rest {}"},
        {"GET", "/rest//", NULL, "Rest {\"a\":\"/\"}"},
        {"GET", "/rest/x/../y/.", NULL, "Rest {\"a\":\"x/../y/.\"}"},
        {"GET", "/rest/x;v=1,2/y", NULL, "Rest {\"a\":\"x;v=1,2/y\"}"},
        {"GET", "/rest/x/y:list", NULL, "Rest {\"a\":\"x/y\"}"},
        {"GET", "/rest:list", NULL, "Rest {}"},
        {"GET", "/rest/x:y:list", NULL, "Rest {\"a\":\"x:y\"}"},
        {"GET", "/rest/x:y", NULL, "Rest {\"a\":\"x:y\"}"},
        {"GET", "/rest/x%3Alist", NULL, "Rest {\"a\":\"x:list\"}"},
        {"GET", "/named/x/1/y", NULL, "Rest {\"a\":\"x/1/y\"}"},
        {"GET", "/named/x/1/y/2/3", NULL, "Rest {\"a\":\"x/1/y/2/3\"}"},
        {"GET", "/named/x//y", NULL, "NOT_FOUND"},
        {"GET", "/named/z/1/y", NULL, "NOT_FOUND"},
        {"GET", "/deep/x/1/y/2", NULL,
         "Deep {\"b\":\"2\",\"inner\":{\"below\":{\"name\":\"x/1/y\"}}}"},
        {"GET", "/deep/x/1/y/2/", NULL, "NOT_FOUND"},
        {"GET", "/deep/x/1/y//", NULL, "NOT_FOUND"},
        {"GET", "//deep/x/1/y/2", NULL, "NOT_FOUND"},
        {"GET", "/deep/./x/1/y/2", NULL, "NOT_FOUND"},
        {"GET", "/stars/1/2", NULL, "Deep {\"a\":\"2\"}"},
        {"GET", "/stars/1/2/3/4", NULL, "Deep {\"a\":\"2\"}"},
        {"GET", "/stars//2", NULL, "NOT_FOUND"},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

/* One segment is decoded wholly, several by the rule that the operator chose. */
static void encoded_slashes_go_by_the_rule(void **state) {
    static const struct {
        enum route_unescape unescape;
        const char *wanted;
    } RULES[] = {
        {ROUTE_UNESCAPE_EXCEPT_SLASH, "Rest {\"a\":\"x%2Fy%2f z:;@/é\"}"},
        {ROUTE_UNESCAPE_EXCEPT_RESERVED, "Rest {\"a\":\"x%2Fy%2f z%3A%3b%40/é\"}"},
        {ROUTE_UNESCAPE_ALL, "Rest {\"a\":\"x/y/ z:;@/é\"}"},
    };
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        table_close(state);
        assert_int_equal(table_open_as(RULES[i].unescape), 0);
        const struct rule_case cases[] = {
            {"GET", "/rest/x%2Fy%2f%20z%3A%3b%40/%C3%A9", NULL, RULES[i].wanted},
            {"GET", "/any/x%2Fy%3A", NULL, "AnyGet {\"a\":\"x/y:\"}"},
            {"GET", "/any/%2F", NULL, "AnyGet {\"a\":\"/\"}"},
            {"GET", "/any%2Fx", NULL, "NOT_FOUND"},
            {"GET", "/rest/%c3", NULL, "INVALID"},
            {"GET", "/rest/%0", NULL, "INVALID"},
            {"GET", "/%61ny/x", NULL, "AnyGet {\"a\":\"x\"}"},
        };
        EXPECT_CASES(cases);
    }
    table_close(state);
    assert_int_equal(table_open(state), 0);
}

static void a_body_may_be_any_field(void **state) {
    static const struct rule_case CASES[] = {
        {"POST", "/body/numbers/x", "[1,2,3]", "BodyList {\"a\":\"x\",\"numbers\":[1,2,3]}"},
        {"POST", "/body/numbers/x?b=y", "[]", "BodyList {\"a\":\"x\",\"b\":\"y\"}"},
        {"POST", "/body/numbers/x", "", "BodyList {\"a\":\"x\"}"},
        {"POST", "/body/numbers/x", "[1,\"no\"]",
         "[1]: expected an integer from -2147483648 to 2147483647"},
        {"POST", "/body/numbers/x?numbers=1", "[1]", "numbers: there is no such query parameter"},
        {"POST", "/body/inners", "[{\"name\":\"n\"},{}]",
         "BodyList {\"inners\":[{\"name\":\"n\"},{}]}"},
        {"POST", "/body/map", "{\"k\":\"v\"}", "BodyList {\"map\":{\"k\":\"v\"}}"},
        {"POST", "/body/flag", "true", "BodyList {\"flag\":true}"},
        {"POST", "/body/a", "\"text\"", "BodyList {\"a\":\"text\"}"},
        {"POST", "/body/a", "null", ": expected a string, not null"},
        {"POST", "/body/color", "\"blue\"", "BodyList {\"color\":\"blue\"}"},
        {"POST", "/body/value", "null", "BodyList {\"value\":null}"},
        {"POST", "/body/value", "[1,{}]", "BodyList {\"value\":[1,{}]}"},
        {"POST", "/body/time", "\"2026-01-02T03:04:05Z\"",
         "BodyList {\"time\":\"2026-01-02T03:04:05Z\"}"},
        {"POST", "/body/long", "\"7\"", "BodyList {\"longValue\":\"7\"}"},
        {"POST", "/body/file", "{ raw",
         "BodyList {\"file\":{\"contentType\":\"text/x\",\"data\":\"eyByYXc=\"}}"},
        {"POST", "/body/none", "{}", ": the request takes no body"},
        {"POST", "/body/none?a=x", "", "BodyList {\"a\":\"x\"}"},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

/* google/api/http.proto: what the path binds is not the body's to say. */
static void the_path_wins_against_the_body(void **state) {
    static const struct rule_case CASES[] = {
        {"POST", "/body/all/x", "{\"inner\":{\"name\":\"other\",\"size\":1},\"a\":\"y\"}",
         "BodyList {\"a\":\"y\",\"inner\":{\"name\":\"x\",\"size\":1}}"},
        {"POST", "/body/all/x", "{\"a\":\"y\"}",
         "BodyList {\"a\":\"y\",\"inner\":{\"name\":\"x\"}}"},
        {"POST", "/body/all/x", "{\"inner\":null}", "BodyList {\"inner\":{\"name\":\"x\"}}"},
        {"PATCH", "/body/inner/x", "{\"name\":\"other\"}",
         "BodyList {\"inner\":{\"name\":\"x\"},\"updateMask\":\"name\"}"},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

static void a_patch_names_paths_down_to_lists_and_maps(void **state) {
    static const struct rule_case CASES[] = {
        {"PATCH", "/body/inner/x",
         "{\"below\":{\"size\":2,\"below\":{\"tags\":[\"t\"]}},\"counts\":{\"k\":1},"
         "\"data\":{\"d\":{\"e\":1}},\"tags\":[]}",
         "BodyList {\"inner\":{\"name\":\"x\",\"below\":{\"size\":2,\"below\":{\"tags\":[\"t\"]}},"
         "\"counts\":{\"k\":1},\"data\":{\"d\":{\"e\":1}}},"
         "\"updateMask\":\"below.size,below.below.tags,counts,data,tags\"}"},
        {"PATCH", "/body/inner/x?update_mask=size,below.name", "{\"size\":1}",
         "BodyList {\"inner\":{\"name\":\"x\",\"size\":1},\"updateMask\":\"size,below.name\"}"},
        {"PATCH", "/body/inner/x?updateMask=", "{\"size\":1}",
         "BodyList {\"inner\":{\"name\":\"x\",\"size\":1},\"updateMask\":\"size\"}"},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

static void a_query_fills_fields_of_every_kind(void **state) {
    static const struct rule_case CASES[] = {
        {"GET", "/any/x?inner.below.size=3&inner.name=n", NULL,
         "AnyGet {\"a\":\"x\",\"inner\":{\"name\":\"n\",\"below\":{\"size\":3}}}"},
        {"GET", "/any/x?inner.tags=1&inner.tags=2&numbers=-1&numbers=2", NULL,
         "AnyGet {\"a\":\"x\",\"inner\":{\"tags\":[\"1\",\"2\"]},\"numbers\":[-1,2]}"},
        {"GET", "/any/x?color=blue&colors=COLOR_RED&colors=2&colors=red", NULL,
         "AnyGet {\"a\":\"x\",\"color\":\"blue\",\"colors\":[\"red\",\"blue\",\"red\"]}"},
        {"GET", "/any/x?long_value=5&textValue=t", NULL,
         "AnyGet {\"a\":\"x\",\"longValue\":\"5\",\"textValue\":\"t\"}"},
        {"GET", "/any/x?textValue=", NULL, "AnyGet {\"a\":\"x\",\"textValue\":\"\"}"},
        {"GET", "/any/x?time=2026-01-02T03:04:05.5Z&span=1.5s&updateMask=a,longValue", NULL,
         "AnyGet {\"a\":\"x\",\"time\":\"2026-01-02T03:04:05.500Z\",\"span\":\"1.500s\","
         "\"updateMask\":\"a,longValue\"}"},
        {"GET", "/any/x?data=-_8&flag=true&left_side=1&maybe=", NULL,
         "AnyGet {\"a\":\"x\",\"data\":\"+/8=\",\"flag\":true,\"leftSide\":\"1\",\"maybe\":\"\"}"},
        {"GET", "/any/x?rightSide=a%26b+c", NULL, "AnyGet {\"a\":\"x\",\"rightSide\":\"a&b c\"}"},
        {"GET", "/any/x?", NULL, "AnyGet {\"a\":\"x\"}"},
        {"GET", "/any/x?&&", NULL, "AnyGet {\"a\":\"x\"}"},
        {"GET", "/any/x?leftSide=1&rightSide=2", NULL,
         "rightSide: another field of the same choice is there already"},
        {"GET", "/any/x?b=1&b=2", NULL, "b: the parameter is there twice"},
        {"GET", "/any/x?inner.name=1&inner.name=2", NULL,
         "inner.name: the parameter is there twice"},
        {"GET", "/any/x?map.k=v", NULL, "map: a map cannot be given as a query parameter"},
        {"GET", "/any/x?map=v", NULL, "map: a map cannot be given as a query parameter"},
        {"GET", "/any/x?map[k]=v", NULL, "[\"map[k]\"]: there is no such query parameter"},
        {"GET", "/any/x?inners.name=v", NULL,
         "inners: a list of messages cannot be given as a query parameter"},
        {"GET", "/any/x?inner=v", NULL, "inner: there is no such query parameter"},
        {"GET", "/any/x?inner.=v", NULL, "inner.?: there is no such query parameter"},
        {"GET", "/any/x?.a=v", NULL, "[\".a\"]: there is no such query parameter"},
        {"GET", "/any/x?a=y", NULL, "a: the address has it in its path already"},
        {"GET", "/any/x?nothing=1", NULL, "nothing: there is no such query parameter"},
        {"GET", "/any/x?flag=yes", NULL, "flag: expected true or false"},
        {"GET", "/any/x?color=green", NULL, "color: expected one of \"red\", \"blue\""},
    };
    (void)state;
    EXPECT_CASES(CASES);
}

static void unknown_parameters_may_be_ignored(void **state) {
    static const struct transcode_options LENIENT = {.ignore_unknown_query = true};
    static const struct rule_case QUERY = {"GET", "/any/x?utm_source=m&inner.none=1&b=y", NULL,
                                           "AnyGet {\"a\":\"x\",\"b\":\"y\"}"};
    static const struct rule_case BODY = {"POST", "/body/all/x?utm=1", "{\"nothing\":1}",
                                          "nothing: there is no such field"};
    (void)state;
    expect_case(&QUERY, &LENIENT);
    expect_case(&BODY, &LENIENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verb_of_its_own_comes_before_any_verb),
        cmocka_unit_test(stars_take_segments),
        cmocka_unit_test(encoded_slashes_go_by_the_rule),
        cmocka_unit_test(a_body_may_be_any_field),
        cmocka_unit_test(the_path_wins_against_the_body),
        cmocka_unit_test(a_patch_names_paths_down_to_lists_and_maps),
        cmocka_unit_test(a_query_fills_fields_of_every_kind),
        cmocka_unit_test(unknown_parameters_may_be_ignored),
    };
    return cmocka_run_group_tests(tests, table_open, table_close);
}
