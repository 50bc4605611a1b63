#include "tools/protoc-gen-grpc-c/server.h"

#define CALL "struct rpc_call *call"

const struct emit_function server_functions[] = {
    {
        .shapes = EMIT_UNARY | EMIT_SERVER_STREAM,
        .comment = "Unpacks the request of $n, which lives as long as the call. NULL: it does not "
                   "parse or is too large, and the call has ended.",
        .result = "$q *",
        .name = "$b_unpack",
        .parameters = {CALL},
        .body = "    const struct ProtobufCMessageDescriptor *descriptor = &$d;\n"
                "    struct ProtobufCMessage *message = rpc_call_unpack(call, descriptor);\n"
                "    return ($q *)message;\n",
    },
    {
        .shapes = EMIT_SENDING,
        .comment = "Unpacks the message of $n that rpc_stream_read has brought; it lives as long "
                   "as the call. NULL: it does not parse or is too large, and the call has ended.",
        .result = "$q *",
        .name = "$b_unpack",
        .parameters = {CALL},
        .body = "    const struct ProtobufCMessageDescriptor *descriptor = &$d;\n"
                "    struct ProtobufCMessage *message = rpc_call_unpack(call, descriptor);\n"
                "    return ($q *)message;\n",
    },
    {
        .shapes = EMIT_UNARY | EMIT_CLIENT_STREAM,
        .comment = "Ends a call of $n with its answer, which is packed before the return.",
        .result = "void ",
        .name = "$b_reply",
        .parameters = {CALL, "const $r *response"},
        .body = "    rpc_call_reply(call, (const struct ProtobufCMessage *)response);\n",
    },
    {
        .shapes = EMIT_SERVER_STREAM | EMIT_BIDIRECTIONAL,
        .comment = "Sends a message of $n, which is packed before the return; the next one after "
                   "`written`.",
        .result = "void ",
        .name = "$b_write",
        .parameters = {CALL, "const $r *message", "rpc_written *written", "void *context"},
        .body = "    rpc_stream_write_message(call, (const struct ProtobufCMessage *)message, "
                "written, context);\n",
    },
};

const size_t server_functions_count = sizeof server_functions / sizeof server_functions[0];
