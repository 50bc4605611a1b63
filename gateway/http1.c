#include "gateway/http1.h"

#include <assert.h>

#include "base/hex.h"
#include "base/limits.h"
#include "base/memory.h"
#include "gateway/http1_head.h"

enum {
    HTTP1_CHUNK_DIGITS_MAX = 8,
    HTTP1_EXTENSIONS_MAX = 4 << 10, /* of a whole body */
    HTTP1_TRAILER_MAX = 8 << 10,
    HTTP1_HEAD_KEEP = 4 << 10,
    HTTP1_HEAD_MAX = HTTP_REQUEST_LINE_MAX + HTTP_HEADERS_BYTES_MAX + 4,
};

enum http1_state {
    HTTP1_STATE_HEAD,            /* next: LENGTH, CHUNK_SIZE, END, BROKEN */
    HTTP1_STATE_LENGTH,          /* a body of known length; next: END */
    HTTP1_STATE_CHUNK_SIZE,      /* next: CHUNK_EXTENSION, CHUNK_SIZE_LF */
    HTTP1_STATE_CHUNK_EXTENSION, /* next: CHUNK_SIZE_LF */
    HTTP1_STATE_CHUNK_SIZE_LF,   /* next: CHUNK_DATA, TRAILER */
    HTTP1_STATE_CHUNK_DATA,      /* next: CHUNK_DATA_CR */
    HTTP1_STATE_CHUNK_DATA_CR,   /* next: CHUNK_DATA_LF */
    HTTP1_STATE_CHUNK_DATA_LF,   /* next: CHUNK_SIZE */
    HTTP1_STATE_TRAILER,         /* at a line's begin; next: TRAILER_NAME, TRAILER_END_LF */
    HTTP1_STATE_TRAILER_NAME,    /* next: TRAILER_VALUE */
    HTTP1_STATE_TRAILER_VALUE,   /* next: TRAILER_LF */
    HTTP1_STATE_TRAILER_LF,      /* next: TRAILER */
    HTTP1_STATE_TRAILER_END_LF,  /* next: END */
    HTTP1_STATE_END,             /* the end is yet to be told; next: HEAD */
    HTTP1_STATE_BROKEN,          /* for good */
};

struct http1_parser {
    enum http1_state state;
    struct buffer head;
    size_t line_begin; /* of the head's line that is not complete */
    size_t lines;
    size_t request_line_size;
    bool skipped_line; /* the one empty line that may precede a request */
    bool told;         /* the head belongs to a request that is over */
    uint64_t left;     /* of the body or chunk */
    uint64_t body_size;
    unsigned digits;     /* of the chunk size */
    unsigned extra_size; /* of chunk extensions or trailers */
    struct http1_event broken;
    struct http1_request request;
    struct transcode_header headers[HTTP_HEADERS_COUNT_MAX];
};

struct http1_parser *http1_open(void) {
    struct http1_parser *parser = memory_zalloc(1, sizeof(*parser));
    if (!parser)
        return NULL;
    /* Room beyond the bound, so that the bound and not the buffer refuses. */
    buffer_init(&parser->head, HTTP1_HEAD_MAX + 2);
    parser->request.headers = parser->headers;
    return parser;
}

struct http1_parser *http1_close(struct http1_parser *parser) {
    if (!parser)
        return NULL;
    buffer_done(&parser->head);
    memory_free(parser);
    return NULL;
}

const struct http1_request *http1_request(const struct http1_parser *parser) {
    return &parser->request;
}

size_t http1_head_bytes(const struct http1_parser *parser) {
    return parser->head.capacity;
}

void http1_forget_head(struct http1_parser *parser) {
    if (parser->told && parser->head.capacity > HTTP1_HEAD_KEEP)
        buffer_done(&parser->head);
}

bool http1_is_idle(const struct http1_parser *parser) {
    return parser->state == HTTP1_STATE_HEAD && (parser->told || parser->head.size == 0);
}

uint64_t http1_body_left(const struct http1_parser *parser) {
    if (parser->state == HTTP1_STATE_HEAD || parser->state == HTTP1_STATE_END)
        return 0;
    return parser->state == HTTP1_STATE_LENGTH ? parser->left : SIZE_MAX;
}

static bool http1_break(struct http1_parser *parser, int status, const char *message) {
    parser->state = HTTP1_STATE_BROKEN;
    parser->broken =
        (struct http1_event){.kind = HTTP1_ERROR, .status = status, .message = message};
    return false;
}

