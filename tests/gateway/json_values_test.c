/* JSON values to wire: numbers, texts, enums, times and the other forms of one value; what is
 * refused and in which words. */
#include <stdio.h>
#include <string.h>

#include "tests/gateway/transcode_fixture.h"

static void scalars_are_written_by_their_types(void **state) {
    (void)state;
    expect_wire("Everything", "{}", "");
    expect_wire("Everything", "{\"i32\":-1}", "08 ffffffffffffffffff01");
    expect_wire("Everything", "{\"i64\":\"-9223372036854775808\"}", "10 80808080808080808001");
    expect_wire("Everything", "{\"u64\":18446744073709551615}", "20 ffffffffffffffffff01");
    expect_wire("Everything", "{\"s32\":-2,\"s64\":\"3\"}", "28 03 30 06");
    expect_wire("Everything", "{\"f32\":1,\"f64\":2}", "3d 01000000 41 0200000000000000");
    expect_wire("Everything", "{\"sf32\":-1,\"sf64\":-1}", "4d ffffffff 51 ffffffffffffffff");
    expect_wire("Everything", "{\"f\":1.5,\"d\":-2}", "5d 0000c03f 61 00000000000000c0");
    expect_wire("Everything", "{\"b\":true,\"s\":\"hi\",\"y\":\"AQL/\"}",
                "68 01 72 02 6869 7a 03 0102ff");
    expect_wire("Everything", "{\"color\":\"red\"}", "8001 01");
}

static void defaults_are_left_out_but_presence_is_kept(void **state) {
    (void)state;
    expect_wire("Everything", "{\"i32\":0,\"d\":0.0,\"b\":false,\"s\":\"\",\"color\":0,\"y\":\"\"}",
                "");
    expect_wire("Everything", "{\"maybe\":0}", "e802 00");
    expect_wire("Everything", "{\"number\":0}", "c802 00");
    expect_wire("Everything", "{\"nested\":{}}", "8a01 00");
    expect_wire("Everything", "{\"boolValue\":false}", "ea03 00");
    expect_wire("Everything", "{\"d\":-0.0}", "61 0000000000000080");
}

static void numbers_are_read_in_all_their_forms(void **state) {
    static const char *const ONE_HUNDRED[] = {
        "100",     "1e2",     "1E+2",      "100.0", "1000e-1",
        "\"100\"", "\"1e2\"", "\"100.0\"", "0.1e3", "100.00000000000000000000000000"};
    (void)state;
    for (size_t i = 0; i < sizeof ONE_HUNDRED / sizeof *ONE_HUNDRED; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"i32\":%s,\"u64\":%s}", ONE_HUNDRED[i], ONE_HUNDRED[i]);
        expect_wire("Everything", json, "08 64 20 64");
    }
    expect_round("Everything", "{\"d\":\"NaN\",\"f\":\"-Infinity\"}",
                 "{\"f\":\"-Infinity\",\"d\":\"NaN\"}");
    expect_round("Everything", "{\"d\":\"1.5\",\"f\":1e-3}", "{\"f\":0.001,\"d\":1.5}");
    expect_round("Everything", "{\"d\":1.7976931348623157e308}", "{\"d\":1.7976931348623157e+308}");
    expect_round("Everything", "{\"i64\":9007199254740993}", "{\"i64\":\"9007199254740993\"}");
    expect_round("Everything", "{\"d\":123456789012345678901234567890}",
                 "{\"d\":1.2345678901234568e+29}");
}

