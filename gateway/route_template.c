#include "gateway/route_template.h"

#include <assert.h>

#include "base/hex.h"

/* A template being parsed. */
struct template_parser {
    const uint8_t *next, *end;
    struct route_segment segments[ROUTE_SEGMENTS_MAX];
    size_t segment_count;
    struct route_variable variables[ROUTE_BINDINGS_MAX];
    size_t variable_count;
    const char *wrong;
};

static bool parse_fail(struct template_parser *parser, const char *wrong) {
    parser->wrong = wrong;
    return false;
}

static bool parse_take(struct template_parser *parser, char byte) {
    if (parser->next == parser->end || *parser->next != (uint8_t)byte)
        return false;
    parser->next++;
    return true;
}

static bool add_segment(struct template_parser *parser, int kind, struct slice text) {
    if (parser->segment_count == ROUTE_SEGMENTS_MAX)
        return parse_fail(parser, "it has too many segments");
    if (parser->segment_count > 0 &&
        parser->segments[parser->segment_count - 1].kind == ROUTE_SEGMENT_REST)
        return parse_fail(parser, "'**' is not its last segment");
    parser->segments[parser->segment_count++] = (struct route_segment){kind, text};
    return true;
}

/* "*", "**" or text, up to one of "/:}=" */
static bool parse_plain(struct template_parser *parser) {
    if (parse_take(parser, '*'))
        return add_segment(parser, parse_take(parser, '*') ? ROUTE_SEGMENT_REST : ROUTE_SEGMENT_ANY,
                           SLICE_EMPTY);
    const uint8_t *begin = parser->next;
    while (parser->next < parser->end && !strchr("/:}={*", *parser->next))
        parser->next++;
    if (parser->next == begin)
        return parse_fail(parser, "a segment is empty");
    return add_segment(parser, 0, slice_of(begin, (size_t)(parser->next - begin)));
}

/* "{field.path}" or "{field.path=segments}", behind the brace */
static bool parse_variable(struct template_parser *parser) {
    if (parser->variable_count == ROUTE_BINDINGS_MAX)
        return parse_fail(parser, "it has too many variables");
    const uint8_t *begin = parser->next;
    while (parser->next < parser->end && *parser->next != '=' && *parser->next != '}')
        parser->next++;
    struct route_variable variable = {
        .field_path = slice_of(begin, (size_t)(parser->next - begin)),
        .begin = parser->segment_count,
    };
    if (variable.field_path.size == 0)
        return parse_fail(parser, "a variable has no name");
    if (!parse_take(parser, '=')) {
        if (!add_segment(parser, ROUTE_SEGMENT_ANY, SLICE_EMPTY))
            return false;
    } else {
        do {
            if (parser->next < parser->end && *parser->next == '{')
                return parse_fail(parser, "a variable is inside another");
            if (!parse_plain(parser))
                return false;
        } while (parse_take(parser, '/'));
    }
    if (!parse_take(parser, '}'))
        return parse_fail(parser, "a '}' is missing");
    variable.end = parser->segment_count;
    parser->variables[parser->variable_count++] = variable;
    return true;
}

static bool parse_template(struct template_parser *parser, struct slice *ret_verb) {
    *ret_verb = SLICE_EMPTY;
    if (!parse_take(parser, '/'))
        return parse_fail(parser, "it does not begin with '/'");
    if (parser->next == parser->end)
        return true;
    do {
        bool well = parse_take(parser, '{') ? parse_variable(parser) : parse_plain(parser);
        if (!well)
            return false;
    } while (parse_take(parser, '/'));
    if (parse_take(parser, ':')) {
        *ret_verb = slice_of(parser->next, (size_t)(parser->end - parser->next));
        parser->next = parser->end;
        if (ret_verb->size == 0 || memchr(ret_verb->data, '/', ret_verb->size))
            return parse_fail(parser, "its verb is empty or has a '/'");
    }
    return parser->next == parser->end || parse_fail(parser, "a '/' is missing");
}

