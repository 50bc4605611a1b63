#include "client/stub/details.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"
#include "tests/client/stub/stub_fixture.h"

/* Appends an Any of google.rpc with the packed value. */
static void add_detail(struct buffer *details, const char *name, struct slice value) {
    size_t any = wire_begin(details, 3);
    size_t url = wire_begin(details, 1);
    buffer_append_format(details, "type.googleapis.com/google.rpc.%s", name);
    wire_end(details, url);
    wire_write_bytes(details, 2, value);
    wire_end(details, any);
}

static void add_violation(struct buffer *request, struct slice field, struct slice text) {
    size_t violation = wire_begin(request, 1);
    wire_write_bytes(request, 1, field);
    wire_write_bytes(request, 2, text);
    wire_end(request, violation);
}

/* A status with everything we decode, and what we do not. */
static void write_status(struct buffer *details) {
    struct buffer part;
    buffer_init(details, 10000);
    buffer_init(&part, 10000);
    wire_write_uint(details, 1, STUB_INVALID_ARGUMENT);
    wire_write_bytes(details, 2, SLICE("two faults"));
    add_detail(details, "Help", SLICE("\x0a\x01h"));
    wire_write_bytes(&part, 1, SLICE("BAD_FIELDS"));
    wire_write_bytes(&part, 2, SLICE("sync.travelsense"));
    add_detail(details, "ErrorInfo", buffer_slice(&part));
    buffer_clear(&part);
    add_violation(&part, SLICE("changes[3].timestamp"), SLICE("is no time"));
    add_violation(&part, SLICE("device"), SLICE("caf\xe9 is no UTF-8"));
    add_detail(details, "BadRequest", buffer_slice(&part));
    buffer_clear(&part);
    size_t delay = wire_begin(&part, 1);
    wire_write_uint(&part, 1, 2);
    wire_write_uint(&part, 2, 500000001);
    wire_end(&part, delay);
    add_detail(details, "RetryInfo", buffer_slice(&part));
    assert_false(details->failed || part.failed);
    buffer_done(&part);
}

static void details_are_decoded(void **state) {
    (void)state;
    struct buffer packed;
    struct arena arena;
    struct stub_status status = {0};
    write_status(&packed);
    arena_init(&arena, 1 << 20);
    assert_true(details_decode(buffer_slice(&packed), &arena, &status));
    assert_int_equal(status.details_size, packed.size);
    assert_memory_equal(status.details, packed.data, packed.size);
    assert_int_equal(details_retry_ms(buffer_slice(&packed)), 2501);
    buffer_done(&packed); /* nothing is borrowed */
    assert_string_equal(status.reason, "BAD_FIELDS");
    assert_string_equal(status.domain, "sync.travelsense");
    assert_int_equal(status.violation_count, 2);
    assert_string_equal(status.violations[0].field, "changes[3].timestamp");
    assert_string_equal(status.violations[0].description, "is no time");
    assert_string_equal(status.violations[1].description, "caf\xef\xbf\xbd is no UTF-8");
    assert_int_equal(status.retry_after_ms, 2501);
    arena_done(&arena);
}

static void cut_details_give_what_stands_before_the_cut(void **state) {
    (void)state;
    struct buffer packed;
    write_status(&packed);
    size_t size = packed.size;
    for (size_t i = 0; i < size; i++) {
        /* In a block of its own size, so that a sanitizer sees a read beyond it. */
        uint8_t *cut = memory_alloc(i + 1);
        memcpy(cut, packed.data, i);
        struct arena arena;
        struct stub_status status = {0};
        arena_init(&arena, 1 << 20);
        assert_true(details_decode(slice_of(cut, i), &arena, &status));
        assert_int_equal(status.retry_after_ms, 0);
        assert_int_equal(details_retry_ms(slice_of(cut, i)), 0);
        arena_done(&arena);
        memory_free(cut);
    }
    buffer_done(&packed);
}

static void broken_details_do_no_harm(void **state) {
    (void)state;
    struct buffer packed;
    write_status(&packed);
    for (size_t i = 0; i < packed.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct arena arena;
            struct stub_status status = {0};
            packed.data[i] ^= (uint8_t)(1u << bit);
            arena_init(&arena, 1 << 20);
            assert_true(details_decode(buffer_slice(&packed), &arena, &status));
            arena_done(&arena);
            packed.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    buffer_done(&packed);
}

static void a_delay_that_is_none_counts_as_none(void **state) {
    (void)state;
    static const struct {
        uint64_t seconds, nanos, ms;
    } delays[] = {{0, 0, 0},
                  {0, 1, 1},
                  {1, 999999999, 2000},
                  {(uint64_t)-1, 0, 0},
                  {0, (uint64_t)-1, 0},
                  {0, 1000000000, 0},
                  {UINT64_MAX / 2, 0, 0},
                  {315576000000, 0, 315576000000000}};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        struct buffer packed, part;
        buffer_init(&packed, 1000);
        buffer_init(&part, 1000);
        size_t delay = wire_begin(&part, 1);
        wire_write_uint(&part, 1, delays[i].seconds);
        wire_write_uint(&part, 2, delays[i].nanos);
        wire_end(&part, delay);
        add_detail(&packed, "RetryInfo", buffer_slice(&part));
        assert_true(details_retry_ms(buffer_slice(&packed)) == delays[i].ms);
        buffer_done(&part);
        buffer_done(&packed);
    }
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct buffer packed;
    write_status(&packed);
    for (uint64_t n = 1;; n++) {
        struct arena arena;
        struct stub_status status = {0};
        arena_init(&arena, 1 << 20);
        memory_fail_after(n);
        bool is_well = details_decode(buffer_slice(&packed), &arena, &status);
        bool is_reached = memory_count() >= n;
        memory_fail_after(0);
        arena_done(&arena);
        assert_true(is_well == !is_reached);
        if (!is_reached)
            break;
    }
    buffer_done(&packed);
}

static void a_failed_call_has_its_details(void **state) {
    struct stub_fixture *fixture = *state;
    struct buffer packed;
    struct stub_status status = {0};
    write_status(&packed);
    assert_int_equal(stub_unary(fixture->channel, &unary, text_message("?"),
                                WITH(entry("x-code", "3"), entry("x-message", "two faults"),
                                     {"x-details-bin", packed.data, packed.size}),
                                &status, NULL),
                     STUB_INVALID_ARGUMENT);
    assert_string_equal(status.message, "two faults");
    assert_string_equal(status.reason, "BAD_FIELDS");
    assert_int_equal(status.violation_count, 2);
    assert_int_equal(status.retry_after_ms, 2501);
    assert_int_equal(status.details_size, packed.size);
    stub_status_done(&status);
    assert_null(status.reason);
    stub_status_done(&status);
    buffer_done(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(details_are_decoded),
        cmocka_unit_test(cut_details_give_what_stands_before_the_cut),
        cmocka_unit_test(broken_details_do_no_harm),
        cmocka_unit_test(a_delay_that_is_none_counts_as_none),
        cmocka_unit_test(refused_memory_is_told),
        cmocka_unit_test_setup_teardown(a_failed_call_has_its_details, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
