/* Wire to JSON: any order and shape that the wire format allows, and what JSON cannot hold. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "tests/gateway/transcode_fixture.h"

static void scalars_are_read_by_their_types(void **state) {
    (void)state;
    expect_json("Everything", "", "{}");
    expect_json("Everything", "08 ffffffffffffffffff01 10 01 18 01 20 ffffffffffffffffff01",
                "{\"i32\":-1,\"i64\":\"1\",\"u32\":1,\"u64\":\"18446744073709551615\"}");
    expect_json("Everything", "28 03 30 06", "{\"s32\":-2,\"s64\":\"3\"}");
    expect_json("Everything", "3d 01000000 41 0200000000000000 4d ffffffff 51 ffffffffffffffff",
                "{\"f32\":1,\"f64\":\"2\",\"sf32\":-1,\"sf64\":\"-1\"}");
    expect_json("Everything", "5d cdcccc3d 61 9a9999999999b93f", "{\"f\":0.1,\"d\":0.1}");
    expect_json("Everything", "61 000000000000f87f", "{\"d\":\"NaN\"}");
    expect_json("Everything", "61 0000000000000080", "{\"d\":-0}");
    expect_json("Everything", "5d 0000807f", "{\"f\":\"Infinity\"}");
    expect_json("Everything", "68 02 72 03 22 5c 0a 7a 02 fbff",
                "{\"b\":true,\"s\":\"\\\"\\\\\\n\",\"y\":\"+/8=\"}");
    expect_json("Everything", "8001 02", "{\"color\":\"deep-blue\"}");
    expect_json("Everything", "8001 63", "{\"color\":99}");
    expect_json("Everything", "8001 ffffffffffffffffff01", "{\"color\":\"negative\"}");
}

static void bytes_are_digits_where_the_schema_says_so(void **state) {
    (void)state;
    expect_json("Digest", "0a 03 00ab7f", "{\"sum\":\"00ab7f\"}");
    expect_json("Digest", "12 00 12 01 ff", "{\"parts\":[\"\",\"ff\"]}");
}

static void default_values_are_left_out_but_where_presence_counts(void **state) {
    (void)state;
    expect_json("Everything", "08 00 72 00 6800 61 0000000000000000 8001 00", "{}");
    expect_json("Everything", "c802 00", "{\"number\":0}");
    expect_json("Everything", "e802 00", "{\"maybe\":0}");
    expect_json("Item", "", "{\"count\":0,\"tags\":[],\"ready\":false}");
    expect_json("Item", "38 01 0a 01 78", "{\"id\":\"x\",\"count\":0,\"tags\":[],\"ready\":true}");
    expect_json("Item", "1005 22 01 61",
                "{\"color\":5,\"count\":0,\"tags\":[\"a\"],\"ready\":false}");
}

static void names_of_members_are_escaped(void **state) {
    (void)state;
    expect_json("Everything", "c204 0161 c204 0162", "{\"a \\\"quoted\\\"\\\\name\":\"b\"}");
    expect_round("Everything", "{\"i32\":1,\"a \\\"quoted\\\"\\\\name\":\"b\"}", NULL);
}

static void of_a_singular_field_the_last_counts(void **state) {
    (void)state;
    expect_json("Everything", "08 01 08 02 72 01 61 08 03", "{\"i32\":3,\"s\":\"a\"}");
    expect_json("Everything", "72 01 61 08 01", "{\"i32\":1,\"s\":\"a\"}");
}

static void heads_may_be_longer_than_need_be(void **state) {
    (void)state;
    expect_json("Everything", "8800 01", "{\"i32\":1}");
    expect_json("Everything", "88808000 8100", "{\"i32\":1}");
    expect_json("Everything", "72 8100 61 72 81808000 62", "{\"s\":\"b\"}");
    expect_json_refused("Everything", "888080808000 01", "", "malformed");
    expect_json_refused("Everything", "72 818080808000 61", "", "malformed");
}

static void what_comes_late_undoes_what_is_written(void **state) {
    (void)state;
    expect_json("Everything", "72 0161 b201 0161 b201 0162 08 01",
                "{\"i32\":1,\"s\":\"a\",\"words\":[\"a\",\"b\"]}");
    expect_json("Everything", "72 0180 72 0161", "{\"s\":\"a\"}");
    expect_json_refused("Everything", "b201 0161 b201 0180", "words[1]", "not UTF-8");
    expect_json_refused("Everything", "b201 0161 b201 0162 ba04 0180", "other", "not UTF-8");
    expect_json_refused("Everything", "72 0180 08", "", "malformed");
    expect_json_refused("Everything", "b201 0161 08", "", "malformed");
}

static void long_messages_are_read_whole_in_any_order(void **state) {
    (void)state;
    for (size_t count = 1; count < 40; count++) {
        char words[8 * 40 + 1], list[4 * 40 + 1], hex[sizeof words + 16], json[sizeof list + 64];
        for (size_t i = 0; i < count; i++) {
            memcpy(words + 8 * i, "b2010161", 9); /* words: "a" */
            memcpy(list + 4 * i, ",\"a\"", 5);
        }
        snprintf(json, sizeof json, "{\"i32\":5,\"words\":[%s],\"other\":\"b\"}", list + 1);
        snprintf(hex, sizeof hex, "0805%sba040162", words);
        expect_json("Everything", hex, json);
        snprintf(hex, sizeof hex, "%s0805ba040162", words);
        expect_json("Everything", hex, json);
        snprintf(hex, sizeof hex, "ba0401620805%s", words);
        expect_json("Everything", hex, json);
    }
}

