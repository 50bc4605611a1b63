/* REST requests as messages, their faults, and responses as bodies and headers. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
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

/* One request and what becomes of it. */
struct exchange {
    const char *verb, *address, *body, *trace;
    struct transcode_options options;
    struct arena arena;
    struct route route;
    struct buffer wire, json;
    struct sync_error error;
    struct transcode_faults faults;
    enum sync_status status;
};

static void exchange_done(struct exchange *exchange) {
    buffer_done(&exchange->wire);
    buffer_done(&exchange->json);
    arena_done(&exchange->arena);
}

static void exchange_run(struct exchange *exchange) {
    struct transcode_header header = {SLICE("x-trace"), slice_text(exchange->trace)};
    const char *question = strchr(exchange->address, '?');
    size_t size = question ? (size_t)(question - exchange->address) : strlen(exchange->address);
    struct transcode_request request = {
        .verb = slice_text(exchange->verb),
        .path = slice_of(exchange->address, size),
        .query = slice_text(question ? question + 1 : NULL),
        .body = slice_text(exchange->body),
        .content_type = SLICE("text/plain"),
        .headers = &header,
        .header_count = exchange->trace ? 1 : 0,
    };
    struct slice allowed;
    arena_init(&exchange->arena, 8 << 20);
    buffer_init(&exchange->wire, FIXTURE_BYTES_MAX);
    buffer_init(&exchange->json, FIXTURE_BYTES_MAX);
    exchange->faults.arena = &exchange->arena;
    exchange->faults.count_max = BATCH_FAULTS_MAX;
    assert_int_equal(route_match(table, &request, &exchange->arena, &exchange->route, &allowed,
                                 &exchange->error),
                     SYNC_OK);
    exchange->status =
        transcode_request_to_wire(fixture_schema(), &exchange->route, &request, &exchange->options,
                                  &exchange->wire, &exchange->error);
}

/* The request is this message, as JSON. */
static void expect_request(const char *verb, const char *address, const char *body,
                           const char *json) {
    struct exchange exchange = {
        .verb = verb, .address = address, .body = body, .trace = "t", .options = {0}};
    exchange_run(&exchange);
    if (exchange.status)
        fail_msg("%s %s: %s: %s", verb, address, exchange.error.field, exchange.error.message);
    assert_int_equal(transcode_to_json(fixture_schema(), exchange.route.method->request,
                                       buffer_slice(&exchange.wire), &exchange.json,
                                       &exchange.error),
                     SYNC_OK);
    buffer_append_byte(&exchange.json, 0);
    if (strcmp((char *)exchange.json.data, json) != 0)
        fail_msg("%s %s: got %s, not %s", verb, address, (char *)exchange.json.data, json);
    exchange_done(&exchange);
}

static void expect_request_refused(const char *verb, const char *address, const char *body,
                                   const char *path, const char *part) {
    struct exchange exchange = {
        .verb = verb, .address = address, .body = body, .options = {.check_required = true}};
    exchange_run(&exchange);
    if (exchange.status != SYNC_ERR_INVALID || strcmp(exchange.error.field, path) != 0 ||
        !strstr(exchange.error.message, part))
        fail_msg("%s %s: %s: %s: %s", verb, address, sync_status_name(exchange.status),
                 exchange.error.field, exchange.error.message);
    exchange_done(&exchange);
}

