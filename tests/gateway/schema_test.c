/* Schema: what is found in descriptors, and which descriptors are refused. */
#include <string.h>

#include "base/memory.h"
#include "base/wire.h"
#include "gateway/schema_types.h"
#include "sample_descriptor.h"
#include "tests/gateway/transcode_fixture.h"

static struct slice sample_set(void) {
    return slice_of(sample_descriptor, sample_descriptor_size);
}

static void messages_are_found_by_full_name(void **state) {
    (void)state;
    const struct schema *schema = fixture_schema();
    assert_non_null(schema_message_find(schema, SLICE("sample.v1.Everything")));
    assert_non_null(schema_message_find(schema, SLICE("google.protobuf.Timestamp")));
    assert_non_null(schema_message_find(schema, SLICE("sample.old.Old.Part")));
    assert_null(schema_message_find(schema, SLICE(".sample.v1.Everything")));
    assert_null(schema_message_find(schema, SLICE("Everything")));
    assert_null(schema_message_find(schema, SLICE_EMPTY));
}

static void fields_are_found_by_name_and_number(void **state) {
    (void)state;
    const struct schema_message *message = fixture_message("Everything");
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        assert_ptr_equal(schema_field_find(message, field->name), field);
        assert_ptr_equal(schema_field_find(message, field->json_name), field);
        assert_ptr_equal(schema_field_at(message, field->number), field);
        assert_true(i == 0 || field[-1].number < field->number);
    }
    assert_null(schema_field_find(message, SLICE("nothere")));
    assert_null(schema_field_at(message, 18));
    assert_null(schema_field_at(message, 1 << 28));
}

static void options_are_read(void **state) {
    (void)state;
    const struct schema_message *item = fixture_message("Item");
    assert_true(schema_field_find(item, SLICE("id"))->required);
    assert_true(schema_field_find(item, SLICE("count"))->always);
    assert_true(schema_field_find(item, SLICE("data"))->i_json);
    assert_true(schema_field_find(item, SLICE("at"))->iso8601);
    assert_int_equal(schema_field_find(item, SLICE("color"))->enum_alias, 1);
    assert_true(
        schema_field_find(fixture_message("GetItemRequest"), SLICE("colors"))->comma_separated);
    const struct schema_field *loose =
        schema_field_find(fixture_message("Everything"), SLICE("loose"));
    assert_false(loose->packed);
}

static void methods_carry_rules_and_comments(void **state) {
    (void)state;
    const struct schema *schema = fixture_schema();
    const struct schema_method *get = schema_method_at(schema, 0);
    assert_true(slice_equal(get->path, SLICE("/sample.v1.ItemService/GetItem")));
    assert_true(slice_equal(get->comment, SLICE("Gets an item. By its id.")));
    assert_int_equal(get->rule_count, 2);
    assert_true(slice_equal(get->rules[0].verb, SLICE("GET")));
    assert_int_equal(get->success_status, 200);
    for (size_t i = 0; i < schema_method_count(schema); i++) {
        const struct schema_method *method = schema_method_at(schema, i);
        if (slice_equal(method->name, SLICE("PutBatch")))
            assert_int_equal(method->success_status, 202);
        if (slice_equal(method->name, SLICE("WatchItem"))) {
            assert_true(method->server_streaming);
            assert_true(slice_equal(method->event_name, SLICE("item")));
            assert_true(schema_field_find(method->response, SLICE("mark"))->event_id);
            assert_false(schema_field_find(method->response, SLICE("etag"))->event_id);
        }
        if (slice_equal(method->name, SLICE("ListNotes")))
            assert_true(slice_equal(method->rules[0].verb, SLICE("LIST")));
    }
}

static void methods_are_found_by_path(void **state) {
    (void)state;
    const struct schema *schema = fixture_schema();
    assert_true(schema_method_count(schema) > 0);
    for (size_t i = 0; i < schema_method_count(schema); i++) {
        const struct schema_method *method = schema_method_at(schema, i);
        assert_ptr_equal(schema_method_find(schema, method->path), method);
        assert_null(schema_method_find(schema, slice_after(method->path, 1)));
        assert_null(schema_method_find(schema, slice_first(method->path, method->path.size - 1)));
    }
    assert_null(schema_method_find(schema, SLICE_EMPTY));
}

/* Every prefix of a set is taken, or refused in one line; nothing is leaked or read beyond. */
static void cut_sets_are_refused(void **state) {
    (void)state;
    struct slice set = sample_set();
    for (size_t size = 1; size < set.size; size += 97) {
        struct schema *schema = NULL;
        struct sync_error error = {0};
        uint8_t *copy = memory_alloc(size);
        memcpy(copy, set.data, size);
        if (schema_open(slice_of(copy, size), &error, &schema) != SYNC_OK) {
            assert_null(schema);
            assert_true(strlen(error.message) > 0);
            assert_null(strchr(error.message, '\n'));
        }
        schema_close(schema);
        memory_free(copy);
    }
}

/* Of a set with one message, whose field `f` has the type and the JSON name; expects a refusal that
 * names `part`. */
