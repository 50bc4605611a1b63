/* Cases of one request and one answer. */
#include <string.h>

#include "tests/interop/interop.h"

static bool empty_unary(struct stub_channel *channel) {
    Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    Grpc__Testing__Empty *response = NULL;
    EXPECT(test_service_empty_call(channel, &request, NULL, NULL, &response) == STUB_OK);
    EXPECT(response);
    EXPECT(grpc__testing__empty__get_packed_size(response) == 0);
    test_service_empty_call_free(response);
    return true;
}

static bool large_unary(struct stub_channel *channel) {
    Grpc__Testing__Payload payload;
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *response = NULL;
    interop_payload(&payload, LARGE_REQUEST);
    request.payload = &payload;
    request.response_size = LARGE_RESPONSE;
    EXPECT(test_service_unary_call(channel, &request, NULL, NULL, &response) == STUB_OK);
    EXPECT(interop_has_payload(response->payload, LARGE_RESPONSE));
    test_service_unary_call_free(response);
    return true;
}

/* The status that a call asks for is the one that it ends with. */
static bool expect_status(struct stub_channel *channel, const char *message) {
    Grpc__Testing__EchoStatus echo = GRPC__TESTING__ECHO_STATUS__INIT;
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *response = NULL;
    struct stub_status status = {0};
    echo.code = STUB_UNKNOWN;
    echo.message = (char *)message;
    request.response_status = &echo;
    EXPECT(test_service_unary_call(channel, &request, NULL, &status, &response) == STUB_UNKNOWN);
    EXPECT(status.code == STUB_UNKNOWN);
    EXPECT(strcmp(status.message, message) == 0);
    EXPECT(!response);
    stub_status_done(&status);
    return true;
}

static bool stream_status(struct stub_channel *channel, const char *message) {
    Grpc__Testing__EchoStatus echo = GRPC__TESTING__ECHO_STATUS__INIT;
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    struct test_service_full_duplex_call_stream *stream = NULL;
    struct stub_status status = {0};
    echo.code = STUB_UNKNOWN;
    echo.message = (char *)message;
    request.response_status = &echo;
    EXPECT(test_service_full_duplex_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    EXPECT(test_service_full_duplex_call_send(stream, &request));
    test_service_full_duplex_call_send_done(stream);
    EXPECT(!test_service_full_duplex_call_receive(stream, &response));
    EXPECT(test_service_full_duplex_call_finish(stream, &status) == STUB_UNKNOWN);
    EXPECT(strcmp(status.message, message) == 0);
    stub_status_done(&status);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

static bool status_code_and_message(struct stub_channel *channel) {
    return expect_status(channel, "test status message") &&
           stream_status(channel, "test status message");
}

static bool special_status_message(struct stub_channel *channel) {
    return expect_status(channel,
                         "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");
}

static bool unimplemented_method(struct stub_channel *channel) {
    Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    EXPECT(test_service_unimplemented_call(channel, &request, NULL, NULL, NULL) ==
           STUB_UNIMPLEMENTED);
    return true;
}

static bool unimplemented_service(struct stub_channel *channel) {
    Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    EXPECT(unimplemented_service_unimplemented_call(channel, &request, NULL, NULL, NULL) ==
           STUB_UNIMPLEMENTED);
    return true;
}

static bool unary_metadata(struct stub_channel *channel) {
    struct stub_options options = {.metadata = interop_metadata, .metadata_count = 2};
    Grpc__Testing__Payload payload;
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *response = NULL;
    struct stub_status status = {0};
    interop_payload(&payload, LARGE_REQUEST);
    request.payload = &payload;
    request.response_size = LARGE_RESPONSE;
    EXPECT(test_service_unary_call(channel, &request, &options, &status, &response) == STUB_OK);
    EXPECT(interop_has_payload(response->payload, LARGE_RESPONSE));
    EXPECT(interop_has_metadata(&status));
    test_service_unary_call_free(response);
    stub_status_done(&status);
    return true;
}

static bool stream_metadata(struct stub_channel *channel) {
    struct stub_options options = {.metadata = interop_metadata, .metadata_count = 2};
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    struct test_service_full_duplex_call_stream *stream = NULL;
    struct stub_status status = {0};
    EXPECT(test_service_full_duplex_call_open(channel, &options, NULL, &stream) == STUB_OK);
    EXPECT(test_service_full_duplex_call_send(stream, &request));
    EXPECT(test_service_full_duplex_call_send_done(stream));
    EXPECT(!test_service_full_duplex_call_receive(stream, &response));
    EXPECT(test_service_full_duplex_call_finish(stream, &status) == STUB_OK);
    EXPECT(interop_has_metadata(&status));
    stub_status_done(&status);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

static bool custom_metadata(struct stub_channel *channel) {
    return unary_metadata(channel) && stream_metadata(channel);
}

const struct interop_case unary_cases[] = {
    {"empty_unary", empty_unary},
    {"large_unary", large_unary},
    {"status_code_and_message", status_code_and_message},
    {"special_status_message", special_status_message},
    {"unimplemented_method", unimplemented_method},
    {"unimplemented_service", unimplemented_service},
    {"custom_metadata", custom_metadata},
    {NULL, NULL},
};
