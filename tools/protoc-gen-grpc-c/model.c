#include "tools/protoc-gen-grpc-c/model.h"

#include <assert.h>
#include <stdlib.h>

#include "tools/protoc-gen-grpc-c/model_names.h"
#include "tools/protoc-gen-grpc-c/name.h"
#include "tools/protoc-gen-grpc-c/types.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;
typedef Google__Protobuf__MethodDescriptorProto method_proto;
typedef Google__Protobuf__SourceCodeInfo__Location location_proto;

/* Field numbers that make up the path of a location. */
enum { FILE_SERVICE = 6, SERVICE_METHOD = 2 };

/* What building takes along. */
struct build {
    struct arena *arena;
    struct types *types;
    struct sync_error *error;
};

static enum sync_status no_memory(struct build *build) {
    return sync_error_set(build->error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL,
                          "the protos are too large");
}

enum sync_status model_options_read(struct arena *arena, const char *parameter,
                                    struct sync_error *error, struct model_options *ret_options) {
    struct model_options options = {.prefix = ""};
    for (const char *next = parameter ? parameter : ""; *next; next += *next == ',') {
        struct slice part = slice_of(next, strcspn(next, ","));
        next += part.size;
        if (slice_equal(part, SLICE("server"))) {
            options.with_server = true;
        } else if (slice_starts_with(part, SLICE("prefix="))) {
            options.prefix = arena_copy_text(arena, slice_after(part, strlen("prefix=")));
            if (!options.prefix)
                return SYNC_ERR_NO_MEMORY;
        } else if (part.size > 0) {
            return sync_error_set(error, SYNC_ERR_INVALID, "PARAMETER", NULL,
                                  "unknown parameter \"%.*s\": there are server and prefix=NAME_",
                                  (int)part.size, (const char *)part.data);
        }
    }
    const char *prefix = options.prefix;
    if (prefix[strspn(prefix, "abcdefghijklmnopqrstuvwxyz0123456789_")] ||
        (*prefix >= '0' && *prefix <= '9') || *prefix == '_')
        return sync_error_set(error, SYNC_ERR_INVALID, "PARAMETER", NULL,
                              "prefix=%s does not begin a name: take a-z, 0-9 and _", prefix);
    *ret_options = options;
    return SYNC_OK;
}

/* Tells whether every line that has words begins with a blank, as behind "//". */
static bool is_spaced(const char *text) {
    for (const char *at = text; *at; at++)
        if ((at == text || at[-1] == '\n') && *at != ' ' && *at != '\n')
            return false;
    return true;
}

/* A comment without the blank that each line begins with, and without line ends at its end. */
static const char *comment_of(struct arena *arena, const char *text) {
    char *comment = arena_copy_text(arena, slice_text(text));
    if (!comment)
        return NULL;
    bool drops_blank = is_spaced(comment);
    size_t size = 0;
    for (const char *at = text ? text : ""; *at; at++)
        if (!drops_blank || *at != ' ' || (at > text && at[-1] != '\n'))
            comment[size++] = *at;
    while (size > 0 && comment[size - 1] == '\n')
        size--;
    comment[size] = '\0';
    return comment;
}

/* The comment of a service, or of its method (-1: of the service itself); NULL without memory. */
static const char *comment_find(struct arena *arena, const file_proto *file, int32_t service,
                                int32_t method) {
    size_t size = method < 0 ? 2 : 4;
    for (size_t i = 0; file->source_code_info && i < file->source_code_info->n_location; i++) {
        const location_proto *location = file->source_code_info->location[i];
        const int32_t *path = location->path;
        if (location->n_path != size || path[0] != FILE_SERVICE || path[1] != service ||
            (method >= 0 && (path[2] != SERVICE_METHOD || path[3] != method)))
            continue;
        return comment_of(arena, location->leading_comments ? location->leading_comments
                                                            : location->trailing_comments);
    }
    return "";
}

static enum sync_status message_find(struct build *build, const method_proto *method,
                                     const char *type_name, struct model_message *ret_message) {
    enum sync_status status = types_find(build->types, type_name ? type_name : "", ret_message);
    if (status == SYNC_ERR_NOT_FOUND)
        return sync_error_set(build->error, status, "DESCRIPTOR", NULL,
                              "method %s names the unknown message %s", method->name, type_name);
    return status ? no_memory(build) : SYNC_OK;
}

static enum model_shape shape_of(const method_proto *method) {
    if (method->client_streaming)
        return method->server_streaming ? SHAPE_BIDIRECTIONAL : SHAPE_CLIENT_STREAM;
    return method->server_streaming ? SHAPE_SERVER_STREAM : SHAPE_UNARY;
}

