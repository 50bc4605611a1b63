#include "tests/service/core/json_document.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "base/wire.h"

struct parser {
    const char *at;
    struct buffer *out;
};

static void fail(const struct parser *parser) {
    fprintf(stderr, "no JSON at: %.40s\n", parser->at);
    abort();
}

static void skip_space(struct parser *parser) {
    while (*parser->at == ' ' || *parser->at == '\n')
        parser->at++;
}

static bool take(struct parser *parser, char character) {
    skip_space(parser);
    if (*parser->at != character)
        return false;
    parser->at++;
    return true;
}

static void expect(struct parser *parser, char character) {
    if (!take(parser, character))
        fail(parser);
}

static void parse_string(struct parser *parser, uint32_t number) {
    expect(parser, '"');
    const char *begin = parser->at;
    while (*parser->at && *parser->at != '"')
        parser->at += *parser->at == '\\' && parser->at[1] ? 2 : 1;
    size_t mark = wire_begin(parser->out, number);
    if (!json_decode_string(slice_of(begin, (size_t)(parser->at - begin)), parser->out))
        fail(parser);
    wire_end(parser->out, mark);
    expect(parser, '"');
}

static void parse_number(struct parser *parser) {
    const char *begin = parser->at;
    while (*parser->at && strchr("+-.eE0123456789", *parser->at))
        parser->at++;
    double number;
    if (!json_parse_number(slice_of(begin, (size_t)(parser->at - begin)), &number))
        fail(parser);
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    wire_write_i64(parser->out, 2, bits);
}

static void parse_value(struct parser *parser);

static void parse_list(struct parser *parser) {
    expect(parser, '[');
    if (take(parser, ']'))
        return;
    do {
        size_t mark = wire_begin(parser->out, 1);
        parse_value(parser);
        wire_end(parser->out, mark);
    } while (take(parser, ','));
    expect(parser, ']');
}

static void parse_object(struct parser *parser) {
    expect(parser, '{');
    if (take(parser, '}'))
        return;
    do {
        size_t entry = wire_begin(parser->out, 1);
        parse_string(parser, 1);
        expect(parser, ':');
        size_t value = wire_begin(parser->out, 2);
        parse_value(parser);
        wire_end(parser->out, value);
        wire_end(parser->out, entry);
    } while (take(parser, ','));
    expect(parser, '}');
}

static bool parse_word(struct parser *parser, const char *word, uint32_t number, uint64_t bits) {
    if (strncmp(parser->at, word, strlen(word)) != 0)
        return false;
    parser->at += strlen(word);
    wire_write_uint(parser->out, number, bits);
    return true;
}

static void parse_value(struct parser *parser) {
    skip_space(parser);
    if (*parser->at == '"') {
        parse_string(parser, 3);
    } else if (*parser->at == '{' || *parser->at == '[') {
        bool is_list = *parser->at == '[';
        size_t mark = wire_begin(parser->out, is_list ? 6 : 5);
        if (is_list)
            parse_list(parser);
        else
            parse_object(parser);
        wire_end(parser->out, mark);
    } else if (!parse_word(parser, "null", 1, 0) && !parse_word(parser, "true", 4, 1) &&
               !parse_word(parser, "false", 4, 0)) {
        parse_number(parser);
    }
}

struct slice json_struct(const char *text, struct arena *arena) {
    struct buffer out;
    buffer_init(&out, 64 << 20);
    struct parser parser = {text, &out};
    struct slice copy = SLICE_EMPTY;
    parse_object(&parser);
    skip_space(&parser);
    if (*parser.at || buffer_status(&out) || !arena_copy(arena, buffer_slice(&out), &copy))
        fail(&parser);
    buffer_done(&out);
    return copy;
}

struct slice json_document(const char *text, struct arena *arena) {
    struct slice document;
    struct sync_error error;
    if (document_normalize(json_struct(text, arena), arena, &error, &document)) {
        fprintf(stderr, "refused: %s %s %s\n", error.reason, error.field, error.message);
        abort();
    }
    return document;
}

const char *json_text(struct slice document, struct arena *arena) {
    struct buffer out;
    buffer_init(&out, 64 << 20);
    document_append_json(document, &out);
    char *text = buffer_status(&out) ? NULL : arena_copy_text(arena, buffer_slice(&out));
    buffer_done(&out);
    if (!text)
        abort();
    return text;
}
