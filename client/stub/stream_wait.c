#include <assert.h>
#include <grpc/byte_buffer.h>

#include "client/stub/call_private.h"
#include "client/stub/message.h"

bool stub_stream_send(struct stub_call *call, const struct ProtobufCMessage *message) {
    assert(!call->loop && call->is_stream && call->method->client_streams && !call->is_send_done);
    grpc_slice packed;
    if (!message_pack(message, &packed)) {
        call_fault(call, STUB_RESOURCE_EXHAUSTED, "The message is too large to be sent.");
        stub_call_cancel(call);
        return false;
    }
    grpc_byte_buffer *sending = grpc_raw_byte_buffer_create(&packed, 1);
    grpc_slice_unref(packed);
    grpc_op operation = {.op = GRPC_OP_SEND_MESSAGE};
    operation.data.send_message.send_message = sending;
    call_batch(call, EVENT_SEND, &operation, 1);
    bool ok = call_await(call, EVENT_SEND);
    grpc_byte_buffer_destroy(sending);
    return ok;
}

bool stub_stream_send_done(struct stub_call *call) {
    assert(!call->loop && call->is_stream && call->method->client_streams);
    if (call->is_send_done)
        return true;
    call->is_send_done = true;
    call_batch(call, EVENT_SEND, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, 1);
    return call_await(call, EVENT_SEND);
}

/* Waits until nothing of the attempt is under way but what others wait for. */
static void stream_wait_end(struct stub_call *call) {
    call_await(call, EVENT_OPEN);
    call_await(call, EVENT_STATUS);
}

/* After an attempt without any message: waits and begins another if the policy says so. */
static bool stream_repeat(struct stub_call *call) {
    if (!call->may_retry || call->messages_received > 0)
        return false;
    stream_wait_end(call);
    if (!retry_is_due(call))
        return false;
    call_try_end(call);
    return retry_wait(call) && stream_try(call);
}

/* Waits for a message, which is left in `incoming`; false when no more will come. */
static bool stream_await(struct stub_call *call) {
    while (!call->is_receive_ended) {
        stream_receive(call);
        call_await(call, EVENT_RECEIVE);
        if (call->incoming && stream_count(call))
            return true;
        call->is_receive_ended = call->incoming || !stream_repeat(call);
    }
    return false;
}

bool stub_stream_receive(struct stub_call *call, struct ProtobufCMessage **ret_message) {
    assert(!call->loop && call->is_stream && ret_message);
    if (!stream_await(call))
        return false;
    struct ProtobufCMessage *message = call_unpack(call);
    if (!message) {
        call->is_receive_ended = true;
        stub_call_cancel(call);
        return false;
    }
    *ret_message = message;
    return true;
}

enum stub_code stub_call_finish(struct stub_call *call, struct stub_status *ret_status) {
    assert(!call->loop && call->is_stream);
    while (stream_await(call)) {
        grpc_byte_buffer_destroy(call->incoming);
        call->incoming = NULL;
    }
    stream_wait_end(call);
    stream_check_end(call);
    if (ret_status)
        status_of_call(call, ret_status);
    return status_code_of_call(call);
}

enum stub_code stub_stream_answer(struct stub_call *call, struct stub_status *ret_status,
                                  struct ProtobufCMessage **ret_response) {
    assert(!call->method->server_streams);
    struct ProtobufCMessage *response = NULL;
    stub_stream_send_done(call);
    stub_stream_receive(call, &response);
    enum stub_code code = stub_call_finish(call, ret_status);
    if (code == STUB_OK && ret_response)
        *ret_response = response;
    else
        stub_message_free(response);
    return code;
}

void stream_abandon(struct stub_call *call) {
    stub_call_cancel(call);
    stream_wait_end(call);
}
