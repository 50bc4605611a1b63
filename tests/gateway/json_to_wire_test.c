/* JSON to wire: the text, names, lists, maps and nesting; bounds and memory. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "tests/gateway/transcode_fixture.h"

static void broken_json_is_refused(void **state) {
    static const char *const CASES[] = {
        "",
        " ",
        "{",
        "}",
        "{\"i32\"}",
        "{\"i32\":}",
        "{\"i32\":1,}",
        "{\"i32\":1 2}",
        "{i32:1}",
        "{'i32':1}",
        "{\"i32\":01}",
        "{\"i32\":+1}",
        "{\"i32\":1.}",
        "{\"i32\":.5}",
        "{\"i32\":1e}",
        "{\"i32\":-}",
        "{\"d\":NaN}",
        "{} {}",
        "{}x",
        "\xef\xbb\xbf{}",
        "{\"s\":\"\t\"}",
        "{\"s\":\"\\x\"}",
        "{\"s\":\"\\u12g4\"}",
        "{\"s\":\"a}",
        "{\"s\":\"\xff\"}",
        "{\"s\":\"\xc0\xaf\"}",
        "{\"s\":\"\xed\xa0\x80\"}",
        "{\"numbers\":[1,]}",
        "{\"numbers\":[1}",
        "{\"b\":tru}",
        "{\"value\":nul}",
        "{/**/}",
        "{\"object\":{\"a\":[1,2}}",
        "{\"s\":\"\\",
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct sync_error error = {0};
        struct buffer out;
        buffer_init(&out, FIXTURE_BYTES_MAX);
        assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                           slice_text(CASES[i]), NULL, &out, &error),
                         SYNC_ERR_INVALID);
        if (strncmp(error.message, "not JSON: ", 10) != 0)
            fail_msg("%s: %s", CASES[i], error.message);
        buffer_done(&out);
    }
}

static void names_come_in_both_forms_and_once(void **state) {
    (void)state;
    expect_round("Everything", "{\"snake_case_name\":\"a\"}", "{\"snakeCaseName\":\"a\"}");
    expect_round("Everything", "{\"renamed\":\"a\"}", "{\"other\":\"a\"}");
    expect_round("Everything", " {\r\n\t\"i32\" : 1 , \"s\" : \"x\" } ", "{\"i32\":1,\"s\":\"x\"}");
    expect_refused("Everything", "{\"i32\":1,\"i32\":1}", "i32", "twice");
    expect_refused("Everything", "{\"snakeCaseName\":\"a\",\"snake_case_name\":\"a\"}",
                   "snakeCaseName", "twice");
    expect_refused("Everything", "{\"counts\":{\"a\":1,\"a\":2}}", "counts.a", "twice");
    expect_refused("Everything", "{\"names\":{\"1\":\"\",\"1.0\":\"\"}}", "names[\"1.0\"]",
                   "twice");
    expect_refused("Everything", "{\"object\":{\"b\":{\"a\":1,\"\\u0061\":2}}}", "object.b.a",
                   "twice");
    expect_refused("Everything", "{\"number\":1,\"word\":\"x\"}", "word", "same choice");
    expect_refused("Everything", "{\"nested\":{\"unheard\":1}}", "nested.unheard", "no such field");
}