static void split_messages_are_merged(void **state) {
    (void)state;
    expect_json("Everything", "8a01 02 0801 8a01 05 0802 720161",
                "{\"nested\":{\"i32\":2,\"s\":\"a\"}}");
    expect_json("Everything", "8a01 05 aa01 02 0102 8a01 04 aa01 01 03",
                "{\"nested\":{\"numbers\":[1,2,3]}}");
    expect_json("Everything", "ba03 09 0a07 0a0161 12021a00 ba03 09 0a07 0a0162 12022000",
                "{\"object\":{\"a\":\"\",\"b\":false}}");
}

static void of_a_oneof_the_last_member_counts(void **state) {
    (void)state;
    expect_json("Everything", "c802 01 d202 01 78", "{\"word\":\"x\"}");
    expect_json("Everything", "d202 01 78 c802 01", "{\"number\":1}");
    expect_json("Everything", "da02 02 0801 c802 01 da02 03 720161", "{\"whole\":{\"s\":\"a\"}}");
    expect_json("Everything", "da02 02 0801 da02 03 720161", "{\"whole\":{\"i32\":1,\"s\":\"a\"}}");
}

static void lists_are_read_packed_and_unpacked(void **state) {
    (void)state;
    expect_json("Everything", "aa01 03 010203", "{\"numbers\":[1,2,3]}");
    expect_json("Everything", "a801 01 a801 02", "{\"numbers\":[1,2]}");
    expect_json("Everything", "a801 01 aa01 02 0203 a801 04", "{\"numbers\":[1,2,3,4]}");
    expect_json("Everything", "a801 01 08 05 a801 02", "{\"i32\":5,\"numbers\":[1,2]}");
    expect_json("Everything", "ca01 02 0102", "{\"loose\":[1,2]}");
    expect_json("Everything", "aa01 00", "{}");
    expect_json("Everything", "d201 10 000000000000f03f 0000000000000040", "{\"reals\":[1,2]}");
    expect_json("Everything", "da01 02 0103 e201 04 ffffffff",
                "{\"zigzags\":[\"-1\",\"-2\"],\"fixeds\":[4294967295]}");
    expect_json("Everything", "ba01 00 ba01 02 0801", "{\"list\":[{},{\"i32\":1}]}");
    expect_json_refused("Everything", "aa01 01 80", "numbers[0]", "malformed");
    expect_json_refused("Everything", "e201 03 ffffff", "fixeds[0]", "malformed");
}

static void of_a_map_key_the_last_entry_counts(void **state) {
    (void)state;
    expect_json("Everything", "fa01 05 0a0161 1001 fa01 05 0a0162 1002",
                "{\"counts\":{\"a\":1,\"b\":2}}");
    expect_json("Everything", "fa01 05 0a0161 1001 fa01 05 0a0162 1002 fa01 05 0a0161 1003",
                "{\"counts\":{\"b\":2,\"a\":3}}");
    expect_json("Everything", "fa01 00", "{\"counts\":{\"\":0}}");
    expect_json("Everything", "fa01 05 1001 0a0161", "{\"counts\":{\"a\":1}}");
    expect_json("Everything", "8a02 04 0801 1001", "{\"flags\":{\"true\":\"red\"}}");
    expect_json("Everything", "8202 02 0805 9a02 04 0807 1200",
                "{\"names\":{\"5\":\"\"},"
                "\"blobs\":{\"7\":\"\"}}");
    expect_json("Everything", "9202 03 0a0161", "{\"children\":{\"a\":{}}}");
}