/* Copies up to and with the next LF; false when there is none yet, or the parser broke. */
static bool http1_take_line(struct http1_parser *parser, struct slice *input) {
    if (input->size == 0)
        return false;
    const uint8_t *newline = memchr(input->data, '\n', input->size);
    size_t size = newline ? (size_t)(newline - input->data) + 1 : input->size;
    bool first = parser->lines == 0;
    size_t size_max = first ? HTTP_REQUEST_LINE_MAX : HTTP_HEADERS_BYTES_MAX;
    size_t held = parser->head.size - parser->request_line_size;
    if (held + size > size_max + 2)
        return http1_break(parser, first ? 414 : 431,
                           first ? "the request line is too long" : "the headers are too large");
    buffer_append(&parser->head, slice_first(*input, size));
    *input = slice_after(*input, size);
    if (parser->head.failed)
        return http1_break(parser, 503, "no memory");
    if (!newline)
        return false;
    size_t end = parser->head.size;
    if (end - parser->line_begin < 2 || parser->head.data[end - 2] != '\r')
        return http1_break(parser, 400, "a line ends in LF without CR");
    return true;
}

static bool http1_finish_head(struct http1_parser *parser, struct http1_event *ret_event) {
    struct http1_refusal refusal =
        http1_head_read(parser->head.data, parser->head.size, &parser->request);
    if (refusal.status)
        return http1_break(parser, refusal.status, refusal.message);
    parser->left = parser->request.content_length;
    parser->body_size = 0;
    parser->digits = 0;
    parser->extra_size = 0;
    if (parser->request.chunked)
        parser->state = HTTP1_STATE_CHUNK_SIZE;
    else
        parser->state = parser->left ? HTTP1_STATE_LENGTH : HTTP1_STATE_END;
    ret_event->kind = HTTP1_HEAD;
    return true;
}

/* Each step answers true when `ret_event` is to be told; false to go on, break or ask for more. */
static bool http1_feed_head(struct http1_parser *parser, struct slice *input,
                            struct http1_event *ret_event) {
    if (!http1_take_line(parser, input))
        return false;
    size_t size = parser->head.size - parser->line_begin;
    if (size == 2 && parser->lines == 0) {
        if (parser->skipped_line)
            return http1_break(parser, 400, "empty lines stand before the request");
        parser->skipped_line = true;
        buffer_clear(&parser->head);
        return false;
    }
    if (size == 2)
        return http1_finish_head(parser, ret_event);
    /* The request line and at most HTTP_HEADERS_COUNT_MAX headers. */
    if (++parser->lines > 1 + HTTP_HEADERS_COUNT_MAX)
        return http1_break(parser, 431, "there are too many headers");
    parser->line_begin = parser->head.size;
    if (parser->lines == 1)
        parser->request_line_size = parser->head.size;
    return false;
}

static bool http1_feed_data(struct http1_parser *parser, struct slice *input,
                            struct http1_event *ret_event) {
    size_t size = input->size < parser->left ? input->size : (size_t)parser->left;
    if (size == 0)
        return false;
    ret_event->kind = HTTP1_BODY;
    ret_event->body = slice_first(*input, size);
    *input = slice_after(*input, size);
    parser->left -= size;
    if (parser->left == 0)
        parser->state =
            parser->state == HTTP1_STATE_LENGTH ? HTTP1_STATE_END : HTTP1_STATE_CHUNK_DATA_CR;
    return true;
}

static bool http1_step_chunk_size(struct http1_parser *parser, uint8_t byte) {
    int value = hex_value(byte);
    if (value >= 0 && parser->digits < HTTP1_CHUNK_DIGITS_MAX) {
        parser->left = parser->digits++ ? parser->left << 4 | (unsigned)value : (unsigned)value;
        return true;
    }
    if (parser->digits == 0 || (byte != '\r' && byte != ';'))
        return http1_break(parser, 400, "a chunk size is malformed");
    parser->body_size += parser->left;
    if (parser->body_size > HTTP_BODY_MAX)
        return http1_break(parser, 413, "the body is larger than this service takes");
    parser->state = byte == '\r' ? HTTP1_STATE_CHUNK_SIZE_LF : HTTP1_STATE_CHUNK_EXTENSION;
    return true;
}

/* A byte of a chunk extension or of a trailer's value; CR ends it. */
static bool http1_step_extra(struct http1_parser *parser, uint8_t byte, unsigned size_max,
                             enum http1_state next) {
    if (byte == '\r')
        parser->state = next;
    else if (!http1_is_field(byte))
        return http1_break(parser, 400, "a chunk extension or trailer is malformed");
    else if (++parser->extra_size > size_max)
        return http1_break(parser, 431, "chunk extensions or trailers are too long");
    return true;
}

