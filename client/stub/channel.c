#include "client/stub/channel.h"

#include <assert.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "client/stub/call_private.h"
#include "client/stub/channel_tls.h"
#include "client/stub/target.h"

enum {
    METADATA_RECEIVED_MAX = 64 << 10,
    FRAME_MAX = 256 << 10, /* fewer pieces per message */
    /* Of the library's bit set: none, deflate, gzip. What comes is decompressed here. */
    ALGORITHMS_ALL = 1 << GRPC_COMPRESS_NONE | 1 << GRPC_COMPRESS_DEFLATE | 1 << GRPC_COMPRESS_GZIP,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 5000,
    CONNECT_MS = 10000, /* for one attempt to connect */
    KEEPALIVE_ANSWER_MS = 20000,
    ATTEMPTS_MAX = 100,
    ARGUMENTS_MAX = 20,
};

const struct stub_retry stub_retry_default = {
    .attempts_max = 4,
    .backoff_ms = 100,
    .backoff_max_ms = 5000,
    .multiplier = 2,
    .codes = {STUB_UNAVAILABLE},
};

/* Why the policy cannot be; NULL when it can. */
static const char *retry_fault(const struct stub_retry *retry) {
    if (retry->attempts_max > ATTEMPTS_MAX)
        return "The retry policy has more than 100 attempts.";
    if (retry->attempts_max > 1 && !(retry->multiplier >= 1))
        return "The retry policy's multiplier is below 1.";
    for (int i = 0; i < STUB_RETRY_CODES_MAX; i++)
        if ((unsigned)retry->codes[i] > STUB_UNAUTHENTICATED)
            return "The retry policy has a code that is none.";
    return NULL;
}

/* Why there can be no such channel; NULL when there can. */
static const char *options_fault(const struct stub_channel_options *options) {
    const char *fault = NULL;
    if (options->message_bytes_max > INT32_MAX)
        return "The bound of messages is above 2 GiB - 1.";
    if ((unsigned)options->compression > STUB_COMPRESSION_GZIP)
        return "The compression is one that there is not.";
    if (options->keepalive_ms > INT32_MAX)
        return "The keepalive interval is too long.";
    for (const char *c = options->user_agent; c && *c; c++)
        if (*c < ' ' || *c > '~')
            return "The user agent has other characters than printable ASCII.";
    if (options->retry)
        fault = retry_fault(options->retry);
    if (!fault && options->tls)
        fault = channel_tls_fault(options->tls);
    return fault;
}

/* Adds an argument for the library. */
static void add_number(grpc_channel_args *arguments, const char *key, int value) {
    assert(arguments->num_args < ARGUMENTS_MAX);
    arguments->args[arguments->num_args++] =
        (grpc_arg){GRPC_ARG_INTEGER, (char *)key, {.integer = value}};
}

static void add_text(grpc_channel_args *arguments, const char *key, const char *value) {
    assert(arguments->num_args < ARGUMENTS_MAX);
    if (value)
        arguments->args[arguments->num_args++] =
            (grpc_arg){GRPC_ARG_STRING, (char *)key, {.string = (char *)value}};
}

/* Makes the library's channel, which copies what it needs. */
static grpc_channel *library_channel(const struct stub_channel_options *options, const char *target,
                                     size_t message_bytes_max) {
    grpc_arg room[ARGUMENTS_MAX];
    grpc_channel_args arguments = {.args = room};
    add_number(&arguments, GRPC_ARG_ENABLE_RETRIES, 0);
    add_number(&arguments, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)message_bytes_max);
    add_number(&arguments, GRPC_ARG_MAX_METADATA_SIZE, METADATA_RECEIVED_MAX);
    add_number(&arguments, GRPC_ARG_HTTP2_MAX_FRAME_SIZE, FRAME_MAX);
    add_number(&arguments, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    add_number(&arguments, GRPC_ARG_ENABLE_CHANNELZ, 0);
    add_number(&arguments, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, ALGORITHMS_ALL);
    add_number(&arguments, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    add_number(&arguments, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    add_number(&arguments, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MS);
    add_number(&arguments, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS);
    add_number(&arguments, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS);
    if (target_is_local(options->target))
        add_number(&arguments, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    if (options->keepalive_ms > 0) {
        add_number(&arguments, GRPC_ARG_KEEPALIVE_TIME_MS, (int)options->keepalive_ms);
        add_number(&arguments, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_ANSWER_MS);
        add_number(&arguments, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    }
    add_text(&arguments, GRPC_ARG_PRIMARY_USER_AGENT_STRING, options->user_agent);
    if (options->tls) /* what the certificate is checked for is the authority */
        add_text(&arguments, GRPC_ARG_DEFAULT_AUTHORITY, options->tls->server_name);
    grpc_channel_credentials *credentials =
        options->tls ? channel_tls_credentials(options->tls) : grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(target, credentials, &arguments);
    grpc_channel_credentials_release(credentials);
    return channel;
}

enum stub_code stub_channel_open(const struct stub_channel_options *options,
                                 struct stub_status *ret_status,
                                 struct stub_channel **ret_channel) {
    assert(options && ret_channel);
    char target[TARGET_MAX];
    const char *fault = target_write(options->target, target);
    if (!fault)
        fault = options_fault(options);
    if (fault)
        return status_plain(ret_status, STUB_INVALID_ARGUMENT, fault);
    struct stub_channel *channel = memory_zalloc(1, sizeof *channel);
    if (!channel)
        return status_plain(ret_status, STUB_RESOURCE_EXHAUSTED, "No memory for the channel.");
    channel->retry = options->retry ? *options->retry : stub_retry_default;
    channel->token = options->token;
    channel->token_context = options->token_context;
    channel->compression = options->compression;
    channel->message_bytes_max =
        options->message_bytes_max > 0 ? options->message_bytes_max : GRPC_MESSAGE_MAX;
    atomic_store(&channel->references, 1);
    pthread_mutex_init(&channel->lock, NULL);
    grpc_init();
    channel->library = library_channel(options, target, channel->message_bytes_max);
    *ret_channel = channel;
    return status_plain(ret_status, STUB_OK, "");
}

static void calls_free(struct stub_call *list) {
    while (list) {
        struct stub_call *call = list;
        list = call->next_free;
        call_free(call);
    }
}

void channel_drop(struct stub_channel *channel) {
    if (atomic_fetch_sub_explicit(&channel->references, 1, memory_order_acq_rel) > 1)
        return;
    calls_free(channel->free_blocking);
    calls_free(channel->free_looping);
    grpc_channel_destroy(channel->library);
    grpc_shutdown();
    pthread_mutex_destroy(&channel->lock);
    memory_free(channel);
}

struct stub_channel *stub_channel_close(struct stub_channel *channel) {
    if (channel)
        channel_drop(channel);
    return NULL;
}
