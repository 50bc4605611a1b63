/* JSON guess: objects of one kind, one after the other, are read as each is alone, whatever their
 * members and in whatever order. TEST_SEED=N repeats a run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/wire.h"
#include "tests/gateway/transcode_fixture.h"

enum { OBJECTS = 6, MEMBERS_MAX = 8, ROUNDS = 20000, SAME_IN = 3, LIST = 23, TEXT_MAX = 8 << 10 };

#define LONG "a text that is longer than what is read at once, by some"
#define LONGER LONG LONG LONG

static uint64_t random_below(uint64_t *seed, uint64_t bound) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % bound;
}

/* Members as there are, well and at fault, as text. */
static const char *const MEMBERS[] = {
    "\"i32\":1",
    "\"i32\":-1",
    "\"i32\":0",
    "\"i32\":2147483647",
    "\"i32\":2147483648",
    "\"i32\":1.0",
    "\"i32\":1e2",
    "\"i32\":\"15\"",
    "\"i32\":\"015\"",
    "\"i32\":null",
    "\"i64\":\"123456789012345678\"",
    "\"i64\":\"1234567890123456789\"",
    "\"i64\":\"9223372036854775808\"",
    "\"i64\":9223372036854775807",
    "\"i64\":\"-5\"",
    "\"i64\":\" 5\"",
    "\"u32\":4294967295",
    "\"u32\":4294967296",
    "\"u64\":18446744073709551615",
    "\"s32\":7",
    "\"f64\":7",
    "\"d\":1",
    "\"b\":true",
    "\"b\":false",
    "\"b\":\"true\"",
    "\"s\":\"\"",
    "\"s\":\"short\"",
    "\"s\":\"" LONG "\"",
    "\"s\":\"" LONGER "\"",
    "\"s\":\"Zo\xc3\xab\"",
    "\"s\":\"" LONG "\xc3\xab\"",
    "\"s\":\"" LONG "\\n\\u00eb\"",
    "\"s\":5",
    "\"s\" : \"apart\"",
    "\"s\": \"apart\"",
    "\"\\u0073\":\"by another name\"",
    "\"color\":\"red\"",
    "\"color\":\"COLOR_NEGATIVE\"",
    "\"color\":\"COLOR_UNSPECIFIED\"",
    "\"color\":\"green\"",
    "\"color\":2",
    "\"maybe\":0",
    "\"number\":1",
    "\"word\":\"x\"",
    "\"nothing\":null",
    "\"words\":[\"a\",\"b\"]",
    "\"numbers\":[1,2]",
    "\"nested\":{\"s\":\"x\",\"i32\":3}",
    "\"time\":\"2026-03-29T08:15:00Z\"",
    "\"value\":null",
    "\"snakeCaseName\":\"a\"",
    "\"snake_case_name\":\"a\"",
    "\"other\":\"a\"",
    "\"renamed\":\"a\"",
    "\"unheard\":1",
};

enum { MEMBER_COUNT = sizeof MEMBERS / sizeof *MEMBERS };

/* Writes an object: another one, or with the members of the last time. */
static void object_make(uint64_t *seed, size_t *members, size_t *count, char *text) {
    static const char *const BETWEEN[] = {",", ",", ",", ",", ", ", " ,\n"};
    if (*count == 0 || random_below(seed, SAME_IN) == 0) {
        *count = 1 + random_below(seed, MEMBERS_MAX);
        for (size_t i = 0; i < *count; i++)
            members[i] = random_below(seed, MEMBER_COUNT);
    } else if (random_below(seed, SAME_IN) == 0) {
        members[random_below(seed, *count)] = random_below(seed, MEMBER_COUNT);
    }
    size_t size = 0;
    for (size_t i = 0; i < *count; i++)
        size += (size_t)snprintf(text + size, TEXT_MAX - size, "%s%s",
                                 i ? BETWEEN[random_below(seed, 6)] : "{", MEMBERS[members[i]]);
    snprintf(text + size, TEXT_MAX - size, "}");
}

static enum sync_status read_text(const char *text, struct buffer *out, struct sync_error *error) {
    *error = (struct sync_error){0};
    return transcode_to_wire(fixture_schema(), fixture_message("Everything"), slice_text(text),
                             NULL, out, error);
}