static bool http1_step_exact(struct http1_parser *parser, uint8_t byte, uint8_t expected,
                             enum http1_state next) {
    if (byte != expected)
        return http1_break(parser, 400, "a chunk does not end where its size says");
    parser->state = next;
    return true;
}

static bool http1_step_trailer(struct http1_parser *parser, uint8_t byte) {
    if (parser->state == HTTP1_STATE_TRAILER && byte == '\r') {
        parser->state = HTTP1_STATE_TRAILER_END_LF;
        return true;
    }
    if (parser->state == HTTP1_STATE_TRAILER_NAME && byte == ':') {
        parser->state = HTTP1_STATE_TRAILER_VALUE;
        return true;
    }
    if (!http1_is_token(byte))
        return http1_break(parser, 400, "a trailer is malformed");
    if (++parser->extra_size > HTTP1_TRAILER_MAX)
        return http1_break(parser, 431, "the trailers are too large");
    parser->state = HTTP1_STATE_TRAILER_NAME;
    return true;
}

/* One byte of what surrounds chunks. */
static bool http1_step(struct http1_parser *parser, uint8_t byte) {
    switch (parser->state) {
    case HTTP1_STATE_CHUNK_SIZE:
        return http1_step_chunk_size(parser, byte);
    case HTTP1_STATE_CHUNK_EXTENSION:
        return http1_step_extra(parser, byte, HTTP1_EXTENSIONS_MAX, HTTP1_STATE_CHUNK_SIZE_LF);
    case HTTP1_STATE_CHUNK_SIZE_LF:
        return http1_step_exact(parser, byte, '\n',
                                parser->left ? HTTP1_STATE_CHUNK_DATA : HTTP1_STATE_TRAILER);
    case HTTP1_STATE_CHUNK_DATA_CR:
        return http1_step_exact(parser, byte, '\r', HTTP1_STATE_CHUNK_DATA_LF);
    case HTTP1_STATE_CHUNK_DATA_LF:
        parser->digits = 0;
        return http1_step_exact(parser, byte, '\n', HTTP1_STATE_CHUNK_SIZE);
    case HTTP1_STATE_TRAILER:
    case HTTP1_STATE_TRAILER_NAME:
        return http1_step_trailer(parser, byte);
    case HTTP1_STATE_TRAILER_VALUE:
        return http1_step_extra(parser, byte, HTTP1_TRAILER_MAX, HTTP1_STATE_TRAILER_LF);
    case HTTP1_STATE_TRAILER_LF:
        return http1_step_exact(parser, byte, '\n', HTTP1_STATE_TRAILER);
    case HTTP1_STATE_TRAILER_END_LF:
        return http1_step_exact(parser, byte, '\n', HTTP1_STATE_END);
    default:
        assert(false);
        return false;
    }
}

static bool http1_feed_end(struct http1_parser *parser, struct http1_event *ret_event) {
    parser->state = HTTP1_STATE_HEAD;
    parser->line_begin = 0;
    parser->lines = 0;
    parser->request_line_size = 0;
    parser->skipped_line = false;
    parser->told = true;
    ret_event->kind = HTTP1_END;
    return true;
}

void http1_feed(struct http1_parser *parser, struct slice *input, struct http1_event *ret_event) {
    assert(parser && input);
    *ret_event = (struct http1_event){.kind = HTTP1_NEED_MORE};
    for (;;) {
        size_t size = input->size;
        switch (parser->state) {
        case HTTP1_STATE_BROKEN:
            *ret_event = parser->broken;
            return;
        case HTTP1_STATE_END:
            http1_feed_end(parser, ret_event);
            return;
        case HTTP1_STATE_HEAD:
            if (parser->told && size > 0) {
                buffer_clear(&parser->head);
                parser->told = false;
            }
            if (http1_feed_head(parser, input, ret_event))
                return;
            break;
        case HTTP1_STATE_LENGTH:
        case HTTP1_STATE_CHUNK_DATA:
            if (http1_feed_data(parser, input, ret_event))
                return;
            break;
        default:
            if (size > 0 && http1_step(parser, input->data[0]))
                *input = slice_after(*input, 1);
            break;
        }
        if (input->size == size && parser->state != HTTP1_STATE_BROKEN)
            return;
    }
}
