#include "gateway/trace_context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void well_formed_values_are_told_from_others(void **state) {
    (void)state;
    static const struct {
        const char *value;
        bool valid;
    } cases[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true},
        {"", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
        {"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(traceparent_is_valid(slice_text(cases[i].value)), cases[i].valid);
    assert_true(slice_equal(traceparent_trace_id(slice_text(cases[0].value)),
                            SLICE("0af7651916cd43dd8448eb211c80319c")));
}

static void zeros(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    memset(bytes, 0, size);
}

static void a_trace_begins_well_formed_whatever_chance_gives(void **state) {
    (void)state;
    char text[TRACEPARENT_SIZE + 1], again[TRACEPARENT_SIZE + 1];
    traceparent_make(&(struct random_source){.fill = zeros}, text);
    assert_string_equal(text, "00-01000000000000000000000000000000-0100000000000000-00");
    assert_true(traceparent_is_valid(slice_text(text)));
    traceparent_make(random_system(), text);
    traceparent_make(random_system(), again);
    assert_true(traceparent_is_valid(slice_text(text)));
    assert_string_not_equal(text, again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_values_are_told_from_others),
        cmocka_unit_test(a_trace_begins_well_formed_whatever_chance_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