/* Once a member came behind another, it is looked for there. */
static void members_come_again_in_any_form(void **state) {
    static const char *const WORDS[] = {
        "[]",
        "[\"a\"]",
        "[\"a\",\"b\"]",
        "[\"\"]",
        "[\"é\"]",
        "[\"a\",\"\\n\"]",
        "[\"a long text of ascii\"]",
        "[\"a\",\"ééééééééé\"]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        const char *out = i == 0 ? "" : ",\"words\":";
        char json[512], back[512];
        snprintf(json, sizeof json,
                 "{\"list\":[{\"s\":\"x\",\"words\":[\"y\"]},{\"s\":\"x\",\"words\":%s},"
                 "{\"s\":\"x\", \"words\": %s , \"other\":\"z\"}]}",
                 WORDS[i], WORDS[i]);
        const char *words = i == 0 ? "" : WORDS[i];
        snprintf(back, sizeof back,
                 "{\"list\":[{\"s\":\"x\",\"words\":[\"y\"]},{\"s\":\"x\"%s%s},"
                 "{\"s\":\"x\"%s%s,\"other\":\"z\"}]}",
                 out, words, out, words);
        expect_round("Everything", json, back);
    }
    static const struct {
        const char *object, *path, *part;
    } REFUSED[] = {
        {"{\"s\":\"x\",\"words\":[\"a\",1]}", "list[1].words[1]", "string"},
        {"{\"s\":\"x\",\"words\":[\"a\",null]}", "list[1].words[1]", "null"},
        {"{\"s\":\"x\",\"words\":[\"a\",\"\xff\"]}", "list[1].words[1]", "not JSON"},
        {"{\"s\":\"x\",\"words\":[\"a\",]}", "list[1].words[1]", "not JSON"},
        {"{\"s\":\"x\",\"words\":[\"a\"],\"words\":[\"a\"]}", "list[1].words", "twice"},
        {"{\"s\":\"x\",\"words\":\"a\"}", "list[1].words", "list"},
        {"{\"s\":\"x\",\"words\":[\"a\"]]", "list[1]", "not JSON"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        char json[512];
        snprintf(json, sizeof json, "{\"list\":[{\"s\":\"x\",\"words\":[\"y\"]},%s]}",
                 REFUSED[i].object);
        expect_refused("Everything", json, REFUSED[i].path, REFUSED[i].part);
    }
}

static void the_same_name_in_other_objects_is_well(void **state) {
    (void)state;
    expect_round("Everything", "{\"object\":{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}}",
                 NULL);
}

static void many_names_are_told_apart(void **state) {
    struct buffer json, out;
    struct sync_error error = {0};
    (void)state;
    buffer_init(&json, FIXTURE_BYTES_MAX);
    buffer_init(&out, FIXTURE_BYTES_MAX);
    buffer_append(&json, SLICE("{\"object\":{\"n0\":0"));
    for (int i = 1; i < 20000; i++)
        buffer_append_format(&json, ",\"n%d\":%d", i, i);
    size_t size = json.size;
    buffer_append(&json, SLICE("}}"));
    assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                       buffer_slice(&json), NULL, &out, &error),
                     SYNC_OK);
    buffer_truncate(&json, size);
    buffer_append(&json, SLICE(",\"n7777\":0}}"));
    assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                       buffer_slice(&json), NULL, &out, &error),
                     SYNC_ERR_INVALID);
    assert_string_equal(error.field, "object.n7777");
    assert_string_equal(error.reason, "DUPLICATE_FIELD");
    buffer_done(&json);
    buffer_done(&out);
}

static void unknown_things_are_ignored_when_asked(void **state) {
    static const struct transcode_options IGNORE = {.ignore_unknown = true};
    (void)state;
    expect_wire_options("Everything",
                        "{\"x\":{\"y\":[1,\"\\\"}\"]},\"i32\":1,\"color\":\"green\","
                        "\"colors\":[\"red\",\"green\"],\"flags\":{\"true\":\"green\"}}",
                        &IGNORE, "08 01 c201 01 01");
    expect_wire_options("Everything", "{\"colors\":[\"green\"]}", &IGNORE, "");
    expect_wire_options("Everything", "{\"children\":{\"k\":{\"s\":\"x\",\"color\":\"green\"}}}",
                        &IGNORE, "9202 08 0a016b 1203 720178");
}

