#include "tools/protoc-gen-grpc-c/plugin.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

#include "base/memory.h"
#include "google/protobuf/compiler/plugin.pb-c.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest plugin_request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse plugin_response;

/* A request with one service of one method, to be changed before it is packed. */
struct sample {
    plugin_request request;
    Google__Protobuf__FileDescriptorProto file, *files[1];
    Google__Protobuf__DescriptorProto message, *messages[1];
    Google__Protobuf__ServiceDescriptorProto service, *services[1];
    Google__Protobuf__MethodDescriptorProto method, *methods[1];
    char *names[1];
};

static void sample_init(struct sample *sample) {
    google__protobuf__compiler__code_generator_request__init(&sample->request);
    google__protobuf__file_descriptor_proto__init(&sample->file);
    google__protobuf__descriptor_proto__init(&sample->message);
    google__protobuf__service_descriptor_proto__init(&sample->service);
    google__protobuf__method_descriptor_proto__init(&sample->method);
    sample->message.name = "Message";
    sample->messages[0] = &sample->message;
    sample->method.name = "Call";
    sample->method.input_type = sample->method.output_type = ".some.Message";
    sample->methods[0] = &sample->method;
    sample->service.name = "Some";
    sample->service.n_method = 1;
    sample->service.method = sample->methods;
    sample->services[0] = &sample->service;
    sample->file.name = sample->names[0] = "some.proto";
    sample->file.package = "some";
    sample->file.n_message_type = 1;
    sample->file.message_type = sample->messages;
    sample->file.n_service = 1;
    sample->file.service = sample->services;
    sample->files[0] = &sample->file;
    sample->request.n_proto_file = 1;
    sample->request.proto_file = sample->files;
    sample->request.n_file_to_generate = 1;
    sample->request.file_to_generate = sample->names;
}

static void sample_pack(const struct sample *sample, struct buffer *ret_packed) {
    buffer_init(ret_packed, 1 << 20);
    size_t size =
        google__protobuf__compiler__code_generator_request__get_packed_size(&sample->request);
    uint8_t *room = buffer_reserve(ret_packed, size);
    assert_non_null(room);
    buffer_advance(ret_packed, google__protobuf__compiler__code_generator_request__pack(
                                   &sample->request, room));
}

static plugin_response *sample_answer(const struct sample *sample) {
    struct buffer packed, out;
    struct sync_error error = {0};
    sample_pack(sample, &packed);
    buffer_init(&out, PLUGIN_BYTES_MAX);
    assert_int_equal(plugin_answer(buffer_slice(&packed), &out, &error), SYNC_OK);
    plugin_response *response =
        google__protobuf__compiler__code_generator_response__unpack(NULL, out.size, out.data);
    assert_non_null(response);
    buffer_done(&out);
    buffer_done(&packed);
    return response;
}

static void response_free(plugin_response *response) {
    google__protobuf__compiler__code_generator_response__free_unpacked(response, NULL);
}

static void expect_error(const struct sample *sample, const char *words) {
    plugin_response *response = sample_answer(sample);
    assert_non_null(response->error);
    assert_non_null(strstr(response->error, words));
    assert_int_equal(response->n_file, 0);
    response_free(response);
}

static void a_service_gets_a_client_and_with_server_a_skeleton(void **state) {
    (void)state;
    struct sample sample;
    sample_init(&sample);
    plugin_response *response = sample_answer(&sample);
    assert_null(response->error);
    assert_int_equal(response->n_file, 2);
    assert_string_equal(response->file[0]->name, "some.grpc-c.h");
    assert_string_equal(response->file[1]->name, "some.grpc-c.c");
    response_free(response);
    sample.request.parameter = "server,prefix=our_";
    response = sample_answer(&sample);
    assert_int_equal(response->n_file, 4);
    assert_string_equal(response->file[2]->name, "some.grpc-server.h");
    assert_non_null(strstr(response->file[0]->content, "enum stub_code our_some_call("));
    assert_non_null(strstr(response->file[2]->content, "OUR_SOME_METHOD_COUNT = 1"));
    response_free(response);
}

