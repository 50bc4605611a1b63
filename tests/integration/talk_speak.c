/* What the user says, sent. */
#include <errno.h>
#include <grpc/byte_buffer.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/integration/talk.h"

enum { READ_CHUNK = 64 << 10 };

/* What the speaker holds. */
struct speech {
    struct talk *talk;
    struct buffer input; /* read, without the lines that are done */
    struct buffer message;
    bool input_ended, has_closed;
};

/* Tells what is wrong with a line and cancels the call. */
static void line_refuse(struct speech *speech, const char *field, const char *why) {
    fprintf(stderr, "talk: this line cannot be sent: %s%s%s\n", field, *field ? ": " : "", why);
    grpc_call_cancel(speech->talk->call, NULL);
}

/* Waits for one of: the input, the last send, the end of the call, a signal. False at the end. A
 * signal cancels, and then the end comes. */
static bool event_wait(struct speech *speech, bool input, bool *ret_happened) {
    struct talk *talk = speech->talk;
    struct pollfd fds[] = {
        {.fd = talk->ended_fd, .events = POLLIN},
        {.fd = talk->signal_fd, .events = POLLIN},
        {.fd = input ? STDIN_FILENO : talk->sent_fd, .events = POLLIN},
    };
    if (poll(fds, 3, -1) < 0)
        return errno == EINTR;
    uint8_t drained[128]; /* a signalfd_siginfo */
    if (fds[1].revents && read(talk->signal_fd, drained, sizeof drained) > 0)
        grpc_call_cancel(talk->call, NULL);
    *ret_happened = fds[2].revents != 0;
    return fds[0].revents == 0;
}

/* Starts a send and waits until the transport has taken it. False at the end of the call. */
static bool send_wait(struct speech *speech, const grpc_op *op) {
    talk_start(speech->talk, op, TALK_SENT);
    for (bool sent = false; !sent;)
        if (!event_wait(speech, false, &sent))
            return false;
    eventfd_t count;
    return eventfd_read(speech->talk->sent_fd, &count) == 0;
}

static bool message_send(struct speech *speech) {
    grpc_slice bytes =
        grpc_slice_from_copied_buffer((const char *)speech->message.data, speech->message.size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = message;
    bool well = send_wait(speech, &op);
    grpc_byte_buffer_destroy(message);
    return well;
}

static bool hex_send(struct speech *speech, struct slice hex) {
    buffer_clear(&speech->message);
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        char digits[3] = {(char)hex.data[i], (char)hex.data[i + 1], '\0'};
        buffer_append_byte(&speech->message, (uint8_t)strtoul(digits, NULL, 16));
    }
    return message_send(speech);
}

static bool zeros_send(struct speech *speech, struct slice number) {
    char text[24];
    snprintf(text, sizeof text, "%.*s", (int)number.size, (const char *)number.data);
    size_t size = strtoull(text, NULL, 10);
    buffer_clear(&speech->message);
    uint8_t *room = buffer_reserve(&speech->message, size);
    if (!room) {
        line_refuse(speech, "", "it is too long");
        return true;
    }
    memset(room, 0, size);
    buffer_advance(&speech->message, size);
    return message_send(speech);
}

/* Does a line that begins with '!'. */
static bool command_do(struct speech *speech, struct slice line) {
    if (slice_starts_with(line, SLICE("!raw")))
        return hex_send(speech, line.size > 5 ? slice_after(line, 5) : SLICE_EMPTY);
    if (slice_starts_with(line, SLICE("!zeros ")))
        return zeros_send(speech, slice_after(line, 7));
    if (slice_starts_with(line, SLICE("!read "))) {
        char number[24];
        snprintf(number, sizeof number, "%.*s", (int)line.size - 6, (const char *)line.data + 6);
        talk_allow(speech->talk, strtoull(number, NULL, 10));
        return true;
    }
    if (slice_equal(line, SLICE("!cancel")))
        grpc_call_cancel(speech->talk->call, NULL);
    else
        line_refuse(speech, "", "no such command");
    return true;
}

/* Does one line; false at the end of the call. */
static bool line_do(struct speech *speech, struct slice line) {
    if (line.size == 0)
        return true;
    if (line.data[0] == '!')
        return command_do(speech, line);
    struct sync_error error = {0};
    buffer_clear(&speech->message);
    if (transcode_to_wire(speech->talk->schema, speech->talk->method->request, line,
                          &(struct transcode_options){0}, &speech->message, &error)) {
        line_refuse(speech, error.field, error.message);
        return true;
    }
    return message_send(speech);
}

/* Does the whole lines that have been read; false at the end of the call. */
static bool lines_do(struct speech *speech) {
    struct slice rest = buffer_slice(&speech->input);
    bool well = true;
    for (const uint8_t *end;
         well && rest.size > 0 && (end = memchr(rest.data, '\n', rest.size)) != NULL;) {
        size_t size = (size_t)(end - rest.data);
        well = line_do(speech, slice_first(rest, size));
        rest = slice_after(rest, size + 1);
    }
    buffer_consume(&speech->input, speech->input.size - rest.size);
    return well;
}

/* Reads some input and does its lines; half-closes at its end. False at the end of the call. */
static bool input_take(struct speech *speech) {
    uint8_t *room = buffer_reserve(&speech->input, READ_CHUNK);
    if (!room) {
        line_refuse(speech, "", "it is too long");
        return false;
    }
    ssize_t got = read(STDIN_FILENO, room, READ_CHUNK);
    if (got > 0) {
        buffer_advance(&speech->input, (size_t)got);
        return lines_do(speech);
    }
    speech->input_ended = true;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    return send_wait(speech, &op);
}

void *talk_speak(void *talk) {
    struct speech speech = {.talk = talk};
    buffer_init(&speech.input, TALK_LINE_MAX);
    buffer_init(&speech.message, TALK_LINE_MAX);
    for (bool goes_on = true, ready = false; goes_on;) {
        goes_on = event_wait(&speech, !speech.input_ended, &ready);
        if (goes_on && ready && !speech.input_ended)
            goes_on = input_take(&speech);
    }
    buffer_done(&speech.input);
    buffer_done(&speech.message);
    return NULL;
}
