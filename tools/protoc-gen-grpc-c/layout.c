#include "tools/protoc-gen-grpc-c/layout.h"

enum { COLUMNS_MAX = 100, CONTINUATION = 4, RESULT_ALONE_MIN = 6, NEVER = 1 << 16 };

/* What clang-format counts for a break: between parameters, behind the result, behind the bracket,
 * before the attribute, and for the first one at a level. */
enum {
    PENALTY_PARAMETER = 41,
    PENALTY_RESULT = 80,
    PENALTY_BRACKET = 140,
    PENALTY_ATTRIBUTE = 23,
    PENALTY_FIRST = 15
};

/* The ways to break a head: parameters below the first one; below the name, which the result stands
 * above; four columns in; both of these. */
enum way { WAY_ALIGNED, WAY_RESULT_ALONE, WAY_INDENTED, WAY_BOTH, WAYS };

/* How parameters come to stand. */
struct filling {
    int breaks;  /* NEVER: one of them does not fit */
    size_t last; /* columns of the last line */
};

/* Fills each line as far as it goes, from this column on. With `out` it is written. */
static struct filling parameters_fill(struct buffer *out, const struct layout_function *function,
                                      size_t column) {
    struct filling filling = {.last = column};
    for (size_t i = 0; function->parameters[i]; i++) {
        const char *parameter = function->parameters[i];
        bool is_last = !function->parameters[i + 1];
        size_t size = strlen(parameter) + 1;
        if (is_last && !function->attribute)
            size += strlen(function->end);
        bool is_broken = i > 0 && filling.last + 1 + size > COLUMNS_MAX;
        filling.last = is_broken ? column + size : filling.last + (i > 0) + size;
        filling.breaks += filling.last > COLUMNS_MAX ? NEVER : is_broken;
        if (out && is_broken)
            buffer_append_format(out, "\n%*s", (int)column, "");
        else if (out && i > 0)
            buffer_append_byte(out, ' ');
        if (out)
            buffer_append_format(out, "%s%s", parameter, is_last ? ")" : ",");
    }
    return filling;
}

/* Whether the attribute goes behind the last parameter. */
static bool attribute_fits(const struct layout_function *function, size_t last) {
    return last + 1 + strlen(function->attribute) + strlen(function->end) <= COLUMNS_MAX;
}

/* The columns at which the parameters begin. */
static size_t way_column(const struct layout_function *function, enum way way) {
    size_t name = strlen(function->name) + 1;
    return way == WAY_ALIGNED        ? strlen(function->result) + name
           : way == WAY_RESULT_ALONE ? name
                                     : CONTINUATION;
}

static bool is_result_alone(enum way way) {
    return way == WAY_RESULT_ALONE || way == WAY_BOTH;
}

static bool is_indented(enum way way) {
    return way == WAY_INDENTED || way == WAY_BOTH;
}

/* What a way costs; NEVER and more: some line would be too long. */
static int way_cost(const struct layout_function *function, enum way way) {
    size_t result = strlen(function->result);
    struct filling filling = parameters_fill(NULL, function, way_column(function, way));
    int cost = filling.breaks * PENALTY_PARAMETER;
    if (filling.breaks > 0 || is_indented(way))
        cost += PENALTY_FIRST;
    if (is_indented(way))
        cost += PENALTY_BRACKET;
    if (is_result_alone(way))
        cost += result > RESULT_ALONE_MIN ? PENALTY_RESULT + PENALTY_FIRST : NEVER;
    else if (result + strlen(function->name) + 1 > COLUMNS_MAX)
        cost += NEVER;
    if (function->attribute && !attribute_fits(function, filling.last))
        cost += PENALTY_ATTRIBUTE + (is_result_alone(way) ? 0 : PENALTY_FIRST);
    return cost;
}

void layout_function(struct buffer *out, const struct layout_function *function) {
    enum way way = WAY_ALIGNED;
    for (enum way other = WAY_RESULT_ALONE; other < WAYS; other++)
        if (way_cost(function, other) < way_cost(function, way))
            way = other;
    size_t result = strlen(function->result);
    bool drops_blank = is_result_alone(way) && function->result[result - 1] == ' ';
    buffer_append(out, slice_of(function->result, result - drops_blank));
    buffer_append_format(out, "%s%s(", is_result_alone(way) ? "\n" : "", function->name);
    if (is_indented(way))
        buffer_append_format(out, "\n%*s", CONTINUATION, "");
    struct filling filling = parameters_fill(out, function, way_column(function, way));
    if (function->attribute) {
        bool fits = attribute_fits(function, filling.last);
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
