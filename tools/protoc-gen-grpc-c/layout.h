/* Layout: lines of C as clang-format would break them. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_LAYOUT_H
#define TOOLS_PROTOC_GEN_GRPC_C_LAYOUT_H

#include "base/bytes.h"

/* A function's head. Texts are borrowed. */
struct layout_function {
    const char *result; /* with the blank or star before the name: "void ", "struct x *" */
    const char *name;
    const char *const *parameters; /* NULL-terminated, at least one */
    const char *attribute;         /* behind the parameters; NULL without */
    const char *end;               /* ";" or " {" */
};

/* Appends a function's head and a line end. */
void layout_function(struct buffer *out, const struct layout_function *function);

/* Appends `left`, " = ", `right` and a line end, `indent` columns in; `right` goes to a line of its
 * own when it has to. */
void layout_assign(struct buffer *out, unsigned indent, const char *left, const char *right);

#endif
