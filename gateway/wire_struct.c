/* google.protobuf.Struct, Value and ListValue as the JSON they stand for. */
#include <math.h>

#include "gateway/wire_encoder.h"

enum {
    VALUE_NULL = 1,
    VALUE_NUMBER = 2,
    VALUE_STRING = 3,
    VALUE_BOOL = 4,
    VALUE_STRUCT = 5,
    VALUE_LIST = 6,
    ENTRIES_FEW = 32,
};

/* The tags of an entry and its parts, and of a Value's kinds. */
enum {
    TAG_ENTRY = 1 << 3 | WIRE_LEN,
    TAG_KEY = 1 << 3 | WIRE_LEN,
    TAG_VALUE = 2 << 3 | WIRE_LEN,
    TAG_NULL = VALUE_NULL << 3 | WIRE_VARINT,
    TAG_NUMBER = VALUE_NUMBER << 3 | WIRE_I64,
    TAG_STRING = VALUE_STRING << 3 | WIRE_LEN,
    TAG_BOOL = VALUE_BOOL << 3 | WIRE_VARINT,
    TAG_STRUCT = VALUE_STRUCT << 3 | WIRE_LEN,
    TAG_LIST = VALUE_LIST << 3 | WIRE_LEN,
};

/* One entry of a Struct. */
struct struct_entry {
    struct slice key, value;
};

static bool entry_read(struct wire_encoder *encoder, struct slice bytes,
                       struct struct_entry *ret_entry) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct struct_entry entry = {slice_of("", 0), SLICE_EMPTY};
    bool given = false;
    while (wire_encode_next(encoder, &reader, &part)) {
        if (part.type != WIRE_LEN)
            continue;
        if (part.number == 1) {
            entry.key = part.bytes;
        } else if (part.number == 2) {
            if (given && !wire_join(encoder, entry.value, part.bytes, &part.bytes))
                return false;
            entry.value = part.bytes;
            given = true;
        }
    }
    *ret_entry = entry;
    return !encoder->status;
}

/* Takes a field of that tag, of one byte, and a length below 2^14; false for anything else. */
static inline bool part_take(const uint8_t **at, const uint8_t *end, uint8_t tag,
                             struct slice *ret_bytes) {
    const uint8_t *from = *at;
    if (end - from < 2 || from[0] != tag)
        return false;
    size_t size = from[1], head = 2;
    if (size >= 128) {
        if (end - from < 3 || from[2] >= 128)
            return false;
        size = (size & 127) | (size_t)from[2] << 7;
        head = 3;
    }
    if ((size_t)(end - from) < head + size)
        return false;
    *ret_bytes = slice_of(from + head, size);
    *at = from + head + size;
    return true;
}

/* Takes the next entry where it is as most are: a key, a value and nothing else. */
static inline bool entry_take(struct wire_reader *reader, struct struct_entry *ret_entry) {
    struct slice entry;
    const uint8_t *next = reader->next;
    if (!part_take(&next, reader->end, TAG_ENTRY, &entry))
        return false;
    const uint8_t *at = entry.data, *end = entry.data + entry.size;
    if (!part_take(&at, end, TAG_KEY, &ret_entry->key) ||
        !part_take(&at, end, TAG_VALUE, &ret_entry->value) || at != end)
        return false;
    reader->next = next;
    return true;
}

/* Reads the next entry; false at the end. */
static inline bool entry_next(struct wire_encoder *encoder, struct wire_reader *reader,
                              struct struct_entry *ret_entry) {
    struct wire_field part;
    if (entry_take(reader, ret_entry))
        return true;
    while (wire_encode_next(encoder, reader, &part))
        if (part.number == 1 && part.type == WIRE_LEN)
            return entry_read(encoder, part.bytes, ret_entry);
    return false;
}

/* Reads all entries: into `few` where they fit, else into the arena. */
static bool entries_read(struct wire_encoder *encoder, struct slice bytes, struct struct_entry *few,
                         struct struct_entry **ret_entries, size_t *ret_count) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct struct_entry more, *entries = few;
    size_t count = 0;
    while (count < ENTRIES_FEW && entry_next(encoder, &reader, &few[count]))
        count++;
    if (count == ENTRIES_FEW && !wire_at_end(&reader)) {
        while (entry_next(encoder, &reader, &more))
            count++;
        entries = arena_zalloc(&encoder->arena, count, sizeof *entries);
        if (!entries)
            return wire_encode_memory(encoder);
        reader = wire_reader_of(bytes);
        for (size_t i = 0; i < count && entry_next(encoder, &reader, &entries[i]); i++)
            ;
    }
    *ret_entries = entries;
    *ret_count = count;
    return !encoder->status;
}

/* Whether the keys rise, as in canonical form: then none is there twice. */
static inline bool keys_rise(const struct struct_entry *entries, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct slice last = entries[i - 1].key, key = entries[i].key;
        if (last.size > 0 && key.size > 0 && last.data[0] != key.data[0]) {
            if (last.data[0] > key.data[0])
                return false;
        } else if (slice_compare(last, key) >= 0) {
            return false;
        }
    }
    return true;
}

/* Of a key that is there twice the last entry counts; the others' keys become NULL. */
static bool keys_settle(struct wire_encoder *encoder, struct struct_entry *entries, size_t count) {
    size_t object = json_names_object(&encoder->names), names = encoder->names.count;
    for (size_t i = count; i-- > 0;) {
        enum json_names_answer answer = json_names_add(&encoder->names, object, entries[i].key);
        if (answer == JSON_NAMES_NO_MEMORY)
            return wire_encode_memory(encoder);
        if (answer == JSON_NAMES_TWICE)
            entries[i].key.data = NULL;
    }
    json_names_keep(&encoder->names, names);
    return true;
}

