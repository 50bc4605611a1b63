/* Numbers, booleans, enums, strings and bytes, from JSON tokens and from texts. */
#include <math.h>
#include <stdio.h>

#include "base/json_text.h"
#include "gateway/json_decoder.h"

static inline uint64_t double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint64_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool type_is_signed(enum schema_type type) {
    return type == SCHEMA_INT32 || type == SCHEMA_INT64 || type == SCHEMA_SINT32 ||
           type == SCHEMA_SINT64 || type == SCHEMA_SFIXED32 || type == SCHEMA_SFIXED64 ||
           type == SCHEMA_ENUM;
}

static inline bool type_is_64(enum schema_type type) {
    return type == SCHEMA_INT64 || type == SCHEMA_UINT64 || type == SCHEMA_SINT64 ||
           type == SCHEMA_FIXED64 || type == SCHEMA_SFIXED64;
}

static bool fail_integer(struct json_decoder *decoder, enum schema_type type) {
    const char *range = type_is_signed(type) ? type_is_64(type)
                                                   ? "-9223372036854775808 to 9223372036854775807"
                                                   : "-2147483648 to 2147483647"
                        : type_is_64(type)   ? "0 to 18446744073709551615"
                                             : "0 to 4294967295";
    return json_fail(decoder, "INVALID_VALUE", "expected an integer from %s", range);
}

static bool integer_bits(struct json_decoder *decoder, enum schema_type type,
                         const struct json_number *number, uint64_t *ret_bits) {
    uint64_t size;
    if (!json_number_integer(number, &size))
        return fail_integer(decoder, type);
    bool is_signed = type_is_signed(type);
    uint64_t max = type_is_64(type) ? (is_signed ? (uint64_t)INT64_MAX : UINT64_MAX)
                                    : (is_signed ? (uint64_t)INT32_MAX : UINT32_MAX);
    if (number->negative) {
        if (size > (is_signed ? max + 1 : 0))
            return fail_integer(decoder, type);
        size = 0 - size;
    } else if (size > max) {
        return fail_integer(decoder, type);
    }
    *ret_bits = size;
    return true;
}

static bool number_bits(struct json_decoder *decoder, const struct schema_field *field,
                        const struct json_number *number, uint64_t *ret_bits) {
    if (field->type == SCHEMA_DOUBLE) {
        double value;
        if (!json_number_double(number, &value))
            return json_fail(decoder, "INVALID_VALUE", "the number is beyond a double's range");
        *ret_bits = double_bits(value);
        return true;
    }
    if (field->type == SCHEMA_FLOAT) {
        float value;
        if (!json_number_float(number, &value))
            return json_fail(decoder, "INVALID_VALUE", "the number is beyond a float's range");
        *ret_bits = float_bits(value);
        return true;
    }
    return integer_bits(decoder, field->type, number, ret_bits);
}

/* "NaN" and the infinities. */
static bool special_bits(enum schema_type type, struct slice text, uint64_t *ret_bits) {
    double value;
    if (slice_equal(text, SLICE("NaN")))
        value = (double)NAN;
    else if (slice_equal(text, SLICE("Infinity")))
        value = (double)INFINITY;
    else if (slice_equal(text, SLICE("-Infinity")))
        value = (double)-INFINITY;
    else
        return false;
    *ret_bits = type == SCHEMA_DOUBLE ? double_bits(value) : float_bits((float)value);
    return true;
}

/* Appends the names an enum field is known by: "create", "update", "delete". */
static void enum_names_print(const struct schema_field *field, char *text, size_t size) {
    const struct schema_enum *enumeration = field->enumeration;
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < enumeration->value_count; i++) {
        const struct schema_enum_value *value = &enumeration->values[i];
        struct slice unspecified = SLICE("UNSPECIFIED"), name = value->name;
        if (value->number == 0 && name.size >= unspecified.size &&
            slice_equal(slice_after(name, name.size - unspecified.size), unspecified))
            continue;
        name = schema_enum_text(field, enumeration, value);
        if (used + name.size + 8 >= size) {
            snprintf(text + used, size - used, ", …");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s\"%.*s\"", used > 0 ? ", " : "",
                                 (int)name.size, name.data);
    }
}

static bool fail_enum(struct json_decoder *decoder, const struct schema_field *field) {
    char names[SYNC_ERROR_MESSAGE_MAX - 32];
    names[0] = 0;
    if (!json_faults_full(decoder))
        enum_names_print(field, names, sizeof names);
    return json_fail(decoder, "INVALID_VALUE", "expected one of %s", names);
}

bool json_enum_bits(struct json_decoder *decoder, const struct schema_field *field,
                    struct slice text, uint64_t *ret_bits) {
    const struct schema_enum_value *value = schema_names_find(&field->enumeration->names, text);
    if (!value && decoder->options->ignore_unknown) {
        decoder->dropped = true;
        return true;
    }
    if (!value)
        return fail_enum(decoder, field);
    *ret_bits = (uint64_t)(int64_t)value->number;
    return true;
}

/* A number in an enum field: any in proto3, a declared one in proto2. */
static bool enum_number_check(struct json_decoder *decoder, const struct schema_field *field,
                              uint64_t bits) {
    if (!field->enumeration->closed || schema_enum_at(field->enumeration, (int32_t)bits))
        return true;
    decoder->dropped = decoder->options->ignore_unknown;
    return decoder->dropped || fail_enum(decoder, field);
}

