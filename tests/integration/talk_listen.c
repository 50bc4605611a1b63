/* What the call tells, printed. */
#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/json_text.h"
#include "tests/integration/talk.h"

/* What the end of the call is written into. */
struct ending {
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice text;
    const char *debug;
};

/* Prints a line at once, for readers that wait for it. */
static void line_print(struct buffer *line) {
    buffer_append_byte(line, '\n');
    if (buffer_status(line) != SYNC_OK || fwrite(line->data, 1, line->size, stdout) != line->size ||
        fflush(stdout) != 0)
        exit(3);
}

void talk_start(struct talk *talk, const grpc_op *op, enum talk_tag tag) {
    pthread_mutex_lock(&talk->lock);
    talk->underway++;
    pthread_mutex_unlock(&talk->lock);
    grpc_call_error error = grpc_call_start_batch(talk->call, op, 1, (void *)(uintptr_t)tag, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

void talk_allow(struct talk *talk, uint64_t messages) {
    pthread_mutex_lock(&talk->lock);
    talk->may_read += messages;
    bool starts = talk->may_read > 0 && !talk->is_reading && !talk->has_ended;
    if (starts) {
        talk->may_read--;
        talk->is_reading = true;
    }
    pthread_mutex_unlock(&talk->lock);
    if (!starts)
        return;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &talk->received;
    talk_start(talk, &op, TALK_MESSAGE);
}

static void message_print(struct talk *talk, grpc_byte_buffer *message) {
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, message))
        exit(3);
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    struct sync_error error = {0};
    struct buffer line;
    buffer_init(&line, TALK_LINE_MAX);
    if (transcode_to_json(talk->schema, talk->method->response,
                          slice_of(GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes)), &line,
                          &error)) {
        fprintf(stderr, "talk: an answer that is no JSON: %s\n", error.message);
        exit(3);
    }
    line_print(&line);
    buffer_done(&line);
    grpc_slice_unref(bytes);
    grpc_byte_buffer_reader_destroy(&reader);
}

/* Prints what has come and takes the next, if it may. */
static void message_take(struct talk *talk) {
    grpc_byte_buffer *message = talk->received;
    talk->received = NULL;
    if (message) {
        message_print(talk, message);
        grpc_byte_buffer_destroy(message);
    }
    pthread_mutex_lock(&talk->lock);
    talk->is_reading = false;
    talk->has_ended = !message;
    pthread_mutex_unlock(&talk->lock);
    talk_allow(talk, 0);
}

/* The details of google.rpc.Status as a JSON list; "[]" without. */
static void details_write(struct talk *talk, const grpc_metadata_array *trailing,
                          struct buffer *line) {
    const struct schema_message *status =
        schema_message_find(talk->schema, SLICE("google.rpc.Status"));
    for (size_t i = 0; status && i < trailing->count; i++) {
        const grpc_slice *value = &trailing->metadata[i].value;
        if (grpc_slice_str_cmp(trailing->metadata[i].key, "grpc-status-details-bin") != 0)
            continue;
        struct sync_error error = {0};
        if (transcode_field_to_json(
                talk->schema, status, SLICE("details"),
                slice_of(GRPC_SLICE_START_PTR(*value), GRPC_SLICE_LENGTH(*value)), line,
                &error) == SYNC_OK)
            return;
        fprintf(stderr, "talk: details that are no JSON: %s\n", error.message);
    }
    buffer_append(line, SLICE("[]"));
}

static void ending_print(struct talk *talk, const struct ending *ending) {
    static const char *const NAMES[] = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
    struct buffer line;
    buffer_init(&line, TALK_LINE_MAX);
    size_t code = (size_t)ending->code < sizeof NAMES / sizeof *NAMES ? ending->code : 2;
    buffer_append_format(&line, "{\"status\":\"%s\",\"message\":", NAMES[code]);
    struct buffer text;
    buffer_init(&text, TALK_LINE_MAX);
    buffer_append_utf8(
        &text, slice_of(GRPC_SLICE_START_PTR(ending->text), GRPC_SLICE_LENGTH(ending->text)));
    json_append_string(&line, buffer_slice(&text));
    buffer_done(&text);
    buffer_append(&line, SLICE(",\"details\":"));
    details_write(talk, &ending->trailing, &line);
    buffer_append_byte(&line, '}');
    line_print(&line);
    buffer_done(&line);
}

/* Takes the events of what is under way until nothing is. */
static void events_take(struct talk *talk) {
    for (;;) {
        pthread_mutex_lock(&talk->lock);
        unsigned underway = talk->underway;
        pthread_mutex_unlock(&talk->lock);
        if (underway == 0)
            return;
        grpc_event event =
            grpc_completion_queue_next(talk->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        switch ((enum talk_tag)(uintptr_t)event.tag) {
        case TALK_MESSAGE:
            message_take(talk);
            break;
        case TALK_SENT:
            eventfd_write(talk->sent_fd, 1);
            break;
        case TALK_STATUS:
            eventfd_write(talk->ended_fd, 1);
            break;
        case TALK_HEADERS:
            break;
        }
        pthread_mutex_lock(&talk->lock);
        talk->underway--;
        pthread_mutex_unlock(&talk->lock);
    }
}

/* Starts the call: headers both ways, and the wait for its end. */
static void call_start(struct talk *talk, struct ending *ending) {
    const struct talk_command *command = talk->command;
    grpc_metadata headers[TALK_HEADERS_MAX];
    for (size_t i = 0; i < command->header_count; i++) {
        headers[i].key = grpc_slice_from_copied_string(command->headers[i].key);
        headers[i].value = grpc_slice_from_copied_string(command->headers[i].value);
    }
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.count = command->header_count;
    op.data.send_initial_metadata.metadata = headers;
    talk_start(talk, &op, TALK_HEADERS);
    for (size_t i = 0; i < command->header_count; i++) {
        grpc_slice_unref(headers[i].key);
        grpc_slice_unref(headers[i].value);
    }
    op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &ending->initial;
    talk_start(talk, &op, TALK_HEADERS);
    op = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &ending->trailing;
    op.data.recv_status_on_client.status = &ending->code;
    op.data.recv_status_on_client.status_details = &ending->text;
    op.data.recv_status_on_client.error_string = &ending->debug;
    talk_start(talk, &op, TALK_STATUS);
    talk_allow(talk, command->slow_read ? 0 : UINT64_MAX);
}

int talk_listen(struct talk *talk) {
    struct ending ending = {.code = GRPC_STATUS_UNKNOWN};
    grpc_metadata_array_init(&ending.initial);
    grpc_metadata_array_init(&ending.trailing);
    call_start(talk, &ending);
    pthread_t speaker;
    if (pthread_create(&speaker, NULL, talk_speak, talk) != 0)
        exit(3);
    events_take(talk);
    pthread_join(speaker, NULL);
    events_take(talk);
    ending_print(talk, &ending);
    grpc_slice_unref(ending.text);
    gpr_free((void *)ending.debug);
    grpc_metadata_array_destroy(&ending.initial);
    grpc_metadata_array_destroy(&ending.trailing);
    return (int)ending.code;
}
