#include "client/stub/details.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/wire.h"

enum {
    STATUS_DETAILS = 3, /* fields of google.rpc.Status, google.protobuf.Any, … */
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    INFO_REASON = 1,
    INFO_DOMAIN = 2,
    RETRY_DELAY = 1,
    DURATION_SECONDS = 1,
    DURATION_NANOS = 2,
    REQUEST_VIOLATIONS = 1,
    VIOLATION_FIELD = 1,
    VIOLATION_DESCRIPTION = 2,
    MS_NANOS = 1000000,
    SECOND_MS = 1000,
};

static const int64_t DURATION_SECONDS_MAX = 315576000000; /* google.protobuf.Duration's bound */

/* Reads the next field; false at the end, and where the message is malformed. */
static bool field_next(struct wire_reader *reader, struct wire_field *ret_field) {
    return !wire_at_end(reader) && wire_read(reader, ret_field);
}

/* The last field of the number that holds bytes; empty without. */
static struct slice field_bytes(struct slice message, uint32_t number) {
    struct slice found = SLICE_EMPTY;
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    while (field_next(&reader, &field))
        if (field.number == number && field.type == WIRE_LEN)
            found = field.bytes;
    return found;
}

/* The last number of the field; 0 without. */
static int64_t field_number(struct slice message, uint32_t number) {
    int64_t found = 0;
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    while (field_next(&reader, &field))
        if (field.number == number && field.type == WIRE_VARINT)
            found = (int64_t)field.bits;
    return found;
}

/* Tells whether a packed Any holds the message, and which. */
static bool any_is(struct slice any, const char *name, struct slice *ret_value) {
    struct slice url = field_bytes(any, ANY_TYPE_URL);
    struct slice wanted = slice_text(name);
    if (url.size <= wanted.size || url.data[url.size - wanted.size - 1] != '/' ||
        !slice_equal(slice_after(url, url.size - wanted.size), wanted))
        return false;
    *ret_value = field_bytes(any, ANY_VALUE);
    return true;
}

/* Milliseconds of a RetryInfo, rounded up; 0 for what is no delay. */
static uint64_t retry_info_ms(struct slice info) {
    struct slice duration = field_bytes(info, RETRY_DELAY);
    int64_t seconds = field_number(duration, DURATION_SECONDS);
    int64_t nanos = field_number(duration, DURATION_NANOS);
    if (seconds < 0 || seconds > DURATION_SECONDS_MAX || nanos < 0 ||
        nanos >= (int64_t)MS_NANOS * SECOND_MS)
        return 0;
    return (uint64_t)seconds * SECOND_MS + (uint64_t)(nanos + MS_NANOS - 1) / MS_NANOS;
}

uint64_t details_retry_ms(struct slice packed) {
    struct wire_reader reader = wire_reader_of(packed);
    struct wire_field field;
    struct slice value;
    while (field_next(&reader, &field))
        if (field.number == STATUS_DETAILS && field.type == WIRE_LEN &&
            any_is(field.bytes, "google.rpc.RetryInfo", &value))
            return retry_info_ms(value);
    return 0;
}

char *details_text(struct arena *arena, struct slice text) {
    if (slice_is_utf8(text))
        return arena_copy_text(arena, text);
    struct buffer mended;
    buffer_init(&mended, text.size * 3); /* U+FFFD has three bytes */
    buffer_append_utf8(&mended, text);
    char *copy = mended.failed ? NULL : arena_copy_text(arena, buffer_slice(&mended));
    buffer_done(&mended);
    return copy;
}

static size_t violations_count(struct slice request) {
    struct wire_reader reader = wire_reader_of(request);
    struct wire_field field;
    size_t count = 0;
    while (field_next(&reader, &field))
        count += field.number == REQUEST_VIOLATIONS && field.type == WIRE_LEN;
    return count;
}

static bool violations_decode(struct slice request, struct arena *arena,
                              struct stub_status *status) {
    size_t count = violations_count(request);
    struct stub_violation *violations = arena_zalloc(arena, count, sizeof *violations);
    if (!violations)
        return false;
    struct wire_reader reader = wire_reader_of(request);
    struct wire_field field;
    for (size_t i = 0; i < count && field_next(&reader, &field);) {
        if (field.number != REQUEST_VIOLATIONS || field.type != WIRE_LEN)
            continue;
        violations[i].field = details_text(arena, field_bytes(field.bytes, VIOLATION_FIELD));
        violations[i].description =
            details_text(arena, field_bytes(field.bytes, VIOLATION_DESCRIPTION));
        if (!violations[i].field || !violations[i].description)
            return false;
        i++;
    }
    status->violations = violations;
    status->violation_count = count;
    return true;
}

/* Takes one detail over; the first of its kind counts. */
static bool detail_decode(struct slice any, struct arena *arena, struct stub_status *status) {
    struct slice value;
    if (!status->reason && any_is(any, "google.rpc.ErrorInfo", &value)) {
        status->reason = details_text(arena, field_bytes(value, INFO_REASON));
        status->domain = details_text(arena, field_bytes(value, INFO_DOMAIN));
        return status->reason && status->domain;
    }
    if (!status->violations && any_is(any, "google.rpc.BadRequest", &value))
        return violations_decode(value, arena, status);
    if (status->retry_after_ms == 0 && any_is(any, "google.rpc.RetryInfo", &value))
        status->retry_after_ms = retry_info_ms(value);
    return true;
}

bool details_decode(struct slice packed, struct arena *arena, struct stub_status *status) {
    struct slice copy;
    if (!arena_copy(arena, packed, &copy))
        return false;
    status->details = copy.data;
    status->details_size = copy.size;
    struct wire_reader reader = wire_reader_of(copy);
    struct wire_field field;
    while (field_next(&reader, &field))
        if (field.number == STATUS_DETAILS && field.type == WIRE_LEN &&
            !detail_decode(field.bytes, arena, status))
            return false;
    return true;
}
