/* Messages as JSON objects. Fields mostly come in order, each once: then they are written as they
 * are read. */
#include <assert.h>

#include "base/json_text.h"
#include "gateway/wire_encoder.h"

bool wire_entry_read(struct wire_encoder *encoder, const struct schema_message *entry,
                     struct slice bytes, struct wire_field *ret_key, struct wire_field *ret_value) {
    const struct schema_field *key = schema_field_at(entry, 1), *value = schema_field_at(entry, 2);
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    bool given = false;
    *ret_key = *ret_value = (struct wire_field){.bytes = SLICE_EMPTY};
    while (wire_encode_next(encoder, &reader, &field)) {
        if (field.number == 1 && wire_type_fits(key, field.type)) {
            *ret_key = field;
        } else if (field.number == 2 && wire_type_fits(value, field.type)) {
            if (given && value->message &&
                !wire_join(encoder, ret_value->bytes, field.bytes, &field.bytes))
                return false;
            *ret_value = field;
            given = true;
        }
    }
    return !encoder->status;
}

bool wire_key_note(struct wire_encoder *encoder, size_t object, const struct schema_field *field,
                   const struct wire_field *key, bool *ret_twice) {
    struct slice name = key->bytes;
    if (field->type != SCHEMA_STRING) {
        uint64_t bits = key->bits;
        if (field->type == SCHEMA_BOOL)
            bits = bits != 0;
        else if (field->type == SCHEMA_INT32 || field->type == SCHEMA_UINT32 ||
                 field->type == SCHEMA_SINT32)
            bits &= UINT32_MAX;
        if (!arena_copy(&encoder->arena, slice_of(&bits, sizeof bits), &name))
            return wire_encode_memory(encoder);
    }
    enum json_names_answer answer = json_names_add(&encoder->names, object, name);
    *ret_twice = answer == JSON_NAMES_TWICE;
    return answer != JSON_NAMES_NO_MEMORY || wire_encode_memory(encoder);
}

/* Whether any of the packed values is declared, or they are malformed, which the writing tells. */
static bool packed_declared(const struct schema_enum *enumeration, struct slice packed) {
    struct wire_reader reader = wire_reader_of(packed);
    uint64_t bits;
    while (!wire_at_end(&reader))
        if (!wire_read_varint(&reader, &bits) || schema_enum_at(enumeration, (int32_t)bits))
            return true;
    return false;
}

bool wire_enum_declared(const struct schema_field *field, const struct wire_field *part) {
    struct wire_field value = *part, inner;
    if (field->map) {
        struct wire_reader reader = wire_reader_of(part->bytes);
        field = schema_field_at(field->message, 2);
        value = (struct wire_field){.type = WIRE_VARINT};
        while (!wire_at_end(&reader) && wire_read(&reader, &inner))
            if (inner.number == 2 && inner.type == WIRE_VARINT)
                value = inner;
        if (value.number == 0)
            return true; /* 0, which a map's enum always declares */
    }
    if (value.type == WIRE_LEN)
        return packed_declared(field->enumeration, value.bytes);
    return schema_enum_at(field->enumeration, (int32_t)value.bits);
}

const struct schema_field *wire_set_item(const struct schema_message *message,
                                         struct wire_field *part) {
    enum { ITEM = 1, TYPE = 2, MESSAGE = 3 };
    struct wire_reader reader = wire_reader_of(part->bytes);
    struct wire_field inner, content = {.number = 0};
    if (part->number != ITEM || part->type != WIRE_SGROUP)
        return NULL;
    uint64_t number = 0;
    while (!wire_at_end(&reader) && wire_read(&reader, &inner)) {
        if (inner.number == TYPE && inner.type == WIRE_VARINT)
            number = inner.bits;
        else if (inner.number == MESSAGE && inner.type == WIRE_LEN)
            content = inner;
    }
    const struct schema_field *field =
        number <= UINT32_MAX && content.number ? schema_field_at(message, (uint32_t)number) : NULL;
    if (!field)
        return NULL;
    content.number = field->number;
    *part = content;
    return field;
}

