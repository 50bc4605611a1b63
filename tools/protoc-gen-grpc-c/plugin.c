#include "tools/protoc-gen-grpc-c/plugin.h"

#include <assert.h>

#include "base/limits.h"
#include "base/wire.h"
#include "tools/protoc-gen-grpc-c/emit.h"

enum { FILES_PER_PROTO_MAX = 4 };

typedef Google__Protobuf__Compiler__CodeGeneratorRequest plugin_request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse plugin_response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File plugin_file;

/* One kind of file. */
struct output {
    const char *ending;
    void (*emit)(struct emit *emit);
    bool is_server;
};

static const struct output outputs[FILES_PER_PROTO_MAX] = {
    {".grpc-c.h", client_header_emit, false},
    {".grpc-c.c", client_source_emit, false},
    {".grpc-server.h", server_header_emit, true},
    {".grpc-server.c", server_source_emit, true},
};

/* Writes one file into the arena; NULL: no room. */
static plugin_file *file_make(struct arena *arena, const struct model_file *file,
                              const struct output *output) {
    plugin_file *made = arena_alloc(arena, sizeof *made);
    if (!made)
        return NULL;
    google__protobuf__compiler__code_generator_response__file__init(made);
    struct buffer text;
    buffer_init(&text, PLUGIN_BYTES_MAX);
    output->emit(
        &(struct emit){.out = &text, .arena = arena, .file = file, .service = &file->services[0]});
    made->name = arena_format(arena, "%s%s", file->stem, output->ending);
    made->content = text.failed ? NULL : arena_copy_text(arena, buffer_slice(&text));
    buffer_done(&text);
    return made->name && made->content ? made : NULL;
}

static enum sync_status files_make(struct arena *arena, const struct model *model,
                                   const struct model_options *options, plugin_response *response) {
    response->file =
        arena_zalloc(arena, model->count * FILES_PER_PROTO_MAX, sizeof *response->file);
    if (!response->file)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < model->count; i++)
        for (size_t j = 0; j < FILES_PER_PROTO_MAX; j++) {
            if (outputs[j].is_server && !options->with_server)
                continue;
            plugin_file *file = file_make(arena, &model->files[i], &outputs[j]);
            if (!file)
                return SYNC_ERR_NO_MEMORY;
            response->file[response->n_file++] = file;
        }
    return SYNC_OK;
}

/* Fills the response with files, or with the error that the user is told. */
static enum sync_status response_make(struct arena *arena, const plugin_request *request,
                                      struct sync_error *error, plugin_response *response) {
    struct model_options options;
    struct model model;
    enum sync_status status = model_options_read(arena, request->parameter, error, &options);
    if (!status)
        status = model_build(arena, request, &options, error, &model);
    if (!status)
        return files_make(arena, &model, &options, response);
    if (status == SYNC_ERR_NO_MEMORY)
        return status;
    response->error = error->message;
    return SYNC_OK;
}

static enum sync_status response_pack(const plugin_response *response, struct buffer *out) {
    size_t size = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    uint8_t *room = buffer_reserve(out, size);
    if (!room)
        return buffer_status(out);
    buffer_advance(out, google__protobuf__compiler__code_generator_response__pack(response, room));
    return SYNC_OK;
}

static enum sync_status answer(struct arena *arena, struct slice bytes, struct buffer *out,
                               struct sync_error *error) {
    ProtobufCAllocator allocator;
    arena_protobuf_allocator(arena, &allocator);
    plugin_request *request = google__protobuf__compiler__code_generator_request__unpack(
        &allocator, bytes.size, bytes.data);
    if (!request)
        return sync_error_set(error, SYNC_ERR_INVALID, "REQUEST", NULL,
                              "the request does not parse, or is too large");
    plugin_response response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    response.has_supported_features = true;
    response.supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    enum sync_status status = response_make(arena, request, error, &response);
    if (!status)
        status = response_pack(&response, out);
    if (status)
        sync_error_set(error, status, "MEMORY", NULL, "the protos are too large");
    return status;
}

enum sync_status plugin_answer(struct slice request, struct buffer *out, struct sync_error *error) {
    assert(out && out->size == 0 && error);
    enum sync_status status =
        wire_check(request, &google__protobuf__compiler__code_generator_request__descriptor,
                   WIRE_DEPTH_MAX, error);
    if (status)
        return status;
    struct arena arena;
    arena_init(&arena, PLUGIN_BYTES_MAX);
    status = answer(&arena, request, out, error);
    arena_done(&arena);
    if (status)
        buffer_clear(out);
    return status;
}
