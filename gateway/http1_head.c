#include "gateway/http1_head.h"

#include <assert.h>

#include "gateway/http_text.h"

enum { HTTP1_METHOD_MAX = 32 };

#define REFUSE(status_, message_) ((struct http1_refusal){(status_), (message_)})
static const struct http1_refusal HTTP1_FINE = {0, NULL};

bool http1_is_token(uint8_t byte) {
    static const uint8_t tokens[256] = {
        ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
        ['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
        ['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
    };
    return tokens[byte];
}

bool http1_is_field(uint8_t byte) {
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* Cuts the next element off a comma-separated list. */
static bool list_next(struct slice *list, struct slice *ret_element) {
    if (list->size == 0)
        return false;
    const uint8_t *comma = memchr(list->data, ',', list->size);
    size_t size = comma ? (size_t)(comma - list->data) : list->size;
    *ret_element = http_text_trim(slice_first(*list, size));
    *list = slice_after(*list, comma ? size + 1 : size);
    return true;
}

static struct http1_refusal read_version(struct slice version, struct http1_request *request) {
    if (version.size != 8 || memcmp(version.data, "HTTP/", 5) != 0 || version.data[6] != '.' ||
        version.data[5] < '0' || version.data[5] > '9' || version.data[7] < '0' ||
        version.data[7] > '9')
        return REFUSE(400, "the request line does not end in an HTTP version");
    if (version.data[5] != '1' || version.data[7] > '1')
        return REFUSE(505, "this port speaks HTTP/1.0, HTTP/1.1 and HTTP/2");
    request->minor_version = version.data[7] - '0';
    return HTTP1_FINE;
}

/* What an absolute target names: RFC 9112 section 3.2.2. */
static size_t scheme_size(struct slice target) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i]);
        if (target.size >= size && strncasecmp((const char *)target.data, schemes[i], size) == 0)
            return size;
    }
    return 0;
}

/* Cuts scheme and authority off the absolute form; `authority` is empty in origin form. */
static struct slice target_to_origin(struct slice target, struct slice *authority) {
    size_t scheme = scheme_size(target);
    if (!scheme)
        return target;
    struct slice rest = slice_after(target, scheme);
    size_t i = 0;
    while (i < rest.size && rest.data[i] != '/' && rest.data[i] != '?')
        i++;
    *authority = slice_first(rest, i);
    return slice_after(rest, i);
}

static struct http1_refusal read_target(struct slice target, struct http1_request *request) {
    if (target.size == 0)
        return REFUSE(400, "the request line has no target");
    if (!http_text_is_target(target))
        return REFUSE(400, "the request target holds a byte that must be percent-encoded");
    struct slice origin = target_to_origin(target, &request->authority);
    bool absolute = origin.data != target.data;
    if (absolute && request->authority.size == 0)
        return REFUSE(400, "the request target names no host");
    bool asterisk =
        slice_equal(origin, SLICE("*")) && slice_equal(request->method, SLICE("OPTIONS"));
    if (!absolute && origin.data[0] != '/' && !asterisk)
        return REFUSE(400, "the request target does not begin with '/'");
    const uint8_t *mark = origin.size ? memchr(origin.data, '?', origin.size) : NULL;
    size_t size = mark ? (size_t)(mark - origin.data) : origin.size;
    request->path = size ? slice_first(origin, size) : SLICE("/");
    request->query = mark ? slice_after(origin, size + 1) : SLICE_EMPTY;
    return HTTP1_FINE;
}

/* Tells whether neither target nor version are what any HTTP/1 has: another protocol speaks. */
static bool line_is_foreign(struct slice target, struct slice version) {
    static const struct slice name = {(const uint8_t *)"HTTP", 4};
    bool versioned =
        version.size >= name.size &&
        strncasecmp((const char *)version.data, (const char *)name.data, name.size) == 0;
    return !versioned && target.size > 0 && !memchr(target.data, '/', target.size) &&
           target.data[0] != '*';
}

/* Methods are told apart by case (RFC 9110 section 9.1) and all that are registered are in capital
 * letters; whoever writes them otherwise hopes that someone behind us does not care. */
static bool method_is_upper(struct slice method) {
    for (size_t i = 0; i < method.size; i++) {
        uint8_t byte = method.data[i];
        if ((byte < 'A' || byte > 'Z') && byte != '-' && byte != '_')
            return false;
    }
    return true;
}

static struct http1_refusal read_request_line(struct slice line, struct http1_request *request) {
    size_t i = 0;
    while (i < line.size && http1_is_token(line.data[i]))
        i++;
    if (i == 0 || i == line.size || line.data[i] != ' ')
        return REFUSE(400, "the request line does not begin with a method");
    if (i > HTTP1_METHOD_MAX)
        return REFUSE(501, "no such method");
    request->method = slice_first(line, i);
    if (!method_is_upper(request->method))
        return REFUSE(400, "a method is written in capital letters");
    if (slice_equal(request->method, SLICE("CONNECT")))
        return REFUSE(501, "this is not a proxy");
    struct slice rest = slice_after(line, i + 1);
    const uint8_t *space = memchr(rest.data, ' ', rest.size);
    if (!space)
        return REFUSE(400, "the request line has no HTTP version");
    size_t size = (size_t)(space - rest.data);
    struct slice target = slice_first(rest, size), version = slice_after(rest, size + 1);
    if (line_is_foreign(target, version))
        return REFUSE(HTTP1_STATUS_NONE, "this is not HTTP");
    struct http1_refusal refusal = read_version(version, request);
    return refusal.status ? refusal : read_target(target, request);
}