static void lists_are_packed_where_their_types_can(void **state) {
    (void)state;
    expect_wire("Everything", "{\"numbers\":[1,2,-1]}", "aa01 0c 01 02 ffffffffffffffffff01");
    expect_wire("Everything", "{\"loose\":[1,2]}", "c801 01 c801 02");
    expect_wire("Everything", "{\"words\":[\"\",\"a\"]}", "b201 00 b201 01 61");
    expect_wire("Everything", "{\"list\":[{},{\"i32\":1}]}", "ba01 00 ba01 02 0801");
    expect_wire("Everything", "{\"numbers\":[],\"words\":[]}", "");
    expect_refused("Everything", "{\"numbers\":1}", "numbers", "expected a list, not a number");
    expect_refused("Everything", "{\"numbers\":[[1]]}", "numbers[0]", "not a list");
    expect_refused("Everything", "{\"list\":[{},{\"list\":[{\"i32\":\"x\"}]}]}",
                   "list[1].list[0].i32", "expected an integer");
}

static void maps_are_written_as_entries(void **state) {
    (void)state;
    expect_wire("Everything", "{\"counts\":{\"a\":0}}", "fa01 05 0a0161 1000");
    expect_wire("Everything", "{\"names\":{\"-1\":\"x\"}}",
                "8202 0e 08 ffffffffffffffffff01 12 01 78");
    expect_round("Everything", "{\"flags\":{\"true\":\"red\",\"false\":\"deep-blue\"}}", NULL);
    expect_round("Everything", "{\"children\":{\"\":{\"children\":{\"x\":{}}}}}", NULL);
    expect_round("Everything", "{\"blobs\":{\"18446744073709551615\":\"AQ==\"}}", NULL);
    expect_refused("Everything", "{\"flags\":{\"yes\":\"red\"}}", "flags.yes",
                   "expected true or false");
    expect_refused("Everything", "{\"names\":{\"x\":\"\"}}", "names.x", "expected an integer");
    expect_refused("Everything", "{\"counts\":[]}", "counts", "expected an object, not a list");
    expect_refused("Everything", "{\"children\":{\"a b\":{\"i32\":\"\"}}}", "children[\"a b\"].i32",
                   "expected an integer");
}

static void depth_is_bounded(void **state) {
    (void)state;
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        struct buffer json, out;
        struct sync_error error = {0};
        buffer_init(&json, FIXTURE_BYTES_MAX);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        buffer_append(&json, SLICE("{\"value\":"));
        for (int i = 1; i < depth; i++)
            buffer_append_byte(&json, '[');
        for (int i = 1; i < depth; i++)
            buffer_append_byte(&json, ']');
        buffer_append_byte(&json, '}');
        enum sync_status status = transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                                    buffer_slice(&json), NULL, &out, &error);
        assert_int_equal(status, depth > JSON_DEPTH_MAX ? SYNC_ERR_INVALID : SYNC_OK);
        if (status)
            assert_string_equal(error.reason, "TOO_DEEP");
        buffer_done(&json);
        buffer_done(&out);
    }
}

/* Content that needs lengths of one, two and three bytes, nested. */
static void long_content_gets_longer_lengths(void **state) {
    (void)state;
    for (size_t size = 100; size < 70000; size = size * 5 / 4) {
        struct buffer json, wire, back;
        struct sync_error error = {0};
        buffer_init(&json, FIXTURE_BYTES_MAX);
        buffer_init(&wire, FIXTURE_BYTES_MAX);
        buffer_init(&back, FIXTURE_BYTES_MAX);
        buffer_append(&json, SLICE("{\"nested\":{\"nested\":{\"s\":\"a\",\"list\":["));
        for (int i = 0; i < 3; i++) {
            buffer_append(&json,
                          i ? SLICE(",{\"object\":{\"k\":[\"") : SLICE("{\"object\":{\"k\":[\""));
            for (size_t j = 0; j < size; j++)
                buffer_append_byte(&json, (uint8_t)('a' + j % 26));
            buffer_append(&json, SLICE("\"]}}"));
        }
        buffer_append(&json, SLICE("]}},\"snakeCaseName\":\"end\"}"));
        assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                           buffer_slice(&json), NULL, &wire, &error),
                         SYNC_OK);
        assert_int_equal(transcode_to_json(fixture_schema(), fixture_message("Everything"),
                                           buffer_slice(&wire), &back, &error),
                         SYNC_OK);
        assert_true(slice_equal(buffer_slice(&json), buffer_slice(&back)));
        buffer_done(&json);
        buffer_done(&wire);
        buffer_done(&back);
    }
}