static void a_file_without_services_gets_nothing(void **state) {
    (void)state;
    struct sample sample;
    sample_init(&sample);
    sample.file.n_service = 0;
    plugin_response *response = sample_answer(&sample);
    assert_null(response->error);
    assert_int_equal(response->n_file, 0);
    assert_true(response->supported_features & 1);
    response_free(response);
}

static void wrong_parameters_are_named(void **state) {
    (void)state;
    struct sample sample;
    sample_init(&sample);
    static char *const parameters[] = {"client",   "server,x=y", "prefix=9",
                                       "prefix=A", "prefix=a-b", "prefix=_x"};
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        sample.request.parameter = parameters[i];
        const char *equals = strrchr(parameters[i], ',');
        expect_error(&sample, equals ? equals + 1 : parameters[i]);
    }
}

static void odd_descriptors_are_refused_with_a_word(void **state) {
    (void)state;
    struct sample sample;
    sample_init(&sample);
    sample.method.output_type = ".some.Missing";
    expect_error(&sample, "Missing");
    sample_init(&sample);
    sample.method.input_type = NULL;
    expect_error(&sample, "Call");
    sample_init(&sample);
    sample.method.name = NULL;
    expect_error(&sample, "no name");
    sample_init(&sample);
    sample.service.name = NULL;
    expect_error(&sample, "no name");
    sample_init(&sample);
    sample.names[0] = "other.proto";
    expect_error(&sample, "other.proto");
    sample_init(&sample);
    sample.file.name = sample.names[0] = "a\"b.proto";
    expect_error(&sample, "a\"b.proto");
}

static void services_that_clash_are_both_named(void **state) {
    (void)state;
    struct sample sample;
    sample_init(&sample);
    Google__Protobuf__ServiceDescriptorProto other = sample.service;
    Google__Protobuf__ServiceDescriptorProto *both[] = {&sample.service, &other};
    other.name = "some";
    sample.file.n_service = 2;
    sample.file.service = both;
    expect_error(&sample, "some.Some and some.some");
}

static void what_is_no_request_is_refused(void **state) {
    (void)state;
    struct sample sample;
    struct buffer packed, out;
    sample_init(&sample);
    sample_pack(&sample, &packed);
    buffer_init(&out, PLUGIN_BYTES_MAX);
    /* Each byte cut off or changed: an answer or a refusal, never more. */
    for (size_t i = 0; i < packed.size; i++) {
        struct sync_error error = {0};
        uint8_t kept = packed.data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            packed.data[i] = (uint8_t)(kept ^ (1u << bit));
            enum sync_status status = plugin_answer(buffer_slice(&packed), &out, &error);
            assert_int_equal(status == SYNC_OK, out.size > 0);
            buffer_clear(&out);
        }
        packed.data[i] = kept;
        (void)plugin_answer(slice_first(buffer_slice(&packed), i), &out, &error);
        buffer_clear(&out);
    }
    buffer_done(&out);
    buffer_done(&packed);
}

static void without_memory_there_is_no_answer(void **state) {
    (void)state;
    struct sample sample;
    struct buffer packed;
    sample_init(&sample);
    sample.request.parameter = "server";
    sample_pack(&sample, &packed);
    for (uint64_t n = 1;; n++) {
        struct buffer out;
        struct sync_error error = {0};
        buffer_init(&out, PLUGIN_BYTES_MAX);
        memory_fail_after(n);
        enum sync_status status = plugin_answer(buffer_slice(&packed), &out, &error);
        bool was_refused = memory_count() >= n;
        memory_fail_after(0);
        assert_int_equal(status == SYNC_OK, out.size > 0);
        assert_true(was_refused || status == SYNC_OK);
        buffer_done(&out);
        if (!was_refused)
            break;
        assert_int_not_equal(status, SYNC_OK);
    }
    buffer_done(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_gets_a_client_and_with_server_a_skeleton),
        cmocka_unit_test(a_file_without_services_gets_nothing),
        cmocka_unit_test(wrong_parameters_are_named),
        cmocka_unit_test(odd_descriptors_are_refused_with_a_word),
        cmocka_unit_test(services_that_clash_are_both_named),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(without_memory_there_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