void wire_members_close(struct wire_encoder *encoder, struct wire_members *members) {
    if (members->open) {
        wire_encode_byte(encoder, members->open->map ? '}' : ']');
        encoder->step_count -= !members->open->map;
    }
    members->open = NULL;
}

/* A comma, if need be, and the name. */
static inline void write_label(struct wire_encoder *encoder, const struct schema_field *field,
                               struct wire_members *members) {
    if (!members->bare) {
        struct buffer *out = encoder->out;
        struct slice label = slice_after(field->json_label, !members->some);
        if (!buffer_has_room(out, label.size + SCHEMA_LABEL_WIDE))
            return;
        wire_label_copy(out->data + out->size, label);
        buffer_advance(out, label.size);
    }
    members->some = true;
}

/* A member that is a string, at once; false, and nothing is written, where it is not all ASCII that
 * stands for itself, or there is no room yet. */
static inline bool write_plain_string(struct wire_encoder *encoder,
                                      const struct schema_field *field, struct slice text,
                                      struct wire_members *members) {
    struct buffer *out = encoder->out;
    struct slice label = slice_after(field->json_label, !members->some);
    size_t size = label.size + SCHEMA_LABEL_WIDE + text.size + WIRE_COPY_WIDE + 2;
    if (size > out->capacity - out->size || out->failed || members->bare)
        return false;
    uint8_t *at = wire_label_copy(out->data + out->size, label);
    if (!wire_copy_plain(encoder, at + 1, text))
        return false;
    at[0] = at[text.size + 1] = '"';
    buffer_advance(out, label.size + text.size + 2);
    members->some = true;
    return true;
}

/* The default value of a field that is no message. */
static void write_default(struct wire_encoder *encoder, const struct schema_field *field) {
    struct wire_field zero = {.bytes = SLICE_EMPTY};
    if (field->map)
        buffer_append(encoder->out, SLICE("{}"));
    else if (field->repeated)
        buffer_append(encoder->out, SLICE("[]"));
    else
        wire_encode_scalar(encoder, field, &zero);
}

void wire_members_defaults(struct wire_encoder *encoder, const struct schema_message *message,
                           size_t until, struct wire_members *members) {
    for (; members->cursor < until; members->cursor++) {
        const struct schema_field *field = &message->fields[members->cursor];
        if (!field->always || (field->presence && !field->repeated))
            continue;
        write_label(encoder, field, members);
        write_default(encoder, field);
    }
}

static bool write_single(struct wire_encoder *encoder, const struct schema_field *field,
                         const struct wire_field *value) {
    return field->message ? wire_encode_message(encoder, field->message, value->bytes)
                          : wire_encode_scalar(encoder, field, value);
}

static bool write_entry(struct wire_encoder *encoder, const struct schema_field *field,
                        struct slice bytes) {
    const struct schema_message *entry = field->message;
    struct wire_field key, value;
    if (!wire_entry_read(encoder, entry, bytes, &key, &value) ||
        !wire_encode_key(encoder, schema_field_at(entry, 1), &key))
        return false;
    struct json_step *step = wire_step_push(encoder);
    step->key = key.bytes.size > 0 ? key.bytes : SLICE("?");
    if (!write_single(encoder, schema_field_at(entry, 2), &value))
        return false;
    encoder->step_count--;
    return true;
}

