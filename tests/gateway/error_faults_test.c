#include "gateway/error_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "gateway/error_body.h"

enum { BYTES_MAX = 32 << 20, ARENA_MAX = 64 << 20, TOLD_MAX = 16 };

#define TYPE(name) "type.googleapis.com/google.rpc." name

/* One case's two sides, and what becomes of them. */
struct fixture {
    struct arena arena;
    struct transcode_fault list[TOLD_MAX];
    struct transcode_faults faults;
    struct buffer theirs, details, out;
    struct error_faults told;
};

static int setup(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.faults.list = fixture.list};
    arena_init(&fixture.arena, ARENA_MAX);
    buffer_init(&fixture.theirs, BYTES_MAX);
    buffer_init(&fixture.details, BYTES_MAX);
    buffer_init(&fixture.out, BYTES_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    arena_done(&fixture->arena);
    buffer_done(&fixture->theirs);
    buffer_done(&fixture->details);
    buffer_done(&fixture->out);
    return 0;
}

/* Adds a fault of the gateway's. */
static void ours(struct fixture *fixture, const char *path) {
    fixture->list[fixture->faults.count++] =
        (struct transcode_fault){slice_text(path), SLICE("ours"), "INVALID_VALUE"};
}

/* Adds a fault of the service's. */
static void theirs(struct fixture *fixture, const char *path, const char *reason) {
    size_t violation = wire_begin(&fixture->theirs, 1);
    wire_write_bytes(&fixture->theirs, 1, slice_text(path));
    wire_write_bytes(&fixture->theirs, 2, SLICE("theirs"));
    wire_write_bytes(&fixture->theirs, 3, slice_text(reason));
    wire_end(&fixture->theirs, violation);
}

static void append_detail(struct buffer *details, const char *type_url, struct slice value) {
    size_t any = wire_begin(details, 3);
    wire_write_bytes(details, 1, slice_text(type_url));
    wire_write_bytes(details, 2, value);
    wire_end(details, any);
}

static enum sync_status run(struct fixture *fixture) {
    if (fixture->theirs.size > 0) {
        wire_write_uint(&fixture->details, 1, 3);
        wire_write_bytes(&fixture->details, 2, SLICE("message"));
        append_detail(&fixture->details, TYPE("BadRequest"), buffer_slice(&fixture->theirs));
        append_detail(&fixture->details, TYPE("ErrorInfo"), SLICE("\x0a\x01R"));
    }
    return error_faults_write(&fixture->out, &fixture->faults, buffer_slice(&fixture->details),
                              &fixture->arena, &fixture->told);
}

/* The fields of the first detail, which is a BadRequest, each with a space behind. */
static const char *told(struct fixture *fixture) {
    struct wire_reader status = wire_reader_of(buffer_slice(&fixture->out));
    struct wire_field detail, violation, field;
    struct any_parts any;
    char *text = arena_alloc(&fixture->arena, 8192);
    size_t size = 0;
    assert_non_null(text);
    assert_true(wire_read(&status, &detail) && any_read(detail.bytes, &any));
    assert_true(slice_equal(any.type_name, SLICE("google.rpc.BadRequest")));
    struct wire_reader request = wire_reader_of(any.value);
    text[0] = 0;
    while (!wire_at_end(&request)) {
        assert_true(wire_read(&request, &violation));
        struct wire_reader reader = wire_reader_of(violation.bytes);
        assert_true(wire_read(&reader, &field));
        size += (size_t)snprintf(text + size, 8192 - size, "%.*s ", (int)field.bytes.size,
                                 (const char *)field.bytes.data);
        assert_true(size < 8192);
    }
    return text;
}

static void both_sides_come_in_the_order_of_their_paths(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "changes[10].id");
    ours(fixture, "changes[2].timestamp");
    theirs(fixture, "deviceId", "REQUIRED");
    theirs(fixture, "changes[9].dataId", "INVALID_FORMAT");
    theirs(fixture, "changes[2].baseVersion", "OUT_OF_RANGE");
    theirs(fixture, "changes[100].id", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    assert_string_equal(told(fixture),
                        "changes[2].baseVersion changes[2].timestamp changes[9].dataId "
                        "changes[10].id changes[100].id deviceId ");
    assert_int_equal(fixture->told.count, 6);
    assert_true(slice_equal(fixture->told.path, SLICE("changes[2].baseVersion")));
    assert_true(slice_equal(fixture->told.description, SLICE("theirs")));
}