static void path_query_and_headers_fill_fields(void **state) {
    (void)state;
    expect_request("GET", "/v1/items/a%20b", NULL, "{\"id\":\"a b\",\"trace\":\"t\"}");
    expect_request("GET",
                   "/v1/items/x?colors=red,navy&colors=negative&sizes=1&sizes=2&part.name=n"
                   "&part.size=5&deep=true&since=2026-03-29&weight=1.5",
                   NULL,
                   "{\"id\":\"x\",\"colors\":[\"red\",\"deep-blue\",\"negative\"],\"sizes\":[1,2],"
                   "\"part\":{\"name\":\"n\",\"size\":5},\"deep\":true,"
                   "\"since\":\"2026-03-29T00:00:00Z\",\"trace\":\"t\",\"weight\":1.5}");
    expect_request("GET", "/v1/items/x?part.size=1&weight=2&part.name=a+b%26&&", NULL,
                   "{\"id\":\"x\",\"part\":{\"name\":\"a b&\",\"size\":1},\"trace\":\"t\","
                   "\"weight\":2}");
    expect_request("GET", "/v1/items/x?trace=q&deep=false&colors=", NULL,
                   "{\"id\":\"x\",\"deep\":false,\"trace\":\"q\"}");
    expect_request("GET", "/v1/colors/red/items/7?part.size=2", NULL,
                   "{\"id\":\"7\",\"part\":{\"name\":\"red\",\"size\":2},\"trace\":\"t\"}");
    expect_request("GET", "/v1/items/x", "ignored {", "{\"id\":\"x\",\"trace\":\"t\"}");
}

static void what_is_not_given_has_the_default_of_http(void **state) {
    (void)state;
    expect_request("GET", "/v1/digests?sum=00fF", NULL,
                   "{\"sum\":\"00ff\",\"color\":\"red\",\"count\":7}");
    expect_request("GET", "/v1/digests?color=deep-blue&count=0", NULL, "{\"color\":\"deep-blue\"}");
    expect_request("POST", "/v1/digests", "{\"sum\":\"0A\",\"parts\":[\"\",\"0b\"]}",
                   "{\"sum\":\"0a\",\"parts\":[\"\",\"0b\"]}");
    expect_request_refused("GET", "/v1/digests?sum=0", NULL, "sum", "hexadecimal digits");
    expect_request_refused("POST", "/v1/digests", "{\"parts\":[\"AAEC\",\"+/8=\"]}", "parts[1]",
                           "hexadecimal digits");
    expect_request_refused("POST", "/v1/digests", "{\"sum\":5}", "sum", "hexadecimal text");
}