static void structs_keep_their_last_value(void **state) {
    (void)state;
    expect_json("Struct", "0a07 0a0162 12022000 0a07 0a0161 12022001", "{\"b\":false,\"a\":true}");
    expect_json("Struct", "0a07 0a0161 12022000 0a07 0a0162 12022000 0a07 0a0161 12022001",
                "{\"b\":false,\"a\":true}");
    expect_json("Value", "2000 1a0161", "\"a\"");
    expect_json("Value", "0800", "null");
    expect_json("ListValue", "0a020800 0a09 11 000000000000f83f", "[null,1.5]");
}

static void unknown_fields_are_passed_over(void **state) {
    (void)state;
    expect_json("Part", "18 01 21 0000000000000000 2a 01 00 33 0801 34 3d 00000000 0a 01 61",
                "{\"name\":\"a\"}");
    expect_json("Part", "08 01 10 05", "{\"size\":5}");
}

static void malformed_bytes_are_refused(void **state) {
    static const char *const CASES[] = {
        "08", "0a 05 61", "00 01", "0f", "08 ffffffffffffffffffff01", "0c", "0b 08 01", "ff"};
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_json_refused("Part", CASES[i], "", "malformed");
    expect_json_refused("Everything", "ba01 02 8a01", "list[0]", "malformed");
}

static void text_must_be_utf8(void **state) {
    (void)state;
    expect_json("Part", "0a 02 c3a9", "{\"name\":\"é\"}");
    expect_json_refused("Part", "0a 01 ff", "name", "not UTF-8");
    expect_json_refused("Everything", "8a01 04 b201 01 80", "nested.words[0]", "not UTF-8");
    expect_json_refused("Everything", "fa01 03 0a01 ff", "counts", "not UTF-8");
    expect_json_refused("Struct", "0a08 0a0161 12031a01ff", "a", "not UTF-8");
}

static void what_json_cannot_hold_is_named(void **state) {
    (void)state;
    expect_json_refused("Timestamp", "08 80808080808080808001", "", "json: the Timestamp");
    expect_json_refused("Timestamp", "08 01 10 ffffffffffffffffff01", "", "json: the Timestamp");
    expect_json_refused("Everything", "a203 07 08 80dbc3f4be07", "time", "json: the Timestamp");
    expect_json_refused("Duration", "08 01 10 ffffffffffffffffff01", "", "json: the Duration");
    expect_json_refused("FieldMask", "0a 03 61 5f 5f", "", "json: a path");
    expect_json_refused("FieldMask", "0a 02 61 42", "", "json: a path");
    expect_json_refused("FieldMask", "0a 03 61 5f 31", "", "json: a path");
    expect_json_refused("Value", "11 000000000000f87f", "", "json: a Value");
    expect_json_refused("Value", "", "", "json: a Value");
    expect_json_refused("Any", "0a 04 78 2f 6e 6f", "", "json: the type \"x/no\"");
    expect_json_refused("Any",
                        "0a 1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e 12 01 08", "",
                        "json: the content of an Any");
    expect_json_refused("old.Old", "42 01 ff", "text", "json: the string is not UTF-8");
}

static void proto2_is_served_too(void **state) {
    (void)state;
    expect_json("old.Old", "08 00 10 02 1b 20 05 1c",
                "{\"needed\":0,\"kind\":\"KIND_B\","
                "\"part\":{\"size\":5}}");
    expect_json("old.Old", "08 01 4200 a206 01 78",
                "{\"needed\":1,\"text\":\"\",\"[sample.old.extra]\":\"x\"}");
}

