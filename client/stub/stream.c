#include <assert.h>
#include <grpc/byte_buffer.h>

#include "client/stub/call_private.h"
#include "client/stub/message.h"

enum { OPERATIONS_MAX = 4 };

bool stream_try(struct stub_call *call) {
    if (!call_try(call))
        return false;
    grpc_op operations[OPERATIONS_MAX];
    size_t count = call_opening(call, operations);
    assert(count <= OPERATIONS_MAX);
    call_batch(call, EVENT_OPEN, operations, count);
    grpc_op status = call_status_operation(call);
    call_batch(call, EVENT_STATUS, &status, 1);
    return true;
}

enum stub_code stub_stream_open(struct stub_channel *channel, const struct stub_method *method,
                                const struct ProtobufCMessage *request,
                                const struct stub_options *options, struct stub_loop *loop,
                                struct stub_call **ret_call) {
    assert(channel && ret_call);
    assert(!loop || !loop->is_closing);
    struct stub_call *call = call_take(channel, loop, method);
    if (!call)
        return STUB_RESOURCE_EXHAUSTED;
    call->is_stream = true;
    if (loop)
        loop_add(loop, call);
    if (!call_prepare(call, request, options) || !stream_try(call)) {
        enum stub_code code = status_code_of_call(call);
        scope_leave(call);
        call_drop(call);
        return code;
    }
    *ret_call = call;
    return STUB_OK;
}

void stream_receive(struct stub_call *call) {
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE};
    operation.data.recv_message.recv_message = &call->incoming;
    call_batch(call, EVENT_RECEIVE, &operation, 1);
}

bool stream_count(struct stub_call *call) {
    if (++call->messages_received == 1 || call->method->server_streams)
        return true;
    call_fault(call, STUB_INTERNAL, "The server answered more than once.");
    stub_call_cancel(call);
    return false;
}

void stream_check_end(struct stub_call *call) {
    if (!call->method->server_streams && call->messages_received == 0 &&
        status_code_of_call(call) == STUB_OK)
        call_fault(call, STUB_UNIMPLEMENTED, "The server ended the call without a message.");
}

/* Calls the callback that waits for a message, as what it is. */
static void stream_tell(struct stub_call *call, struct ProtobufCMessage *message) {
    stub_received *received = call->received;
    call->received = NULL;
    if (call->method->tell_message)
        call->method->tell_message(received, call->received_context, message);
    else
        received(call->received_context, message);
}

/* A message, or the end of them, has come. */
static void stream_received(struct stub_call *call) {
    if (!call->incoming) {
        call->is_receive_ended = true;
        return;
    }
    bool is_wanted = stream_count(call) && call->received;
    if (call->is_closed || !is_wanted) {
        grpc_byte_buffer_destroy(call->incoming);
        call->incoming = NULL;
        return;
    }
    struct ProtobufCMessage *message = call_unpack(call);
    if (!message) {
        call->is_receive_ended = true;
        stub_call_cancel(call);
        return;
    }
    stream_tell(call, message);
}

static void stream_sent(struct stub_call *call, bool ok) {
    if (call->sending)
        grpc_byte_buffer_destroy(call->sending);
    call->sending = NULL;
    stub_sent *sent = call->sent;
    call->sent = NULL;
    if (sent && !call->is_closed)
        sent(call->sent_context, ok);
}

/* Tells whether the server may still be asked again: nothing has come of its answer. */
static bool stream_is_repeatable(struct stub_call *call) {
    return call->may_retry && call->messages_received == 0 && call->call && !call_has_fault(call);
}

/* At the end of the messages: waits for the status where it decides about another attempt, and
 * waits for that; else tells the end. */
static void stream_end_receive(struct stub_call *call) {
    if (stream_is_repeatable(call)) {
        if (!call->is_status_known || call->due[EVENT_OPEN])
            return;
        if (retry_is_due(call)) {
            call_try_end(call);
            loop_wait_add(call->loop, call);
            return;
        }
        call->may_retry = false; /* decided */
    }
    if (call->received)
        stream_tell(call, NULL);
}

