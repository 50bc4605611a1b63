#include "tests/gateway/transcode_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "sample_descriptor.h"

static struct schema *schema;

int fixture_open(void **state) {
    struct sync_error error;
    (void)state;
    return schema_open(slice_of(sample_descriptor, sample_descriptor_size), &error, &schema);
}

int fixture_close(void **state) {
    (void)state;
    schema = schema_close(schema);
    return 0;
}

const struct schema *fixture_schema(void) {
    return schema;
}

const struct schema_message *fixture_message(const char *name) {
    static const char *const PREFIXES[] = {"sample.v1.", "sample.", "google.protobuf."};
    const struct schema_message *message = NULL;
    char full[128];
    for (size_t i = 0; i < 3 && !message; i++) {
        snprintf(full, sizeof full, "%s%s", PREFIXES[i], name);
        message = schema_message_find(schema, slice_text(full));
    }
    assert_non_null(message);
    return message;
}

void fixture_hex(const char *hex, struct buffer *out) {
    unsigned byte;
    for (; *hex; hex++) {
        if (isspace((unsigned char)*hex))
            continue;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        buffer_append_byte(out, (uint8_t)byte);
        hex++;
    }
}

static void expect_bytes(struct slice got, const char *hex, const char *of) {
    struct buffer wanted;
    buffer_init(&wanted, FIXTURE_BYTES_MAX);
    fixture_hex(hex, &wanted);
    if (!slice_equal(got, buffer_slice(&wanted))) {
        fprintf(stderr, "%s\n got:", of);
        for (size_t i = 0; i < got.size; i++)
            fprintf(stderr, " %02x", got.data[i]);
        fprintf(stderr, "\n not: %s\n", hex);
        fail();
    }
    buffer_done(&wanted);
}

void expect_wire_options(const char *message, const char *json,
                         const struct transcode_options *options, const char *hex) {
    struct buffer out;
    struct sync_error error = {0};
    buffer_init(&out, FIXTURE_BYTES_MAX);
    if (transcode_to_wire(schema, fixture_message(message), slice_text(json), options, &out,
                          &error)) {
        fprintf(stderr, "%s\n refused: %s: %s\n", json, error.field, error.message);
        fail();
    }
    expect_bytes(buffer_slice(&out), hex, json);
    buffer_done(&out);
}

void expect_wire(const char *message, const char *json, const char *hex) {
    expect_wire_options(message, json, NULL, hex);
}

static void expect_text(struct slice got, const char *wanted) {
    if (!slice_equal(got, slice_text(wanted))) {
        fprintf(stderr, " got: %.*s\n not: %s\n", (int)got.size, got.data, wanted);
        fail();
    }
}

void expect_json(const char *message, const char *hex, const char *json) {
    struct buffer wire, out;
    struct sync_error error = {0};
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&out, FIXTURE_BYTES_MAX);
    fixture_hex(hex, &wire);
    if (transcode_to_json(schema, fixture_message(message), buffer_slice(&wire), &out, &error)) {
        fprintf(stderr, "%s\n refused: %s: %s\n", hex, error.field, error.message);
        fail();
    }
    expect_text(buffer_slice(&out), json);
    buffer_done(&wire);
    buffer_done(&out);
}

static void expect_error(const struct sync_error *error, const char *path, const char *part) {
    if (strcmp(error->field, path) != 0 || !strstr(error->message, part)) {
        fprintf(stderr, " got: %s: %s\n not: %s: %s\n", error->field, error->message, path, part);
        fail();
    }
}

void expect_json_refused(const char *message, const char *hex, const char *path, const char *part) {
    struct buffer wire, out;
    struct sync_error error = {0};
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&out, FIXTURE_BYTES_MAX);
    fixture_hex(hex, &wire);
    assert_int_equal(
        transcode_to_json(schema, fixture_message(message), buffer_slice(&wire), &out, &error),
        SYNC_ERR_INVALID);
    expect_error(&error, path, part);
    buffer_done(&wire);
    buffer_done(&out);
}

void expect_round(const char *message, const char *json, const char *back) {
    struct buffer wire, out;
    struct sync_error error = {0};
    buffer_init(&wire, FIXTURE_BYTES_MAX);
    buffer_init(&out, FIXTURE_BYTES_MAX);
    if (transcode_to_wire(schema, fixture_message(message), slice_text(json), NULL, &wire,
                          &error) ||
        transcode_to_json(schema, fixture_message(message), buffer_slice(&wire), &out, &error)) {
        fprintf(stderr, "%s\n refused: %s: %s\n", json, error.field, error.message);
        fail();
    }
    expect_text(buffer_slice(&out), back ? back : json);
    buffer_done(&wire);
    buffer_done(&out);
}

void expect_refused(const char *message, const char *json, const char *path, const char *part) {
    struct buffer out;
    struct sync_error error = {0};
    buffer_init(&out, FIXTURE_BYTES_MAX);
    enum sync_status status =
        transcode_to_wire(schema, fixture_message(message), slice_text(json), NULL, &out, &error);
    if (status != SYNC_ERR_INVALID) {
        fprintf(stderr, "%s: status %s\n", json, sync_status_name(status));
        fail();
    }
    expect_error(&error, path, part);
    buffer_done(&out);
}
