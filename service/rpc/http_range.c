#include "service/rpc/http_range.h"

#include <assert.h>

static struct slice trim(struct slice text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_after(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Reads digits up to a number that cannot overflow; false when there are none or something else. */
static bool parse_digits(struct slice text, uint64_t *ret_number) {
    uint64_t number = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (number > UINT64_MAX / 10 - 1)
            number = UINT64_MAX / 10 - 1; /* far behind any end */
        else
            number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

struct http_range http_range_parse(struct slice header, uint64_t size) {
    const struct http_range whole = {.kind = HTTP_RANGE_WHOLE, .end = size};
    const struct slice unit = SLICE("bytes=");
    header = trim(header);
    if (!slice_starts_with(header, unit))
        return whole;
    struct slice range = trim(slice_after(header, unit.size));
    const uint8_t *dash = range.size > 0 ? memchr(range.data, '-', range.size) : NULL;
    if (!dash || memchr(range.data, ',', range.size))
        return whole;
    struct slice first = trim(slice_first(range, (size_t)(dash - range.data)));
    struct slice last = trim(slice_after(range, (size_t)(dash - range.data) + 1));
    uint64_t begin, end;
    if (first.size == 0) { /* the last so many bytes */
        uint64_t count;
        if (!parse_digits(last, &count))
            return whole;
        begin = count < size ? size - count : 0;
        end = count > 0 ? size : begin;
    } else {
        if (!parse_digits(first, &begin))
            return whole;
        end = size;
        if (last.size > 0) {
            if (!parse_digits(last, &end) || end < begin)
                return whole;
            end = end >= size ? size : end + 1;
        }
    }
    if (begin >= end || begin >= size)
        return (struct http_range){.kind = HTTP_RANGE_UNSATISFIABLE};
    assert(end <= size);
    return (struct http_range){.kind = HTTP_RANGE_PART, .begin = begin, .end = end};
}

bool http_tags_match(struct slice header, struct slice etag) {
    header = trim(header);
    if (slice_equal(header, SLICE("*")))
        return true;
    while (header.size > 0) {
        const uint8_t *comma = memchr(header.data, ',', header.size);
        size_t size = comma ? (size_t)(comma - header.data) : header.size;
        struct slice tag = trim(slice_first(header, size));
        if (slice_starts_with(tag, SLICE("W/")))
            tag = slice_after(tag, 2);
        if (slice_equal(tag, etag))
            return true;
        header = comma ? slice_after(header, size + 1) : SLICE_EMPTY;
    }
    return false;
}

bool http_if_range_holds(struct slice header, struct slice etag) {
    header = trim(header);
    return header.size == 0 || slice_equal(header, etag);
}