static void values_that_a_closed_enum_lacks_are_unknown_fields(void **state) {
    (void)state;
    expect_json("old.Old", "1009", "{}");
    expect_json("old.Old", "1002 1009", "{\"kind\":\"KIND_B\"}");
    expect_json("old.Old", "3801 3809 3802", "{\"kinds\":[\"KIND_A\",\"KIND_B\"]}");
    expect_json("old.Old", "3a03 010902", "{\"kinds\":[\"KIND_A\",\"KIND_B\"]}");
    expect_json("old.Old", "3a03 090901", "{\"kinds\":[\"KIND_A\"]}");
    expect_json("old.Old", "3a02 0909 3a01 01 3a01 09", "{\"kinds\":[\"KIND_A\"]}");
    expect_json("old.Old", "3a02 0909", "{}");
    expect_json_refused("old.Old", "3a01 89", "kinds[0]", "malformed");
    expect_json("old.Old", "5204 08011001 5204 08021009 5202 0803",
                "{\"byNumber\":{\"1\":\"MODE_ON\",\"3\":\"MODE_OFF\"}}");
    expect_json("old.Old", "5206 080110091001", "{\"byNumber\":{\"1\":\"MODE_ON\"}}");
}

static void a_message_set_is_read_by_its_items(void **state) {
    (void)state;
    const char *item = "{\"[sample.old.SetItem.item]\":{\"text\":\"a\"}}";
    expect_json("old.Set", "0b 10 f9bb5e 1a 03 0a0161 0c", item);
    expect_json("old.Set", "0b 1a 03 0a0161 10 f9bb5e 0c", item);
    expect_json("old.Set", "0b 10 f9bb5e 1a 00 0c cadff305 03 0a0161", item);
    expect_json_refused("old.Set", "0b 10 f9bb5e 1a 01 10 0c", "[sample.old.SetItem.item]",
                        "malformed");
    expect_json("old.Set", "0b 10 f9bb5e 1a 02 1001 0c 0b 10 f9bb5e 1a 02 1002 0c",
                "{\"[sample.old.SetItem.item]\":{\"numbers\":[1,2]}}");
    expect_json("old.Set", "0b 10 05 1a 00 0c 0b 1a 00 0c 0b 10 f9bb5e 0c 0801", "{}");
    expect_json("old.Old", "4a 0b 0b 10 f9bb5e 1a 03 0a0161 0c",
                "{\"set\":{\"[sample.old.SetItem.item]\":{\"text\":\"a\"}}}");
}

static void depth_is_bounded(void **state) {
    (void)state;
    for (int depth = WIRE_DEPTH_MAX; depth <= WIRE_DEPTH_MAX + 1; depth++) {
        struct buffer wire, out;
        struct sync_error error = {0};
        size_t begins[WIRE_DEPTH_MAX + 1];
        buffer_init(&wire, FIXTURE_BYTES_MAX);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        for (int i = 1; i < depth; i++)
            begins[i] = wire_begin(&wire, 17);
        for (int i = depth - 1; i > 0; i--)
            wire_end(&wire, begins[i]);
        enum sync_status status = transcode_to_json(fixture_schema(), fixture_message("Everything"),
                                                    buffer_slice(&wire), &out, &error);
        assert_int_equal(status, depth > WIRE_DEPTH_MAX ? SYNC_ERR_INVALID : SYNC_OK);
        buffer_done(&wire);
        buffer_done(&out);
    }
}