/* A comma, unless it is the first, the key and a colon. */
static inline bool write_key(struct wire_encoder *encoder, struct slice key, bool comma) {
    struct buffer *out = encoder->out;
    if (key.size + 4 + WIRE_COPY_WIDE <= out->capacity - out->size && !out->failed) {
        uint8_t *to = out->data + out->size;
        *to = ',';
        to += comma;
        if (wire_copy_plain(encoder, to + 1, key)) {
            to[0] = to[key.size + 1] = '"';
            to[key.size + 2] = ':';
            buffer_advance(out, key.size + 3 + comma);
            return true;
        }
    }
    if (comma)
        wire_encode_byte(encoder, ',');
    if (!wire_encode_any_string(encoder, key))
        return false;
    wire_encode_byte(encoder, ':');
    return true;
}

bool wire_encode_struct(struct wire_encoder *encoder, struct slice bytes) {
    struct struct_entry few[ENTRIES_FEW], *entries = few;
    size_t count = 0;
    bool some = false;
    if (!entries_read(encoder, bytes, few, &entries, &count) ||
        (!keys_rise(entries, count) && !keys_settle(encoder, entries, count)))
        return false;
    wire_encode_byte(encoder, '{');
    struct json_step *step = wire_step_push(encoder);
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].key.data)
            continue;
        step->key = entries[i].key;
        if (!write_key(encoder, entries[i].key, some) ||
            !wire_encode_value(encoder, entries[i].value))
            return false;
        some = true;
    }
    encoder->step_count--;
    wire_encode_byte(encoder, '}');
    return true;
}

bool wire_encode_list(struct wire_encoder *encoder, struct slice bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct json_step *step = wire_step_push(encoder);
    size_t index = 0;
    wire_encode_byte(encoder, '[');
    while (wire_encode_next(encoder, &reader, &part)) {
        if (part.number != 1 || part.type != WIRE_LEN)
            continue;
        if (index > 0)
            wire_encode_byte(encoder, ',');
        step->index = index++;
        if (!wire_encode_value(encoder, part.bytes))
            return false;
    }
    encoder->step_count--;
    wire_encode_byte(encoder, ']');
    return !encoder->status;
}

static bool write_number(struct wire_encoder *encoder, uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value))
        return wire_encode_fail(encoder, "JSON_VALUE", "json: a Value cannot be NaN or infinite");
    wire_encode_double(encoder, value);
    return true;
}

static bool write_nested(struct wire_encoder *encoder, const struct wire_field *kind) {
    if (!wire_encode_enter(encoder))
        return false;
    bool well = kind->number == VALUE_STRUCT ? wire_encode_struct(encoder, kind->bytes)
                                             : wire_encode_list(encoder, kind->bytes);
    wire_encode_leave(encoder);
    return well;
}

static bool kind_fits(const struct wire_field *part) {
    static const uint8_t TYPES[] = {0,           WIRE_VARINT, WIRE_I64, WIRE_LEN,
                                    WIRE_VARINT, WIRE_LEN,    WIRE_LEN};
    return part->number >= VALUE_NULL && part->number <= VALUE_LIST &&
           part->type == TYPES[part->number];
}

/* Reads a Value's kind: the last one, or of objects and lists all together. */
static bool kind_read(struct wire_encoder *encoder, struct slice bytes,
                      struct wire_field *ret_kind) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part, kind = {.number = 0};
    while (wire_encode_next(encoder, &reader, &part)) {
        if (!kind_fits(&part))
            continue;
        if (part.number == kind.number && part.number >= VALUE_STRUCT &&
            !wire_join(encoder, kind.bytes, part.bytes, &part.bytes))
            return false;
        kind = part;
    }
    *ret_kind = kind;
    return !encoder->status;
}

/* Takes a Value's kind where it is all that there is; false for anything else. */
static inline bool kind_take(struct slice bytes, struct wire_field *ret_kind) {
    const uint8_t *at = bytes.data, *end = slice_end(bytes);
    if (bytes.size < 2)
        return false;
    uint8_t tag = at[0];
    ret_kind->number = tag >> 3;
    switch (tag) {
    case TAG_STRING:
    case TAG_STRUCT:
    case TAG_LIST:
        return part_take(&at, end, tag, &ret_kind->bytes) && at == end;
    case TAG_NULL:
    case TAG_BOOL:
        ret_kind->bits = at[1];
        return bytes.size == 2 && at[1] < 128;
    case TAG_NUMBER:
        if (bytes.size != 1 + sizeof ret_kind->bits)
            return false;
        memcpy(&ret_kind->bits, at + 1, sizeof ret_kind->bits);
        return true;
    default:
        return false;
    }
}

bool wire_encode_value(struct wire_encoder *encoder, struct slice bytes) {
    struct wire_field kind = {.number = 0};
    if (!kind_take(bytes, &kind) && !kind_read(encoder, bytes, &kind))
        return false;
    switch (kind.number) {
    case VALUE_NULL:
        buffer_append(encoder->out, SLICE("null"));
        return true;
    case VALUE_NUMBER:
        return write_number(encoder, kind.bits);
    case VALUE_STRING:
        return wire_encode_string(encoder, kind.bytes);
    case VALUE_BOOL:
        buffer_append(encoder->out, kind.bits ? SLICE("true") : SLICE("false"));
        return true;
    case VALUE_STRUCT:
    case VALUE_LIST:
        return write_nested(encoder, &kind);
    default:
        return wire_encode_fail(encoder, "JSON_VALUE", "json: a Value has no kind set");
    }
}
