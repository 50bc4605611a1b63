/* The shapes of call once more, with callbacks on a loop: ours, beside the standard cases. */
#include "tests/interop/interop.h"

typedef struct test_service_full_duplex_call_stream duplex;

/* What a case's callbacks have seen. */
struct seen {
    struct stub_channel *channel;
    duplex *stream;
    struct test_service_streaming_input_call_stream *input;
    int sent, received, sum;
    bool is_wrong, is_over;
    enum stub_code code;
};

static bool loop_until_over(struct stub_loop *loop, const struct seen *seen) {
    for (int i = 0; i < 10000 && !seen->is_over; i++)
        stub_loop_run_once(loop, 1000);
    return seen->is_over && !seen->is_wrong;
}

static void on_finished(void *context, const struct stub_status *status) {
    struct seen *seen = context;
    seen->code = status->code;
    seen->is_over = true;
}

static void on_empty(void *context, Grpc__Testing__Empty *response,
                     const struct stub_status *status) {
    struct seen *seen = context;
    seen->is_wrong = !response;
    test_service_empty_call_free(response);
    on_finished(context, status);
}

static bool empty_unary_on_a_loop(struct stub_channel *channel) {
    Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;
    struct stub_loop *loop = NULL;
    struct seen seen = {0};
    EXPECT(stub_loop_open(&loop) == STUB_OK);
    test_service_empty_call_start(channel, &request, NULL, loop, on_empty, &seen, NULL);
    EXPECT(loop_until_over(loop, &seen));
    EXPECT(seen.code == STUB_OK);
    loop = stub_loop_close(loop);
    return !loop;
}

static void ping(struct seen *seen);

static void on_pong(void *context, Grpc__Testing__StreamingOutputCallResponse *message) {
    struct seen *seen = context;
    if (!message) {
        seen->is_wrong |= seen->received != SIZES;
        test_service_full_duplex_call_finish_start(seen->stream, on_finished, seen);
        return;
    }
    seen->is_wrong |= !interop_has_payload(message->payload, response_sizes[seen->received++]);
    test_service_full_duplex_call_free(message);
    ping(seen);
}

static void on_ping(void *context, bool ok) {
    struct seen *seen = context;
    seen->is_wrong |= !ok;
    test_service_full_duplex_call_receive_start(seen->stream, on_pong, seen);
}

/* Sends the next request, or says that there are no more. */
static void ping(struct seen *seen) {
    if (seen->received == SIZES) {
        test_service_full_duplex_call_send_done_start(seen->stream, on_ping, seen);
        return;
    }
    Grpc__Testing__Payload payload;
    Grpc__Testing__ResponseParameters parameters = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    Grpc__Testing__ResponseParameters *list[] = {&parameters};
    Grpc__Testing__StreamingOutputCallRequest request =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    interop_payload(&payload, request_sizes[seen->received]);
    parameters.size = response_sizes[seen->received];
    request.payload = &payload;
    request.n_response_parameters = 1;
    request.response_parameters = list;
    test_service_full_duplex_call_send_start(seen->stream, &request, on_ping, seen);
}

static bool ping_pong_on_a_loop(struct stub_channel *channel) {
    struct stub_loop *loop = NULL;
    struct seen seen = {0};
    EXPECT(stub_loop_open(&loop) == STUB_OK);
    EXPECT(test_service_full_duplex_call_open(channel, NULL, loop, &seen.stream) == STUB_OK);
    ping(&seen);
    EXPECT(loop_until_over(loop, &seen));
    EXPECT(seen.code == STUB_OK);
    seen.stream = test_service_full_duplex_call_close(seen.stream);
    loop = stub_loop_close(loop);
    return !loop;
}

static void on_sum(void *context, Grpc__Testing__StreamingInputCallResponse *message) {
    struct seen *seen = context;
    seen->is_wrong |= !message || message->aggregated_payload_size != seen->sum;
    test_service_streaming_input_call_free(message);
    test_service_streaming_input_call_finish_start(seen->input, on_finished, seen);
}

static void on_input_over(void *context, bool ok) {
    struct seen *seen = context;
    seen->is_wrong |= !ok;
    test_service_streaming_input_call_receive_start(seen->input, on_sum, seen);
}

static void on_input(void *context, bool ok) {
    struct seen *seen = context;
    seen->is_wrong |= !ok;
    if (seen->sent == SIZES) {
        test_service_streaming_input_call_send_done_start(seen->input, on_input_over, seen);
        return;
    }
    Grpc__Testing__Payload payload;
    Grpc__Testing__StreamingInputCallRequest request =
        GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    interop_payload(&payload, request_sizes[seen->sent]);
    seen->sum += request_sizes[seen->sent++];
    request.payload = &payload;
    test_service_streaming_input_call_send_start(seen->input, &request, on_input, seen);
}

static bool client_streaming_on_a_loop(struct stub_channel *channel) {
    struct stub_loop *loop = NULL;
    struct seen seen = {0};
    EXPECT(stub_loop_open(&loop) == STUB_OK);
    EXPECT(test_service_streaming_input_call_open(channel, NULL, loop, &seen.input) == STUB_OK);
    on_input(&seen, true);
    EXPECT(loop_until_over(loop, &seen));
    EXPECT(seen.code == STUB_OK);
    seen.input = test_service_streaming_input_call_close(seen.input);
    loop = stub_loop_close(loop);
    return !loop;
}

static bool cancel_on_a_loop(struct stub_channel *channel) {
    struct stub_loop *loop = NULL;
    struct seen seen = {0};
    EXPECT(stub_loop_open(&loop) == STUB_OK);
    EXPECT(test_service_full_duplex_call_open(channel, NULL, loop, &seen.stream) == STUB_OK);
    test_service_full_duplex_call_finish_start(seen.stream, on_finished, &seen);
    test_service_full_duplex_call_cancel(seen.stream);
    EXPECT(loop_until_over(loop, &seen));
    EXPECT(seen.code == STUB_CANCELLED);
    seen.stream = test_service_full_duplex_call_close(seen.stream);
    loop = stub_loop_close(loop);
    return !loop;
}

const struct interop_case loop_cases[] = {
    {"empty_unary_on_a_loop", empty_unary_on_a_loop},
    {"ping_pong_on_a_loop", ping_pong_on_a_loop},
    {"client_streaming_on_a_loop", client_streaming_on_a_loop},
    {"cancel_on_a_loop", cancel_on_a_loop},
    {NULL, NULL},
};