static void what_the_gateway_named_is_not_named_again(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "a");
    ours(fixture, "b[3]");
    ours(fixture, "b[3].x");
    ours(fixture, "c.d");
    theirs(fixture, "a", "REQUIRED");
    theirs(fixture, "a.b", "INVALID_VALUE");
    theirs(fixture, "ab", "REQUIRED");
    theirs(fixture, "b[3].id", "REQUIRED");
    theirs(fixture, "b[3].z[1]", "TOO_LARGE");
    theirs(fixture, "b[30]", "REQUIRED");
    theirs(fixture, "b[4].id", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    assert_string_equal(told(fixture), "a ab b[3] b[3].x b[4].id b[30] c.d ");
}

static void a_field_is_missed_only_when_nothing_of_it_was_at_fault(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "changes[0]");
    ours(fixture, "config.a");
    theirs(fixture, "changes", "TOO_MANY");
    theirs(fixture, "config", "REQUIRED");
    theirs(fixture, "conf", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    assert_string_equal(told(fixture), "changes changes[0] conf config.a ");
}

static void one_field_may_have_several_faults_of_one_side(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "x");
    theirs(fixture, "a", "INVALID_FORMAT");
    theirs(fixture, "a", "DUPLICATE");
    assert_int_equal(run(fixture), SYNC_OK);
    assert_string_equal(told(fixture), "a a x ");
}

static void other_details_stay_as_they_are(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "x");
    theirs(fixture, "a", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    struct buffer wanted;
    buffer_init(&wanted, 256);
    append_detail(&wanted, TYPE("ErrorInfo"), SLICE("\x0a\x01R"));
    struct slice out = buffer_slice(&fixture->out);
    assert_true(slice_equal(slice_after(out, out.size - wanted.size), buffer_slice(&wanted)));
    buffer_done(&wanted);
}

/* Details cut anywhere, and what is no message at all. */
static void malformed_details_count_as_none(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "x");
    theirs(fixture, "a", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    struct slice whole = buffer_slice(&fixture->details);
    for (size_t size = 0; size < whole.size; size++) {
        /* Memory of just this size: reading beyond it is seen. */
        uint8_t *cut = memory_alloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, whole.data, size);
        buffer_clear(&fixture->out);
        assert_int_equal(error_faults_write(&fixture->out, &fixture->faults, slice_of(cut, size),
                                            &fixture->arena, &fixture->told),
                         SYNC_OK);
        const char *fields = told(fixture);
        assert_true(strcmp(fields, "x ") == 0 || strcmp(fields, "a x ") == 0);
        memory_free(cut);
    }
    buffer_clear(&fixture->out);
    assert_int_equal(error_faults_write(&fixture->out, &fixture->faults,
                                        SLICE("\xff\xff\x01 garbage \x1a\x7f"), &fixture->arena,
                                        &fixture->told),
                     SYNC_OK);
    assert_string_equal(told(fixture), "x ");
}

static void thousands_of_both_sides_are_told_and_more_are_cut(void **state) {
    struct fixture *fixture = *state;
    struct transcode_fault *list = arena_zalloc(&fixture->arena, BATCH_FAULTS_MAX, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < BATCH_FAULTS_MAX; i++) {
        const char *path = arena_format(&fixture->arena, "changes[%zu].id", i);
        list[i] = (struct transcode_fault){slice_text(path), SLICE("ours"), "REQUIRED"};
    }
    fixture->faults.list = list;
    fixture->faults.count = BATCH_FAULTS_MAX;
    for (size_t i = 0; i < BATCH_FAULTS_MAX + 5; i++)
        theirs(fixture, arena_format(&fixture->arena, "changes[%zu].type", i), "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    assert_int_equal(fixture->told.count, 2 * BATCH_FAULTS_MAX);
}

static void without_memory_it_says_so(void **state) {
    struct fixture *fixture = *state;
    ours(fixture, "x");
    theirs(fixture, "a", "REQUIRED");
    assert_int_equal(run(fixture), SYNC_OK);
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (uint64_t n = 1; status == SYNC_ERR_NO_MEMORY; n++) {
        struct arena arena;
        struct buffer out;
        struct error_faults told;
        arena_init(&arena, ARENA_MAX);
        buffer_init(&out, BYTES_MAX);
        memory_fail_after(n);
        status = error_faults_write(&out, &fixture->faults, buffer_slice(&fixture->details), &arena,
                                    &told);
        memory_fail_after(0);
        buffer_done(&out);
        arena_done(&arena);
        assert_true(n < 100);
    }
    assert_int_equal(status, SYNC_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(both_sides_come_in_the_order_of_their_paths),
        TEST(what_the_gateway_named_is_not_named_again),
        TEST(a_field_is_missed_only_when_nothing_of_it_was_at_fault),
        TEST(one_field_may_have_several_faults_of_one_side),
        TEST(other_details_stay_as_they_are),
        TEST(malformed_details_count_as_none),
        TEST(thousands_of_both_sides_are_told_and_more_are_cut),
        TEST(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