/* The elements of a packed field, with commas between. */
static bool write_packed(struct wire_encoder *encoder, const struct schema_field *field,
                         struct slice bytes, bool comma) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field element = {.bytes = SLICE_EMPTY};
    bool eight = field->type == SCHEMA_DOUBLE || field->type == SCHEMA_FIXED64 ||
                 field->type == SCHEMA_SFIXED64;
    bool four = field->type == SCHEMA_FLOAT || field->type == SCHEMA_FIXED32 ||
                field->type == SCHEMA_SFIXED32;
    size_t size = eight ? 8 : 4;
    while (!wire_at_end(&reader)) {
        if (eight || four) {
            if ((size_t)(reader.end - reader.next) < size)
                return wire_encode_malformed(encoder);
            element.bits = 0;
            memcpy(&element.bits, reader.next, size);
            reader.next += size;
        } else if (!wire_read_varint(&reader, &element.bits)) {
            return wire_encode_malformed(encoder);
        }
        if (field->closed_enum && !schema_enum_at(field->enumeration, (int32_t)element.bits))
            continue;
        if (comma)
            wire_encode_byte(encoder, ',');
        comma = true;
        if (!wire_encode_scalar(encoder, field, &element))
            return false;
    }
    return true;
}

static bool write_element(struct wire_encoder *encoder, const struct schema_field *field,
                          const struct wire_field *value, struct wire_members *members) {
    bool packed = value->type == WIRE_LEN && schema_type_packs(field->type);
    bool first = members->open != field;
    if (packed && value->bytes.size == 0)
        return true;
    if (first) {
        write_label(encoder, field, members);
        wire_encode_byte(encoder, field->map ? '{' : '[');
        members->open = field;
        if (!field->map)
            wire_step_push(encoder)->index = 0;
    } else if (!field->map) {
        encoder->steps[encoder->step_count - 1].index++;
    }
    if (packed)
        return write_packed(encoder, field, value->bytes, !first);
    if (!first)
        wire_encode_byte(encoder, ',');
    return field->map ? write_entry(encoder, field, value->bytes)
                      : write_single(encoder, field, value);
}

/* Whether a field of implicit presence has its default value, which is then not written. */
static bool is_default(const struct schema_field *field, const struct wire_field *value) {
    if (field->presence || field->always)
        return false;
    return field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES ? value->bytes.size == 0
                                                                       : value->bits == 0;
}

bool wire_encode_member(struct wire_encoder *encoder, const struct schema_message *message,
                        const struct schema_field *field, const struct wire_field *value,
                        struct wire_members *members) {
    assert(field);
    if (members->no_headers && field->response_header.size > 0)
        return true;
    if (members->open && members->open != field) {
        wire_members_close(encoder, members);
        encoder->step_count--;
    }
    if (message->has_always && !members->bare && members->open != field)
        wire_members_defaults(encoder, message, field->index, members);
    if (field->repeated) {
        bool begun = members->open == field;
        if (!begun)
            wire_step_push(encoder)->field = field;
        if (!write_element(encoder, field, value, members))
            return false;
        if (members->open == field)
            members->cursor = field->index + 1;
        else
            encoder->step_count--;
        return true;
    }
    if (is_default(field, value))
        return true;
    members->cursor = field->index + 1;
    if (field->type == SCHEMA_STRING && write_plain_string(encoder, field, value->bytes, members))
        return true;
    write_label(encoder, field, members);
    wire_step_push(encoder)->field = field;
    if (!write_single(encoder, field, value))
        return false;
    encoder->step_count--;
    return true;
}

/* Whether the fields that follow the plain ones up to `last` come in order, singular ones once, at
 * most one of a oneof, no key twice. */
static bool is_ordered(struct wire_encoder *encoder, const struct schema_message *message,
                       struct wire_reader reader, uint32_t last, bool *ret_ordered) {
    struct wire_field part, key, value;
    uint64_t oneofs = 0;
    size_t object = 0, names = encoder->names.count;
    bool ordered = true, twice = false;
    while (ordered && wire_encode_next(encoder, &reader, &part)) {
        const struct schema_field *field = wire_encode_field(message, &part);
        if (!field)
            continue;
        uint32_t number = field->number;
        ordered = number > last || (number == last && field->repeated);
        if (field->oneof >= 0) {
            uint64_t bit = (uint64_t)1 << (field->oneof % 64);
            ordered = ordered && !(oneofs & bit) && field->oneof < 64;
            oneofs |= bit;
        }
        if (field->map && ordered) {
            if (number != last)
                object = json_names_object(&encoder->names);
            if (!wire_entry_read(encoder, field->message, part.bytes, &key, &value) ||
                !wire_key_note(encoder, object, schema_field_at(field->message, 1), &key, &twice))
                return false;
            ordered = !twice;
        }
        last = number;
    }
    json_names_keep(&encoder->names, names);
    *ret_ordered = ordered;
    return !encoder->status;
}

