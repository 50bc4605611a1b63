/* Routes: which method a request reaches, and with what. */
#include <stdio.h>
#include <string.h>

#include "sample_conflict_descriptor.h"
#include "sample_wrong_descriptor.h"
#include "sync_descriptor.h"
#include "tests/gateway/transcode_fixture.h"

static struct route_table *table;

static int table_open(void **state) {
    struct sync_error error;
    return fixture_open(state) ||
           route_table_open(fixture_schema(), ROUTE_UNESCAPE_EXCEPT_SLASH, &error, &table);
}

static int table_close(void **state) {
    table = route_table_close(table);
    return fixture_close(state);
}

/* The method's name and bindings, "GetItem id=x", or the status's name. */
static void expect_route(const struct route_table *in, const char *verb, const char *path,
                         const char *accept, const char *wanted) {
    struct arena arena;
    struct sync_error error = {0};
    struct route route;
    struct slice allowed = SLICE_EMPTY;
    char got[256];
    arena_init(&arena, 1 << 16);
    struct transcode_request request = {
        .verb = slice_text(verb), .path = slice_text(path), .accept = slice_text(accept)};
    enum sync_status status = route_match(in, &request, &arena, &route, &allowed, &error);
    int used = status ? snprintf(got, sizeof got, "%s%s%.*s", sync_status_name(status),
                                 allowed.size ? " " : "", (int)allowed.size,
                                 allowed.size ? (const char *)allowed.data : "")
                      : snprintf(got, sizeof got, "%.*s", (int)route.method->name.size,
                                 route.method->name.data);
    for (size_t i = 0; status == SYNC_OK && i < route.binding_count; i++)
        used += snprintf(got + used, sizeof got - (size_t)used, " %.*s=%.*s",
                         (int)route.bindings[i].field_path.size, route.bindings[i].field_path.data,
                         (int)route.bindings[i].value.size, route.bindings[i].value.data);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s %s: got %s, not %s", verb, path, got, wanted);
    arena_done(&arena);
}

