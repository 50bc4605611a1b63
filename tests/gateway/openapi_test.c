/* The OpenAPI document: well-formed, and all of the API in it. */
#include <string.h>

#include "sample_routes_descriptor.h"
#include "sync_descriptor.h"
#include "tests/gateway/transcode_fixture.h"

/* The document of a schema, NUL-terminated; read as JSON to see that it is some. */
static void render(const struct schema *schema, struct buffer *out) {
    struct buffer wire;
    struct sync_error error = {0};
    buffer_init(out, FIXTURE_BYTES_MAX);
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    assert_int_equal(openapi_render(schema, "Title \"T\"", "1.2", out), SYNC_OK);
    if (transcode_to_wire(fixture_schema(), fixture_message("Struct"), buffer_slice(out), NULL,
                          &wire, &error))
        fail_msg("%s: %s", error.field, error.message);
    buffer_append_byte(out, 0);
    buffer_done(&wire);
}

static void expect_parts(const struct buffer *document, const char *const *parts) {
    for (; *parts; parts++)
        if (!strstr((const char *)document->data, *parts))
            fail_msg("no %s", *parts);
}

static void the_sample_is_described(void **state) {
    static const char *const PARTS[] = {
        "\"openapi\":\"3.1.0\"",
        "\"title\":\"Title \\\"T\\\"\"",
        "\"/v1/items/{id}\":{\"get\":{\"operationId\":\"ItemService_GetItem\"",
        "\"/v1/items/{id}:undo\":{\"post\"",
        "\"/v1/{parent}/pages/{id}\":{\"get\"",
        "\"summary\":\"Gets an item\"",
        "\"name\":\"part.name\",\"in\":\"path\"",
        "\"name\":\"part.size\",\"in\":\"query\"",
        "\"name\":\"x-trace\",\"in\":\"header\"",
        "\"explode\":false",
        "\"202\":{\"description\"",
        "\"text/event-stream\"",
        "\"application/json\":{\"schema\":{\"type\":\"array\",\"items\":{\"$ref\"",
        "\"headers\":{\"etag\"",
        "\"enum\":[\"red\",\"navy\",\"negative\",1,2,-1]",
        "\"400\":{\"$ref\":\"#/components/responses/400\"}",
        "\"304\":{\"description\"",
        "\"required\":[\"id\",\"color\"]",
        "\"image/png\":{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}",
        "\"$ref\":\"#/components/schemas/sample.v1.Item\"",
        "\"bearerFormat\":\"JWT\"",
        "],\"default\":\"red\"}",
        "\"default\":7}",
        "\"pattern\":\"^([0-9a-f]{2})*$\"",
        NULL,
    };
    struct buffer document;
    (void)state;
    render(fixture_schema(), &document);
    expect_parts(&document, PARTS);
    buffer_done(&document);
}

static void the_api_is_described(void **state) {
    static const char *const PARTS[] = {
        "\"/api/offline/config\":{\"get\"",
        "\"/api/offline/sync/{syncId}\":{\"get\"",
        "\"/api/offline/changes\":{\"post\"",
        "\"type\":{\"enum\":[\"create\",\"update\",\"delete\",1,2,3],\"description\"",
        "\"syncType\":{\"enum\":[\"full\",\"delta\",\"incremental\",1,2,3]",
        "\"outcome\":{\"type\":\"string\",\"enum\":[\"applied\",",
        "\"minItems\":1,\"maxItems\":1000",
        "\"pattern\":\"^[A-Za-z0-9._:-]{1,128}$\"",
        "\"format\":\"uuid\"},\"example\":\"0195a3c4-7b1e-7c3a-9f00-2b6d1c8e4f01\"",
        "\"data\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/JsonObject\"},{\"type\":\"null\"}]",
        "\"security\":[{\"bearer\":[]}]",
        "\"401\":{\"description\"",
        "\"reason\":\"TOKEN_MISSING\"",
        "\"application/vnd.travelsense.bundle\"",
        "\"name\":\"last-event-id\",\"in\":\"header\"",
        "\"description\":\"The changes in the order they were made, 1 to 1000.\"",
        NULL,
    };
    struct buffer document;
    struct schema *schema;
    struct sync_error error;
    (void)state;
    assert_int_equal(schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema),
                     SYNC_OK);
    render(schema, &document);
    expect_parts(&document, PARTS);
    buffer_done(&document);
    schema_close(schema);
}

/* The text behind the next operation's id, or NULL; the id goes to `ret_id`. */
static const char *next_operation(const char *text, char ret_id[256]) {
    static const char NAME[] = "\"operationId\":\"";
    const char *found = strstr(text, NAME);
    if (!found)
        return NULL;
    found += sizeof NAME - 1;
    size_t size = strcspn(found, "\"");
    assert_true(size < 256);
    memcpy(ret_id, found, size);
    ret_id[size] = 0;
    return found + size;
}

static void every_rule_has_an_id_of_its_own(void **state) {
    struct buffer document;
    struct schema *schema;
    struct sync_error error;
    char id[256], other[256];
    size_t count = 0;
    (void)state;
    assert_int_equal(schema_open(slice_of(sample_routes_descriptor, sample_routes_descriptor_size),
                                 &error, &schema),
                     SYNC_OK);
    render(schema, &document);
    for (const char *at = next_operation((const char *)document.data, id); at;
         at = next_operation(at, id), count++)
        for (const char *next = next_operation(at, other); next; next = next_operation(next, other))
            assert_string_not_equal(id, other);
    assert_true(count > 20);
    /* A method that OpenAPI has no place for. */
    assert_null(strstr((const char *)document.data, "\"target\":"));
    buffer_done(&document);
    schema_close(schema);
}

/* Where nothing is said of tokens, none is asked for. */
static void only_what_wants_a_token_says_so(void **state) {
    struct buffer document;
    (void)state;
    render(fixture_schema(), &document);
    assert_null(strstr((const char *)document.data, "\"security\":"));
    assert_null(strstr((const char *)document.data, "responses/401"));
    buffer_done(&document);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_is_described),
        cmocka_unit_test(the_api_is_described),
        cmocka_unit_test(every_rule_has_an_id_of_its_own),
        cmocka_unit_test(only_what_wants_a_token_says_so),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