static void expect_field_refused(struct slice type, struct slice json_name, const char *part) {
    struct buffer set;
    struct schema *schema = NULL;
    struct sync_error error = {0};
    buffer_init(&set, 1 << 16);
    size_t file = wire_begin(&set, 1);
    size_t message = wire_begin(&set, 4);
    wire_write_bytes(&set, 1, SLICE("M"));
    size_t field = wire_begin(&set, 2);
    wire_write_bytes(&set, 1, SLICE("f"));
    wire_write_uint(&set, 3, 1);
    wire_write_uint(&set, 5, type.size > 0 ? SCHEMA_MESSAGE : SCHEMA_STRING);
    wire_write_bytes(&set, 6, type);
    wire_write_bytes(&set, 10, json_name);
    wire_end(&set, field);
    wire_end(&set, message);
    wire_end(&set, file);
    assert_int_equal(schema_open(buffer_slice(&set), &error, &schema), SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, part));
    buffer_done(&set);
}

static void a_missing_type_is_named(void **state) {
    (void)state;
    expect_field_refused(SLICE(".no.Such"), SLICE("f"), ".no.Such");
}

static void a_json_name_that_is_no_utf8_is_refused(void **state) {
    (void)state;
    expect_field_refused(SLICE_EMPTY, SLICE("f\xff"), "JSON name of the field \"f\"");
}

/* Options that hold one feature of a FeatureSet. */
static void feature_write(struct buffer *set, uint32_t options, uint32_t features, uint32_t feature,
                          uint64_t value) {
    size_t begin = wire_begin(set, options), inner = wire_begin(set, features);
    wire_write_uint(set, feature, value);
    wire_end(set, inner);
    wire_end(set, begin);
}

/* A field of the type, with a feature of its own where one is given. */
static void edition_field_write(struct buffer *set, uint32_t number, const char *name, int type,
                                int label, uint32_t feature, uint64_t value) {
    size_t field = wire_begin(set, 2);
    wire_write_bytes(set, 1, slice_text(name));
    wire_write_uint(set, 3, number);
    wire_write_uint(set, 4, (uint64_t)label);
    wire_write_uint(set, 5, (uint64_t)type);
    if (type == SCHEMA_MESSAGE)
        wire_write_bytes(set, 6, SLICE(".M"));
    if (feature)
        feature_write(set, 8, 21, feature, value);
    wire_end(set, field);
}

/* A file of an edition whose messages are groups by default. */
static void edition_set_write(struct buffer *set, uint64_t edition) {
    enum { OPTIONAL = 1, REPEATED = 3, PRESENCE = 1, ENCODING = 3, MESSAGES = 5, DELIMITED = 2 };
    size_t file = wire_begin(set, 1);
    feature_write(set, 8, 50, MESSAGES, DELIMITED);
    size_t message = wire_begin(set, 4);
    wire_write_bytes(set, 1, SLICE("M"));
    edition_field_write(set, 1, "explicit", SCHEMA_INT32, OPTIONAL, 0, 0);
    edition_field_write(set, 2, "implicit", SCHEMA_INT32, OPTIONAL, PRESENCE, 2);
    edition_field_write(set, 3, "required", SCHEMA_INT32, OPTIONAL, PRESENCE, 3);
    edition_field_write(set, 4, "packed", SCHEMA_INT32, REPEATED, 0, 0);
    edition_field_write(set, 5, "expanded", SCHEMA_INT32, REPEATED, ENCODING, 2);
    edition_field_write(set, 6, "group", SCHEMA_MESSAGE, OPTIONAL, 0, 0);
    edition_field_write(set, 7, "prefixed", SCHEMA_MESSAGE, OPTIONAL, MESSAGES, 1);
    wire_end(set, message);
    wire_write_uint(set, 14, edition);
    wire_end(set, file);
}

static void features_of_an_edition_are_obeyed(void **state) {
    struct buffer set;
    struct schema *schema = NULL;
    struct sync_error error = {0};
    (void)state;
    buffer_init(&set, 1 << 16);
    edition_set_write(&set, 1000);
    assert_int_equal(schema_open(buffer_slice(&set), &error, &schema), SYNC_OK);
    const struct schema_message *message = schema_message_find(schema, SLICE("M"));
    assert_true(schema_field_at(message, 1)->presence);
    assert_false(schema_field_at(message, 2)->presence);
    assert_true(schema_field_at(message, 3)->label_required);
    assert_true(schema_field_at(message, 4)->packed);
    assert_false(schema_field_at(message, 5)->packed);
    assert_int_equal(schema_field_at(message, 6)->type, SCHEMA_GROUP);
    assert_int_equal(schema_field_at(message, 7)->type, SCHEMA_MESSAGE);
    schema = schema_close(schema);
    buffer_clear(&set);
    edition_set_write(&set, 9999);
    assert_int_equal(schema_open(buffer_slice(&set), &error, &schema), SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, "edition 9999"));
    buffer_done(&set);
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (uint64_t n = 1; status == SYNC_ERR_NO_MEMORY; n++) {
        struct schema *schema = NULL;
        struct sync_error error = {0};
        memory_fail_after(n);
        status = schema_open(sample_set(), &error, &schema);
        memory_fail_after(0);
        schema_close(schema);
        assert_true(n < 1000);
    }
    assert_int_equal(status, SYNC_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_found_by_full_name),
        cmocka_unit_test(fields_are_found_by_name_and_number),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(methods_carry_rules_and_comments),
        cmocka_unit_test(methods_are_found_by_path),
        cmocka_unit_test(cut_sets_are_refused),
        cmocka_unit_test(a_missing_type_is_named),
        cmocka_unit_test(a_json_name_that_is_no_utf8_is_refused),
        cmocka_unit_test(features_of_an_edition_are_obeyed),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
