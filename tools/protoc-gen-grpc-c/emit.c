#include "tools/protoc-gen-grpc-c/emit.h"

#include <assert.h>

#include "tools/protoc-gen-grpc-c/comment.h"
#include "tools/protoc-gen-grpc-c/layout.h"

enum { TEMPLATE_BYTES_MAX = 4 << 20 };

static const char *retry_sentence(const struct model_method *method) {
    if (method->shape == SHAPE_CLIENT_STREAM || method->shape == SHAPE_BIDIRECTIONAL)
        return "Never retried.";
    return method->is_idempotent
               ? "The proto calls the method idempotent: it is retried as the channel says."
               : "Not retried, unless the options say that it may be.";
}

/* What stands for "$" and a letter about the method; NULL for no such letter. */
static const char *method_value(const struct model_method *method, char letter) {
    switch (letter) {
    case 'b':
        return method->base;
    case 'q':
        return method->request.type;
    case 'Q':
        return method->request.init;
    case 'r':
        return method->response.type;
    case 'd':
        return method->request.descriptor;
    case 'n':
        return method->name;
    case 'f':
        return method->field;
    case 'c':
        return method->comment;
    case 'i':
        return retry_sentence(method);
    default:
        return NULL;
    }
}

static const char *value_of(const struct emit *emit, char letter) {
    switch (letter) {
    case 's':
        return emit->service->base;
    case 'S':
        return emit->service->upper;
    case 'N':
        return emit->service->full_name;
    case 'C':
        return emit->service->comment;
    case 'p':
        return emit->file->proto;
    default:
        return emit->method ? method_value(emit->method, letter) : NULL;
    }
}

/* A buffer's text in the arena; ends the buffer. */
static const char *emit_take(struct emit *emit, struct buffer *text) {
    const char *taken = text->failed ? NULL : arena_copy_text(emit->arena, buffer_slice(text));
    buffer_done(text);
    if (!taken)
        emit->out->failed = true;
    return taken ? taken : "";
}

const char *emit_fill(struct emit *emit, const char *template) {
    struct buffer out;
    buffer_init(&out, TEMPLATE_BYTES_MAX);
    while (*template) {
        size_t size = strcspn(template, "$");
        buffer_append(&out, slice_of(template, size));
        template += size;
        if (*template) {
            const char *value = value_of(emit, template[1]);
            assert(value);
            buffer_append(&out, slice_text(value));
            template += 2;
        }
    }
    return emit_take(emit, &out);
}

void emit_text(struct emit *emit, const char *template) {
    buffer_append(emit->out, slice_text(emit_fill(emit, template)));
}

void emit_comment(struct emit *emit, unsigned indent, const char *template) {
    comment_write(emit->out, indent, slice_text(emit_fill(emit, template)));
}

/* Appends a line; one that is too long is broken behind " = ". */
static void line_append(struct buffer *out, struct slice line, size_t columns_max) {
    const uint8_t *sign =
        line.size > columns_max ? memmem(line.data, line.size, " = ", strlen(" = ")) : NULL;
    if (!sign) {
        buffer_append(out, line);
        return;
    }
    size_t left = (size_t)(sign - line.data) + strlen(" ="), indent = 0;
    while (line.data[indent] == ' ')
        indent++;
    buffer_append(out, slice_first(line, left));
    buffer_append_format(out, "\n%*s", (int)indent + 4, "");
    buffer_append(out, slice_after(line, left + 1));
}

const char *emit_lines(struct emit *emit, const char *template, size_t columns_max) {
    struct slice text = slice_text(emit_fill(emit, template));
    struct buffer out;
    buffer_init(&out, TEMPLATE_BYTES_MAX);
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        line_append(&out, slice_first(text, size), columns_max);
        if (end)
            buffer_append_byte(&out, '\n');
        text = slice_after(text, size + (end ? 1 : 0));
    }
    return emit_take(emit, &out);
}

static bool has_function(const struct emit *emit, const struct emit_function *function) {
    return function->shapes & 1u << emit->method->shape;
}

static void head_emit(struct emit *emit, const struct emit_function *function,
                      const char *attribute, const char *end) {
    const char *parameters[EMIT_PARAMETERS_MAX + 1] = {NULL};
    for (size_t i = 0; i < EMIT_PARAMETERS_MAX && function->parameters[i]; i++)
        parameters[i] = emit_fill(emit, function->parameters[i]);
    assert(parameters[0]);
    layout_function(emit->out, &(struct layout_function){
                                   .result = emit_fill(emit, function->result),
                                   .name = emit_fill(emit, function->name),
                                   .parameters = parameters,
                                   .attribute = attribute,
                                   .end = end,
                               });
}

void emit_declarations(struct emit *emit, const struct emit_function *functions, size_t count,
                       const char *attribute) {
    for (size_t i = 0; i < count; i++) {
        const struct emit_function *function = &functions[i];
        if (!has_function(emit, function))
            continue;
        emit_comment(emit, 0, function->comment);
        if (function->parameters[0])
            head_emit(emit, function, function->body ? attribute : NULL, ";");
        else
            emit_text(emit, function->name);
        buffer_append_byte(emit->out, '\n');
    }
}

void emit_definitions(struct emit *emit, const struct emit_function *functions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct emit_function *function = &functions[i];
        if (!function->body || !has_function(emit, function))
            continue;
        buffer_append_byte(emit->out, '\n');
        head_emit(emit, function, NULL, " {");
        buffer_append(emit->out, slice_text(emit_lines(emit, function->body, 100)));
        buffer_append(emit->out, SLICE("}\n"));
    }
}
