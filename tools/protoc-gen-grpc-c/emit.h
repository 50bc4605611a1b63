/* Emit: templates filled with the names of a method or service.
 *
 * A template is C with names to fill in:
 *
 *     $b  base of the method's names        $q  type of its requests      $Q  their initializer
 *     $n  its name in the proto             $r  type of its answers       $d  descriptor of $q
 *     $c  its comment in the proto          $f  its field's name          $i  whether it is retried
 *     $s  base of the service's names       $S  the same in upper case    $N  its full name
 *     $p  the .proto                        $C  its comment in the proto
 *
 * What has no room makes the output fail (base/bytes.h), which is checked at the end. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_EMIT_H
#define TOOLS_PROTOC_GEN_GRPC_C_EMIT_H

#include "tools/protoc-gen-grpc-c/model.h"

/* Where to write, and what about. In the caller's memory; borrows all. */
struct emit {
    struct buffer *out;
    struct arena *arena;
    const struct model_file *file;
    const struct model_service *service;
    const struct model_method *method; /* NULL while none is written */
};

enum { EMIT_PARAMETERS_MAX = 9 };

/* Which methods have a function, as bits. */
enum {
    EMIT_UNARY = 1 << SHAPE_UNARY,
    EMIT_SERVER_STREAM = 1 << SHAPE_SERVER_STREAM,
    EMIT_CLIENT_STREAM = 1 << SHAPE_CLIENT_STREAM,
    EMIT_BIDIRECTIONAL = 1 << SHAPE_BIDIRECTIONAL,
    EMIT_SENDING = EMIT_CLIENT_STREAM | EMIT_BIDIRECTIONAL,
    EMIT_STREAMS = EMIT_SERVER_STREAM | EMIT_CLIENT_STREAM | EMIT_BIDIRECTIONAL,
    EMIT_ALL = EMIT_UNARY | EMIT_STREAMS,
};

/* A function that a method gets, as templates. */
struct emit_function {
    unsigned shapes;     /* of EMIT_… */
    const char *comment; /* above its declaration */
    const char *result;  /* with what stands before the name */
    const char *name;
    const char *parameters[EMIT_PARAMETERS_MAX];
    const char *body; /* lines between the braces; NULL: a type, or declared alone */
};

/* The template filled in; lives in the arena. */
const char *emit_fill(struct emit *emit, const char *template);

/* Writes a filled template as it is. */
void emit_text(struct emit *emit, const char *template);

/* Writes a filled template as a comment. */
void emit_comment(struct emit *emit, unsigned indent, const char *template);

/* A template's lines, broken behind " = " or between the arguments of a call where they would be
 * too long; lives in the arena. */
const char *emit_lines(struct emit *emit, const char *template, size_t columns_max);

/* Writes comments and declarations of the functions that the method's shape has, those that have a
 * body with the attribute (NULL: none). */
void emit_declarations(struct emit *emit, const struct emit_function *functions, size_t count,
                       const char *attribute);

/* Writes those of them that have a body. */
void emit_definitions(struct emit *emit, const struct emit_function *functions, size_t count);

/* Writes one of the files that the .proto gets. */
void client_header_emit(struct emit *emit);
void client_source_emit(struct emit *emit);
void server_header_emit(struct emit *emit);
void server_source_emit(struct emit *emit);

#endif