enum sync_status route_template_parse(struct slice text, struct arena *arena,
                                      struct sync_error *error, struct route_template *ret) {
    struct template_parser parser = {.next = text.data, .end = slice_end(text)};
    struct route_template made = {.text = text};
    if (text.size == 0 || !parse_template(&parser, &made.verb))
        return sync_error_set(error, SYNC_ERR_INVALID, "TEMPLATE", NULL,
                              "the path template \"%.*s\" is invalid: %s", (int)text.size,
                              text.data, parser.wrong ? parser.wrong : "it is empty");
    made.segment_count = parser.segment_count;
    made.variable_count = parser.variable_count;
    made.segments = arena_zalloc(arena, made.segment_count, sizeof *made.segments);
    made.variables = arena_zalloc(arena, made.variable_count, sizeof *made.variables);
    if (!made.segments || !made.variables)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
    memcpy(made.segments, parser.segments, made.segment_count * sizeof *made.segments);
    memcpy(made.variables, parser.variables, made.variable_count * sizeof *made.variables);
    *ret = made;
    return SYNC_OK;
}

static enum sync_status bad_encoding(struct sync_error *error, const char *what) {
    return sync_error_set(error, SYNC_ERR_INVALID, "BAD_ENCODING", NULL, "the address has %s",
                          what);
}

/* Whether an encoded byte stays as it was sent. */
static bool stays_encoded(int byte, enum route_unescape unescape) {
    if (unescape == ROUTE_UNESCAPE_ALL)
        return false;
    return unescape == ROUTE_UNESCAPE_EXCEPT_SLASH
               ? byte == '/'
               : byte != 0 && strchr(":/?#[]@!$&'()*+,;=", byte) != NULL;
}

enum sync_status route_percent_decode(struct slice text, bool plus, enum route_unescape unescape,
                                      struct arena *arena, struct sync_error *error,
                                      struct slice *ret_text) {
    uint8_t *out = NULL;
    size_t size = 0;
    bool encoded = memchr(text.size ? (const void *)text.data : "", '%', text.size) ||
                   (plus && memchr(text.size ? (const void *)text.data : "", '+', text.size));
    if (encoded) {
        out = arena_alloc(arena, text.size);
        if (!out)
            return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
        for (size_t i = 0; i < text.size; i++) {
            uint8_t byte = text.data[i];
            if (byte == '+' && plus) {
                byte = ' ';
            } else if (byte == '%') {
                int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
                int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
                if (high < 0 || low < 0)
                    return bad_encoding(error, "a '%' without two hexadecimal digits");
                if (!stays_encoded(high * 16 + low, unescape)) {
                    byte = (uint8_t)(high * 16 + low);
                    i += 2;
                }
            }
            out[size++] = byte;
        }
        text = slice_of(out, size);
    }
    if (!slice_is_utf8(text))
        return bad_encoding(error, "text that is not UTF-8");
    *ret_text = text;
    return SYNC_OK;
}

static size_t last_colon(struct slice text) {
    size_t at = text.size;
    while (at > 0 && text.data[at - 1] != ':')
        at--;
    return at > 0 ? at - 1 : SIZE_MAX;
}

enum sync_status route_path_parse(struct slice path, struct arena *arena, struct sync_error *error,
                                  struct route_path *ret_path) {
    ret_path->count = 0;
    ret_path->verb_at = SIZE_MAX;
    if (path.size == 0 || path.data[0] != '/')
        return SYNC_ERR_NOT_FOUND;
    for (size_t begin = 1, i = 1; i <= path.size && path.size > 1; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        if (ret_path->count == ROUTE_SEGMENTS_MAX)
            return SYNC_ERR_NOT_FOUND;
        struct slice raw = slice_of(path.data + begin, i - begin);
        enum sync_status status =
            route_percent_decode(raw, false, ROUTE_UNESCAPE_EXCEPT_SLASH, arena, error,
                                 &ret_path->text[ret_path->count]);
        if (status)
            return status;
        ret_path->raw[ret_path->count++] = raw;
        begin = i + 1;
    }
    if (ret_path->count > 0) {
        /* The verb is what follows a colon as sent; an encoded one belongs to the segment. */
        struct slice raw = ret_path->raw[ret_path->count - 1];
        size_t at = last_colon(raw);
        ret_path->raw_verb_at = at;
        if (at != SIZE_MAX && !memchr(raw.data + at, '%', raw.size - at))
            ret_path->verb_at = ret_path->text[ret_path->count - 1].size - (raw.size - at);
    }
    return SYNC_OK;
}

