#include "tests/service/rpc/grpc_client.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { ANSWER_MAX = 80 << 20, HEADERS_MAX = 16, DEADLINE_MS = 10000 };

/* Ends the test program when a step that must hold does not; on any thread. */
static void must(bool holds) {
    if (!holds)
        abort();
}

struct grpc_client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
};

struct grpc_client *grpc_client_open(const char *target) {
    struct grpc_client *client = memory_zalloc(1, sizeof *client);
    must(client);
    grpc_init();
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = -1}},
        {GRPC_ARG_INTEGER, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, {.integer = 1}},
    };
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    client->channel = grpc_channel_create(target, credentials,
                                          &(grpc_channel_args){sizeof args / sizeof args[0], args});
    grpc_channel_credentials_release(credentials);
    client->queue = grpc_completion_queue_create_for_next(NULL);
    return client;
}

struct grpc_client *grpc_client_close(struct grpc_client *client) {
    if (!client)
        return NULL;
    grpc_channel_destroy(client->channel);
    grpc_completion_queue_shutdown(client->queue);
    while (
        grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(client->queue);
    grpc_shutdown();
    memory_free(client);
    return NULL;
}

static gpr_timespec in_ms(int64_t ms) {
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* Waits for one batch; cancels the call when that takes longer than `cancel_ms`. */
static bool batch_wait(struct grpc_client *client, grpc_call *call, int64_t cancel_ms) {
    gpr_timespec until = cancel_ms ? in_ms(cancel_ms) : gpr_inf_future(GPR_CLOCK_REALTIME);
    grpc_event event = grpc_completion_queue_next(client->queue, until, NULL);
    if (event.type == GRPC_QUEUE_TIMEOUT) {
        grpc_call_cancel(call, NULL);
        event = grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    }
    return event.success;
}

/* Reads messages until there are no more. */
static void messages_read(struct grpc_client *client, grpc_call *call, int64_t cancel_ms,
                          struct grpc_client_answer *answer) {
    for (;;) {
        grpc_byte_buffer *received = NULL;
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
        op.data.recv_message.recv_message = &received;
        must(grpc_call_start_batch(call, &op, 1, client, NULL) == GRPC_CALL_OK);
        batch_wait(client, call, cancel_ms);
        if (!received)
            return;
        grpc_byte_buffer_reader reader;
        must(grpc_byte_buffer_reader_init(&reader, received));
        grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
        buffer_append(&answer->messages,
                      slice_of(GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes)));
        answer->message_count++;
        grpc_slice_unref(bytes);
        grpc_byte_buffer_reader_destroy(&reader);
        grpc_byte_buffer_destroy(received);
    }
}

/* Reads how the call ended. */
static void status_read(struct grpc_client *client, grpc_call *call,
                        struct grpc_client_answer *answer) {
    grpc_metadata_array trailers;
    grpc_metadata_array_init(&trailers);
    grpc_status_code code;
    grpc_slice text;
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &trailers;
    op.data.recv_status_on_client.status = &code;
    op.data.recv_status_on_client.status_details = &text;
    must(grpc_call_start_batch(call, &op, 1, client, NULL) == GRPC_CALL_OK);
    batch_wait(client, call, 0);
    answer->code = (int)code;
    snprintf(answer->message, sizeof answer->message, "%.*s", (int)GRPC_SLICE_LENGTH(text),
             (const char *)GRPC_SLICE_START_PTR(text));
    for (size_t i = 0; i < trailers.count; i++) {
        if (grpc_slice_str_cmp(trailers.metadata[i].key, "grpc-status-details-bin") == 0)
            buffer_append(&answer->details,
                          slice_of(GRPC_SLICE_START_PTR(trailers.metadata[i].value),
                                   GRPC_SLICE_LENGTH(trailers.metadata[i].value)));
    }
    grpc_slice_unref(text);
    grpc_metadata_array_destroy(&trailers);
}

/* Sends one more message, and half-closes. */
static void second_send(struct grpc_client *client, grpc_call *call,
                        const struct grpc_client_request *request) {
    grpc_slice bytes =
        grpc_slice_from_copied_buffer((const char *)request->second.data, request->second.size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};
    ops[0].data.send_message.send_message = message;
    must(grpc_call_start_batch(call, ops, 2, client, NULL) == GRPC_CALL_OK);
    batch_wait(client, call, request->cancel_ms);
    grpc_byte_buffer_destroy(message);
}

/* Starts the call with all that the client sends. */
static void request_send(struct grpc_client *client, grpc_call *call,
                         const struct grpc_client_request *request, grpc_metadata *headers,
                         grpc_metadata_array *initial) {
    for (size_t i = 0; i < request->header_count; i++) {
        headers[i].key = grpc_slice_from_copied_string(request->headers[i].key);
        headers[i].value = grpc_slice_from_copied_buffer(
            (const char *)request->headers[i].value.data, request->headers[i].value.size);
    }
    grpc_slice bytes =
        grpc_slice_from_copied_buffer((const char *)request->message.data, request->message.size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_SEND_MESSAGE}};
    if (request->second.size > 0) { /* it half-closes */
        ops[2] = ops[3];
        ops[2].data.send_message.send_message = message;
    }
    ops[0].data.send_initial_metadata.count = request->header_count;
    ops[0].data.send_initial_metadata.metadata = headers;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = initial;
    ops[3].data.send_message.send_message = message;
    size_t count = request->is_silent                                     ? 2
                   : request->without_message || request->second.size > 0 ? 3
                                                                          : 4;
    must(grpc_call_start_batch(call, ops, count, client, NULL) == GRPC_CALL_OK);
    batch_wait(client, call, request->cancel_ms);
    grpc_byte_buffer_destroy(message);
    if (request->second.size > 0)
        second_send(client, call, request);
}