/* What a list of the objects must become: each alone, or the error of the first that has one. */
static enum sync_status read_each(char objects[][TEXT_MAX], struct buffer *out,
                                  struct sync_error *error) {
    for (size_t i = 0; i < OBJECTS; i++) {
        struct buffer one;
        buffer_init(&one, FIXTURE_BYTES_MAX);
        enum sync_status status = read_text(objects[i], &one, error);
        if (status) {
            char field[sizeof error->field];
            snprintf(field, sizeof field, "list[%zu].%.100s", i, error->field);
            memcpy(error->field, field, sizeof field);
            buffer_done(&one);
            return status;
        }
        wire_write_bytes(out, LIST, buffer_slice(&one));
        buffer_done(&one);
    }
    return SYNC_OK;
}

static void check_list(char objects[][TEXT_MAX]) {
    static char text[OBJECTS * TEXT_MAX + 64];
    struct buffer each, all;
    struct sync_error one_error, error;
    buffer_init(&each, FIXTURE_BYTES_MAX);
    buffer_init(&all, FIXTURE_BYTES_MAX);
    size_t size = (size_t)snprintf(text, sizeof text, "{\"list\":[");
    for (size_t i = 0; i < OBJECTS; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", i ? "," : "", objects[i]);
    snprintf(text + size, sizeof text - size, "]}");
    enum sync_status wanted = read_each(objects, &each, &one_error);
    enum sync_status status = read_text(text, &all, &error);
    bool same = status == wanted &&
                (status == SYNC_OK ? slice_equal(buffer_slice(&all), buffer_slice(&each))
                                   : strcmp(error.field, one_error.field) == 0 &&
                                         strcmp(error.message, one_error.message) == 0);
    if (!same)
        fail_msg("%s\n got %d %s: %s\n not %d %s: %s", text, status, error.field, error.message,
                 wanted, one_error.field, one_error.message);
    buffer_done(&each);
    buffer_done(&all);
}

static void lists_are_read_as_each_of_their_objects(void **state) {
    static char objects[OBJECTS][TEXT_MAX];
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    (void)state;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (int round = 0; round < ROUNDS; round++) {
        size_t members[MEMBERS_MAX], count = 0;
        for (size_t i = 0; i < OBJECTS; i++)
            object_make(&seed, members, &count, objects[i]);
        check_list(objects);
    }
}

static void a_guess_does_not_read_beyond_the_text(void **state) {
    static const char TEXT[] =
        "{\"list\":[{\"i32\":1,\"s\":\"x\",\"b\":true},{\"i32\":1,\"s\":\"x\",\"b\":true}]}";
    (void)state;
    for (size_t size = 0; size < sizeof TEXT - 1; size++) {
        char *text = test_malloc(size); /* at whose end a sanitizer watches */
        struct buffer out;
        struct sync_error error = {0};
        memcpy(text, TEXT, size);
        buffer_init(&out, FIXTURE_BYTES_MAX);
        assert_int_equal(transcode_to_wire(fixture_schema(), fixture_message("Everything"),
                                           slice_of(text, size), NULL, &out, &error),
                         SYNC_ERR_INVALID);
        assert_int_equal(strncmp(error.message, "not JSON: ", 10), 0);
        buffer_done(&out);
        test_free(text);
    }
}

static void a_name_that_leads_to_another_field_is_looked_up(void **state) {
    (void)state;
    /* "renamed" and "other" name one field, whose JSON name is the second. */
    expect_round("Everything",
                 "{\"list\":[{\"renamed\":\"a\",\"s\":\"b\"},{\"renamed\":\"c\",\"s\":\"d\"},"
                 "{\"other\":\"e\",\"s\":\"f\"},{\"other\":\"g\",\"s\":\"h\"}]}",
                 "{\"list\":[{\"s\":\"b\",\"other\":\"a\"},{\"s\":\"d\",\"other\":\"c\"},"
                 "{\"s\":\"f\",\"other\":\"e\"},{\"s\":\"h\",\"other\":\"g\"}]}");
}

static void a_field_twice_is_refused_where_it_was_guessed(void **state) {
    (void)state;
    expect_refused("Everything",
                   "{\"list\":[{\"s\":\"a\",\"i32\":1,\"b\":true},"
                   "{\"s\":\"a\",\"i32\":1,\"s\":\"b\",\"i32\":2}]}",
                   "list[1].s", "twice");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_as_each_of_their_objects),
        cmocka_unit_test(a_guess_does_not_read_beyond_the_text),
        cmocka_unit_test(a_name_that_leads_to_another_field_is_looked_up),
        cmocka_unit_test(a_field_twice_is_refused_where_it_was_guessed),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
