/* Feeds bytes to the HTTP/1 parser whole and in pieces: the events must be the same. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was told, as a sum that does not depend on where bodies are cut. */
struct summary {
    uint64_t hash;
    size_t body_size;
};

static void summary_add(struct summary *summary, struct slice bytes) {
    summary->hash = slice_hash(bytes, summary->hash);
}

static void summary_add_number(struct summary *summary, uint64_t number) {
    summary_add(summary, slice_of(&number, sizeof number));
}

static void summary_add_head(struct summary *summary, const struct http1_request *request) {
    summary_add(summary, request->method);
    summary_add(summary, request->path);
    summary_add(summary, request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        summary_add(summary, request->headers[i].name);
        summary_add(summary, request->headers[i].value);
    }
    summary_add_number(summary, request->content_length);
    summary_add_number(summary, (uint64_t)request->keep_alive << 2 | request->chunked << 1 |
                                    request->expects_continue);
}

/* False once the parser is broken. */
static bool summary_feed(struct summary *summary, struct http1_parser *parser, struct slice piece) {
    for (;;) {
        struct http1_event event;
        http1_feed(parser, &piece, &event);
        if (event.kind == HTTP1_NEED_MORE)
            return true;
        if (event.kind == HTTP1_BODY) {
            for (size_t i = 0; i < event.body.size; i++)
                summary->hash = summary->hash * 31 + event.body.data[i];
            summary->body_size += event.body.size;
            continue;
        }
        summary_add_number(summary, event.kind);
        summary_add_number(summary, summary->body_size);
        if (event.kind == HTTP1_HEAD)
            summary_add_head(summary, http1_request(parser));
        if (event.kind == HTTP1_ERROR) {
            summary_add_number(summary, (uint64_t)event.status);
            return false;
        }
    }
}

static struct summary summary_of(struct slice input, size_t step) {
    struct summary summary = {1, 0};
    struct http1_parser *parser = http1_open();
    if (!parser)
        abort();
    for (size_t at = 0; at < input.size; at += step) {
        size_t size = input.size - at < step ? input.size - at : step;
        if (!summary_feed(&summary, parser, slice_of(input.data + at, size)))
            break;
    }
    http1_close(parser);
    return summary;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct slice input = slice_of(data + 1, size - 1);
    struct summary whole = summary_of(input, input.size);
    struct summary bytes = summary_of(input, 1);
    struct summary pieces = summary_of(input, (size_t)data[0] + 2);
    if (whole.hash != bytes.hash || whole.hash != pieces.hash) {
        fprintf(stderr, "the cut of the input changes what is told\n");
        abort();
    }
    return 0;
}
