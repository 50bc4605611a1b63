/* Times, durations and field masks from their texts. */
#include "gateway/json_decoder.h"

enum { NANOS_DIGITS = 9, SECONDS_A_DAY = 86400, LEAP_NANOS = 999999999 };

static const int64_t TIMESTAMP_MIN = -62135596800, TIMESTAMP_MAX = 253402300799,
                     DURATION_MAX = 315576000000;

/* A text being read; `next` moves only past what matched. */
struct time_reader {
    const uint8_t *next, *end;
};

static bool take(struct time_reader *reader, char byte) {
    if (reader->next == reader->end || *reader->next != (uint8_t)byte)
        return false;
    reader->next++;
    return true;
}

/* Exactly `count` digits. */
static bool take_digits(struct time_reader *reader, int count, int *ret_value) {
    int value = 0;
    if (reader->end - reader->next < count)
        return false;
    for (int i = 0; i < count; i++) {
        uint8_t digit = (uint8_t)(reader->next[i] - '0');
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    reader->next += count;
    *ret_value = value;
    return true;
}

/* Digits of a fraction, as nanoseconds; more than nine are refused, or cut off. */
static bool take_fraction(struct time_reader *reader, bool cut, int32_t *ret_nanos) {
    int32_t nanos = 0;
    int count = 0;
    for (; reader->next < reader->end && (uint8_t)(*reader->next - '0') <= 9; reader->next++) {
        if (count < NANOS_DIGITS)
            nanos = nanos * 10 + (*reader->next - '0');
        count++;
    }
    if (count == 0 || (count > NANOS_DIGITS && !cut))
        return false;
    for (; count < NANOS_DIGITS; count++)
        nanos *= 10;
    *ret_nanos = nanos;
    return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of_date(int year, int month, int day) {
    year -= month <= 2;
    int era = year / 400, of_era = year - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool take_date(struct time_reader *reader, int64_t *ret_days) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_digits(reader, 4, &year) || !take(reader, '-') || !take_digits(reader, 2, &month) ||
        !take(reader, '-') || !take_digits(reader, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > DAYS[month - 1] + (month == 2 && leap))
        return false;
    *ret_days = days_of_date(year, month, day);
    return true;
}

static bool take_clock(struct time_reader *reader, bool iso8601, int64_t *ret_seconds,
                       int32_t *ret_nanos) {
    int hour, minute, second = 0;
    if (!take_digits(reader, 2, &hour) || !take(reader, ':') || !take_digits(reader, 2, &minute))
        return false;
    bool seconds = take(reader, ':');
    if (seconds ? !take_digits(reader, 2, &second) : !iso8601)
        return false;
    if (seconds && take(reader, '.') && !take_fraction(reader, iso8601, ret_nanos))
        return false;
    if (hour > 23 || minute > 59 || second > (iso8601 ? 60 : 59))
        return false;
    if (second == 60) {
        second = 59;
        *ret_nanos = LEAP_NANOS;
    }
    *ret_seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* "Z" or an offset, in seconds east. */
static bool take_zone(struct time_reader *reader, bool iso8601, int64_t *ret_offset) {
    int hour, minute = 0;
    *ret_offset = 0;
    if (take(reader, 'Z') || (iso8601 && (reader->next == reader->end || take(reader, 'z'))))
        return true;
    bool west = take(reader, '-');
    if ((!west && !take(reader, '+')) || !take_digits(reader, 2, &hour))
        return false;
    bool colon = take(reader, ':');
    if (colon || !iso8601 || reader->next != reader->end)
        if ((!colon && !iso8601) || !take_digits(reader, 2, &minute))
            return false;
    if (hour > 23 || minute > 59)
        return false;
    *ret_offset = (hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

static bool timestamp_parse(struct slice text, bool iso8601, int64_t *ret_seconds,
                            int32_t *ret_nanos) {
    struct time_reader reader = {text.data, slice_end(text)};
    int64_t days, clock = 0, offset = 0;
    *ret_nanos = 0;
    if (!take_date(&reader, &days))
        return false;
    if (reader.next != reader.end || !iso8601) {
        if (!take(&reader, 'T') && !(iso8601 && (take(&reader, 't') || take(&reader, ' '))))
            return false;
        if (!take_clock(&reader, iso8601, &clock, ret_nanos) ||
            !take_zone(&reader, iso8601, &offset))
            return false;
    }
    *ret_seconds = days * SECONDS_A_DAY + clock - offset;
    return reader.next == reader.end && *ret_seconds >= TIMESTAMP_MIN &&
           *ret_seconds <= TIMESTAMP_MAX;
}

static void write_time(struct json_decoder *decoder, int64_t seconds, int32_t nanos) {
    if (seconds != 0)
        wire_write_uint(decoder->out, 1, (uint64_t)seconds);
    if (nanos != 0)
        wire_write_uint(decoder->out, 2, (uint64_t)(int64_t)nanos);
}

bool json_text_timestamp(struct json_decoder *decoder, const struct schema_field *field,
                         struct slice text) {
    int64_t seconds;
    int32_t nanos;
    bool iso8601 = field && field->iso8601;
    if (!timestamp_parse(text, iso8601, &seconds, &nanos))
        return json_fail(decoder, "INVALID_VALUE", "expected %s such as \"2026-03-29T08:15:00Z\"",
                         iso8601 ? "an ISO 8601 time" : "an RFC 3339 time");
    write_time(decoder, seconds, nanos);
    return true;
}

bool json_text_duration(struct json_decoder *decoder, struct slice text) {
    struct time_reader reader = {text.data, slice_end(text)};
    bool negative = take(&reader, '-');
    int64_t seconds = 0;
    int32_t nanos = 0;
    const uint8_t *digits = reader.next;
    for (; reader.next < reader.end && (uint8_t)(*reader.next - '0') <= 9; reader.next++)
        if (seconds <= DURATION_MAX)
            seconds = seconds * 10 + (*reader.next - '0');
    bool well = reader.next > digits;
    if (well && take(&reader, '.'))
        well = take_fraction(&reader, false, &nanos);
    well = well && take(&reader, 's') && reader.next == reader.end;
    if (!well)
        return json_fail(decoder, "INVALID_VALUE", "expected seconds such as \"1.5s\"");
    if (seconds > DURATION_MAX)
        return json_fail(decoder, "INVALID_VALUE", "expected from -%lld to %lld seconds",
                         (long long)DURATION_MAX, (long long)DURATION_MAX);
    write_time(decoder, negative ? -seconds : seconds, negative ? -nanos : nanos);
    return true;
}

/* Writes one path of a mask, lowerCamelCase made snake_case. */
static bool write_mask_path(struct json_decoder *decoder, struct slice path) {
    bool well = path.size > 0;
    buffer_append_byte(decoder->out, 1 << 3 | WIRE_LEN);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.data[i];
        well = well && byte != '_' && byte > ' ';
        if (byte >= 'A' && byte <= 'Z') {
            buffer_append_byte(decoder->out, '_');
            byte = (uint8_t)(byte - 'A' + 'a');
        }
        buffer_append_byte(decoder->out, byte);
    }
    wire_frame_close(&decoder->frames, decoder->out, frame);
    return well;
}

bool json_text_field_mask(struct json_decoder *decoder, struct slice text) {
    size_t begin = 0;
    for (size_t i = 0; text.size > 0 && i <= text.size; i++) {
        if (i < text.size && text.data[i] != ',')
            continue;
        if (!write_mask_path(decoder, slice_of(text.data + begin, i - begin)))
            return json_fail(decoder, "INVALID_VALUE",
                             "expected field paths in lowerCamelCase with commas between");
        begin = i + 1;
    }
    return true;
}
