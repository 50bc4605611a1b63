/* Members as most are: named in the order in which they came before, of one plain value each, and
 * nothing to say against them. What is anything else is left to others, so nothing here can fail.
 */
#include "gateway/json_decoder.h"

enum { INTEGER_DIGITS = 18 }; /* any such integer is within 64 bits, with a sign as well */

/* Scans the string at `at`; NULL where it is no string, or one that takes more. */
static inline const uint8_t *plain_string(const uint8_t *at, const uint8_t *end,
                                          struct slice *ret_text) {
    if (at == end || *at != '"')
        return NULL;
    const uint8_t *after = json_scan_short(at, end, ret_text);
    if (after)
        return after;
    bool non_ascii = false;
    const uint8_t *stop = json_scan_plain(at + 1, end, &non_ascii);
    if (stop == end || *stop != '"' || non_ascii)
        return NULL;
    *ret_text = slice_of(at + 1, (size_t)(stop - at - 1));
    return stop + 1;
}

/* Scans the integer at `at`, in quotes or not, without sign, point and exponent; else NULL. */
static inline const uint8_t *plain_integer(const uint8_t *at, const uint8_t *end,
                                           uint64_t *ret_value) {
    bool quoted = at < end && *at == '"';
    at += quoted;
    const uint8_t *begin = at;
    uint64_t value = json_scan_digits(&at, end);
    size_t count = (size_t)(at - begin);
    if (count == 0 || count > INTEGER_DIGITS || (count > 1 && *begin == '0') || at == end)
        return NULL;
    if (quoted ? *at != '"' : *at == '.' || *at == 'e' || *at == 'E')
        return NULL;
    *ret_value = value;
    return at + quoted;
}

static inline const uint8_t *plain_bool(const uint8_t *at, const uint8_t *end,
                                        uint64_t *ret_value) {
    if (end - at < 5)
        return NULL;
    bool yes = memcmp(at, "true", 4) == 0;
    if (!yes && memcmp(at, "false", 5) != 0)
        return NULL;
    *ret_value = yes;
    return at + (yes ? 4 : 5);
}

/* Scans the name of an enum's value; NULL where it is none, or a negative one's. */
static inline const uint8_t *plain_enum(const struct schema_field *field, const uint8_t *at,
                                        const uint8_t *end, uint64_t *ret_value) {
    struct slice text;
    const uint8_t *after = plain_string(at, end, &text);
    const struct schema_enum_value *value =
        after ? schema_names_find(&field->enumeration->names, text) : NULL;
    if (!value || value->number < 0)
        return NULL;
    *ret_value = (uint64_t)value->number;
    return after;
}

/* Scans a value that goes on the wire as a varint of itself. */
static inline const uint8_t *plain_varint(const struct schema_field *field, const uint8_t *at,
                                          const uint8_t *end, uint64_t *ret_value) {
    switch (field->type) {
    case SCHEMA_BOOL:
        return plain_bool(at, end, ret_value);
    case SCHEMA_ENUM:
        return plain_enum(field, at, end, ret_value);
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
        return plain_integer(at, end, ret_value);
    case SCHEMA_INT32:
    case SCHEMA_UINT32:
        at = plain_integer(at, end, ret_value);
        return *ret_value <= (field->type == SCHEMA_INT32 ? INT32_MAX : UINT32_MAX) ? at : NULL;
    default:
        return NULL;
    }
}

/* Writes the list of strings at `at`; returns where it ends. NULL, and what is written is to be
 * taken back, where it is anything else. */
static const uint8_t *plain_strings(struct json_decoder *decoder, const struct schema_field *field,
                                    const uint8_t *at, const uint8_t *end) {
    struct slice text = SLICE_EMPTY;
    if (at == end || *at != '[' || decoder->depth == JSON_DEPTH_MAX)
        return NULL;
    at++;
    if (at < end && *at == ']')
        return at + 1;
    while ((at = plain_string(at, end, &text)) && at < end) {
        json_write_string(decoder, field, text);
        if (*at == ']')
            return at + 1;
        if (*at != ',')
            return NULL;
        at = json_scan_space(at + 1, end);
    }
    return NULL;
}

/* Writes a member's value where a comma or the object's end follows it; returns where it ends. NULL
 * where it is anything else: then what is written is to be taken back. */
static inline const uint8_t *plain_member(struct json_decoder *decoder,
                                          const struct schema_field *field, const uint8_t *at,
                                          const uint8_t *end) {
    struct slice text = SLICE_EMPTY;
    uint64_t bits = 0;
    if (field->repeated)
        at = plain_strings(decoder, field, at, end);
    else if (field->type == SCHEMA_STRING)
        at = plain_string(at, end, &text);
    else
        at = plain_varint(field, at, end, &bits);
    if (!at || at == end || (*at != ',' && *at != '}'))
        return NULL;
    if (text.size > 0 || (field->presence && field->type == SCHEMA_STRING && !field->repeated))
        json_write_string(decoder, field, text);
    else if (bits > 0 || (field->presence && !field->repeated))
        json_write_varint(decoder, field, bits);
    return at;
}

bool json_read_plain(struct json_decoder *decoder, const struct schema_message *message,
                     struct json_seen *seen, const void **before) {
    const uint8_t *at = decoder->next, *const end = decoder->end;
    const void *last = *before;
    for (;;) {
        const struct schema_field *field = json_guess(&decoder->guesses, message, last, at, end);
        if (!field || (field->repeated && field->type != SCHEMA_STRING) || field->oneof >= 0 ||
            json_seen_test(seen, field->index))
            break;
        const uint8_t *value = at + field->json_label.size - 1;
        if (value < end && *value == ' ')
            value++;
        size_t size = decoder->out->size;
        const uint8_t *after = plain_member(decoder, field, value, end);
        if (!after) {
            buffer_truncate(decoder->out, size);
            break;
        }
        json_seen_set(seen, field->index);
        if (*after == '}') {
            decoder->next = after;
            return true;
        }
        last = field;
        at = json_scan_space(after + 1, end);
    }
    decoder->next = at;
    *before = last;
    return false;
}
