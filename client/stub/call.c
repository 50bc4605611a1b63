#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/compression.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "client/stub/call_private.h"
#include "client/stub/message.h"
#include "client/stub/metadata.h"

enum {
    HEADERS_OURS = 3, /* the compression, the token, and how often it was tried */
    ARRAY_KEPT_MAX = 64,
    MS_US = 1000,
    SECOND_US = 1000000,
};

static const uint64_t TIMEOUT_MS_MAX = 365ull * 24 * 3600 * 1000; /* as good as none */

static void call_tags_init(struct stub_call *call) {
    for (int event = 0; event < EVENT_COUNT; event++)
        call->tags[event] = (struct stub_tag){call, (enum stub_event)event};
}

static struct stub_call *call_make(struct stub_channel *channel, bool is_blocking) {
    struct stub_call *call = memory_zalloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->channel = channel;
    call_tags_init(call);
    pthread_mutex_init(&call->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&call->cancelled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    if (is_blocking)
        call->queue = grpc_completion_queue_create_for_pluck(NULL);
    return call;
}

void call_free(struct stub_call *call) {
    if (call->queue) {
        grpc_completion_queue_shutdown(call->queue);
        grpc_completion_queue_destroy(call->queue);
    }
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    memory_free(call->headers);
    pthread_cond_destroy(&call->cancelled);
    pthread_mutex_destroy(&call->lock);
    memory_free(call);
}

/* Takes a used call off its list; NULL when there is none. */
static struct stub_call *call_reuse(struct stub_channel *channel, bool is_blocking) {
    pthread_mutex_lock(&channel->lock);
    struct stub_call **list = is_blocking ? &channel->free_blocking : &channel->free_looping;
    struct stub_call *call = *list;
    if (call) {
        *list = call->next_free;
        --*(is_blocking ? &channel->free_blocking_count : &channel->free_looping_count);
    }
    pthread_mutex_unlock(&channel->lock);
    return call;
}

struct stub_call *call_take(struct stub_channel *channel, struct stub_loop *loop,
                            const struct stub_method *method) {
    struct stub_call *call = call_reuse(channel, !loop);
    if (!call)
        call = call_make(channel, !loop);
    if (!call)
        return NULL;
    atomic_fetch_add_explicit(&channel->references, 1, memory_order_relaxed);
    memset(&call->method, 0, sizeof *call - offsetof(struct stub_call, method));
    call->method = method;
    call->loop = loop;
    atomic_store_explicit(&call->references, 1, memory_order_relaxed);
    return call;
}

/* Empties an array for its next use; a large one is not kept. */
static void array_clear(grpc_metadata_array *array) {
    array->count = 0;
    if (array->capacity <= ARRAY_KEPT_MAX)
        return;
    grpc_metadata_array_destroy(array);
    grpc_metadata_array_init(array);
}

static void call_drop_request(struct stub_call *call) {
    if (call->has_request)
        grpc_slice_unref(call->request);
    call->has_request = false;
}

/* Releases all headers but the first `count`. */
static void call_cut_headers(struct stub_call *call, size_t count) {
    while (call->headers_count > count) {
        grpc_metadata *header = &call->headers[--call->headers_count];
        grpc_slice_unref(header->key);
        grpc_slice_unref(header->value);
    }
}

/* Puts the call back for its next use. */
static void call_give_back(struct stub_call *call) {
    struct stub_channel *channel = call->channel;
    bool is_blocking = call->queue;
    call_drop_request(call);
    call_cut_headers(call, 0);
    array_clear(&call->initial);
    array_clear(&call->trailing);
    pthread_mutex_lock(&channel->lock);
    unsigned *count = is_blocking ? &channel->free_blocking_count : &channel->free_looping_count;
    struct stub_call **list = is_blocking ? &channel->free_blocking : &channel->free_looping;
    bool is_kept = *count < CALLS_FREE_MAX;
    if (is_kept) {
        call->next_free = *list;
        *list = call;
        ++*count;
    }
    pthread_mutex_unlock(&channel->lock);
    if (!is_kept)
        call_free(call);
    channel_drop(channel);
}

void call_drop(struct stub_call *call) {
    if (atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) > 1)
        return;
    if (call->is_listed)
        loop_remove(call->loop, call);
    call_try_end(call);
    call_give_back(call);
}

