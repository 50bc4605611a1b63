#include "service/rpc/reflection.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"
#include "reflected_descriptor.h"
#include "sync_descriptor.h"
#include "tests/service/rpc/rpc_fixture.h"

static struct reflection_index *index_open(void) {
    const struct slice sets[] = {slice_of(sync_descriptor, sync_descriptor_size),
                                 slice_of(reflected_descriptor, reflected_descriptor_size)};
    struct reflection_index *index = NULL;
    assert_int_equal(reflection_index_open(sets, 2, &index), SYNC_OK);
    return index;
}

static int index_up(void **state) {
    *state = index_open();
    return 0;
}

static int index_down(void **state) {
    reflection_index_close(*state);
    return 0;
}

static void every_kind_of_symbol_is_found_in_its_file(void **state) {
    static const struct {
        const char *symbol, *file;
    } cases[] = {
        {"travelsense.sync.v1.SyncService", "travelsense/sync/v1/sync_service.proto"},
        {"travelsense.sync.v1.SyncService.GetBundle", "travelsense/sync/v1/sync_service.proto"},
        {"travelsense.sync.v1.Change", "travelsense/sync/v1/change.proto"},
        {"travelsense.sync.v1.Change.timestamp", "travelsense/sync/v1/change.proto"},
        {"travelsense.sync.v1.ChangeOutcome", "travelsense/sync/v1/change.proto"},
        {"travelsense.sync.v1.CHANGE_OUTCOME_MERGED", "travelsense/sync/v1/change.proto"},
        {"travelsense.sync.v1.SyncRequest.message", "travelsense/sync/v1/sync_stream.proto"},
        {"google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"},
        {"travelsense.http.v1.method", "travelsense/http/v1/annotations.proto"},
        {"google.protobuf.Struct", "google/protobuf/struct.proto"},
        {"grpc.health.v1.Health", "grpc/health/v1/health.proto"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t by_symbol, by_name;
        assert_true(reflection_index_symbol(*state, slice_text(cases[i].symbol), &by_symbol));
        assert_true(reflection_index_file(*state, slice_text(cases[i].file), &by_name));
        assert_int_equal(by_symbol, by_name);
    }
}

static void unknown_names_are_not_found(void **state) {
    size_t file;
    assert_false(reflection_index_symbol(*state, SLICE(""), &file));
    assert_false(reflection_index_symbol(*state, SLICE("travelsense"), &file));
    assert_false(reflection_index_symbol(*state, SLICE(".travelsense.sync.v1.Change"), &file));
    assert_false(reflection_index_file(*state, SLICE("no.proto"), &file));
}

static void services_are_listed_in_order(void **state) {
    static const char *const names[] = {
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection", "travelsense.sync.v1.RecordService",
        "travelsense.sync.v1.SyncService"};
    size_t count;
    const struct slice *services = reflection_index_services(*state, &count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_true(slice_equal(services[i], slice_text(names[i])));
}

/* The answer to a request with one field. */
static void ask(const struct reflection_index *index, uint32_t number, struct slice value,
                struct buffer *answer) {
    struct buffer request;
    buffer_init(&request, 1 << 16);
    wire_write_bytes(&request, 1, SLICE("host"));
    wire_write_bytes(&request, number, value);
    buffer_init(answer, 1 << 22);
    reflection_answer(index, buffer_slice(&request), answer);
    assert_int_equal(buffer_status(answer), SYNC_OK);
    buffer_done(&request);
}

static void extension_is_found_by_its_number(void **state) {
    struct buffer request, answer;
    buffer_init(&request, 1 << 16);
    wire_write_bytes(&request, 1, SLICE("google.protobuf.MethodOptions"));
    wire_write_uint(&request, 2, 50502);
    ask(*state, 5, buffer_slice(&request), &answer);
    assert_true(text_contains(buffer_slice(&answer), "travelsense/http/v1/annotations.proto"));
    buffer_done(&answer);
    ask(*state, 6, SLICE("google.protobuf.MethodOptions"), &answer);
    assert_true(text_contains(buffer_slice(&answer), "\x10\xc6\x8a\x03")); /* 50502 */
    buffer_done(&answer);
    ask(*state, 6, SLICE("no.Type"), &answer);
    assert_true(text_contains(buffer_slice(&answer), "no such type"));
    buffer_done(&answer);
    buffer_done(&request);
}

static void strange_requests_are_answered_with_an_error(void **state) {
    static const struct slice requests[] = {SLICE(""), SLICE("\xff\xff\xff"), SLICE("\x22\x01x"),
                                            SLICE("\x1a\x01x"), SLICE("\x2a\x02\xff\xff")};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct buffer answer;
        struct wire_field field, last = {.number = 0};
        buffer_init(&answer, 1 << 20);
        reflection_answer(*state, requests[i], &answer);
        struct wire_reader reader = wire_reader_of(buffer_slice(&answer));
        while (!wire_at_end(&reader)) {
            assert_true(wire_read(&reader, &field));
            last = field;
        }
        assert_int_equal(last.number, 7);
        buffer_done(&answer);
    }
}

static void malformed_set_is_refused(void **state) {
    (void)state;
    struct reflection_index *index = NULL;
    for (size_t cut = 1; cut < 200; cut += 7) {
        struct slice set = slice_of(sync_descriptor, sync_descriptor_size - cut);
        assert_int_equal(reflection_index_open(&set, 1, &index), SYNC_ERR_INVALID);
    }
    memory_fail_after(1);
    assert_int_equal(reflection_index_open(NULL, 0, &index), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, index_up, index_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(every_kind_of_symbol_is_found_in_its_file),
        WITH(unknown_names_are_not_found),
        WITH(services_are_listed_in_order),
        WITH(extension_is_found_by_its_number),
        WITH(strange_requests_are_answered_with_an_error),
        cmocka_unit_test(malformed_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
