/* Texts of every length, plain and not, at the end of what is read and before it: whichever way
 * they go, they are the same. */
#include <string.h>

#include "base/json_text.h"
#include "tests/gateway/transcode_fixture.h"

enum { SIZE_MAX_TRIED = 70, PADDING = 40, TEXT_TAG = 3 << 3 | 2 };

/* A text of `size` letters with `special` among them. */
static struct slice text_make(char *into, size_t size, size_t at, const char *special) {
    memset(into, 'x', size);
    memcpy(into + at, special, strlen(special));
    return slice_of(into, size);
}

/* The Value that is a string, as wire bytes. */
static void value_write(struct slice text, struct buffer *out) {
    buffer_append_byte(out, TEXT_TAG);
    buffer_append_byte(out, (uint8_t)text.size);
    buffer_append(out, text);
}

static void expect_same(struct slice got, struct slice wanted, struct slice text) {
    if (!slice_equal(got, wanted))
        fail_msg("of \"%.*s\" came %.*s", (int)text.size, text.data, (int)got.size, got.data);
}

/* The text goes to the wire and back, with `padding` blanks behind the JSON. */
static void check_value(struct slice text, size_t padding) {
    struct buffer json, wire, got;
    struct sync_error error = {0};
    const struct schema_message *value = fixture_message("Value");
    buffer_init(&json, FIXTURE_BYTES_MAX);
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&got, FIXTURE_BYTES_MAX);
    value_write(text, &wire);
    json_append_string(&json, text);
    size_t json_size = json.size;
    for (size_t i = 0; i < padding; i++)
        buffer_append_byte(&json, ' ');
    assert_int_equal(
        transcode_to_wire(fixture_schema(), value, buffer_slice(&json), NULL, &got, &error),
        SYNC_OK);
    expect_same(buffer_slice(&got), buffer_slice(&wire), text);
    buffer_clear(&got);
    assert_int_equal(transcode_to_json(fixture_schema(), value, buffer_slice(&wire), &got, &error),
                     SYNC_OK);
    expect_same(buffer_slice(&got), slice_first(buffer_slice(&json), json_size), text);
    buffer_done(&json);
    buffer_done(&wire);
    buffer_done(&got);
}

/* The text as a name in a Struct, twice: as the last thing of the input, and before another. */
static void check_name(struct slice text) {
    struct buffer json, wire, back;
    struct sync_error error = {0};
    const struct schema_message *object = fixture_message("Struct");
    buffer_init(&json, FIXTURE_BYTES_MAX);
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&back, FIXTURE_BYTES_MAX);
    buffer_append(&json, SLICE("{"));
    json_append_string(&json, text);
    buffer_append(&json, SLICE(":{"));
    json_append_string(&json, text);
    buffer_append(&json, SLICE(":0},\"z\":true}"));
    assert_int_equal(
        transcode_to_wire(fixture_schema(), object, buffer_slice(&json), NULL, &wire, &error),
        SYNC_OK);
    assert_int_equal(
        transcode_to_json(fixture_schema(), object, buffer_slice(&wire), &back, &error), SYNC_OK);
    expect_same(buffer_slice(&back), buffer_slice(&json), text);
    buffer_done(&json);
    buffer_done(&wire);
    buffer_done(&back);
}

static void texts_of_every_length_pass(void **state) {
    static const char *const SPECIALS[] = {
        "", "\"", "\\", "\n", "\x01", "\x7f", "\xc3\xa9", "\xe6\x97\xa5", "/", "\xf0\x9f\x98\x80"};
    char text[SIZE_MAX_TRIED + 1];
    (void)state;
    for (size_t i = 0; i < sizeof SPECIALS / sizeof *SPECIALS; i++) {
        size_t special = strlen(SPECIALS[i]);
        for (size_t size = special; size <= SIZE_MAX_TRIED; size++)
            for (size_t at = 0; at + special <= size; at += special > 0 ? 1 : size + 1) {
                struct slice made = text_make(text, size, at, SPECIALS[i]);
                check_value(made, 0);
                check_value(made, PADDING);
                check_name(made);
            }
    }
}

/* Neither as JSON nor as wire bytes. */
static void check_refused(struct slice text, size_t padding, bool json_alone) {
    struct buffer json, wire, out;
    struct sync_error error = {0};
    const struct schema_message *value = fixture_message("Value");
    buffer_init(&json, FIXTURE_BYTES_MAX);
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&out, FIXTURE_BYTES_MAX);
    buffer_append_byte(&json, '"');
    buffer_append(&json, text);
    buffer_append_byte(&json, '"');
    for (size_t i = 0; i < padding; i++)
        buffer_append_byte(&json, ' ');
    value_write(text, &wire);
    assert_int_equal(
        transcode_to_wire(fixture_schema(), value, buffer_slice(&json), NULL, &out, &error),
        SYNC_ERR_INVALID);
    if (!json_alone)
        assert_int_equal(
            transcode_to_json(fixture_schema(), value, buffer_slice(&wire), &out, &error),
            SYNC_ERR_INVALID);
    buffer_done(&json);
    buffer_done(&wire);
    buffer_done(&out);
}

static void wrong_bytes_are_seen_wherever_they_stand(void **state) {
    static const char *const WRONGS[] = {
        "\x01",     "\t",   "\x1f",         "\x80",     "\xc3",
        "\xc0\xaf", "\xff", "\xed\xa0\x80", "\xe6\x97", "\xf4\x90\x80\x80"};
    enum { CONTROLS = 3 };
    char text[SIZE_MAX_TRIED + 1];
    (void)state;
    for (size_t i = 0; i < sizeof WRONGS / sizeof *WRONGS; i++) {
        size_t wrong = strlen(WRONGS[i]);
        for (size_t size = wrong; size <= SIZE_MAX_TRIED; size++)
            for (size_t at = 0; at + wrong <= size; at++) {
                struct slice made = text_make(text, size, at, WRONGS[i]);
                check_refused(made, 0, i < CONTROLS);
                check_refused(made, PADDING, i < CONTROLS);
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_every_length_pass),
        cmocka_unit_test(wrong_bytes_are_seen_wherever_they_stand),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