void call_fault(struct stub_call *call, enum stub_code code, const char *format, ...) {
    assert(code != STUB_OK);
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&call->lock);
    if (!call->has_fault) {
        call->has_fault = true;
        call->fault = code;
        vsnprintf(call->fault_text, sizeof call->fault_text, format, arguments);
    }
    pthread_mutex_unlock(&call->lock);
    va_end(arguments);
}

bool call_has_fault(struct stub_call *call) {
    pthread_mutex_lock(&call->lock);
    bool has_fault = call->has_fault;
    pthread_mutex_unlock(&call->lock);
    return has_fault;
}

bool call_is_cancelled(struct stub_call *call) {
    pthread_mutex_lock(&call->lock);
    bool is_cancelled = call->is_cancelled;
    pthread_mutex_unlock(&call->lock);
    return is_cancelled;
}

void call_enter(struct stub_call *call, enum stub_phase phase) {
    pthread_mutex_lock(&call->lock);
    assert(call->phase != PHASE_ENDED);
    call->phase = phase;
    pthread_mutex_unlock(&call->lock);
}

/* Copies the caller's metadata; false without memory. */
static bool call_copy_headers(struct stub_call *call, const struct stub_metadata *entries,
                              size_t count) {
    size_t wanted = count + HEADERS_OURS;
    if (wanted > call->headers_capacity) {
        grpc_metadata *headers = memory_realloc(call->headers, wanted * sizeof *headers);
        if (!headers)
            return false;
        call->headers = headers;
        call->headers_capacity = wanted;
    }
    for (size_t i = 0; i < count; i++) {
        call->headers[i].key = grpc_slice_from_copied_string(entries[i].key);
        call->headers[i].value = grpc_slice_from_copied_buffer(entries[i].value, entries[i].size);
    }
    call->headers_given = call->headers_count = count;
    return true;
}

/* Asks the library to compress, which reads it from the headers and does not send it. */
static void call_set_compression(struct stub_call *call, enum stub_compression compression) {
    if (compression == STUB_COMPRESSION_DEFAULT)
        compression = call->channel->compression;
    if (compression != STUB_COMPRESSION_GZIP)
        return;
    grpc_metadata *header = &call->headers[call->headers_count++];
    header->key = grpc_slice_from_static_string(GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY);
    header->value = grpc_slice_from_static_string("gzip");
    call->headers_given = call->headers_count;
}

/* Takes over how the call is made; what it sends is checked. */
static bool call_set_options(struct stub_call *call, const struct stub_options *options) {
    const char *fault = metadata_fault(options->metadata, options->metadata_count);
    if (!fault && (unsigned)options->compression > STUB_COMPRESSION_GZIP)
        fault = "The compression is one that there is not.";
    if (fault) {
        call_fault(call, STUB_INVALID_ARGUMENT, "%s", fault);
        return false;
    }
    if (!call_copy_headers(call, options->metadata, options->metadata_count)) {
        call_fault(call, STUB_RESOURCE_EXHAUSTED, "No memory for the metadata.");
        return false;
    }
    call_set_compression(call, options->compression);
    call->has_authorization =
        metadata_has(options->metadata, options->metadata_count, "authorization");
    call->wait_for_ready = options->wait_for_ready;
    call->deadline_us = UINT64_MAX;
    if (options->timeout_ms > 0 && options->timeout_ms < TIMEOUT_MS_MAX)
        call->deadline_us = clock_monotonic_us(clock_system()) + options->timeout_ms * MS_US;
    const struct stub_channel *channel = call->channel;
    call->message_bytes_max = channel->message_bytes_max;
    if (options->message_bytes_max > 0 && options->message_bytes_max < call->message_bytes_max)
        call->message_bytes_max = options->message_bytes_max;
    call->may_retry = (call->method->is_idempotent || options->may_retry) && !options->no_retry &&
                      channel->retry.attempts_max > 1 && !call->method->client_streams;
    scope_join(options->scope, call);
    return true;
}

