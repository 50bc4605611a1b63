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

/* The size of the text up to the end of its first argument, or all of it. */
static size_t argument_size(struct slice text) {
    int depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        depth += (text.data[i] == '(') - (text.data[i] == ')');
        if (text.data[i] == ',' && depth == 0)
            return i + 1;
    }
    return text.size;
}

/* Appends a call that is a statement: arguments that find no room go below the first one. */
static void call_append(struct buffer *out, struct slice line, size_t columns_max) {
    const uint8_t *bracket = memchr(line.data, '(', line.size);
    size_t column = bracket ? (size_t)(bracket - line.data) + 1 : line.size, last = column;
    struct slice rest = slice_after(line, column);
    buffer_append(out, slice_first(line, column));
    for (bool is_first = true; rest.size > 0; is_first = false) {
        size_t size = argument_size(rest);
        bool is_broken = !is_first && last + size > columns_max;
        /* The blank before it goes with the break. */
        struct slice argument = slice_after(slice_first(rest, size), is_broken);
        if (is_broken)
            buffer_append_format(out, "\n%*s", (int)column, "");
        buffer_append(out, argument);
        last = (is_broken ? column : last) + argument.size;
        rest = slice_after(rest, size);
    }
}

/* Appends a line; one that is too long is broken behind " = ", or between a call's arguments. */
static void line_append(struct buffer *out, struct slice line, size_t columns_max) {
    const uint8_t *sign =
        line.size > columns_max ? memmem(line.data, line.size, " = ", strlen(" = ")) : NULL;
    if (line.size <= columns_max) {
        buffer_append(out, line);
        return;
    }
    if (!sign) {
        call_append(out, line, columns_max);
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