static void one_field_can_stand_alone(void **state) {
    static const struct {
        const char *field, *hex, *json;
    } CASES[] = {
        {"nested", "", "{}"},
        {"nested", "08 05 8a01 02 0801 8a01 02 1002", "{\"i32\":1,\"i64\":\"2\"}"},
        {"numbers", "", "[]"},
        {"numbers", "a801 01 08 05 a801 02", "[1,2]"},
        {"counts", "", "{}"},
        {"counts", "fa01 05 0a0161 1001 fa01 05 0a0161 1003", "{\"a\":3}"},
        {"s", "", "\"\""},
        {"s", "72 01 61", "\"a\""},
        {"i64", "", "\"0\""},
        {"time", "a203 00", "\"1970-01-01T00:00:00Z\""},
        {"color", "8001 01", "\"red\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buffer wire, out;
        struct sync_error error = {0};
        buffer_init(&wire, FIXTURE_BYTES_MAX);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        fixture_hex(CASES[i].hex, &wire);
        assert_int_equal(transcode_field_to_json(fixture_schema(), fixture_message("Everything"),
                                                 slice_text(CASES[i].field), buffer_slice(&wire),
                                                 &out, &error),
                         SYNC_OK);
        buffer_append_byte(&out, 0);
        assert_string_equal((char *)out.data, CASES[i].json);
        buffer_done(&wire);
        buffer_done(&out);
    }
}

/* What came from JSON, written as JSON and read again, is the same bytes; in whatever order. */
static void a_second_round_changes_nothing(void **state) {
    static const char *const CASES[] = {
        "{\"s\":\"x\",\"i32\":1,\"children\":{\"b\":{\"object\":{\"z\":1,\"a\":[{}]}},\"a\":{}}}",
        ("{\"whole\":{\"d\":0.1,\"f\":16777216},\"times\":[\"2026-01-01T00:00:00Z\"],\"numbers\":["
         "0]"
         "}"),
        "{\"any\":{\"@type\":\"x/sample.v1.Everything\",\"y\":\"AQ==\",\"counts\":{\"k\":-1}}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buffer first, second, texts[2];
        struct sync_error error = {0};
        const struct schema_message *message = fixture_message("Everything");
        buffer_init(&first, FIXTURE_BYTES_MAX);
        buffer_init(&second, FIXTURE_BYTES_MAX);
        buffer_init(&texts[0], FIXTURE_BYTES_MAX);
        buffer_init(&texts[1], FIXTURE_BYTES_MAX);
        const struct schema *schema = fixture_schema();
        assert_int_equal(
            transcode_to_wire(schema, message, slice_text(CASES[i]), NULL, &first, &error), 0);
        assert_int_equal(
            transcode_to_json(schema, message, buffer_slice(&first), &texts[0], &error), 0);
        assert_int_equal(
            transcode_to_wire(schema, message, buffer_slice(&texts[0]), NULL, &second, &error), 0);
        assert_int_equal(
            transcode_to_json(schema, message, buffer_slice(&second), &texts[1], &error), 0);
        assert_true(slice_equal(buffer_slice(&texts[0]), buffer_slice(&texts[1])));
        buffer_done(&first);
        buffer_done(&second);
        buffer_done(&texts[0]);
        buffer_done(&texts[1]);
    }
}

static void no_allocation_is_taken_for_granted(void **state) {
    struct buffer wire;
    (void)state;
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    fixture_hex("72 01 61 08 01 fa01 05 0a0161 1001 8202 02 0805"
                "ba03 12 0a07 0a0162 12022000 0a07 0a0161 12022001 8a01 02 0801 8a01 02 0801",
                &wire);
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (uint64_t n = 1; status == SYNC_ERR_NO_MEMORY; n++) {
        struct buffer out;
        struct sync_error error = {0};
        buffer_init(&out, FIXTURE_BYTES_MAX);
        memory_fail_after(n);
        status = transcode_to_json(fixture_schema(), fixture_message("Everything"),
                                   buffer_slice(&wire), &out, &error);
        memory_fail_after(0);
        buffer_done(&out);
        assert_true(n < 1000);
    }
    assert_int_equal(status, SYNC_OK);
    buffer_done(&wire);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_read_by_their_types),
        cmocka_unit_test(bytes_are_digits_where_the_schema_says_so),
        cmocka_unit_test(default_values_are_left_out_but_where_presence_counts),
        cmocka_unit_test(names_of_members_are_escaped),
        cmocka_unit_test(of_a_singular_field_the_last_counts),
        cmocka_unit_test(heads_may_be_longer_than_need_be),
        cmocka_unit_test(what_comes_late_undoes_what_is_written),
        cmocka_unit_test(long_messages_are_read_whole_in_any_order),
        cmocka_unit_test(split_messages_are_merged),
        cmocka_unit_test(of_a_oneof_the_last_member_counts),
        cmocka_unit_test(lists_are_read_packed_and_unpacked),
        cmocka_unit_test(of_a_map_key_the_last_entry_counts),
        cmocka_unit_test(structs_keep_their_last_value),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(what_json_cannot_hold_is_named),
        cmocka_unit_test(proto2_is_served_too),
        cmocka_unit_test(values_that_a_closed_enum_lacks_are_unknown_fields),
        cmocka_unit_test(a_message_set_is_read_by_its_items),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(one_field_can_stand_alone),
        cmocka_unit_test(a_second_round_changes_nothing),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
