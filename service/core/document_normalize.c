/* Making documents canonical. A document that already is, is only walked; any other is parsed by
 * the rules of protobuf and written anew, from its end to its beginning. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "service/core/document_writer.h"

/* Integers beyond this are not exact in every JSON reader (RFC 7493 section 2.2); as a double has
 * no fraction from here on, all larger numbers are integers. */
static const double INTEGER_MAX = 9007199254740991.0;

static inline bool number_is_allowed(double number) {
    return number >= -INTEGER_MAX && number <= INTEGER_MAX; /* false for NaN too */
}

/* Tells whether the text is UTF-8; most of it is ASCII, in words of 8 with the last overlapping. */
static inline bool text_is_valid(struct slice text) {
    const uint64_t tops = 0x8080808080808080;
    uint64_t bits = 0, word;
    if (text.size >= 8) {
        for (size_t i = 0; i + 8 <= text.size; i += 8) {
            memcpy(&word, text.data + i, 8);
            bits |= word;
        }
        memcpy(&word, text.data + text.size - 8, 8);
        bits |= word;
    } else {
        for (size_t i = 0; i < text.size; i++)
            bits |= text.data[i];
    }
    return (bits & tops) == 0 || slice_is_utf8(text);
}

static bool object_is_canonical(struct slice object, int depth);

static bool list_is_canonical(struct slice list, int depth);

/* Tells whether the bytes are one canonical, allowed google.protobuf.Value. `depth` is that of the
 * object or list it lies in. */
static bool value_is_canonical(struct slice bytes, int depth) {
    const uint8_t *at = bytes.data, *end = slice_end(bytes);
    struct slice content;
    if (bytes.size < 2)
        return false;
    switch (*at) {
    case TAG_STRING:
        return document_read_bytes(&at, end, TAG_STRING, &content) && at == end &&
               text_is_valid(content);
    case TAG_NUMBER: {
        if (bytes.size != 9)
            return false;
        double number = document_load_number(at + 1);
        return number_is_allowed(number) && !(number == 0 && signbit(number));
    }
    case TAG_BOOL:
        return bytes.size == 2 && at[1] <= 1;
    case TAG_NULL:
        return bytes.size == 2 && at[1] == 0;
    case TAG_OBJECT:
        return document_read_bytes(&at, end, TAG_OBJECT, &content) && at == end &&
               object_is_canonical(content, depth + 1);
    case TAG_LIST:
        return document_read_bytes(&at, end, TAG_LIST, &content) && at == end &&
               list_is_canonical(content, depth + 1);
    default:
        return false;
    }
}

static bool object_is_canonical(struct slice object, int depth) {
    const uint8_t *at = object.data, *end = slice_end(object);
    struct slice name, last = SLICE_EMPTY, value;
    if (depth > DOCUMENT_DEPTH_MAX)
        return false;
    for (bool first = true; at < end; first = false) {
        if (!document_read_entry(&at, end, &name, &value) || !text_is_valid(name) ||
            (!first && document_name_compare(last, name) >= 0) || !value_is_canonical(value, depth))
            return false;
        last = name;
    }
    return true;
}

static bool list_is_canonical(struct slice list, int depth) {
    const uint8_t *at = list.data, *end = slice_end(list);
    struct slice value;
    if (depth > DOCUMENT_DEPTH_MAX)
        return false;
    while (at < end)
        if (!document_read_bytes(&at, end, TAG_LIST_VALUE, &value) ||
            !value_is_canonical(value, depth))
            return false;
    return true;
}

/* One entry of an object, or one value of a list, on the way. */
struct part {
    struct slice name, value;
};

/* One step of the path to where the walk is: a member, or a place in a list. */
struct step {
    struct slice name;
    size_t index;
    bool in_list;
};

enum { PARTS_FIRST = 32 };

/* The state of one slow walk. `parts` is a stack: each open object or list has its range on it. */
struct normalizer {
    struct document_writer writer;
    struct arena *arena;
    struct sync_error *error;
    struct part *parts;
    size_t part_count, part_capacity;
    struct step path[DOCUMENT_DEPTH_MAX + 1];
    int depth;
};

static void path_format(const struct normalizer *normalizer, char text[SYNC_ERROR_FIELD_MAX]) {
    size_t size = 0;
    text[0] = '\0';
    for (int i = 0; i < normalizer->depth && size < SYNC_ERROR_FIELD_MAX - 1; i++) {
        const struct step *step = &normalizer->path[i];
        size_t room = SYNC_ERROR_FIELD_MAX - size;
        int added = step->in_list ? snprintf(text + size, room, "[%zu]", step->index)
                                  : snprintf(text + size, room, "%s%.*s", size > 0 ? "." : "",
                                             (int)(step->name.size < room ? step->name.size : room),
                                             (const char *)step->name.data);
        size += added > 0 ? (size_t)added : 0;
    }
}

