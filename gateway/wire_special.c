/* google.protobuf's Timestamp, Duration, FieldMask and Any in their JSON forms. */
#include <stdio.h>

#include "gateway/wire_encoder.h"

enum { SECONDS_A_DAY = 86400, NANOS_A_SECOND = 1000000000 };

static const int64_t TIMESTAMP_MIN = -62135596800, TIMESTAMP_MAX = 253402300799,
                     DURATION_MAX = 315576000000;

/* Reads seconds and nanos. */
static bool time_read(struct wire_encoder *encoder, struct slice bytes, int64_t *ret_seconds,
                      int32_t *ret_nanos) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    *ret_seconds = 0;
    *ret_nanos = 0;
    while (wire_encode_next(encoder, &reader, &part)) {
        if (part.number == 1 && part.type == WIRE_VARINT)
            *ret_seconds = (int64_t)part.bits;
        else if (part.number == 2 && part.type == WIRE_VARINT)
            *ret_nanos = (int32_t)part.bits;
    }
    return !encoder->status;
}

/* Writes `count` digits. */
static uint8_t *put_digits(uint8_t *at, uint32_t value, int count) {
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (uint8_t)('0' + value % 10);
    return at + count;
}

/* Writes a point and 3, 6 or 9 digits, or nothing. */
static uint8_t *put_fraction(uint8_t *at, uint32_t nanos) {
    if (nanos == 0)
        return at;
    *at++ = '.';
    if (nanos % 1000000 == 0)
        return put_digits(at, nanos / 1000000, 3);
    return nanos % 1000 == 0 ? put_digits(at, nanos / 1000, 6) : put_digits(at, nanos, 9);
}

/* The date of the Gregorian calendar `days` after 1970-01-01, as "2026-11-22". */
static uint8_t *put_date(uint8_t *at, int64_t days) {
    days += 719468;
    uint32_t era = (uint32_t)(days / 146097), of_era = (uint32_t)(days % 146097);
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9u;
    at = put_digits(at, year + era * 400 + (month <= 2), 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    return put_digits(at, day, 2);
}

bool wire_encode_timestamp(struct wire_encoder *encoder, struct slice bytes) {
    int64_t seconds;
    int32_t nanos;
    if (!time_read(encoder, bytes, &seconds, &nanos))
        return false;
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX || nanos < 0 || nanos >= NANOS_A_SECOND)
        return wire_encode_fail(encoder, "JSON_VALUE",
                                "json: the Timestamp is outside the years 0001 to 9999");
    int64_t days = seconds / SECONDS_A_DAY, rest = seconds % SECONDS_A_DAY;
    if (rest < 0) {
        rest += SECONDS_A_DAY;
        days--;
    }
    uint8_t text[40], *at = text;
    *at++ = '"';
    at = put_date(at, days);
    *at++ = 'T';
    at = put_digits(at, (uint32_t)rest / 3600, 2);
    *at++ = ':';
    at = put_digits(at, (uint32_t)rest / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, (uint32_t)rest % 60, 2);
    at = put_fraction(at, (uint32_t)nanos);
    *at++ = 'Z';
    *at++ = '"';
    buffer_append(encoder->out, slice_of(text, (size_t)(at - text)));
    return true;
}

bool wire_encode_duration(struct wire_encoder *encoder, struct slice bytes) {
    int64_t seconds;
    int32_t nanos;
    if (!time_read(encoder, bytes, &seconds, &nanos))
        return false;
    if (seconds > DURATION_MAX || seconds < -DURATION_MAX || nanos <= -NANOS_A_SECOND ||
        nanos >= NANOS_A_SECOND || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
        return wire_encode_fail(encoder, "JSON_VALUE", "json: the Duration is out of range");
    bool negative = seconds < 0 || nanos < 0;
    uint8_t text[16], *at = put_fraction(text, (uint32_t)(nanos < 0 ? -nanos : nanos));
    wire_encode_byte(encoder, '"');
    wire_encode_integer(encoder, (uint64_t)(seconds < 0 ? -seconds : seconds), negative);
    buffer_append(encoder->out, slice_of(text, (size_t)(at - text)));
    buffer_append(encoder->out, SLICE("s\""));
    return true;
}

/* Writes one path of a mask, snake_case made lowerCamelCase; false where that could not be undone.
 */
static bool write_mask_path(struct wire_encoder *encoder, struct slice path) {
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.data[i];
        if (byte >= 'A' && byte <= 'Z')
            return false;
        if (byte == '_') {
            if (++i == path.size || path.data[i] < 'a' || path.data[i] > 'z')
                return false;
            byte = (uint8_t)(path.data[i] - 'a' + 'A');
        }
        if (byte <= ' ' || byte == '"' || byte == '\\' || byte == ',')
            return false;
        wire_encode_byte(encoder, byte);
    }
    return true;
}

bool wire_encode_field_mask(struct wire_encoder *encoder, struct slice bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    bool some = false;
    wire_encode_byte(encoder, '"');
    while (wire_encode_next(encoder, &reader, &part)) {
        if (part.number != 1 || part.type != WIRE_LEN)
            continue;
        if (some)
            wire_encode_byte(encoder, ',');
        some = true;
        if (!slice_is_utf8(part.bytes) || !write_mask_path(encoder, part.bytes))
            return wire_encode_fail(encoder, "JSON_VALUE",
                                    "json: a path of the FieldMask has no JSON form");
    }
    wire_encode_byte(encoder, '"');
    return !encoder->status;
}

/* Finds the type that an address names. */
static const struct schema_message *any_type(const struct wire_encoder *encoder, struct slice url) {
    size_t at = url.size;
    while (at > 0 && url.data[at - 1] != '/')
        at--;
    return at > 0 && at < url.size ? schema_message_find(encoder->schema, slice_after(url, at))
                                   : NULL;
}

static bool any_write(struct wire_encoder *encoder, struct slice url, struct slice value) {
    const struct schema_message *message = any_type(encoder, url);
    if (!message) {
        char text[SYNC_ERROR_MESSAGE_MAX];
        snprintf(text, sizeof text, "json: the type \"%.*s\" of an Any is not known",
                 (int)(url.size < 160 ? url.size : 160), url.size ? (const char *)url.data : "");
        return wire_encode_fail(encoder, "JSON_VALUE", text);
    }
    buffer_append(encoder->out, SLICE("{\"@type\":"));
    if (!wire_encode_string(encoder, url))
        return false;
    encoder->any_count++;
    if (message->form == SCHEMA_FORM_FIELDS) {
        struct wire_members members = {.some = true};
        if (!wire_encode_members(encoder, message, value, &members))
            return false;
    } else {
        buffer_append(encoder->out, SLICE(",\"value\":"));
        if (!wire_encode_message(encoder, message, value))
            return false;
    }
    encoder->any_count--;
    wire_encode_byte(encoder, '}');
    return true;
}

bool wire_encode_any(struct wire_encoder *encoder, struct slice bytes) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    struct slice url = SLICE_EMPTY, value = SLICE_EMPTY;
    while (wire_encode_next(encoder, &reader, &part)) {
        if (part.number == 1 && part.type == WIRE_LEN)
            url = part.bytes;
        else if (part.number == 2 && part.type == WIRE_LEN)
            value = part.bytes;
    }
    if (encoder->status)
        return false;
    if (url.size == 0 && value.size == 0) {
        buffer_append(encoder->out, SLICE("{}"));
        return true;
    }
    return any_write(encoder, url, value);
}