static struct http1_refusal read_header(uint8_t *line, size_t size,
                                        struct transcode_header *ret_header) {
    if (line[0] == ' ' || line[0] == '\t')
        return REFUSE(400, "a header is folded over two lines");
    size_t i = 0;
    for (; i < size && http1_is_token(line[i]); i++)
        line[i] |= (uint8_t)((line[i] >= 'A' && line[i] <= 'Z') << 5);
    if (i == 0 || i == size || line[i] != ':')
        return REFUSE(400, "a header line is not a name, a colon and a value");
    struct slice value = slice_of(line + i + 1, size - i - 1);
    if (!http_text_is_value(value))
        return REFUSE(400, "a header value holds a control character");
    ret_header->name = slice_of(line, i);
    ret_header->value = http_text_trim(value);
    return HTTP1_FINE;
}

static struct http1_refusal read_length(struct slice value, struct http1_request *request) {
    if (value.size == 0)
        return REFUSE(400, "Content-Length is empty");
    uint64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return REFUSE(400, "Content-Length is not a decimal number");
        if (length > UINT64_MAX / 20)
            return REFUSE(413, "the body is larger than this service takes");
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (length > HTTP_BODY_MAX)
        return REFUSE(413, "the body is larger than this service takes");
    request->content_length = length;
    return HTTP1_FINE;
}

static struct http1_refusal read_coding(struct slice value, struct http1_request *request) {
    struct slice element;
    while (list_next(&value, &element)) {
        if (request->chunked)
            return REFUSE(400, "chunked is not the last transfer coding, or named twice");
        if (!http_text_is(element, SLICE("chunked")))
            return REFUSE(501, "the only transfer coding taken is chunked");
        request->chunked = true;
    }
    if (!request->chunked)
        return REFUSE(400, "Transfer-Encoding is empty");
    return HTTP1_FINE;
}

static void read_connection(struct slice value, struct http1_request *request) {
    struct slice element;
    while (list_next(&value, &element)) {
        if (http_text_is(element, SLICE("close")))
            request->keep_alive = false;
        else if (http_text_is(element, SLICE("keep-alive")) && request->minor_version == 0)
            request->keep_alive = true;
    }
}

static bool host_is_valid(struct slice host) {
    for (size_t i = 0; i < host.size; i++) {
        uint8_t byte = host.data[i];
        if (!http1_is_token(byte) && byte != ':' && byte != '[' && byte != ']')
            return false;
    }
    return host.size <= 255;
}

/* How often the headers occur that may occur once. */
struct framing {
    int lengths, codings, hosts;
};

static struct http1_refusal read_framing(const struct transcode_header *header,
                                         struct framing *seen, struct http1_request *request) {
    if (slice_equal(header->name, SLICE("content-length"))) {
        if (seen->lengths++)
            return REFUSE(400, "Content-Length is given twice");
        return read_length(header->value, request);
    }
    if (slice_equal(header->name, SLICE("transfer-encoding"))) {
        seen->codings++;
        return read_coding(header->value, request);
    }
    if (slice_equal(header->name, SLICE("host"))) {
        if (seen->hosts++ || !host_is_valid(header->value))
            return REFUSE(400, "the Host header is malformed or given twice");
        request->host = header->value;
    } else if (slice_equal(header->name, SLICE("connection"))) {
        read_connection(header->value, request);
    } else if (slice_equal(header->name, SLICE("expect"))) {
        if (!http_text_is(header->value, SLICE("100-continue")))
            return REFUSE(417, "the only expectation taken is 100-continue");
        request->expects_continue = request->minor_version > 0;
    }
    return HTTP1_FINE;
}

static struct http1_refusal check_framing(const struct framing *seen,
                                          const struct http1_request *request) {
    if (seen->codings && seen->lengths)
        return REFUSE(400, "Content-Length and Transfer-Encoding are both given");
    if (seen->codings && request->minor_version == 0)
        return REFUSE(400, "HTTP/1.0 has no transfer codings");
    if (!seen->hosts && request->minor_version > 0)
        return REFUSE(400, "the Host header is missing");
    if (request->authority.size && !host_is_valid(request->authority))
        return REFUSE(400, "the request target names a malformed host");
    if (request->authority.size && seen->hosts && !http_text_is(request->host, request->authority))
        return REFUSE(400, "the request target and the Host header name different hosts");
    return HTTP1_FINE;
}

struct http1_refusal http1_head_read(uint8_t *head, size_t size, struct http1_request *request) {
    assert(size >= 4 && memcmp(head + size - 2, "\r\n", 2) == 0);
    struct transcode_header *headers = request->headers;
    *request = (struct http1_request){.headers = headers};
    uint8_t *end = head + size - 2;
    uint8_t *newline = memchr(head, '\n', size);
    struct http1_refusal refusal =
        read_request_line(slice_of(head, (size_t)(newline - head) - 1), request);
    request->keep_alive = request->minor_version > 0;
    struct framing seen = {0, 0, 0};
    for (uint8_t *line = newline + 1; line < end && !refusal.status; line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        assert(newline && request->header_count < HTTP_HEADERS_COUNT_MAX);
        struct transcode_header *header = &headers[request->header_count++];
        refusal = read_header(line, (size_t)(newline - line) - 1, header);
        if (!refusal.status)
            refusal = read_framing(header, &seen, request);
    }
    return refusal.status ? refusal : check_framing(&seen, request);
}