/* A number in quotes; RFC 8259's grammar, nothing around it. */
static bool quoted_bits(struct json_decoder *decoder, const struct schema_field *field,
                        struct slice text, uint64_t *ret_bits) {
    struct json_number number;
    const uint8_t *end = slice_end(text);
    bool real = field->type == SCHEMA_DOUBLE || field->type == SCHEMA_FLOAT;
    if (real && special_bits(field->type, text, ret_bits))
        return true;
    if (text.size == 0 || json_scan_number(text.data, end, &number) != end)
        return real ? json_fail(decoder, "INVALID_VALUE", "expected a number")
                    : fail_integer(decoder, field->type);
    return number_bits(decoder, field, &number, ret_bits);
}

bool json_text_bits(struct json_decoder *decoder, const struct schema_field *field,
                    struct slice text, uint64_t *ret_bits) {
    if (field->type == SCHEMA_BOOL) {
        bool yes = slice_equal(text, SLICE("true"));
        if (!yes && !slice_equal(text, SLICE("false")))
            return json_fail(decoder, "INVALID_VALUE", "expected true or false");
        *ret_bits = yes;
        return true;
    }
    if (field->type != SCHEMA_ENUM)
        return quoted_bits(decoder, field, text, ret_bits);
    bool number = text.size > 0 && (text.data[0] == '-' || (uint8_t)(text.data[0] - '0') < 10);
    if (!number || schema_names_find(&field->enumeration->names, text))
        return json_enum_bits(decoder, field, text, ret_bits);
    return quoted_bits(decoder, field, text, ret_bits) &&
           enum_number_check(decoder, field, *ret_bits);
}

static bool read_bool(struct json_decoder *decoder, uint64_t *ret_bits) {
    uint8_t first = json_peek(decoder);
    if (first != 't' && first != 'f')
        return json_fail_kind(decoder, "true or false");
    *ret_bits = first == 't';
    return first == 't' ? json_read_word(decoder, "true", 4) : json_read_word(decoder, "false", 5);
}

static const char *bits_kind(const struct schema_field *field) {
    if (field->type == SCHEMA_ENUM)
        return "the name of an enum value";
    return field->type == SCHEMA_DOUBLE || field->type == SCHEMA_FLOAT ? "a number" : "an integer";
}

bool json_read_bits(struct json_decoder *decoder, const struct schema_field *field,
                    uint64_t *ret_bits) {
    struct slice text;
    struct json_number number;
    if (field->type == SCHEMA_BOOL)
        return read_bool(decoder, ret_bits);
    uint8_t first = json_peek(decoder);
    if (first == '"') {
        if (!json_read_string(decoder, &text))
            return false;
        return field->type == SCHEMA_ENUM ? json_enum_bits(decoder, field, text, ret_bits)
                                          : quoted_bits(decoder, field, text, ret_bits);
    }
    if (first == 'n' && field->type == SCHEMA_ENUM && field->enumeration->null_value) {
        *ret_bits = 0;
        return json_read_word(decoder, "null", 4);
    }
    if (first != '-' && (uint8_t)(first - '0') >= 10)
        return json_fail_kind(decoder, bits_kind(field));
    const uint8_t *after = json_scan_number(decoder->next, decoder->end, &number);
    if (!after)
        return json_break(decoder, "expected a number");
    decoder->next = after;
    return number_bits(decoder, field, &number, ret_bits) &&
           (field->type != SCHEMA_ENUM || enum_number_check(decoder, field, *ret_bits));
}

void json_write_bits(struct json_decoder *decoder, enum schema_type type, uint64_t bits) {
    uint8_t *room = json_room(decoder, WIRE_VARINT_MAX);
    if (!room)
        return;
    size_t size;
    switch (type) {
    case SCHEMA_DOUBLE:
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
        for (size = 0; size < 8; size++)
            room[size] = (uint8_t)(bits >> (8 * size));
        break;
    case SCHEMA_FLOAT:
    case SCHEMA_FIXED32:
    case SCHEMA_SFIXED32:
        for (size = 0; size < 4; size++)
            room[size] = (uint8_t)(bits >> (8 * size));
        break;
    case SCHEMA_SINT32:
    case SCHEMA_SINT64:
        size = wire_put_varint(room, wire_zigzag((int64_t)bits));
        break;
    default:
        size = wire_put_varint(room, bits);
        break;
    }
    buffer_advance(decoder->out, size);
}

void json_write_text(struct json_decoder *decoder, const uint8_t *tag, size_t tag_size,
                     struct slice text) {
    uint8_t *room = json_room_wide(decoder, tag_size + WIRE_VARINT_MAX + text.size);
    bool wide = room != NULL;
    if (!wide)
        room = json_room(decoder, tag_size + WIRE_VARINT_MAX + text.size);
    if (!room)
        return;
    uint8_t *at = room;
    for (size_t i = 0; i < tag_size; i++)
        *at++ = tag[i];
    if (text.size < 128)
        *at++ = (uint8_t)text.size;
    else
        at += wire_put_varint(at, text.size);
    if (wide)
        json_copy_wide(decoder, at, text);
    else if (text.size > 0)
        memcpy(at, text.data, text.size);
    buffer_advance(decoder->out, (size_t)(at - room) + text.size);
}
