#include "service/rpc/reflection.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "service/rpc/service.h"
#include "service/rpc/status_map.h"

/* Field numbers of grpc/reflection/v1/reflection.proto. */
enum {
    REQUEST_HOST = 1,
    REQUEST_FILE_BY_FILENAME = 3,
    REQUEST_FILE_CONTAINING_SYMBOL = 4,
    REQUEST_FILE_CONTAINING_EXTENSION = 5,
    REQUEST_EXTENSION_NUMBERS = 6,
    REQUEST_LIST_SERVICES = 7,
    ANSWER_HOST = 1,
    ANSWER_REQUEST = 2,
    ANSWER_FILES = 4,
    ANSWER_EXTENSIONS = 5,
    ANSWER_SERVICES = 6,
    ANSWER_ERROR = 7,
};

enum { ANSWER_MAX = 4 << 20, REQUEST_MAX = 64 << 10 };

static void answer_error(struct buffer *out, enum rpc_code code, const char *message) {
    size_t error = wire_begin(out, ANSWER_ERROR);
    wire_write_uint(out, 1, (uint64_t)code);
    wire_write_bytes(out, 2, slice_text(message));
    wire_end(out, error);
}

static void answer_file(const struct reflection_index *index, bool is_found, size_t file,
                        struct buffer *out) {
    if (!is_found) {
        answer_error(out, RPC_NOT_FOUND, "no file declares that");
        return;
    }
    size_t files = wire_begin(out, ANSWER_FILES);
    wire_write_bytes(out, 1, reflection_index_bytes(index, file));
    wire_end(out, files);
}

/* Reads an ExtensionRequest and finds its file. */
static bool extension_find(const struct reflection_index *index, struct slice request,
                           size_t *ret_file) {
    struct slice extendee = SLICE_EMPTY;
    int32_t number = 0;
    struct wire_reader reader = wire_reader_of(request);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == 1 && field.type == WIRE_LEN)
            extendee = field.bytes;
        else if (field.number == 2 && field.type == WIRE_VARINT)
            number = (int32_t)field.bits;
    }
    size_t count;
    const struct reflection_extension *extensions = reflection_index_extensions(index, &count);
    for (size_t i = 0; i < count; i++) {
        if (extensions[i].number == number && slice_equal(extensions[i].extendee, extendee)) {
            *ret_file = extensions[i].file;
            return true;
        }
    }
    return false;
}

static void answer_numbers(const struct reflection_index *index, struct slice type,
                           struct buffer *out) {
    size_t file, count;
    if (!reflection_index_symbol(index, type, &file)) {
        answer_error(out, RPC_NOT_FOUND, "no such type");
        return;
    }
    const struct reflection_extension *extensions = reflection_index_extensions(index, &count);
    size_t answer = wire_begin(out, ANSWER_EXTENSIONS);
    wire_write_bytes(out, 1, type);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(extensions[i].extendee, type))
            wire_write_uint(out, 2, (uint64_t)extensions[i].number);
    }
    wire_end(out, answer);
}

static void answer_services(const struct reflection_index *index, struct buffer *out) {
    size_t count;
    const struct slice *services = reflection_index_services(index, &count);
    size_t answer = wire_begin(out, ANSWER_SERVICES);
    for (size_t i = 0; i < count; i++) {
        size_t service = wire_begin(out, 1);
        wire_write_bytes(out, 1, services[i]);
        wire_end(out, service);
    }
    wire_end(out, answer);
}

/* Answers the last field of the request that asks something, as a oneof does. */
static void answer_question(const struct reflection_index *index, const struct wire_field *question,
                            struct buffer *out) {
    size_t file = 0;
    bool is_found;
    switch (question->number) {
    case REQUEST_FILE_BY_FILENAME:
        is_found = reflection_index_file(index, question->bytes, &file);
        answer_file(index, is_found, file, out);
        break;
    case REQUEST_FILE_CONTAINING_SYMBOL:
        is_found = reflection_index_symbol(index, question->bytes, &file);
        answer_file(index, is_found, file, out);
        break;
    case REQUEST_FILE_CONTAINING_EXTENSION:
        is_found = extension_find(index, question->bytes, &file);
        answer_file(index, is_found, file, out);
        break;
    case REQUEST_EXTENSION_NUMBERS:
        answer_numbers(index, question->bytes, out);
        break;
    case REQUEST_LIST_SERVICES:
        answer_services(index, out);
        break;
    default:
        answer_error(out, RPC_INVALID_ARGUMENT, "the request asks nothing that is known here");
    }
}

void reflection_answer(const struct reflection_index *index, struct slice request,
                       struct buffer *out) {
    struct wire_field question = {.number = 0}, field;
    struct slice host = SLICE_EMPTY;
    struct wire_reader reader = wire_reader_of(request);
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == REQUEST_HOST && field.type == WIRE_LEN)
            host = field.bytes;
        else if (field.number >= REQUEST_FILE_BY_FILENAME &&
                 field.number <= REQUEST_LIST_SERVICES && field.type == WIRE_LEN)
            question = field;
    }
    wire_write_bytes(out, ANSWER_HOST, host);
    wire_write_bytes(out, ANSWER_REQUEST, request);
    answer_question(index, &question, out);
}

static void reflection_received(struct rpc_call *call, void *context, bool ok);

/* A client that keeps asking, or says nothing, is not waited for when the service stops. */
static void reflection_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    (void)context;
    if (cause == RPC_LEAVE_DRAIN)
        rpc_call_cut(call);
}

static void reflection_end(struct rpc_call *call) {
    rpc_call_unwatch_leave(call);
    rpc_stream_end(call);
}

static void reflection_written(struct rpc_call *call, void *context, bool ok) {
    if (ok)
        rpc_stream_read(call, reflection_received, context);
    else
        reflection_end(call);
}

static void reflection_received(struct rpc_call *call, void *context, bool ok) {
    if (!ok) {
        reflection_end(call);
        return;
    }
    struct slice request = rpc_call_request(call);
    if (request.size > REQUEST_MAX) {
        rpc_call_unwatch_leave(call);
        rpc_call_fail_with(call, SYNC_ERR_TOO_LARGE, "REQUEST_TOO_LARGE",
                           "A reflection request has at most %d bytes.", REQUEST_MAX);
        return;
    }
    struct buffer answer;
    buffer_init(&answer, ANSWER_MAX);
    reflection_answer(rpc_call_service(call)->reflection, request, &answer);
    if (buffer_status(&answer) == SYNC_OK) {
        rpc_stream_write(call, buffer_slice(&answer), reflection_written, context);
    } else {
        rpc_call_unwatch_leave(call);
        rpc_call_fail_with(call, buffer_status(&answer), "NO_MEMORY", "no room for the answer");
    }
    buffer_done(&answer);
}

void reflection_info_handle(struct rpc_call *call) {
    rpc_call_watch_leave(call, reflection_left, NULL);
    rpc_stream_read(call, reflection_received, NULL);
}
