#include <assert.h>
#include <grpc/byte_buffer.h>

#include "base/clock.h"
#include "client/stub/call_private.h"

enum { OPERATIONS_MAX = 5, STATUS_SOON_US = 2000 };

/* Begins an attempt: a batch as far as the answer, and one for the status. (In one batch, a second
 * message would go unread, and the library tells no status before all are. The status goes first:
 * the library keeps it for the other, and passes both on at once.) False: a fault is set. */
static bool unary_try(struct stub_call *call) {
    if (!call_try(call))
        return false;
    grpc_op operations[OPERATIONS_MAX];
    size_t count = call_opening(call, operations);
    operations[count] = (grpc_op){.op = GRPC_OP_RECV_MESSAGE};
    operations[count++].data.recv_message.recv_message = &call->incoming;
    assert(count <= OPERATIONS_MAX);
    grpc_op status = call_status_operation(call);
    call_batch(call, EVENT_STATUS, &status, 1);
    call_batch(call, EVENT_UNARY, operations, count);
    return true;
}

/* Looks for a second message, where the status does not come right after the first. */
static void unary_receive_surplus(struct stub_call *call) {
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE};
    operation.data.recv_message.recv_message = &call->surplus;
    call_batch(call, EVENT_RECEIVE, &operation, 1);
}

/* That look is over. */
static void unary_refuse_surplus(struct stub_call *call) {
    if (!call->surplus)
        return;
    call_fault(call, STUB_INTERNAL, "The server answered more than once.");
    stub_call_cancel(call);
}

/* Waits for the end of a blocking attempt. */
static void unary_wait(struct stub_call *call) {
    call_await(call, EVENT_UNARY);
    uint64_t soon_us = clock_monotonic_us(clock_system()) + STATUS_SOON_US;
    if (call->incoming && !call_await_until(call, EVENT_STATUS, soon_us)) {
        unary_receive_surplus(call);
        call_await(call, EVENT_RECEIVE);
        unary_refuse_surplus(call);
    }
    call_await(call, EVENT_STATUS);
}

static bool unary_is_under_way(const struct stub_call *call) {
    return call->due[EVENT_UNARY] || call->due[EVENT_RECEIVE] || call->due[EVENT_STATUS];
}

/* Tells whether the attempt that has ended is to be repeated. */
static bool unary_may_repeat(struct stub_call *call) {
    return !call->incoming && retry_is_due(call);
}

/* The answer, or NULL: then the call has failed, unless no answer is wanted. */
static struct ProtobufCMessage *unary_answer(struct stub_call *call, bool is_wanted) {
    if (status_code_of_call(call) != STUB_OK)
        return NULL;
    if (call->incoming)
        return is_wanted ? call_unpack(call) : NULL;
    call_fault(call, STUB_UNIMPLEMENTED, "The server ended the call without a message.");
    return NULL;
}

/* Goes through the attempts of a blocking call. */
static void unary_run(struct stub_call *call) {
    while (unary_try(call)) {
        unary_wait(call);
        if (!unary_may_repeat(call))
            return;
        call_try_end(call);
        if (!retry_wait(call))
            return;
    }
}

enum stub_code stub_unary(struct stub_channel *channel, const struct stub_method *method,
                          const struct ProtobufCMessage *request,
                          const struct stub_options *options, struct stub_status *ret_status,
                          struct ProtobufCMessage **ret_response) {
    assert(channel && request && !method->client_streams && !method->server_streams);
    struct stub_call *call = call_take(channel, NULL, method);
    if (!call)
        return status_plain(ret_status, STUB_RESOURCE_EXHAUSTED, "No memory for the call.");
    struct ProtobufCMessage *response = NULL;
    if (call_prepare(call, request, options)) {
        unary_run(call);
        response = unary_answer(call, ret_response);
    }
    enum stub_code code = status_code_of_call(call);
    if (ret_status)
        status_of_call(call, ret_status);
    scope_leave(call);
    call_drop(call);
    if (response)
        *ret_response = response;
    return code;
}

/* Calls the callback as what it is. */
static void unary_tell(const struct stub_method *method, stub_answered *answered, void *context,
                       struct ProtobufCMessage *response, const struct stub_status *status) {
    if (method->tell_answer)
        method->tell_answer(answered, context, response, status);
    else
        answered(context, response, status);
}

/* Tells the end; the call's own reference is still held. */
static void unary_end(struct stub_call *call) {
    struct ProtobufCMessage *response = unary_answer(call, true);
    struct stub_status status;
    status_of_call(call, &status);
    call_enter(call, PHASE_ENDED);
    call_try_end(call);
    loop_remove(call->loop, call);
    scope_leave(call);
    unary_tell(call->method, call->answered, call->answered_context, response, &status);
    stub_status_done(&status);
    call_drop(call);
}

/* Takes an event of an attempt; tells whether it was the last. */
static bool unary_progress(struct stub_call *call, enum stub_event event) {
    if (event == EVENT_UNARY && call->incoming && call->due[EVENT_STATUS])
        unary_receive_surplus(call);
    if (event == EVENT_RECEIVE)
        unary_refuse_surplus(call);
    return !unary_is_under_way(call);
}

void unary_event(struct stub_call *call, enum stub_event event) {
    call->due[event] = false;
    if (event == EVENT_POSTED) {
        if (call->phase == PHASE_WAITING) {
            loop_wait_remove(call->loop, call);
            call_fault(call, STUB_CANCELLED, "The call was cancelled between two attempts.");
        } else if (!call_has_fault(call) || call->phase == PHASE_ENDED ||
                   unary_is_under_way(call)) {
            return; /* the cancel came too late for the wait, not for the attempt after it */
        }
    } else if (!unary_progress(call, event)) {
        return;
    } else if (unary_may_repeat(call)) {
        call_try_end(call);
        loop_wait_add(call->loop, call);
        return;
    }
    unary_end(call);
}

void unary_retry(struct stub_call *call) {
    if (!unary_try(call))
        unary_end(call);
}

void stub_unary_start(struct stub_channel *channel, const struct stub_method *method,
                      const struct ProtobufCMessage *request, const struct stub_options *options,
                      struct stub_loop *loop, stub_answered *answered, void *context,
                      struct stub_call **ret_call) {
    assert(channel && request && loop && answered);
    assert(!method->client_streams && !method->server_streams && !loop->is_closing);
    struct stub_call *call = call_take(channel, loop, method);
    if (ret_call)
        *ret_call = call;
    if (!call) {
        struct stub_status status;
        status_plain(&status, STUB_RESOURCE_EXHAUSTED, "No memory for the call.");
        unary_tell(method, answered, context, NULL, &status);
        return;
    }
    call->answered = answered;
    call->answered_context = context;
    atomic_fetch_add_explicit(&call->references, ret_call ? 1 : 0, memory_order_relaxed);
    loop_add(loop, call);
    if (!call_prepare(call, request, options) || !unary_try(call))
        call_notice(call);
}
