/* Methods: services of a file, read when all types are known. */
#include "gateway/schema_build.h"

static const struct schema_message *method_type(struct schema_build *build, struct slice name,
                                                struct slice method) {
    const struct schema_message *message =
        name.size > 0 ? schema_message_find(build->schema, slice_after(name, 1)) : NULL;
    if (!message)
        schema_build_fail(build, SYNC_ERR_INVALID,
                          "the type \"%.*s\" of the method \"%.*s\" is not in the descriptor set",
                          (int)name.size, name.data, (int)method.size, method.data);
    return message;
}

/* "/service/method" */
static struct slice method_path(struct schema_build *build, const struct schema_method *method) {
    size_t size = method->service.size + method->name.size + 2;
    uint8_t *text = schema_build_alloc(build, size, 1);
    if (!text)
        return SLICE_EMPTY;
    text[0] = '/';
    memcpy(text + 1, method->service.data, method->service.size);
    text[1 + method->service.size] = '/';
    memcpy(text + 2 + method->service.size, method->name.data, method->name.size);
    return slice_of(text, size);
}

/* Reads a MethodDescriptorProto. */
static bool method_read(struct schema_build *build, struct schema_method *method,
                        struct slice bytes) {
    struct slice request = SLICE_EMPTY, response = SLICE_EMPTY;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    method->success_status = 200;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == 1)
            method->name = part.bytes;
        else if (part.number == 2)
            request = part.bytes;
        else if (part.number == 3)
            response = part.bytes;
        else if (part.number == 4 && !schema_method_options(build, method, part.bytes))
            return false;
        else if (part.number == 5)
            method->client_streaming = part.bits != 0;
        else if (part.number == 6)
            method->server_streaming = part.bits != 0;
    }
    if (build->status || method->name.size == 0)
        return schema_build_fail(build, SYNC_ERR_INVALID, "a method has no name");
    method->request = method_type(build, request, method->name);
    method->response = method_type(build, response, method->name);
    method->path = method_path(build, method);
    return !build->status;
}

static bool service_read(struct schema_build *build, struct slice bytes, struct slice package,
                         const struct schema_place *place) {
    enum { NAME = 1, METHOD = 2 };
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct slice name = SLICE_EMPTY;
    while (schema_build_next(build, &reader, &part))
        if (part.number == NAME)
            name = schema_build_join(build, package, part.bytes);
    if (name.size == 0)
        return schema_build_fail(build, SYNC_ERR_INVALID, "a service has no name");
    size_t index = 0;
    reader = wire_reader_of(bytes);
    while (schema_build_next(build, &reader, &part)) {
        if (part.number != METHOD)
            continue;
        struct schema_place below = schema_place_below(place, METHOD, index++);
        struct schema_method *method = &build->schema->methods[build->schema->method_count];
        method->service = name;
        method->comment = schema_comment_at(build, &below);
        method->bearer_token = build->bearer_token;
        if (!method_read(build, method, part.bytes))
            return false;
        build->schema->method_count++;
    }
    return !build->status;
}

bool schema_methods_read(struct schema_build *build, struct slice file) {
    enum { PACKAGE = 2, SERVICE = 6, OPTIONS = 8 };
    struct slice package = SLICE_EMPTY, options = SLICE_EMPTY;
    struct schema_place root = {.size = 0};
    struct wire_reader reader = wire_reader_of(file);
    struct wire_field part;
    size_t index = 0;
    if (!schema_comments_read(build, file))
        return false;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == PACKAGE)
            package = part.bytes;
        else if (part.number == OPTIONS)
            options = part.bytes;
    }
    build->bearer_token = false;
    if (!schema_file_options(build, options))
        return false;
    reader = wire_reader_of(file);
    while (schema_build_next(build, &reader, &part)) {
        if (part.number != SERVICE)
            continue;
        struct schema_place place = schema_place_below(&root, SERVICE, index++);
        if (!service_read(build, part.bytes, package, &place))
            return false;
    }
    return !build->status;
}