bool call_prepare(struct stub_call *call, const struct ProtobufCMessage *request,
                  const struct stub_options *options) {
    static const struct stub_options plain;
    if (!call_set_options(call, options ? options : &plain))
        return false;
    assert(!request == call->method->client_streams);
    if (!request)
        return true;
    if (!message_pack(request, &call->request)) {
        call_fault(call, STUB_RESOURCE_EXHAUSTED, "The message is too large to be sent.");
        return false;
    }
    call->has_request = true;
    return true;
}

/* Appends "authorization" to the headers; false: a fault is set. */
static bool call_add_token(struct stub_call *call) {
    static const char scheme[] = "Bearer ";
    enum { SCHEME_SIZE = sizeof scheme - 1 };
    struct stub_channel *channel = call->channel;
    char text[SCHEME_SIZE + STUB_TOKEN_MAX];
    char *token = text + SCHEME_SIZE;
    token[0] = '\0';
    if (!channel->token(channel->token_context, token, STUB_TOKEN_MAX)) {
        call_fault(call, STUB_UNAUTHENTICATED, "There is no token for the call.");
        return false;
    }
    size_t size = strnlen(token, STUB_TOKEN_MAX);
    bool is_sound = size < STUB_TOKEN_MAX && metadata_is_token(slice_of(token, size));
    if (is_sound) {
        memcpy(text, scheme, SCHEME_SIZE);
        grpc_metadata *header = &call->headers[call->headers_count++];
        header->key = grpc_slice_from_static_string("authorization");
        header->value = grpc_slice_from_copied_buffer(text, SCHEME_SIZE + size);
    } else {
        call_fault(call, STUB_UNAUTHENTICATED, "The token cannot stand in a header.");
    }
    explicit_bzero(token, size);
    return is_sound;
}

/* Tells the server that it is not the first attempt, as gRPC's retries do. */
static void call_add_attempts(struct stub_call *call) {
    char text[16];
    int size = snprintf(text, sizeof text, "%u", call->attempts - 1);
    grpc_metadata *header = &call->headers[call->headers_count++];
    header->key = grpc_slice_from_static_string("grpc-previous-rpc-attempts");
    header->value = grpc_slice_from_copied_buffer(text, (size_t)size);
}

gpr_timespec time_of_us(uint64_t time_us) {
    if (time_us == UINT64_MAX)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return (gpr_timespec){.tv_sec = (int64_t)(time_us / SECOND_US),
                          .tv_nsec = (int32_t)(time_us % SECOND_US * 1000),
                          .clock_type = GPR_CLOCK_MONOTONIC};
}

bool call_try(struct stub_call *call) {
    struct stub_channel *channel = call->channel;
    if (channel->token && !call->has_authorization && !call_add_token(call))
        return false;
    if (++call->attempts > 1)
        call_add_attempts(call);
    grpc_call *made = grpc_channel_create_call(channel->library, NULL, 0,
                                               call->loop ? call->loop->queue : call->queue,
                                               grpc_slice_from_static_string(call->method->path),
                                               NULL, time_of_us(call->deadline_us), NULL);
    pthread_mutex_lock(&call->lock);
    call->call = made;
    call->phase = PHASE_TRYING;
    if (call->is_cancelled)
        grpc_call_cancel(made, NULL);
    pthread_mutex_unlock(&call->lock);
    return true;
}

