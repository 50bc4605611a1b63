#include "tools/protoc-gen-grpc-c/layout.h"

#include <assert.h>

enum { COLUMNS_MAX = 100, CONTINUATION = 4, RESULT_ALONE_MIN = 6, NEVER = 1 << 20 };

/* What clang-format counts for a break: between parameters, behind the result, behind the bracket,
 * and for the first one at a level. */
enum { PENALTY_PARAMETER = 41, PENALTY_RESULT = 80, PENALTY_BRACKET = 140, PENALTY_FIRST = 15 };

/* How many breaks the parameters need from this column on, each line filled as far as it goes; or
 * NEVER when one does not fit. With `out` they are written. */
static int parameters_fill(struct buffer *out, const struct layout_function *function,
                           size_t column) {
    size_t at = column;
    int breaks = 0;
    for (size_t i = 0; function->parameters[i]; i++) {
        const char *parameter = function->parameters[i];
        bool is_last = !function->parameters[i + 1];
        size_t size = strlen(parameter) + 1;
        if (is_last && !function->attribute)
            size += strlen(function->end);
        bool is_broken = i > 0 && at + 1 + size > COLUMNS_MAX;
        at = is_broken ? column + size : at + (i > 0) + size;
        breaks += is_broken;
        if (at > COLUMNS_MAX && !out)
            return NEVER;
        if (out)
            buffer_append_format(out, "%s%*s%s%s",
                                 i == 0      ? ""
                                 : is_broken ? "\n"
                                             : " ",
                                 is_broken ? (int)column : 0, "", parameter, is_last ? ")" : ",");
    }
    return breaks;
}

/* The columns of the last line of what was written since `begin`. */
static size_t last_columns(const struct buffer *out, size_t begin) {
    size_t at = out->size;
    while (at > begin && out->data[at - 1] != '\n')
        at--;
    return out->size - at;
}

void layout_function(struct buffer *out, const struct layout_function *function) {
    size_t begin = out->size;
    size_t name = strlen(function->name) + 1, result = strlen(function->result);
    bool has_blank = function->result[result - 1] == ' ';
    int aligned = parameters_fill(NULL, function, result + name) * PENALTY_PARAMETER;
    int below =
        parameters_fill(NULL, function, name) * PENALTY_PARAMETER + PENALTY_RESULT + PENALTY_FIRST;
    int indented =
        parameters_fill(NULL, function, CONTINUATION) * PENALTY_PARAMETER + PENALTY_BRACKET;
    if (result - has_blank < RESULT_ALONE_MIN)
        below = NEVER;
    if (aligned <= below && aligned <= indented) {
        buffer_append_format(out, "%s%s(", function->result, function->name);
        parameters_fill(out, function, result + name);
    } else if (below <= indented) {
        buffer_append_format(out, "%.*s\n%s(", (int)(result - has_blank), function->result,
                             function->name);
        parameters_fill(out, function, name);
    } else {
        buffer_append_format(out, "%s%s(\n%*s", function->result, function->name, CONTINUATION, "");
        parameters_fill(out, function, CONTINUATION);
    }
    if (function->attribute) {
        size_t size = strlen(function->attribute) + strlen(function->end);
        bool fits = last_columns(out, begin) + 1 + size <= COLUMNS_MAX;
        buffer_append_format(out, "%s%*s%s", fits ? "" : "\n", fits ? 1 : CONTINUATION, "",
                             function->attribute);
    }
    buffer_append_format(out, "%s\n", function->end);
}

void layout_assign(struct buffer *out, unsigned indent, const char *left, const char *right) {
    bool fits = indent + strlen(left) + 3 + strlen(right) <= COLUMNS_MAX;
    buffer_append_format(out, "%*s%s =%s%*s%s\n", (int)indent, "", left, fits ? "" : "\n",
                         fits ? 1 : (int)indent + CONTINUATION, "", right);
}