static void wrong_numbers_are_refused(void **state) {
    static const struct {
        const char *json, *path, *part;
    } CASES[] = {
        {"{\"i32\":2147483648}", "i32", "from -2147483648 to 2147483647"},
        {"{\"i32\":-2147483649}", "i32", "expected an integer"},
        {"{\"u32\":-1}", "u32", "from 0 to 4294967295"},
        {"{\"u32\":4294967296}", "u32", "expected an integer"},
        {"{\"u64\":18446744073709551616}", "u64", "expected an integer"},
        {"{\"i64\":9223372036854775808}", "i64", "expected an integer"},
        {"{\"i32\":1.5}", "i32", "expected an integer"},
        {"{\"i32\":1e400}", "i32", "expected an integer"},
        {"{\"i32\":1e-400}", "i32", "expected an integer"},
        {"{\"i32\":\"\"}", "i32", "expected an integer"},
        {"{\"i32\":\" 1\"}", "i32", "expected an integer"},
        {"{\"i32\":\"1 \"}", "i32", "expected an integer"},
        {"{\"i32\":\"0x1\"}", "i32", "expected an integer"},
        {"{\"i32\":\"01\"}", "i32", "expected an integer"},
        {"{\"i32\":true}", "i32", "expected an integer, not a boolean"},
        {"{\"f\":3.5e38}", "f", "beyond a float's range"},
        {"{\"d\":1e309}", "d", "beyond a double's range"},
        {"{\"d\":\"nan\"}", "d", "expected a number"},
        {"{\"i32\":\"NaN\"}", "i32", "expected an integer"},
        {"{\"b\":\"true\"}", "b", "expected true or false, not a string"},
        {"{\"b\":1}", "b", "expected true or false, not a number"},
        {"{\"s\":1}", "s", "expected a string, not a number"},
        {"{\"y\":\"@\"}", "y", "expected base64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_refused("Everything", CASES[i].json, CASES[i].path, CASES[i].part);
}

static void texts_are_decoded(void **state) {
    (void)state;
    expect_wire("Everything", "{\"s\":\"\\u00e9\\n\\ud83d\\ude00\\/\"}", "72 08 c3a90af09f98802f");
    expect_wire("Everything", "{\"\\u0073\":\"x\"}", "72 01 78");
    expect_wire("Everything", "{\"y\":\"-_-_\"}", "7a 03 fbffbf");
    expect_wire("Everything", "{\"y\":\"+/+/\"}", "7a 03 fbffbf");
    expect_wire("Everything", "{\"y\":\"YQ==\"}", "7a 01 61");
    expect_wire("Everything", "{\"y\":\"YQ\"}", "7a 01 61");
    expect_wire("Everything", "{\"y\":\"-_\"}", "7a 01 fb");
    expect_refused("Everything", "{\"s\":\"\\ud83d\"}", "s", "lone surrogate");
    expect_refused("Everything", "{\"s\":\"\\ude00\\ud83d\"}", "s", "lone surrogate");
    expect_refused("Everything", "{\"object\":{\"\\ud83d\":1}}", "object", "lone surrogate");
}

static void null_is_absent_where_it_is_no_value(void **state) {
    (void)state;
    expect_wire("Everything",
                "{\"i32\":null,\"s\":null,\"nested\":null,\"numbers\":null,\"counts\":null,"
                "\"time\":null,\"object\":null,\"boolValue\":null,\"null\":null,\"color\":null,"
                "\"number\":null,\"word\":\"x\"}",
                "d202 01 78");
    expect_round("Everything", "{\"value\":null}", NULL);
    expect_round("Everything", "{\"nothing\":null}", NULL);
    expect_round("Everything", "{\"nothing\":\"NULL_VALUE\"}", "{\"nothing\":null}");
    expect_round("Everything", "{\"many\":[null,1]}", NULL);
    expect_refused("Everything", "{\"numbers\":[1,null]}", "numbers[1]", "null");
    expect_refused("Everything", "{\"list\":[null]}", "list[0]", "null");
    expect_refused("Everything", "{\"counts\":{\"a\":null}}", "counts.a", "null");
    expect_refused("Everything", "{\"i32\":null,\"i32\":null}", "i32", "twice");
}

static void enums_are_read_by_any_of_their_names(void **state) {
    static const char *const BLUES[] = {"\"deep-blue\"", "\"COLOR_DEEP_BLUE\"", "\"navy\"", "2",
                                        "2.0"};
    (void)state;
    for (size_t i = 0; i < sizeof BLUES / sizeof *BLUES; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"color\":%s}", BLUES[i]);
        expect_round("Everything", json, "{\"color\":\"deep-blue\"}");
    }
    expect_round("Everything", "{\"color\":\"negative\"}", NULL);
    expect_round("Everything", "{\"color\":77}", NULL);
    expect_round("Item", "{\"color\":\"COLOR_DEEP_BLUE\"}",
                 "{\"color\":\"navy\",\"count\":0,\"tags\":[],\"ready\":false}");
    expect_refused("Everything", "{\"color\":\"green\"}", "color",
                   "expected one of \"red\", \"deep-blue\", \"negative\"");
    expect_refused("Item", "{\"color\":\"\"}", "color", "expected one of \"red\", \"navy\"");
    expect_refused("Everything", "{\"color\":{}}", "color", "not an object");
    expect_refused("Everything", "{\"color\":2147483648}", "color", "expected an integer");
}

static void well_known_types_have_forms_of_their_own(void **state) {
    static const char *const CASES[] = {
        "{\"time\":\"2026-03-29T08:15:00Z\"}",
        "{\"time\":\"0001-01-01T00:00:00Z\"}",
        "{\"time\":\"9999-12-31T23:59:59.999999999Z\"}",
        "{\"time\":\"1969-12-31T23:59:59.500Z\"}",
        "{\"time\":\"2024-02-29T00:00:00.000001Z\"}",
        "{\"span\":\"1.500s\"}",
        "{\"span\":\"-0.000000001s\"}",
        "{\"span\":\"315576000000s\"}",
        "{\"span\":\"-315576000000.999999999s\"}",
        "{\"mask\":\"a.bC,dEf\"}",
        "{\"mask\":\"\"}",
        "{\"object\":{\"a\":[1,\"x\",null,true,{\"b\":{}}],\"c\":-1.5}}",
        "{\"value\":[1,[2]]}",
        "{\"values\":[{},[],\"\"]}",
        "{\"empty\":{}}",
        "{\"boolValue\":true,\"int64Value\":\"-5\",\"stringValue\":\"\",\"bytesValue\":\"AQ==\","
        "\"doubleValue\":0,\"floatValue\":1.5,\"uint32Value\":7}",
        "{\"any\":{\"@type\":\"type.googleapis.com/sample.v1.Part\",\"name\":\"x\"}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\"}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"x/"
        "sample.v1.Part\"}}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"@type\":1}}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Empty\"}}",
        "{\"any\":{}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_round("Everything", CASES[i], NULL);
    expect_round("Everything", "{\"time\":\"2026-03-29T08:15:00.1+02:30\"}",
                 "{\"time\":\"2026-03-29T05:45:00.100Z\"}");
    expect_round("Everything",
                 "{\"any\":{\"name\":\"x\",\"@type\":\"t/sample.v1.Part\",\"size\":1}}",
                 "{\"any\":{\"@type\":\"t/sample.v1.Part\",\"name\":\"x\",\"size\":1}}");
}

static void wrong_forms_of_well_known_types_are_refused(void **state) {
    static const struct {
        const char *json, *path, *part;
    } CASES[] = {
        {"{\"time\":\"2026-03-29t08:15:00Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:00z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:00\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-02-29T00:00:00Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T24:00:00Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:60Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:00.Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:00.1234567890Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"2026-03-29T08:15:00+0200\"}", "time", "RFC 3339"},
        {"{\"time\":\"0000-01-01T00:00:00Z\"}", "time", "RFC 3339"},
        {"{\"time\":\"9999-12-31T23:59:59-01:00\"}", "time", "RFC 3339"},
        {"{\"time\":1}", "time", "expected a time in quotes, not a number"},
        {"{\"span\":\"1\"}", "span", "1.5s"},
        {"{\"span\":\"s\"}", "span", "1.5s"},
        {"{\"span\":\"1.s\"}", "span", "1.5s"},
        {"{\"span\":\"+1s\"}", "span", "1.5s"},
        {"{\"span\":\"315576000001s\"}", "span", "from -315576000000 to 315576000000 seconds"},
        {"{\"span\":\"-99999999999999999999s\"}", "span", "to 315576000000 seconds"},
        {"{\"mask\":\"a_b\"}", "mask", "lowerCamelCase"},
        {"{\"mask\":\"a,,b\"}", "mask", "lowerCamelCase"},
        {"{\"object\":[]}", "object", "expected an object"},
        {"{\"object\":{\"a\":[1,1e999]}}", "object.a[1]", "beyond a double's range"},
        {"{\"values\":{}}", "values", "expected a list"},
        {"{\"any\":{\"name\":\"x\"}}", "any", "\"@type\" is missing"},
        {"{\"any\":{\"@type\":\"x/sample.v1.Part\",\"@type\":\"x/sample.v1.Part\"}}", "any.@type",
         "twice"},
        {"{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\","
         "\"@type\":\"x/google.protobuf.Duration\"}}",
         "any", "twice"},
        {"{\"any\":{\"@type\":\"\",\"value\":\"\"}}", "any", "\"@type\" must be"},
        {"{\"any\":{\"@type\":\"sample.v1.Part\"}}", "any", "\"@type\" must be"},
        {"{\"any\":{\"@type\":\"x/no.Such\"}}", "any", "not known"},
        {"{\"any\":{\"@type\":5}}", "any", "@type"},
        {"{\"any\":{\"@type\":\"x/google.protobuf.Duration\"}}", "any", "\"value\" is missing"},
        {"{\"any\":{\"@type\":\"x/sample.v1.Part\",\"nam\":1}}", "any.nam", "no such field"},
        {"{\"boolValue\":1}", "boolValue", "expected true or false"},
        {"{\"times\":[\"x\"]}", "times[0]", "RFC 3339"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_refused("Everything", CASES[i].json, CASES[i].path, CASES[i].part);
}

/* Any's in each other, each with its type behind its value, around `inner`. */
static void any_nest(struct buffer *json, int depth, const char *inner) {
    for (int i = 0; i < depth; i++)
        buffer_append(json, SLICE("{\"value\":"));
    buffer_append(json, slice_text(inner));
    for (int i = 0; i < depth; i++)
        buffer_append_format(json, ",\"@type\":\"x/google.protobuf.%s\"}",
                             i == 0 ? "StringValue" : "Any");
}

static void types_of_nested_anys_may_come_last_but_not_for_ever(void **state) {
    static char inner[5000];
    (void)state;
    memset(inner, 'x', sizeof inner - 1);
    inner[0] = inner[sizeof inner - 2] = '"';
    for (int depth = 12; depth <= 40; depth += 28) {
        struct buffer json, out;
        struct sync_error error = {0};
        buffer_init(&json, FIXTURE_BYTES_MAX);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        any_nest(&json, depth, inner);
        assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Any"),
                                           buffer_slice(&json), NULL, &out, &error),
                         depth == 12 ? SYNC_OK : SYNC_ERR_INVALID);
        if (depth > 12)
            assert_non_null(strstr(error.message, "has to come first"));
        buffer_done(&json);
        buffer_done(&out);
    }
}

static void iso_8601_fields_take_more_forms_of_time(void **state) {
    static const struct {
        const char *text, *time;
    } CASES[] = {
        {"2026-03-29", "2026-03-29T00:00:00Z"},
        {"2026-03-29T08:15:00", "2026-03-29T08:15:00Z"},
        {"2026-03-29T08:15", "2026-03-29T08:15:00Z"},
        {"2026-03-29 08:15:00z", "2026-03-29T08:15:00Z"},
        {"2026-03-29t08:15:00+0200", "2026-03-29T06:15:00Z"},
        {"2026-03-29T08:15:00-02", "2026-03-29T10:15:00Z"},
        {"2026-06-30T23:59:60Z", "2026-06-30T23:59:59.999999999Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char json[96], back[128];
        snprintf(json, sizeof json, "{\"at\":\"%s\"}", CASES[i].text);
        snprintf(back, sizeof back, "{\"count\":0,\"tags\":[],\"at\":\"%s\",\"ready\":false}",
                 CASES[i].time);
        expect_round("Item", json, back);
    }
    expect_refused("Item", "{\"at\":\"29.03.2026\"}", "at", "ISO 8601");
    expect_refused("Item", "{\"at\":\"2026-03-29T\"}", "at", "ISO 8601");
    expect_refused("Item", "{\"at\":\"2026-03-29T08:15:00+02:0\"}", "at", "ISO 8601");
}

static void i_json_refuses_integers_that_would_be_rounded(void **state) {
    (void)state;
    expect_round("Item", "{\"data\":{\"a\":9007199254740991,\"b\":-9007199254740991,\"c\":1e300}}",
                 "{\"count\":0,\"tags\":[],\"data\":{\"a\":9007199254740991,"
                 "\"b\":-9007199254740991,\"c\":1e+300},\"ready\":false}");
    expect_refused("Item", "{\"data\":{\"a\":{\"b\":[0,9007199254740992]}}}", "data.a.b[1]",
                   "would be rounded");
    expect_refused("Item", "{\"data\":{\"a\":-123456789012345678901234567890}}", "data.a",
                   "would be rounded");
    expect_round("Everything", "{\"object\":{\"a\":9007199254740993}}",
                 "{\"object\":{\"a\":9007199254740992}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_written_by_their_types),
        cmocka_unit_test(defaults_are_left_out_but_presence_is_kept),
        cmocka_unit_test(numbers_are_read_in_all_their_forms),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(texts_are_decoded),
        cmocka_unit_test(null_is_absent_where_it_is_no_value),
        cmocka_unit_test(enums_are_read_by_any_of_their_names),
        cmocka_unit_test(well_known_types_have_forms_of_their_own),
        cmocka_unit_test(wrong_forms_of_well_known_types_are_refused),
        cmocka_unit_test(types_of_nested_anys_may_come_last_but_not_for_ever),
        cmocka_unit_test(iso_8601_fields_take_more_forms_of_time),
        cmocka_unit_test(i_json_refuses_integers_that_would_be_rounded),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
