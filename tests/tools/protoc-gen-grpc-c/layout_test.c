#include "tools/protoc-gen-grpc-c/layout.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

/* That clang-format agrees is for generate_test to say; here is one case of each way to break. */
static void expect(const struct layout_function *function, const char *expected) {
    struct buffer out;
    buffer_init(&out, 1 << 16);
    layout_function(&out, function);
    buffer_append_byte(&out, '\0');
    assert_int_equal(buffer_status(&out), SYNC_OK);
    assert_string_equal((const char *)out.data, expected);
    buffer_done(&out);
}

#define PARAMETERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_short_head_is_one_line(void **state) {
    (void)state;
    expect(&(struct layout_function){.result = "struct x *",
                                     .name = "x_close",
                                     .parameters = PARAMETERS("struct x *x"),
                                     .end = ";"},
           "struct x *x_close(struct x *x);\n");
    expect(&(struct layout_function){.result = "void ",
                                     .name = "x_run",
                                     .parameters = PARAMETERS("struct x *x", "int count"),
                                     .attribute = "__attribute__((deprecated))",
                                     .end = ";"},
           "void x_run(struct x *x, int count) __attribute__((deprecated));\n");
}

static void parameters_stand_below_the_first(void **state) {
    (void)state;
    expect(&(struct layout_function){.result = "void ",
                                     .name = "some_service_some_method_start",
                                     .parameters = PARAMETERS("struct some_channel *channel",
                                                              "const struct some_request *request",
                                                              "void *context"),
                                     .end = " {"},
           "void some_service_some_method_start(struct some_channel *channel,\n"
           "                                    const struct some_request *request, void "
           "*context) {\n");
}

static void a_long_result_stands_alone(void **state) {
    (void)state;
    expect(&(struct layout_function){.result = "struct some_service_some_long_method_stream *",
                                     .name = "some_service_some_long_method_close",
                                     .parameters = PARAMETERS(
                                         "struct some_service_some_long_method_stream *stream"),
                                     .end = ";"},
           "struct some_service_some_long_method_stream *\n"
           "some_service_some_long_method_close(struct some_service_some_long_method_stream "
           "*stream);\n");
}

static void a_short_result_never_stands_alone(void **state) {
    (void)state;
    expect(&(struct layout_function){.result = "bool ",
                                     .name = "some_service_some_very_long_method_receive",
                                     .parameters = PARAMETERS(
                                         "struct some_service_some_very_long_method_stream *stream",
                                         "Some__V1__SomeVeryLongMethodResponse **ret_message"),
                                     .end = ";"},
           "bool some_service_some_very_long_method_receive(\n"
           "    struct some_service_some_very_long_method_stream *stream,\n"
           "    Some__V1__SomeVeryLongMethodResponse **ret_message);\n");
}

static void an_assignment_breaks_behind_its_sign(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, 1 << 16);
    layout_assign(&out, 4, ".short", "1,");
    layout_assign(&out, 4, ".descriptor",
                  "&some__package__version__with__a__name__that__goes__on__and__on__for__long__"
                  "descriptor,");
    buffer_append_byte(&out, '\0');
    assert_string_equal(
        (const char *)out.data,
        "    .short = 1,\n"
        "    .descriptor =\n"
        "        &some__package__version__with__a__name__that__goes__on__and__on__for__long__"
        "descriptor,\n");
    buffer_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_head_is_one_line),
        cmocka_unit_test(parameters_stand_below_the_first),
        cmocka_unit_test(a_long_result_stands_alone),
        cmocka_unit_test(a_short_result_never_stands_alone),
        cmocka_unit_test(an_assignment_breaks_behind_its_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
