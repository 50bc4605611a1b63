/* Cases of streams, blocking. */
#include "tests/interop/interop.h"

typedef struct test_service_full_duplex_call_stream duplex;

static bool client_streaming(struct stub_channel *channel) {
    struct test_service_streaming_input_call_stream *stream = NULL;
    Grpc__Testing__StreamingInputCallResponse *response = NULL;
    int sum = 0;
    EXPECT(test_service_streaming_input_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    for (int i = 0; i < SIZES; sum += request_sizes[i++]) {
        Grpc__Testing__Payload payload;
        Grpc__Testing__StreamingInputCallRequest request =
            GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
        interop_payload(&payload, request_sizes[i]);
        request.payload = &payload;
        EXPECT(test_service_streaming_input_call_send(stream, &request));
    }
    EXPECT(test_service_streaming_input_call_finish(stream, NULL, &response) == STUB_OK);
    EXPECT(response->aggregated_payload_size == sum);
    test_service_streaming_input_call_free(response);
    stream = test_service_streaming_input_call_close(stream);
    return !stream;
}

static bool server_streaming(struct stub_channel *channel) {
    Grpc__Testing__ResponseParameters parameters[SIZES], *list[SIZES];
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    struct test_service_streaming_output_call_stream *stream = NULL;
    for (int i = 0; i < SIZES; i++) {
        grpc__testing__response_parameters__init(&parameters[i]);
        parameters[i].size = response_sizes[i];
        list[i] = &parameters[i];
    }
    request.n_response_parameters = SIZES;
    request.response_parameters = list;
    EXPECT(test_service_streaming_output_call_open(channel, &request, NULL, NULL, &stream) ==
           STUB_OK);
    for (int i = 0; i < SIZES; i++) {
        EXPECT(test_service_streaming_output_call_receive(stream, &response));
        EXPECT(interop_has_payload(response->payload, response_sizes[i]));
        test_service_streaming_output_call_free(response);
    }
    EXPECT(!test_service_streaming_output_call_receive(stream, &response));
    EXPECT(test_service_streaming_output_call_finish(stream, NULL) == STUB_OK);
    stream = test_service_streaming_output_call_close(stream);
    return !stream;
}

/* Sends one request and receives its one answer. */
static bool ping(duplex *stream, int request_size, int response_size) {
    Grpc__Testing__Payload payload;
    Grpc__Testing__ResponseParameters parameters = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    Grpc__Testing__ResponseParameters *list[] = {&parameters};
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    interop_payload(&payload, request_size);
    parameters.size = response_size;
    request.payload = &payload;
    request.n_response_parameters = 1;
    request.response_parameters = list;
    EXPECT(test_service_full_duplex_call_send(stream, &request));
    EXPECT(test_service_full_duplex_call_receive(stream, &response));
    EXPECT(interop_has_payload(response->payload, response_size));
    test_service_full_duplex_call_free(response);
    return true;
}

static bool ping_pong(struct stub_channel *channel) {
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    duplex *stream = NULL;
    EXPECT(test_service_full_duplex_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    for (int i = 0; i < SIZES; i++)
        EXPECT(ping(stream, request_sizes[i], response_sizes[i]));
    EXPECT(test_service_full_duplex_call_send_done(stream));
    EXPECT(!test_service_full_duplex_call_receive(stream, &response));
    EXPECT(test_service_full_duplex_call_finish(stream, NULL) == STUB_OK);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

static bool empty_stream(struct stub_channel *channel) {
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    duplex *stream = NULL;
    EXPECT(test_service_full_duplex_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    EXPECT(test_service_full_duplex_call_send_done(stream));
    EXPECT(!test_service_full_duplex_call_receive(stream, &response));
    EXPECT(test_service_full_duplex_call_finish(stream, NULL) == STUB_OK);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

static bool cancel_after_begin(struct stub_channel *channel) {
    struct test_service_streaming_input_call_stream *stream = NULL;
    Grpc__Testing__StreamingInputCallResponse *response = NULL;
    EXPECT(test_service_streaming_input_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    test_service_streaming_input_call_cancel(stream);
    EXPECT(test_service_streaming_input_call_finish(stream, NULL, &response) == STUB_CANCELLED);
    EXPECT(!response);
    stream = test_service_streaming_input_call_close(stream);
    return !stream;
}

static bool cancel_after_first_response(struct stub_channel *channel) {
    duplex *stream = NULL;
    EXPECT(test_service_full_duplex_call_open(channel, NULL, NULL, &stream) == STUB_OK);
    EXPECT(ping(stream, request_sizes[0], response_sizes[0]));
    test_service_full_duplex_call_cancel(stream);
    EXPECT(test_service_full_duplex_call_finish(stream, NULL) == STUB_CANCELLED);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

static bool timeout_on_sleeping_server(struct stub_channel *channel) {
    struct stub_options options = {.timeout_ms = 1};
    Grpc__Testing__Payload payload;
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    Grpc__Testing__StreamingOutputCallResponse *response = NULL;
    duplex *stream = NULL;
    interop_payload(&payload, request_sizes[0]);
    request.payload = &payload;
    EXPECT(test_service_full_duplex_call_open(channel, &options, NULL, &stream) == STUB_OK);
    /* Taken or not: the time may be over already. */
    test_service_full_duplex_call_send(stream, &request);
    EXPECT(!test_service_full_duplex_call_receive(stream, &response));
    EXPECT(test_service_full_duplex_call_finish(stream, NULL) == STUB_DEADLINE_EXCEEDED);
    stream = test_service_full_duplex_call_close(stream);
    return !stream;
}

const struct interop_case stream_cases[] = {
    {"client_streaming", client_streaming},
    {"server_streaming", server_streaming},
    {"ping_pong", ping_pong},
    {"empty_stream", empty_stream},
    {"cancel_after_begin", cancel_after_begin},
    {"cancel_after_first_response", cancel_after_first_response},
    {"timeout_on_sleeping_server", timeout_on_sleeping_server},
    {NULL, NULL},
};
