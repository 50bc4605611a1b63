/* talk: one gRPC call of any shape, spoken in JSON lines. */
#include "tests/integration/talk.h"

#include <getopt.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "sync_descriptor.h"

enum { TIMEOUT_S_DEFAULT = 600, AUTHORIZATION_MAX = 16 << 10 };

static const char USAGE[] =
    "usage: talk --target unix:PATH|HOST:PORT --method PACKAGE.SERVICE/METHOD [--token TEXT]\n"
    "            [--header KEY:VALUE]... [--timeout SECONDS] [--slow-read]\n"
    "Sends each line of standard input, a message as JSON, at once; prints each answer as a line,\n"
    "and at the end one with \"status\", \"message\" and \"details\". The end of the input "
    "half-closes,\n"
    "SIGTERM cancels. Lines that begin with '!': !raw HEX sends bytes as a message, !cancel "
    "cancels,\n"
    "!read N takes N messages (with --slow-read, which takes none by itself).\n";

static int complain(const char *what, const char *detail) {
    fprintf(stderr, "talk: %s%s%s\n", what, *detail ? ": " : "", detail);
    return 2;
}

/* Splits "key:value" in place. */
static bool header_read(struct talk_command *command, char *text) {
    char *colon = strchr(text, ':');
    if (!colon || command->header_count == TALK_HEADERS_MAX - 1)
        return false;
    *colon = '\0';
    command->headers[command->header_count++] = (struct talk_header){text, colon + 1};
    return true;
}

/* Reads the command line; -1 to go on, or the exit status. */
static int command_read(int argc, char **argv, struct talk_command *command) {
    static const struct option OPTIONS[] = {
        {"target", required_argument, NULL, 't'},  {"method", required_argument, NULL, 'm'},
        {"token", required_argument, NULL, 'k'},   {"header", required_argument, NULL, 'H'},
        {"timeout", required_argument, NULL, 'w'}, {"slow-read", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    command->timeout_s = TIMEOUT_S_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 't':
            command->target = optarg;
            break;
        case 'm':
            command->method = optarg;
            break;
        case 'k':
            command->token = optarg;
            break;
        case 'H':
            if (!header_read(command, optarg))
                return complain("--header is KEY:VALUE", optarg);
            break;
        case 'w':
            command->timeout_s = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            command->slow_read = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return 0;
        default:
            return 2; /* getopt has said why */
        }
    }
    if (!command->target || !command->method || command->timeout_s <= 0 || optind != argc)
        return complain("--target and --method are needed; see --help", "");
    return -1;
}

/* Finds a method by "package.Service/Method". */
static const struct schema_method *method_find(const struct schema *schema, const char *name) {
    for (size_t i = 0; i < schema_method_count(schema); i++) {
        const struct schema_method *method = schema_method_at(schema, i);
        if (slice_equal(slice_after(method->path, 1), slice_text(name)))
            return method;
    }
    return NULL;
}

static grpc_channel *channel_open(const char *target) {
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, {.integer = -1}},
        {GRPC_ARG_INTEGER, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, {.integer = 1}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ENABLE_RETRIES, {.integer = 0}},
    };
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(
        target, credentials, &(grpc_channel_args){sizeof args / sizeof args[0], args});
    grpc_channel_credentials_release(credentials);
    return channel;
}

static grpc_call *call_open(struct talk *talk, grpc_channel *channel) {
    grpc_slice path = grpc_slice_from_copied_buffer((const char *)talk->method->path.data,
                                                    talk->method->path.size);
    grpc_slice host = grpc_slice_from_static_string("localhost");
    gpr_timespec deadline = gpr_time_add(
        gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(talk->command->timeout_s, GPR_TIMESPAN));
    grpc_call *call =
        grpc_channel_create_call(channel, NULL, 0, talk->queue, path, &host, deadline, NULL);
    grpc_slice_unref(path);
    return call;
}

static void queue_close(grpc_completion_queue *queue) {
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_REALTIME);
    grpc_completion_queue_shutdown(queue);
    while (grpc_completion_queue_next(queue, forever, NULL).type != GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(queue);
}

/* Makes the call that is described; returns its status code. */
static int talk_run(struct talk *talk) {
    grpc_init();
    grpc_channel *channel = channel_open(talk->command->target);
    talk->queue = grpc_completion_queue_create_for_next(NULL);
    talk->call = call_open(talk, channel);
    int code = talk_listen(talk);
    grpc_call_unref(talk->call);
    grpc_channel_destroy(channel);
    queue_close(talk->queue);
    grpc_shutdown();
    return code;
}

/* The descriptors that the threads wake each other by. */
static bool descriptors_open(struct talk *talk) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        return false;
    talk->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    talk->sent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    talk->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return talk->signal_fd >= 0 && talk->sent_fd >= 0 && talk->ended_fd >= 0;
}

int main(int argc, char **argv) {
    struct talk_command command = {0};
    int status = command_read(argc, argv, &command);
    if (status >= 0)
        return status;
    static char authorization[AUTHORIZATION_MAX];
    if (command.token) {
        snprintf(authorization, sizeof authorization, "Bearer %s", command.token);
        command.headers[command.header_count++] =
            (struct talk_header){"authorization", authorization};
    }
    struct talk talk = {.command = &command, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct sync_error error = {0};
    if (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &talk.schema))
        return complain("the descriptors", error.message);
    talk.method = method_find(talk.schema, command.method);
    if (!talk.method || !descriptors_open(&talk)) {
        schema_close(talk.schema);
        return complain("no such method", command.method);
    }
    signal(SIGPIPE, SIG_IGN);
    status = talk_run(&talk);
    schema_close(talk.schema);
    return status == GRPC_STATUS_OK ? 0 : 1;
}