static void proto2_is_served_too(void **state) {
    (void)state;
    expect_wire("old.Old", "{\"needed\":0,\"kind\":\"KIND_B\"}", "08 00 10 02");
    expect_wire("old.Old", "{\"needed\":1,\"part\":{\"size\":5}}", "08 01 1b 20 05 1c");
    expect_wire("old.Old", "{\"needed\":1,\"packed\":[1,2],\"loose\":[1,2]}",
                "08 01 2a 02 0102 30 01 30 02");
    expect_wire("old.Old", "{\"needed\":1,\"[sample.old.extra]\":\"x\"}", "08 01 a206 01 78");
    expect_refused("old.Old", "{}", "needed", "is required");
    expect_refused("old.Old", "{\"needed\":1,\"kind\":9}", "kind", "\"KIND_A\", \"KIND_B\"");
}

static void a_message_set_holds_its_extensions_in_groups(void **state) {
    (void)state;
    expect_wire("old.Set", "{\"[sample.old.SetItem.item]\":{\"text\":\"a\"}}",
                "0b 10 f9bb5e 1a 03 0a0161 0c");
    expect_wire("old.Old", "{\"needed\":1,\"set\":{\"[sample.old.SetItem.item]\":{}}}",
                "08 01 4a 08 0b 10 f9bb5e 1a 00 0c");
    expect_wire("old.Set", "{\"[sample.old.SetItem.item]\":null}", "");
    expect_refused("old.Set", "{\"[sample.old.none]\":{}}", "[\"[sample.old.none]\"]", "no such");
}

static void the_bound_of_the_output_holds(void **state) {
    struct buffer out;
    struct sync_error error = {0};
    (void)state;
    buffer_init(&out, 100);
    char json[256];
    snprintf(json, sizeof json, "{\"s\":\"%0200d\"}", 1);
    assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                       slice_text(json), NULL, &out, &error),
                     SYNC_ERR_TOO_LARGE);
    buffer_done(&out);
}

static void no_allocation_is_taken_for_granted(void **state) {
    static const char JSON[] =
        "{\"counts\":{\"a\":1},\"names\":{\"1\":\"x\"},\"object\":{\"\\u0061\":[1,{\"b\":2}]},"
        "\"any\":{\"@type\":\"x/sample.v1.Part\",\"name\":\"x\"},\"s\":\"\\n\"}";
    (void)state;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (uint64_t n = 1; status == SYNC_ERR_NO_MEMORY; n++) {
        struct buffer out;
        struct sync_error error = {0};
        buffer_init(&out, FIXTURE_BYTES_MAX);
        memory_fail_after(n);
        status = transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                   slice_text(JSON), NULL, &out, &error);
        memory_fail_after(0);
        buffer_done(&out);
        assert_true(n < 1000);
    }
    assert_int_equal(status, SYNC_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(names_come_in_both_forms_and_once),
        cmocka_unit_test(members_come_again_in_any_form),
        cmocka_unit_test(the_same_name_in_other_objects_is_well),
        cmocka_unit_test(many_names_are_told_apart),
        cmocka_unit_test(unknown_things_are_ignored_when_asked),
        cmocka_unit_test(lists_are_packed_where_their_types_can),
        cmocka_unit_test(maps_are_written_as_entries),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(long_content_gets_longer_lengths),
        cmocka_unit_test(proto2_is_served_too),
        cmocka_unit_test(a_message_set_holds_its_extensions_in_groups),
        cmocka_unit_test(the_bound_of_the_output_holds),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