/* Writes the next member, of any kind, if it is known. */
static bool write_next(struct wire_encoder *encoder, const struct schema_message *message,
                       struct wire_reader *reader, struct wire_members *members) {
    struct wire_field part;
    if (!wire_encode_next(encoder, reader, &part))
        return false;
    const struct schema_field *field = wire_encode_field(message, &part);
    return !field || wire_encode_member(encoder, message, field, &part, members);
}

bool wire_encode_members(struct wire_encoder *encoder, const struct schema_message *message,
                         struct slice bytes, struct wire_members *members) {
    const struct wire_members before = *members;
    size_t size = encoder->out->size, step_count = encoder->step_count;
    struct wire_reader reader = wire_reader_of(bytes);
    bool is_known = false, ordered = true; /* known: whether they come in order */
    while (ordered) {
        uint32_t last = 0;
        if (!members->bare)
            last = wire_encode_plain(encoder, message, &reader, members);
        if (wire_at_end(&reader))
            break;
        /* What is malformed is so as a whole, not inside the list that is open. */
        size_t inner = encoder->step_count;
        encoder->step_count = step_count;
        if (!is_known && !is_ordered(encoder, message, reader, last, &ordered))
            return false;
        encoder->step_count = inner;
        is_known = true;
        if (ordered && !write_next(encoder, message, &reader, members))
            return false;
    }
    if (!ordered) {
        buffer_truncate(encoder->out, size);
        *members = before;
        encoder->step_count = step_count;
        if (!wire_encode_unordered(encoder, message, bytes, members))
            return false;
    }
    if (members->open) {
        wire_members_close(encoder, members);
        encoder->step_count--;
    }
    if (message->has_always && !members->bare)
        wire_members_defaults(encoder, message, message->field_count, members);
    return !encoder->status;
}

/* A wrapper's value, bare. */
static bool write_wrapper(struct wire_encoder *encoder, const struct schema_message *message,
                          struct slice bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part, last = {.bytes = SLICE_EMPTY};
    while (wire_encode_next(encoder, &reader, &part))
        if (part.number == 1 && wire_type_fits(&message->fields[0], part.type))
            last = part;
    return !encoder->status && wire_encode_scalar(encoder, &message->fields[0], &last);
}

bool wire_encode_message(struct wire_encoder *encoder, const struct schema_message *message,
                         struct slice bytes) {
    struct wire_members members = {0};
    bool well;
    if (!wire_encode_enter(encoder))
        return false;
    switch (message->form) {
    case SCHEMA_FORM_STRUCT:
        well = wire_encode_struct(encoder, bytes);
        break;
    case SCHEMA_FORM_VALUE:
        well = wire_encode_value(encoder, bytes);
        break;
    case SCHEMA_FORM_LIST:
        well = wire_encode_list(encoder, bytes);
        break;
    case SCHEMA_FORM_ANY:
        well = wire_encode_any(encoder, bytes);
        break;
    case SCHEMA_FORM_TIMESTAMP:
        well = wire_encode_timestamp(encoder, bytes);
        break;
    case SCHEMA_FORM_DURATION:
        well = wire_encode_duration(encoder, bytes);
        break;
    case SCHEMA_FORM_FIELD_MASK:
        well = wire_encode_field_mask(encoder, bytes);
        break;
    case SCHEMA_FORM_WRAPPER:
        well = write_wrapper(encoder, message, bytes);
        break;
    case SCHEMA_FORM_FIELDS:
    default:
        wire_encode_byte(encoder, '{');
        well = wire_encode_members(encoder, message, bytes, &members);
        wire_encode_byte(encoder, '}');
        break;
    }
    wire_encode_leave(encoder);
    return well;
}
