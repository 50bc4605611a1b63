#include "base/clock.h"

#include <assert.h>

enum { SECOND_US = 1000000, DAY_SECONDS = 86400 };

/* The first microsecond of the year 1 and of the year 10000. */
static const int64_t TIME_MIN_US = -62135596800 * SECOND_US, TIME_END_US = 253402300800 * SECOND_US;

/* A day of the proleptic Gregorian calendar. */
struct date {
    unsigned year, month, day;
};

/* The days from 1970-01-01 to `date`. Years are counted from March, so that the leap day is the
 * last of its year, in eras of 400 years, which all have 146,097 days. */
static int64_t date_to_days(struct date date) {
    int64_t year = (int64_t)date.year - (date.month <= 2);
    int64_t era = year / 400, year_of_era = year % 400;
    int64_t month = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct date date_of_days(int64_t days) {
    days += 719468; /* from 0000-03-01; not negative from the year 1 on */
    int64_t era = days / 146097, day_of_era = days % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    return (struct date){
        .year = (unsigned)(year_of_era + era * 400 + (month >= 10)),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
    };
}

static unsigned month_days(unsigned year, unsigned month) {
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
}

/* Writes `count` digits with leading zeros, then `after`; returns where the text goes on. */
static char *digits_put(char *at, unsigned value, int count, char after) {
    for (int i = count; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    at[count] = after;
    return at + count + 1;
}

size_t time_format(int64_t time_us, char text[TIME_TEXT_MAX]) {
    assert(time_us >= TIME_MIN_US);
    assert(time_us < TIME_END_US);
    int64_t since_us = time_us - TIME_MIN_US; /* not negative, so that division rounds down */
    unsigned fraction = (unsigned)(since_us % SECOND_US);
    unsigned second = (unsigned)(since_us / SECOND_US % DAY_SECONDS);
    int64_t days = since_us / SECOND_US / DAY_SECONDS + TIME_MIN_US / SECOND_US / DAY_SECONDS;
    struct date date = date_of_days(days);
    char *at = digits_put(text, date.year, 4, '-');
    at = digits_put(at, date.month, 2, '-');
    at = digits_put(at, date.day, 2, 'T');
    at = digits_put(at, second / 3600, 2, ':');
    at = digits_put(at, second / 60 % 60, 2, ':');
    at = digits_put(at, second % 60, 2, fraction > 0 ? '.' : 'Z');
    if (fraction % 1000 > 0)
        at = digits_put(at, fraction, 6, 'Z');
    else if (fraction > 0)
        at = digits_put(at, fraction / 1000, 3, 'Z');
    *at = '\0';
    return (size_t)(at - text);
}

/* Text that is read from the front. */
struct time_reader {
    const uint8_t *at, *end;
};

static bool read_byte(struct time_reader *reader, char byte) {
    if (reader->at == reader->end || *reader->at != (uint8_t)byte)
        return false;
    reader->at++;
    return true;
}

/* Reads exactly `count` digits to a number within [min, max]. */
static bool read_digits(struct time_reader *reader, int count, unsigned min, unsigned max,
                        unsigned *ret_value) {
    if (reader->end - reader->at < count)
        return false;
    unsigned value = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)reader->at[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    reader->at += count;
    *ret_value = value;
    return value >= min && value <= max;
}

static bool read_date(struct time_reader *reader, int64_t *ret_days) {
    struct date date;
    if (!read_digits(reader, 4, 1, 9999, &date.year) || !read_byte(reader, '-') ||
        !read_digits(reader, 2, 1, 12, &date.month) || !read_byte(reader, '-') ||
        !read_digits(reader, 2, 1, month_days(date.year, date.month), &date.day))
        return false;
    *ret_days = date_to_days(date);
    return true;
}

/* Reads 1 to 9 digits after the point, cut to microseconds. */
static bool read_fraction(struct time_reader *reader, unsigned *ret_us) {
    unsigned us = 0, weight = SECOND_US / 10;
    int count = 0;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; count++) {
        us += (unsigned)(*reader->at++ - '0') * weight;
        weight /= 10;
    }
    *ret_us = us;
    return count >= 1 && count <= 9;
}

/* Reads hh:mm[:ss[.fraction]] to microseconds since midnight. */
static bool read_time_of_day(struct time_reader *reader, int64_t *ret_us) {
    unsigned hour, minute, second = 0, us = 0;
    if (!read_digits(reader, 2, 0, 23, &hour) || !read_byte(reader, ':') ||
        !read_digits(reader, 2, 0, 59, &minute))
        return false;
    if (read_byte(reader, ':')) {
        if (!read_digits(reader, 2, 0, 60, &second))
            return false;
        if (read_byte(reader, '.') && !read_fraction(reader, &us))
            return false;
    }
    if (second == 60) {
        second = 59;
        us = SECOND_US - 1;
    }
    *ret_us = (int64_t)(hour * 3600 + minute * 60 + second) * SECOND_US + us;
    return true;
}

/* Reads a zone, or nothing, to its seconds east of UTC. */
static bool read_zone(struct time_reader *reader, int64_t *ret_seconds) {
    *ret_seconds = 0;
    if (reader->at == reader->end || read_byte(reader, 'Z') || read_byte(reader, 'z'))
        return true;
    bool west = read_byte(reader, '-');
    unsigned hours, minutes = 0;
    if ((!west && !read_byte(reader, '+')) || !read_digits(reader, 2, 0, 23, &hours))
        return false;
    bool colon = read_byte(reader, ':');
    if ((colon || reader->at < reader->end) && !read_digits(reader, 2, 0, 59, &minutes))
        return false;
    int64_t seconds = hours * 3600 + minutes * 60;
    *ret_seconds = west ? -seconds : seconds;
    return true;
}

bool time_parse(struct slice text, int64_t *ret_time_us) {
    struct time_reader reader = {text.data, slice_end(text)};
    int64_t days, day_us = 0, zone_seconds = 0;
    if (!read_date(&reader, &days))
        return false;
    if (reader.at < reader.end) {
        if (!read_byte(&reader, 'T') && !read_byte(&reader, 't') && !read_byte(&reader, ' '))
            return false;
        if (!read_time_of_day(&reader, &day_us) || !read_zone(&reader, &zone_seconds))
            return false;
    }
    int64_t time_us = (days * DAY_SECONDS - zone_seconds) * SECOND_US + day_us;
    /* A zone may carry the time out of the calendar's years. */
    if (reader.at < reader.end || time_us < TIME_MIN_US || time_us >= TIME_END_US)
        return false;
    *ret_time_us = time_us;
    return true;
}