/* A segment of the path as the template sees it: the last one without the verb. */
static struct slice path_segment(const struct route_template *part, const struct route_path *path,
                                 size_t index, bool raw) {
    struct slice text = raw ? path->raw[index] : path->text[index];
    if (part->verb.size > 0 && index + 1 == path->count)
        text.size = raw ? path->raw_verb_at : path->verb_at;
    return text;
}

bool route_template_matches(const struct route_template *part, const struct route_path *path) {
    size_t count = part->segment_count;
    bool rest = count > 0 && part->segments[count - 1].kind == ROUTE_SEGMENT_REST;
    if (rest ? path->count + 1 < count : path->count != count)
        return false;
    if (part->verb.size > 0) {
        if (path->count == 0 || path->verb_at > path->text[path->count - 1].size)
            return false;
        struct slice last = path->text[path->count - 1];
        if (!slice_equal(slice_after(last, path->verb_at + 1), part->verb))
            return false;
    }
    for (size_t i = 0; i < count - rest; i++) {
        struct slice text = path_segment(part, path, i, false);
        if (part->segments[i].kind == ROUTE_SEGMENT_ANY
                ? text.size == 0
                : !slice_equal(part->segments[i].text, text))
            return false;
    }
    return true;
}

enum sync_status route_variable_value(const struct route_template *part,
                                      const struct route_variable *variable,
                                      const struct route_path *path, enum route_unescape unescape,
                                      struct arena *arena, struct slice *ret_value) {
    bool one = variable->end - variable->begin == 1 &&
               part->segments[variable->begin].kind == ROUTE_SEGMENT_ANY;
    if (one) {
        struct slice raw = path_segment(part, path, variable->begin, true);
        return route_percent_decode(raw, false, ROUTE_UNESCAPE_ALL, arena, NULL, ret_value);
    }
    bool rest = part->segments[variable->end - 1].kind == ROUTE_SEGMENT_REST;
    size_t end = rest ? path->count : variable->end;
    if (variable->begin >= end) {
        *ret_value = SLICE_EMPTY;
        return SYNC_OK;
    }
    /* The segments lie one after the other in the path as it was sent. */
    struct slice last = path_segment(part, path, end - 1, true);
    const uint8_t *begin = path->raw[variable->begin].data;
    struct slice raw = slice_of(begin, (size_t)(last.data + last.size - begin));
    return route_percent_decode(raw, false, unescape, arena, NULL, ret_value);
}

int route_template_compare(const struct route_template *a, const struct route_template *b) {
    size_t common = a->segment_count < b->segment_count ? a->segment_count : b->segment_count;
    for (size_t i = 0; i < common; i++) {
        if (a->segments[i].kind != b->segments[i].kind)
            return a->segments[i].kind - b->segments[i].kind;
        int order = slice_compare(a->segments[i].text, b->segments[i].text);
        if (order != 0)
            return order;
    }
    if (a->segment_count != b->segment_count) {
        /* Where only '**' is more, the shorter path is the more special one. */
        const struct route_template *longer = a->segment_count > b->segment_count ? a : b;
        bool rest = longer->segments[common].kind == ROUTE_SEGMENT_REST;
        return (longer == a) == rest ? 1 : -1;
    }
    if ((a->verb.size > 0) != (b->verb.size > 0))
        return a->verb.size > 0 ? -1 : 1;
    return slice_compare(a->verb, b->verb);
}
