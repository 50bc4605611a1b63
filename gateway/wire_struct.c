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
};

/* One entry of a Struct. */
struct struct_entry {
    struct slice key, value;
};

static bool entry_read(struct wire_encoder *encoder, struct slice bytes,
                       struct struct_entry *ret_entry) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct struct_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
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

/* Whether the keys rise, as in canonical form: then none is there twice. */
static bool keys_rise(struct wire_encoder *encoder, struct slice bytes, size_t *ret_count) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct struct_entry entry;
    struct slice last = SLICE_EMPTY;
    bool rise = true;
    size_t count = 0;
    while (entry_next(encoder, &reader, &entry)) {
        rise = rise && (count == 0 || slice_compare(last, entry.key) < 0);
        last = entry.key;
        count++;
    }
    *ret_count = count;
    return rise;
}

static bool write_entry(struct wire_encoder *encoder, const struct struct_entry *entry,
                        bool first) {
    if (!first)
        wire_encode_byte(encoder, ',');
    encoder->steps[encoder->step_count - 1].key =
        entry->key.size > 0 ? entry->key : slice_of("", 0);
    if (!wire_encode_string(encoder, entry->key))
        return false;
    wire_encode_byte(encoder, ':');
    return wire_encode_value(encoder, entry->value);
}

/* Keys in any order, perhaps twice: the last counts. */
static bool write_any_order(struct wire_encoder *encoder, struct slice bytes, size_t count) {
    struct wire_reader reader = wire_reader_of(bytes);
    size_t object = json_names_object(&encoder->names), names = encoder->names.count, made = 0;
    struct struct_entry *entries = arena_zalloc(&encoder->arena, count, sizeof *entries);
    bool *dropped = arena_zalloc(&encoder->arena, count, sizeof *dropped), first = true;
    if (!entries || !dropped)
        return wire_encode_memory(encoder);
    while (made < count && entry_next(encoder, &reader, &entries[made]))
        made++;
    for (size_t i = made; i-- > 0;) {
        enum json_names_answer answer = json_names_add(&encoder->names, object, entries[i].key);
        if (answer == JSON_NAMES_NO_MEMORY)
            return wire_encode_memory(encoder);
        dropped[i] = answer == JSON_NAMES_TWICE;
    }
    json_names_keep(&encoder->names, names);
    for (size_t i = 0; i < made; i++) {
        if (dropped[i])
            continue;
        if (!write_entry(encoder, &entries[i], first))
            return false;
        first = false;
    }
    return !encoder->status;
}

bool wire_encode_struct(struct wire_encoder *encoder, struct slice bytes) {
    size_t count, written = 0;
    bool rise = keys_rise(encoder, bytes, &count);
    if (encoder->status)
        return false;
    wire_encode_byte(encoder, '{');
    wire_step_push(encoder);
    if (!rise) {
        if (!write_any_order(encoder, bytes, count))
            return false;
    } else {
        struct wire_reader reader = wire_reader_of(bytes);
        struct struct_entry entry;
        while (entry_next(encoder, &reader, &entry))
            if (!write_entry(encoder, &entry, written++ == 0))
                return false;
    }
    encoder->step_count--;
    wire_encode_byte(encoder, '}');
    return !encoder->status;
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