static void wrong_parameters_are_named(void **state) {
    static const struct {
        const char *address, *path, *part;
    } CASES[] = {
        {"/v1/items/x?unheard=1", "unheard", "no such query parameter"},
        {"/v1/items/x?part=1", "part", "no such query parameter"},
        {"/v1/items/x?part.unheard=1", "part.unheard", "no such query parameter"},
        {"/v1/items/x?object=1", "object", "no such query parameter"},
        {"/v1/items/x?=1", "?", "no such query parameter"},
        {"/v1/items/x?id=y", "id", "in its path already"},
        {"/v1/items/x?weight=1&weight=2", "weight", "twice"},
        {"/v1/items/x?weight=much", "weight", "expected a number"},
        {"/v1/items/x?sizes=1&sizes=b", "sizes[1]", "expected an integer"},
        {"/v1/items/x?colors=red,green", "colors[1]", "expected one of"},
        {"/v1/items/x?deep=yes", "deep", "expected true or false"},
        {"/v1/items/x?since=never", "since", "ISO 8601"},
        {"/v1/items/x?weight=%zz", "", "two hexadecimal digits"},
        {"/v1/items/x?trace=%ff", "", "not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_request_refused("GET", CASES[i].address, NULL, CASES[i].path, CASES[i].part);
}

static void the_body_fills_the_message_or_a_field(void **state) {
    (void)state;
    expect_request("POST", "/v1/items:batch", "{\"owner\":\"o\"}", "{\"owner\":\"o\"}");
    expect_request("POST", "/v1/items:batch", "", "{}");
    expect_request("POST", "/v1/items:batch", " \n", "{}");
    expect_request("POST", "/v1/items/x:undo", "{\"weight\":1,\"part\":{\"size\":1}}",
                   "{\"id\":\"x\",\"part\":{\"size\":1},\"trace\":\"t\",\"weight\":1}");
    expect_request("POST", "/v1/items/x:undo", "{\"id\":\"other\"}",
                   "{\"id\":\"x\",\"trace\":\"t\"}");
    expect_request_refused("POST", "/v1/items:batch?owner=o", "{}", "owner", "no such query");
    expect_request_refused("POST", "/v1/items:batch", "[]", "", "expected an object");
}

static void a_patch_names_what_its_body_names(void **state) {
    (void)state;
    expect_request("PATCH", "/v1/items/x", "{\"count\":5,\"part\":{\"size\":1},\"at\":null}",
                   "{\"item\":{\"id\":\"x\",\"count\":5,\"tags\":[],\"ready\":false,"
                   "\"part\":{\"size\":1}},\"updateMask\":\"count,part.size,at\"}");
    expect_request("PATCH", "/v1/items/x?update_mask=tags&note=n", "{\"count\":5}",
                   "{\"item\":{\"id\":\"x\",\"count\":5,\"tags\":[],\"ready\":false},"
                   "\"updateMask\":\"tags\",\"note\":\"n\"}");
    expect_request("PATCH", "/v1/items/x", "{\"part\":{}}",
                   "{\"item\":{\"id\":\"x\",\"count\":0,\"tags\":[],\"ready\":false,\"part\":{}},"
                   "\"updateMask\":\"part\"}");
    expect_request("PATCH", "/v1/items/x", "{}",
                   "{\"item\":{\"id\":\"x\",\"count\":0,\"tags\":[],\"ready\":false}}");
    expect_request_refused("PATCH", "/v1/items/x?item.count=1", "{}", "item.count",
                           "no such query");
}

/* What the path sets inside the body's field is written inside it, not as a second piece. */
static void a_sub_message_is_never_split(void **state) {
    struct exchange exchange = {.verb = "PATCH", .address = "/v1/items/x", .body = "{\"count\":5}"};
    struct wire_field field;
    size_t pieces = 0;
    (void)state;
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_OK);
    struct wire_reader reader = wire_reader_of(buffer_slice(&exchange.wire));
    while (!wire_at_end(&reader)) {
        assert_true(wire_read(&reader, &field));
        pieces += field.number == 1;
    }
    assert_int_equal(pieces, 1);
    exchange_done(&exchange);
}

static void raw_bodies_stay_as_they_are(void **state) {
    (void)state;
    expect_request("PUT", "/v1/raw", "{not json",
                   "{\"contentType\":\"text/plain\",\"data\":\"e25vdCBqc29u\"}");
    expect_request("PUT", "/v1/raw/n", "ab",
                   "{\"name\":\"n\",\"file\":{\"contentType\":\"text/plain\",\"data\":\"YWI=\"}}");
}

static void required_fields_may_come_from_anywhere(void **state) {
    (void)state;
    struct exchange exchange = {.verb = "POST",
                                .address = "/v1/items/x:undo",
                                .body = "{}",
                                .options = {.check_required = true}};
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_OK);
    exchange_done(&exchange);
    expect_request_refused("POST", "/v1/items:batch", "", "items", "is required");
    expect_request_refused("POST", "/v1/items:batch", "{\"items\":null}", "items", "is required");
    expect_request_refused("POST", "/v1/items:batch", "{\"items\":[{\"id\":\"x\"}]}",
                           "items[0].color", "is required");
    expect_request_refused("PATCH", "/v1/items/x?note=n", "null", "", "expected an object");
}

static void a_patch_may_leave_required_fields_out(void **state) {
    (void)state;
    struct exchange exchange = {.verb = "PATCH",
                                .address = "/v1/items/x",
                                .body = "{\"count\":1}",
                                .options = {.check_required = true}};
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_OK);
    exchange_done(&exchange);
}

