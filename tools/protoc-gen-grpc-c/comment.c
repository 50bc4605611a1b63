#include "tools/protoc-gen-grpc-c/comment.h"

#include <assert.h>

enum { COMMENT_BYTES_MAX = 4 << 20, VERBATIM_COLUMNS = 4, MARKER_MAX = 8 };

/* How far the text of a comment has come. */
struct comment {
    struct buffer lines; /* finished lines, each with its line end */
    struct buffer line;  /* the one that is being filled */
    size_t columns;      /* of `line` */
    size_t columns_max;  /* of a line, without indent and star */
    size_t hanging;      /* columns in, of what is wrapped */
    size_t last_word;    /* where in `line` its last word begins; 0: it is the only one */
    bool is_fenced;      /* between two ``` */
    bool is_blank_due;   /* a blank line goes before what comes next */
};

/* The code point that begins the text, and its size; text is valid UTF-8 or cut. */
static uint32_t code_point(struct slice text, size_t *ret_size) {
    uint8_t first = text.data[0];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t point = size == 1 ? first : first & (0x7f >> size);
    for (size_t i = 1; i < size && i < text.size; i++)
        point = point << 6 | (text.data[i] & 0x3f);
    *ret_size = size < text.size ? size : text.size;
    return point;
}

/* Marks that turn the direction of text: a comment could seem to say what it does not, and
 * compilers warn. */