static void a_request_finds_its_method(void **state) {
    static const struct {
        const char *verb, *path, *wanted;
    } CASES[] = {
        {"GET", "/v1/items/x", "GetItem id=x"},
        {"GET", "/v1/items/special", "GetSpecial"},
        {"GET", "/v1/items/x/events", "WatchItem id=x"},
        {"GET", "/v1/colors/red/items/7", "GetItem part.name=red id=7"},
        {"PATCH", "/v1/items/x", "UpdateItem item.id=x"},
        {"POST", "/v1/items:batch", "PutBatch"},
        {"POST", "/v1/items/x:undo", "UndoItem id=x"},
        {"POST", "/v1/items/a:b:undo", "UndoItem id=a:b"},
        {"GET", "/v1/items/a:b", "GetItem id=a:b"},
        {"GET", "/v1/files/a", "GetFile path=a"},
        {"GET", "/v1/files/a/b/c", "GetFile path=a/b/c"},
        {"GET", "/v1/files/", "GetFile path="},
        {"GET", "/v1/files", "GetFile path="},
        {"GET", "/v1/shelves/1/books/2/pages/3", "GetShelf parent=shelves/1/books/2 id=3"},
        {"LIST", "/v1/notes", "ListNotes"},
        {"GET", "/v1/items", "NOT_FOUND"},
        {"GET", "/v1/items/", "NOT_FOUND"},
        {"GET", "/v1/items//events", "NOT_FOUND"},
        {"GET", "/v1/items/x/", "NOT_FOUND"},
        {"GET", "/", "NOT_FOUND"},
        {"GET", "", "NOT_FOUND"},
        {"GET", "v1/items/x", "NOT_FOUND"},
        {"GET", "/V1/items/x", "NOT_FOUND"},
        {"DELETE", "/v1/items/x", "UNIMPLEMENTED GET, HEAD, PATCH, OPTIONS"},
        {"PUT", "/v1/items:batch", "UNIMPLEMENTED POST, OPTIONS"},
        {"POST", "/v1/items/x:unheard", "UNIMPLEMENTED GET, HEAD, PATCH, OPTIONS"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_route(table, CASES[i].verb, CASES[i].path, "", CASES[i].wanted);
}

static void segments_are_decoded(void **state) {
    (void)state;
    expect_route(table, "GET", "/v1/items/a%20b%C3%A9", "", "GetItem id=a bé");
    expect_route(table, "GET", "/v1/items/a%2Fb", "", "GetItem id=a/b");
    expect_route(table, "GET", "/v1/files/a%2fb/c%20d", "", "GetFile path=a%2fb/c d");
    expect_route(table, "GET", "/v1/%69tems/x+y", "", "GetItem id=x+y");
    expect_route(table, "POST", "/v1/items/x%3Aundo", "",
                 "UNIMPLEMENTED GET, HEAD, PATCH, OPTIONS");
    expect_route(table, "GET", "/v1/items/%", "", "INVALID");
    expect_route(table, "GET", "/v1/items/%4", "", "INVALID");
    expect_route(table, "GET", "/v1/items/%zz", "", "INVALID");
    expect_route(table, "GET", "/v1/items/%ff", "", "INVALID");
}

static void accept_tells_methods_of_one_path_apart(void **state) {
    (void)state;
    expect_route(table, "GET", "/v1/pictures/7", "", "DescribePicture path=7");
    expect_route(table, "GET", "/v1/pictures/7", "*/*", "DescribePicture path=7");
    expect_route(table, "GET", "/v1/pictures/7", "image/png", "GetPicture id=7");
    expect_route(table, "GET", "/v1/pictures/7", "text/html, IMAGE/PNG ;q=0.5", "GetPicture id=7");
    expect_route(table, "GET", "/v1/pictures/7", "image/png2", "DescribePicture path=7");
}

static void the_api_routes_as_documented(void **state) {
    static const char *const BUNDLE = "application/vnd.travelsense.bundle";
    struct schema *schema;
    struct route_table *routes;
    struct sync_error error;
    (void)state;
    assert_int_equal(schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema),
                     SYNC_OK);
    assert_int_equal(route_table_open(schema, ROUTE_UNESCAPE_EXCEPT_SLASH, &error, &routes),
                     SYNC_OK);
    expect_route(routes, "GET", "/api/offline/bundle", "application/json", "GetBundle");
    expect_route(routes, "GET", "/api/offline/bundle", BUNDLE, "DownloadBundle");
    expect_route(routes, "GET", "/api/offline/bundle/b1", "", "DownloadBundle bundle_id=b1");
    expect_route(routes, "POST", "/api/offline/conflicts/resolve", "", "ResolveConflict");
    expect_route(routes, "POST", "/api/offline/conflicts/c1:undo", "",
                 "UndoResolution conflict_id=c1");
    expect_route(routes, "POST", "/api/offline/sync/s:cancel", "", "CancelSyncOperation sync_id=s");
    expect_route(routes, "GET", "/api/offline/conflicts/resolve", "",
                 "UNIMPLEMENTED POST, OPTIONS");
    expect_route(routes, "GET", "/api/offline/conflicts/c1:undo", "",
                 "UNIMPLEMENTED POST, OPTIONS");
    expect_route(routes, "GET", "/api/offline/conflicts/c1", "", "GetConflict conflict_id=c1");
    expect_route(routes, "PUT", "/api/offline/config", "",
                 "UNIMPLEMENTED GET, HEAD, PATCH, OPTIONS");
    route_table_close(routes);
    schema_close(schema);
}

/* Opens a set whose rules are wrong; the sentence has all the parts. */
static void expect_refused_table(struct slice set, const char *const *parts) {
    struct schema *schema;
    struct route_table *routes = NULL;
    struct sync_error error;
    assert_int_equal(schema_open(set, &error, &schema), SYNC_OK);
    assert_int_equal(route_table_open(schema, ROUTE_UNESCAPE_EXCEPT_SLASH, &error, &routes),
                     SYNC_ERR_INVALID);
    assert_null(routes);
    for (; *parts; parts++)
        if (!strstr(error.message, *parts))
            fail_msg("%s: no %s", error.message, *parts);
    schema_close(schema);
}

static void conflicting_rules_are_refused_by_both_names(void **state) {
    static const char *const BOTH[] = {"/v1/{a}/x\" of /sample.conflict.First/One",
                                       "/v1/{b=*}/x\" of /sample.conflict.Second/Two", NULL};
    static const char *const MISSING[] = {"/sample.wrong.Wrong/One", "\"missing\"", NULL};
    (void)state;
    expect_refused_table(slice_of(sample_conflict_descriptor, sample_conflict_descriptor_size),
                         BOTH);
    expect_refused_table(slice_of(sample_wrong_descriptor, sample_wrong_descriptor_size), MISSING);
}

static void the_table_prints_in_the_order_tried(void **state) {
    struct buffer out;
    (void)state;
    buffer_init(&out, FIXTURE_BYTES_MAX);
    route_table_print(table, &out);
    buffer_append_byte(&out, 0);
    const char *special = strstr((char *)out.data, "GET /v1/items/special -> /sample.v1.Item");
    const char *any =
        strstr((char *)out.data, "GET /v1/items/{id} -> /sample.v1.ItemService/GetItem");
    assert_non_null(special);
    assert_non_null(any);
    assert_true(special < any);
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_finds_its_method),
        cmocka_unit_test(segments_are_decoded),
        cmocka_unit_test(accept_tells_methods_of_one_path_apart),
        cmocka_unit_test(the_api_routes_as_documented),
        cmocka_unit_test(conflicting_rules_are_refused_by_both_names),
        cmocka_unit_test(the_table_prints_in_the_order_tried),
    };
    return cmocka_run_group_tests(tests, table_open, table_close);
}