/* Tells the status once nothing is under way. */
static void stream_end(struct stub_call *call) {
    if (call->received || call->sent || call->due[EVENT_OPEN] || !call->is_status_known ||
        !call->finished || call->phase == PHASE_WAITING)
        return;
    stub_finished *finished = call->finished;
    call->finished = NULL;
    struct stub_status status;
    stream_check_end(call);
    status_of_call(call, &status);
    finished(call->finished_context, &status);
    stub_status_done(&status);
}

/* Goes on as far as what has come allows. */
static void stream_progress(struct stub_call *call) {
    bool wants_more = call->received || call->is_finishing;
    if (call->is_closed || call->phase == PHASE_WAITING)
        return;
    if (wants_more && call->is_receive_ended)
        stream_end_receive(call);
    else if (wants_more && !call->due[EVENT_RECEIVE])
        stream_receive(call);
    if (!call->is_closed && call->is_finishing && call->is_receive_ended)
        stream_end(call);
}

/* Another look: something was asked for, or a wait is to end. */
static void stream_posted(struct stub_call *call) {
    if (call->phase == PHASE_WAITING && call_is_cancelled(call)) {
        loop_wait_remove(call->loop, call);
        call_fault(call, STUB_CANCELLED, "The call was cancelled between two attempts.");
        call_enter(call, PHASE_TRYING);
    }
    if (call->sent && !call->due[EVENT_SEND])
        stream_sent(call, false);
}

void stream_event(struct stub_call *call, enum stub_event event, bool ok) {
    call->due[event] = false;
    switch (event) {
    case EVENT_STATUS:
        call->is_status_known = true;
        break;
    case EVENT_RECEIVE:
        stream_received(call);
        break;
    case EVENT_SEND:
        stream_sent(call, ok);
        break;
    case EVENT_POSTED:
        stream_posted(call);
        break;
    default:
        assert(event == EVENT_OPEN);
    }
    stream_progress(call);
}

void stream_retry(struct stub_call *call) {
    call->is_status_known = call->is_receive_ended = false;
    if (!stream_try(call)) {
        call->is_status_known = call->is_receive_ended = true;
        call_enter(call, PHASE_TRYING);
    }
    stream_progress(call);
}

void stub_stream_send_start(struct stub_call *call, const struct ProtobufCMessage *message,
                            stub_sent *sent, void *context) {
    assert(call->loop && call->method->client_streams && !call->sent && sent);
    call->sent = sent;
    call->sent_context = context;
    grpc_slice packed;
    if (!message_pack(message, &packed)) {
        call_fault(call, STUB_RESOURCE_EXHAUSTED, "The message is too large to be sent.");
        stub_call_cancel(call);
        call_notice(call);
        return;
    }
    call->sending = grpc_raw_byte_buffer_create(&packed, 1);
    grpc_slice_unref(packed);
    grpc_op operation = {.op = GRPC_OP_SEND_MESSAGE};
    operation.data.send_message.send_message = call->sending;
    call_batch(call, EVENT_SEND, &operation, 1);
}

void stub_stream_send_done_start(struct stub_call *call, stub_sent *sent, void *context) {
    assert(call->loop && call->method->client_streams && !call->sent && sent);
    call->sent = sent;
    call->sent_context = context;
    call_batch(call, EVENT_SEND, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, 1);
}

void stub_stream_receive_start(struct stub_call *call, stub_received *received, void *context) {
    assert(call->loop && !call->received && received);
    call->received = received;
    call->received_context = context;
    if (call->is_receive_ended || call->phase == PHASE_WAITING)
        call_notice(call);
    else if (!call->due[EVENT_RECEIVE])
        stream_receive(call);
}

void stub_stream_finish_start(struct stub_call *call, stub_finished *finished, void *context) {
    assert(call->loop && !call->is_finishing && finished);
    call->is_finishing = true;
    call->finished = finished;
    call->finished_context = context;
    call_notice(call);
}