static bool is_direction_mark(uint32_t point) {
    return (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x200e || point == 0x200f || point == 0x61c;
}

/* East Asian scripts and pictures take two columns. */
static bool is_wide(uint32_t point) {
    return (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
           (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
           (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
           (point >= 0xffe0 && point <= 0xffe6) || (point >= 0x1f300 && point <= 0x1faff) ||
           (point >= 0x20000 && point <= 0x3fffd);
}

static size_t columns_of(struct slice text) {
    size_t columns = 0, size;
    for (; text.size > 0; text = slice_after(text, size))
        columns += is_wide(code_point(text, &size)) ? 2 : 1;
    return columns;
}

/* Appends a character unless the comment cannot hold it; parts what would end or open one, or be a
 * trigraph. */
static void clean_append(struct buffer *out, struct slice character, uint32_t point) {
    uint8_t before = out->size > 0 ? out->data[out->size - 1] : 0;
    uint8_t second = out->size > 1 ? out->data[out->size - 2] : 0;
    if (point == '\t')
        character = SLICE(" ");
    else if ((point < ' ' && point != '\n') || (point >= 0x7f && point < 0xa0) || point == 0x2028 ||
             point == 0x2029 || is_direction_mark(point))
        return;
    if ((before == '*' && point == '/') || (before == '/' && point == '*') ||
        (before == '?' && second == '?'))
        buffer_append_byte(out, ' ');
    buffer_append(out, character);
}

static void clean(struct buffer *out, struct slice text) {
    size_t size;
    for (; text.size > 0; text = slice_after(text, size)) {
        uint32_t point = code_point(text, &size);
        clean_append(out, slice_first(text, size), point);
    }
}

/* Ends the line that is being filled. */
static void line_end(struct comment *comment) {
    if (comment->line.size == 0)
        return;
    buffer_append(&comment->lines, buffer_slice(&comment->line));
    buffer_append_byte(&comment->lines, '\n');
    buffer_truncate(&comment->line, 0); /* it stays failed */
    comment->columns = comment->last_word = 0;
}

/* Ends the paragraph or item; what comes next begins a line. */
static void paragraph_end(struct comment *comment) {
    line_end(comment);
    comment->hanging = 0;
}

static void blank_write(struct comment *comment) {
    if (comment->is_blank_due && comment->lines.size > 0)
        buffer_append_byte(&comment->lines, '\n');
    comment->is_blank_due = false;
}

static void spaces_write(struct buffer *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        buffer_append_byte(out, ' ');
}

static void word_write(struct comment *comment, struct slice word) {
    size_t columns = columns_of(word);
    if (comment->line.size > 0 && comment->columns + 1 + columns > comment->columns_max)
        line_end(comment);
    if (comment->line.size == 0) {
        spaces_write(&comment->line, comment->hanging);
        comment->columns = comment->hanging;
    } else {
        comment->last_word = comment->line.size + 1;
        buffer_append_byte(&comment->line, ' ');
        comment->columns++;
    }
    buffer_append(&comment->line, word);
    comment->columns += columns;
}

static void words_write(struct comment *comment, struct slice text) {
    size_t at = 0;
    while (at < text.size) {
        size_t begin = at;
        while (at < text.size && text.data[at] != ' ')
            at++;
        if (at > begin)
            word_write(comment, slice_of(text.data + begin, at - begin));
        at += at < text.size;
    }
}

/* The size of a list's marker with its space ("- ", "2. ") that begins the text; 0 without. */
static size_t marker_size(struct slice text) {
    size_t at = 0;
    while (at < text.size && at < MARKER_MAX && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    if (at >= text.size)
        return 0;
    bool is_mark = at > 0 ? text.data[at] == '.' || text.data[at] == ')'
                          : text.data[at] == '-' || text.data[at] == '*' || text.data[at] == '+';
    return is_mark && at + 1 < text.size && text.data[at + 1] == ' ' ? at + 2 : 0;
}

/* A line as it is, if it can be. */
static void verbatim_write(struct comment *comment, struct slice line, size_t indent) {
    paragraph_end(comment);
    blank_write(comment);
    if (columns_of(line) + 3 > comment->columns_max) {
        comment->hanging = indent < comment->columns_max / 2 ? indent : 0;
        words_write(comment, line);
        paragraph_end(comment);
        return;
    }
    buffer_append(&comment->lines, line);
    buffer_append_byte(&comment->lines, '\n');
}

static void item_write(struct comment *comment, struct slice line, size_t indent, size_t marker) {
    paragraph_end(comment);
    blank_write(comment);
    spaces_write(&comment->line, indent);
    buffer_append(&comment->line, slice_first(slice_after(line, indent), marker - 1));
    comment->columns = comment->line.size;
    comment->hanging = indent + marker;
    words_write(comment, slice_after(line, indent + marker));
}

static void text_write(struct comment *comment, struct slice line) {
    if (comment->line.size == 0)
        blank_write(comment);
    words_write(comment, line);
}

/* One line of the text, without blanks at its end. */
static void line_write(struct comment *comment, struct slice line) {
    size_t indent = 0;
    while (indent < line.size && line.data[indent] == ' ')
        indent++;
    struct slice rest = slice_after(line, indent);
    if (slice_starts_with(rest, SLICE("buf:lint:ignore")))
        return;
    bool is_fence = slice_starts_with(rest, SLICE("```"));
    size_t marker = marker_size(rest);
    if (rest.size == 0) {
        paragraph_end(comment);
        comment->is_blank_due = true;
    } else if (is_fence || comment->is_fenced || rest.data[0] == '|') {
        verbatim_write(comment, line, indent);
        comment->is_fenced ^= is_fence;
    } else if (marker > 0 && indent < VERBATIM_COLUMNS) {
        item_write(comment, line, indent, marker);
    } else if (indent >= VERBATIM_COLUMNS && indent > comment->hanging) {
        verbatim_write(comment, line, indent);
    } else {
        text_write(comment, rest);
    }
}

/* Reads the text line by line. */
static void text_read(struct comment *comment, struct slice text) {
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end ? (size_t)(end - text.data) : text.size;
        struct slice line = slice_first(text, size);
        text = slice_after(text, end ? size + 1 : size);
        while (line.size > 0 && line.data[line.size - 1] == ' ')
            line.size--;
        line_write(comment, line);
    }
}

/* The last line has the end of the comment behind it: its last word may have to go below. */
static void last_line_end(struct comment *comment) {
    if (comment->line.size == 0 || comment->last_word == 0 ||
        comment->columns + 3 <= comment->columns_max) {
        line_end(comment);
        return;
    }
    size_t begin = comment->last_word, size = comment->line.size - begin;
    struct slice line = slice_first(buffer_slice(&comment->line), begin - 1);
    buffer_append(&comment->lines, line);
    buffer_append_byte(&comment->lines, '\n');
    spaces_write(&comment->lines, comment->hanging);
    buffer_append(&comment->lines, slice_of(comment->line.data + begin, size));
    buffer_append_byte(&comment->lines, '\n');
}

/* Puts the stars before the lines. */
static void comment_append(struct buffer *out, unsigned indent, struct slice lines) {
    spaces_write(out, indent);
    buffer_append_byte(out, '/');
    while (lines.size > 0) {
        const uint8_t *end = memchr(lines.data, '\n', lines.size);
        struct slice line = slice_first(lines, (size_t)(end - lines.data));
        lines = slice_after(lines, line.size + 1);
        buffer_append_byte(out, '*');
        if (line.size > 0)
            buffer_append_byte(out, ' ');
        buffer_append(out, line);
        if (lines.size > 0) {
            buffer_append_byte(out, '\n');
            spaces_write(out, indent + 1);
        }
    }
    buffer_append(out, SLICE(" */\n"));
}

void comment_write(struct buffer *out, unsigned indent, struct slice text) {
    assert(indent < COMMENT_COLUMNS_MAX / 2);
    struct buffer cleaned;
    struct comment comment = {.columns_max = COMMENT_COLUMNS_MAX - indent - 3};
    buffer_init(&cleaned, COMMENT_BYTES_MAX);
    buffer_init(&comment.lines, COMMENT_BYTES_MAX);
    buffer_init(&comment.line, COMMENT_BYTES_MAX);
    clean(&cleaned, text);
    text_read(&comment, buffer_slice(&cleaned));
    last_line_end(&comment);
    if (cleaned.failed || comment.lines.failed || comment.line.failed)
        out->failed = true;
    else if (comment.lines.size > 0)
        comment_append(out, indent, buffer_slice(&comment.lines));
    buffer_done(&cleaned);
    buffer_done(&comment.lines);
    buffer_done(&comment.line);
}
