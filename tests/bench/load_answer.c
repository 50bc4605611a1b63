#include "tests/bench/load_answer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_TEXT_MAX = 128 };

void load_answer_init(struct load_answer *answer) {
    *answer = (struct load_answer){.state = ANSWER_STATUS_LINE};
    buffer_init(&answer->body, LOAD_ANSWER_BODY_MAX);
    buffer_init(&answer->line, LOAD_ANSWER_LINE_MAX);
}

void load_answer_done(struct load_answer *answer) {
    buffer_done(&answer->body);
    buffer_done(&answer->line);
}

void load_answer_next(struct load_answer *answer) {
    answer->state = ANSWER_STATUS_LINE;
    answer->status = 0;
    answer->left = 0;
    answer->chunked = false;
    buffer_clear(&answer->body);
    buffer_clear(&answer->line);
}

static enum load_answer_state body_state(const struct load_answer *answer) {
    if (answer->chunked)
        return ANSWER_CHUNK_SIZE;
    return answer->left > 0 ? ANSWER_BODY : ANSWER_DONE;
}

static enum load_answer_state read_status_line(struct load_answer *answer, const char *line) {
    if (sscanf(line, "HTTP/1.1 %3u", &answer->status) != 1)
        return ANSWER_BROKEN;
    return ANSWER_HEADERS;
}

static enum load_answer_state read_header(struct load_answer *answer, const char *line) {
    if (*line == '\0')
        return body_state(answer);
    if (strncasecmp(line, "content-length:", 15) == 0)
        answer->left = strtoull(line + 15, NULL, 10);
    else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
        answer->chunked = strcasestr(line + 18, "chunked") != NULL;
    return ANSWER_HEADERS;
}

static enum load_answer_state read_chunk_size(struct load_answer *answer, const char *line) {
    char *end;
    answer->left = strtoull(line, &end, 16);
    if (end == line || answer->left > LOAD_ANSWER_BODY_MAX)
        return ANSWER_BROKEN;
    return answer->left > 0 ? ANSWER_CHUNK_DATA : ANSWER_TRAILER;
}

static enum load_answer_state read_line(struct load_answer *answer, const char *line) {
    switch (answer->state) {
    case ANSWER_STATUS_LINE:
        return read_status_line(answer, line);
    case ANSWER_HEADERS:
        return read_header(answer, line);
    case ANSWER_CHUNK_SIZE:
        return read_chunk_size(answer, line);
    case ANSWER_CHUNK_END:
        return *line == '\0' ? ANSWER_CHUNK_SIZE : ANSWER_BROKEN;
    default:
        return *line == '\0' ? ANSWER_DONE : ANSWER_TRAILER;
    }
}

/* Takes bytes up to the line's end; what a long line says behind its beginning does not matter. */
static size_t feed_line(struct load_answer *answer, struct slice bytes) {
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    size_t taken = end ? (size_t)(end - bytes.data) + 1 : bytes.size;
    buffer_append(&answer->line, slice_first(bytes, taken));
    if (answer->line.failed)
        answer->state = ANSWER_BROKEN;
    if (!end || answer->line.failed)
        return taken;
    char text[LINE_TEXT_MAX];
    size_t size = answer->line.size - 1;
    if (size > 0 && answer->line.data[size - 1] == '\r')
        size--;
    size = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, answer->line.data, size);
    text[size] = '\0';
    buffer_clear(&answer->line);
    answer->state = read_line(answer, text);
    return taken;
}

static size_t feed_data(struct load_answer *answer, struct slice bytes) {
    size_t taken = bytes.size < answer->left ? bytes.size : answer->left;
    buffer_append(&answer->body, slice_first(bytes, taken));
    answer->left -= taken;
    if (answer->body.failed)
        answer->state = ANSWER_BROKEN;
    else if (answer->left == 0)
        answer->state = answer->state == ANSWER_BODY ? ANSWER_DONE : ANSWER_CHUNK_END;
    return taken;
}

size_t load_answer_feed(struct load_answer *answer, struct slice bytes) {
    size_t taken = 0;
    while (taken < bytes.size && answer->state < ANSWER_DONE) {
        struct slice rest = slice_after(bytes, taken);
        bool data = answer->state == ANSWER_BODY || answer->state == ANSWER_CHUNK_DATA;
        taken += data ? feed_data(answer, rest) : feed_line(answer, rest);
    }
    return taken;
}

size_t load_answer_count(const struct load_answer *answer, struct slice text) {
    assert(text.size > 0);
    size_t count = 0;
    struct slice rest = buffer_slice(&answer->body);
    while (rest.size >= text.size) {
        const uint8_t *found = memmem(rest.data, rest.size, text.data, text.size);
        if (!found)
            break;
        count++;
        rest = slice_after(rest, (size_t)(found - rest.data) + text.size);
    }
    return count;
}
