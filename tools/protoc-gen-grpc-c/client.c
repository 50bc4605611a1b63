#include "tools/protoc-gen-grpc-c/client.h"

#define CHANNEL "struct stub_channel *channel"
#define OPTIONS "const struct stub_options *options"
#define LOOP "struct stub_loop *loop"
#define STATUS "struct stub_status *ret_status"
#define STREAM "struct $b_stream *stream"
#define CONTEXT "void *context"
#define REQUEST "(const struct ProtobufCMessage *)request"
#define CALL "(struct stub_call *)stream"

#define STATUS_SENTENCE                                                                            \
    "`ret_status` may be NULL; give it zeroed or done, and end it by stub_status_done."

#define OPEN_SENTENCE                                                                              \
    " With a `loop` the stream is for the functions that end in _start, whose callbacks that "     \
    "loop runs; with NULL it is for the blocking ones. On failure `ret_stream` is untouched; "     \
    "a call that fails later says so to those that wait, and by $b_finish. $i"

#define OPEN_END                                                                                   \
    "    if (code == STUB_OK)\n"                                                                   \
    "        *ret_stream = (struct $b_stream *)call;\n"                                            \
    "    return code;\n"

const struct emit_function client_functions[] = {
    {
        .shapes = EMIT_UNARY,
        .comment = "$c\n\nBlocks until the call has ended. The answer is the caller's, to be freed "
                   "by $b_free; `ret_response` may be NULL, and is untouched on "
                   "failure. " STATUS_SENTENCE " $i",
        .result = "enum stub_code ",
        .name = "$b",
        .parameters = {CHANNEL, "const $q *request", OPTIONS, STATUS, "$r **ret_response"},
        .body = "    const struct stub_method *method = &$b_method;\n"
                "    struct ProtobufCMessage *response = NULL;\n"
                "    enum stub_code code = stub_unary(channel, method, " REQUEST ",\n"
                "                                     options, ret_status, ret_response ? "
                "&response : NULL);\n"
                "    if (code == STUB_OK && ret_response)\n"
                "        *ret_response = ($r *)response;\n"
                "    return code;\n",
    },
    {
        .shapes = EMIT_UNARY,
        .comment = "Told once how a call of $b_start ended. `response` is the callback's to free, "
                   "NULL on failure; `status` lives until the return.",
        .result = "typedef void ",
        .name = "$b_answered",
        .parameters = {CONTEXT, "$r *response", "const struct stub_status *status"},
    },
    {
        .shapes = EMIT_UNARY,
        .comment = "The same without blocking: `answered` is called by the thread that runs the "
                   "loop, also for what fails at once. The request is packed before the return. "
                   "`ret_call` may be NULL; what it gets is for stub_call_cancel, from any thread, "
                   "and to be closed by stub_call_close.",
        .result = "void ",
        .name = "$b_start",
        .parameters = {CHANNEL, "const $q *request", OPTIONS, LOOP, "$b_answered *answered",
                       CONTEXT, "struct stub_call **ret_call"},
        .body = "    const struct stub_method *method = &$b_method;\n"
                "    stub_answered *generic = (stub_answered *)(void (*)(void))answered;\n"
                "    stub_unary_start(channel, method, " REQUEST ", options, loop,\n"
                "                     generic, context, ret_call);\n",
    },
    {
        .shapes = EMIT_STREAMS,
        .comment = "$c\n\nA call of $n: from $b_open to $b_close.",
        .name = "struct $b_stream;\n",
    },
    {
        .shapes = EMIT_SERVER_STREAM,
        .comment = "Opens the call with its request, which is packed before the "
                   "return." OPEN_SENTENCE,
        .result = "enum stub_code ",
        .name = "$b_open",
        .parameters = {CHANNEL, "const $q *request", OPTIONS, LOOP,
                       "struct $b_stream **ret_stream"},
        .body = "    const struct stub_method *method = &$b_method;\n"
                "    struct stub_call *call = NULL;\n"
                "    enum stub_code code = stub_stream_open(\n"
                "        channel, method, " REQUEST ", options, loop, &call);\n" OPEN_END,
    },
    {
        .shapes = EMIT_SENDING,
        .comment = "Opens the call." OPEN_SENTENCE,
        .result = "enum stub_code ",
        .name = "$b_open",
        .parameters = {CHANNEL, OPTIONS, LOOP, "struct $b_stream **ret_stream"},
        .body = "    const struct stub_method *method = &$b_method;\n"
                "    struct stub_call *call = NULL;\n"
                "    enum stub_code code = stub_stream_open(channel, method, NULL, options, loop, "
                "&call);\n" OPEN_END,
    },
    {
        .shapes = EMIT_SENDING,
        .comment = "Blocks until the transport takes the message (flow control), which stays the "
                   "caller's. False: the call has ended, and $b_finish tells how. One thread may "
                   "send while another receives.",
        .result = "bool ",
        .name = "$b_send",
        .parameters = {STREAM, "const $q *message"},
        .body = "    return stub_stream_send(" CALL ", (const struct ProtobufCMessage "
                "*)message);\n",
    },
    {
        .shapes = EMIT_BIDIRECTIONAL,
        .comment = "Says that no more will be sent, once; blocks until the transport has taken "
                   "that. False as of $b_send.",
        .result = "bool ",
        .name = "$b_send_done",
        .parameters = {STREAM},
        .body = "    return stub_stream_send_done(" CALL ");\n",
    },
    {
        .shapes = EMIT_SERVER_STREAM | EMIT_BIDIRECTIONAL,
        .comment = "Blocks until a message has come, which is the caller's, to be freed by "
                   "$b_free. False at the end: $b_finish tells how it was.",
        .result = "bool ",
        .name = "$b_receive",
        .parameters = {STREAM, "$r **ret_message"},
        .body = "    struct ProtobufCMessage *message = NULL;\n"
                "    if (!stub_stream_receive(" CALL ", &message))\n"
                "        return false;\n"
                "    *ret_message = ($r *)message;\n"
                "    return true;\n",
    },
    {
        .shapes = EMIT_SERVER_STREAM | EMIT_BIDIRECTIONAL,
        .comment = "Blocks until the call has ended, dropping what still comes; called again, it "
                   "tells the same. " STATUS_SENTENCE,
        .result = "enum stub_code ",
        .name = "$b_finish",
        .parameters = {STREAM, STATUS},
        .body = "    return stub_call_finish(" CALL ", ret_status);\n",
    },
    {
        .shapes = EMIT_CLIENT_STREAM,
        .comment = "Says that no more will be sent and blocks until the call has ended. The answer "
                   "is the caller's, to be freed by $b_free; on failure `ret_response` is "
                   "untouched. " STATUS_SENTENCE,
        .result = "enum stub_code ",
        .name = "$b_finish",
        .parameters = {STREAM, STATUS, "$r **ret_response"},
        .body = "    struct ProtobufCMessage *response = NULL;\n"
                "    enum stub_code code = stub_stream_answer(" CALL ", ret_status, "
                "&response);\n"
                "    if (code == STUB_OK)\n"
                "        *ret_response = ($r *)response;\n"
                "    return code;\n",
    },
    {
        .shapes = EMIT_STREAMS,
        .comment = "Ends the call, from any thread: it finishes with STUB_CANCELLED, unless it had "
                   "ended.",
        .result = "void ",
        .name = "$b_cancel",
        .parameters = {STREAM},
        .body = "    stub_call_cancel(" CALL ");\n",
    },
    {
        .shapes = EMIT_STREAMS,
        .comment =
            "Closes the stream, cancelling what is under way; returns NULL. NULL is allowed. "
            "No callback is called any more; with a loop: on the thread that runs it, from "
            "within a callback too, or while none does.",
        .result = "struct $b_stream *",
        .name = "$b_close",
        .parameters = {STREAM},
        .body = "    stub_call_close(" CALL ");\n"
                "    return NULL;\n",
    },
    {
        .shapes = EMIT_SENDING,
        .comment = "With a loop: sends a message, which is packed before the return, and tells "
                   "`sent` when the transport has taken it. One at a time.",
        .result = "void ",
        .name = "$b_send_start",
        .parameters = {STREAM, "const $q *message", "stub_sent *sent", CONTEXT},
        .body = "    stub_stream_send_start(" CALL ", (const struct ProtobufCMessage "
                "*)message,\n"
                "                           sent, context);\n",
    },
    {
        .shapes = EMIT_SENDING,
        .comment = "With a loop: says that no more will be sent.",
        .result = "void ",
        .name = "$b_send_done_start",
        .parameters = {STREAM, "stub_sent *sent", CONTEXT},
        .body = "    stub_stream_send_done_start(" CALL ", sent, context);\n",
    },
    {
        .shapes = EMIT_STREAMS,
        .comment = "Told of a message, which is the callback's to free; NULL at the end.",
        .result = "typedef void ",
        .name = "$b_received",
        .parameters = {CONTEXT, "$r *message"},
    },
    {
        .shapes = EMIT_STREAMS,
        .comment = "With a loop: waits for the next message. One at a time.",
        .result = "void ",
        .name = "$b_receive_start",
        .parameters = {STREAM, "$b_received *received", CONTEXT},
        .body = "    stub_received *generic = (stub_received *)(void (*)(void))received;\n"
                "    stub_stream_receive_start(" CALL ", generic, context);\n",
    },
    {
        .shapes = EMIT_STREAMS,
        .comment = "With a loop: `finished` is called with the status, after all else that was "
                   "under way.",
        .result = "void ",
        .name = "$b_finish_start",
        .parameters = {STREAM, "stub_finished *finished", CONTEXT},
        .body = "    stub_stream_finish_start(" CALL ", finished, context);\n",
    },
    {
        .shapes = EMIT_ALL,
        .comment = "Frees what came from the service. NULL is allowed.",
        .result = "void ",
        .name = "$b_free",
        .parameters = {"$r *message"},
        .body = "    stub_message_free((struct ProtobufCMessage *)message);\n",
    },
};

const size_t client_functions_count = sizeof client_functions / sizeof client_functions[0];