/* Tells the user about the place where the walk is. */
static enum sync_status normalizer_fail(struct normalizer *normalizer, const char *reason,
                                        const char *message) {
    char path[SYNC_ERROR_FIELD_MAX];
    path_format(normalizer, path);
    return sync_error_set(normalizer->error, SYNC_ERR_INVALID, reason, path, "%s", message);
}

static enum sync_status normalizer_malformed(struct normalizer *normalizer) {
    return normalizer_fail(normalizer, "DOCUMENT_MALFORMED",
                           "The bytes are no google.protobuf.Struct.");
}

static enum sync_status normalizer_push(struct normalizer *normalizer, struct part part) {
    if (normalizer->part_count == normalizer->part_capacity) {
        size_t capacity = normalizer->part_capacity * 2;
        struct part *parts = arena_alloc(normalizer->arena, capacity * sizeof *parts);
        if (!parts)
            return SYNC_ERR_NO_MEMORY;
        memcpy(parts, normalizer->parts, normalizer->part_count * sizeof *parts);
        normalizer->parts = parts;
        normalizer->part_capacity = capacity;
    }
    normalizer->parts[normalizer->part_count++] = part;
    return SYNC_OK;
}

/* Reads one map entry: a name (absent: empty) and a value, each once, in any order. */
static bool entry_read(struct slice entry, struct part *ret_part) {
    struct wire_reader reader = wire_reader_of(entry);
    struct part part = {.value = SLICE_EMPTY};
    bool named = false, valued = false;
    while (!wire_at_end(&reader)) {
        struct wire_field field;
        if (!wire_read(&reader, &field) || field.type != WIRE_LEN || field.number > 2)
            return false;
        bool *seen = field.number == 1 ? &named : &valued;
        if (*seen)
            return false;
        *seen = true;
        *(field.number == 1 ? &part.name : &part.value) = field.bytes;
    }
    *ret_part = part;
    return true;
}

static int part_compare(const void *a, const void *b) {
    return document_name_compare(((const struct part *)a)->name, ((const struct part *)b)->name);
}

/* Sorts by name; few parts by insertion, which costs nothing where they are in order. */
static void parts_sort(struct part *parts, size_t count) {
    if (count > PARTS_FIRST) {
        qsort(parts, count, sizeof *parts, part_compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct part part = parts[i];
        size_t to = i;
        for (; to > 0 && part_compare(&part, &parts[to - 1]) < 0; to--)
            parts[to] = parts[to - 1];
        parts[to] = part;
    }
}

/* Reads the next part of an object or a list. In the canonical encoding, which nearly everybody
 * writes, this takes no general reading. */
static inline bool part_read(struct wire_reader *reader, bool is_list, struct part *ret_part) {
    struct wire_field field;
    struct part part = {.name = SLICE_EMPTY};
    if (is_list ? document_read_bytes(&reader->next, reader->end, TAG_LIST_VALUE, &part.value)
                : document_read_entry(&reader->next, reader->end, &part.name, &part.value)) {
        *ret_part = part;
        return true;
    }
    if (!wire_read(reader, &field) || field.number != 1 || field.type != WIRE_LEN)
        return false;
    if (!is_list)
        return entry_read(field.bytes, ret_part);
    *ret_part = (struct part){.value = field.bytes};
    return true;
}

/* Reads the parts of an object or a list onto the stack. */
static enum sync_status normalizer_parse(struct normalizer *normalizer, struct slice content,
                                         bool is_list) {
    struct wire_reader reader = wire_reader_of(content);
    while (!wire_at_end(&reader)) {
        struct part part;
        if (!part_read(&reader, is_list, &part))
            return normalizer_malformed(normalizer);
        if (!text_is_valid(part.name))
            return normalizer_fail(normalizer, "TEXT_NOT_UTF8", "A name is not valid UTF-8.");
        enum sync_status status = normalizer_push(normalizer, part);
        if (status)
            return status;
    }
    return SYNC_OK;
}

static enum sync_status normalizer_value(struct normalizer *normalizer, struct slice bytes);

/* Sorts and checks the parts from `first` on; of lists nothing is to be checked. */
static enum sync_status normalizer_order(struct normalizer *normalizer, size_t first) {
    size_t count = normalizer->part_count - first;
    struct part *parts = normalizer->parts + first;
    parts_sort(parts, count);
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(parts[i - 1].name, parts[i].name)) {
            normalizer->path[normalizer->depth - 1] = (struct step){.name = parts[i].name};
            return normalizer_fail(normalizer, "NAME_DUPLICATE", "The name occurs twice.");
        }
    }
    return SYNC_OK;
}