static enum sync_status method_build(struct build *build, const method_proto *from,
                                     const struct model_service *service,
                                     struct model_method *method) {
    if (!from->name)
        return sync_error_set(build->error, SYNC_ERR_INVALID, "DESCRIPTOR", NULL,
                              "a method of %s has no name", service->full_name);
    const Google__Protobuf__MethodOptions *options = from->options;
    method->name = from->name;
    method->path = arena_format(build->arena, "/%s/%s", service->full_name, from->name);
    method->shape = shape_of(from);
    method->is_deprecated = service->is_deprecated || (options && options->deprecated);
    method->is_idempotent =
        options && options->idempotency_level !=
                       GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENCY_UNKNOWN;
    if (!method->path)
        return no_memory(build);
    enum sync_status status = message_find(build, from, from->input_type, &method->request);
    return status ? status : message_find(build, from, from->output_type, &method->response);
}

static enum sync_status service_build(struct build *build, const file_proto *file, size_t index,
                                      struct model_service *service) {
    const service_proto *from = file->service[index];
    bool has_package = file->package && *file->package;
    if (!from->name)
        return sync_error_set(build->error, SYNC_ERR_INVALID, "DESCRIPTOR", NULL,
                              "a service of %s has no name", file->name);
    service->full_name = arena_format(build->arena, "%s%s%s", has_package ? file->package : "",
                                      has_package ? "." : "", from->name);
    service->comment = comment_find(build->arena, file, (int32_t)index, -1);
    service->is_deprecated = from->options && from->options->deprecated;
    service->methods = arena_zalloc(build->arena, from->n_method, sizeof *service->methods);
    if (!service->full_name || !service->comment || !service->methods)
        return no_memory(build);
    service->count = from->n_method;
    for (size_t i = 0; i < service->count; i++) {
        struct model_method *method = &service->methods[i];
        enum sync_status status = method_build(build, from->method[i], service, method);
        if (status)
            return status;
        method->comment = comment_find(build->arena, file, (int32_t)index, (int32_t)i);
        if (!method->comment)
            return no_memory(build);
    }
    return SYNC_OK;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Collects the headers that the messages are in. */
static bool file_headers(struct arena *arena, struct model_file *file) {
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < file->count; i++)
        count += 2 * file->services[i].count;
    const char **headers = arena_zalloc(arena, count + 1, sizeof *headers);
    if (!headers)
        return false;
    count = 0;
    for (size_t i = 0; i < file->count; i++)
        for (size_t j = 0; j < file->services[i].count; j++) {
            headers[count++] = file->services[i].methods[j].request.header;
            headers[count++] = file->services[i].methods[j].response.header;
        }
    qsort(headers, count, sizeof *headers, compare_texts);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(headers[kept - 1], headers[i]) != 0)
            headers[kept++] = headers[i];
    headers[kept] = NULL;
    file->headers = headers;
    return true;
}

static enum sync_status file_build(struct build *build, const file_proto *from,
                                   struct model_file *file) {
    file->proto = from->name;
    if (from->name[strcspn(from->name, "\"\\\n")])
        return sync_error_set(build->error, SYNC_ERR_INVALID, "DESCRIPTOR", NULL,
                              "%s: a name that C cannot include", from->name);
    file->stem = types_stem(build->arena, from->name);
    file->guard = file->stem ? name_upper(build->arena, file->stem) : NULL;
    file->services = arena_zalloc(build->arena, from->n_service, sizeof *file->services);
    if (!file->guard || !file->services)
        return no_memory(build);
    file->count = from->n_service;
    for (size_t i = 0; i < file->count; i++) {
        enum sync_status status = service_build(build, from, i, &file->services[i]);
        if (status)
            return status;
    }
    return file_headers(build->arena, file) ? SYNC_OK : no_memory(build);
}

static const file_proto *file_find(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                                   const char *name) {
    for (size_t i = 0; i < request->n_proto_file; i++)
        if (request->proto_file[i]->name && strcmp(request->proto_file[i]->name, name) == 0)
            return request->proto_file[i];
    return NULL;
}

static enum sync_status files_build(struct build *build,
                                    const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                                    struct model *model) {
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *from = file_find(request, request->file_to_generate[i]);
        if (!from)
            return sync_error_set(build->error, SYNC_ERR_INVALID, "DESCRIPTOR", NULL,
                                  "no descriptor of %s", request->file_to_generate[i]);
        if (from->n_service == 0)
            continue;
        enum sync_status status = file_build(build, from, &model->files[model->count]);
        if (status)
            return status;
        model->count++;
    }
    return SYNC_OK;
}

enum sync_status model_build(struct arena *arena,
                             const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                             const struct model_options *options, struct sync_error *error,
                             struct model *ret_model) {
    assert(arena && request && options && options->prefix && ret_model);
    struct build build = {.arena = arena, .error = error};
    struct model model = {0};
    build.types = types_build(arena, request);
    model.files = arena_zalloc(arena, request->n_file_to_generate, sizeof *model.files);
    if (!build.types || !model.files)
        return no_memory(&build);
    enum sync_status status = files_build(&build, request, &model);
    if (!status)
        status = model_names_choose(arena, options->prefix, error, &model);
    if (!status)
        *ret_model = model;
    return status;
}
