/* Answers: messages and the end of a call. */
#include <assert.h>
#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

#include "service/rpc/call_private.h"

#define DETAILS_KEY "grpc-status-details-bin"
#define DETAILS_FORM_KEY "status-details"

/* Fills an operation that sends the (empty) initial metadata, once in a call; returns how many. */
static size_t ops_begin(struct rpc_call *call, grpc_op *op) {
    if (call->is_begun)
        return 0;
    call->is_begun = true;
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    return 1;
}

/* Takes over `message`. */
static void op_message(struct rpc_call *call, grpc_op *op, grpc_slice message) {
    call->outgoing = grpc_raw_byte_buffer_create(&message, 1);
    grpc_slice_unref(message);
    *op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
    op->data.send_message.send_message = call->outgoing;
}

static void op_status(struct rpc_call *call, grpc_op *op, enum rpc_code code) {
    call->code = code;
    *op = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op->data.send_status_from_server.status = (grpc_status_code)code;
}

void call_finish(struct rpc_call *call, enum rpc_code code, struct slice message,
                 struct slice details) {
    grpc_op ops[2];
    size_t count = ops_begin(call, ops);
    op_status(call, &ops[count], code);
    call->status_text = grpc_slice_from_copied_buffer((const char *)message.data, message.size);
    ops[count].data.send_status_from_server.status_details = &call->status_text;
    if (details.size > 0) {
        call->trailer.key = grpc_slice_from_static_string(DETAILS_KEY);
        call->trailer.value =
            grpc_slice_from_copied_buffer((const char *)details.data, details.size);
        ops[count].data.send_status_from_server.trailing_metadata = &call->trailer;
        ops[count].data.send_status_from_server.trailing_metadata_count = 1;
    }
    call_start(call, &call->end, ops, count + 1);
}

/* Takes a large answer's part of what all may hold; one that clients do not read stays in memory.
 * False when there is no room. */
static bool answer_hold(struct rpc_call *call, size_t size) {
    struct rpc_server *server = call->queue->server;
    if (size < ANSWER_LARGE_BYTES)
        return true;
    size_t before = atomic_fetch_add(&server->answers_bytes, size);
    if (before + size > server->answers_bytes_max) {
        atomic_fetch_sub(&server->answers_bytes, size);
        return false;
    }
    call->answer_bytes = size;
    return true;
}

bool call_finish_large(struct rpc_call *call, enum rpc_code code, struct slice message,
                       struct slice details) {
    bool is_unary = method_entry_method(call->entry)->shape == RPC_UNARY;
    if (!call->takes_details || !is_unary || !answer_hold(call, details.size))
        return false;
    assert(!call->is_begun);
    grpc_op ops[3];
    size_t count = ops_begin(call, ops);
    call->head.key = grpc_slice_from_static_string(DETAILS_FORM_KEY);
    call->head.value = grpc_slice_from_static_string("message");
    ops[0].data.send_initial_metadata.metadata = &call->head;
    ops[0].data.send_initial_metadata.count = 1;
    op_message(call, &ops[count],
               grpc_slice_from_copied_buffer((const char *)details.data, details.size));
    op_status(call, &ops[count + 1], code);
    call->status_text = grpc_slice_from_copied_buffer((const char *)message.data, message.size);
    ops[count + 1].data.send_status_from_server.status_details = &call->status_text;
    call_start(call, &call->end, ops, count + 2);
    return true;
}

/* Packs a message of `size` bytes. */
static grpc_slice message_slice(const struct ProtobufCMessage *message, size_t size) {
    grpc_slice bytes = grpc_slice_malloc(size);
    size_t packed = protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(bytes));
    assert(packed == size);
    (void)packed;
    return bytes;
}

void rpc_call_reply(struct rpc_call *call, const struct ProtobufCMessage *message) {
    assert(message);
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > GRPC_MESSAGE_MAX) {
        rpc_call_fail_with(call, SYNC_ERR_TOO_LARGE, "ANSWER_TOO_LARGE",
                           "The answer has %zu bytes, and a message at most %d: ask for pages.",
                           size, GRPC_MESSAGE_MAX);
        return;
    }
    if (!answer_hold(call, size)) {
        rpc_call_fail_with(call, SYNC_ERR_BUSY, "ANSWERS_WAITING",
                           "Too many large answers wait for their clients; try again later, or "
                           "ask for pages.");
        return;
    }
    grpc_op ops[3];
    size_t count = ops_begin(call, ops);
    op_message(call, &ops[count], message_slice(message, size));
    op_status(call, &ops[count + 1], RPC_OK);
    call_start(call, &call->end, ops, count + 2);
}

/* Takes over `bytes`. */
static void stream_write(struct rpc_call *call, grpc_slice bytes, rpc_written *written,
                         void *context) {
    assert(written);
    assert(!call->outgoing);
    call->written = written;
    call->written_context = context;
    grpc_op ops[2];
    size_t count = ops_begin(call, ops);
    op_message(call, &ops[count], bytes);
    call_start(call, &call->write, ops, count + 1);
}

void rpc_stream_write(struct rpc_call *call, struct slice message, rpc_written *written,
                      void *context) {
    const char *data = (const char *)message.data;
    stream_write(call, grpc_slice_from_copied_buffer(data, message.size), written, context);
}

void rpc_stream_write_message(struct rpc_call *call, const struct ProtobufCMessage *message,
                              rpc_written *written, void *context) {
    assert(message);
    size_t size = protobuf_c_message_get_packed_size(message);
    assert(size <= GRPC_MESSAGE_MAX);
    stream_write(call, message_slice(message, size), written, context);
}

void rpc_stream_begin(struct rpc_call *call, rpc_written *written, void *context) {
    assert(written);
    assert(!call->is_begun);
    call->written = written;
    call->written_context = context;
    grpc_op op;
    size_t count = ops_begin(call, &op);
    call_start(call, &call->write, &op, count);
}

void rpc_call_cut(struct rpc_call *call) {
    grpc_call_cancel_with_status(call->call, GRPC_STATUS_UNAVAILABLE, "cut", NULL);
}

void rpc_call_cut_with(struct rpc_call *call, const struct sync_error *error) {
    assert(error->status != SYNC_OK);
    bool is_ours = sync_status_is_internal(error->status);
    grpc_call_cancel_with_status(call->call, (grpc_status_code)sync_status_to_grpc(error->status),
                                 is_ours ? sync_status_name(error->status) : error->message, NULL);
}

void rpc_stream_end(struct rpc_call *call) {
    call_finish(call, RPC_OK, SLICE_EMPTY, SLICE_EMPTY);
}