void grpc_client_call(struct grpc_client *client, const struct grpc_client_request *request,
                      struct grpc_client_answer *ret_answer) {
    must(request->header_count <= HEADERS_MAX);
    memset(ret_answer, 0, sizeof *ret_answer);
    buffer_init(&ret_answer->details, ANSWER_MAX);
    buffer_init(&ret_answer->messages, ANSWER_MAX);
    grpc_slice path = grpc_slice_from_copied_string(request->path);
    grpc_slice host = grpc_slice_from_static_string("localhost");
    grpc_call *call = grpc_channel_create_call(
        client->channel, NULL, 0, client->queue, path, &host,
        in_ms(request->deadline_ms ? request->deadline_ms : DEADLINE_MS), NULL);
    grpc_metadata headers[HEADERS_MAX];
    grpc_metadata_array initial;
    grpc_metadata_array_init(&initial);
    request_send(client, call, request, headers, &initial);
    messages_read(client, call, request->cancel_ms, ret_answer);
    status_read(client, call, ret_answer);
    for (size_t i = 0; i < initial.count; i++)
        ret_answer->details_come |=
            grpc_slice_str_cmp(initial.metadata[i].key, "status-details") == 0 &&
            grpc_slice_str_cmp(initial.metadata[i].value, "message") == 0;
    for (size_t i = 0; i < request->header_count; i++) {
        grpc_slice_unref(headers[i].key);
        grpc_slice_unref(headers[i].value);
    }
    grpc_metadata_array_destroy(&initial);
    grpc_call_unref(call);
    grpc_slice_unref(path);
}

void grpc_client_answer_done(struct grpc_client_answer *answer) {
    buffer_done(&answer->details);
    buffer_done(&answer->messages);
}

int grpc_client_code(struct grpc_client *client, const char *path, const char *token,
                     struct slice message) {
    struct grpc_client_header header = {"authorization", slice_text(token)};
    struct grpc_client_answer answer;
    grpc_client_call(
        client,
        &(struct grpc_client_request){
            .path = path, .message = message, .headers = &header, .header_count = token ? 1 : 0},
        &answer);
    int code = answer.code;
    grpc_client_answer_done(&answer);
    return code;
}