/* Writes an object's or list's content. */
static enum sync_status normalizer_content(struct normalizer *normalizer, struct slice content,
                                           bool is_list) {
    if (normalizer->depth >= DOCUMENT_DEPTH_MAX)
        return normalizer_fail(normalizer, "DOCUMENT_TOO_DEEP",
                               "Objects and lists are nested more than 64 deep.");
    size_t first = normalizer->part_count;
    enum sync_status status = normalizer_parse(normalizer, content, is_list);
    if (status)
        return status;
    struct step *step = &normalizer->path[normalizer->depth++];
    if (!is_list && (status = normalizer_order(normalizer, first)))
        return status;
    for (size_t i = normalizer->part_count; i-- > first;) {
        struct part part = normalizer->parts[i];
        *step = (struct step){.name = part.name, .index = i - first, .in_list = is_list};
        size_t mark = document_writer_mark(&normalizer->writer);
        if ((status = normalizer_value(normalizer, part.value)))
            return status;
        if (is_list)
            document_writer_wrap(&normalizer->writer, mark, TAG_LIST_VALUE);
        else
            document_writer_member(&normalizer->writer, mark, part.name);
    }
    normalizer->depth--;
    normalizer->part_count = first;
    return SYNC_OK;
}

static enum sync_status normalizer_number(struct normalizer *normalizer, uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    if (!isfinite(number))
        return normalizer_fail(normalizer, "NUMBER_NOT_FINITE", "JSON has no such number.");
    if (!number_is_allowed(number))
        return normalizer_fail(
            normalizer, "NUMBER_OUT_OF_RANGE",
            "Numbers beyond 2^53-1 either way are not exact in JSON; send text.");
    uint8_t bytes[9] = {TAG_NUMBER};
    for (int i = 0; i < 8 && number != 0; i++) /* -0 is 0 in JSON's canonical form */
        bytes[1 + i] = (uint8_t)(bits >> (8 * i));
    document_writer_put(&normalizer->writer, slice_of(bytes, sizeof bytes));
    return SYNC_OK;
}

/* Writes an object or list with its tag. */
static enum sync_status normalizer_nested(struct normalizer *normalizer, struct slice content,
                                          bool is_list) {
    size_t mark = document_writer_mark(&normalizer->writer);
    enum sync_status status = normalizer_content(normalizer, content, is_list);
    if (!status)
        document_writer_wrap(&normalizer->writer, mark, is_list ? TAG_LIST : TAG_OBJECT);
    return status;
}

/* Writes a google.protobuf.Value: exactly one of its kinds. */
static enum sync_status normalizer_value(struct normalizer *normalizer, struct slice bytes) {
    bool is_plain = bytes.size > 0 && bytes.data[0] != TAG_OBJECT && bytes.data[0] != TAG_LIST;
    if (is_plain && value_is_canonical(bytes, 0)) {
        document_writer_put(&normalizer->writer, bytes);
        return SYNC_OK;
    }
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    if (bytes.size == 0)
        return normalizer_fail(normalizer, "VALUE_UNSET", "The value has no kind.");
    if (!wire_read(&reader, &field) || !wire_at_end(&reader))
        return normalizer_malformed(normalizer);
    uint64_t kind = (uint64_t)field.number << 3 | field.type;
    size_t mark = document_writer_mark(&normalizer->writer);
    switch (kind) {
    case TAG_NULL:
    case TAG_BOOL:
        if (kind == TAG_NULL && field.bits != 0)
            return normalizer_malformed(normalizer);
        document_writer_put_byte(&normalizer->writer, field.bits != 0);
        document_writer_put_byte(&normalizer->writer, (uint8_t)kind);
        return SYNC_OK;
    case TAG_NUMBER:
        return normalizer_number(normalizer, field.bits);
    case TAG_STRING:
        if (!text_is_valid(field.bytes))
            return normalizer_fail(normalizer, "TEXT_NOT_UTF8", "The text is not valid UTF-8.");
        document_writer_put(&normalizer->writer, field.bytes);
        document_writer_wrap(&normalizer->writer, mark, TAG_STRING);
        return SYNC_OK;
    case TAG_OBJECT:
    case TAG_LIST:
        return normalizer_nested(normalizer, field.bytes, kind == TAG_LIST);
    default:
        return normalizer_malformed(normalizer);
    }
}

enum sync_status document_normalize(struct slice input, struct arena *arena,
                                    struct sync_error *error, struct slice *ret_document) {
    assert(arena);
    assert(ret_document);
    if (object_is_canonical(input, 1)) {
        *ret_document = input;
        return SYNC_OK;
    }
    struct part parts[PARTS_FIRST];
    struct normalizer normalizer = {
        .arena = arena, .error = error, .parts = parts, .part_capacity = PARTS_FIRST};
    /* What grows is an absent name, 2 of at least 6 bytes, and with it at most the three lengths
     * around it. */
    if (!document_writer_open(&normalizer.writer, arena, 2 * input.size + 16))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = normalizer_content(&normalizer, input, false);
    if (status)
        return status;
    *ret_document = document_writer_since(&normalizer.writer, 0);
    assert(object_is_canonical(*ret_document, 1));
    return SYNC_OK;
}
