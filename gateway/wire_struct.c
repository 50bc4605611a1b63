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

/* Reads the next entry; false at the end. */
static bool entry_next(struct wire_encoder *encoder, struct wire_reader *reader,
                       struct struct_entry *ret_entry) {
    struct wire_field part;
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
static bool keys_rise(const struct struct_entry *entries, size_t count) {
    for (size_t i = 1; i < count; i++)
        if (slice_compare(entries[i - 1].key, entries[i].key) >= 0)
            return false;
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
        if (some)
            wire_encode_byte(encoder, ',');
        some = true;
        step->key = entries[i].key;
        if (!wire_encode_string(encoder, entries[i].key))
            return false;
        wire_encode_byte(encoder, ':');
        if (!wire_encode_value(encoder, entries[i].value))
            return false;
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

bool wire_encode_value(struct wire_encoder *encoder, struct slice bytes) {
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
    if (encoder->status)
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