static void all_faults_are_named_at_once(void **state) {
    static const char *const WANTED[][2] = {
        {"items[0].color", "INVALID_VALUE"},   {"items[0].unheard", "UNKNOWN_FIELD"},
        {"items[0].id", "REQUIRED"},           {"items[1].at", "INVALID_VALUE"},
        {"items[1].color", "REQUIRED"},        {"items[2]", "INVALID_VALUE"},
        {"items[3].data.a", "INVALID_VALUE"},  {"items[3].data.b.c", "DUPLICATE_FIELD"},
        {"items[3].tags[1]", "INVALID_VALUE"}, {"owner", "INVALID_VALUE"},
    };
    struct exchange exchange = {
        .verb = "POST",
        .address = "/v1/items:batch",
        .body = "{\"items\":[{\"color\":\"green\",\"unheard\":{\"x\":[1]},\"count\":3},"
                "{\"id\":\"b\",\"at\":\"never\"},7,"
                "{\"id\":\"d\",\"color\":\"red\",\"data\":{\"a\":9007199254740993,"
                "\"b\":{\"c\":1,\"c\":2,\"d\":3}},\"tags\":[\"x\",5,\"y\"]}],\"owner\":[1]}",
        .options = {.check_required = true}};
    (void)state;
    exchange.options.faults = &exchange.faults;
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_OK);
    assert_int_equal(exchange.faults.count, sizeof WANTED / sizeof *WANTED);
    for (size_t i = 0; i < exchange.faults.count; i++) {
        const struct transcode_fault *fault = &exchange.faults.list[i];
        if (!slice_equal(fault->path, slice_text(WANTED[i][0])))
            fail_msg("%.*s, not %s", (int)fault->path.size, fault->path.data, WANTED[i][0]);
        assert_string_equal(fault->reason, WANTED[i][1]);
        assert_true(fault->description.size > 0);
    }
    assert_int_equal(transcode_to_json(fixture_schema(), fixture_message("Batch"),
                                       buffer_slice(&exchange.wire), &exchange.json,
                                       &exchange.error),
                     SYNC_OK);
    buffer_append_byte(&exchange.json, 0);
    assert_string_equal((char *)exchange.json.data,
                        "{\"items\":[{\"count\":3,\"tags\":[],\"ready\":false},"
                        "{\"id\":\"b\",\"count\":0,\"tags\":[],\"ready\":false},"
                        "{\"count\":0,\"tags\":[],\"ready\":false},"
                        "{\"id\":\"d\",\"color\":\"red\",\"count\":0,"
                        "\"tags\":[\"x\",\"\",\"y\"],"
                        "\"data\":{\"b\":{\"c\":1,\"d\":3}},\"ready\":false}]}");
    exchange_done(&exchange);
}

static void faults_beyond_the_bound_are_counted(void **state) {
    struct buffer body;
    (void)state;
    buffer_init(&body, FIXTURE_BYTES_MAX);
    buffer_append(&body, SLICE("{\"items\":["));
    for (int i = 0; i < BATCH_FAULTS_MAX + 50; i++)
        buffer_append(&body, i ? SLICE(",1") : SLICE("1"));
    buffer_append(&body, SLICE("]}\0"));
    struct exchange exchange = {
        .verb = "POST", .address = "/v1/items:batch", .body = (const char *)body.data};
    exchange.options.faults = &exchange.faults;
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_OK);
    assert_int_equal(exchange.faults.count, BATCH_FAULTS_MAX);
    assert_int_equal(exchange.faults.omitted, 50);
    assert_true(slice_equal(exchange.faults.list[7654].path, SLICE("items[7654]")));
    exchange_done(&exchange);
    buffer_done(&body);
}

static void broken_json_is_an_error_even_when_faults_are_gathered(void **state) {
    struct exchange exchange = {
        .verb = "POST", .address = "/v1/items:batch", .body = "{\"items\":[1,{]}"};
    (void)state;
    exchange.options.faults = &exchange.faults;
    exchange_run(&exchange);
    assert_int_equal(exchange.status, SYNC_ERR_INVALID);
    assert_string_equal(exchange.error.reason, "MALFORMED_JSON");
    exchange_done(&exchange);
}

