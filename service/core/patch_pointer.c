#include "service/core/patch_pointer.h"

#include <assert.h>
#include <stdio.h>

#include "service/core/document_writer.h"

enum { INTEGER_TEXT_MAX = 24, TEXT_LEAD_MAX = 1 + WIRE_VARINT_MAX };

/* The text of a segment: a name, or an element's id. */
static struct slice segment_text(struct slice segment, char number[INTEGER_TEXT_MAX]) {
    struct value id;
    if (!path_segment_is_element(segment))
        return segment;
    bool is_id = value_read(path_element_key(segment), &id);
    assert(is_id);
    (void)is_id;
    if (id.kind == VALUE_STRING)
        return id.text;
    snprintf(number, INTEGER_TEXT_MAX, "%lld", (long long)id.number);
    return slice_text(number);
}

struct slice patch_pointer_format(struct record_path path, struct arena *arena) {
    char number[INTEGER_TEXT_MAX];
    size_t room = 0;
    for (size_t i = 0; i < path.size; i++)
        room += 1 + 2 * path.segments[i].size + INTEGER_TEXT_MAX;
    uint8_t *begin = arena_alloc(arena, room), *at = begin;
    if (!begin)
        return (struct slice){0};
    for (size_t i = 0; i < path.size && !path_segment_is_order(path.segments[i]); i++) {
        struct slice text = segment_text(path.segments[i], number);
        *at++ = '/';
        for (size_t j = 0; j < text.size; j++) {
            bool is_escaped = text.data[j] == '~' || text.data[j] == '/';
            if (is_escaped)
                *at++ = '~';
            *at++ = !is_escaped ? text.data[j] : text.data[j] == '~' ? '0' : '1';
        }
    }
    return slice_of(begin, (size_t)(at - begin));
}

/* Copies a segment without its escapes; false when one is none. */
static bool segment_unescape(struct slice text, uint8_t *out, struct slice *ret_segment) {
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '~') {
            if (++i == text.size || (text.data[i] != '0' && text.data[i] != '1'))
                return false;
            byte = text.data[i] == '0' ? '~' : '/';
        }
        out[size++] = byte;
    }
    *ret_segment = slice_of(out, size);
    return true;
}

enum sync_status patch_pointer_parse(struct slice pointer, struct arena *arena,
                                     struct record_path *ret_path) {
    size_t count = 0;
    for (size_t i = 0; i < pointer.size; i++)
        count += pointer.data[i] == '/';
    if (pointer.size == 0 || pointer.data[0] != '/' || count > DELTA_PATH_MAX)
        return SYNC_ERR_INVALID;
    struct slice *segments = arena_alloc(arena, count * sizeof *segments);
    uint8_t *text = arena_alloc(arena, pointer.size);
    if (!segments || !text)
        return SYNC_ERR_NO_MEMORY;
    struct slice rest = slice_after(pointer, 1);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
        size_t size = slash ? (size_t)(slash - rest.data) : rest.size;
        if (!segment_unescape(slice_first(rest, size), text, &segments[i]))
            return SYNC_ERR_INVALID;
        text += segments[i].size;
        rest = slice_after(rest, size + (slash != NULL));
    }
    *ret_path = (struct record_path){segments, count};
    return SYNC_OK;
}

/* Reads a decimal integer that a document can hold. */
static bool integer_parse(struct slice text, double *ret_number) {
    int64_t number = 0;
    bool is_negative = text.size > 0 && text.data[0] == '-';
    struct slice digits = slice_after(text, is_negative);
    if (digits.size == 0 || digits.size > 16 || (digits.data[0] == '0' && text.size > 1))
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        number = number * 10 + (digits.data[i] - '0');
    }
    *ret_number = (double)(is_negative ? -number : number);
    return true;
}

static struct slice number_key(struct slice segment, struct arena *arena) {
    double number;
    uint64_t bits;
    uint8_t *key = arena_alloc(arena, 1 + sizeof number);
    if (!key || !integer_parse(segment, &number))
        return SLICE_EMPTY;
    memcpy(&bits, &number, sizeof bits);
    key[0] = TAG_NUMBER;
    for (int i = 0; i < 8; i++)
        key[1 + i] = (uint8_t)(bits >> (8 * i));
    return slice_of(key, 1 + sizeof number);
}

struct slice patch_pointer_key(struct slice segment, uint8_t id_tag, struct arena *arena) {
    struct document_writer writer;
    if (id_tag == TAG_NUMBER)
        return number_key(segment, arena);
    if (!document_writer_open(&writer, arena, segment.size + TEXT_LEAD_MAX))
        return SLICE_EMPTY;
    document_writer_put(&writer, segment);
    document_writer_wrap(&writer, 0, TAG_STRING);
    return document_writer_since(&writer, 0);
}
