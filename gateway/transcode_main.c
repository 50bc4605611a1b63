/* transcode: one message, or many, between JSON and protobuf bytes. A debugging aid. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "gateway/transcode.h"

enum { SET_BYTES_MAX = 256 << 20, MESSAGE_BYTES_MAX = 256 << 20, READ_CHUNK = 64 << 10 };

/* What the command line says. */
struct transcode_command {
    const char *descriptor_set, *message;
    bool to_json, framed;
    struct transcode_options options;
};

/* What serves a command. */
struct transcode_job {
    const struct transcode_command *command;
    struct schema *schema;
    const struct schema_message *message;
    struct buffer input, output;
};

static int complain(const char *what) {
    fprintf(stderr, "transcode: %s\n", what);
    return 1;
}

static const char USAGE[] =
    "usage: transcode --descriptor-set FILE --message NAME --to json|binary\n"
    "                 [--reject-unknown|--ignore-unknown] [--framed]\n"
    "Reads one message on standard input and writes it in the other form on standard output.\n"
    "--framed: each input is a 4-byte little-endian length and the message; each answer is a\n"
    "4-byte length of the rest, one status byte (0 ok, 1 invalid) and the output or the error.\n";

/* Reads the command line; -1 to go on, or the exit status. */
static int command_read(int argc, char **argv, struct transcode_command *command) {
    static const struct option OPTIONS[] = {
        {"descriptor-set", required_argument, NULL, 'd'},
        {"message", required_argument, NULL, 'm'},
        {"to", required_argument, NULL, 't'},
        {"reject-unknown", no_argument, NULL, 'r'},
        {"ignore-unknown", no_argument, NULL, 'i'},
        {"framed", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *to = NULL;
    for (int option; (option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 'd':
            command->descriptor_set = optarg;
            break;
        case 'm':
            command->message = optarg;
            break;
        case 't':
            to = optarg;
            break;
        case 'r':
        case 'i':
            command->options.ignore_unknown = option == 'i';
            break;
        case 'f':
            command->framed = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return 0;
        default:
            return 1; /* getopt has said why */
        }
    }
    if (!command->descriptor_set || !command->message || !to || optind != argc)
        return complain("--descriptor-set, --message and --to are needed; see --help");
    command->to_json = strcmp(to, "json") == 0;
    if (!command->to_json && strcmp(to, "binary") != 0)
        return complain("--to must be json or binary");
    return -1;
}

/* Reads until `size` bytes are there or the input ends. False on an I/O error or past the bound. */
static bool read_up_to(int fd, struct buffer *into, size_t size) {
    while (into->size < size) {
        size_t wanted = size - into->size < READ_CHUNK ? size - into->size : READ_CHUNK;
        uint8_t *room = buffer_reserve(into, wanted);
        if (!room)
            return false;
        ssize_t got = read(fd, room, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        buffer_advance(into, (size_t)got);
    }
    return true;
}

static bool write_all(struct slice bytes) {
    while (bytes.size > 0) {
        ssize_t put = write(STDOUT_FILENO, bytes.data, bytes.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes = slice_after(bytes, (size_t)put);
    }
    return true;
}

/* Transcodes job->input to job->output; on failure writes the sentence into `text`. */
static bool job_transcode(struct transcode_job *job, char *text, size_t text_size) {
    struct sync_error error = {0};
    struct slice input = buffer_slice(&job->input);
    enum sync_status status =
        job->command->to_json
            ? transcode_to_json(job->schema, job->message, input, &job->output, &error)
            : transcode_to_wire(job->schema, job->message, input, &job->command->options,
                                &job->output, &error);
    if (status == SYNC_OK)
        return true;
    bool json = strncmp(error.message, "json:", 5) == 0;
    if (json && error.field[0])
        snprintf(text, text_size, "json: %s:%s", error.field, error.message + 5);
    else
        snprintf(text, text_size, "%s%s%s", error.field, error.field[0] ? ": " : "", error.message);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    return false;
}

static int run_once(struct transcode_job *job) {
    char text[SYNC_ERROR_MESSAGE_MAX + SYNC_ERROR_FIELD_MAX + 16];
    if (!read_up_to(STDIN_FILENO, &job->input, MESSAGE_BYTES_MAX))
        return complain("standard input cannot be read");
    if (!job_transcode(job, text, sizeof text))
        return complain(text);
    return write_all(buffer_slice(&job->output)) ? 0 : complain("standard output is closed");
}

static void length_put(uint8_t *at, size_t length) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(length >> (8 * i));
}

/* Answers one framed message, whose content is in job->input. */
static bool frame_answer(struct transcode_job *job) {
    char text[SYNC_ERROR_MESSAGE_MAX + SYNC_ERROR_FIELD_MAX + 16];
    buffer_clear(&job->output);
    buffer_append(&job->output, SLICE("\0\0\0\0\0"));
    if (!job_transcode(job, text, sizeof text)) {
        buffer_clear(&job->output);
        buffer_append(&job->output, SLICE("\0\0\0\0\1"));
        buffer_append(&job->output, slice_text(text));
    }
    if (job->output.failed)
        return false;
    length_put(job->output.data, job->output.size - 4);
    return write_all(buffer_slice(&job->output));
}

static int run_framed(struct transcode_job *job) {
    for (;;) {
        buffer_clear(&job->input);
        if (!read_up_to(STDIN_FILENO, &job->input, 4))
            return complain("standard input cannot be read");
        if (job->input.size == 0)
            return 0;
        if (job->input.size < 4)
            return complain("the input ends inside a length");
        const uint8_t *at = job->input.data;
        size_t length = at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
        buffer_clear(&job->input);
        if (length > MESSAGE_BYTES_MAX)
            return complain("a message is larger than 256 MiB");
        if (!read_up_to(STDIN_FILENO, &job->input, length) || job->input.size < length)
            return complain("the input ends inside a message");
        if (!frame_answer(job))
            return complain("the answer cannot be written");
    }
}

static int run(const struct transcode_command *command, struct buffer *set) {
    int fd = open(command->descriptor_set, O_RDONLY | O_CLOEXEC);
    bool well = fd >= 0 && read_up_to(fd, set, SET_BYTES_MAX);
    if (fd >= 0)
        close(fd);
    if (!well) {
        fprintf(stderr, "transcode: %s: %s\n", command->descriptor_set,
                fd < 0 ? strerror(errno) : "cannot be read");
        return 1;
    }
    struct sync_error error = {0};
    struct transcode_job job = {.command = command};
    if (schema_open(buffer_slice(set), &error, &job.schema)) {
        fprintf(stderr, "transcode: %s: %s\n", command->descriptor_set, error.message);
        return 1;
    }
    buffer_init(&job.input, MESSAGE_BYTES_MAX);
    buffer_init(&job.output, (size_t)MESSAGE_BYTES_MAX * 4);
    job.message = schema_message_find(job.schema, slice_text(command->message));
    int status = 1;
    if (!job.message)
        fprintf(stderr, "transcode: the descriptor set has no message \"%s\"\n", command->message);
    else
        status = command->framed ? run_framed(&job) : run_once(&job);
    buffer_done(&job.input);
    buffer_done(&job.output);
    schema_close(job.schema);
    return status;
}

int main(int argc, char **argv) {
    struct transcode_command command = {0};
    int status = command_read(argc, argv, &command);
    if (status >= 0)
        return status;
    struct buffer set;
    buffer_init(&set, SET_BYTES_MAX);
    status = run(&command, &set);
    buffer_done(&set);
    return status;
}