/* The body and headers of a response in wire form. */
static void expect_response(const char *verb, const char *address, const char *hex,
                            const char *json, const char *etag) {
    struct exchange exchange = {.verb = verb, .address = address};
    struct transcode_header headers[4];
    size_t count = 99;
    exchange_run(&exchange);
    buffer_clear(&exchange.wire);
    fixture_hex(hex, &exchange.wire);
    assert_int_equal(transcode_response_to_json(
                         fixture_schema(), &exchange.route, buffer_slice(&exchange.wire),
                         &exchange.arena, &exchange.json, headers, 4, &count, &exchange.error),
                     SYNC_OK);
    buffer_append_byte(&exchange.json, 0);
    assert_string_equal((char *)exchange.json.data, json);
    assert_int_equal(count, etag ? 1 : 0);
    if (etag) {
        assert_true(slice_equal(headers[0].name, SLICE("etag")));
        assert_true(slice_equal(headers[0].value, slice_text(etag)));
    }
    exchange_done(&exchange);
}

static void responses_give_their_body_and_headers(void **state) {
    (void)state;
    expect_response("GET", "/v1/items/x", "0a 01 65 20 05", "{\"total\":5}", "e");
    expect_response("GET", "/v1/items/x", "20 05", "{\"total\":5}", NULL);
    expect_response("GET", "/v1/items/x", "0a 03 610d0a", "{}", NULL);
    expect_response("GET", "/v1/items/special", "0a 01 65", "{}", "e");
    expect_response("GET", "/v1/items/special", "12 03 0a0178",
                    "{\"id\":\"x\",\"count\":0,\"tags\":[],\"ready\":false}", NULL);
    expect_response("LIST", "/v1/notes", "1a 01 61 1a 01 62", "[\"a\",\"b\"]", NULL);
    expect_response("LIST", "/v1/notes", "", "[]", NULL);
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    struct transcode_request request = {.verb = SLICE("PATCH"),
                                        .path = SLICE("/v1/items/x"),
                                        .query = SLICE("note=%41"),
                                        .body = SLICE("{\"count\":5}")};
    for (uint64_t n = 1; status == SYNC_ERR_NO_MEMORY; n++) {
        struct arena arena;
        struct route route;
        struct buffer out;
        struct slice allowed;
        struct sync_error error = {0};
        struct transcode_options options = {0};
        arena_init(&arena, 1 << 20);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        memory_fail_after(n);
        status = route_match(table, &request, &arena, &route, &allowed, &error);
        if (status == SYNC_OK)
            status = transcode_request_to_wire(fixture_schema(), &route, &request, &options, &out,
                                               &error);
        memory_fail_after(0);
        buffer_done(&out);
        arena_done(&arena);
        assert_true(n < 1000);
    }
    assert_int_equal(status, SYNC_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_query_and_headers_fill_fields),
        cmocka_unit_test(what_is_not_given_has_the_default_of_http),
        cmocka_unit_test(wrong_parameters_are_named),
        cmocka_unit_test(the_body_fills_the_message_or_a_field),
        cmocka_unit_test(a_patch_names_what_its_body_names),
        cmocka_unit_test(a_sub_message_is_never_split),
        cmocka_unit_test(raw_bodies_stay_as_they_are),
        cmocka_unit_test(required_fields_may_come_from_anywhere),
        cmocka_unit_test(a_patch_may_leave_required_fields_out),
        cmocka_unit_test(all_faults_are_named_at_once),
        cmocka_unit_test(faults_beyond_the_bound_are_counted),
        cmocka_unit_test(broken_json_is_an_error_even_when_faults_are_gathered),
        cmocka_unit_test(responses_give_their_body_and_headers),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, table_open, table_close);
}