size_t call_opening(struct stub_call *call, grpc_op *operations) {
    size_t count = 0;
    operations[count] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    if (call->wait_for_ready)
        operations[count].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                                  GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    operations[count].data.send_initial_metadata.metadata = call->headers;
    operations[count++].data.send_initial_metadata.count = call->headers_count;
    if (call->has_request) {
        call->outgoing = grpc_raw_byte_buffer_create(&call->request, 1);
        operations[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        operations[count++].data.send_message.send_message = call->outgoing;
        operations[count++] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        if (!call->may_retry)
            call_drop_request(call);
    }
    operations[count] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    operations[count++].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    return count;
}

grpc_op call_status_operation(struct stub_call *call) {
    grpc_op operation = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    operation.data.recv_status_on_client.trailing_metadata = &call->trailing;
    operation.data.recv_status_on_client.status = &call->code;
    operation.data.recv_status_on_client.status_details = &call->text;
    call->text = grpc_empty_slice();
    call->has_text = true;
    return operation;
}

void call_batch(struct stub_call *call, enum stub_event event, const grpc_op *operations,
                size_t count) {
    assert(!call->due[event]);
    grpc_call *made = call->call;
    call->due[event] = true;
    if (call->loop)
        loop_announce(call->loop, call);
    grpc_call_error error =
        grpc_call_start_batch(made, operations, count, &call->tags[event], NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

bool call_await(struct stub_call *call, enum stub_event event) {
    assert(!call->loop);
    if (!call->due[event])
        return false;
    grpc_event came =
        grpc_completion_queue_pluck(call->queue, &call->tags[event], time_of_us(UINT64_MAX), NULL);
    assert(came.type == GRPC_OP_COMPLETE);
    call->due[event] = false;
    return came.success;
}

bool call_await_until(struct stub_call *call, enum stub_event event, uint64_t until_us) {
    assert(!call->loop);
    if (call->due[event])
        call->due[event] =
            grpc_completion_queue_pluck(call->queue, &call->tags[event], time_of_us(until_us), NULL)
                .type != GRPC_OP_COMPLETE;
    return !call->due[event];
}

/* Destroys a message and forgets it. */
static void call_drop_message(grpc_byte_buffer **message) {
    if (*message)
        grpc_byte_buffer_destroy(*message);
    *message = NULL;
}

void call_try_end(struct stub_call *call) {
    call_drop_message(&call->incoming);
    call_drop_message(&call->outgoing);
    call_drop_message(&call->surplus);
    if (call->has_text)
        grpc_slice_unref(call->text);
    call->has_text = false;
    call->initial.count = call->trailing.count = 0;
    call_cut_headers(call, call->headers_given);
    pthread_mutex_lock(&call->lock);
    grpc_call *made = call->call;
    call->call = NULL;
    pthread_mutex_unlock(&call->lock);
    if (made)
        grpc_call_unref(made);
}

void call_notice(struct stub_call *call) {
    if (atomic_exchange(&call->is_posted, true))
        return;
    loop_announce(call->loop, call);
    loop_post(call->loop, &call->tags[EVENT_POSTED]);
}

struct ProtobufCMessage *call_unpack(struct stub_call *call) {
    struct sync_error error;
    struct ProtobufCMessage *message = NULL;
    enum stub_code code = message_unpack(call->incoming, call->method->response,
                                         call->message_bytes_max, &error, &message);
    grpc_byte_buffer_destroy(call->incoming);
    call->incoming = NULL;
    if (code != STUB_OK)
        call_fault(call, code, "%s%s%s", error.field, error.field[0] ? ": " : "", error.message);
    return message;
}

void stub_call_cancel(struct stub_call *call) {
    pthread_mutex_lock(&call->lock);
    if (call->phase != PHASE_ENDED) {
        call->is_cancelled = true;
        if (call->call)
            grpc_call_cancel(call->call, NULL);
        if (call->phase == PHASE_WAITING && call->loop)
            call_notice(call);
        pthread_cond_signal(&call->cancelled);
    }
    pthread_mutex_unlock(&call->lock);
}

struct stub_call *stub_call_close(struct stub_call *call) {
    if (!call)
        return NULL;
    if (call->is_stream)
        scope_leave(call);
    if (!call->loop) {
        stream_abandon(call);
    } else {
        stub_call_cancel(call);
        if (call->is_stream) {
            call->is_closed = true;
            call_notice(call); /* stops its wait for another attempt */
        }
    }
    call_drop(call);
    return NULL;
}
